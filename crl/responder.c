#include "crl/responder.h"

#include <string.h>

#include "base/b64.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/sha256.h"
#include "db/store_crl.h"

#define WEEK_S ((int64_t)7 * 86400)

/* Below a week with the profile's backdating. */
#define VALIDITY_MAX_S (WEEK_S - 3600)

static const char host_chars[] =
    "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-_";

/* The same question is the same transaction. */
static const char *
transaction(struct arena *a, const struct store_responder *r, struct span *raw)
{
	uint8_t hash[SHA256_SIZE];
	AUTO_BUF(b, 16384);

	buf_block(&b, span_str(r->host));
	buf_u64(&b, (uint64_t)r->issuer);
	buf_block(&b, r->spki);
	buf_u64(&b, (uint64_t)r->not_after);
	*raw = span_dup(a, buf_get(&b));
	sha256(*raw, hash);
	return hex_encode(a, span_of(hash, 16));
}

static int
ask(struct ctx *ctx, const struct store_responder *r, struct enroll_result *res,
    struct err *e)
{
	const struct issuer *issuer = issuer_by_id(ctx->issuers, r->issuer);
	const struct request_responder claim = { .host = r->host,
		.not_after = r->not_after,
		.signature = r->signature };
	struct request req = { .protocol = "pub",
		.profile = RESPONDER_PROFILE,
		.evidence = { .kind = EVIDENCE_PUBLISHER, .name = "pubd" },
		.responder = &claim };
	int64_t latest = clock_now() + VALIDITY_MAX_S;

	if (issuer == NULL)
		return err_set(e, ERR_NOT_FOUND, "issuer is not served here");
	if (r->host[0] == '\0' || r->host[strspn(r->host, host_chars)] != '\0')
		return err_set(e, ERR_MALFORMED, "host is no name");
	req.issuer = issuer->name;
	req.txn = transaction(ctx->arena, r, &req.want.raw);
	req.want.spki = r->spki;
	req.want.not_after = r->not_after < latest ? r->not_after : latest;
	if (dn_parse(ctx->arena,
		arena_printf(ctx->arena, "CN=OCSP %s", r->host),
		&req.want.subject, e) == -1)
		return -1;
	return enroll_submit(ctx, &req, res, e);
}

static int
answer_one(struct ctx *ctx, struct store_responder *r, struct err *e)
{
	struct enroll_result res;
	struct err why;

	r->cert = span_of(NULL, 0);
	r->fault = NULL;
	if (ask(ctx, r, &res, &why) == 0 && res.status == ENROLL_ISSUED) {
		r->cert = res.cert;
	} else {
		if (why.kind == ERR_UNAVAILABLE)
			return err_set(e, why.kind, "%s", why.text);
		log_event(LOG_WARN, "responder gets no certificate", "host",
		    r->host, "msg", why.text, NULL);
		r->fault = arena_strdup(ctx->arena, why.text);
	}
	if (store_responder_answer(ctx->db, r, e) == -1)
		return e->kind == ERR_NOT_FOUND ? 0 : -1;
	return 0;
}

int
responder_turn(struct engine *g, struct ctx *ctx, bool again, struct err *e)
{
	AUTO(arena_auto) a = arena_new();
	struct store_responder *list;
	size_t i, n;

	engine_begin(g, ctx, a, "responder");
	if (store_responder_open(ctx->db, a, &list, &n, e) == -1)
		return -1;
	for (i = 0; i < n; i++) {
		if ((again || list[i].fault == NULL) &&
		    answer_one(ctx, &list[i], e) == -1)
			return -1;
	}
	return 0;
}
