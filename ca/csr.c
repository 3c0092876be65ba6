#include "ca/csr.h"

#include <stdbool.h>
#include <string.h>

#include <openssl/asn1t.h>

#include "base/auto.h"
#include "base/b64.h"
#include "base/der.h"
#include "ca/oid.h"
#include "ca/pubkey.h"

/* RFC 2985 5.4.1: ub-challengePassword is 255 characters. */
#define CHALLENGE_MAX ((size_t)255 * 4)

/*
 * CertificationRequestInfo (RFC 2986 4.1); names and keys stay raw.  A stack
 * of ours is declared as OPENSSL_STACK and read through the generic calls.
 */
struct csr_attr {
	ASN1_OBJECT *type;
	OPENSSL_STACK *values; /* of ASN1_TYPE */
};

struct csr_info {
	ASN1_INTEGER *version;
	ASN1_STRING *subject, *spki;
	OPENSSL_STACK *attrs; /* of struct csr_attr */
};

/* The parts of a CertificationRequest. */
struct signed_info {
	struct span info, alg, signature;
};

struct csr_ext {
	ASN1_OBJECT *oid;
	ASN1_BOOLEAN critical;
	ASN1_OCTET_STRING *value;
};

ASN1_SEQUENCE(csr_attr) = {
	ASN1_SIMPLE(struct csr_attr, type, ASN1_OBJECT),
	ASN1_SET_OF(struct csr_attr, values, ASN1_ANY),
} static_ASN1_SEQUENCE_END_name(struct csr_attr, csr_attr)

ASN1_SEQUENCE(csr_info) = {
	ASN1_SIMPLE(struct csr_info, version, ASN1_INTEGER),
	ASN1_SIMPLE(struct csr_info, subject, ASN1_SEQUENCE),
	ASN1_SIMPLE(struct csr_info, spki, ASN1_SEQUENCE),
	ASN1_IMP_SET_OF_OPT(struct csr_info, attrs, csr_attr, 0),
} static_ASN1_SEQUENCE_END_name(struct csr_info, csr_info)

ASN1_SEQUENCE(csr_ext) = {
	ASN1_SIMPLE(struct csr_ext, oid, ASN1_OBJECT),
	ASN1_OPT(struct csr_ext, critical, ASN1_BOOLEAN),
	ASN1_SIMPLE(struct csr_ext, value, ASN1_OCTET_STRING),
} static_ASN1_SEQUENCE_END_name(struct csr_ext, csr_ext)

ASN1_ITEM_TEMPLATE(csr_exts) =
    ASN1_EX_TEMPLATE_TYPE(ASN1_TFLG_SEQUENCE_OF, 0, exts, csr_ext)
static_ASN1_ITEM_TEMPLATE_END(csr_exts)

static void
info_free(struct csr_info *p)
{
	ASN1_item_free((ASN1_VALUE *)p, ASN1_ITEM_rptr(csr_info));
}
typedef struct csr_info csr_info_auto;
AUTO_DEFINE(csr_info_auto, info_free);

static void
exts_free(OPENSSL_STACK *p)
{
	ASN1_item_free((ASN1_VALUE *)p, ASN1_ITEM_rptr(csr_exts));
}
typedef OPENSSL_STACK csr_exts_auto;
AUTO_DEFINE(csr_exts_auto, exts_free);

static void
any_free(OPENSSL_STACK *p)
{
	ASN1_item_free((ASN1_VALUE *)p, ASN1_ITEM_rptr(ASN1_SEQUENCE_ANY));
}
typedef OPENSSL_STACK csr_any_auto;
AUTO_DEFINE(csr_any_auto, any_free);

static struct span
string_span(const ASN1_STRING *s)
{
	return span_of(ASN1_STRING_get0_data(s), (size_t)ASN1_STRING_length(s));
}

static bool
object_is(const ASN1_OBJECT *o, const char *dotted)
{
	return tosign_oid_is(span_of(OBJ_get0_data(o), OBJ_length(o)), dotted);
}

static int
read_ext(struct arena *a, const struct csr_ext *ext, struct request_want *out,
    struct err *e)
{
	/* SEQUENCE { INTEGER 5 }: status_request, RFC 7633 */
	static const uint8_t staple[] = { 0x30, 3, 2, 1, 5 };
	struct span value = string_span(ext->value);

	if (object_is(ext->oid, OID_SUBJECT_ALT_NAME)) {
		if (out->n_sans != 0)
			return err_set(e, ERR_MALFORMED,
			    "request has subjectAltName twice");
		return request_sans_decode(a, value, out, e);
	}
	if (object_is(ext->oid, OID_TLS_FEATURE)) {
		if (!span_eq(value, span_of(staple, sizeof(staple))))
			return err_set(e, ERR_REFUSED,
			    "TLS feature other than status_request");
		out->must_staple = true;
	}
	return 0;
}

static int
read_extensions(struct arena *a, const ASN1_TYPE *value,
    struct request_want *out, struct err *e)
{
	AUTO(csr_exts_auto) exts = NULL;
	const uint8_t *p;
	struct span der;
	int i;

	if (ASN1_TYPE_get(value) != V_ASN1_SEQUENCE)
		return err_set(
		    e, ERR_MALFORMED, "extensionRequest is not Extensions");
	der = string_span(value->value.sequence);
	p = der.p;
	exts = (OPENSSL_STACK *)ASN1_item_d2i(
	    NULL, &p, (long)der.n, ASN1_ITEM_rptr(csr_exts));
	if (exts == NULL || p != der.p + der.n)
		return err_set(
		    e, ERR_MALFORMED, "extensionRequest is not Extensions");
	for (i = 0; i < OPENSSL_sk_num(exts); i++) {
		if (read_ext(a, OPENSSL_sk_value(exts, i), out, e) == -1)
			return -1;
	}
	return 0;
}

/* challengePassword is a DirectoryString (RFC 2985 5.4.1). */
static int
read_challenge(struct arena *a, const ASN1_TYPE *value,
    struct request_want *out, struct err *e)
{
	static const int types[] = { V_ASN1_UTF8STRING, V_ASN1_PRINTABLESTRING,
		V_ASN1_T61STRING, V_ASN1_IA5STRING };
	int type = ASN1_TYPE_get(value);
	struct span s;
	size_t i;

	for (i = 0; i < sizeof(types) / sizeof(types[0]); i++) {
		if (type != types[i])
			continue;
		s = string_span(value->value.asn1_string);
		if (s.n > CHALLENGE_MAX || memchr(s.p, '\0', s.n) != NULL)
			break;
		out->challenge = arena_memdup(a, s.p, s.n);
		return 0;
	}
	return err_set(e, ERR_MALFORMED, "challengePassword is not a text");
}

/*
 * A SEQUENCE of the two, or GeneralNames under the tag [1] that erratum 3943
 * of RFC 6402 gives them, as a SEQUENCE.
 */
static bool
take_new_name(struct arena *a, const ASN1_TYPE *value, struct span *der)
{
	uint8_t *copy;

	if (ASN1_TYPE_get(value) == V_ASN1_SEQUENCE) {
		*der = string_span(value->value.sequence);
		return true;
	}
	if (ASN1_TYPE_get(value) != V_ASN1_OTHER)
		return false;
	*der = string_span(value->value.asn1_string);
	if (der->n == 0 || der->p[0] != DER_CONTEXT_CONSTRUCTED(1))
		return false;
	copy = arena_memdup(a, der->p, der->n);
	copy[0] = DER_SEQUENCE;
	*der = span_of(copy, der->n);
	return true;
}

/* A Name holds SETs, GeneralNames hold tagged values; both are optional. */
static int
read_new_name(struct arena *a, const ASN1_TYPE *value,
    struct request_rename *out, struct err *e)
{
	struct request_want names = { .n_sans = 0 };
	const uint8_t *p;
	struct span der;
	int tag, class;
	bool is_name;
	long n;

	if (!take_new_name(a, value, &der))
		return err_set(
		    e, ERR_MALFORMED, "changeSubjectName is no names");
	p = der.p;
	(void)ASN1_get_object(&p, &n, &tag, &class, (long)der.n);
	is_name = ASN1_TYPE_get(value) == V_ASN1_SEQUENCE &&
		  (n == 0 || *p == DER_SET);
	if ((is_name && out->has_subject) || out->has_sans)
		return err_set(
		    e, ERR_MALFORMED, "changeSubjectName has a name twice");
	if (is_name) {
		out->has_subject = true;
		return dn_decode(a, der, &out->subject, e);
	}
	if (request_sans_decode(a, der, &names, e) == -1)
		return -1;
	out->has_sans = true;
	out->sans = names.sans;
	out->n_sans = names.n_sans;
	return 0;
}

/* RFC 6402 2.8: SEQUENCE { Name OPTIONAL, GeneralNames OPTIONAL } */
static int
read_rename(struct arena *a, const ASN1_TYPE *value, struct request_want *out,
    struct err *e)
{
	struct request_rename *r = arena_alloc(a, sizeof(*r));
	AUTO(csr_any_auto) parts = NULL;
	const uint8_t *p;
	struct span der;
	int i;

	if (ASN1_TYPE_get(value) == V_ASN1_SEQUENCE) {
		der = string_span(value->value.sequence);
		p = der.p;
		parts = (OPENSSL_STACK *)ASN1_item_d2i(
		    NULL, &p, (long)der.n, ASN1_ITEM_rptr(ASN1_SEQUENCE_ANY));
	}
	if (parts == NULL || OPENSSL_sk_num(parts) < 1)
		return err_set(e, ERR_MALFORMED,
		    "changeSubjectName is not as in RFC 6402");
	for (i = 0; i < OPENSSL_sk_num(parts); i++) {
		if (read_new_name(a, OPENSSL_sk_value(parts, i), r, e) == -1)
			return -1;
	}
	out->rename = r;
	return 0;
}

static const struct {
	const char *oid, *name;
	int (*read)(struct arena *, const ASN1_TYPE *, struct request_want *,
	    struct err *);
} attributes[] = {
	{ OID_EXTENSION_REQUEST, "extensionRequest", read_extensions },
	{ OID_CHALLENGE_PASSWORD, "challengePassword", read_challenge },
	{ OID_CHANGE_SUBJECT_NAME, "changeSubjectName", read_rename },
};

#define N_ATTRIBUTES (sizeof(attributes) / sizeof(attributes[0]))

/* 'seen' has a bit for each of ours that was there. */
static int
read_attr(struct arena *a, const struct csr_attr *attr, unsigned *seen,
    struct request_want *out, struct err *e)
{
	size_t i;

	for (i = 0; i < N_ATTRIBUTES; i++) {
		if (object_is(attr->type, attributes[i].oid))
			break;
	}
	if (i == N_ATTRIBUTES)
		return 0;
	if (OPENSSL_sk_num(attr->values) != 1 || (*seen & 1u << i) != 0)
		return err_set(e, ERR_MALFORMED, "%s does not have one value",
		    attributes[i].name);
	*seen |= 1u << i;
	return attributes[i].read(a, OPENSSL_sk_value(attr->values, 0), out, e);
}

static int
read_info(
    struct arena *a, struct span der, struct request_want *out, struct err *e)
{
	unsigned seen = 0;
	AUTO(csr_info_auto) info = NULL;
	const uint8_t *p = der.p;
	int i;

	info = (struct csr_info *)ASN1_item_d2i(
	    NULL, &p, (long)der.n, ASN1_ITEM_rptr(csr_info));
	if (info == NULL || p != der.p + der.n)
		return err_set(e, ERR_MALFORMED, "request is not PKCS#10");
	if (ASN1_INTEGER_get(info->version) != 0)
		return err_set(e, ERR_MALFORMED, "request is not version 1");
	out->spki = span_dup(a, string_span(info->spki));
	if (dn_decode(a, string_span(info->subject), &out->subject, e) == -1)
		return -1;
	for (i = 0; i < OPENSSL_sk_num(info->attrs); i++) {
		if (read_attr(a, OPENSSL_sk_value(info->attrs, i), &seen, out,
			e) == -1)
			return -1;
	}
	return 0;
}

static int
open_request(struct arena *a, struct span der, struct signed_info *in,
    struct request_want *out, struct err *e)
{
	*out = (struct request_want){ .raw = der };
	if (der.n > CSR_MAX)
		return err_set(e, ERR_MALFORMED,
		    "request has more than %zu bytes", CSR_MAX);
	if (tosign_unwrap(der, &in->info, &in->alg, &in->signature, e) == -1)
		return err_set(e, ERR_MALFORMED, "request is not PKCS#10");
	return read_info(a, in->info, out, e);
}

int
csr_parse(
    struct arena *a, struct span der, struct request_want *out, struct err *e)
{
	struct signed_info in;
	struct pubkey key;
	int rc;

	if (open_request(a, der, &in, out, e) == -1 ||
	    pubkey_open(out->spki, &key, e) == -1)
		return -1;
	rc = pubkey_verify(&key, in.alg, in.info, in.signature, e);
	pubkey_clear(&key);
	out->key = arena_memdup(a, &key, sizeof(key));
	if (rc == -1)
		return err_prefix(e, "proof of possession");
	return 0;
}

int
csr_parse_keyless(
    struct arena *a, struct span der, struct request_want *out, struct err *e)
{
	struct signed_info in;

	if (open_request(a, der, &in, out, e) == -1)
		return -1;
	out->spki = span_of(NULL, 0);
	return 0;
}

int
csr_parse_any(
    struct arena *a, struct span bytes, struct request_want *out, struct err *e)
{
	struct err ignored;
	struct span der;

	if (bytes.n > 0 && bytes.p[0] == 0x30)
		return csr_parse(a, bytes, out, e);
	if (pem_decode(a, "CERTIFICATE REQUEST", bytes, &der, e) == -1 &&
	    pem_decode(a, "NEW CERTIFICATE REQUEST", bytes, &der, &ignored) ==
		-1)
		return -1;
	return csr_parse(a, der, out, e);
}
