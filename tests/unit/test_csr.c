#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <openssl/bn.h>
#include <openssl/rsa.h>
#include <openssl/x509v3.h>

#include "base/b64.h"
#include "base/der.h"
#include "ca/csr.h"
#include "ca/oid.h"
#include "hsm/tosign.h"
#include "tests/unit/tbs_maker.h"

#define ECDSA_SHA256 "300a06082a8648ce3d040302"
#define EXT_REQUEST "06092a864886f70d01090e"
#define SAN_A "3011 0603551d11 040a 3008 8206 612e74657374"

static struct arena *a;
static EVP_PKEY *p256;

static int
setup(void **state)
{
	(void)state;
	a = arena_new();
	p256 = maker_key("P-256");
	return 0;
}

static int
teardown(void **state)
{
	(void)state;
	EVP_PKEY_free(p256);
	arena_free(a);
	return 0;
}

/* A request as libcrypto's own tools make it. */
static struct span
libcrypto_csr(const char *type, const EVP_MD *md)
{
	STACK_OF(X509_EXTENSION) *exts = sk_X509_EXTENSION_new_null();
	X509_REQ *req = X509_REQ_new();
	EVP_PKEY *key = maker_key(type);
	unsigned char *der = NULL;
	struct span out;
	int n;

	assert_int_equal(X509_REQ_set_pubkey(req, key), 1);
	assert_int_equal(
	    X509_NAME_add_entry_by_txt(X509_REQ_get_subject_name(req), "CN",
		MBSTRING_ASC, (const unsigned char *)"A.test", -1, -1, 0),
	    1);
	assert_true(sk_X509_EXTENSION_push(exts,
			X509V3_EXT_conf_nid(NULL, NULL, NID_subject_alt_name,
			    "DNS:A.test,DNS:*.b.test,IP:10.0.0.1,IP:::1,"
			    "DNS:a.test")) > 0);
	assert_true(sk_X509_EXTENSION_push(
			exts, X509V3_EXT_conf_nid(NULL, NULL, NID_tlsfeature,
				  "status_request")) > 0);
	assert_true(sk_X509_EXTENSION_push(exts,
			X509V3_EXT_conf_nid(NULL, NULL, NID_basic_constraints,
			    "critical,CA:TRUE")) > 0);
	assert_int_equal(X509_REQ_add_extensions(req, exts), 1);
	assert_true(X509_REQ_sign(req, key, md) > 0);
	n = i2d_X509_REQ(req, &der);
	assert_true(n > 0);
	out = span_dup(a, span_of(der, (size_t)n));
	OPENSSL_free(der);
	sk_X509_EXTENSION_pop_free(exts, X509_EXTENSION_free);
	X509_REQ_free(req);
	EVP_PKEY_free(key);
	return out;
}

static void
check_good(const char *type, const EVP_MD *md)
{
	struct span der = libcrypto_csr(type, md);
	struct request_want w;
	struct err e;

	if (csr_parse(a, der, &w, &e) == -1)
		fail_msg("%s: %s", type, e.text);
	assert_true(span_eq(w.raw, der));
	assert_true(w.must_staple);
	assert_int_equal(w.subject.n, 1);
	assert_string_equal(dn_value(&w.subject, "CN"), "A.test");
	assert_int_equal(w.n_sans, 4);
	assert_string_equal(w.sans[0].text, "a.test");
	assert_string_equal(w.sans[1].text, "*.b.test");
	assert_string_equal(w.sans[2].text, "10.0.0.1");
	assert_string_equal(w.sans[3].text, "::1");
}

static void
good_requests(void **state)
{
	(void)state;
	check_good("P-256", EVP_sha256());
	check_good("P-384", EVP_sha384());
	check_good("P-256", EVP_sha512());
	check_good("RSA-2048", EVP_sha256());
	check_good("Ed25519", NULL);
}

static void
pem_and_der(void **state)
{
	struct span der = libcrypto_csr("P-256", EVP_sha256());
	struct request_want w;
	struct err e;

	(void)state;
	assert_int_equal(csr_parse_any(a, der, &w, &e), 0);
	assert_int_equal(
	    csr_parse_any(
		a, span_str(pem_encode(a, "CERTIFICATE REQUEST", der)), &w, &e),
	    0);
	assert_int_equal(
	    csr_parse_any(a,
		span_str(pem_encode(a, "NEW CERTIFICATE REQUEST", der)), &w,
		&e),
	    0);
	assert_int_equal(csr_parse_any(a, span_str("nothing"), &w, &e), -1);
	assert_int_equal(e.kind, ERR_MALFORMED);
	assert_int_equal(csr_parse_any(a, span_of("", 0), &w, &e), -1);
	assert_int_equal(e.kind, ERR_MALFORMED);
}

/* A request put together by hand; NULL and empty stand for something good. */
struct parts {
	const char *version; /* hex of the INTEGER */
	struct span subject, spki;
	const char *attrs;   /* hex contents of [0] */
	const char *sig_alg; /* hex */
	EVP_PKEY *signer;
	bool damage;
};

static struct span
by_hand(const struct parts *p)
{
	EVP_PKEY *key = p->signer == NULL ? p256 : p->signer;
	struct span info, out;
	size_t seq, attrs;
	AUTO_BUF(b, 65536);

	seq = der_begin(&b, DER_SEQUENCE);
	buf_span(&b, maker_hex(a, p->version == NULL ? "020100" : p->version));
	buf_span(&b,
	    p->subject.n > 0 ? p->subject : maker_name(a, NULL, 0, p->subject));
	buf_span(&b, p->spki.n > 0 ? p->spki : maker_spki(a, key));
	attrs = der_begin(&b, DER_CONTEXT_CONSTRUCTED(0));
	buf_span(&b, maker_hex(a, p->attrs == NULL ? "" : p->attrs));
	der_end(&b, attrs);
	der_end(&b, seq);
	info = maker_take(a, &b);
	out = maker_sign(a, info,
	    maker_hex(a, p->sig_alg == NULL ? ECDSA_SHA256 : p->sig_alg), key);
	if (p->damage)
		((uint8_t *)(uintptr_t)out.p)[out.n - 1] ^= 1;
	return out;
}

static void
refused(const struct parts *p, enum err_kind kind, const char *text)
{
	struct request_want w;
	struct err e = { 0 };

	if (csr_parse(a, by_hand(p), &w, &e) == 0)
		fail_msg("accepted: %s", text);
	if (e.kind != kind || strstr(e.text, text) == NULL)
		fail_msg("\"%s\" (%s) has no \"%s\"", e.text,
		    err_kind_name(e.kind), text);
}

/* Attribute extensionRequest with these Extension values. */
static const char *
ext_request(const char *exts)
{
	struct span body = maker_hex(a, exts), der;
	size_t attr, set, seq;
	AUTO_BUF(b, 8192);

	attr = der_begin(&b, DER_SEQUENCE);
	der_oid(&b, OID_EXTENSION_REQUEST);
	set = der_begin(&b, DER_SET);
	seq = der_begin(&b, DER_SEQUENCE);
	buf_span(&b, body);
	der_end(&b, seq);
	der_end(&b, set);
	der_end(&b, attr);
	der = maker_take(a, &b);
	return hex_encode(a, der);
}

static const char *
san_request(struct span names)
{
	AUTO_BUF(b, 8192);
	size_t ext;

	ext = der_begin(&b, DER_SEQUENCE);
	der_oid(&b, OID_SUBJECT_ALT_NAME);
	der_put(&b, DER_OCTET_STRING, names);
	der_end(&b, ext);
	return ext_request(hex_encode(a, maker_take(a, &b)));
}

static void
by_hand_good(void **state)
{
	struct parts p = { .attrs = ext_request(SAN_A) };
	struct request_want w;
	struct err e;

	(void)state;
	if (csr_parse(a, by_hand(&p), &w, &e) == -1)
		fail_msg("%s", e.text);
	assert_int_equal(w.subject.n, 0);
	assert_int_equal(w.n_sans, 1);
	/* other attributes and extensions do not matter */
	p.attrs = "3010 06092a864886f70d010907 3103 0c0161";
	if (csr_parse(a, by_hand(&p), &w, &e) == -1)
		fail_msg("%s", e.text);
}

static void
proof_of_possession(void **state)
{
	EVP_PKEY *other = maker_key("P-256");

	(void)state;
	refused(&(struct parts){ .damage = true }, ERR_BAD_POP,
	    "proof of possession");
	refused(&(struct parts){ .spki = maker_spki(a, other) }, ERR_BAD_POP,
	    "proof of possession");
	/* ECDSA with SHA-1, RSA with SHA-256, ECDSA with parameters */
	refused(&(struct parts){ .sig_alg = "300906072a8648ce3d0401" },
	    ERR_BAD_KEY, "too weak");
	refused(&(struct parts){ .sig_alg = "300d06092a864886f70d01010b0500" },
	    ERR_BAD_KEY, "does not fit the key");
	refused(&(struct parts){ .sig_alg = "300c06082a8648ce3d0403020500" },
	    ERR_BAD_KEY, "wrong parameters");
	EVP_PKEY_free(other);
}

static void
forms(void **state)
{
	struct parts good = { .attrs = ext_request(SAN_A) };
	struct span der = by_hand(&good);
	uint8_t *longer = arena_alloc(a, der.n + CSR_MAX);
	struct request_want w;
	struct err e;
	size_t n;

	(void)state;
	memcpy(longer, der.p, der.n);
	assert_int_equal(csr_parse(a, span_of(longer, der.n + 1), &w, &e), -1);
	assert_int_equal(e.kind, ERR_MALFORMED);
	assert_int_equal(
	    csr_parse(a, span_of(longer, CSR_MAX + 1), &w, &e), -1);
	assert_int_equal(e.kind, ERR_MALFORMED);
	for (n = 0; n < der.n; n++)
		assert_int_equal(csr_parse(a, span_of(der.p, n), &w, &e), -1);
	refused(
	    &(struct parts){ .version = "020101" }, ERR_MALFORMED, "version 1");
	refused(&(struct parts){ .attrs = ext_request(SAN_A SAN_A) },
	    ERR_MALFORMED, "subjectAltName twice");
	/* extensionRequest that is no SEQUENCE, and with two values */
	refused(&(struct parts){ .attrs = "300e" EXT_REQUEST "3101 00" },
	    ERR_MALFORMED, "not PKCS#10");
	refused(&(struct parts){ .attrs = "300f" EXT_REQUEST "3102 0500" },
	    ERR_MALFORMED, "not Extensions");
	refused(&(struct parts){ .attrs = "3011" EXT_REQUEST "3104 3000 3000" },
	    ERR_MALFORMED, "one value");
	/* a TLS feature that is not status_request */
	refused(&(struct parts){ .attrs = ext_request(
				     "3011 06082b06010505070118 0405 "
				     "3003020111") },
	    ERR_REFUSED, "TLS feature");
}

static void
names(void **state)
{
	struct parts p = { 0 };

	(void)state;
	p.subject = maker_name(a, "2.5.4.3", 0x0c, span_of("a\0b", 3));
	refused(&p, ERR_MALFORMED, "NUL");
	p.subject = maker_name(a, "1.2.3", 0x0c, span_str("a"));
	refused(&p, ERR_REFUSED, "1.2.3");
	p.subject = maker_name(a, "2.5.4.3", 0x14, span_str("a"));
	refused(&p, ERR_MALFORMED, "UTF8String");
	/* CN=a+O=b in one RDN */
	p.subject = maker_hex(
	    a, "3016 3114 3008 0603550403 0c0161 3008 060355040a 0c0162");
	refused(&p, ERR_REFUSED, "one RDN");
	p.subject = span_of(NULL, 0);
	p.attrs = san_request(maker_san(a, 0x82, span_of("a\0.test", 7)));
	refused(&p, ERR_MALFORMED, "NUL");
	p.attrs = san_request(maker_san(a, 0x82, span_str("\xff.test")));
	refused(&p, ERR_MALFORMED, "ASCII");
	p.attrs = san_request(maker_san(a, 0x87, span_str("12345")));
	refused(&p, ERR_MALFORMED, "4 or 16");
	p.attrs = san_request(maker_san(a, 0x88, span_str("\x2a\x03")));
	refused(&p, ERR_REFUSED, "not supported");
	p.attrs = san_request(maker_hex(a, "3004 a402 3000"));
	refused(&p, ERR_REFUSED, "not supported");
	p.attrs = san_request(maker_hex(a, "300a a008 06022a03 a002 0c00"));
	refused(&p, ERR_REFUSED, "1.2.3");
	p.attrs = san_request(maker_hex(a, "3000"));
	refused(&p, ERR_MALFORMED, "");
}

/* SubjectPublicKeyInfo of an RSA key with these numbers. */
static struct span
rsa_spki(struct span n, struct span exp, bool null)
{
	size_t spki, alg, bits, key;
	AUTO_BUF(b, 8192);

	spki = der_begin(&b, DER_SEQUENCE);
	alg = der_begin(&b, DER_SEQUENCE);
	der_oid(&b, OID_RSA);
	if (null)
		der_put(&b, DER_NULL, span_of(NULL, 0));
	der_end(&b, alg);
	bits = der_begin(&b, DER_BIT_STRING);
	buf_u8(&b, 0);
	key = der_begin(&b, DER_SEQUENCE);
	der_uint(&b, n);
	der_uint(&b, exp);
	der_end(&b, key);
	der_end(&b, bits);
	der_end(&b, spki);
	return maker_take(a, &b);
}

static void
rsa_keys(void **state)
{
	EVP_PKEY *weak = maker_key("RSA-1024"), *good = maker_key("RSA-2048");
	struct parts p = { .spki = maker_spki(a, weak) };
	BIGNUM *bn = NULL;
	uint8_t n[256];

	(void)state;
	refused(&p, ERR_BAD_KEY, "modulus is not 2048");
	assert_int_equal(EVP_PKEY_get_bn_param(good, "n", &bn), 1);
	(void)BN_bn2bin(bn, n);
	BN_free(bn);
	p.spki = rsa_spki(span_of(n, 256), span_of("\x03", 1), true);
	refused(&p, ERR_BAD_KEY, "less than 65537");
	p.spki = rsa_spki(span_of(n, 256), span_of("\x01\x00\x00", 3), true);
	refused(&p, ERR_BAD_KEY, "less than 65537");
	p.spki = rsa_spki(span_of(n, 256), span_of("\x01\x00\x02", 3), true);
	refused(&p, ERR_BAD_KEY, "exponent is even");
	p.spki = rsa_spki(span_of(n, 256),
	    span_of("\x01\x00\x00\x00\x00\x00\x00\x00\x01", 9), true);
	refused(&p, ERR_BAD_KEY, "more than 64 bits");
	p.spki = rsa_spki(span_of(n, 256), span_of("\x01\x00\x01", 3), false);
	refused(&p, ERR_BAD_KEY, "not NULL");
	n[255] ^= 1;
	p.spki = rsa_spki(span_of(n, 256), span_of("\x01\x00\x01", 3), true);
	refused(&p, ERR_BAD_KEY, "modulus is even");
	n[255] ^= 1;
	n[0] = 0x7f; /* 2047 bits */
	p.spki = rsa_spki(span_of(n, 256), span_of("\x01\x00\x01", 3), true);
	refused(&p, ERR_BAD_KEY, "modulus is not 2048");
	EVP_PKEY_free(weak);
	EVP_PKEY_free(good);
}

static void
ec_keys(void **state)
{
	static const char ec[] = "3059 3013 06072a8648ce3d0201"
				 "06082a8648ce3d030107 034200 04";
	static const char zeros[] =
	    "0000000000000000000000000000000000000000000000000000000000000001";
	EVP_PKEY *k256 = maker_key("secp256k1");
	struct parts p = { 0 };

	(void)state;
	p.spki = maker_hex(a, arena_printf(a, "%s%s%s", ec, zeros, zeros));
	refused(&p, ERR_BAD_KEY, "not on the curve");
	p.spki = maker_hex(a,
	    "3039 3013 06072a8648ce3d0201 06082a8648ce3d030107 032200 02"
	    "6b17d1f2e12c4247f8bce6e563a440f277037d812deb33a0f4a13945d898c296");
	refused(&p, ERR_BAD_KEY, "not uncompressed");
	/* the point at infinity */
	p.spki = maker_hex(
	    a, "3019 3013 06072a8648ce3d0201 06082a8648ce3d030107 0302 0000");
	refused(&p, ERR_BAD_KEY, "not uncompressed");
	p.spki = maker_spki(a, k256);
	refused(&p, ERR_BAD_KEY, "P-256, P-384 or P-521");
	/* no parameters, an unknown algorithm, a short Ed25519 key */
	p.spki = maker_hex(a, "3010 3009 06072a8648ce3d0201 030300 0401");
	refused(&p, ERR_BAD_KEY, "does not name its curve");
	p.spki = maker_hex(a, "300b 3004 06022a03 030300 0401");
	refused(&p, ERR_BAD_KEY, "not RSA, EC or Ed25519");
	p.spki = maker_hex(a, "300c 3005 06032b6570 030300 0401");
	refused(&p, ERR_BAD_KEY, "32 octets");
	/* not a key at all */
	p.spki = maker_hex(a, "3003 020100");
	refused(&p, ERR_MALFORMED, "SubjectPublicKeyInfo");
	EVP_PKEY_free(k256);
}

/* A request of libcrypto's with one attribute, given as its value's type. */
static struct span
with_attribute(const char *oid, int type, struct span value)
{
	ASN1_OBJECT *obj = OBJ_txt2obj(oid, 1);
	X509_REQ *req = X509_REQ_new();
	unsigned char *der = NULL;
	struct span out;
	int n;

	assert_int_equal(X509_REQ_set_pubkey(req, p256), 1);
	assert_int_equal(
	    X509_REQ_add1_attr_by_OBJ(req, obj, type, value.p, (int)value.n),
	    1);
	assert_true(X509_REQ_sign(req, p256, EVP_sha256()) > 0);
	n = i2d_X509_REQ(req, &der);
	out = span_dup(a, span_of(der, (size_t)n));
	OPENSSL_free(der);
	X509_REQ_free(req);
	ASN1_OBJECT_free(obj);
	return out;
}

static void
challenge(void **state)
{
	struct request_want w;
	struct span der;
	struct err e;

	(void)state;
	der = with_attribute(OID_CHALLENGE_PASSWORD, V_ASN1_PRINTABLESTRING,
	    span_str("c2VjcmV0"));
	assert_int_equal(csr_parse(a, der, &w, &e), 0);
	assert_string_equal(w.challenge, "c2VjcmV0");
	assert_null(w.rename);
	der = with_attribute(OID_CHALLENGE_PASSWORD, V_ASN1_UTF8STRING,
	    span_of((const uint8_t *)"a\0b", 3));
	assert_int_equal(csr_parse(a, der, &w, &e), -1);
	assert_int_equal(e.kind, ERR_MALFORMED);
	der = with_attribute(
	    OID_CHALLENGE_PASSWORD, V_ASN1_OCTET_STRING, span_str("x"));
	assert_int_equal(csr_parse(a, der, &w, &e), -1);
	assert_int_equal(e.kind, ERR_MALFORMED);
	der = libcrypto_csr("P-256", EVP_sha256());
	assert_int_equal(csr_parse(a, der, &w, &e), 0);
	assert_null(w.challenge);
}

#define NEW_CN "300e 310c 300a 0603550403 0c03 6e6577"
#define NEW_SAN "3008 8206 622e74657374"

/* RFC 6402 2.8: either part, both, not none, none twice. */
static void
change_subject_name(void **state)
{
	static const struct {
		const char *hex;
		bool good, subject, sans;
	} cases[] = {
		{ "3010 " NEW_CN, true, true, false },
		{ "300a " NEW_SAN, true, false, true },
		{ "301a " NEW_CN NEW_SAN, true, true, true },
		/* erratum 3943 */
		{ "300a a108 8206 622e74657374", true, false, true },
		{ "301a " NEW_CN "a108 8206 622e74657374", true, true, true },
		{ "300a a208 8206 622e74657374", false, false, false },
		{ "3002 a100", false, false, false },
		{ "3002 3000", true, true, false },
		{ "3000", false, false, false },
		{ "3020 " NEW_CN NEW_CN, false, false, false },
		{ "301a " NEW_SAN NEW_CN, false, false, false },
		{ "3003 020101", false, false, false },
	};
	struct request_want w;
	struct span der;
	struct err e;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		der = with_attribute(OID_CHANGE_SUBJECT_NAME, V_ASN1_SEQUENCE,
		    maker_hex(a, cases[i].hex));
		assert_int_equal(
		    csr_parse(a, der, &w, &e), cases[i].good ? 0 : -1);
		if (!cases[i].good) {
			assert_int_equal(e.kind, ERR_MALFORMED);
			continue;
		}
		assert_int_equal(w.rename->has_subject, cases[i].subject);
		assert_int_equal(w.rename->has_sans, cases[i].sans);
		if (w.rename->has_sans)
			assert_string_equal(w.rename->sans[0].text, "b.test");
		if (w.rename->subject.n > 0)
			assert_string_equal(
			    dn_value(&w.rename->subject, "CN"), "new");
	}
}

/* RFC 7030 4.4.1: key and signature do not count. */
static void
keyless(void **state)
{
	struct span der = libcrypto_csr("P-256", EVP_sha256());
	struct request_want w;
	struct err e;

	(void)state;
	((uint8_t *)(uintptr_t)der.p)[der.n - 1] ^= 1;
	assert_int_equal(csr_parse(a, der, &w, &e), -1);
	assert_int_equal(csr_parse_keyless(a, der, &w, &e), 0);
	assert_int_equal(w.spki.n, 0);
	assert_null(w.key);
	assert_int_equal(w.n_sans, 4);
	der = libcrypto_csr("RSA-1024", EVP_sha256());
	assert_int_equal(csr_parse(a, der, &w, &e), -1);
	assert_int_equal(csr_parse_keyless(a, der, &w, &e), 0);
	assert_int_equal(
	    csr_parse_keyless(a, span_of(der.p, der.n - 1), &w, &e), -1);
	assert_int_equal(e.kind, ERR_MALFORMED);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(good_requests),
		cmocka_unit_test(pem_and_der),
		cmocka_unit_test(by_hand_good),
		cmocka_unit_test(proof_of_possession),
		cmocka_unit_test(forms),
		cmocka_unit_test(names),
		cmocka_unit_test(rsa_keys),
		cmocka_unit_test(ec_keys),
		cmocka_unit_test(challenge),
		cmocka_unit_test(change_subject_name),
		cmocka_unit_test(keyless),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
