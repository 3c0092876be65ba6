#include "protocols/est/csrattrs.h"

#include <string.h>

#include "base/buf.h"
#include "base/der.h"
#include "ca/ext.h"
#include "ca/oid.h"

#define OID_REQUEST_TEMPLATE "1.2.840.113549.1.9.16.2.61"
#define OID_EXTENSION_TEMPLATE "1.2.840.113549.1.9.16.2.62"
#define PLACEHOLDER_MAX 1024 /* octets of a modulus */
#define RSA_EXPONENT 65537
#define CSRATTRS_MAX ((size_t)64 * 1024)

/* The key that a client is asked for. */
struct key_wish {
	const char *alg, *curve, *sig_alg; /* curve: EC only */
	unsigned rsa_bits;                 /* RSA only */
	uint32_t key_usage;
};

static const struct {
	const char *name, *oid, *sig_alg;
} curves[] = {
	{ "P-256", OID_P256, OID_ECDSA_SHA256 },
	{ "P-384", OID_P384, OID_ECDSA_SHA384 },
	{ "P-521", OID_P521, OID_ECDSA_SHA512 },
};

static struct key_wish
wish_of(const struct profile *p)
{
	struct key_wish w = { .key_usage = p->key_usage };
	size_t i;

	for (i = 0; p->curves.n > 0 && i < sizeof(curves) / sizeof(curves[0]);
	     i++) {
		if (strcmp(p->curves.list[0], curves[i].name) != 0)
			continue;
		w.alg = OID_EC;
		w.curve = curves[i].oid;
		w.sig_alg = curves[i].sig_alg;
		return w;
	}
	if (p->ed25519) {
		w.alg = w.sig_alg = OID_ED25519;
		return w;
	}
	w.alg = OID_RSA;
	w.sig_alg = OID_SHA256_RSA;
	w.rsa_bits = p->rsa_min;
	w.key_usage = p->key_usage_rsa;
	return w;
}

/*
 * RFC 9908 3.2: one attribute of the key's type with its parameters, if it
 * has any.
 */
static void
put_key(struct buf *b, const struct key_wish *w)
{
	size_t attr = der_begin(b, DER_SEQUENCE), values;

	der_oid(b, w->alg);
	values = der_begin(b, DER_SET);
	if (w->curve != NULL)
		der_oid(b, w->curve);
	if (w->rsa_bits > 0)
		der_int(b, w->rsa_bits);
	der_end(b, values);
	der_end(b, attr);
}

/*
 * An attribute whose one value is a list of extensions (RFC 9908 3.2, 3.4);
 * in a template one without a value is the client's to fill in.
 */
static void
put_extensions(struct buf *b, const struct profile *p, const struct key_wish *w,
    bool template)
{
	bool open_san = template && p->san_required;
	size_t attr, values, exts, san;

	if (w->key_usage == 0 && p->eku.n == 0 && !open_san)
		return;
	attr = der_begin(b, DER_SEQUENCE);
	der_oid(b, template ? OID_EXTENSION_TEMPLATE : OID_EXTENSION_REQUEST);
	values = der_begin(b, DER_SET);
	exts = der_begin(b, DER_SEQUENCE);
	if (w->key_usage != 0)
		ext_key_usage(b, w->key_usage);
	if (p->eku.n > 0)
		ext_extended_key_usage(b, &p->eku);
	if (open_san) {
		san = der_begin(b, DER_SEQUENCE);
		der_oid(b, OID_SUBJECT_ALT_NAME);
		der_end(b, san);
	}
	der_end(b, exts);
	der_end(b, values);
	der_end(b, attr);
}

/* One attribute of a name; without a value the client fills it in. */
static void
put_rdn(struct buf *b, const struct dn_type *type, const char *value)
{
	size_t rdn = der_begin(b, DER_SET), attr = der_begin(b, DER_SEQUENCE);

	der_oid(b, type->oid);
	if (value != NULL)
		der_put(b, type->tag, span_str(value));
	der_end(b, attr);
	der_end(b, rdn);
}

static void
put_subject(struct buf *b, const struct profile *p)
{
	bool any = p->n_fixed > 0;
	size_t name, i;

	for (i = 0; i < p->n_attrs; i++)
		any = any || p->attrs[i].required;
	if (!any)
		return; /* as the client likes */
	name = der_begin(b, DER_SEQUENCE);
	for (i = 0; i < p->n_fixed; i++)
		put_rdn(b, p->fixed[i].type, p->fixed[i].value);
	for (i = 0; i < p->n_attrs; i++) {
		if (p->attrs[i].required)
			put_rdn(b, p->attrs[i].type, NULL);
	}
	der_end(b, name);
}

/* An RSAPublicKey of which only the length counts (RFC 9908 3.4). */
static void
put_placeholder(struct buf *b, unsigned bits)
{
	uint8_t modulus[PLACEHOLDER_MAX] = { 0x80 };
	size_t string = der_begin(b, DER_BIT_STRING), key, n = bits / 8;

	if (n > sizeof(modulus))
		n = sizeof(modulus);
	modulus[n - 1] |= 1;
	buf_u8(b, 0); /* no unused bits */
	key = der_begin(b, DER_SEQUENCE);
	der_uint(b, span_of(modulus, n));
	der_int(b, RSA_EXPONENT);
	der_end(b, key);
	der_end(b, string);
}

static void
put_key_template(struct buf *b, const struct key_wish *w)
{
	size_t info = der_begin(b, DER_CONTEXT_CONSTRUCTED(0));
	size_t alg = der_begin(b, DER_SEQUENCE);

	der_oid(b, w->alg);
	if (w->curve != NULL)
		der_oid(b, w->curve);
	if (w->rsa_bits > 0)
		der_put(b, DER_NULL, span_of(NULL, 0));
	der_end(b, alg);
	if (w->rsa_bits > 0)
		put_placeholder(b, w->rsa_bits);
	der_end(b, info);
}

/* The list's challengePassword again: who knows templates reads no list. */
static void
put_open_challenge(struct buf *b)
{
	size_t attr = der_begin(b, DER_SEQUENCE);

	der_oid(b, OID_CHALLENGE_PASSWORD);
	der_put(b, DER_SET, span_of(NULL, 0));
	der_end(b, attr);
}

/* RFC 9908 3.4: a CertificationRequestInfo with gaps. */
static void
put_template(struct buf *b, const struct profile *p, const struct key_wish *w)
{
	size_t attr = der_begin(b, DER_SEQUENCE), values, info, attrs;

	der_oid(b, OID_REQUEST_TEMPLATE);
	values = der_begin(b, DER_SET);
	info = der_begin(b, DER_SEQUENCE);
	der_int(b, 0);
	put_subject(b, p);
	put_key_template(b, w);
	/* SET OF: the shorter encoding comes first (X.690 11.6) */
	attrs = der_begin(b, DER_CONTEXT_CONSTRUCTED(1));
	if (p->est.binding_required)
		put_open_challenge(b);
	put_extensions(b, p, w, true);
	der_end(b, attrs);
	der_end(b, info);
	der_end(b, values);
	der_end(b, attr);
}

int
csrattrs_encode(
    struct arena *a, const struct profile *p, struct span *out, struct err *e)
{
	const struct key_wish w = wish_of(p);
	AUTO_BUF(b, CSRATTRS_MAX);
	size_t list = der_begin(&b, DER_SEQUENCE);

	if (p->est.binding_required)
		der_oid(&b, OID_CHALLENGE_PASSWORD);
	put_key(&b, &w);
	put_extensions(&b, p, &w, false);
	der_oid(&b, w.sig_alg);
	put_template(&b, p, &w);
	der_end(&b, list);
	if (!buf_ok(&b))
		return err_set(e, ERR_INTERNAL, "CSR attributes are too long");
	*out = span_dup(a, buf_get(&b));
	return 0;
}
