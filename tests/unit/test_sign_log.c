#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/auto.h"
#include "base/clock.h"
#include "hsm/sign_log.h"

#define START ((int64_t)1800000000)
#define HORIZON_S 600

struct scratch {
	char dir[64], path[80];
	struct arena *a;
	struct sign_log *log;
};

static int
setup(void **state)
{
	struct scratch *s = calloc(1, sizeof(*s));

	(void)snprintf(s->dir, sizeof(s->dir), "/tmp/signlog-XXXXXX");
	assert_non_null(mkdtemp(s->dir));
	(void)snprintf(s->path, sizeof(s->path), "%s/log", s->dir);
	s->a = arena_new();
	clock_set_fake(START);
	*state = s;
	return 0;
}

static int
teardown(void **state)
{
	struct scratch *s = *state;

	sign_log_close(s->log);
	arena_free(s->a);
	(void)unlink(s->path);
	(void)rmdir(s->dir);
	clock_set_fake(-1);
	free(s);
	return 0;
}

static uint64_t
reopen(struct scratch *s)
{
	struct sign_log_conf conf = {
		.path = s->path, .slot = 9, .horizon_s = HORIZON_S
	};
	uint64_t cut = 0;
	struct err e;

	sign_log_close(s->log);
	s->log = NULL;
	if (sign_log_open(&conf, &s->log, &cut, &e) != 0)
		fail_msg("%s", e.text);
	return cut;
}

static void
hash_of(struct scratch *s, const char *tbs, uint8_t hash[SIGN_HASH_SIZE])
{
	struct err e;

	assert_int_equal(sign_log_hash(s->log, span_str(tbs), hash, &e), 0);
}

static void
add(struct scratch *s, const char *serial, const char *tbs)
{
	uint8_t hash[SIGN_HASH_SIZE], profile[SIGN_HASH_SIZE] = { 0 };
	struct sign_log_entry entry = { .kind = SIGN_CERT,
		.class = "c",
		.key = "k",
		.request_id = "r",
		.profile_hash = profile,
		.tbs_hash = hash,
		.serial = span_str(serial),
		.tbs = span_str(tbs),
		.signature = span_str("signature") };
	struct sign_receipt receipt;
	struct err e;

	hash_of(s, tbs, hash);
	assert_int_equal(sign_log_add(s->log, &entry, &receipt, &e), 0);
	assert_int_equal(receipt.seq, sign_log_seq(s->log));
	assert_int_equal(receipt.slot, 9);
}

/* 1 found, 0 new, -1 refused */
static int
find(struct scratch *s, const char *serial, const char *tbs)
{
	uint8_t hash[SIGN_HASH_SIZE];
	const struct sign_log_query q = { .tbs_hash = hash,
		.serial = span_str(serial) };
	struct sign_reply r;
	struct err e;
	bool found;

	hash_of(s, tbs, hash);
	if (sign_log_find(s->log, s->a, &q, &found, &r, &e) != 0) {
		assert_int_equal(e.kind, ERR_REFUSED);
		return -1;
	}
	if (found)
		assert_true(span_is(r.tbs, tbs));
	return found;
}

static bool
recall(struct scratch *s, const char *tbs, int64_t since)
{
	uint8_t hash[SIGN_HASH_SIZE];
	const struct sign_log_query q = { .tbs_hash = hash, .since = since };
	struct sign_reply r;
	struct err e;
	bool found;

	hash_of(s, tbs, hash);
	assert_int_equal(sign_log_recall(s->log, s->a, &q, &found, &r, &e), 0);
	if (found)
		assert_true(span_is(r.signature, "signature"));
	return found;
}

static void
verify(struct scratch *s, uint64_t records)
{
	struct sign_log_summary sum;
	struct err e;

	if (sign_log_verify(s->path, &sum, &e) != 0)
		fail_msg("%s", e.text);
	assert_int_equal(sum.records, records);
}

static void
test_find(void **state)
{
	struct scratch *s = *state;
	char serial[24], tbs[24];
	int i;

	assert_int_equal(reopen(s), 0);
	for (i = 0; i < 3000; i++) {
		(void)snprintf(serial, sizeof(serial), "serial%010d", i);
		(void)snprintf(tbs, sizeof(tbs), "tbs%d", i);
		assert_int_equal(find(s, serial, tbs), 0);
		add(s, serial, tbs);
	}
	assert_int_equal(find(s, "serial0000000007", "tbs7"), 1);
	assert_int_equal(find(s, "serial0000000007", "other"), -1);
	assert_int_equal(reopen(s), 0);
	assert_int_equal(sign_log_seq(s->log), 3000);
	assert_int_equal(find(s, "serial0000002999", "tbs2999"), 1);
	assert_int_equal(find(s, "serial0000000000", "other"), -1);
	verify(s, 3000);
}

static void
test_recall(void **state)
{
	struct scratch *s = *state;

	(void)reopen(s);
	add(s, "s1", "one");
	assert_true(recall(s, "one", START));
	assert_false(recall(s, "two", START));
	assert_int_equal(find(s, "s2", "two"), -1);
	assert_false(recall(s, "three", START));
	assert_false(recall(s, "two", START));
	assert_int_equal(sign_log_seq(s->log), 3);
	/* bars outlive the horizon, and so does what recall finds */
	clock_set_fake(START + 10 * HORIZON_S);
	add(s, "s9", "late");
	(void)reopen(s);
	assert_int_equal(find(s, "s2", "two"), -1);
	assert_int_equal(find(s, "s3", "three"), -1);
	assert_int_equal(find(s, "s1", "one"), 0);
	assert_true(recall(s, "one", START));
	assert_true(recall(s, "late", START));
	assert_false(recall(s, "never", START));
	/* ... but not further back than it is asked to look */
	assert_false(recall(s, "one", START + 2 * HORIZON_S));
	verify(s, 6);
}

/* Forgetting must not make recall blind: nothing may lie between the index
 * and what is read from the file. */
static void
test_forgotten(void **state)
{
	struct scratch *s = *state;

	(void)reopen(s);
	add(s, "s1", "one");
	clock_set_fake(START + HORIZON_S + 1);
	add(s, "s2", "two");
	clock_set_fake(START + 2 * HORIZON_S + 5);
	add(s, "s3", "three");
	clock_set_fake(START + 4 * HORIZON_S);
	add(s, "s4", "four");
	assert_int_equal(find(s, "s1", "one"), 0);
	assert_true(recall(s, "one", START));
	assert_true(recall(s, "two", START));
	assert_true(recall(s, "four", START));
}

static void
test_torn(void **state)
{
	struct scratch *s = *state;
	struct stat st;
	off_t whole;
	int i;

	(void)reopen(s);
	add(s, "s1", "one");
	sign_log_close(s->log);
	s->log = NULL;
	assert_int_equal(stat(s->path, &st), 0);
	whole = st.st_size;
	for (i = 1; i < 40; i += 7) {
		(void)reopen(s);
		add(s, "s2", "two");
		sign_log_close(s->log);
		s->log = NULL;
		assert_int_equal(stat(s->path, &st), 0);
		assert_int_equal(truncate(s->path, st.st_size - i), 0);
		assert_int_equal(reopen(s), (uint64_t)(st.st_size - i - whole));
		assert_int_equal(sign_log_seq(s->log), 1);
		assert_int_equal(find(s, "s1", "one"), 1);
		assert_int_equal(find(s, "s2", "two"), 0);
	}
	verify(s, 1);
}

static void
flip(struct scratch *s, off_t at)
{
	AUTO_FD int fd = open(s->path, O_RDWR);
	uint8_t c;

	assert_int_equal(pread(fd, &c, 1, at), 1);
	c ^= 1;
	assert_int_equal(pwrite(fd, &c, 1, at), 1);
}

static void
test_damage(void **state)
{
	struct sign_log_conf conf = { .slot = 9, .horizon_s = HORIZON_S };
	struct scratch *s = *state;
	struct sign_log_summary sum;
	struct sign_log *l;
	uint64_t cut;
	struct err e;

	(void)reopen(s);
	add(s, "s1", "one");
	add(s, "s2", "two");
	add(s, "s3", "three");
	/* a second process may not have it */
	conf.path = s->path;
	assert_int_equal(sign_log_open(&conf, &l, &cut, &e), -1);
	assert_int_equal(e.kind, ERR_UNAVAILABLE);
	sign_log_close(s->log);
	s->log = NULL;
	flip(s, 80);
	assert_int_equal(sign_log_verify(s->path, &sum, &e), -1);
	assert_int_equal(sign_log_open(&conf, &l, &cut, &e), -1);
	assert_int_equal(e.kind, ERR_INTERNAL);
	flip(s, 80);
	verify(s, 3);
	conf.slot = 8;
	assert_int_equal(sign_log_open(&conf, &l, &cut, &e), -1);
}

static void
test_clock(void **state)
{
	struct scratch *s = *state;
	struct err e;

	(void)reopen(s);
	add(s, "s1", "one");
	clock_set_fake(START - SIGN_LOG_CLOCK_S);
	assert_int_equal(sign_log_clock_check(s->log, &e), 0);
	clock_set_fake(START - SIGN_LOG_CLOCK_S - 1);
	assert_int_equal(sign_log_clock_check(s->log, &e), -1);
	assert_int_equal(e.kind, ERR_UNAVAILABLE);
	(void)reopen(s);
	assert_int_equal(sign_log_clock_check(s->log, &e), -1);
}

static void
test_refusals(void **state)
{
	struct scratch *s = *state;
	struct sign_log_summary sum;
	struct err e;
	int i;

	(void)reopen(s);
	for (i = 0; i < 1000; i++)
		assert_int_equal(sign_log_refuse(s->log, 0, "r", "no", &e), 0);
	assert_int_equal(sign_log_verify(s->path, &sum, &e), 0);
	assert_int_equal(sum.refusals, SIGN_LOG_REFUSALS);
	assert_true(sign_log_due_us(s->log) > 0);
}

static void
test_tick(void **state)
{
	struct scratch *s = *state;
	int64_t due;
	struct err e;

	(void)reopen(s);
	assert_int_equal(sign_log_due_us(s->log), -1);
	add(s, "s1", "one");
	due = sign_log_due_us(s->log);
	assert_true(due > 0 && due <= clock_mono_us() + 100000);
	assert_int_equal(sign_log_tick(s->log, &e), 0);
	assert_true(sign_log_due_us(s->log) == due);
	usleep(100000);
	assert_int_equal(sign_log_tick(s->log, &e), 0);
	assert_int_equal(sign_log_due_us(s->log), -1);
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		T(test_find),
		T(test_recall),
		T(test_forgotten),
		T(test_torn),
		T(test_damage),
		T(test_clock),
		T(test_refusals),
		T(test_tick),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
