#include "ca/revoke.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/b64.h"
#include "base/clock.h"
#include "ca/authn.h"
#include "ca/oid.h"
#include "db/store_audit.h"
#include "db/store_cert.h"
#include "hsm/tosign.h"

#define REASON_MAX 10
#define REASON_SUPERSEDED 4
#define REASON_UNUSED 7
#define PAGE_MAX 5000
#define STEP_MAX 250

static const char *const reasons[REASON_MAX + 1] = {
	"unspecified",
	"keyCompromise",
	"cACompromise",
	"affiliationChanged",
	"superseded",
	"cessationOfOperation",
	"certificateHold",
	NULL,
	"removeFromCRL",
	"privilegeWithdrawn",
	"aACompromise",
};

static bool
is_reason(int reason)
{
	return reason == REVOKE_REASON_NONE ||
	       (reason >= 0 && reason <= REASON_MAX && reason != REASON_UNUSED);
}

int
revoke_reason_named(const char *name)
{
	char *end;
	long n;
	int i;

	for (i = 0; i <= REASON_MAX; i++) {
		if (reasons[i] != NULL && strcasecmp(reasons[i], name) == 0)
			return is_reason(i) ? i : -2;
	}
	n = strtol(name, &end, 10);
	if (*name < '0' || *name > '9' || *end != '\0' || n > REASON_MAX ||
	    !is_reason((int)n))
		return -2;
	return (int)n;
}

const char *
revoke_reason_name(int reason)
{
	if (reason < 0 || reason > REASON_MAX || reasons[reason] == NULL)
		return "none";
	return reasons[reason];
}

static bool
names_proven(struct arena *a, const struct request_evidence *ev,
    const struct store_cert *row)
{
	struct request_san san;
	size_t i, k;

	for (i = 0; i < row->n_names; i++) {
		if (request_san_parse(a, row->names[i].text, &san, NULL) == -1)
			return false;
		for (k = 0; k < ev->n_proven; k++) {
			if (request_san_eq(&san, &ev->proven[k]))
				break;
		}
		if (k == ev->n_proven)
			return false;
	}
	return row->n_names > 0;
}

/* A certificate that somebody wants to have revoked, and who that is. */
struct target {
	struct principal who;
	struct store_cert row;
	bool holder; /* the operator, or who has the key */
};

/* RFC 8555 7.6: who may revoke this certificate. */
static int
authorise(struct ctx *ctx, const struct revoke_request *req, struct target *t,
    struct err *e)
{
	t->holder = t->who.kind == EVIDENCE_OPERATOR || req->key_proven ||
		    strcmp(t->who.name, t->row.principal) == 0;
	if (t->holder)
		return 0;
	if (store_cert_names(ctx->db, ctx->arena, &t->row, e) == -1)
		return -1;
	if (names_proven(ctx->arena, req->evidence, &t->row))
		return 0;
	return err_set(e, ERR_UNAUTHENTICATED,
	    "%s may not revoke this certificate", t->who.name);
}

static int
authenticate(struct ctx *ctx, const struct request_evidence *ev,
    const char *protocol, struct principal *who, struct err *e)
{
	const struct request as = { .protocol = protocol, .evidence = *ev };

	return authn_principal(ctx->arena, &as, who, e);
}

/* Authenticates, finds the certificate and authorises. */
static int
admit(struct ctx *ctx, const struct revoke_request *req, struct target *t,
    struct err *e)
{
	if (authenticate(ctx, req->evidence, req->protocol, &t->who, e) == -1)
		return -1;
	if (store_cert_by_serial(ctx->db, ctx->arena, req->issuer->id,
		req->serial, &t->row, e) == -1)
		return -1;
	if (req->cert.n > 0 && !span_eq(req->cert, t->row.der))
		return err_set(
		    e, ERR_NOT_FOUND, "this certificate is not one of ours");
	return authorise(ctx, req, t, e);
}

static int
check_reason(int reason, int64_t invalidity_at, struct err *e)
{
	if (!is_reason(reason))
		return err_set(e, ERR_MALFORMED,
		    "%d is not a reason for revocation", reason);
	if (invalidity_at > clock_now())
		return err_set(e, ERR_MALFORMED,
		    "the invalidity date lies in the future "
		    "(RFC 5280 5.3.2)");
	return 0;
}

int
revoke_submit(struct ctx *ctx, const struct revoke_request *req, struct err *e)
{
	struct store_revocation r = { .issuer = req->issuer->id,
		.serial = req->serial,
		.reason = req->reason,
		.at = clock_now(),
		.invalidity_at = req->invalidity_at,
		.request_id = ctx->request_id };
	struct target t;

	if (req->reason == REVOKE_REASON_REMOVE)
		return revoke_release(ctx, req, e);
	if (admit(ctx, req, &t, e) == -1 ||
	    check_reason(req->reason, req->invalidity_at, e) == -1)
		return -1;
	/* that the reason is another one is only for who has the key */
	if (t.row.revoked && t.row.reason != STORE_HOLD && !t.holder)
		return err_set(
		    e, ERR_CONFLICT, "the certificate is revoked already");
	r.block_key = t.holder && req->reason == STORE_KEY_COMPROMISE;
	r.actor = t.who.name;
	return store_revoke(ctx->writer, &r, e);
}

static int
operator_only(const struct principal *who, struct err *e)
{
	if (who->kind == EVIDENCE_OPERATOR)
		return 0;
	return err_set(e, ERR_UNAUTHENTICATED, "%s may not do this", who->name);
}

int
revoke_release(struct ctx *ctx, const struct revoke_request *req, struct err *e)
{
	struct store_revocation r = { .issuer = req->issuer->id,
		.serial = req->serial,
		.request_id = ctx->request_id };
	struct target t;

	if (admit(ctx, req, &t, e) == -1 || operator_only(&t.who, e) == -1)
		return -1;
	r.actor = t.who.name;
	return store_revoke_release(ctx->writer, &r, e);
}

/* Who asks, and whether the search is one. */
static int
admit_many(struct ctx *ctx, const struct revoke_many *m, struct principal *who,
    struct err *e)
{
	const struct store_revoke_query *q = &m->query;

	if (authenticate(ctx, m->evidence, m->protocol, who, e) == -1 ||
	    operator_only(who, e) == -1 ||
	    check_reason(q->reason, m->invalidity_at, e) == -1)
		return -1;
	if (q->reason == REVOKE_REASON_REMOVE)
		return err_set(
		    e, ERR_MALFORMED, "holds are released one by one");
	if (q->key.n > 0 && q->key.n != STORE_HASH_SIZE)
		return err_set(e, ERR_MALFORMED, "not the hash of a key");
	if (q->profile == NULL && q->issuer == NULL && q->principal == NULL &&
	    q->name == NULL && q->key.n == 0 && q->issued_after == 0 &&
	    q->issued_before == 0)
		return err_set(
		    e, ERR_MALFORMED, "the search restricts nothing");
	return 0;
}

int
revoke_count(
    struct ctx *ctx, const struct revoke_many *m, uint64_t *n, struct err *e)
{
	struct principal who;

	if (admit_many(ctx, m, &who, e) == -1)
		return -1;
	return store_revoke_count(ctx->db, &m->query, n, e);
}

/* Revokes some of what was found; all are tried. */
static int
run_step(struct ctx *ctx, struct revoke_many *m,
    const struct store_revocation *list, size_t n, struct err *e)
{
	struct err errs[STEP_MAX];
	size_t i;
	int rc = 0;

	store_revoke_all(ctx->writer, list, n, errs);
	for (i = 0; i < n; i++) {
		if (errs[i].kind == ERR_NONE)
			m->done++;
		else if (errs[i].kind == ERR_CONFLICT)
			m->before++;
		else
			rc = err_set(e, errs[i].kind, "%s", errs[i].text);
	}
	if (m->progress != NULL)
		m->progress(m->arg, m->done);
	return rc;
}

static int
run_page(struct ctx *ctx, struct revoke_many *m, const char *actor,
    const struct store_revoke_page *page, struct err *e)
{
	struct store_revocation step[STEP_MAX];
	size_t i, n = 0;

	for (i = 0; i < page->n; i++) {
		step[n++] = (struct store_revocation){ .issuer =
							   page->list[i].issuer,
			.serial = page->list[i].serial,
			.reason = m->query.reason,
			.at = clock_now(),
			.invalidity_at = m->invalidity_at,
			.block_key = m->query.reason == STORE_KEY_COMPROMISE,
			.actor = actor,
			.request_id = ctx->request_id };
		if (n < STEP_MAX && i + 1 < page->n)
			continue;
		if (run_step(ctx, m, step, n, e) == -1)
			return -1;
		n = 0;
	}
	return 0;
}

/* One pass over what the search finds, by id; 'found' counts it. */
static int
run_pass(struct ctx *ctx, struct revoke_many *m, const char *actor,
    uint64_t *found, struct err *e)
{
	struct store_revoke_page page = { .max = PAGE_MAX };

	*found = 0;
	do {
		AUTO(arena_auto) a = arena_new();

		if (store_revoke_find(ctx->db, a, &m->query, &page, e) == -1 ||
		    run_page(ctx, m, actor, &page, e) == -1)
			return -1;
		*found += page.n;
		if (page.n > 0)
			page.after = page.list[page.n - 1].id;
	} while (page.n == page.max);
	return 0;
}

static const char *
time_text(struct arena *a, int64_t t)
{
	return t == 0 ? NULL : arena_printf(a, "%lld", (long long)t);
}

/* What was asked for; each certificate has an event of its own besides. */
static int
audit_search(struct ctx *ctx, const struct revoke_many *m, const char *actor,
    struct err *e)
{
	const struct store_revoke_query *q = &m->query;
	const struct audit_pair pairs[] = {
		{ "profile", q->profile },
		{ "issuer", q->issuer },
		{ "principal", q->principal },
		{ "name", q->name },
		{ "key",
		    q->key.n == 0 ? NULL : hex_encode(ctx->arena, q->key) },
		{ "issuedAfter", time_text(ctx->arena, q->issued_after) },
		{ "issuedBefore", time_text(ctx->arena, q->issued_before) },
		{ "expired", q->expired < 0    ? "any"
			     : q->expired == 0 ? "no"
					       : "yes" },
		{ "reason", arena_printf(ctx->arena, "%d", q->reason) },
		{ "actor", actor },
		{ "req", ctx->request_id },
	};
	const struct audit_event ev = { "revoke-search", 0, pairs,
		sizeof(pairs) / sizeof(pairs[0]) };

	return store_audit_put(ctx->writer, &ev, e);
}

int
revoke_all(struct ctx *ctx, struct revoke_many *m, struct err *e)
{
	struct principal who;
	uint64_t found;

	m->done = m->before = 0;
	if (admit_many(ctx, m, &who, e) == -1 ||
	    audit_search(ctx, m, who.name, e) == -1)
		return -1;
	return run_pass(ctx, m, who.name, &found, e);
}

/*
 * What is stored while a pass runs may lie behind it, so passes are made
 * until one finds nothing; what is signed but not stored yet is revoke_late's.
 */
int
revoke_key(struct ctx *ctx, struct revoke_many *m, bool *blocked, struct err *e)
{
	struct store_key_block b = { .why = "revocation by key",
		.request_id = ctx->request_id };
	struct principal who;
	uint64_t found, before;

	m->done = m->before = 0;
	if (admit_many(ctx, m, &who, e) == -1)
		return -1;
	if (m->query.key.n == 0 || m->query.reason == STORE_HOLD)
		return err_set(e, ERR_MALFORMED,
		    "blocking a key is for good, and so is revoking its "
		    "certificates");
	memcpy(b.spki_sha256, m->query.key.p, STORE_HASH_SIZE);
	b.actor = who.name;
	*blocked = false;
	if (store_revoke_block(ctx->writer, &b, e) == -1) {
		if (e->kind != ERR_CONFLICT)
			return -1;
		*blocked = true;
	}
	do {
		before = m->done;
		if (run_pass(ctx, m, who.name, &found, e) == -1)
			return -1;
	} while (found > 0 && m->done > before);
	return 0;
}

int
revoke_late(struct ctx *ctx, uint64_t *n, struct err *e)
{
	struct revoke_many m = { .query.reason = STORE_KEY_COMPROMISE };
	struct store_revoke_page page = { .max = PAGE_MAX };

	*n = 0;
	if (store_revoke_find_late(ctx->db, ctx->arena, &page, e) == -1 ||
	    run_page(ctx, &m, "internal:late", &page, e) == -1)
		return -1;
	*n = m.done;
	return 0;
}

int
revoke_superseded(
    struct ctx *ctx, const char *protocol, const char *txn, struct err *e)
{
	const struct store_request_key key = { protocol, txn,
		REQUEST_REPEAT_ALWAYS };
	struct store_revocation r = { .reason = REASON_SUPERSEDED,
		.at = clock_now(),
		.actor = "internal:superseded",
		.request_id = ctx->request_id };
	struct store_request earlier;
	struct store_cert row;

	/* not enroll_poll, which issues what was approved */
	if (store_request_get(ctx->db, ctx->arena, &key, &earlier, e) == -1)
		return e->kind == ERR_NOT_FOUND ? 0 : -1;
	if (earlier.state != STORE_REQUEST_ISSUED)
		return 0;
	if (store_cert_get(ctx->db, ctx->arena, earlier.cert_id, &row, e) == -1)
		return -1;
	r.issuer = row.issuer;
	r.serial = row.serial;
	if (store_revoke(ctx->writer, &r, e) == 0 || e->kind == ERR_CONFLICT)
		return 0;
	return -1;
}

int
revoke_if_blocked(struct ctx *ctx, const struct store_cert *row, struct err *e)
{
	const struct store_revocation r = { .issuer = row->issuer,
		.serial = row->serial,
		.reason = STORE_KEY_COMPROMISE,
		.at = clock_now(),
		.actor = "internal:late",
		.request_id = ctx->request_id };
	bool blocked;

	if (store_revoke_blocked(ctx->db, row->spki_sha256, &blocked, e) == -1)
		return -1;
	if (!blocked || store_revoke(ctx->writer, &r, e) == 0 ||
	    e->kind == ERR_CONFLICT)
		return 0;
	return -1;
}
