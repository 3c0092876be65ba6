#include "ca/csr.h"

#include <stdbool.h>
#include <string.h>

#include <openssl/asn1t.h>

#include "base/auto.h"
#include "base/b64.h"
#include "ca/oid.h"
#include "ca/pubkey.h"

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
read_attr(struct arena *a, const struct csr_attr *attr,
    struct request_want *out, struct err *e)
{
	AUTO(csr_exts_auto) exts = NULL;
	const ASN1_TYPE *value;
	const uint8_t *p;
	struct span der;
	int i;

	if (!object_is(attr->type, OID_EXTENSION_REQUEST))
		return 0;
	if (OPENSSL_sk_num(attr->values) != 1)
		return err_set(e, ERR_MALFORMED,
		    "extensionRequest does not have one value");
	value = OPENSSL_sk_value(attr->values, 0);
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

static int
read_info(
    struct arena *a, struct span der, struct request_want *out, struct err *e)
{
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
		if (read_attr(a, OPENSSL_sk_value(info->attrs, i), out, e) ==
		    -1)
			return -1;
	}
	return 0;
}

int
csr_parse(
    struct arena *a, struct span der, struct request_want *out, struct err *e)
{
	struct span info, alg, signature;
	struct pubkey key;
	int rc;

	*out = (struct request_want){ .raw = der };
	if (der.n > CSR_MAX)
		return err_set(e, ERR_MALFORMED,
		    "request has more than %zu bytes", CSR_MAX);
	if (tosign_unwrap(der, &info, &alg, &signature, e) == -1)
		return err_set(e, ERR_MALFORMED, "request is not PKCS#10");
	if (read_info(a, info, out, e) == -1)
		return -1;
	if (pubkey_open(out->spki, &key, e) == -1)
		return -1;
	rc = pubkey_verify(&key, alg, info, signature, e);
	pubkey_clear(&key);
	out->key = arena_memdup(a, &key, sizeof(key));
	if (rc == -1)
		return err_prefix(e, "proof of possession");
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
