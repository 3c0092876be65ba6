/*
 * How long a committed revocation takes to be known: over OCSP, on the primary
 * and on a read replica, and on a long CRL.  docs/benchmarks.md says how to
 * read it.
 *
 *	bench/revoke [revocations [entries [lists [full]]]]
 *
 * The last line of standard output is one JSON object.
 */
#include "bench/revoke.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/log.h"
#include "bench/top.h"

#define REVOCATIONS 500
#define REVOCATIONS_MAX 2000
#define ENTRIES 1000000
#define LISTS 5

#define OCSP_GOAL_MS 100
#define CRL_GOAL_MS 2000

struct revoke_times
revoke_times_new(struct arena *a, size_t n)
{
	return (struct revoke_times){ arena_array(a, n, sizeof(int64_t)), n };
}

static int
by_value(const void *a, const void *b)
{
	const int64_t *x = a, *y = b;

	return (*x > *y) - (*x < *y);
}

void
revoke_sort(struct revoke_times *t)
{
	qsort(t->us, t->n, sizeof(*t->us), by_value);
}

double
revoke_ms(const struct revoke_times *t, unsigned percent)
{
	size_t i = (t->n * percent + 99) / 100;

	return (double)t->us[i == 0 ? 0 : i - 1] / 1e3;
}

static void
print_row(const char *what, const struct revoke_times *t, int goal_ms)
{
	(void)printf("%-24s %5zu %9.1f %9.1f %9.1f", what, t->n,
	    revoke_ms(t, 50), revoke_ms(t, 99), revoke_ms(t, 100));
	if (goal_ms > 0)
		(void)printf(" %9d", goal_ms);
	(void)printf("\n");
	(void)fflush(stdout);
}

static void
print_json(const char *name, const struct revoke_times *t)
{
	(void)printf(",\"%sp50_ms\":%.1f,\"%sp99_ms\":%.1f,\"%smax_ms\":%.1f",
	    name, revoke_ms(t, 50), name, revoke_ms(t, 99), name,
	    revoke_ms(t, 100));
}

static void
print_all(const struct revoke_ocsp *primary, const struct revoke_ocsp *replica,
    const struct revoke_crl *crl, long entries)
{
	(void)printf("{\"name\":\"revoke\",\"cpu_us\":null,\"limit_us\":null,"
		     "\"ratio\":null,\"per_s\":%.0f,\"rss_mb\":%.1f",
	    primary->per_s, primary->rss_mb);
	print_json("", &primary->seen);
	print_json("commit_", &primary->commit);
	(void)printf(",\"revocations\":%zu,\"load_p99_ms\":%.2f",
	    primary->seen.n, primary->load_p99_ms);
	print_json("replica_", &replica->seen);
	(void)printf(",\"replica_per_s\":%.0f,\"full\":%s", replica->per_s,
	    replica->full ? "true" : "false");
	print_json("crl_", &crl->seen);
	print_json("crl_any_", &crl->any);
	print_json("crl_read_", &crl->read);
	(void)printf(",\"crl_entries\":%ld,\"crl_lists\":%zu,"
		     "\"crl_rss_mb\":%.1f}\n",
	    entries, crl->seen.n, crl->rss_mb);
}

int
main(int argc, char **argv)
{
	size_t n = argc > 1 ? strtoul(argv[1], NULL, 10) : REVOCATIONS;
	long entries = argc > 2 ? strtol(argv[2], NULL, 10) : ENTRIES;
	size_t lists = argc > 3 ? strtoul(argv[3], NULL, 10) : LISTS;
	struct revoke_ocsp primary = { .full = argc > 4 };
	struct revoke_ocsp replica = { .replica = true, .full = argc > 4 };
	struct revoke_crl crl;
	struct arena *a;

	if (argc > 5 || n < 1 || n > REVOCATIONS_MAX || entries < 1 ||
	    lists < 1 || lists > REVOKE_CRL_MAX) {
		(void)fputs("usage: bench/revoke [revocations [entries [lists"
			    " [full]]]]\n",
		    stderr);
		return 2;
	}
	a = arena_new();
	log_init("bench", LOG_WARN);
	top_find();
	(void)printf("%-24s %5s %9s %9s %9s %9s\n", "committed to known", "n",
	    "p50 ms", "p99 ms", "max ms", "goal ms");
	revoke_ocsp(a, n, &primary);
	print_row("OCSP", &primary.seen, OCSP_GOAL_MS);
	print_row("(its commit)", &primary.commit, 0);
	revoke_ocsp(a, n, &replica);
	print_row("OCSP, replica", &replica.seen, OCSP_GOAL_MS);
	revoke_crl(a, entries, lists, &crl);
	print_row("CRL", &crl.seen, CRL_GOAL_MS);
	print_row("CRL, at any moment", &crl.any, CRL_GOAL_MS);
	print_row("CRL, while rows are read", &crl.read, CRL_GOAL_MS);
	print_all(&primary, &replica, &crl, entries);
	arena_free(a);
	return 0;
}
