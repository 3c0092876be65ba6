/* Committed to published, on a long CRL. */
#include "bench/revoke.h"

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/clock.h"
#include "bench/crl_rows.h"
#include "bench/procs.h"
#include "db/store_crl.h"

#define LOOK_EVERY_US 2000
#define PATIENCE_US 120000000

/* The gap between two lists of PUBD_PLAIN, and a moment until it is over. */
#define GAP_S 1
#define SETTLE_US 700000

/* At any moment: so many for each list of the others, so far apart. */
#define ANY_TIMES 8
#define APART_MIN_US 40000
#define APART_MAX_US 640000

/* While all rows are read. */
#define READ_STEP_US 100000

static struct pubd_world x;

static _Noreturn void
die(const char *what)
{
	(void)fprintf(stderr, "bench/revoke: %s\n", what);
	exit(1);
}

static struct store_crl
newest(void)
{
	AUTO(arena_auto) a = arena_new();
	struct store_crls all;
	struct err e;

	if (store_crl_current(x.db, a, &all, &e) == -1)
		die(e.text);
	if (all.n == 0)
		return (struct store_crl){ .number = 0 };
	all.list[0].mark.serial = span_of(NULL, 0);
	return all.list[0];
}

/* How long until a list with so many entries is public. */
static int64_t
wait_for_entries(uint64_t entries)
{
	int64_t from = clock_mono_us();

	while (newest().entries < entries) {
		if (clock_mono_us() - from > PATIENCE_US)
			die("no list comes");
		(void)usleep(LOOK_EVERY_US);
	}
	return clock_mono_us() - from;
}

/* The same numbers in every run. */
static int64_t
apart_us(void)
{
	static uint64_t v = 1;

	v = v * UINT64_C(6364136223846793005) + 1442695040888963407;
	return APART_MIN_US +
	       (int64_t)((v >> 33) % (APART_MAX_US - APART_MIN_US));
}

/* Until a list may follow the newest one, and nothing is going on. */
static void
wait_for_gap(void)
{
	int64_t until = newest().this_update + GAP_S;

	while (clock_now() < until)
		(void)usleep(LOOK_EVERY_US);
	(void)usleep(SETTLE_US);
}

static size_t next; /* to be revoked */

static void
revoke_next(void)
{
	crl_rows_revoke(&x, x.writer, next++);
}

/* Nothing else is going on. */
static void
measure_idle(uint64_t entries, struct revoke_times *t)
{
	size_t i;

	for (i = 0; i < t->n; i++) {
		wait_for_gap();
		revoke_next();
		t->us[i] = wait_for_entries(entries + next);
	}
}

/* One after the other, whatever pubd is doing. */
static void
measure_any(uint64_t entries, struct revoke_times *t)
{
	size_t first = next, told = 0, n = 0;
	int64_t due = clock_mono_us(), now = due;
	uint64_t on_list;

	wait_for_gap();
	while (told < t->n) {
		if (n < t->n && clock_mono_us() >= due) {
			revoke_next();
			t->us[n++] = clock_mono_us();
			due = t->us[n - 1] + apart_us();
		}
		on_list = newest().entries;
		now = clock_mono_us();
		for (; told < n && on_list >= entries + first + told + 1;
		     told++)
			t->us[told] = now - t->us[told];
		if (now > due + PATIENCE_US)
			die("no list comes");
		(void)usleep(LOOK_EVERY_US);
	}
}

/* A process that has just begun to publish reads all rows. */
static void
measure_read(uint64_t entries, struct revoke_times *t)
{
	size_t i;

	for (i = 0; i < t->n; i++) {
		wait_for_gap();
		pubd_stop(&x, 0, SIGTERM);
		pubd_start(&x, 0);
		fixture_wait_file(
		    &x.fx, "pubd0.log", " publishing", (int)i + 2);
		(void)usleep((useconds_t)(i * READ_STEP_US));
		revoke_next();
		t->us[i] = wait_for_entries(entries + next);
	}
}

void
revoke_crl(struct arena *a, long entries, size_t n, struct revoke_crl *out)
{
	struct procs p;

	out->seen = revoke_times_new(a, n);
	out->any = revoke_times_new(a, n * ANY_TIMES);
	out->read = revoke_times_new(a, n);
	pubd_setup(&x);
	pubd_conf(&x, PUBD_PLAIN);
	crl_rows(&x, entries);
	pubd_start(&x, 0);
	(void)wait_for_entries((uint64_t)entries);
	measure_idle((uint64_t)entries, &out->seen);
	measure_any((uint64_t)entries, &out->any);
	procs_tree(x.pids[0], &p);
	out->rss_mb = p.rss_mb;
	measure_read((uint64_t)entries, &out->read);
	pubd_teardown(&x);
	revoke_sort(&out->seen);
	revoke_sort(&out->any);
	revoke_sort(&out->read);
}
