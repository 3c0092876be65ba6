/* Lists that others have signed, as crl_file reads and judges them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include <openssl/x509.h>

#include "base/auto.h"
#include "base/b64.h"
#include "ca/pubkey.h"
#include "crl/crl_file.h"
#include "tests/unit/crl_sample.h"

#define NOW 1800000000

static struct arena *a;
static EVP_PKEY *key, *other;
static struct err e;

/* The issuer of the samples, with this key. */
static struct issuer
issuer_with(EVP_PKEY *k, const struct crl_head *h)
{
	struct issuer out = {
		.name = "sample", .subject = h->issuer, .key_id = h->key_id
	};
	unsigned char *der = NULL;
	int n = i2d_PUBKEY(k, &der);

	out.spki = span_dup(a, span_of(der, (size_t)n));
	OPENSSL_free(der);
	assert_int_equal(pubkey_open(out.spki, &out.key, &e), 0);
	return out;
}

static struct span
list(const struct crl_head *h, size_t n)
{
	const struct crl_built built = crl_sample_build(h, n);

	return crl_sample_sign(a, key, &built);
}

static void
refused(struct span der, enum err_kind kind)
{
	struct crl_file f;

	assert_int_equal(crl_file_read(a, der, &f, &e), -1);
	assert_int_equal(e.kind, kind);
}

static void
test_read(void **state)
{
	const struct crl_head h = crl_sample_head(NOW);
	struct span der = list(&h, 5), pem;
	struct crl_file f;
	size_t i;

	(void)state;
	assert_int_equal(crl_file_read(a, der, &f, &e), 0);
	assert_true(span_eq(f.issuer, h.issuer));
	assert_true(span_eq(f.number, h.number));
	assert_int_equal(f.this_update, NOW);
	assert_int_equal(f.next_update, NOW + 86400);
	assert_int_equal(f.n, 5);
	for (i = 0; i < 5; i++) {
		assert_int_equal(f.entries[i].serial.n, 8);
		assert_int_equal(f.entries[i].revoked_at, NOW - 60);
		assert_int_equal(f.entries[i].reason, -1);
		assert_true(f.entries[i].invalidity_at == CRL_NO_TIME);
	}
	pem = span_str(pem_encode(a, "X509 CRL", der));
	assert_int_equal(crl_file_read(a, pem, &f, &e), 0);
	assert_true(span_eq(f.der, der));
	der = list(&h, 0);
	assert_int_equal(crl_file_read(a, der, &f, &e), 0);
	assert_int_equal(f.n, 0);
}

static void
test_entries(void **state)
{
	const struct crl_head h = crl_sample_head(NOW);
	const struct crl_entry x = { .serial = span_of("\0\x80\1", 3),
		.revoked_at = 1000,
		.reason = 6,
		.invalidity_at = 900 };
	struct crl_built built;
	struct crl_build *b;
	struct crl_file f;

	(void)state;
	assert_int_equal(crl_build_new(&h, &b, &e), 0);
	assert_int_equal(crl_build_add(b, &x, &e), 0);
	assert_int_equal(crl_build_end(b, &built, &e), 0);
	crl_build_free(b);
	assert_int_equal(
	    crl_file_read(a, crl_sample_sign(a, key, &built), &f, &e), 0);
	assert_int_equal(f.n, 1);
	assert_true(span_eq(f.entries[0].serial, x.serial));
	assert_int_equal(f.entries[0].revoked_at, 1000);
	assert_int_equal(f.entries[0].reason, 6);
	assert_int_equal(f.entries[0].invalidity_at, 900);
}

static void
test_refuses(void **state)
{
	static const char *const urls[] = { CRL_SAMPLE_URL };
	struct crl_head h = crl_sample_head(NOW);
	struct span der = list(&h, 5);
	uint8_t *copy = arena_memdup(a, der.p, der.n + 0);
	uint8_t *longer = arena_alloc(a, der.n + 1);
	struct crl_file f;
	size_t i;

	(void)state;
	refused(span_of("", 0), ERR_MALFORMED);
	refused(span_str("no CRL at all"), ERR_MALFORMED);
	refused(span_of(der.p, der.n - 1), ERR_MALFORMED);
	memcpy(longer, der.p, der.n);
	longer[der.n] = 0;
	refused(span_of(longer, der.n + 1), ERR_MALFORMED);
	h.base = span_of("\1", 1);
	refused(list(&h, 1), ERR_REFUSED);
	/* a point alone is no restriction */
	h = crl_sample_head(NOW);
	h.point_urls = (struct profile_strings){ urls, 1 };
	assert_int_equal(crl_file_read(a, list(&h, 1), &f, &e), 0);
	/* whatever one octet is, nothing is read that is not there */
	for (i = 0; i < der.n; i++) {
		copy[i] ^= 0x81;
		if (crl_file_read(a, span_of(copy, der.n), &f, &e) == 0)
			assert_true(f.n <= 5);
		copy[i] ^= 0x81;
	}
}

static void
test_verify(void **state)
{
	struct crl_head h = crl_sample_head(NOW);
	struct issuer by = issuer_with(key, &h);
	struct issuer wrong = issuer_with(other, &h);
	struct span der = list(&h, 2);
	uint8_t *copy = arena_memdup(a, der.p, der.n);
	struct crl_file f;

	(void)state;
	assert_int_equal(crl_file_read(a, der, &f, &e), 0);
	assert_int_equal(crl_file_verify(&f, &by, &e), 0);
	assert_int_equal(crl_file_verify(&f, &wrong, &e), -1);
	assert_int_equal(e.kind, ERR_REFUSED);
	by.subject = span_of("0", 1);
	assert_int_equal(crl_file_verify(&f, &by, &e), -1);
	by.subject = h.issuer;
	by.key_id = span_of("\1\2\3\5", 4);
	assert_int_equal(crl_file_verify(&f, &by, &e), -1);
	by.key_id = h.key_id;
	copy[der.n - 1] ^= 1;
	f.der = span_of(copy, der.n);
	assert_int_equal(crl_file_verify(&f, &by, &e), -1);
	assert_int_equal(e.kind, ERR_REFUSED);
	pubkey_clear(&by.key);
	pubkey_clear(&wrong.key);
}

static int
setup(void **state)
{
	(void)state;
	a = arena_new();
	key = EVP_EC_gen("P-256");
	other = EVP_EC_gen("P-256");
	return key == NULL || other == NULL;
}

static int
teardown(void **state)
{
	(void)state;
	EVP_PKEY_free(key);
	EVP_PKEY_free(other);
	arena_free(a);
	return 0;
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_read),
		cmocka_unit_test(test_entries),
		cmocka_unit_test(test_refuses),
		cmocka_unit_test(test_verify),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
