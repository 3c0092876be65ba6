/* Client certificates as evidence: ours by our own records, others by path. */
#include <string.h>

#include <openssl/x509.h>
#include <openssl/x509v3.h>

#include "base/auto.h"
#include "base/clock.h"
#include "ca/authn.h"
#include "ca/enroll.h"
#include "ca/oid.h"
#include "db/store_cert.h"
#include "hsm/tosign.h"

AUTO_DEFINE(X509, X509_free);
AUTO_DEFINE(X509_STORE, X509_STORE_free);
AUTO_DEFINE(X509_STORE_CTX, X509_STORE_CTX_free);

static void
stack_free(STACK_OF(X509) * s)
{
	sk_X509_pop_free(s, X509_free);
}
typedef STACK_OF(X509) stack_auto;
AUTO_DEFINE(stack_auto, stack_free);

#define CHAIN_MAX 8

/* 112 bits: RSA from 2048, no SHA-1 (SSL_CTX_set_security_level(3)). */
#define AUTH_LEVEL 2

/* A client certificate that is being judged. */
struct leaf {
	struct span der, tbs, alg, signature;
	struct tosign_cert c;
	bool ra; /* it has the extended key usage cmcRA */
};

static int
refuse(struct err *e, const char *why)
{
	return err_set(
	    e, ERR_UNAUTHENTICATED, "the client certificate %s", why);
}

/* RFC 5280 4.2.1.3, 4.2.1.12; RFC 6402 2.10 for cmcRA. */
static int
check_purpose(struct arena *a, struct leaf *l, struct err *e)
{
	const struct tosign_ext *ku = tosign_ext_find(&l->c, OID_KEY_USAGE);
	const struct tosign_ext *eku =
	    tosign_ext_find(&l->c, OID_EXT_KEY_USAGE);
	bool client = eku == NULL;
	struct span *oids;
	uint32_t bits;
	size_t n = 0, i;

	if (ku != NULL && (tosign_key_usage_parse(ku->value, &bits, e) == -1 ||
			      (bits & 1) == 0))
		return refuse(e, "may not sign (keyUsage)");
	if (eku != NULL && tosign_eku_parse(a, eku->value, &oids, &n, e) == -1)
		return refuse(e, "has a broken extKeyUsage");
	for (i = 0; i < n; i++) {
		l->ra = l->ra || tosign_oid_is(oids[i], OID_EKU_CMC_RA);
		client = client || tosign_oid_is(oids[i], OID_EKU_CLIENT_AUTH);
	}
	if (client || l->ra)
		return 0;
	return refuse(e, "is not for TLS clients (extKeyUsage)");
}

static int
fill_holder(struct arena *a, const struct leaf *l, bool lenient,
    struct request_holder *h, struct err *e)
{
	const struct tosign_ext *san =
	    tosign_ext_find(&l->c, OID_SUBJECT_ALT_NAME);
	struct request_want names = { .n_sans = 0 };
	struct err why;

	if (dn_decode(a, l->c.subject, &h->subject, &why) == -1)
		return refuse(e, "has a subject that cannot be read");
	if (san != NULL &&
	    request_sans_decode(a, san->value, &names, &why) == -1) {
		if (!lenient)
			return refuse(e, "has names that cannot be read");
		names.n_sans = 0;
	}
	h->sans = names.sans;
	h->n_sans = names.n_sans;
	return 0;
}

/* Many certificates have no subject; their holders are not all the same. */
static const char *
holder_name(struct arena *a, const struct request_holder *h)
{
	if (h->subject.n > 0 || h->n_sans == 0)
		return dn_text(a, &h->subject);
	return arena_printf(
	    a, "%s:%s", request_san_word(h->sans[0].type), h->sans[0].text);
}

static bool
issuer_counts(const struct profile *p, const struct issuer *i)
{
	size_t k;

	for (k = 0; k < p->clients.issuers.n; k++) {
		if (strcmp(p->clients.issuers.list[k], i->name) == 0)
			return true;
	}
	return false;
}

/* An RA gets no grace. */
static int
check_times(
    const struct profile *p, const struct leaf *l, bool *expired, struct err *e)
{
	int64_t now = clock_now();

	*expired = now > l->c.not_after;
	if (now < l->c.not_before)
		return refuse(e, "is not valid yet");
	if (*expired && (l->ra || now > l->c.not_after + p->clients.expired_s))
		return refuse(e, "has expired");
	return 0;
}

/* Ours: what the database says counts. */
static int
judge_ours(struct ctx *ctx, const struct profile *p, const struct issuer *i,
    struct leaf *l, struct request_evidence *out, struct err *e)
{
	struct request_holder *h = arena_alloc(ctx->arena, sizeof(*h));
	struct store_cert row;

	if (!issuer_counts(p, i))
		return refuse(e, "is not of an issuer that counts here");
	if (pubkey_verify(&i->key, l->alg, l->tbs, l->signature, e) == -1)
		return refuse(e, "has a wrong signature");
	if (check_purpose(ctx->arena, l, e) == -1 ||
	    check_times(p, l, &h->expired, e) == -1)
		return -1;
	if (store_cert_by_serial(
		ctx->db, ctx->arena, i->id, l->c.serial, &row, e) == -1)
		return e->kind == ERR_NOT_FOUND ? refuse(e, "is unknown") : -1;
	if (!span_eq(row.der, l->der))
		return refuse(e, "is unknown");
	if (row.revoked)
		return refuse(e, "is revoked");
	if (fill_holder(ctx->arena, l, false, h, e) == -1)
		return -1;
	h->profile = row.profile;
	h->cert_id = row.id;
	*out = (struct request_evidence){ .kind = l->ra ? EVIDENCE_RA
							: EVIDENCE_CERT,
		.name = arena_printf(ctx->arena, "%s/%s", row.profile,
		    holder_name(ctx->arena, h)),
		.holder = h };
	return 0;
}

static X509 *
decode(struct span der)
{
	const uint8_t *p = der.p;
	X509 *x = d2i_X509(NULL, &p, (long)der.n);

	if (x == NULL || p == der.p + der.n)
		return x;
	X509_free(x);
	return NULL;
}

static int
push(STACK_OF(X509) * stack, struct span der)
{
	AUTO(X509) x = decode(der);

	if (x == NULL || sk_X509_push(stack, x) == 0)
		return -1;
	x = NULL; /* ownership moves to the stack */
	return 0;
}

static int
trust(X509_STORE *store, struct span der)
{
	AUTO(X509) x = decode(der);

	return x != NULL && X509_STORE_add_cert(store, x) == 1 ? 0 : -1;
}

/* The anchor that a verified path ends in. */
static const char *
anchor_name(const struct profile *p, X509_STORE_CTX *path)
{
	STACK_OF(X509) *chain = X509_STORE_CTX_get0_chain(path);
	X509 *last = sk_X509_value(chain, sk_X509_num(chain) - 1);
	size_t i;

	for (i = 0; i < p->clients.n_anchors; i++) {
		AUTO(X509) x = decode(p->clients.anchors[i].der);

		if (x != NULL && X509_cmp(x, last) == 0)
			return p->clients.anchors[i].name;
	}
	return NULL;
}

/* RFC 5280 6.1 from the profile's anchors; 'chain' begins with the leaf. */
static int
verify_path(const struct profile *p, const struct span *chain, size_t n,
    const char **anchor, struct err *e)
{
	AUTO(X509_STORE) store = X509_STORE_new();
	AUTO(X509_STORE_CTX) path = X509_STORE_CTX_new();
	AUTO(stack_auto) others = sk_X509_new_null();
	AUTO(X509) x = decode(chain[0]);
	size_t i;

	if (store == NULL || path == NULL || others == NULL)
		return err_set(e, ERR_UNAVAILABLE, "out of memory");
	if (x == NULL)
		return refuse(e, "cannot be decoded");
	for (i = 1; i < n; i++) {
		if (push(others, chain[i]) == -1)
			return refuse(e, "comes with a broken chain");
	}
	for (i = 0; i < p->clients.n_anchors; i++) {
		if (trust(store, p->clients.anchors[i].der) == -1)
			return err_set(
			    e, ERR_INTERNAL, "a trust anchor is broken");
	}
	if (X509_STORE_CTX_init(path, store, x, others) != 1)
		return err_set(e, ERR_UNAVAILABLE, "out of memory");
	X509_STORE_CTX_set_time(path, 0, clock_now());
	X509_STORE_CTX_set_flags(path, X509_V_FLAG_PARTIAL_CHAIN);
	X509_VERIFY_PARAM_set_auth_level(
	    X509_STORE_CTX_get0_param(path), AUTH_LEVEL);
	(void)X509_STORE_CTX_set_purpose(path, X509_PURPOSE_SSL_CLIENT);
	if (X509_verify_cert(path) != 1)
		return err_set(e, ERR_UNAUTHENTICATED,
		    "the client certificate has no path to a trust anchor: %s",
		    X509_verify_cert_error_string(
			X509_STORE_CTX_get_error(path)));
	*anchor = anchor_name(p, path);
	return *anchor == NULL ? refuse(e, "has no trust anchor") : 0;
}

static int
judge_foreign(struct ctx *ctx, const struct leaf *l, const char *anchor,
    struct request_evidence *out, struct err *e)
{
	struct request_holder *h = arena_alloc(ctx->arena, sizeof(*h));

	if (fill_holder(ctx->arena, l, true, h, e) == -1)
		return -1;
	*out = (struct request_evidence){ .kind = EVIDENCE_CERT,
		.name = arena_printf(
		    ctx->arena, "@%s/%s", anchor, holder_name(ctx->arena, h)),
		.holder = h };
	return 0;
}

int
authn_cert(struct ctx *ctx, const struct profile *p, const struct span *chain,
    size_t n, struct request_evidence *out, struct err *e)
{
	const struct issuer *i;
	const char *anchor;
	struct leaf l = { .ra = false };
	struct err why;

	if (n == 0)
		return err_set(
		    e, ERR_UNAUTHENTICATED, "there is no client certificate");
	if (n > CHAIN_MAX)
		return refuse(e, "comes with too long a chain");
	l.der = chain[0];
	if (tosign_unwrap(l.der, &l.tbs, &l.alg, &l.signature, &why) == -1 ||
	    tosign_cert_parse(ctx->arena, l.tbs, &l.c, &why) == -1)
		return refuse(e, "cannot be decoded");
	i = issuer_of_cert(ctx->issuers, &l.c);
	if (i != NULL)
		return judge_ours(ctx, p, i, &l, out, e);
	if (p->clients.n_anchors == 0)
		return refuse(e, "is not one of ours");
	if (verify_path(p, chain, n, &anchor, e) == -1)
		return -1;
	return judge_foreign(ctx, &l, anchor, out, e);
}
