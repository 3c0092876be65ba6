#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>
#include <openssl/pem.h>
#include <openssl/pkcs7.h>

#include "base/b64.h"
#include "protocols/pkcs7.h"
#include "selfsigned.h"

#define N 3

static struct span
make_cert(struct arena *a, const char *name)
{
	static struct selfsigned cert;
	struct span der;
	struct err e;

	selfsigned_make(&cert, name);
	assert_int_equal(
	    pem_decode(a, "CERTIFICATE", span_str(cert.cert), &der, &e), 0);
	return der;
}

/* The same bytes as libcrypto makes. */
static struct span
by_libcrypto(struct arena *a, const struct span *certs, size_t n)
{
	PKCS7 *p7 = PKCS7_new();
	unsigned char *der = NULL;
	const uint8_t *p;
	struct span out;
	X509 *x;
	size_t i;
	int len;

	assert_int_equal(PKCS7_set_type(p7, NID_pkcs7_signed), 1);
	assert_int_equal(PKCS7_content_new(p7, NID_pkcs7_data), 1);
	/* PKCS7_content_new leaves an empty content; there must be none */
	ASN1_OCTET_STRING_free(p7->d.sign->contents->d.data);
	p7->d.sign->contents->d.data = NULL;
	for (i = 0; i < n; i++) {
		p = certs[i].p;
		x = d2i_X509(NULL, &p, (long)certs[i].n);
		assert_int_equal(PKCS7_add_certificate(p7, x), 1);
		X509_free(x);
	}
	len = i2d_PKCS7(p7, &der);
	assert_true(len > 0);
	out = span_dup(a, span_of(der, (size_t)len));
	OPENSSL_free(der);
	PKCS7_free(p7);
	return out;
}

static void
test_certs_only(void **state)
{
	AUTO(arena_auto) a = arena_new();
	struct span certs[N], out;
	struct err e;
	size_t n;

	(void)state;
	certs[0] = make_cert(a, "one.test");
	certs[1] = make_cert(a, "two.test");
	certs[2] = make_cert(a, "three.test");
	for (n = 1; n <= N; n++) {
		assert_int_equal(pkcs7_certs_only(a, certs, n, &out, &e), 0);
		assert_true(span_eq(out, by_libcrypto(a, certs, n)));
	}
}

static void
test_nothing_to_send(void **state)
{
	AUTO(arena_auto) a = arena_new();
	static const uint8_t big[PKCS7_MAX];
	struct span out, cert = span_of(big, sizeof(big));
	struct err e;

	(void)state;
	assert_int_equal(pkcs7_certs_only(a, NULL, 0, &out, &e), -1);
	assert_int_equal(e.kind, ERR_INTERNAL);
	assert_int_equal(pkcs7_certs_only(a, &cert, 1, &out, &e), -1);
	assert_int_equal(e.kind, ERR_INTERNAL);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_certs_only),
		cmocka_unit_test(test_nothing_to_send),
	};

	return cmocka_run_group_tests_name("pkcs7", tests, NULL, NULL);
}
