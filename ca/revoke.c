#include "ca/revoke.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/clock.h"
#include "ca/authn.h"
#include "ca/oid.h"
#include "db/store_cert.h"
#include "hsm/tosign.h"

#define REASON_MAX 10
#define REASON_UNUSED 7
#define REASON_REMOVE_FROM_CRL 8

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
	       (reason >= 0 && reason <= REASON_MAX &&
		   reason != REASON_UNUSED && reason != REASON_REMOVE_FROM_CRL);
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

/* RFC 8555 7.6: who may revoke this certificate. */
static int
authorise(struct ctx *ctx, const struct revoke_request *req,
    const struct principal *who, const struct store_cert *row, struct err *e)
{
	if (who->kind == EVIDENCE_OPERATOR || req->key_proven ||
	    strcmp(who->name, row->principal) == 0 ||
	    names_proven(ctx->arena, req->evidence, row))
		return 0;
	return err_set(e, ERR_UNAUTHENTICATED,
	    "%s may not revoke this certificate", who->name);
}

int
revoke_submit(struct ctx *ctx, const struct revoke_request *req, struct err *e)
{
	const struct request as = { .protocol = req->protocol,
		.evidence = *req->evidence };
	struct store_revocation r = { .issuer = req->issuer->id,
		.serial = req->serial,
		.reason = req->reason,
		.at = clock_now(),
		.request_id = ctx->request_id };
	struct principal who;
	struct store_cert row;

	if (authn_principal(ctx->arena, &as, &who, e) == -1)
		return -1;
	if (store_cert_by_serial(ctx->db, ctx->arena, req->issuer->id,
		req->serial, &row, e) == -1)
		return -1;
	if (req->cert.n > 0 && !span_eq(req->cert, row.der))
		return err_set(
		    e, ERR_NOT_FOUND, "this certificate is not one of ours");
	if (authorise(ctx, req, &who, &row, e) == -1)
		return -1;
	if (!is_reason(req->reason))
		return err_set(e, ERR_MALFORMED,
		    "%d is not a reason for revocation", req->reason);
	if (row.revoked)
		return err_set(
		    e, ERR_CONFLICT, "the certificate is revoked already");
	r.actor = who.name;
	return store_cert_revoke(ctx->writer, &r, e);
}
