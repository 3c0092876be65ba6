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
#include "base/metrics.h"
#include "bench/crl_rows.h"
#include "bench/top.h"
#include "crl/publish.h"
#include "db/db_int.h"
#include "db/store_crl.h"
#include "tests/unit/pubd_fixture.h"

#define ROUNDS 5
#define MIDDLE 2 /* of ROUNDS */
#define TEXT_MAX 8192
#define METRICS_MAX ((size_t)1 << 20)

/* The gap between two lists, and a bit. */
#define GAP_US 1100000

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

/* Lists of all rows, or copies of the one before with a change. */
struct rounds {
	int64_t wall_us[ROUNDS], cpu_us; /* sorted; of all */
};

struct outcome {
	struct rounds read, copied;
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
one(struct publisher *p, struct rounds *out, int i)
{
	int64_t from = clock_mono_us();
	struct err e;

	out->cpu_us -= clock_cpu_us();
	if (publisher_turn(p, &e) == -1)
		die("turn", &e);
	out->cpu_us += clock_cpu_us();
	out->wall_us[i] = clock_mono_us() - from;
}

static void
measure(struct publisher *p, struct db *db, struct outcome *out)
{
	struct writer *w;
	struct err e;
	int i;

	memset(out, 0, sizeof(*out));
	for (i = 0; i < ROUNDS; i++) {
		forget(db);
		one(p, &out->read, i);
	}
	if (writer_new(pg_conninfo(x.pg, "chancery_oper"), "oper", "bench", &w,
		&e) == -1)
		die("writer", &e);
	for (i = 0; i < ROUNDS; i++) {
		(void)usleep(GAP_US);
		crl_rows_revoke(&x, w, (size_t)i);
		one(p, &out->copied, i);
	}
	writer_free(w);
	qsort(out->read.wall_us, ROUNDS, sizeof(int64_t), by_value);
	qsort(out->copied.wall_us, ROUNDS, sizeof(int64_t), by_value);
	out->crl = newest(db);
	out->pubd_mb = (double)memory_kb(getpid(), "VmHWM:") / 1024;
	out->signd_mb = (double)signd_kb() / 1024;
}

/* The mean of one part of all lists, as the publisher's metrics tell. */
static double
stage_ms(const char *name, const char *metrics)
{
	const char *sum =
	    arena_printf(x.a, "chancery_crl_seconds_sum{stage=\"%s\"} ", name);
	const char *count = arena_printf(
	    x.a, "chancery_crl_seconds_count{stage=\"%s\"} ", name);
	const char *s = strstr(metrics, sum), *n = strstr(metrics, count);
	double times;

	if (s == NULL || n == NULL)
		return 0;
	times = strtod(n + strlen(count), NULL);
	return times == 0 ? 0 : strtod(s + strlen(sum), NULL) * 1e3 / times;
}

static void
print_stages(void)
{
	static const char *const names[] = { "read", "copy", "sign", "record" };
	AUTO_BUF(b, METRICS_MAX);
	size_t i;

	metrics_render(&b);
	buf_u8(&b, '\0');
	if (!buf_ok(&b))
		return;
	for (i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		(void)printf("  %-14s %12.0f\n", names[i],
		    stage_ms(names[i], (const char *)b.p));
}

static void
print_rounds(const char *what, const struct rounds *r)
{
	(void)printf("%s, ms: best %.0f, median %.0f, worst %.0f; goal 2000\n",
	    what, (double)r->wall_us[0] / 1e3, (double)r->wall_us[MIDDLE] / 1e3,
	    (double)r->wall_us[ROUNDS - 1] / 1e3);
}

static void
print(const struct outcome *o)
{
	double size_mb = (double)o->crl.size / 1048576;
	const struct rounds *r = &o->read, *c = &o->copied;
	double p50_ms = (double)r->wall_us[MIDDLE] / 1e3;

	print_rounds("of all rows", r);
	print_rounds("of the list before", c);
	(void)printf("of it, in the mean, ms\n");
	print_stages();
	(void)printf("entries          %12llu\n"
		     "MB               %12.1f\n"
		     "pubd beside, MB  %12.1f   goal 100\n"
		     "signd beside, MB %12.1f   goal 100\n",
	    (unsigned long long)o->crl.entries, size_mb, o->pubd_mb - size_mb,
	    o->signd_mb - size_mb);
	(void)printf("{\"name\":\"crl\",\"cpu_us\":%lld,\"limit_us\":null,"
		     "\"ratio\":null,\"per_s\":%.2f,\"p50_ms\":%.0f,"
		     "\"p99_ms\":%.0f,\"best_ms\":%.0f,\"copy_p50_ms\":%.0f,"
		     "\"copy_p99_ms\":%.0f,\"rss_mb\":%.1f,"
		     "\"entries\":%llu,\"bytes\":%llu,"
		     "\"pubd_beside_mb\":%.1f,\"signd_beside_mb\":%.1f}\n",
	    (long long)(r->cpu_us / ROUNDS), 1e3 / p50_ms, p50_ms,
	    (double)r->wall_us[ROUNDS - 1] / 1e3, (double)r->wall_us[0] / 1e3,
	    (double)c->wall_us[MIDDLE] / 1e3,
	    (double)c->wall_us[ROUNDS - 1] / 1e3, o->pubd_mb,
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
	top_find();
	pubd_setup(&x);
	pubd_conf(&x, "  crl-urls: [\"http://c.test/ca.crl\"]\n"
		      "  crl: {interval: 1h, overlap: 1h, min-gap: 1s}\n");
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
