#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>
#include <openssl/asn1.h>
#include <openssl/rsa.h>
#include <openssl/x509.h>

#include "base/b64.h"
#include "protocols/est/csrattrs.h"
#include "tests/unit/arena_fixture.h"

/* RFC 8951 4: linking, P-384, a (wrong) extension request, SHA-384. */
#define VECTOR                                                                   \
	"MEEGCSqGSIb3DQEJBzASBgcqhkjOPQIBMQcGBSuBBAAiMBYGCSqGSIb3DQEJDjEJBgcrBg" \
	"EBAQEWBggqhkjOPQQDAw=="
#define MAX 16

static const char *const p384[] = { "P-384", "P-256" };
static const char *const ekus[] = { "1.3.6.1.5.5.7.3.2" };

/* The elements of a SEQUENCE, as libcrypto finds them: DER each. */
static size_t
elements(struct span der, bool set, struct span out[MAX])
{
	const uint8_t *p = der.p;
	ASN1_SEQUENCE_ANY *list =
	    set ? d2i_ASN1_SET_ANY(NULL, &p, (long)der.n)
		: d2i_ASN1_SEQUENCE_ANY(NULL, &p, (long)der.n);
	unsigned char *one;
	int i, n, len;

	assert_non_null(list);
	assert_ptr_equal(p, der.p + der.n);
	n = sk_ASN1_TYPE_num(list);
	assert_true(n <= MAX);
	for (i = 0; i < MAX; i++)
		out[i] = span_str("");
	for (i = 0; i < n; i++) {
		one = NULL;
		len = i2d_ASN1_TYPE(sk_ASN1_TYPE_value(list, i), &one);
		assert_true(len > 0);
		out[i] = span_dup(a, span_of(one, (size_t)len));
		OPENSSL_free(one);
	}
	sk_ASN1_TYPE_pop_free(list, ASN1_TYPE_free);
	return (size_t)n;
}

static struct span
encode(const struct profile *p)
{
	struct span out;
	struct err e;

	assert_int_equal(csrattrs_encode(a, p, &out, &e), 0);
	return out;
}

/* The OID of an element: itself, or that of the attribute. */
static const char *
oid_of(struct span der)
{
	struct span parts[MAX];
	ASN1_OBJECT *obj;
	char text[80];
	const uint8_t *p;

	if (der.p[0] == 0x30) {
		assert_int_equal(elements(der, false, parts), 2);
		der = parts[0];
	}
	p = der.p;
	obj = d2i_ASN1_OBJECT(NULL, &p, (long)der.n);
	assert_non_null(obj);
	(void)OBJ_obj2txt(text, sizeof(text), obj, 1);
	ASN1_OBJECT_free(obj);
	return arena_strdup(a, text);
}

/* The one value of an attribute. */
static struct span
value_of(struct span attr)
{
	struct span parts[MAX], values[MAX];

	assert_int_equal(elements(attr, false, parts), 2);
	assert_int_equal(elements(parts[1], true, values), 1);
	return values[0];
}

/* An implicitly tagged value of a template as a SEQUENCE or SET. */
static struct span
retag(struct span der, uint8_t from, uint8_t to)
{
	uint8_t *p = arena_memdup(a, der.p, der.n);

	assert_int_equal(p[0], from);
	p[0] = to;
	return span_of(p, der.n);
}

static void
test_known_vector(void **state)
{
	struct profile p = { .curves = { p384, 2 },
		.est.binding_required = true };
	struct span theirs[MAX], ours[MAX], der;
	struct err e;

	(void)state;
	assert_int_equal(b64_decode(a, span_str(VECTOR), &der, &e), 0);
	assert_int_equal(elements(der, false, theirs), 4);
	assert_int_equal(elements(encode(&p), false, ours), 4);
	assert_true(span_eq(ours[0], theirs[0]));
	assert_true(span_eq(ours[1], theirs[1]));
	/* theirs[2] is what RFC 9908 3.2 forbids: an OID in place of Extensions
	 */
	assert_true(span_eq(ours[2], theirs[3]));
	assert_string_equal(oid_of(ours[3]), "1.2.840.113549.1.9.16.2.61");
}

/* RFC 9908 3.2: one attribute, one value, each extension once. */
static void
test_extensions(void **state)
{
	const uint8_t *p;
	struct profile pr = { .curves = { p384, 1 },
		.key_usage = 1,
		.eku = { ekus, 1 },
		.san_required = true };
	struct span list[MAX], der;
	X509_EXTENSIONS *exts;
	size_t n, i, found = 0;

	(void)state;
	n = elements(encode(&pr), false, list);
	for (i = 0; i < n; i++) {
		if (strcmp(oid_of(list[i]), "1.2.840.113549.1.9.14") != 0)
			continue;
		found++;
		der = value_of(list[i]);
		p = der.p;
		exts = (X509_EXTENSIONS *)ASN1_item_d2i(
		    NULL, &p, (long)der.n, ASN1_ITEM_rptr(X509_EXTENSIONS));
		assert_non_null(exts);
		assert_ptr_equal(p, der.p + der.n);
		assert_int_equal(X509v3_get_ext_count(exts), 2);
		assert_int_equal(
		    X509v3_get_ext_by_NID(exts, NID_key_usage, -1), 0);
		assert_int_equal(
		    X509v3_get_ext_by_NID(exts, NID_ext_key_usage, -1), 1);
		sk_X509_EXTENSION_pop_free(exts, X509_EXTENSION_free);
	}
	assert_int_equal(found, 1);
}

/* The parts of the template (RFC 9908 3.4), which is the last element. */
static size_t
template_of(const struct profile *p, struct span parts[MAX])
{
	struct span list[MAX];
	size_t n = elements(encode(p), false, list);

	return elements(value_of(list[n - 1]), false, parts);
}

static void
test_template(void **state)
{
	const struct profile_fixed fixed = { dn_type_named("O"), "Test" };
	const struct profile_attr attrs[] = {
		{ .type = dn_type_named("CN"), .required = true },
		{ .type = dn_type_named("OU") },
	};
	const struct profile p = { .curves = { p384, 1 },
		.key_usage = 1,
		.eku = { ekus, 1 },
		.san_required = true,
		.fixed = &fixed,
		.n_fixed = 1,
		.attrs = attrs,
		.n_attrs = 2,
		.est.binding_required = true };
	struct span parts[MAX], sub[MAX], attr[MAX], exts[MAX];

	(void)state;
	assert_int_equal(template_of(&p, parts), 4);
	assert_true(span_eq(parts[0], span_of("\x02\x01\x00", 3)));
	/* subject: O with its value, CN without, no OU */
	assert_int_equal(elements(parts[1], false, sub), 2);
	assert_int_equal(elements(sub[0], true, attr), 1);
	assert_int_equal(elements(attr[0], false, exts), 2);
	assert_true(span_eq(exts[1], span_of("\x0c\x04Test", 6)));
	assert_int_equal(elements(sub[1], true, attr), 1);
	assert_int_equal(elements(attr[0], false, exts), 1);
	assert_string_equal(oid_of(exts[0]), "2.5.4.3");
	/* key: the algorithm, no key */
	assert_int_equal(elements(retag(parts[2], 0xa0, 0x30), false, sub), 1);
	assert_int_equal(elements(sub[0], false, attr), 2);
	assert_string_equal(oid_of(attr[0]), "1.2.840.10045.2.1");
	assert_string_equal(oid_of(attr[1]), "1.3.132.0.34");
	/* attributes: challengePassword and extensions, SAN without a value */
	assert_int_equal(elements(retag(parts[3], 0xa1, 0x31), true, sub), 2);
	assert_string_equal(oid_of(sub[0]), "1.2.840.113549.1.9.7");
	assert_string_equal(oid_of(sub[1]), "1.2.840.113549.1.9.16.2.62");
	assert_int_equal(elements(value_of(sub[1]), false, exts), 3);
	assert_int_equal(elements(exts[0], false, attr), 3);
	assert_int_equal(elements(exts[1], false, attr), 2);
	assert_int_equal(elements(exts[2], false, attr), 1);
	assert_string_equal(oid_of(attr[0]), "2.5.29.17");
}

/* Nothing wished for beyond the key: the attributes are there, empty. */
static void
test_template_bare(void **state)
{
	const struct profile p = { .ed25519 = true };
	struct span parts[MAX], list[MAX];

	(void)state;
	assert_int_equal(elements(encode(&p), false, list), 3);
	assert_string_equal(oid_of(list[0]), "1.3.101.112");
	assert_string_equal(oid_of(list[1]), "1.3.101.112");
	assert_int_equal(template_of(&p, parts), 3);
	assert_true(span_eq(parts[2], span_of("\xa1\x00", 2)));
}

static void
test_rsa(void **state)
{
	static const unsigned sizes[] = { 2048, 3072, 8192 };
	struct span parts[MAX], list[MAX], spki;
	struct profile p = { .key_usage_rsa = 5 };
	const uint8_t *der;
	EVP_PKEY *key;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		p.rsa_min = sizes[i];
		assert_int_equal(elements(encode(&p), false, list), 4);
		assert_string_equal(oid_of(list[0]), "1.2.840.113549.1.1.1");
		assert_int_equal(value_of(list[0]).n, 4);
		assert_int_equal(value_of(list[0]).p[2], sizes[i] >> 8);
		assert_string_equal(oid_of(list[2]), "1.2.840.113549.1.1.11");
		/* libcrypto takes the placeholder for a key of that size */
		assert_int_equal(template_of(&p, parts), 3);
		spki = retag(parts[1], 0xa0, 0x30);
		der = spki.p;
		key = d2i_PUBKEY(NULL, &der, (long)spki.n);
		assert_non_null(key);
		assert_int_equal(EVP_PKEY_get_bits(key), sizes[i]);
		EVP_PKEY_free(key);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_known_vector),
		cmocka_unit_test(test_extensions),
		cmocka_unit_test(test_template),
		cmocka_unit_test(test_template_bare),
		cmocka_unit_test(test_rsa),
	};

	return cmocka_run_group_tests_name(
	    "est_csrattrs", tests, setup, teardown);
}
