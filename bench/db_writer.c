/*
 * The cost of making certificates durable: N threads reserve and commit
 * against a throw-away cluster with fsync on.  Prints one JSON line.
 *
 *	bench/db_writer [threads [certificates]]
 */
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>

#include "base/clock.h"
#include "bench/top.h"
#include "tests/db/sample.h"

#define THREADS_MAX 256

static struct writer *w;
static int issuer;
static _Atomic int next;
static int total;
static int64_t *latency;

static void *
work(void *arg)
{
	struct sample s;
	int64_t from;
	int n;

	while ((n = atomic_fetch_add(&next, 1)) < total) {
		sample_init(&s, issuer, n);
		from = clock_mono_us();
		sample_issue(w, &s);
		latency[n] = clock_mono_us() - from;
	}
	return arg;
}

static int
by_value(const void *a, const void *b)
{
	const int64_t *x = a, *y = b;

	return (*x > *y) - (*x < *y);
}

static int64_t
own_cpu_us(void)
{
	struct rusage u;

	(void)getrusage(RUSAGE_SELF, &u);
	return (u.ru_utime.tv_sec + u.ru_stime.tv_sec) * INT64_C(1000000) +
	       u.ru_utime.tv_usec + u.ru_stime.tv_usec;
}

static void
run(int threads)
{
	pthread_t t[THREADS_MAX];
	int i;

	for (i = 0; i < threads; i++)
		if (pthread_create(&t[i], NULL, work, NULL) != 0)
			exit(1);
	for (i = 0; i < threads; i++)
		(void)pthread_join(t[i], NULL);
}

int
main(int argc, char **argv)
{
	int threads = argc > 1 ? (int)strtol(argv[1], NULL, 10) : 32;
	struct pg *pg;
	struct db *db;
	int64_t own, wall, p50, p99;
	long long server;
	struct err e;

	top_find();
	pg = pg_new();
	db = db_new(pg_conninfo(pg, "chancery_oper"), "bench");
	total = argc > 2 ? (int)strtol(argv[2], NULL, 10) : 50000;
	if (threads < 1 || threads > THREADS_MAX || total < 1)
		return 2;
	latency = calloc((size_t)total, sizeof(*latency));
	if (latency == NULL || writer_new(pg_conninfo(pg, "chancery_enroll"),
				   "enroll", "bench", &w, &e) == -1)
		return 1;
	issuer = sample_issuer(db, "bench");
	own = own_cpu_us();
	server = pg_cpu_us(pg);
	wall = clock_mono_us();
	run(threads);
	wall = clock_mono_us() - wall;
	own = own_cpu_us() - own;
	server = pg_cpu_us(pg) - server;
	qsort(latency, (size_t)total, sizeof(*latency), by_value);
	p50 = latency[total / 2];
	p99 = latency[total / 100 * 99];
	printf("{\"name\":\"db_writer\",\"threads\":%d,\"certificates\":%d,"
	       "\"server_cpu_us\":%.1f,\"client_cpu_us\":%.1f,"
	       "\"cpu_us\":%.1f,\"per_s\":%.0f,\"p50_ms\":%.2f,"
	       "\"p99_ms\":%.2f}\n",
	    threads, total, (double)server / total, (double)own / total,
	    (double)(server + own) / total, 1e6 * total / (double)wall,
	    (double)p50 / 1e3, (double)p99 / 1e3);
	writer_free(w);
	db_free(db);
	pg_free(pg);
	free(latency);
	return 0;
}
