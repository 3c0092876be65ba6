/* From settings to prefixes and certificates; paths that name files. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include <openssl/pkcs7.h>

#include "ocsp/responder.h"
#include "ocsp/setup.h"
#include "ocsp_ca.h"

static void
test_prefixes(void **state)
{
	AUTO(arena_auto) a = arena_new();
	const char *urls[] = { "http://ca.test/ocsp/", "http://ca.test:80",
		"http://ca.test/a/b", "http://ca.test/a/b/" };
	struct settings_issuer issuers[2] = {
		{ .ocsp_urls = urls, .ocsp_urls_count = 2 },
		{ .ocsp_urls = urls + 2, .ocsp_urls_count = 2 },
	};
	struct settings s = { .issuers = issuers, .issuers_count = 2 };
	const char *const *list;
	size_t n;

	(void)state;
	setup_prefixes(a, &s, &list, &n);
	assert_int_equal(n, 3);
	assert_string_equal(list[0], "/ocsp");
	assert_string_equal(list[1], "/a/b");
	assert_string_equal(list[2], "");
}

static void
test_p7c(void **state)
{
	AUTO(arena_auto) a = arena_new();
	AUTO_BUF(b, 10000);
	STACK_OF(X509) * certs;
	const unsigned char *p;
	struct ocsp_ca ca;
	PKCS7 *p7;

	(void)state;
	ocsp_ca_init(&ca, "ca");
	setup_p7c(&b, ocsp_ca_der(a, ca.cert));
	assert_true(buf_ok(&b));
	p = b.p;
	p7 = d2i_PKCS7(NULL, &p, (long)b.n);
	assert_non_null(p7);
	assert_ptr_equal(p, b.p + b.n);
	assert_true(PKCS7_type_is_signed(p7));
	certs = p7->d.sign->cert;
	assert_int_equal(sk_X509_num(certs), 1);
	assert_int_equal(X509_cmp(sk_X509_value(certs, 0), ca.cert), 0);
	PKCS7_free(p7);
	ocsp_ca_clear(&ca);
}

static void
test_paths(void **state)
{
	static const char *const good[] = { "/a", "/a.crl", "/a/b-c_d.1/e" };
	static const char *const bad[] = { "", "a", "/", "//a", "/a/", "/a//b",
		"/.a", "/../a", "/a/..", "/a/../b", "/a%2e", "/a\\b", "/a b",
		"/a\n" };
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(good) / sizeof(good[0]); i++)
		assert_true(statics_path_ok(good[i]));
	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_false(statics_path_ok(bad[i]));
}

static struct ocsp_ca ca, other;
static struct authority authority;
static EVP_PKEY *key;

static void
refused(struct arena *a, X509 *cert, EVP_PKEY *ours, const char *why)
{
	struct delegate *d;
	struct err e;

	assert_int_equal(
	    responder_check(&authority, ocsp_ca_der(a, cert), ours, &d, &e),
	    -1);
	if (strstr(e.text, why) == NULL)
		fail_msg("%s", e.text);
	X509_free(cert);
}

/* Which certificates a responder takes for its own. */
static void
test_certificates(void **state)
{
	AUTO(arena_auto) a = arena_new();
	struct delegate *d;
	struct err e;
	X509 *cert;

	(void)state;
	key = ocsp_ca_key();
	ocsp_ca_init(&ca, "ca");
	ocsp_ca_init(&other, "ca");
	assert_int_equal(
	    authority_init(a, "ca", ocsp_ca_der(a, ca.cert), &authority, &e),
	    0);
	cert = ocsp_ca_delegate(&ca, key, 1000, true);
	assert_int_equal(
	    responder_check(&authority, ocsp_ca_der(a, cert), key, &d, &e), 0);
	assert_true(span_eq(d->cert, ocsp_ca_der(a, cert)));
	delegate_free(d);
	refused(a, cert, ca.key, "not for our key");
	refused(a, ocsp_ca_delegate(&other, key, 1000, true), key,
	    "not signed by the issuer");
	refused(a, ocsp_ca_delegate(&ca, key, 1000, false), key,
	    "not for OCSP signing");
	refused(a, ocsp_ca_delegate(&ca, key, -1, true), key, "not valid now");
	X509_up_ref(ca.cert);
	refused(a, ca.cert, ca.key, "that of a CA");
	assert_int_equal(
	    responder_check(&authority, span_str("x"), key, &d, &e), -1);
	assert_int_equal(e.kind, ERR_MALFORMED);
	ocsp_ca_clear(&ca);
	ocsp_ca_clear(&other);
	EVP_PKEY_free(key);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_prefixes),
		cmocka_unit_test(test_p7c),
		cmocka_unit_test(test_paths),
		cmocka_unit_test(test_certificates),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
