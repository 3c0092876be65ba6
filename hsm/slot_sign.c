#include "hsm/slot_sign.h"

#include <stdio.h>
#include <string.h>

#include "base/buf.h"
#include "base/clock.h"
#include "hsm/crlcheck.h"
#include "hsm/crlfloor.h"
#include "hsm/sign_approve.h"
#include "hsm/sign_budget.h"

#define SUMMARY_MAX ((size_t)64 * 1024)

/* One object that may be signed, if nothing stands against it. */
struct act {
	const struct sign_request *req;
	struct sign_verdict verdict;
	struct sign_log_entry entry;
	struct slot_job job;
	uint8_t hash[SIGN_HASH_SIZE], digest[SIGN_DIGEST_MAX];
	const struct crlcheck *list; /* of a CRL */
	int64_t now;
};

/* What is durable before a signature is made. */
static int
commit_first(struct slot_means *m, struct act *x, struct err *e)
{
	const struct sign_verdict *v = &x->verdict;
	struct crlfloor_conf floor = { .state_dir = m->state_dir,
		.spki = v->class->key->spki,
		.loss_percent = v->class->loss_percent,
		.now = x->now };
	char dir[4096];

	if (x->list != NULL)
		return crlfloor_raise(&floor, x->list, e);
	if (v->responder != NULL) {
		const struct sign_budget budget = { .state_dir = m->state_dir,
			.host = v->responder->name,
			.key = v->class->key->name,
			.per_hour = v->responder->per_hour };

		return sign_budget_take(&budget, x->now, e);
	}
	if (!v->approved)
		return 0;
	(void)snprintf(dir, sizeof(dir), "%s/approved", m->state_dir);
	return sign_approve_use(dir, v->statement, x->hash, e);
}

static int
make(struct slot_means *m, struct act *x, struct sign_reply *out, struct err *e)
{
	if (commit_first(m, x, e) != 0 ||
	    slot_keys_sign(
		m->keys, m->arena, &x->job, &out->signature, &m->lost, e) != 0)
		return -1;
	x->entry.signature = out->signature;
	if (sign_log_add(m->log, &x->entry, &out->receipt, e) != 0) {
		/* what is on disk, only a new reader of the log knows */
		m->lost = true;
		return -1;
	}
	m->signatures++;
	return 0;
}

/* Signs what was judged; the same object again is the same signature. */
static int
finish(struct slot_means *m, enum sign_role role, struct act *x,
    struct sign_reply *out, struct err *e)
{
	const struct sign_request *req = x->req;
	const struct sign_verdict *v = &x->verdict;
	struct sign_log_query query = { .tbs_hash = x->hash,
		.serial = v->serial };
	bool found;

	if (sign_log_find(m->log, m->arena, &query, &found, out, e) != 0)
		return -1;
	if (found) {
		out->tbs = span_of(NULL, 0);
		return 0;
	}
	x->entry.kind = req->kind;
	x->entry.role = (int)role;
	x->entry.class = v->class->name;
	x->entry.key = req->key;
	x->entry.request_id = req->request_id;
	x->entry.profile_hash = req->profile_hash;
	x->entry.tbs_hash = x->hash;
	x->entry.serial = v->serial;
	x->entry.sync = v->ca;
	x->job.key = v->class->key;
	x->job.verify = v->ca;
	return make(m, x, out, e);
}

static int
sign_cert(struct slot_means *m, const struct sign_asker *asker, struct act *x,
    struct sign_reply *out, struct err *e)
{
	if (sign_policy_check(
		m->policy, m->arena, asker, x->req, &x->verdict, e) != 0 ||
	    sign_log_hash(m->log, x->req->tbs, x->hash, e) != 0)
		return -1;
	x->entry.tbs = x->job.data = x->req->tbs;
	return finish(m, asker->role, x, out, e);
}

/* What the log keeps of a CRL. */
static struct span
summary(struct arena *a, const struct crlcheck *c, size_t size)
{
	AUTO_BUF(b, SUMMARY_MAX);

	buf_u64(&b, size);
	buf_u64(&b, c->entries);
	buf_u64(&b, (uint64_t)c->this_update);
	buf_u64(&b, (uint64_t)c->next_update);
	buf_block(&b, c->number);
	buf_block(&b, c->base);
	buf_block(&b, c->idp);
	return span_dup(a, buf_get(&b));
}

/* The digest to sign; SHA-256 is there already. */
static int
digest(struct act *x, struct span bytes, struct err *e)
{
	const struct sign_alg *alg = &x->verdict.class->key->alg;
	size_t n = SIGN_HASH_SIZE;

	if (EVP_MD_get_size(alg->md) == SIGN_HASH_SIZE)
		memcpy(x->digest, x->hash, SIGN_HASH_SIZE);
	else if (sign_alg_digest(alg, bytes, x->digest, &n, e) != 0)
		return -1;
	x->job.digest = span_of(x->digest, n);
	return 0;
}

static int
sign_list(struct slot_means *m, const struct sign_asker *asker, struct act *x,
    struct span bytes, struct sign_reply *out, struct err *e)
{
	struct crlcheck list;

	if (crlcheck_read(bytes, &list, e) != 0 ||
	    sign_policy_check_crl(
		m->policy, asker, x->req, &list, &x->verdict, e) != 0 ||
	    sign_log_hash(m->log, bytes, x->hash, e) != 0 ||
	    digest(x, bytes, e) != 0)
		return -1;
	x->list = &list;
	x->entry.tbs = summary(m->arena, &list, bytes.n);
	return finish(m, asker->role, x, out, e);
}

static int
sign_crl(struct slot_means *m, const struct sign_asker *asker, struct act *x,
    struct sign_reply *out, struct err *e)
{
	struct span bytes;
	int r;

	/* before anything is read: nobody else keeps the signer busy */
	if (asker->role != SIGN_ROLE_PUB)
		return err_set(
		    e, ERR_REFUSED, "compiled in: CRLs are for the pub role");
	if (crlcheck_map(x->req->crl_fd, &bytes, e) != 0)
		return -1;
	r = sign_list(m, asker, x, bytes, out, e);
	crlcheck_unmap(bytes);
	return r;
}

int
slot_sign(struct slot_means *m, enum sign_role role,
    const struct sign_request *req, struct sign_reply *out, struct err *e)
{
	struct sign_asker asker = {
		.role = role, .slot = m->octet, .now = clock_now()
	};
	struct act x = { .req = req, .now = asker.now };

	if (sign_log_clock_check(m->log, e) != 0)
		return -1;
	if (req->kind == SIGN_CRL)
		return sign_crl(m, &asker, &x, out, e);
	return sign_cert(m, &asker, &x, out, e);
}
