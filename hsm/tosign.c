#include "hsm/tosign.h"

#include <string.h>

#include <openssl/asn1t.h>
#include <openssl/err.h>
#include <openssl/objects.h>
#include <openssl/x509.h>

#include "base/auto.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/der.h"
#include "hsm/tosign_int.h"

/* Values nested deeper than this are refused unseen. */
#define DEPTH_MAX 24

/* Only template offsets and sizes matter: values are read by tlv_take. */
struct ext_tmpl {
	ASN1_OBJECT *oid;
	ASN1_BOOLEAN critical;
	ASN1_OCTET_STRING *value;
};

struct validity_tmpl {
	ASN1_TIME *not_before, *not_after;
};

struct cert_tmpl {
	ASN1_INTEGER *version, *serial;
	X509_ALGOR *sig_alg;
	ASN1_STRING *issuer;
	struct validity_tmpl *validity;
	ASN1_STRING *subject, *spki;
	ASN1_BIT_STRING *issuer_uid, *subject_uid;
	OPENSSL_STACK *exts;
};

/* clang-format off */
ASN1_SEQUENCE(EXT_TMPL) = {
	ASN1_SIMPLE(struct ext_tmpl, oid, ASN1_OBJECT),
	ASN1_OPT(struct ext_tmpl, critical, ASN1_FBOOLEAN),
	ASN1_SIMPLE(struct ext_tmpl, value, ASN1_OCTET_STRING)
} static_ASN1_SEQUENCE_END_name(struct ext_tmpl, EXT_TMPL)

ASN1_SEQUENCE(VALIDITY_TMPL) = {
	ASN1_SIMPLE(struct validity_tmpl, not_before, ASN1_TIME),
	ASN1_SIMPLE(struct validity_tmpl, not_after, ASN1_TIME)
} static_ASN1_SEQUENCE_END_name(struct validity_tmpl, VALIDITY_TMPL)

ASN1_SEQUENCE(CERT_TMPL) = {
	ASN1_EXP_OPT(struct cert_tmpl, version, ASN1_INTEGER, 0),
	ASN1_SIMPLE(struct cert_tmpl, serial, ASN1_INTEGER),
	ASN1_SIMPLE(struct cert_tmpl, sig_alg, X509_ALGOR),
	ASN1_SIMPLE(struct cert_tmpl, issuer, ASN1_SEQUENCE),
	ASN1_SIMPLE(struct cert_tmpl, validity, VALIDITY_TMPL),
	ASN1_SIMPLE(struct cert_tmpl, subject, ASN1_SEQUENCE),
	ASN1_SIMPLE(struct cert_tmpl, spki, ASN1_SEQUENCE),
	ASN1_IMP_OPT(struct cert_tmpl, issuer_uid, ASN1_BIT_STRING, 1),
	ASN1_IMP_OPT(struct cert_tmpl, subject_uid, ASN1_BIT_STRING, 2),
	ASN1_EXP_SEQUENCE_OF_OPT(struct cert_tmpl, exts, EXT_TMPL, 3)
} static_ASN1_SEQUENCE_END_name(struct cert_tmpl, CERT_TMPL)
    /* clang-format on */

    bool tlv_take(struct span * s, struct tlv *out)
{
	const unsigned char *p = s->p;
	int tag, class, ret;
	long len;

	if (s->n < 2 || s->n > INT32_MAX)
		return false;
	ret = ASN1_get_object(&p, &len, &tag, &class, (long)s->n);
	if ((ret & 0x81) != 0 || len < 0 ||
	    (size_t)(p - s->p) + (size_t)len > s->n)
		return false;
	if (ASN1_object_size(0, (int)len, tag) != (int)(p - s->p) + (int)len)
		return false;
	out->tag = s->p[0];
	out->contents = span_of(p, (size_t)len);
	return span_take(s, (size_t)(p - s->p) + (size_t)len, &out->whole);
}

bool
tlv_expect(struct span *s, uint8_t tag, struct tlv *out)
{
	return s->n > 0 && s->p[0] == tag && tlv_take(s, out);
}

bool
tlv_count(struct span s, size_t *n)
{
	struct tlv t;

	for (*n = 0; s.n > 0; (*n)++) {
		if (!tlv_take(&s, &t))
			return false;
	}
	return true;
}

/* The rules of X.690 8 and 11 that lengths alone do not show. */
static bool
strict_universal(const struct tlv *t)
{
	const uint8_t *p = t->contents.p;
	size_t n = t->contents.n;

	switch (t->tag) {
	case DER_BOOLEAN:
		return n == 1 && (p[0] == 0 || p[0] == 0xff);
	case DER_INTEGER:
	case DER_ENUMERATED:
		if (n < 2)
			return n == 1;
		return !((p[0] == 0 && p[1] < 0x80) ||
			 (p[0] == 0xff && p[1] >= 0x80));
	case DER_BIT_STRING:
		if (n == 0 || p[0] > 7 || (n == 1 && p[0] != 0))
			return false;
		return n == 1 || (p[n - 1] & ((1 << p[0]) - 1)) == 0;
	case DER_NULL:
		return n == 0;
	default:
		return true;
	}
}

/* Strings may not be constructed; sequences and sets must be. */
static bool
strict_form(const struct tlv *t)
{
	bool constructed = (t->tag & 0x20) != 0;
	unsigned number = t->tag & 0x1f;

	if ((t->tag & 0xc0) != 0)
		return true;
	return constructed == (number == 0x10 || number == 0x11);
}

static bool
strict(struct span der, int depth)
{
	struct tlv t;

	if (depth > DEPTH_MAX)
		return false;
	while (der.n > 0) {
		if (!tlv_take(&der, &t) || !strict_form(&t) ||
		    !strict_universal(&t))
			return false;
		if ((t.tag & 0x20) != 0 && !strict(t.contents, depth + 1))
			return false;
	}
	return true;
}

/* Decodes, encodes again and compares. */
static bool
same_again(const ASN1_ITEM *it, struct span der)
{
	const unsigned char *p = der.p;
	ASN1_VALUE *v = ASN1_item_d2i(NULL, &p, (long)der.n, it);
	unsigned char *again = NULL;
	int n = -1;
	bool same;

	if (v != NULL && p == der.p + der.n)
		n = ASN1_item_i2d(v, &again, it);
	same = n >= 0 && span_eq(der, span_of(again, (size_t)n));
	OPENSSL_free(again);
	ASN1_item_free(v, it);
	return same;
}

/*
 * The last value found good for each template: an issuer's certificates carry
 * the same URLs and usages again and again.  A verdict follows from the bytes
 * alone, so equal bytes need no second one.
 */
#define SEEN_ITEMS 8
#define SEEN_BYTES 240

struct seen {
	const ASN1_ITEM *it;
	size_t n;
	uint8_t bytes[SEEN_BYTES];
};

static _Thread_local struct seen seen[SEEN_ITEMS];

/* The place of this template, or the first free one, or NULL. */
static struct seen *
seen_of(const ASN1_ITEM *it)
{
	size_t i;

	for (i = 0; i < SEEN_ITEMS; i++) {
		if (seen[i].it == it || seen[i].it == NULL)
			return &seen[i];
	}
	return NULL;
}

static void
note_good(struct seen *s, const ASN1_ITEM *it, struct span der)
{
	if (s == NULL || der.n > SEEN_BYTES)
		return;
	s->it = it;
	s->n = der.n;
	memcpy(s->bytes, der.p, der.n);
}

bool
tosign_judge(const ASN1_ITEM *it, struct span der)
{
	struct seen *known = seen_of(it);
	struct span rest = der;
	struct tlv t;
	bool good;

	if (known != NULL && known->it == it &&
	    span_eq(der, span_of(known->bytes, known->n)))
		return true;
	(void)ERR_set_mark();
	good = tlv_take(&rest, &t) && rest.n == 0 && strict(der, 0) &&
	       same_again(it, der);
	(void)ERR_pop_to_mark();
	if (good)
		note_good(known, it, der);
	return good;
}

/* RFC 5280 4.1.2.5.1 and .2: seconds always, Z, no fraction. */
static bool
take_time(struct span *s, int64_t *out, bool *utc)
{
	struct clock_civil c = { 0 }, back;
	int part[7], n, i;
	struct tlv t;

	if (!tlv_take(s, &t))
		return false;
	*utc = t.tag == DER_UTC_TIME;
	n = *utc ? 6 : 7;
	if ((!*utc && t.tag != DER_GENERALIZED_TIME) ||
	    t.contents.n != (size_t)n * 2 + 1 ||
	    t.contents.p[t.contents.n - 1] != 'Z')
		return false;
	for (i = 0; i < n; i++) {
		if (!tosign_two_digits(
			t.contents.p + (ptrdiff_t)2 * i, &part[i]))
			return false;
	}
	if (*utc)
		c.year = part[0] + (part[0] < 50 ? 2000 : 1900);
	else
		c.year = part[0] * 100 + part[1];
	c.month = part[n - 5];
	c.day = part[n - 4];
	c.hour = part[n - 3];
	c.minute = part[n - 2];
	c.second = part[n - 1];
	if (c.year < 1 || c.month < 1 || c.month > 12 || c.day < 1)
		return false;
	*out = clock_from_civil(&c);
	clock_to_civil(*out, &back);
	return memcmp(&c, &back, sizeof(c)) == 0;
}

static int
take_exts(
    struct arena *a, struct span list, struct tosign_cert *out, struct err *e)
{
	struct tosign_ext *exts;
	struct tlv ext, t;
	size_t i;

	if (!tlv_count(list, &out->n_exts) || out->n_exts == 0)
		return err_set(e, ERR_MALFORMED, "extension list is empty");
	if (out->n_exts > TOSIGN_EXTS_MAX)
		return err_set(e, ERR_MALFORMED, "more than %d extensions",
		    TOSIGN_EXTS_MAX);
	exts = arena_array(a, out->n_exts, sizeof(*exts));
	for (i = 0; i < out->n_exts; i++) {
		if (!tlv_take(&list, &ext) ||
		    !tlv_expect(&ext.contents, DER_OID, &t))
			return err_set(
			    e, ERR_MALFORMED, "extension without an OID");
		exts[i].oid = t.contents;
		exts[i].critical = tlv_expect(&ext.contents, DER_BOOLEAN, &t);
		if (!tlv_expect(&ext.contents, DER_OCTET_STRING, &t) ||
		    !strict(t.contents, 0))
			return err_set(e, ERR_MALFORMED,
			    "value of extension %zu is not DER", i + 1);
		exts[i].value = t.contents;
	}
	out->exts = exts;
	return 0;
}

/* The fields up to the public key; the template has seen their types. */
static bool
take_head(struct span *s, struct tosign_cert *out)
{
	struct tlv t, inner;

	out->version = 0;
	if (tlv_expect(s, DER_CONTEXT_CONSTRUCTED(0), &t)) {
		if (!tlv_expect(&t.contents, DER_INTEGER, &inner) ||
		    inner.contents.n != 1 || inner.contents.p[0] == 0 ||
		    inner.contents.p[0] > 2)
			return false;
		out->version = inner.contents.p[0];
	}
	if (!tlv_expect(s, DER_INTEGER, &t))
		return false;
	out->serial = t.contents;
	if (!tlv_expect(s, DER_SEQUENCE, &t))
		return false;
	out->sig_alg = t.whole;
	if (!tlv_expect(s, DER_SEQUENCE, &t))
		return false;
	out->issuer = t.whole;
	if (!tlv_expect(s, DER_SEQUENCE, &t) ||
	    !take_time(&t.contents, &out->not_before, &out->not_before_utc) ||
	    !take_time(&t.contents, &out->not_after, &out->not_after_utc))
		return false;
	if (!tlv_expect(s, DER_SEQUENCE, &t))
		return false;
	out->subject = t.whole;
	if (!tlv_expect(s, DER_SEQUENCE, &t))
		return false;
	out->spki = t.whole;
	return true;
}

int
tosign_cert_read(
    struct arena *a, struct span tbs, struct tosign_cert *out, struct err *e)
{
	struct tlv body, t;
	struct span s = span_dup(a, tbs);

	memset(out, 0, sizeof(*out));
	if (!tlv_expect(&s, DER_SEQUENCE, &body) ||
	    !take_head(&body.contents, out))
		return err_set(e, ERR_MALFORMED,
		    "version or validity of the TBSCertificate is malformed");
	s = body.contents;
	while (s.n > 0 && tlv_take(&s, &t)) {
		if (t.tag != DER_CONTEXT_CONSTRUCTED(3)) {
			out->has_uids = true;
			continue;
		}
		if (!tlv_take(&t.contents, &body))
			return err_set(e, ERR_MALFORMED, "extension list");
		if (take_exts(a, body.contents, out, e) != 0)
			return -1;
	}
	return 0;
}

int
tosign_cert_parse(
    struct arena *a, struct span tbs, struct tosign_cert *out, struct err *e)
{
	if (tbs.n > TOSIGN_CERT_MAX)
		return err_set(e, ERR_MALFORMED,
		    "TBSCertificate is larger than %zu bytes", TOSIGN_CERT_MAX);
	if (!tosign_judge(ASN1_ITEM_rptr(CERT_TMPL), tbs))
		return err_set(e, ERR_MALFORMED, "not a TBSCertificate in DER");
	return tosign_cert_read(a, tbs, out, e);
}

bool
tosign_oid_is(struct span oid, const char *dotted)
{
	uint8_t want[64];
	size_t n;

	return der_oid_contents(dotted, want, &n, sizeof(want)) &&
	       span_eq(oid, span_of(want, n));
}

const struct tosign_ext *
tosign_ext_find(const struct tosign_cert *c, const char *dotted)
{
	uint8_t want[64];
	size_t n, i;

	if (!der_oid_contents(dotted, want, &n, sizeof(want)))
		return NULL;
	for (i = 0; i < c->n_exts; i++) {
		if (span_eq(c->exts[i].oid, span_of(want, n)))
			return &c->exts[i];
	}
	return NULL;
}

const char *
tosign_oid_text(struct arena *a, struct span oid)
{
	char text[256] = "";
	const unsigned char *p;
	ASN1_OBJECT *o = NULL;
	AUTO_BUF(b, 1024);

	der_put(&b, DER_OID, oid);
	(void)ERR_set_mark();
	if (buf_ok(&b)) {
		p = b.p;
		o = d2i_ASN1_OBJECT(NULL, &p, (long)b.n);
	}
	if (o == NULL || OBJ_obj2txt(text, sizeof(text), o, 1) <= 0)
		memcpy(text, "?", 2);
	ASN1_OBJECT_free(o);
	(void)ERR_pop_to_mark();
	return arena_strdup(a, text);
}

struct span
tosign_wrap(struct arena *a, struct span tbs, struct span sig_alg,
    struct span signature)
{
	size_t begun;
	AUTO_BUF(b, tbs.n + sig_alg.n + signature.n + 64);

	begun = der_begin(&b, DER_SEQUENCE);
	buf_span(&b, tbs);
	buf_span(&b, sig_alg);
	der_bits(&b, signature);
	der_end(&b, begun);
	return span_dup(a, buf_get(&b));
}

int
tosign_unwrap(struct span der, struct span *tbs, struct span *sig_alg,
    struct span *signature, struct err *e)
{
	struct tlv outer, t, alg, bits;
	bool good;

	(void)ERR_set_mark();
	good = tlv_expect(&der, DER_SEQUENCE, &outer) && der.n == 0 &&
	       tlv_expect(&outer.contents, DER_SEQUENCE, &t) &&
	       tlv_expect(&outer.contents, DER_SEQUENCE, &alg) &&
	       tlv_expect(&outer.contents, DER_BIT_STRING, &bits) &&
	       outer.contents.n == 0 && bits.contents.n > 1 &&
	       bits.contents.p[0] == 0;
	(void)ERR_pop_to_mark();
	if (!good)
		return err_set(e, ERR_MALFORMED, "not a signed object in DER");
	*tbs = t.whole;
	*sig_alg = alg.whole;
	*signature = span_of(bits.contents.p + 1, bits.contents.n - 1);
	return 0;
}
