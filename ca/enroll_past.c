/* What is remembered of earlier requests, and what clients say later. */
#include <string.h>

#include "base/clock.h"
#include "ca/enroll_int.h"
#include "ca/reconcile.h"
#include "ca/request_wire.h"
#include "db/store_audit.h"
#include "db/store_request.h"
#include "db/store_revoke.h"
#include "db/writer.h"

#define REASON_CESSATION 5

void
enroll_set_issued(
    struct ctx *ctx, const struct store_cert *row, struct enroll_result *res)
{
	res->status = ENROLL_ISSUED;
	res->cert_id = row->id;
	res->cert = row->der;
	res->issuer = issuer_by_id(ctx->issuers, row->issuer);
	res->serial = row->serial;
}

/* An intent that an earlier try left behind. */
static int
settle(struct ctx *ctx, const char *protocol, const char *txn,
    const struct store_request *r, struct enroll_result *res, struct err *e)
{
	struct store_open_intent in = { .cert_id = r->cert_id,
		.intent_at = r->intent_at,
		.protocol = protocol,
		.txn = txn,
		.profile = r->profile,
		.principal = r->principal,
		.slot = r->slot,
		.issuer = r->issuer,
		.serial = r->serial };
	struct store_cert row;
	bool issued;

	if (clock_now() - r->intent_at < RECONCILE_AGE_S)
		return err_set(
		    e, ERR_UNAVAILABLE, "this transaction is being processed");
	memcpy(in.tbs_hash, r->tbs_hash, STORE_HASH_SIZE);
	memcpy(in.profile_hash, r->profile_hash, STORE_HASH_SIZE);
	if (reconcile_intent(ctx, &in, &issued, &row, e) == -1)
		return -1;
	if (!issued)
		return err_set(e, ERR_NOT_FOUND,
		    "this transaction was given up: ask again");
	enroll_set_issued(ctx, &row, res);
	return 0;
}

/* REFUSED in the words of whoever decided. */
static int
rejected(const struct store_request *r, struct err *e)
{
	if (r->state == STORE_REQUEST_EXPIRED)
		return err_set(e, ERR_REFUSED,
		    "profile \"%s\", rule approval: the time to approve or to"
		    " fetch it is over",
		    r->profile);
	return err_set(e, ERR_REFUSED,
	    "profile \"%s\", rule approval: rejected: %s", r->profile,
	    r->reason == NULL ? "no reason given" : r->reason);
}

int
enroll_outcome(struct ctx *ctx, const struct store_request_key *key,
    const struct store_request *r, struct enroll_result *res, struct err *e)
{
	struct store_cert row;

	switch (r->state) {
	case STORE_REQUEST_PENDING:
	case STORE_REQUEST_APPROVED:
		res->status = ENROLL_PENDING;
		return 0;
	case STORE_REQUEST_REJECTED:
	case STORE_REQUEST_EXPIRED:
		return rejected(r, e);
	case STORE_REQUEST_INTENT:
		return settle(ctx, key->protocol, key->txn, r, res, e);
	case STORE_REQUEST_ISSUED:
		if (store_cert_get(ctx->db, ctx->arena, r->cert_id, &row, e) ==
		    -1)
			return -1;
		enroll_set_issued(ctx, &row, res);
		return 0;
	case STORE_REQUEST_OLD:
	case STORE_REQUEST_VOID:
		break;
	}
	return err_set(
	    e, ERR_NOT_FOUND, "this transaction was given up: ask again");
}

/* Goes on with a request that was approved, as it was asked for. */
static int
resume(struct ctx *ctx, const struct store_request_key *key,
    struct enroll_result *res, struct err *e)
{
	struct request req;
	struct span body;

	if (store_request_body(
		ctx->db, ctx->arena, key->protocol, key->txn, &body, e) == -1 ||
	    request_wire_get(ctx->arena, body, &req, e) == -1)
		return -1;
	req.protocol = key->protocol;
	req.txn = key->txn;
	return enroll_submit(ctx, &req, res, e);
}

int
enroll_poll(struct ctx *ctx, const char *protocol, const char *txn,
    struct enroll_result *res, struct err *e)
{
	const struct store_request_key key = { protocol, txn,
		REQUEST_REPEAT_ALWAYS };
	struct store_request r;

	*res = (struct enroll_result){ 0 };
	if (store_request_get(ctx->db, ctx->arena, &key, &r, e) == -1)
		return -1;
	if (r.state == STORE_REQUEST_APPROVED)
		return resume(ctx, &key, res, e);
	return enroll_outcome(ctx, &key, &r, res, e);
}

int
enroll_confirm(struct ctx *ctx, const char *protocol, const char *txn,
    bool accepted, struct err *e)
{
	const struct audit_pair pairs[] = {
		{ "protocol", protocol },
		{ "txn", txn },
		{ "accepted", accepted ? "yes" : "no" },
		{ "request", ctx->request_id },
	};
	struct audit_event ev = { "confirmed", 0, pairs,
		sizeof(pairs) / sizeof(pairs[0]) };
	struct store_revocation r = { .reason = REASON_CESSATION,
		.actor = "client",
		.request_id = ctx->request_id };
	struct enroll_result res;

	if (enroll_poll(ctx, protocol, txn, &res, e) == -1)
		return -1;
	if (res.status != ENROLL_ISSUED)
		return err_set(
		    e, ERR_CONFLICT, "no certificate was issued yet");
	ev.cert_id = res.cert_id;
	if (store_audit_put(ctx->writer, &ev, e) == -1)
		return -1;
	if (accepted)
		return 0;
	r.issuer = res.issuer->id;
	r.serial = res.serial;
	r.at = clock_now();
	if (store_revoke(ctx->writer, &r, e) == -1)
		return e->kind == ERR_CONFLICT ? 0 : -1;
	return 0;
}
