/*
 * Expired entries leave the lists of chancery-pubd little by little, so that
 * signd, which remembers what it signed, takes each list.
 */
#include <glob.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/auto.h"
#include "base/file.h"
#include "db/db_int.h"
#include "tests/unit/pubd_fixture.h"

#define ENTRIES 10000
#define EXPIRED 1000
#define DAILY (ENTRIES * 4 / 100)

/* Revoked within a day, and of the others that expire meanwhile. */
#define YOUNG 20000
#define EXPIRE 2000

/* Of a time in signd's file of serials. */
#define TIME_SIZE 5

/* More than a day, which both pubd and signd look back. */
#define SHIFT_S ((int64_t)25 * 3600)

static void
run_sql(const char *sql)
{
	struct db *owner = db_new_bare(pg_conninfo(pubd.pg, "postgres"), "t");
	struct err e;

	if (db_script(owner, sql, &e) == -1)
		fail_msg("%s", e.text);
	db_free(owner);
}

/* Revoked long ago: of them so many that have expired, one only just. */
static void
make_rows(void)
{
	run_sql(arena_printf(pubd.a,
	    "INSERT INTO chancery.cert_status (cert_id, not_after, revoked_at,"
	    " issuer, status, reason, serial) SELECT i, CASE WHEN i <= %d"
	    " THEN now() - interval '10 days' - i * interval '1 second'"
	    " WHEN i = %d THEN now() - interval '5 seconds'"
	    " ELSE now() + interval '90 days' END,"
	    " now() - interval '20 days', %d, 1, 1,"
	    " '\\x41'::bytea || substr(sha256(i::text::bytea), 1, 9)"
	    " FROM generate_series(1, %d) i",
	    EXPIRED, EXPIRED + 1, pubd.issuer, ENTRIES));
}

/* A time in signd's file becomes a day earlier. */
static void
age_time(uint8_t *p)
{
	int64_t v = 0;
	int i;

	for (i = 0; i < TIME_SIZE; i++)
		v = v << 8 | p[i];
	if (v == 0)
		return;
	v -= SHIFT_S;
	for (i = TIME_SIZE - 1; i >= 0; i--, v >>= 8)
		p[i] = (uint8_t)v;
}

/* The serials that signd remembers: they came and left a day earlier. */
static void
age_serials(const char *path)
{
	struct span s;
	struct err e;
	uint8_t *p;
	size_t at;

	if (file_read(pubd.a, path, (size_t)1 << 24, &s, &e) == -1)
		fail_msg("%s", e.text);
	p = arena_memdup(pubd.a, s.p, s.n);
	at = (size_t)((uint8_t *)memchr(p, '\n', s.n) - p) + 1;
	while (at < s.n) {
		at += 1 + (size_t)p[at];
		age_time(p + at);
		age_time(p + at + TIME_SIZE);
		at += (size_t)2 * TIME_SIZE;
	}
	assert_int_equal(at, s.n);
	if (file_replace(path, span_of(p, s.n), 0600, &e) == -1)
		fail_msg("%s", e.text);
}

/* What pubd and signd remember becomes a day older, and a list is made. */
static struct store_crl
next_day(int64_t above)
{
	glob_t found;
	size_t i;

	pubd_stop(&pubd, 0, SIGTERM);
	run_sql(arena_printf(pubd.a,
	    "UPDATE chancery.crl SET this_update = this_update"
	    " - %lld * interval '1 second'",
	    (long long)SHIFT_S));
	assert_int_equal(
	    glob(arena_printf(pubd.a, "%s/crl/*.serials", pubd.fx.state), 0,
		NULL, &found),
	    0);
	for (i = 0; i < found.gl_pathc; i++)
		age_serials(found.gl_pathv[i]);
	globfree(&found);
	pubd_start(&pubd, 0);
	return pubd_wait(&pubd, "full", above);
}

/* How often pubd could not publish. */
static int
failures(void)
{
	const char *log = arena_printf(pubd.a, "%s/pubd0.log", pubd.fx.dir), *p;
	struct span s;
	struct err e;
	int n = 0;

	if (file_read(pubd.a, log, (size_t)1 << 20, &s, &e) == -1)
		fail_msg("%s", e.text);
	p = arena_printf(pubd.a, "%.*s", (int)s.n, (const char *)s.p);
	while ((p = strstr(p, "not published")) != NULL) {
		p++;
		n++;
	}
	return n;
}

/* A process that reads all rows anew lets no more of them leave that day. */
static struct store_crl
same_day(const struct store_crl *c)
{
	struct store_crl again;

	pubd_stop(&pubd, 0, SIGTERM);
	pubd_start(&pubd, 0);
	again = pubd_wait(&pubd, "full", c->number);
	assert_int_equal(again.entries, c->entries);
	assert_int_equal(again.gone, 0);
	return again;
}

/* 400 of 10,000 a day, each after a list that was made past its expiry. */
static void
test_leave(void **state)
{
	struct store_crl c;
	int left = ENTRIES, day;

	(void)state;
	pubd_conf(&pubd, PUBD_PLAIN);
	make_rows();
	pubd_start(&pubd, 0);
	c = pubd_wait(&pubd, "full", 0);
	/* expired, but no list had them so far */
	assert_int_equal(c.entries, ENTRIES);
	for (day = 1; left > ENTRIES - EXPIRED; day++) {
		c = next_day(c.number);
		left -= left - DAILY < ENTRIES - EXPIRED
			    ? left - (ENTRIES - EXPIRED)
			    : (int)(left * 4 / 100);
		assert_int_equal(c.entries, left);
		if (left > ENTRIES - EXPIRED)
			c = same_day(&c);
	}
	assert_true(day > 3);
	/* the one that expired when the first list was made is still there */
	c = next_day(c.number);
	assert_int_equal(c.entries, ENTRIES - EXPIRED);
	assert_int_equal(failures(), 0);
}

/*
 * When the list grows to thrice its length within a day, no more may leave than
 * before: signd does not take what is new for what was there.
 */
static void
test_young(void **state)
{
	struct store_crl c;
	uint64_t before;

	(void)state;
	assert_true(pubd_current(&pubd, "full", &c));
	c = next_day(c.number);
	before = c.entries;
	pubd_stop(&pubd, 0, SIGTERM);
	run_sql(arena_printf(pubd.a,
	    "INSERT INTO chancery.cert_status (cert_id, not_after, revoked_at,"
	    " issuer, status, reason, serial) SELECT i,"
	    " now() + interval '90 days', now(), %d, 1, 1,"
	    " '\\x42'::bytea || substr(sha256(i::text::bytea), 1, 9)"
	    " FROM generate_series(%d, %d) i",
	    pubd.issuer, ENTRIES + 1, ENTRIES + YOUNG));
	pubd_start(&pubd, 0);
	c = pubd_wait(&pubd, "full", c.number);
	assert_int_equal(c.entries, before + YOUNG);
	pubd_stop(&pubd, 0, SIGTERM);
	run_sql(arena_printf(pubd.a,
	    "SET session_replication_role = replica;"
	    "UPDATE chancery.cert_status SET not_after = now()"
	    " - interval '2 hours' WHERE cert_id > %d AND cert_id <= %d;"
	    "UPDATE chancery.crl SET expired_before = expired_before"
	    " - interval '12 hours' WHERE number = %lld",
	    ENTRIES - EXPIRE, ENTRIES, (long long)c.number));
	pubd_start(&pubd, 0);
	c = pubd_wait(&pubd, "full", c.number);
	assert_int_equal(c.gone, before * 4 / 100);
	assert_int_equal(c.entries, before + YOUNG - c.gone);
	assert_int_equal(failures(), 0);
}

/* keep-expired: never, and those that left are there again. */
static void
test_never(void **state)
{
	struct store_crl c;

	(void)state;
	pubd_stop(&pubd, 0, SIGTERM);
	pubd_conf(&pubd, "  crl-urls: [\"http://c.test/ca.crl\"]\n"
			 "  crl: {interval: 1h, overlap: 1h, min-gap: 1s,\n"
			 "    keep-expired: true}\n");
	assert_true(pubd_current(&pubd, "full", &c));
	pubd_start(&pubd, 0);
	c = pubd_wait(&pubd, "full", c.number);
	assert_int_equal(c.entries, ENTRIES + YOUNG);
	c = next_day(c.number);
	assert_int_equal(c.entries, ENTRIES + YOUNG);
	assert_int_equal(c.gone, 0);
	assert_int_equal(failures(), 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_leave),
		cmocka_unit_test(test_young),
		cmocka_unit_test(test_never),
	};

	return cmocka_run_group_tests(
	    tests, pubd_group_setup, pubd_group_teardown);
}
