/* The status table against a plain array, and with readers beside the writer.
 */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "ocsp/status_table.h"

#define MODEL 4096
#define STEPS 60000
#define MANY 300000

static struct epoch *ep;
static struct epoch_reader *reader;

static int
set_up(void **state)
{
	(void)state;
	ep = epoch_new();
	reader = epoch_reader_new(ep);
	return 0;
}

static int
tear_down(void **state)
{
	(void)state;
	epoch_reader_free(reader);
	epoch_free(ep);
	return 0;
}

static bool
find(const struct status_table *t, int issuer, struct span serial,
    struct status *out, uint64_t *word)
{
	bool found;

	epoch_enter(reader);
	found = status_table_find(t, issuer, serial, out, word);
	epoch_leave(reader);
	return found;
}

static void
test_one(void **state)
{
	struct status_table *t = status_table_new(ep, 0);
	struct status s = {
		.issuer = 7, .not_after = 1900000000, .reason = -1
	};
	struct span serial = span_of("\x00\x80\x01", 3);
	struct status got;
	uint64_t before, after;

	(void)state;
	assert_false(find(t, 7, serial, &got, &before));
	assert_int_equal(status_table_put(t, serial, &s), STATUS_PUT_NEW);
	assert_int_equal(status_table_put(t, serial, &s), STATUS_PUT_SAME);
	assert_true(find(t, 7, serial, &got, &before));
	assert_false(got.revoked);
	assert_int_equal(got.reason, -1);
	assert_int_equal(got.issuer, 7);
	assert_int_equal(got.not_after, 1900000000);
	/* a put takes the number with or without its sign octet */
	assert_int_equal(
	    status_table_put(t, span_of("\x80\x01", 2), &s), STATUS_PUT_SAME);
	/* in a request that would be a negative number */
	assert_false(find(t, 7, span_of("\x80\x01", 2), &got, &after));
	assert_false(find(t, 8, serial, &got, &after));
	assert_false(find(t, 7, span_of("\x00\x80", 2), &got, &after));
	assert_false(find(t, 7, span_of("\x00\x80\x01\x00", 4), &got, &after));
	assert_false(find(t, 7, span_of("", 0), &got, &after));
	s.revoked = true;
	s.revoked_at = 1800000000;
	s.reason = STATUS_REASON_HOLD;
	assert_int_equal(status_table_put(t, serial, &s), STATUS_PUT_CHANGED);
	assert_true(find(t, 7, serial, &got, &after));
	assert_true(got.revoked && before != after);
	assert_int_equal(got.reason, STATUS_REASON_HOLD);
	assert_int_equal(got.revoked_at, 1800000000);
	assert_int_equal(status_table_revoked(t), 1);
	status_table_free(t);
}

static void
test_revoked_stays(void **state)
{
	struct status_table *t = status_table_new(ep, 0);
	struct status good = { .issuer = 1, .reason = -1 };
	struct status bad = { .issuer = 1, .revoked = true, .revoked_at = 5 };
	struct span serial = span_str("serial");
	struct status got;
	uint64_t word;

	(void)state;
	(void)status_table_put(t, serial, &good);
	bad.reason = STATUS_REASON_HOLD;
	assert_int_equal(status_table_put(t, serial, &bad), STATUS_PUT_CHANGED);
	assert_int_equal(
	    status_table_put(t, serial, &good), STATUS_PUT_CHANGED);
	assert_int_equal(status_table_revoked(t), 0);
	bad.reason = 4;
	assert_int_equal(status_table_put(t, serial, &bad), STATUS_PUT_CHANGED);
	assert_int_equal(
	    status_table_put(t, serial, &good), STATUS_PUT_REFUSED);
	bad.reason = STATUS_REASON_HOLD;
	assert_int_equal(status_table_put(t, serial, &bad), STATUS_PUT_REFUSED);
	bad.reason = 1;
	assert_int_equal(status_table_put(t, serial, &bad), STATUS_PUT_CHANGED);
	assert_true(find(t, 1, serial, &got, &word));
	assert_true(got.revoked && got.reason == 1);
	status_table_free(t);
}

static void
test_range(void **state)
{
	struct status_table *t = status_table_new(ep, 0);
	struct status s = { .issuer = 65535, .not_after = INT64_MAX };
	static const uint8_t serial[21] = { 1, 2, 3 };
	struct status got;
	uint64_t word;

	(void)state;
	s.reason = 10;
	assert_int_equal(
	    status_table_put(t, span_of(serial, 21), &s), STATUS_PUT_BAD);
	assert_int_equal(
	    status_table_put(t, span_of(serial, 0), &s), STATUS_PUT_BAD);
	assert_int_equal(
	    status_table_put(t, span_of(serial, 20), &s), STATUS_PUT_NEW);
	assert_true(find(t, 65535, span_of(serial, 20), &got, &word));
	assert_int_equal(got.not_after, UINT32_MAX);
	assert_false(find(t, 65535, span_of(serial, 19), &got, &word));
	s.issuer = 65536;
	assert_int_equal(
	    status_table_put(t, span_of(serial, 4), &s), STATUS_PUT_BAD);
	s.issuer = 1;
	s.reason = 11;
	assert_int_equal(
	    status_table_put(t, span_of(serial, 4), &s), STATUS_PUT_BAD);
	assert_int_equal(status_table_count(t), 1);
	status_table_free(t);
}

/* Numbers that depend on the seed alone. */
static uint32_t
next_random(uint32_t *x)
{
	*x ^= *x << 13;
	*x ^= *x >> 17;
	return *x ^= *x << 5;
}

struct model {
	bool there;
	struct status s;
};

static struct span
model_serial(unsigned i, uint8_t out[STATUS_SERIAL_MAX])
{
	size_t n = 1 + i % STATUS_SERIAL_MAX;

	memset(out, 0x41, STATUS_SERIAL_MAX);
	out[n - 1] = (uint8_t)(1 + i / 16 % 127);
	out[0] = (uint8_t)(1 + i % 127);
	return span_of(out, n);
}

static int
count_one(void *arg, struct span serial, const struct status *s)
{
	size_t *n = arg;

	(void)serial;
	*n += s->revoked ? 1000000 : 1;
	return 0;
}

static bool
is_final(const struct model *m)
{
	return m->there && m->s.revoked && m->s.reason != STATUS_REASON_HOLD;
}

static void
check_model(const struct status_table *t, const struct model *m)
{
	uint8_t octets[STATUS_SERIAL_MAX];
	size_t good = 0, revoked = 0, seen = 0;
	struct status got;
	uint64_t word;
	unsigned i;

	for (i = 0; i < MODEL; i++) {
		struct span serial = model_serial(i, octets);

		assert_int_equal(
		    find(t, 1 + (int)i, serial, &got, &word), m[i].there);
		if (!m[i].there)
			continue;
		assert_int_equal(got.revoked, m[i].s.revoked);
		assert_int_equal(got.not_after, m[i].s.not_after);
		if (got.revoked) {
			assert_int_equal(got.reason, m[i].s.reason);
			assert_int_equal(got.revoked_at, m[i].s.revoked_at);
			revoked++;
		} else {
			good++;
		}
	}
	assert_int_equal(status_table_count(t), good + revoked);
	assert_int_equal(status_table_revoked(t), revoked);
	assert_int_equal(status_table_each(t, count_one, &seen), 0);
	assert_int_equal(seen, good + 1000000 * revoked);
}

/* Random puts give what a plain array gives. */
static void
test_property(void **state)
{
	struct status_table *t = status_table_new(ep, 100);
	struct model *m = calloc(MODEL, sizeof(*m));
	uint8_t octets[STATUS_SERIAL_MAX];
	uint32_t x = 12345;
	struct status s;
	unsigned n, i;
	enum status_put did;

	(void)state;
	assert_non_null(m);
	for (n = 0; n < STEPS; n++) {
		i = next_random(&x) % MODEL;
		s = (struct status){ .issuer = 1 + (int)i,
			.not_after = 1000 + i,
			.revoked = next_random(&x) % 3 == 0,
			.reason = (int)(next_random(&x) % 12) - 1,
			.revoked_at = next_random(&x) };
		did = status_table_put(t, model_serial(i, octets), &s);
		assert_int_equal(did == STATUS_PUT_NEW, !m[i].there);
		assert_int_equal(did == STATUS_PUT_REFUSED,
		    is_final(&m[i]) &&
			(!s.revoked || s.reason == STATUS_REASON_HOLD));
		if (did != STATUS_PUT_REFUSED)
			m[i] = (struct model){ true, s };
		if (n % 10000 == 0)
			check_model(t, m);
	}
	check_model(t, m);
	free(m);
	status_table_free(t);
}

static struct span
many_serial(uint32_t i, uint8_t out[16])
{
	uint64_t h = (i + 1) * UINT64_C(0x9e3779b97f4a7c15);

	memcpy(out, &h, 8);
	h *= UINT64_C(0xbf58476d1ce4e5b9);
	memcpy(out + 8, &h, 8);
	out[0] = (uint8_t)((out[0] & 0x3f) | 0x40);
	return span_of(out, 16);
}

struct race {
	struct status_table *t;
	_Atomic uint32_t written;
	atomic_bool failed;
};

/* What was put before is always found, however the table grows. */
static void *
read_all_the_time(void *arg)
{
	struct epoch_reader *r = epoch_reader_new(ep);
	struct race *race = arg;
	uint32_t x = 99, n, i;
	struct status s;
	uint8_t octets[16];
	uint64_t word;

	while ((n = atomic_load(&race->written)) < MANY) {
		if (n == 0)
			continue;
		i = next_random(&x) % n;
		epoch_enter(r);
		if (!status_table_find(
			race->t, 3, many_serial(i, octets), &s, &word) ||
		    s.not_after != i)
			atomic_store(&race->failed, true);
		epoch_leave(r);
	}
	epoch_reader_free(r);
	return NULL;
}

static void
test_readers(void **state)
{
	struct race race = { .t = status_table_new(ep, 0) };
	struct status s = { .issuer = 3, .reason = -1 };
	pthread_t threads[2];
	uint8_t octets[16];
	uint32_t i;

	(void)state;
	for (i = 0; i < 2; i++)
		assert_int_equal(
		    pthread_create(&threads[i], NULL, read_all_the_time, &race),
		    0);
	for (i = 0; i < MANY; i++) {
		s.not_after = i;
		assert_int_equal(
		    status_table_put(race.t, many_serial(i, octets), &s),
		    STATUS_PUT_NEW);
		atomic_store(&race.written, i + 1);
	}
	for (i = 0; i < 2; i++)
		(void)pthread_join(threads[i], NULL);
	assert_false(atomic_load(&race.failed));
	/* grown row by row, it still holds to its size */
	assert_true(status_table_bytes(race.t) <= (size_t)40 * MANY);
	status_table_free(race.t);
}

#define TABLES 800
#define FILL 6000 /* of one table, which does not grow by it */

struct absent {
	_Atomic(struct status_table *) t; /* NULL: the end */
	atomic_bool found;
};

/* A serial that is nobody's. */
static void *
look_for_nobody(void *arg)
{
	struct epoch_reader *r = epoch_reader_new(ep);
	struct absent *absent = arg;
	const struct status_table *t;
	uint8_t octets[16];
	const struct span serial = many_serial(UINT32_MAX - 1, octets);
	struct status s;
	uint64_t word;

	do {
		epoch_enter(r);
		t = atomic_load(&absent->t);
		if (t != NULL && status_table_find(t, 3, serial, &s, &word))
			atomic_store(&absent->found, true);
		epoch_leave(r);
	} while (t != NULL);
	epoch_reader_free(r);
	return NULL;
}

static void
free_table(void *t)
{
	status_table_free(t);
}

/* It stays unknown while others take the places where it is looked for. */
static void
test_absent(void **state)
{
	struct absent absent = { .t = status_table_new(ep, 0) };
	struct status s = { .issuer = 3, .reason = -1 };
	struct status_table *t = atomic_load(&absent.t), *old;
	pthread_t thread;
	uint8_t octets[16];
	uint32_t i, k;

	(void)state;
	assert_int_equal(
	    pthread_create(&thread, NULL, look_for_nobody, &absent), 0);
	for (k = 0; k < TABLES; k++) {
		for (i = 0; i < FILL; i++)
			(void)status_table_put(
			    t, many_serial(k * FILL + i, octets), &s);
		old = t;
		t = k + 1 == TABLES ? NULL : status_table_new(ep, 0);
		atomic_store(&absent.t, t);
		epoch_retire(ep, old, free_table);
	}
	(void)pthread_join(thread, NULL);
	assert_false(atomic_load(&absent.found));
}

static void
test_expected(void **state)
{
	struct status_table *t = status_table_new(ep, MANY);
	struct status s = { .issuer = 3, .reason = -1 };
	size_t before = status_table_bytes(t);
	uint8_t octets[16];
	uint32_t i;

	(void)state;
	for (i = 0; i < MANY; i++)
		(void)status_table_put(t, many_serial(i, octets), &s);
	assert_int_equal(status_table_count(t), MANY);
	assert_true(status_table_bytes(t) <= before + before / 20);
	assert_true(status_table_bytes(t) <= (size_t)40 * MANY);
	status_table_free(t);
}

static atomic_int freed;

static void
count_free(void *p)
{
	(void)p;
	atomic_fetch_add(&freed, 1);
}

static void
test_epoch(void **state)
{
	struct epoch *other = epoch_new();
	struct epoch_reader *a = epoch_reader_new(other);
	struct epoch_reader *b = epoch_reader_new(other);

	(void)state;
	atomic_store(&freed, 0);
	epoch_retire(other, NULL, count_free);
	assert_int_equal(freed, 1);
	epoch_enter(a);
	epoch_retire(other, NULL, count_free);
	epoch_enter(b); /* came later: does not hold it up */
	epoch_collect(other);
	assert_int_equal(freed, 1);
	epoch_leave(a);
	epoch_collect(other);
	assert_int_equal(freed, 2);
	epoch_retire(other, NULL, count_free);
	assert_int_equal(freed, 2);
	epoch_leave(b);
	epoch_reader_free(b);
	epoch_reader_free(a);
	epoch_free(other);
	assert_int_equal(freed, 3);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_one),
		cmocka_unit_test(test_revoked_stays),
		cmocka_unit_test(test_range),
		cmocka_unit_test(test_property),
		cmocka_unit_test(test_readers),
		cmocka_unit_test(test_absent),
		cmocka_unit_test(test_expected),
		cmocka_unit_test(test_epoch),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
