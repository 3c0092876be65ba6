/*
 * How many entries lists may lose: the same calls as signd makes, with a
 * clock that the test sets.
 */
#include "hsm/crlfloor.h"

#include <glob.h>
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

#include "base/file.h"
#include "tests/unit/crl_sample.h"

#define DAY ((int64_t)86400)
#define START ((int64_t)1800000000)

static struct arena *a;
static char dir[64];
static int64_t now;
static uint16_t number;
static int percent;

/* All files of the floor whose names end like this. */
static const char *
only_file(const char *end)
{
	const char *path;
	glob_t found;

	assert_int_equal(
	    glob(arena_printf(a, "%s/crl/*%s", dir, end), 0, NULL, &found), 0);
	assert_int_equal(found.gl_pathc, 1);
	path = arena_printf(a, "%s", found.gl_pathv[0]);
	globfree(&found);
	return path;
}

static int
begin(void **state)
{
	(void)state;
	a = arena_new();
	(void)snprintf(dir, sizeof(dir), "/tmp/crlfloor.XXXXXX");
	assert_non_null(mkdtemp(dir));
	now = START;
	number = 256;
	percent = CRLFLOOR_LOSS_PERCENT;
	return 0;
}

static int
end(void **state)
{
	(void)state;
	(void)unlink(only_file(".lock"));
	(void)unlink(only_file(".floor"));
	(void)unlink(only_file(".serials"));
	assert_int_equal(rmdir(arena_printf(a, "%s/crl", dir)), 0);
	assert_int_equal(rmdir(dir), 0);
	arena_free(a);
	return 0;
}

/* A list, or a delta that takes 'removed' entries back, and what it gets. */
static int
raise_list(size_t first, size_t n, size_t removed, struct err *e)
{
	const struct crlfloor_conf conf = { .state_dir = dir,
		.spki = span_of("key", 3),
		.loss_percent = percent,
		.now = now };
	struct crl_head head = crl_sample_head(now);
	uint8_t octets[2];
	struct crl_built built;
	struct crlcheck c;

	number++;
	octets[0] = (uint8_t)(number >> 8);
	octets[1] = (uint8_t)number;
	head.number = span_of(octets, 2);
	if (removed > 0)
		head.base = span_of("\1\1", 2);
	built = crl_sample_from(&head, first, n);
	assert_int_equal(crlcheck_read(crl_sample_bytes(a, &built), &c, e), 0);
	assert_int_equal(close(built.fd), 0);
	c.removed = removed;
	return crlfloor_raise(&conf, &c, e);
}

static void
is_signed(size_t first, size_t n)
{
	struct err e;

	if (raise_list(first, n, 0, &e) != 0)
		fail_msg("list of %zu from %zu on: %s", n, first, e.text);
}

/* 'lost' entries are more than five percent of 'total'. */
static void
is_loss(const struct err *e, unsigned lost, unsigned total)
{
	const char *text = arena_printf(a,
	    "%u entries would be lost within a day, more than 5 percent of "
	    "the %u that",
	    lost, total);

	assert_int_equal(e->kind, ERR_REFUSED);
	if (strstr(e->text, text) == NULL)
		fail_msg("wanted \"%s\", got \"%s\"", text, e->text);
}

static void
is_refused(size_t first, size_t n, unsigned lost, unsigned total)
{
	struct err e;

	if (raise_list(first, n, 0, &e) == 0)
		fail_msg("%zu from %zu on: signed", n, first);
	is_loss(&e, lost, total);
}

/* Invented serials do not make the loss of the real ones small. */
static void
test_padding(void **state)
{
	(void)state;
	is_signed(0, 200);
	is_refused(0, 0, 200, 200);
	is_signed(0, 10200);
	is_signed(0, 10200);
	is_refused(200, 10000, 200, 200);
	now += DAY;
	is_refused(200, 10000, 200, 200);
	/* from here on nobody can tell them from real ones */
	now++;
	is_signed(200, 10000);
}

/* What comes and goes again is a loss of what is old. */
static void
test_padding_leaves(void **state)
{
	(void)state;
	is_signed(0, 3000);
	is_signed(0, 3100);
	is_signed(0, 3000);
	is_refused(51, 2949, 151, 3000);
	is_signed(50, 2950);
	/* it is there again, and has been for long */
	is_signed(0, 3000);
	is_signed(50, 2950);
	now += DAY + 1;
	is_signed(197, 2803);
	is_refused(198, 2802, 148, 2950);
}

/* An operator can have even that released which came today. */
static void
test_allowance(void **state)
{
	struct err e;

	(void)state;
	is_signed(0, 10);
	is_signed(0, 500);
	is_refused(0, 10, 490, 10);
	percent = 99;
	assert_int_equal(raise_list(0, 10, 0, &e), -1);
	percent = 100;
	assert_int_equal(raise_list(0, 490, 490, &e), 0);
	is_signed(0, 10);
}

/* A delta is measured by the same total. */
static void
test_delta(void **state)
{
	struct err e;

	(void)state;
	is_signed(0, 200);
	is_signed(0, 10000);
	assert_int_equal(raise_list(0, 100, 100, &e), 0);
	assert_int_equal(raise_list(0, 101, 101, &e), -1);
	is_loss(&e, 101, 200);
	now += DAY + 1;
	is_signed(0, 10000);
	assert_int_equal(raise_list(0, 500, 500, &e), 0);
	assert_int_equal(raise_list(0, 501, 501, &e), -1);
}

/*
 * A young CA's list grows by thousands a day and loses what a publisher lets
 * go: four percent of the entries of a day ago, or 80.
 */
static void
test_growth(void **state)
{
	size_t before = 0, entries = 0, first = 0, last = 0, leave, i;

	(void)state;
	for (i = 0; i < 20; i++) {
		is_signed(first, entries);
		last += 3000;
		is_signed(first, last - first);
		leave = before * 4 / 100;
		first += leave < 80 ? 80 : leave;
		is_signed(first, last - first);
		before = entries = last - first;
		now += DAY + 1;
	}
}

static void
put_old(struct buf *b, uint8_t i, int64_t left_at)
{
	static const uint8_t start[] = { 1, 0, 0, 0, 0, 0, 0 };

	buf_u8(b, sizeof(start) + 1);
	buf_add(b, start, sizeof(start));
	buf_u8(b, i);
	buf_u64(b, (uint64_t)left_at);
}

/* A file that an older version wrote: what it has is old. */
static void
test_old_format(void **state)
{
	struct err e;
	AUTO_BUF(b, 65536);
	int i;

	(void)state;
	is_signed(0, 0);
	buf_str(&b, "chancery crl serials 1\n");
	for (i = 0; i < 240; i++)
		put_old(&b, (uint8_t)i, i < 50 ? now - 60 : 0);
	assert_true(buf_ok(&b));
	assert_int_equal(
	    file_replace(only_file(".serials"), buf_get(&b), 0600, &e), 0);
	is_refused(101, 5000, 101, 240);
	is_signed(100, 5000);
	is_refused(101, 4999, 101, 240);
	now += DAY - 59;
	/* the fifty are forgotten, the other fifty not yet */
	is_signed(150, 4950);
	is_refused(151, 4949, 101, 190);
}

static void
test_damaged(void **state)
{
	struct span s;
	struct err e;
	const char *path;

	(void)state;
	is_signed(0, 10);
	path = only_file(".serials");
	assert_int_equal(file_read(a, path, 65536, &s, &e), 0);
	assert_int_equal(
	    file_replace(path, span_of(s.p, s.n - 1), 0600, &e), 0);
	assert_int_equal(raise_list(0, 10, 0, &e), -1);
	assert_int_equal(e.kind, ERR_INTERNAL);
	assert_int_equal(file_replace(path, span_of("x", 1), 0600, &e), 0);
	assert_int_equal(raise_list(0, 10, 0, &e), -1);
	assert_int_equal(e.kind, ERR_INTERNAL);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_padding, begin, end),
		cmocka_unit_test_setup_teardown(
		    test_padding_leaves, begin, end),
		cmocka_unit_test_setup_teardown(test_allowance, begin, end),
		cmocka_unit_test_setup_teardown(test_delta, begin, end),
		cmocka_unit_test_setup_teardown(test_growth, begin, end),
		cmocka_unit_test_setup_teardown(test_old_format, begin, end),
		cmocka_unit_test_setup_teardown(test_damaged, begin, end),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
