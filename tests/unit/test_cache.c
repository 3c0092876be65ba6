/* The cache of answers: bounded, and void as soon as a status changes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "ocsp/cache.h"

static int dropped;

static void
drop(void *value)
{
	dropped++;
	free(value);
}

static void
use(void *arg, void *value)
{
	*(int *)arg = *(int *)value;
}

static void
put(struct cache *c, const struct cache_ask *ask, int64_t until, int n)
{
	int *value = malloc(sizeof(*value));

	assert_non_null(value);
	*value = n;
	cache_put(c, ask, until, value);
}

static int
get(struct cache *c, const struct cache_ask *ask)
{
	int n = 0;

	return cache_use(c, ask, use, &n) ? n : -1;
}

static void
test_fresh(void **state)
{
	struct cache *c = cache_new(1000, drop);
	struct cache_ask ask = { span_str("key"), 7, 100 };

	(void)state;
	dropped = 0;
	assert_int_equal(get(c, &ask), -1);
	put(c, &ask, 200, 1);
	assert_int_equal(get(c, &ask), 1);
	ask.now = 199;
	assert_int_equal(get(c, &ask), 1);
	ask.now = 200;
	assert_int_equal(get(c, &ask), -1);
	ask.now = 100;
	ask.word = 8; /* the status is another one */
	assert_int_equal(get(c, &ask), -1);
	put(c, &ask, 200, 2);
	assert_int_equal(get(c, &ask), 2);
	assert_int_equal(dropped, 1);
	ask.word = 7;
	assert_int_equal(get(c, &ask), -1);
	ask.key = span_str("kez");
	assert_int_equal(get(c, &ask), -1);
	assert_int_equal(cache_count(c), 1);
	cache_free(c);
	assert_int_equal(dropped, 2);
}

static void
test_refused(void **state)
{
	struct cache *c = cache_new(1000, drop);
	struct cache *empty = cache_new(0, drop);
	uint8_t big[CACHE_KEY_MAX + 1] = { 0 };
	struct cache_ask ask = { span_of(big, sizeof(big)), 7, 100 };

	(void)state;
	dropped = 0;
	put(c, &ask, 200, 1);
	assert_int_equal(get(c, &ask), -1);
	ask.key.n--;
	put(c, &ask, 100, 1); /* never fresh */
	put(empty, &ask, 200, 1);
	assert_int_equal(get(empty, &ask), -1);
	assert_int_equal(dropped, 3);
	put(c, &ask, 200, 1);
	assert_int_equal(get(c, &ask), 1);
	cache_free(c);
	cache_free(empty);
}

static void
test_bounded(void **state)
{
	struct cache *c = cache_new(1024, drop);
	struct cache_ask ask = { .word = 1, .now = 1 };
	struct cache_ask first = { span_str("often used"), 1, 1 };
	int i;

	(void)state;
	put(c, &first, 9, -5);
	for (i = 0; i < 20000; i++) {
		ask.key = span_of(&i, sizeof(i));
		put(c, &ask, 9, i);
		assert_int_equal(get(c, &first), -5);
	}
	assert_true(cache_count(c) <= 1024 && cache_count(c) > 900);
	cache_free(c);
}

/* Enough keys for every set to be full. */
static void
fill(struct cache *c, int64_t until, int from)
{
	struct cache_ask ask = { .word = 1, .now = 1 };
	int i;

	for (i = from; i < from + 20000; i++) {
		ask.key = span_of(&i, sizeof(i));
		put(c, &ask, until, i);
	}
}

/* Reading everything once does not drive out what was there. */
static void
test_scan(void **state)
{
	struct cache *c = cache_new(1024, drop);
	struct cache_ask ask = { .word = 1, .now = 1 };
	int i, kept = 0;

	(void)state;
	for (i = 0; i < 500; i++) {
		ask.key = span_of(&i, sizeof(i));
		put(c, &ask, 9, i);
		kept += get(c, &ask) == i;
	}
	fill(c, 9, 1000);
	for (i = 0; i < 500; i++) {
		ask.key = span_of(&i, sizeof(i));
		kept -= get(c, &ask) == i;
	}
	assert_int_equal(kept, 0);
	cache_free(c);
}

static void
test_asked_twice(void **state)
{
	struct cache *c = cache_new(1024, drop);
	struct cache_ask ask = { span_str("new"), 1, 1 };
	struct cache_ask later = { span_str("later"), 1, 9 };
	size_t full;

	(void)state;
	fill(c, 9, 0);
	full = cache_count(c);
	put(c, &ask, 9, -5);
	assert_int_equal(get(c, &ask), -1);
	put(c, &ask, 9, -6);
	assert_int_equal(get(c, &ask), -6);
	assert_int_equal(cache_count(c), full);
	/* what has aged makes room at once */
	put(c, &later, 18, -7);
	assert_int_equal(get(c, &later), -7);
	cache_free(c);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_fresh),
		cmocka_unit_test(test_refused),
		cmocka_unit_test(test_bounded),
		cmocka_unit_test(test_scan),
		cmocka_unit_test(test_asked_twice),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
