#include "ca/enroll.h"

#include <string.h>

#include "base/b64.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/sha256.h"
#include "ca/authn.h"
#include "ca/certrow.h"
#include "ca/enroll_int.h"
#include "ca/lint.h"
#include "ca/meters.h"
#include "ca/reconcile.h"
#include "ca/request_wire.h"
#include "ca/tbs.h"
#include "db/store_audit.h"
#include "db/store_cert.h"
#include "db/store_request.h"
#include "db/writer.h"
#include "hsm/sign_client.h"

/* Requests of one principal that may wait for an approval. */
#define WAITING_MAX 1000

/* One request on its way through the stages. */
struct enroll {
	struct ctx *ctx;
	const struct request *req;
	struct policy_trail *trail;
	struct principal principal;
	const struct profile *profile;
	struct policy_plan plan;
	uint8_t request_hash[STORE_HASH_SIZE];
	uint8_t serial[TBS_SERIAL_SIZE];
	uint8_t slot;
	struct span tbs;
	uint8_t tbs_hash[STORE_HASH_SIZE];
	struct store_cert row;
	struct enroll_result *res;
	bool done;     /* no further stage */
	bool repeated; /* (protocol, txn) is known already */
};

static int
stage_authenticate(struct enroll *x, struct err *e)
{
	return authn_principal(x->ctx->arena, x->req, &x->principal, e);
}

/* Requests at the same moment may together exceed it by as many. */
static int
check_rate(struct enroll *x, struct err *e)
{
	unsigned max = x->profile->per_hour, n;

	if (x->ctx->db == NULL)
		return 0; /* explaining counts nothing */
	if (store_cert_recent(x->ctx->db, x->principal.name, x->profile->name,
		max, &n, e) == -1)
		return -1;
	if (n < max)
		return 0;
	return err_set(e, ERR_LIMITED,
	    "profile \"%s\", rule per-hour: %s had %u certificates within an "
	    "hour",
	    x->profile->name, x->principal.name, n);
}

static int
stage_authorise(struct enroll *x, struct err *e)
{
	struct policy_input in = { &x->principal, x->req, NULL, x->ctx->issuers,
		x->trail };

	x->profile = profile_get(x->ctx->profiles, x->req->profile);
	if (x->profile == NULL)
		return err_set(e, ERR_REFUSED, "there is no profile \"%s\"",
		    x->req->profile);
	in.profile = x->profile;
	if (policy_check(x->ctx->arena, &in, &x->plan, e) == -1)
		return -1;
	return x->profile->per_hour == 0 ? 0 : check_rate(x, e);
}

static int
stage_build(struct enroll *x, struct err *e)
{
	const struct issuer *i = x->plan.issuer;
	struct profile_strings crl_urls, freshest_urls;
	struct tbs_input in = { .serial = span_of(x->serial, TBS_SERIAL_SIZE),
		.sig_alg = i->sig_alg,
		.issuer = i->subject,
		.key_id = i->key_id,
		.plan = &x->plan,
		.crl_urls = &crl_urls,
		.freshest_urls = &freshest_urls,
		.ocsp_urls = &i->ocsp_urls,
		.ca_issuers_urls = &i->ca_issuers_urls };

	/* explaining needs no signer */
	if (x->ctx->signer != NULL &&
	    sign_client_slot(x->ctx->signer, &x->slot, e) == -1)
		return -1;
	if (tbs_serial(x->slot, x->serial, e) == -1)
		return -1;
	crl_urls = issuer_crl_urls(x->ctx->arena, i, &i->crl_urls, in.serial);
	freshest_urls =
	    issuer_crl_urls(x->ctx->arena, i, &i->freshest_urls, in.serial);
	if (tbs_build(x->ctx->arena, &in, &x->tbs, e) == -1)
		return -1;
	sha256(x->tbs, x->tbs_hash);
	return 0;
}

static int
stage_lint(struct enroll *x, struct err *e)
{
	const struct lint_input in = { x->tbs, x->plan.issuer, x->profile,
		x->trail, x->plan.spki };

	return lint_check(x->ctx->arena, &in, e);
}

/* The secret that this request uses up; 0: none. */
static int64_t
used_up(const struct request *req)
{
	return req->evidence.one_time ? req->evidence.secret_id : 0;
}

/* Where the request stands: it may go on only when it is approved. */
static int
look_up(struct enroll *x, bool *approved, struct err *e)
{
	const struct store_request_key key = { x->req->protocol, x->req->txn,
		x->req->repeat_s };
	struct store_request r;

	*approved = false;
	if (store_request_get(x->ctx->db, x->ctx->arena, &key, &r, e) == -1)
		return e->kind == ERR_NOT_FOUND ? 0 : -1;
	if (r.state == STORE_REQUEST_VOID || r.state == STORE_REQUEST_OLD)
		return 0;
	*approved =
	    r.state == STORE_REQUEST_APPROVED &&
	    memcmp(r.request_hash, x->request_hash, STORE_HASH_SIZE) == 0;
	if (*approved)
		return 0;
	x->repeated = true;
	return err_set(e, ERR_CONFLICT, "this transaction is known already");
}

/* Nobody fills the operators' list alone. */
static int
check_waiting(struct enroll *x, struct err *e)
{
	unsigned n;

	if (store_request_count(
		x->ctx->db, x->principal.name, WAITING_MAX, &n, e) == -1)
		return -1;
	if (n < WAITING_MAX)
		return 0;
	return err_set(e, ERR_LIMITED,
	    "profile \"%s\", rule approval: %u requests of %s wait already",
	    x->profile->name, n, x->principal.name);
}

static int
stage_approve(struct enroll *x, struct err *e)
{
	const struct request *req = x->req;
	struct store_pending p = { .protocol = req->protocol,
		.txn = req->txn,
		.profile = x->profile->name,
		.principal = x->principal.name,
		.summary = request_summary(x->ctx->arena, &req->want),
		.lifetime_s = x->ctx->approval_lifetime_s,
		.repeat_s = req->repeat_s,
		.secret = used_up(req),
		.made_with = req->evidence.secret_id,
		.request_id = x->ctx->request_id };
	AUTO_BUF(body, REQUEST_WIRE_MAX);
	bool approved;

	if (!x->profile->approval)
		return 0;
	if (look_up(x, &approved, e) == -1 || approved)
		return approved ? 0 : -1;
	if (check_waiting(x, e) == -1)
		return -1;
	request_wire_put(&body, req);
	if (!buf_ok(&body))
		return err_set(e, ERR_MALFORMED, "request is too long");
	p.body = buf_get(&body);
	memcpy(p.request_hash, x->request_hash, STORE_HASH_SIZE);
	if (store_request_pend(x->ctx->writer, &p, e) == -1) {
		x->repeated = e->kind == ERR_CONFLICT;
		return -1;
	}
	x->res->status = ENROLL_PENDING;
	x->done = true;
	return 0;
}

/* What the signer is asked for. */
static void
fill_sign(const struct enroll *x, struct sign_request *out)
{
	*out = (struct sign_request){ .kind = SIGN_CERT,
		.key = x->plan.issuer->name,
		.slot = x->slot,
		.tbs = x->tbs,
		.request_id = x->ctx->request_id };
	memcpy(out->profile_hash, x->profile->hash, SIGN_HASH_SIZE);
	if (x->req->responder == NULL)
		return;
	out->kind = SIGN_RESPONDER;
	out->responder_host = x->req->responder->host;
	out->responder_not_after = x->req->responder->not_after;
	out->responder_signature = x->req->responder->signature;
}

/* The request to the signer leaves as soon as the intent is durable. */
static int
stage_reserve(struct enroll *x, struct err *e)
{
	const struct writer_wait how = { sign_client_let_go, sign_client_wait,
		x->ctx->signer };
	struct sign_request sr;
	struct store_intent in = { .protocol = x->req->protocol,
		.txn = x->req->txn,
		.issuer = x->plan.issuer->id,
		.serial = span_of(x->serial, TBS_SERIAL_SIZE),
		.slot = x->slot,
		.profile = x->profile->name,
		.principal = x->principal.name,
		.not_before = x->plan.not_before,
		.not_after = x->plan.not_after,
		.request_id = x->ctx->request_id,
		.repeat_s = x->req->repeat_s,
		.secret = used_up(x->req) };

	memcpy(in.request_hash, x->request_hash, STORE_HASH_SIZE);
	memcpy(in.tbs_hash, x->tbs_hash, STORE_HASH_SIZE);
	memcpy(in.profile_hash, x->profile->hash, STORE_HASH_SIZE);
	sha256(x->plan.spki, in.spki_sha256);
	fill_sign(x, &sr);
	if (sign_client_hold(x->ctx->signer, &sr, e) == -1)
		return -1;
	if (store_cert_reserve(x->ctx->writer, &in, &how, &x->row.id, e) ==
	    -1) {
		x->repeated = e->kind == ERR_CONFLICT;
		return -1;
	}
	return 0;
}

/*
 * The signer said no for good: the intent is settled now, so that the
 * transaction is free for a corrected request.
 */
static int
give_up(struct enroll *x, struct err *e)
{
	struct store_open_intent in = { .cert_id = x->row.id,
		.intent_at = clock_now(),
		.protocol = x->req->protocol,
		.txn = x->req->txn,
		.slot = x->slot,
		.issuer = x->plan.issuer->id };
	struct store_cert ignored;
	struct err late;
	bool issued;

	memcpy(in.tbs_hash, x->tbs_hash, STORE_HASH_SIZE);
	/* on failure housekeeping settles it later */
	if (reconcile_intent(x->ctx, &in, &issued, &ignored, &late) == -1)
		log_event(
		    LOG_WARN, "intent stays open", "msg", late.text, NULL);
	return err_prefix(e, "signer");
}

static int
stage_sign(struct enroll *x, struct err *e)
{
	const struct issuer *i = x->plan.issuer;
	struct sign_request sr;
	struct sign_reply reply;

	fill_sign(x, &sr);
	if (sign_client_sign(x->ctx->signer, x->ctx->arena, &sr, &reply, e) ==
	    -1)
		return e->kind == ERR_REFUSED ? give_up(x, e) : -1;
	if ((x->ctx->verify_leaves || x->profile->ca) &&
	    pubkey_verify(&i->key, i->sig_alg, x->tbs, reply.signature, e) ==
		-1)
		return err_set(
		    e, ERR_INTERNAL, "the signer's signature does not verify");
	x->row.protocol = x->req->protocol;
	x->row.txn = x->req->txn;
	x->row.profile = x->profile->name;
	x->row.principal = x->principal.name;
	memcpy(x->row.profile_hash, x->profile->hash, STORE_HASH_SIZE);
	x->row.sign_slot = reply.receipt.slot;
	x->row.sign_seq = reply.receipt.seq;
	memcpy(x->row.sign_head, reply.receipt.head, STORE_HASH_SIZE);
	return certrow_fill(
	    x->ctx->arena, i, x->tbs, reply.signature, &x->row, e);
}

static int
stage_commit(struct enroll *x, struct err *e)
{
	if (store_cert_commit(x->ctx->writer, &x->row, x->ctx->request_id, e) ==
	    -1)
		return -1;
	enroll_set_issued(x->ctx, &x->row, x->res);
	return 0;
}

static const struct stage {
	const char *name;
	int (*run)(struct enroll *, struct err *);
} stages[] = {
	[ENROLL_AUTHENTICATE] = { "authenticate", stage_authenticate },
	[ENROLL_AUTHORISE] = { "authorise", stage_authorise },
	[ENROLL_BUILD] = { "build", stage_build },
	[ENROLL_LINT] = { "lint", stage_lint },
	[ENROLL_APPROVE] = { "approve", stage_approve },
	[ENROLL_RESERVE] = { "reserve", stage_reserve },
	[ENROLL_SIGN] = { "sign", stage_sign },
	[ENROLL_COMMIT] = { "commit", stage_commit },
};
_Static_assert(sizeof(stages) / sizeof(stages[0]) == ENROLL_STAGE__COUNT,
    "every stage has a row");

const char *
enroll_stage_name(enum enroll_stage stage)
{
	return stages[stage].name;
}

static int
run_stage(struct enroll *x, enum enroll_stage stage, struct err *e)
{
	struct enroll_times *t = x->ctx->times;
	int64_t wall = clock_mono_us(), cpu = t == NULL ? 0 : clock_cpu_us();
	int rc = stages[stage].run(x, e);

	wall = clock_mono_us() - wall;
	meters_stage(stage, wall);
	if (t == NULL)
		return rc;
	t->count[stage]++;
	t->cpu_us[stage] += clock_cpu_us() - cpu;
	t->wall_us[stage] += wall;
	return rc;
}

static int
run_stages(struct enroll *x, enum enroll_stage until, struct err *e)
{
	unsigned s;

	for (s = 0; s <= until && !x->done; s++) {
		if (run_stage(x, (enum enroll_stage)s, e) == -1)
			return -1;
	}
	return 0;
}

/*
 * What is asked, in full, and by whom: other bytes under the same txn, or
 * somebody else's, are a conflict.
 */
static int
hash_request(
    const struct request *req, uint8_t out[STORE_HASH_SIZE], struct err *e)
{
	AUTO_BUF(b, (size_t)256 * 1024);

	buf_u64(&b, (uint64_t)req->evidence.kind);
	buf_block(&b, span_str(req->evidence.name));
	buf_block(&b, span_str(req->profile));
	buf_block(&b, span_str(req->issuer));
	buf_block(&b, req->want.raw);
	buf_u64(&b, (uint64_t)req->want.not_before);
	buf_u64(&b, (uint64_t)req->want.not_after);
	if (!buf_ok(&b))
		return err_set(e, ERR_MALFORMED, "request is too long");
	sha256(buf_get(&b), out);
	return 0;
}

/*
 * The outcome of an earlier submit of the same request; NOT_FOUND when there
 * is none to be had.
 */
static int
earlier(struct enroll *x, struct err *e)
{
	const struct store_request_key key = { x->req->protocol, x->req->txn,
		x->req->repeat_s };
	struct store_request r;

	if (store_request_get(x->ctx->db, x->ctx->arena, &key, &r, e) == -1)
		return -1;
	if (memcmp(r.request_hash, x->request_hash, STORE_HASH_SIZE) != 0)
		return err_set(e, ERR_CONFLICT,
		    "this transaction was used for another request");
	if (r.state == STORE_REQUEST_ISSUED &&
	    key.repeat_s == REQUEST_REPEAT_NEVER)
		return err_set(e, ERR_UNAVAILABLE,
		    "a certificate was issued for this just now");
	return enroll_outcome(x->ctx, &key, &r, x->res, e);
}

/* An auditor wants to see what was refused, and to whom. */
static void
audit_refusal(struct enroll *x, const struct err *why)
{
	const struct audit_pair pairs[] = {
		{ "principal", x->principal.name },
		{ "protocol", x->req->protocol },
		{ "txn", x->req->txn },
		{ "profile", x->req->profile },
		{ "kind", err_kind_name(why->kind) },
		{ "why", why->text },
		{ "request", x->ctx->request_id },
	};
	const struct audit_event ev = { "refused", 0, pairs,
		sizeof(pairs) / sizeof(pairs[0]) };
	struct err ignored;

	/* the client gets its refusal also when this cannot be recorded */
	if (x->principal.name != NULL &&
	    store_audit_put(x->ctx->writer, &ev, &ignored) == -1)
		return;
}

/*
 * A refusal now does not undo what was issued before.  A secret that the same
 * request uses up at this moment was not used for another.
 */
static int
refused(struct enroll *x, struct err *e)
{
	struct err first = *e;

	if (earlier(x, e) == 0)
		return 0;
	if (first.kind == ERR_UNAUTHENTICATED && e->kind == ERR_UNAVAILABLE)
		return -1;
	*e = first;
	audit_refusal(x, e);
	return -1;
}

static int
attempt(struct enroll *x, struct err *e)
{
	if (run_stages(x, ENROLL_LINT, e) == -1) {
		if (e->kind == ERR_UNAVAILABLE || e->kind == ERR_INTERNAL)
			return -1;
		return refused(x, e);
	}
	if (run_stage(x, ENROLL_APPROVE, e) == -1)
		return e->kind == ERR_UNAUTHENTICATED ? refused(x, e) : -1;
	if (!x->done && run_stage(x, ENROLL_RESERVE, e) == -1)
		return e->kind == ERR_BAD_KEY || e->kind == ERR_UNAUTHENTICATED
			   ? refused(x, e)
			   : -1;
	if (!x->done && (run_stage(x, ENROLL_SIGN, e) == -1 ||
			    run_stage(x, ENROLL_COMMIT, e) == -1))
		return -1;
	return 0;
}

static void
log_outcome(const struct enroll *x, int rc, const struct err *e)
{
	const char *serial = x->res->serial.n == 0
				 ? NULL
				 : hex_encode(x->ctx->arena, x->res->serial);

	if (rc == 0)
		log_event(LOG_INFO,
		    x->res->status == ENROLL_ISSUED ? "issued" : "pending",
		    "serial", serial, "profile", x->req->profile, "principal",
		    x->principal.name, "protocol", x->req->protocol, "txn",
		    x->req->txn, NULL);
	else
		log_event(e->kind == ERR_INTERNAL ? LOG_ERROR : LOG_WARN,
		    "not issued", "kind", err_kind_name(e->kind), "msg",
		    e->text, "profile", x->req->profile, "principal",
		    x->principal.name, "protocol", x->req->protocol, "txn",
		    x->req->txn, NULL);
}

static int
submit(struct enroll *x, struct err *e)
{
	int tries;

	for (tries = 0; tries < 2; tries++) {
		*x->res = (struct enroll_result){ 0 };
		if (attempt(x, e) == 0)
			return 0;
		if (!x->repeated)
			return -1;
		x->repeated = false;
		if (earlier(x, e) == 0)
			return 0;
		/* given up meanwhile: the transaction is free again */
		if (e->kind != ERR_NOT_FOUND)
			return -1;
	}
	return err_set(
	    e, ERR_UNAVAILABLE, "this transaction is being processed");
}

int
enroll_submit(struct ctx *ctx, const struct request *req,
    struct enroll_result *res, struct err *e)
{
	struct enroll x = { .ctx = ctx, .req = req, .res = res };
	int rc;

	if (hash_request(req, x.request_hash, e) == -1)
		return -1;
	rc = submit(&x, e);
	if (rc == -1)
		meters_refused(e->kind);
	else if (res->status == ENROLL_ISSUED)
		meters_issued();
	else
		meters_pending();
	log_outcome(&x, rc, e);
	return rc;
}

int
enroll_explain(struct ctx *ctx, const struct request *req,
    struct policy_trail *trail, struct policy_plan *plan, struct span *tbs,
    struct err *e)
{
	struct enroll x = { .ctx = ctx, .req = req, .trail = trail };

	if (run_stages(&x, ENROLL_LINT, e) == -1)
		return -1;
	*plan = x.plan;
	*tbs = x.tbs;
	return 0;
}
