#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/clock.h"
#include "protocols/acme/nonce.h"

static struct arena *a;
static struct nonce_key key;

static int
setup(void **state)
{
	struct err e;

	(void)state;
	a = arena_new();
	clock_set_fake(1800000000);
	return nonce_key_derive(
	    span_str("0123456789abcdef0123456789abcdef"), &key, &e);
}

static int
teardown(void **state)
{
	(void)state;
	clock_set_fake(-1);
	arena_free(a);
	return 0;
}

static void
good(void **state)
{
	uint8_t id[NONCE_ID_SIZE], other[NONCE_ID_SIZE];
	const char *x, *y;
	int64_t expires;
	struct err e;

	(void)state;
	assert_int_equal(nonce_new(&key, a, &x, &e), 0);
	assert_int_equal(nonce_new(&key, a, &y, &e), 0);
	assert_string_not_equal(x, y);
	assert_int_equal(
	    strspn(x, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqr"
		      "stuvwxyz0123456789-_"),
	    strlen(x));
	assert_int_equal(nonce_check(&key, a, x, id, &expires, &e), 0);
	assert_int_equal(expires, 1800000000 + NONCE_LIFETIME_S);
	assert_int_equal(nonce_check(&key, a, y, other, &expires, &e), 0);
	assert_memory_not_equal(id, other, NONCE_ID_SIZE);
	/* the same text is the same identity */
	assert_int_equal(nonce_check(&key, a, x, other, &expires, &e), 0);
	assert_memory_equal(id, other, NONCE_ID_SIZE);
}

static void
age(void **state)
{
	uint8_t id[NONCE_ID_SIZE];
	int64_t expires;
	const char *x;
	struct err e;

	(void)state;
	assert_int_equal(nonce_new(&key, a, &x, &e), 0);
	clock_set_fake(1800000000 + NONCE_LIFETIME_S);
	assert_int_equal(nonce_check(&key, a, x, id, &expires, &e), 0);
	clock_set_fake(1800000000 + NONCE_LIFETIME_S + 1);
	assert_int_equal(nonce_check(&key, a, x, id, &expires, &e), -1);
	assert_int_equal(e.kind, ERR_REFUSED);
	clock_set_fake(1800000000);
}

static void
expect(const char *text, enum err_kind kind)
{
	uint8_t id[NONCE_ID_SIZE];
	int64_t expires;
	struct err e;

	assert_int_equal(nonce_check(&key, a, text, id, &expires, &e), -1);
	assert_int_equal(e.kind, kind);
}

static void
bad(void **state)
{
	struct nonce_key other;
	const char *x;
	char *copy;
	struct err e;
	size_t i;

	(void)state;
	assert_int_equal(nonce_new(&key, a, &x, &e), 0);
	expect("", ERR_REFUSED);
	expect("AAAA", ERR_REFUSED);
	expect("A", ERR_MALFORMED);
	expect("not base64url!", ERR_MALFORMED);
	expect(arena_printf(a, "%s=", x), ERR_MALFORMED);
	expect(arena_printf(a, "%s==", x), ERR_MALFORMED);
	expect(arena_printf(a, "%sAAAA", x), ERR_REFUSED);
	expect(arena_memdup(a, x, strlen(x) - 2), ERR_REFUSED);
	/* every character counts */
	for (i = 0; i + 2 < strlen(x); i++) {
		copy = arena_strdup(a, x);
		copy[i] = copy[i] == 'A' ? 'B' : 'A';
		expect(copy, ERR_REFUSED);
	}
	/* another secret, another key */
	assert_int_equal(
	    nonce_key_derive(
		span_str("0123456789abcdef0123456789abcdeg"), &other, &e),
	    0);
	assert_memory_not_equal(other.bytes, key.bytes, NONCE_KEY_SIZE);
	assert_int_equal(nonce_new(&other, a, &x, &e), 0);
	expect(x, ERR_REFUSED);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(good),
		cmocka_unit_test(age),
		cmocka_unit_test(bad),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
