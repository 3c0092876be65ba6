#include "ca/reconcile.h"

#include <string.h>

#include "base/clock.h"
#include "ca/certrow.h"
#include "ca/revoke.h"
#include "db/store_cert.h"
#include "hsm/sign_client.h"

static int
complete(struct ctx *ctx, const struct store_open_intent *in,
    const struct issuer *issuer, const struct sign_reply *reply,
    struct store_cert *row, struct err *e)
{
	*row = (struct store_cert){
		.id = in->cert_id,
		.protocol = in->protocol,
		.txn = in->txn,
		.profile = in->profile,
		.principal = in->principal,
		.sign_slot = reply->receipt.slot,
		.sign_seq = reply->receipt.seq,
	};
	memcpy(row->profile_hash, in->profile_hash, STORE_HASH_SIZE);
	memcpy(row->sign_head, reply->receipt.head, STORE_HASH_SIZE);
	if (certrow_fill(
		ctx->arena, issuer, reply->tbs, reply->signature, row, e) == -1)
		return -1;
	if (store_cert_commit(ctx->writer, row, ctx->request_id, e) == -1)
		return -1;
	/* an intent may have been open for long */
	return revoke_if_blocked(ctx, row, e);
}

int
reconcile_intent(struct ctx *ctx, const struct store_open_intent *in,
    bool *issued, struct store_cert *row, struct err *e)
{
	const struct issuer *issuer = issuer_by_id(ctx->issuers, in->issuer);
	const struct sign_recall recall = { in->slot, in->tbs_hash,
		in->intent_at - RECONCILE_AGE_S };
	struct sign_reply reply;

	if (issuer == NULL)
		return err_set(e, ERR_INTERNAL,
		    "intent %lld is of an issuer that is not configured",
		    (long long)in->cert_id);
	if (sign_client_recall(
		ctx->signer, ctx->arena, &recall, issued, &reply, e) == -1)
		return -1;
	if (*issued)
		return complete(ctx, in, issuer, &reply, row, e);
	return store_cert_void(ctx->writer, in->cert_id, in->protocol, in->txn,
	    "the signer had not signed it", e);
}

int
reconcile_all(
    struct ctx *ctx, size_t max, size_t *issued, size_t *voided, struct err *e)
{
	struct store_open_intents open;
	struct store_cert row;
	struct err why;
	bool done;
	size_t i;
	int rc = 0;

	if (store_intents_open(ctx->db, ctx->arena,
		clock_now() - RECONCILE_AGE_S, max, &open, e) == -1)
		return -1;
	for (i = 0; i < open.n; i++) {
		if (reconcile_intent(ctx, &open.list[i], &done, &row, &why) ==
		    0) {
			*(done ? issued : voided) += 1;
			continue;
		}
		rc = err_set(e, why.kind, "%s", why.text);
		/* one that cannot be settled does not hold up the others */
		if (why.kind == ERR_UNAVAILABLE)
			break;
	}
	return rc;
}
