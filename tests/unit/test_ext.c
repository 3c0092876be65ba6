#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <openssl/x509v3.h>

#include "ca/ext.h"
#include "ca/oid.h"
#include "ca/profile.h"
#include "ca/request.h"
#include "tests/unit/arena_fixture.h"
#include "tests/unit/tbs_maker.h"

/* What libcrypto makes of its configuration syntax. */
static struct span
theirs(int nid, const char *value, const char *sections)
{
	X509V3_CTX ctx;
	CONF *conf = NCONF_new(NULL);
	BIO *in = BIO_new_mem_buf(sections, -1);
	X509_EXTENSION *x;
	unsigned char *der = NULL;
	struct span out;
	int n;

	assert_int_equal(NCONF_load_bio(conf, in, NULL), 1);
	X509V3_set_ctx(&ctx, NULL, NULL, NULL, NULL, 0);
	X509V3_set_nconf(&ctx, conf);
	x = X509V3_EXT_nconf_nid(conf, &ctx, nid, value);
	if (x == NULL)
		fail_msg("libcrypto does not take \"%s\"", value);
	n = i2d_X509_EXTENSION(x, &der);
	assert_true(n > 0);
	out = span_dup(a, span_of(der, (size_t)n));
	OPENSSL_free(der);
	X509_EXTENSION_free(x);
	NCONF_free(conf);
	BIO_free(in);
	return out;
}

static void
same(struct buf *b, int nid, const char *value, const char *sections)
{
	struct span want = theirs(nid, value, sections);
	struct span have = maker_take(a, b);

	if (!span_eq(have, want)) {
		assert_int_equal(have.n, want.n);
		assert_memory_equal(have.p, want.p, want.n);
	}
	buf_reset(b);
}

static struct profile_strings
strings(const char *const *list, size_t n)
{
	return (struct profile_strings){ list, n };
}

static void
bits_and_flags(void **state)
{
	static const char *const usages[] = { "digitalSignature",
		"nonRepudiation", "keyEncipherment", "dataEncipherment",
		"keyAgreement", "keyCertSign", "cRLSign", "encipherOnly",
		"decipherOnly" };
	AUTO_BUF(b, 4096);
	unsigned i;

	(void)state;
	for (i = 0; i < 9; i++) {
		ext_key_usage(&b, 1U << i);
		same(&b, NID_key_usage,
		    arena_printf(a, "critical,%s", usages[i]), "");
	}
	ext_key_usage(&b, 0x105);
	same(&b, NID_key_usage,
	    "critical,digitalSignature,keyEncipherment,decipherOnly", "");
	ext_basic_constraints(&b, true, -1);
	same(&b, NID_basic_constraints, "critical,CA:TRUE", "");
	ext_basic_constraints(&b, true, 0);
	same(&b, NID_basic_constraints, "critical,CA:TRUE,pathlen:0", "");
	ext_basic_constraints(&b, true, 200);
	same(&b, NID_basic_constraints, "critical,CA:TRUE,pathlen:200", "");
	ext_basic_constraints(&b, false, -1);
	same(&b, NID_basic_constraints, "critical,CA:FALSE", "");
	ext_tls_feature(&b);
	same(&b, NID_tlsfeature, "status_request", "");
	ext_ocsp_nocheck(&b);
	same(&b, NID_id_pkix_OCSP_noCheck, "ignored", "");
	ext_subject_key_id(&b, span_of("\x01\x02\x03\x04", 4));
	same(&b, NID_subject_key_identifier, "01020304", "");
}

static void
names(void **state)
{
	static const char *const in[] = { "a.test", "*.b.test", "10.0.0.1",
		"::1", "a@a.test", "uri:https://a.test/b?c",
		"upn:b\xc3\xbc@a" };
	static const char conf[] =
	    "[s]\nDNS.1=a.test\nDNS.2=*.b.test\nIP.1=10.0.0.1\nIP.2=::1\n"
	    "email=a@a.test\nURI=https://a.test/b?c\n"
	    "otherName=1.3.6.1.4.1.311.20.2.3;FORMAT:UTF8,UTF8:b\xc3\xbc@a\n";
	struct request_san sans[7];
	struct err e;
	AUTO_BUF(b, 4096);
	size_t i;

	(void)state;
	for (i = 0; i < 7; i++)
		assert_int_equal(request_san_parse(a, in[i], &sans[i], &e), 0);
	ext_subject_alt_name(&b, false, sans, 7);
	same(&b, NID_subject_alt_name, "@s", conf);
	ext_subject_alt_name(&b, true, sans, 7);
	same(&b, NID_subject_alt_name, "critical,@s", conf);
}

static void
purposes(void **state)
{
	static const char *const some[] = { OID_EKU_SERVER_AUTH,
		OID_EKU_CLIENT_AUTH, "1.3.6.1.4.1.311.20.2.2" };
	static const char *const stamp[] = { OID_EKU_TIME_STAMPING };
	struct profile_strings s = strings(some, 3), t = strings(stamp, 1);
	AUTO_BUF(b, 4096);

	(void)state;
	ext_extended_key_usage(&b, &s);
	same(&b, NID_ext_key_usage, "serverAuth,clientAuth,msSmartcardLogin",
	    "");
	ext_extended_key_usage(&b, &t);
	same(&b, NID_ext_key_usage, "critical,timeStamping", "");
}

static void
policies(void **state)
{
	const struct profile_policy list[] = {
		{ "1.2.3.4", NULL, NULL },
		{ "1.2.3.5", "http://a.test/cps", NULL },
		{ "1.2.3.6", "http://a.test/cps", "Notice" },
	};
	AUTO_BUF(b, 4096);

	(void)state;
	ext_policies(&b, list, 3);
	same(&b, NID_certificate_policies, "1.2.3.4,@p,@q",
	    "[p]\npolicyIdentifier=1.2.3.5\nCPS=http://a.test/cps\n"
	    "[q]\npolicyIdentifier=1.2.3.6\nCPS=http://a.test/cps\n"
	    "userNotice=@n\n[n]\nexplicitText=UTF8:Notice\n");
}

static void
places(void **state)
{
	static const char *const urls[] = { "http://a.test/1",
		"http://b.test/2" };
	struct profile_strings two = strings(urls, 2), one = strings(urls, 1);
	struct profile_strings none = strings(NULL, 0);
	AUTO_BUF(b, 4096);

	(void)state;
	ext_crl_distribution_points(&b, &two);
	same(&b, NID_crl_distribution_points,
	    "URI:http://a.test/1,URI:http://b.test/2", "");
	ext_freshest_crl(&b, &one);
	same(&b, NID_freshest_crl, "URI:http://a.test/1", "");
	ext_authority_info_access(&b, &one, &two);
	same(&b, NID_info_access,
	    "OCSP;URI:http://a.test/1,caIssuers;URI:http://a.test/1,"
	    "caIssuers;URI:http://b.test/2",
	    "");
	ext_authority_info_access(&b, &one, &none);
	same(&b, NID_info_access, "OCSP;URI:http://a.test/1", "");
}

static void
constraints(void **state)
{
	static const char *const dns[] = { "test" };
	static const char *const mail[] = { "test", ".test" };
	static const struct profile_range v4[] = {
		{ { 10, 0, 0, 0 }, 4, 8 },
		{ { 192, 168, 128, 0 }, 4, 17 },
	};
	static const struct profile_range v6[] = { { { 0 }, 16, 0 } };
	const struct profile_constraints c = { .permitted_dns = strings(dns, 1),
		.permitted_email = strings(mail, 2),
		.permitted_ip = v4,
		.n_permitted_ip = 2,
		.excluded_ip = v6,
		.n_excluded_ip = 1 };
	AUTO_BUF(b, 4096);

	(void)state;
	ext_name_constraints(&b, &c);
	same(&b, NID_name_constraints,
	    "critical,permitted;DNS:test,permitted;email:test,"
	    "permitted;email:.test,permitted;IP:10.0.0.0/255.0.0.0,"
	    "permitted;IP:192.168.128.0/255.255.128.0,"
	    "excluded;IP:::/::",
	    "");
}

/* keyIdentifier alone: libcrypto only reads it. */
static void
authority_key_id(void **state)
{
	const unsigned char *p;
	AUTHORITY_KEYID *id;
	X509_EXTENSION *x;
	AUTO_BUF(b, 4096);

	(void)state;
	ext_authority_key_id(&b, span_of("\x01\x02\x03\x04", 4));
	p = b.p;
	x = d2i_X509_EXTENSION(NULL, &p, (long)b.n);
	assert_non_null(x);
	assert_int_equal(X509_EXTENSION_get_critical(x), 0);
	id = X509V3_EXT_d2i(x);
	assert_non_null(id);
	assert_null(id->issuer);
	assert_null(id->serial);
	assert_int_equal(ASN1_STRING_length(id->keyid), 4);
	AUTHORITY_KEYID_free(id);
	X509_EXTENSION_free(x);
	buf_reset(&b);
	ext_raw(&b, "1.2.3", true, span_of("\x05\x00", 2));
	assert_true(span_eq(
	    buf_get(&b), maker_hex(a, "300b 06022a03 0101ff 0402 0500")));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(bits_and_flags),
		cmocka_unit_test(names),
		cmocka_unit_test(purposes),
		cmocka_unit_test(policies),
		cmocka_unit_test(places),
		cmocka_unit_test(constraints),
		cmocka_unit_test(authority_key_id),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
