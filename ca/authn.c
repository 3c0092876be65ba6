#include "ca/authn.h"

#include <string.h>

#include "base/b64.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/sha256.h"
#include "ca/enroll.h"
#include "ca/secret.h"

/* Over which protocols which evidence counts. */
static const struct {
	const char *prefix;
	const char *protocols[4];
} kinds[] = {
	[EVIDENCE_OPERATOR] = { "oper", { "cli" } },
	[EVIDENCE_INTERNAL] = { "internal", { "internal" } },
	[EVIDENCE_ACME] = { "acme", { "acme" } },
	[EVIDENCE_PUBLISHER] = { "pub", { "pub" } },
	[EVIDENCE_SECRET] = { "secret", { "est" } },
	[EVIDENCE_CERT] = { "cert", { "est" } },
	[EVIDENCE_RA] = { "ra", { "est" } },
};
_Static_assert(sizeof(kinds) / sizeof(kinds[0]) == EVIDENCE__COUNT,
    "every kind of evidence has a row");

static bool
counts_over(enum request_evidence_kind kind, const char *protocol)
{
	const char *const *p;

	for (p = kinds[kind].protocols; *p != NULL; p++) {
		if (strcmp(*p, protocol) == 0)
			return true;
	}
	return false;
}

int
authn_principal(struct arena *a, const struct request *req,
    struct principal *out, struct err *e)
{
	const struct request_evidence *ev = &req->evidence;

	if ((unsigned)ev->kind >= EVIDENCE__COUNT || ev->name == NULL ||
	    ev->name[0] == '\0')
		return err_set(
		    e, ERR_UNAUTHENTICATED, "the request proves no identity");
	if (!counts_over(ev->kind, req->protocol))
		return err_set(e, ERR_UNAUTHENTICATED,
		    "evidence of kind \"%s\" does not count over %s",
		    kinds[ev->kind].prefix, req->protocol);
	out->kind = ev->kind;
	out->name = arena_printf(a, "%s:%s", kinds[ev->kind].prefix, ev->name);
	return 0;
}

int
authn_secret(struct ctx *ctx, const struct profile *p, const char *name,
    struct span text, struct request_evidence *out, struct err *e)
{
	struct store_secret s;
	bool matches = false;

	if (!secret_name_ok(name)) {
		/* as if it were unknown; the database takes UTF-8 only */
	} else if (store_secret_get(ctx->db, ctx->arena, name, &s, e) == -1) {
		if (e->kind != ERR_NOT_FOUND)
			return -1;
	} else if (secret_matches(&s, text, &matches, e) == -1) {
		return -1;
	}
	if (matches && s.expires_at > clock_now() &&
	    strcmp(s.profile, p->name) == 0) {
		*out = (struct request_evidence){ .kind = EVIDENCE_SECRET,
			.name = s.name,
			.secret_id = s.id,
			.one_time = s.one_time,
			.names = s.names,
			.n_names = s.n_names };
		return 0;
	}
	return err_set(e, ERR_UNAUTHENTICATED,
	    "the secret is wrong, expired, or not for this profile");
}

const char *
authn_txn(struct arena *a, const struct request *req, const char *operation)
{
	uint8_t hash[SHA256_SIZE];
	AUTO_BUF(b, (size_t)256 * 1024);

	buf_u64(&b, (uint64_t)req->evidence.kind);
	buf_block(&b, span_str(req->evidence.name));
	buf_block(&b, span_str(req->profile));
	buf_block(&b, span_str(operation));
	buf_block(&b, req->want.raw);
	sha256(buf_get(&b), hash);
	return hex_encode(a, span_of(hash, 16));
}
