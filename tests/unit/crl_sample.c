#include "tests/unit/crl_sample.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/auto.h"
#include "hsm/tosign.h"

AUTO_DEFINE(EVP_MD_CTX, EVP_MD_CTX_free);

static const uint8_t alg[] = { 0x30, 0x0a, 0x06, 0x08, 0x2a, 0x86, 0x48, 0xce,
	0x3d, 0x04, 0x03, 0x02 };
static const uint8_t name[] = { 0x30, 0x0c, 0x31, 0x0a, 0x30, 0x08, 0x06, 0x03,
	0x55, 0x04, 0x03, 0x0c, 0x01, 'T' };

struct crl_head
crl_sample_head(int64_t this_update)
{
	static const uint8_t number[] = { 0x80, 1 };

	return (struct crl_head){ .sig_alg = span_of(alg, sizeof(alg)),
		.issuer = span_of(name, sizeof(name)),
		.key_id = span_of("\1\2\3\4", 4),
		.number = span_of(number, sizeof(number)),
		.this_update = this_update,
		.next_update = this_update + 86400,
		.expired_since = CRL_NO_TIME };
}

struct crl_built
crl_sample_from(const struct crl_head *head, size_t first, size_t n)
{
	struct crl_entry x = { .revoked_at = head->this_update - 60,
		.reason = -1,
		.invalidity_at = CRL_NO_TIME };
	struct crl_built built;
	struct crl_build *b;
	uint8_t serial[8];
	struct err e;
	size_t i;
	int j;

	assert_int_equal(crl_build_new(head, &b, &e), 0);
	x.serial = span_of(serial, sizeof(serial));
	for (i = first; i < first + n; i++) {
		for (j = 0; j < 8; j++)
			serial[j] = (uint8_t)((uint64_t)i >> (56 - 8 * j));
		serial[0] = 1;
		assert_int_equal(crl_build_add(b, &x, &e), 0);
	}
	assert_int_equal(crl_build_end(b, &built, &e), 0);
	crl_build_free(b);
	return built;
}

struct crl_built
crl_sample_build(const struct crl_head *head, size_t n)
{
	return crl_sample_from(head, 1, n);
}

struct span
crl_sample_bytes(struct arena *a, const struct crl_built *built)
{
	uint8_t *p = arena_alloc(a, built->size);

	assert_int_equal(
	    pread(built->fd, p, built->size, 0), (ssize_t)built->size);
	return span_of(p, built->size);
}

struct span
crl_sample_sign(struct arena *a, EVP_PKEY *key, const struct crl_built *built)
{
	AUTO(EVP_MD_CTX) ctx = EVP_MD_CTX_new();
	struct span tbs = crl_sample_bytes(a, built);
	uint8_t sig[256];
	size_t n = sizeof(sig);

	assert_int_equal(
	    EVP_DigestSignInit(ctx, NULL, EVP_sha256(), NULL, key), 1);
	assert_int_equal(EVP_DigestSign(ctx, sig, &n, tbs.p, tbs.n), 1);
	return tosign_wrap(a, tbs, span_of(alg, sizeof(alg)), span_of(sig, n));
}
