/*
 * What a certificate costs: 32 threads ask the pipeline for certificates of
 * P-256 keys, under the role of enrolld, against a real signer and a real
 * database.  docs/benchmarks.md says how to read it.
 *
 *	bench/issue [seconds]
 *
 * The last line of standard output is one JSON object.
 */
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "base/clock.h"
#include "bench/csrs.h"
#include "bench/latency.h"
#include "bench/limit.h"
#include "bench/procs.h"
#include "bench/top.h"
#include "bench/world.h"
#include "ca/csr.h"

#define WORKERS 32
#define CSRS 8192
#define SECONDS 40
#define WARM_SECONDS 4
#define STAGE_SECONDS 5
#define LIMIT_SECONDS 2 /* before and after, each of two operations */

/* Stages are timed in a phase of their own: reading a CPU clock costs, too. */
enum phase {
	WARM,
	MEASURE,
	STAGES,
	STOP
};

struct worker {
	pthread_t thread;
	struct ctx *ctx;
	struct enroll_times times;
	int64_t csr_cpu_us, csr_wall_us;
	struct latency latency;
};

/* The three groups of processes, at the start and at the end. */
struct usage {
	struct procs driver, signd, postgres;
};

/* What was measured, per certificate. */
struct outcome {
	size_t n;
	double wall_s, driver_us, signd_us, postgres_us, rss_mb;
	double p50_ms, p99_ms;
	struct limit limit;
};

static _Atomic enum phase phase;
static _Atomic unsigned long next;
static _Atomic bool interrupted; /* by a signal or a failure */
static const struct world *world;
static struct span *csrs;
static struct worker workers[WORKERS];

static void
on_signal(int sig)
{
	(void)sig;
	atomic_store(&interrupted, true);
}

/* Says why and ends the run: threads may still be at work. */
static int
fail(const char *what, const struct err *e)
{
	if (!atomic_exchange(&interrupted, true))
		(void)fprintf(stderr, "bench: %s: %s\n", what, e->text);
	return -1;
}

static int
read_request(struct worker *w, struct arena *a, struct span der,
    struct request_want *out)
{
	bool timed = w->ctx->times != NULL;
	int64_t wall = clock_mono_us(), cpu = timed ? clock_cpu_us() : 0;
	struct err e;

	if (csr_parse(a, der, out, &e) == -1)
		return fail("request", &e);
	if (!timed)
		return 0;
	w->csr_cpu_us += clock_cpu_us() - cpu;
	w->csr_wall_us += clock_mono_us() - wall;
	return 0;
}

/* As an adapter does: decode, check possession, hand over. */
static int
issue_one(struct worker *w, struct arena *a)
{
	unsigned long number = atomic_fetch_add(&next, 1);
	struct request req = { .protocol = WORLD_PROTOCOL,
		.txn = arena_printf(a, "bench-%lu", number),
		.profile = WORLD_PROFILE,
		.evidence = { .kind = EVIDENCE_INTERNAL, .name = "bench" } };
	struct enroll_result res;
	int64_t wall = clock_mono_us();
	struct err e;

	engine_begin(world->engine, w->ctx, a, req.txn);
	if (read_request(w, a, csrs[number % CSRS], &req.want) == -1)
		return -1;
	if (enroll_submit(w->ctx, &req, &res, &e) == -1)
		return fail("enroll", &e);
	if (atomic_load(&phase) == MEASURE)
		latency_note(&w->latency, clock_mono_us() - wall);
	return 0;
}

static void *
work(void *arg)
{
	struct worker *w = arg;
	struct arena *a = arena_new();
	enum phase now;
	int rc = 0;

	w->ctx = engine_ctx_new(world->engine);
	while (rc == 0 && (now = atomic_load(&phase)) != STOP) {
		w->ctx->times = now == STAGES ? &w->times : NULL;
		arena_reset(a);
		rc = issue_one(w, a);
	}
	engine_ctx_free(w->ctx);
	arena_free(a);
	return NULL;
}

/* Sleeps; a signal or a failure ends it early. */
static void
wait_seconds(int seconds)
{
	int64_t until = clock_mono_us() + (int64_t)seconds * 1000000;
	struct timespec t = { .tv_nsec = 10000000 };

	while (!atomic_load(&interrupted) && clock_mono_us() < until)
		(void)nanosleep(&t, NULL);
}

static void
use(struct usage *u)
{
	procs_self(&u->driver);
	procs_tree(world->signd, &u->signd);
	procs_tree(world->postgres, &u->postgres);
}

/* Merges what the workers saw. */
static void
latencies(struct outcome *o)
{
	struct latency all = { 0 };
	struct latency_sum sum;
	size_t i;

	for (i = 0; i < WORKERS; i++)
		latency_take(&all, &workers[i].latency);
	latency_sum(&all, &sum);
	o->n = sum.n;
	o->p50_ms = sum.p50_ms;
	o->p99_ms = sum.p99_ms;
}

static void
load(int seconds, struct outcome *o)
{
	struct usage from, to;
	int64_t wall;
	size_t i;

	for (i = 0; i < WORKERS; i++) {
		if (pthread_create(
			&workers[i].thread, NULL, work, &workers[i]) != 0)
			abort();
	}
	wait_seconds(WARM_SECONDS);
	use(&from);
	atomic_store(&phase, MEASURE);
	wall = clock_mono_us();
	wait_seconds(seconds);
	use(&to);
	wall = clock_mono_us() - wall;
	atomic_store(&phase, STAGES);
	wait_seconds(STAGE_SECONDS);
	atomic_store(&phase, STOP);
	for (i = 0; i < WORKERS; i++)
		(void)pthread_join(workers[i].thread, NULL);
	latencies(o);
	o->wall_s = (double)wall / 1e6;
	o->driver_us =
	    (double)(to.driver.cpu_us - from.driver.cpu_us) / (double)o->n;
	o->signd_us =
	    (double)(to.signd.cpu_us - from.signd.cpu_us) / (double)o->n;
	o->postgres_us =
	    (double)(to.postgres.cpu_us - from.postgres.cpu_us) / (double)o->n;
	o->rss_mb = to.driver.rss_mb + to.signd.rss_mb + to.postgres.rss_mb;
}

/* Before and after the load, because machines change their speed. */
static int
measure(int seconds, struct outcome *o)
{
	struct limit before, after;
	struct err e;

	if (limit_measure(world->token, &world->key, csrs[0], LIMIT_SECONDS,
		&before, &e) == -1)
		return fail("limit", &e);
	load(seconds, o);
	if (atomic_load(&interrupted))
		return -1;
	if (limit_measure(world->token, &world->key, csrs[0], LIMIT_SECONDS,
		&after, &e) == -1)
		return fail("limit", &e);
	o->limit.sign_us = (before.sign_us + after.sign_us) / 2;
	o->limit.verify_us = (before.verify_us + after.verify_us) / 2;
	return 0;
}

static void
print_stage(const char *name, double cpu_us, double wall_us)
{
	(void)printf("  %-24s %9.1f %9.2f\n", name, cpu_us, wall_us / 1e3);
}

/* What the driver's threads spend where. */
static void
print_stages(void)
{
	struct enroll_times sum = { 0 };
	int64_t cpu = 0, wall = 0;
	double n;
	size_t i, s;

	for (i = 0; i < WORKERS; i++) {
		for (s = 0; s < ENROLL_STAGE__COUNT; s++) {
			sum.count[s] += workers[i].times.count[s];
			sum.cpu_us[s] += workers[i].times.cpu_us[s];
			sum.wall_us[s] += workers[i].times.wall_us[s];
		}
		cpu += workers[i].csr_cpu_us;
		wall += workers[i].csr_wall_us;
	}
	n = (double)(sum.count[0] == 0 ? 1 : sum.count[0]);
	(void)printf("\n  %-24s %9s %9s\n", "stage (driver)", "CPU us", "ms");
	print_stage("request, possession", (double)cpu / n, (double)wall / n);
	for (s = 0; s < ENROLL_STAGE__COUNT; s++)
		print_stage(enroll_stage_name((enum enroll_stage)s),
		    (double)sum.cpu_us[s] / n, (double)sum.wall_us[s] / n);
}

static void
print_outcome(const struct outcome *o)
{
	double cpu = o->driver_us + o->signd_us + o->postgres_us;
	double limit = o->limit.sign_us + o->limit.verify_us;
	double per_s = (double)o->n / o->wall_s;

	(void)printf("%zu certificates in %.0f s by %d threads: %.0f/s\n"
		     "latency p50 %.2f ms, p99 %.2f ms; memory %.0f MB\n",
	    o->n, o->wall_s, WORKERS, per_s, o->p50_ms, o->p99_ms, o->rss_mb);
	print_stages();
	(void)printf("\n  %-24s %9s\n", "processes", "CPU us");
	(void)printf("  %-24s %9.1f\n", "driver", o->driver_us);
	(void)printf("  %-24s %9.1f\n", "chancery-signd", o->signd_us);
	(void)printf("  %-24s %9.1f\n", "PostgreSQL", o->postgres_us);
	(void)printf("  %-24s %9.1f\n", "all", cpu);
	(void)printf("\n  %-24s %9s\n", "limit", "CPU us");
	(void)printf("  %-24s %9.1f\n", "token signature", o->limit.sign_us);
	(void)printf("  %-24s %9.1f\n", "possession", o->limit.verify_us);
	(void)printf("  %-24s %9.1f\n", "both", limit);
	(void)printf("\nratio %.2f\n", cpu / limit);
	(void)printf("{\"name\":\"issue\",\"cpu_us\":%.1f,\"limit_us\":%.1f,"
		     "\"ratio\":%.3f,\"per_s\":%.0f,\"p50_ms\":%.2f,"
		     "\"p99_ms\":%.2f,\"rss_mb\":%.1f,\"workers\":%d,"
		     "\"driver_us\":%.1f,\"signd_us\":%.1f,"
		     "\"postgres_us\":%.1f}\n",
	    cpu, limit, cpu / limit, per_s, o->p50_ms, o->p99_ms, o->rss_mb,
	    WORKERS, o->driver_us, o->signd_us, o->postgres_us);
}

int
main(int argc, char **argv)
{
	int seconds = argc > 1 ? (int)strtol(argv[1], NULL, 10) : SECONDS;
	struct sigaction act = { .sa_handler = on_signal };
	struct outcome o = { 0 };
	struct arena *a;
	int rc;

	if (argc > 2 || seconds < 1 || seconds > 200) {
		(void)fputs("usage: bench/issue [seconds]\n", stderr);
		return 2;
	}
	top_find();
	(void)sigaction(SIGINT, &act, NULL);
	(void)sigaction(SIGTERM, &act, NULL);
	world = world_new();
	a = arena_new();
	csrs = csrs_make(a, CSRS);
	rc = measure(seconds, &o);
	if (rc == 0)
		print_outcome(&o);
	arena_free(a);
	return rc == 0 ? 0 : 1;
}
