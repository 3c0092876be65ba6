/*
 * One CRL of many entries, from the rows in PostgreSQL to the bytes in
 * PostgreSQL: read, built, signed, verified, recorded.  docs/benchmarks.md
 * says how to read it.
 *
 *	bench/crl [entries]
 *
 * The last line of standard output is one JSON object.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/auto.h"
#include "base/clock.h"
#include "base/log.h"
#include "bench/crl_rows.h"
#include "crl/publish.h"
#include "db/db_int.h"
#include "db/store_crl.h"
#include "tests/unit/pubd_fixture.h"

/* The Makefile says where the sources are; checks compile without it. */
#ifndef BENCH_TOP_SRCDIR
#define BENCH_TOP_SRCDIR ".."
#endif

#define ROUNDS 5
#define TEXT_MAX 8192

AUTO_DEFINE(FILE, fclose);

static struct pubd_world x;

static void
die(const char *what, const struct err *e)
{
	(void)fprintf(stderr, "bench/crl: %s: %s\n", what, e->text);
	exit(1);
}

/* A line such as "VmHWM:" of a process, in kB. */
static long
memory_kb(pid_t pid, const char *name)
{
	char path[64], line[256];
	AUTO(FILE) f = NULL;
	long kb = 0;

	(void)snprintf(path, sizeof(path), "/proc/%d/status", (int)pid);
	f = fopen(path, "re");
	while (f != NULL && fgets(line, sizeof(line), f) != NULL) {
		if (strncmp(line, name, strlen(name)) == 0)
			kb = strtol(line + strlen(name), NULL, 10);
	}
	return kb;
}

/* The slot processes of signd: the largest of them made the signature. */
static long
signd_kb(void)
{
	char path[64], text[TEXT_MAX] = "", *p = text, *end;
	AUTO(FILE) f = NULL;
	long kb, most = 0;
	pid_t pid;

	(void)snprintf(path, sizeof(path), "/proc/%d/task/%d/children",
	    (int)x.fx.signd, (int)x.fx.signd);
	f = fopen(path, "re");
	if (f == NULL || fgets(text, sizeof(text), f) == NULL)
		return 0;
	while ((pid = (pid_t)strtol(p, &end, 10)) != 0 && end != p) {
		kb = memory_kb(pid, "VmHWM:");
		most = kb > most ? kb : most;
		p = end;
	}
	return most;
}

static struct store_crl
newest(struct db *db)
{
	struct store_crls all;
	struct err e;

	if (store_crl_current(db, x.a, &all, &e) == -1)
		die("current", &e);
	return all.n == 0 ? (struct store_crl){ .number = 0 } : all.list[0];
}

static void
forget(struct db *db)
{
	struct err e;

	if (db_script(db, "DELETE FROM crl", &e) == -1)
		die("delete", &e);
}

struct outcome {
	int64_t wall_us[ROUNDS], cpu_us; /* sorted; of all rounds */
	struct store_crl crl;
	double pubd_mb, signd_mb; /* at their peaks, whole */
};

static int
by_value(const void *a, const void *b)
{
	const int64_t *v = a, *w = b;

	return (*v > *w) - (*v < *w);
}

static void
measure(struct publisher *p, struct db *db, struct outcome *out)
{
	int64_t from;
	struct err e;
	int i;

	out->cpu_us = 0;
	for (i = 0; i < ROUNDS; i++) {
		forget(db);
		from = clock_mono_us();
		out->cpu_us -= clock_cpu_us();
		if (publisher_turn(p, &e) == -1)
			die("turn", &e);
		out->cpu_us += clock_cpu_us();
		out->wall_us[i] = clock_mono_us() - from;
	}
	qsort(out->wall_us, ROUNDS, sizeof(out->wall_us[0]), by_value);
	out->crl = newest(db);
	out->pubd_mb = (double)memory_kb(getpid(), "VmHWM:") / 1024;
	out->signd_mb = (double)signd_kb() / 1024;
}

static void
print(const struct outcome *o)
{
	double size_mb = (double)o->crl.size / 1048576;
	int64_t median = o->wall_us[ROUNDS / 2];
	double p50_ms = (double)median / 1e3;
	double max_ms = (double)o->wall_us[ROUNDS - 1] / 1e3;

	(void)printf("entries          %12llu\n"
		     "MB               %12.1f\n"
		     "best, ms         %12.0f\n"
		     "median, ms       %12.0f\n"
		     "worst, ms        %12.0f   goal 2000\n"
		     "pubd beside, MB  %12.1f   goal 100\n"
		     "signd beside, MB %12.1f   goal 100\n",
	    (unsigned long long)o->crl.entries, size_mb,
	    (double)o->wall_us[0] / 1e3, p50_ms, max_ms, o->pubd_mb - size_mb,
	    o->signd_mb - size_mb);
	(void)printf("{\"name\":\"crl\",\"cpu_us\":%lld,\"limit_us\":null,"
		     "\"ratio\":null,\"per_s\":%.2f,\"p50_ms\":%.0f,"
		     "\"p99_ms\":%.0f,\"best_ms\":%.0f,\"rss_mb\":%.1f,"
		     "\"entries\":%llu,\"bytes\":%llu,"
		     "\"pubd_beside_mb\":%.1f,\"signd_beside_mb\":%.1f}\n",
	    (long long)(o->cpu_us / ROUNDS), 1e3 / p50_ms, p50_ms, max_ms,
	    (double)o->wall_us[0] / 1e3, o->pubd_mb,
	    (unsigned long long)o->crl.entries, (unsigned long long)o->crl.size,
	    o->pubd_mb - size_mb, o->signd_mb - size_mb);
	(void)fflush(stdout);
}

/* In a process of its own, as in chancery-pubd. */
static void
run(void)
{
	const char *file = arena_printf(x.a, "%s/chancery.yaml", x.fx.dir);
	struct settings_file *settings;
	struct publish_conf conf = { .holder = "bench" };
	struct publisher *p;
	struct outcome o;
	struct err e;

	if (settings_load(file, &settings, &e) == -1 ||
	    engine_new(settings_get(settings), "pub", "bench", &conf.engine,
		&e) == -1 ||
	    engine_start(conf.engine, &e) == -1)
		die("engine", &e);
	conf.settings = settings_get(settings);
	conf.ctx = engine_ctx_new(conf.engine);
	if (publisher_new(&conf, &p, &e) == -1)
		die("publisher", &e);
	measure(p, conf.ctx->db, &o);
	print(&o);
	publisher_free(p);
	engine_ctx_free(conf.ctx);
	engine_free(conf.engine);
	settings_free(settings);
}

int
main(int argc, char **argv)
{
	long entries = argc > 1 ? strtol(argv[1], NULL, 10) : 1000000;
	int status = 1;
	pid_t pid;

	log_init("bench", LOG_WARN);
	(void)setenv("top_srcdir", BENCH_TOP_SRCDIR, 0);
	pubd_setup(&x);
	pubd_conf(&x, "  crl-urls: [\"http://c.test/ca.crl\"]\n"
		      "  crl: {interval: 1h, overlap: 1h}\n");
	crl_rows(&x, entries);
	pid = fork();
	if (pid == 0) {
		run();
		_exit(0);
	}
	(void)waitpid(pid, &status, 0);
	pubd_teardown(&x);
	return status == 0 ? 0 : 1;
}
