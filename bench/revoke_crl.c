/* Committed to published, on a long CRL. */
#include "bench/revoke.h"

#include <setjmp.h>
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
#include "db/store_revoke.h"

#define LOOK_EVERY_US 2000
#define PATIENCE_US 120000000

/* The gap between two lists of PUBD_PLAIN, and a moment until it is over. */
#define GAP_S 1
#define SETTLE_US 700000

/* After the revocation of another certificate: its list is being made. */
#define BUSY_US 300000

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

static void
revoke_sample(size_t which)
{
	struct store_revocation r = { .issuer = x.issuer,
		.serial = x.samples[which].cert.serial,
		.reason = 4,
		.at = clock_now(),
		.actor = "bench",
		.request_id = "bench" };
	struct err e;

	if (store_revoke(x.writer, &r, &e) == -1)
		die(e.text);
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

static void
measure(uint64_t entries, size_t n, struct revoke_crl *out)
{
	size_t i, next = 1; /* the first one's serial is none */

	for (i = 0; i < n; i++) {
		wait_for_gap();
		revoke_sample(next++);
		out->seen.us[i] = wait_for_entries(++entries);
	}
	for (i = 0; i < n; i++) {
		wait_for_gap();
		revoke_sample(next++);
		(void)usleep(BUSY_US);
		revoke_sample(next++);
		entries += 2;
		out->busy.us[i] = wait_for_entries(entries);
	}
}

void
revoke_crl(struct arena *a, long entries, size_t n, struct revoke_crl *out)
{
	struct procs p;

	out->seen = revoke_times_new(a, n);
	out->busy = revoke_times_new(a, n);
	pubd_setup(&x);
	pubd_conf(&x, PUBD_PLAIN);
	crl_rows(&x, entries);
	pubd_start(&x, 0);
	(void)wait_for_entries((uint64_t)entries);
	measure((uint64_t)entries, n, out);
	procs_tree(x.pids[0], &p);
	out->rss_mb = p.rss_mb;
	pubd_teardown(&x);
	revoke_sort(&out->seen);
	revoke_sort(&out->busy);
}
