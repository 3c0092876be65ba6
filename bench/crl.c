/*
 * One CRL of many entries, from the rows in PostgreSQL to the bytes in
 * PostgreSQL: read, built, signed, verified, recorded.  One JSON line; the
 * memory is that of the process at its peak without the list's own bytes.
 * Usage: bench/crl [entries], from the build directory.
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

/* In a process of its own, as in chancery-pubd. */
static void
measure(void)
{
	const char *file = arena_printf(x.a, "%s/chancery.yaml", x.fx.dir);
	struct settings_file *settings;
	struct publish_conf conf = { .holder = "bench" };
	struct publisher *p;
	struct store_crl c;
	int64_t wall, cpu, best = INT64_MAX, best_cpu = 0;
	struct err e;
	int i;

	if (settings_load(file, &settings, &e) == -1 ||
	    engine_new(settings_get(settings), "pub", "bench", &conf.engine,
		&e) == -1 ||
	    engine_start(conf.engine, &e) == -1)
		die("engine", &e);
	conf.settings = settings_get(settings);
	conf.ctx = engine_ctx_new(conf.engine);
	p = publisher_new(&conf);
	for (i = 0; i < ROUNDS; i++) {
		forget(conf.ctx->db);
		wall = clock_mono_us();
		cpu = clock_cpu_us();
		if (publisher_turn(p, &e) == -1)
			die("turn", &e);
		wall = clock_mono_us() - wall;
		if (wall < best) {
			best = wall;
			best_cpu = clock_cpu_us() - cpu;
		}
	}
	c = newest(conf.ctx->db);
	(void)printf("{\"bench\": \"crl\", \"entries\": %llu, \"bytes\": %llu,"
		     " \"seconds\": %.3f, \"pubd_cpu_s\": %.3f,"
		     " \"pubd_beside_mb\": %.1f, \"signd_beside_mb\": %.1f}\n",
	    (unsigned long long)c.entries, (unsigned long long)c.size,
	    (double)best / 1e6, (double)best_cpu / 1e6,
	    (double)memory_kb(getpid(), "VmHWM:") / 1024 -
		(double)c.size / 1048576,
	    (double)signd_kb() / 1024 - (double)c.size / 1048576);
	(void)fflush(stdout);
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
	pubd_setup(&x);
	pubd_conf(&x, "  crl-urls: [\"http://c.test/ca.crl\"]\n"
		      "  crl: {interval: 1h, overlap: 1h}\n");
	crl_rows(&x, entries);
	pid = fork();
	if (pid == 0) {
		measure();
		_exit(0);
	}
	(void)waitpid(pid, &status, 0);
	pubd_teardown(&x);
	return status == 0 ? 0 : 1;
}
