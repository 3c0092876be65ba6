#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <openssl/ec.h>
#include <openssl/evp.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

#include "base/b64.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/der.h"
#include "hsm/tosign.h"

AUTO_DEFINE(X509, X509_free);
AUTO_DEFINE(EVP_PKEY, EVP_PKEY_free);

static void
add_ext(X509 *x, int nid, const char *value)
{
	X509_EXTENSION *ext = X509V3_EXT_conf_nid(NULL, NULL, nid, value);

	assert_non_null(ext);
	assert_int_equal(X509_add_ext(x, ext, -1), 1);
	X509_EXTENSION_free(ext);
}

static void
add_names(X509_NAME *name)
{
	assert_int_equal(X509_NAME_add_entry_by_txt(name, "C", MBSTRING_UTF8,
			     (const unsigned char *)"DE", -1, -1, 0),
	    1);
	assert_int_equal(X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_UTF8,
			     (const unsigned char *)"Root", -1, -1, 0),
	    1);
	assert_int_equal(X509_NAME_add_entry_by_txt(name, "OU", MBSTRING_UTF8,
			     (const unsigned char *)"B", -1, -1, -1),
	    1);
}

static void
fill(X509 *x, EVP_PKEY *key)
{
	assert_int_equal(X509_set_version(x, 2), 1);
	assert_int_equal(
	    ASN1_INTEGER_set_uint64(X509_get_serialNumber(x), 0x80ff), 1);
	assert_non_null(ASN1_TIME_set(X509_getm_notBefore(x), 1700000000));
	assert_non_null(ASN1_TIME_set(X509_getm_notAfter(x), 2600000000));
	add_names(X509_get_subject_name(x));
	assert_int_equal(X509_set_issuer_name(x, X509_get_subject_name(x)), 1);
	assert_int_equal(X509_set_pubkey(x, key), 1);
	add_ext(x, NID_basic_constraints, "critical,CA:TRUE,pathlen:3");
	add_ext(x, NID_key_usage, "critical,keyCertSign,decipherOnly");
	add_ext(x, NID_ext_key_usage, "serverAuth,1.2.3.4");
	add_ext(x, NID_subject_alt_name,
	    "DNS:a.test,IP:10.0.0.1,email:x@y.test,URI:http://z.test/,"
	    "RID:1.2.3,otherName:1.3.6.1.4.1.311.20.2.3;UTF8:me@y.test");
	add_ext(x, NID_info_access,
	    "OCSP;URI:http://o.test/,caIssuers;URI:http://i.test/a.cer");
	add_ext(x, NID_crl_distribution_points, "URI:http://c.test/a.crl");
	assert_true(X509_sign(x, key, EVP_sha256()) > 0);
}

/* A certificate made by libcrypto, as DER. */
static struct span
certificate(struct arena *a)
{
	AUTO(EVP_PKEY) key = EVP_EC_gen("P-256");
	AUTO(X509) x = X509_new();
	unsigned char *der = NULL;
	struct span s;
	int n;

	fill(x, key);
	n = i2d_X509(x, &der);
	assert_true(n > 0);
	s = span_dup(a, span_of(der, (size_t)n));
	OPENSSL_free(der);
	return s;
}

static struct span
tbs_of(struct arena *a)
{
	struct span tbs, alg, sig;
	struct err e;

	assert_int_equal(
	    tosign_unwrap(certificate(a), &tbs, &alg, &sig, &e), 0);
	return tbs;
}

static void
test_wrap(void **state)
{
	AUTO(arena_auto) a = arena_new();
	struct span der = certificate(a), tbs, alg, sig;
	uint8_t *longer;
	struct err e;

	(void)state;
	assert_int_equal(tosign_unwrap(der, &tbs, &alg, &sig, &e), 0);
	assert_true(span_eq(tosign_wrap(a, tbs, alg, sig), der));
	longer = arena_alloc(a, der.n + 1);
	memcpy(longer, der.p, der.n);
	assert_int_equal(
	    tosign_unwrap(span_of(longer, der.n + 1), &tbs, &alg, &sig, &e),
	    -1);
	assert_int_equal(
	    tosign_unwrap(span_of(der.p, der.n - 1), &tbs, &alg, &sig, &e), -1);
}

static void
test_fields(void **state)
{
	AUTO(arena_auto) a = arena_new();
	struct tosign_cert c;
	struct tosign_attr *attrs;
	struct tosign_spki spki;
	struct err e;
	size_t n;

	(void)state;
	assert_int_equal(tosign_cert_parse(a, tbs_of(a), &c, &e), 0);
	assert_int_equal(c.version, 2);
	assert_int_equal(c.serial.n, 3);
	assert_memory_equal(c.serial.p, "\0\x80\xff", 3);
	assert_int_equal(c.not_before, 1700000000);
	assert_int_equal(c.not_after, 2600000000);
	assert_true(c.not_before_utc);
	assert_false(c.not_after_utc);
	assert_false(c.has_uids);
	assert_int_equal(c.n_exts, 6);
	assert_true(span_eq(c.issuer, c.subject));
	assert_int_equal(tosign_name_parse(a, c.subject, &attrs, &n, &e), 0);
	assert_int_equal(n, 3);
	assert_int_equal(attrs[0].rdn, 0);
	assert_int_equal(attrs[0].tag, DER_PRINTABLE_STRING);
	assert_true(span_is(attrs[0].value, "DE"));
	assert_int_equal(attrs[1].rdn, 1);
	assert_int_equal(attrs[2].rdn, 1);
	assert_int_equal(tosign_spki_parse(c.spki, &spki, &e), 0);
	assert_true(tosign_oid_is(spki.alg_oid, "1.2.840.10045.2.1"));
	assert_string_equal(
	    tosign_oid_text(a, spki.alg_oid), "1.2.840.10045.2.1");
	assert_int_equal(spki.key.n, 65);
	assert_int_equal(spki.params.n, 10);
}

static void
check_names(struct arena *a, const struct tosign_cert *c)
{
	struct tosign_general_name *gn;
	struct err e;
	size_t n;

	assert_int_equal(
	    tosign_general_names_parse(
		a, tosign_ext_find(c, "2.5.29.17")->value, &gn, &n, &e),
	    0);
	assert_int_equal(n, 6);
	assert_int_equal(gn[0].tag, TOSIGN_GN_DNS);
	assert_true(span_is(gn[0].value, "a.test"));
	assert_int_equal(gn[1].tag, TOSIGN_GN_IP);
	assert_int_equal(gn[1].value.n, 4);
	assert_int_equal(gn[2].tag, TOSIGN_GN_EMAIL);
	assert_int_equal(gn[3].tag, TOSIGN_GN_URI);
	assert_int_equal(gn[4].tag, TOSIGN_GN_RID);
	assert_int_equal(gn[5].tag, TOSIGN_GN_OTHER);
	assert_true(tosign_oid_is(gn[5].oid, "1.3.6.1.4.1.311.20.2.3"));
	assert_int_equal(gn[5].other_tag, DER_UTF8_STRING);
	assert_true(span_is(gn[5].value, "me@y.test"));
}

static void
check_urls(struct arena *a, const struct tosign_cert *c)
{
	struct tosign_access *ad;
	struct tosign_dp *dp;
	struct err e;
	size_t n;

	assert_int_equal(
	    tosign_aia_parse(
		a, tosign_ext_find(c, "1.3.6.1.5.5.7.1.1")->value, &ad, &n, &e),
	    0);
	assert_int_equal(n, 2);
	assert_true(tosign_oid_is(ad[1].method, "1.3.6.1.5.5.7.48.2"));
	assert_true(span_is(ad[1].location.value, "http://i.test/a.cer"));
	assert_int_equal(
	    tosign_crldp_parse(
		a, tosign_ext_find(c, "2.5.29.31")->value, &dp, &n, &e),
	    0);
	assert_int_equal(n, 1);
	assert_int_equal(dp[0].n_names, 1);
	assert_true(span_is(dp[0].names[0].value, "http://c.test/a.crl"));
	assert_false(dp[0].has_reasons || dp[0].has_crl_issuer);
}

static void
test_extensions(void **state)
{
	AUTO(arena_auto) a = arena_new();
	struct tosign_cert c;
	struct span *eku;
	int64_t path_len;
	uint32_t bits;
	struct err e;
	size_t n;
	bool ca;

	(void)state;
	assert_int_equal(tosign_cert_parse(a, tbs_of(a), &c, &e), 0);
	assert_null(tosign_ext_find(&c, "2.5.29.99"));
	assert_true(tosign_ext_find(&c, "2.5.29.19")->critical);
	assert_false(tosign_ext_find(&c, "2.5.29.37")->critical);
	assert_int_equal(
	    tosign_basic_constraints_parse(
		tosign_ext_find(&c, "2.5.29.19")->value, &ca, &path_len, &e),
	    0);
	assert_true(ca);
	assert_int_equal(path_len, 3);
	assert_int_equal(
	    tosign_key_usage_parse(
		tosign_ext_find(&c, "2.5.29.15")->value, &bits, &e),
	    0);
	assert_int_equal(bits, 1 << 5 | 1 << 8);
	assert_int_equal(
	    tosign_eku_parse(
		a, tosign_ext_find(&c, "2.5.29.37")->value, &eku, &n, &e),
	    0);
	assert_int_equal(n, 2);
	assert_string_equal(tosign_oid_text(a, eku[1]), "1.2.3.4");
	check_names(a, &c);
	check_urls(a, &c);
}

/* Not one prefix and no tail is taken for the whole. */
static void
test_truncation(void **state)
{
	AUTO(arena_auto) a = arena_new();
	struct span tbs = tbs_of(a);
	struct tosign_cert c;
	uint8_t *longer = arena_alloc(a, tbs.n + 1);
	struct err e;
	size_t i;

	(void)state;
	for (i = 0; i < tbs.n; i++)
		assert_int_equal(
		    tosign_cert_parse(a, span_of(tbs.p, i), &c, &e), -1);
	memcpy(longer, tbs.p, tbs.n);
	assert_int_equal(
	    tosign_cert_parse(a, span_of(longer, tbs.n + 1), &c, &e), -1);
	assert_int_equal(e.kind, ERR_MALFORMED);
}

/* Reading again is lenient, but sees what parsing saw and stays inside. */
static void
test_read_again(void **state)
{
	AUTO(arena_auto) a = arena_new();
	struct span tbs = tbs_of(a);
	uint8_t *bytes = arena_memdup(a, tbs.p, tbs.n);
	struct tosign_cert c, again;
	size_t i, accepted = 0;
	struct err e;

	(void)state;
	for (i = 0; i < tbs.n; i++) {
		assert_int_equal(
		    tosign_cert_read(a, span_of(tbs.p, i), &again, &e), -1);
		bytes[i] ^= 0x81;
		tbs = span_of(bytes, tbs.n);
		if (tosign_cert_parse(a, tbs, &c, &e) == 0) {
			accepted++;
			assert_int_equal(
			    tosign_cert_read(a, tbs, &again, &e), 0);
			assert_true(span_eq(c.serial, again.serial));
			assert_true(span_eq(c.spki, again.spki));
			assert_int_equal(c.not_after, again.not_after);
			assert_int_equal(c.n_exts, again.n_exts);
		} else if (tosign_cert_read(a, tbs, &again, &e) == -1) {
			assert_int_equal(e.kind, ERR_MALFORMED);
		}
		bytes[i] ^= 0x81;
	}
	assert_true(accepted > 0);
}

static int
parse_hex(const char *hex, int what)
{
	AUTO(arena_auto) a = arena_new();
	struct tosign_general_name *gn;
	struct tosign_attr *attrs;
	struct tosign_spki spki;
	struct span der, *oids;
	int64_t path_len;
	uint32_t bits;
	struct err e;
	size_t n;
	bool ca;

	assert_int_equal(hex_decode(a, span_str(hex), &der, &e), 0);
	switch (what) {
	case 'b':
		return tosign_basic_constraints_parse(der, &ca, &path_len, &e);
	case 'k':
		return tosign_key_usage_parse(der, &bits, &e);
	case 'e':
		return tosign_eku_parse(a, der, &oids, &n, &e);
	case 'g':
		return tosign_general_names_parse(a, der, &gn, &n, &e);
	case 'n':
		return tosign_name_parse(a, der, &attrs, &n, &e);
	default:
		return tosign_spki_parse(der, &spki, &e);
	}
}

static void
test_not_der(void **state)
{
	static const struct {
		const char *hex;
		int what, want;
	} vec[] = {
		{ "3000", 'b', 0 },
		{ "30030101ff", 'b', 0 },
		{ "3003010100", 'b', -1 }, /* DEFAULT written out */
		{ "3003010101", 'b', -1 }, /* TRUE is ff */
		{ "30800000", 'b', -1 },   /* indefinite */
		{ "308100", 'b', -1 },     /* long length */
		{ "30060101ff020103", 'b', 0 },
		{ "30070101ff02020003", 'b', -1 }, /* padded integer */
		{ "30060101ff0201ff", 'b', -1 },   /* negative */
		{ "03020780", 'k', 0 },
		{ "03020680", 'k', -1 }, /* trailing zero bit */
		{ "03020781", 'k', -1 }, /* unused bit set */
		{ "030100", 'k', -1 },   /* no bits */
		{ "0303070080", 'k', 0 },
		{ "3000", 'e', -1 },
		{ "300406022a03", 'e', 0 },
		{ "300406022a0300", 'e', -1 },
		{ "3000", 'g', -1 },
		{ "3003820161", 'g', 0 },
		{ "3003830161", 'g', -1 }, /* x400Address */
		{ "3003850161", 'g', -1 }, /* ediPartyName */
		{ "3003a20161", 'g', -1 }, /* constructed string */
		{ "3000", 'n', 0 },
		{ "30023100", 'n', -1 }, /* empty RDN */
		/* RDN whose SET OF is in order, and one that is not */
		{ "301631143008060355040313016130080603550403"
		  "0c0161",
		    'n', -1 },
		{ "3016311430080603550403"
		  "0c01613008060355040313"
		  "0161",
		    'n', 0 },
		{ "300b300506032b6570030200aa", 's', 0 },
		{ "300b300506032b6570030201aa", 's', -1 },
	};
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(vec) / sizeof(vec[0]); i++) {
		if (parse_hex(vec[i].hex, vec[i].what) != vec[i].want)
			fail_msg("vector %zu: %s", i, vec[i].hex);
	}
}

/* A minimal TBSCertificate with these two times and this tail. */
static struct span
made(struct arena *a, int version, const char *nb, uint8_t tag,
    const char *tail_hex)
{
	static const uint8_t alg[] = { 0x30, 0x0a, 6, 8, 0x2a, 0x86, 0x48, 0xce,
		0x3d, 4, 3, 2 };
	static const uint8_t spki[] = { 0x30, 0x0b, 0x30, 5, 6, 3, 0x2b, 0x65,
		0x70, 3, 2, 0, 0xaa };
	size_t outer, in;
	struct span tail, out;
	struct err e;
	AUTO_BUF(b, 4096);

	assert_int_equal(hex_decode(a, span_str(tail_hex), &tail, &e), 0);
	outer = der_begin(&b, DER_SEQUENCE);
	in = der_begin(&b, DER_CONTEXT_CONSTRUCTED(0));
	der_int(&b, version);
	der_end(&b, in);
	der_int(&b, 1);
	buf_add(&b, alg, sizeof(alg));
	buf_add(&b, "\x30", 2);
	in = der_begin(&b, DER_SEQUENCE);
	der_put(&b, tag, span_str(nb));
	der_time(&b, 1800000000);
	der_end(&b, in);
	buf_add(&b, "\x30", 2);
	buf_add(&b, spki, sizeof(spki));
	buf_span(&b, tail);
	der_end(&b, outer);
	out = span_dup(a, buf_get(&b));
	return out;
}

static void
test_made(void **state)
{
	static const char good[] = "260101000000Z";
	static const struct {
		const char *nb, *tail;
		int version, want;
		uint8_t tag;
	} vec[] = {
		{ good, "", 2, 0, DER_UTC_TIME },
		{ "20260101000000Z", "", 2, 0, DER_GENERALIZED_TIME },
		{ good, "", 0, -1, DER_UTC_TIME }, /* DEFAULT written out */
		{ good, "", 3, -1, DER_UTC_TIME },
		{ "2601010000Z", "", 2, -1, DER_UTC_TIME },
		{ "260101000000+0000", "", 2, -1, DER_UTC_TIME },
		{ "260230000000Z", "", 2, -1, DER_UTC_TIME },
		{ "261301000000Z", "", 2, -1, DER_UTC_TIME },
		{ "20260101000000.5Z", "", 2, -1, DER_GENERALIZED_TIME },
		{ good, "810200ff", 2, 0, DER_UTC_TIME },  /* issuerUniqueID */
		{ good, "a3023000", 2, -1, DER_UTC_TIME }, /* no extensions */
		{ good, "a30b3009300706022a03040130", 2, -1, DER_UTC_TIME },
		{ good, "a30c300a300806022a0304023000", 2, 0, DER_UTC_TIME },
		/* critical FALSE written out, and a value that is not DER */
		{ good, "a30f300d300b06022a0301010004023000", 2, -1,
		    DER_UTC_TIME },
		{ good, "a30c300a300806022a0304023080", 2, -1, DER_UTC_TIME },
		{ good, "0500", 2, -1, DER_UTC_TIME },
	};
	AUTO(arena_auto) a = arena_new();
	struct tosign_cert c;
	struct err e;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(vec) / sizeof(vec[0]); i++) {
		if (tosign_cert_parse(a,
			made(a, vec[i].version, vec[i].nb, vec[i].tag,
			    vec[i].tail),
			&c, &e) != vec[i].want)
			fail_msg("vector %zu", i);
		if (i == 9)
			assert_true(c.has_uids);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_wrap),
		cmocka_unit_test(test_fields),
		cmocka_unit_test(test_extensions),
		cmocka_unit_test(test_truncation),
		cmocka_unit_test(test_read_again),
		cmocka_unit_test(test_not_der),
		cmocka_unit_test(test_made),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
