/*
 * What an enrollment over EST costs: 32 clients on keep-alive connections over
 * HTTPS, first with a secret, then renewing with their certificates, beside
 * what bench/issue says of the pipeline alone.  docs/benchmarks.md says how to
 * read it.
 *
 *	bench/est [seconds]
 *
 * The last line of standard output is one JSON object.
 */
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <openssl/ec.h>
#include <openssl/evp.h>

#include "base/clock.h"
#include "bench/csrs.h"
#include "bench/est_load.h"
#include "bench/est_world.h"
#include "bench/limit.h"
#include "bench/procs.h"
#include "bench/top.h"

#define CLIENTS 32
#define SECONDS 12
#define WARM_SECONDS 3
#define LIMIT_SECONDS 2
/* Requests that are made beforehand for each second; more are not sent. */
#define RATE_MAX 3000

struct usage {
	struct procs driver, enrolld, signd, postgres;
};

/* What was measured, per certificate. */
struct outcome {
	struct latency_sum sum;
	double wall_s, driver_us, enrolld_us, signd_us, postgres_us, rss_mb;
};

struct run {
	const struct est_world *world;
	struct est_load load;
	struct limit limit;
	double issue_us, issue_ratio;
	struct outcome secret, cert;
};

static struct est_client clients[CLIENTS];
static volatile sig_atomic_t interrupted;

static void
on_signal(int sig)
{
	interrupted = sig;
}

static _Noreturn void
die(const char *what)
{
	(void)fprintf(stderr, "bench: %s\n", what);
	exit(1);
}

/* The number after "name": in the last line of an output. */
static double
number_in(const char *text, const char *name)
{
	const char *line = strrchr(text, '{'), *p;

	p = line == NULL ? NULL : strstr(line, name);
	if (p == NULL)
		die("bench/issue printed no figures");
	return strtod(p + strlen(name), NULL);
}

/* bench/issue beside us, in a process of its own, before we use anything. */
static void
run_issue(struct run *r, const char *self, const char *seconds)
{
	const char *slash = strrchr(self, '/');
	char path[512], text[8192];
	size_t n = 0;
	ssize_t got;
	int fds[2];
	pid_t pid;

	(void)snprintf(path, sizeof(path), "%.*sissue",
	    slash == NULL ? 0 : (int)(slash + 1 - self), self);
	if (pipe(fds) == -1 || (pid = fork()) == -1)
		die("no process");
	if (pid == 0) {
		(void)dup2(fds[1], STDOUT_FILENO);
		(void)dup2(open("/dev/null", O_WRONLY), STDERR_FILENO);
		(void)close(fds[0]);
		(void)close(fds[1]);
		(void)execl(path, path, seconds, (char *)NULL);
		_exit(127);
	}
	(void)close(fds[1]);
	while ((got = read(fds[0], text + n, sizeof(text) - 1 - n)) > 0)
		n += (size_t)got;
	text[n] = '\0';
	(void)close(fds[0]);
	(void)waitpid(pid, NULL, 0);
	r->issue_us = number_in(text, "\"cpu_us\":");
	r->issue_ratio = number_in(text, "\"ratio\":");
}

/* Each client renews its own name, with a new key each time. */
static void
make_requests(struct arena *a, int seconds)
{
	size_t n = (size_t)(seconds + WARM_SECONDS) * RATE_MAX / CLIENTS;
	struct span *csrs;
	char name[64];
	size_t i, k;

	for (i = 0; i < CLIENTS; i++) {
		(void)snprintf(name, sizeof(name), "host-%zu.bench.test", i);
		csrs = arena_array(a, n, sizeof(*csrs));
		for (k = 0; k < n && !interrupted; k++) {
			EVP_PKEY *key = EVP_EC_gen("P-256");

			csrs[k] = csr_make(a, key, name);
			EVP_PKEY_free(key);
		}
		clients[i].csrs = csrs;
		clients[i].n_csrs = n;
	}
}

/* The certificates that renew. */
static void
first_certs(struct run *r, struct arena *a)
{
	char name[64];
	size_t i;

	for (i = 0; i < CLIENTS && !interrupted; i++) {
		(void)snprintf(name, sizeof(name), "host-%zu.bench.test", i);
		clients[i].key = EVP_EC_gen("P-256");
		est_load_first(
		    &r->load, &clients[i], csr_make(a, clients[i].key, name));
	}
}

/* A signal or the last request ends it early. */
static void
wait_seconds(struct est_load *l, int seconds)
{
	int64_t until = clock_mono_us() + (int64_t)seconds * 1000000;
	struct timespec t = { .tv_nsec = 10000000 };

	while (!interrupted && clock_mono_us() < until &&
	       atomic_load(&l->at_work) == l->n_clients)
		(void)nanosleep(&t, NULL);
}

static void
use(const struct run *r, struct usage *u)
{
	procs_self(&u->driver);
	procs_tree(r->world->enrolld, &u->enrolld);
	procs_tree(r->world->ca->signd, &u->signd);
	procs_tree(r->world->ca->postgres, &u->postgres);
}

static double
per(const struct procs *to, const struct procs *from, size_t n)
{
	return (double)(to->cpu_us - from->cpu_us) / (double)(n == 0 ? 1 : n);
}

static void
measure(struct run *r, bool renew, int seconds, struct outcome *o)
{
	struct usage from, to;
	int64_t wall;

	r->load.renew = renew;
	est_load_start(&r->load);
	wait_seconds(&r->load, WARM_SECONDS);
	use(r, &from);
	wall = clock_mono_us();
	atomic_store(&r->load.measuring, true);
	wait_seconds(&r->load, seconds);
	atomic_store(&r->load.measuring, false);
	wall = clock_mono_us() - wall;
	use(r, &to);
	est_load_stop(&r->load, &o->sum);
	if (interrupted)
		die("interrupted");
	o->wall_s = (double)wall / 1e6;
	o->driver_us = per(&to.driver, &from.driver, o->sum.n);
	o->enrolld_us = per(&to.enrolld, &from.enrolld, o->sum.n);
	o->signd_us = per(&to.signd, &from.signd, o->sum.n);
	o->postgres_us = per(&to.postgres, &from.postgres, o->sum.n);
	o->rss_mb = to.enrolld.rss_mb + to.signd.rss_mb + to.postgres.rss_mb;
}

/* Before and after the load, because machines change their speed. */
static void
measure_limit(struct run *r, struct limit *out)
{
	struct err e;

	if (limit_measure(r->world->ca->token, &r->world->ca->key,
		clients[0].csrs[0], LIMIT_SECONDS, out, &e) == -1)
		die(e.text);
}

static double
cpu_of(const struct outcome *o)
{
	return o->enrolld_us + o->signd_us + o->postgres_us;
}

static void
print_outcome(const char *what, const struct run *r, const struct outcome *o)
{
	double limit = r->limit.sign_us + r->limit.verify_us;

	(void)printf("\n%s: %zu certificates in %.0f s: %.0f/s, "
		     "p50 %.2f ms, p99 %.2f ms, memory %.0f MB\n",
	    what, o->sum.n, o->wall_s, (double)o->sum.n / o->wall_s,
	    o->sum.p50_ms, o->sum.p99_ms, o->rss_mb);
	(void)printf("  %-24s %9s\n", "processes", "CPU us");
	(void)printf("  %-24s %9.1f\n", "chancery-enrolld", o->enrolld_us);
	(void)printf("  %-24s %9.1f\n", "chancery-signd", o->signd_us);
	(void)printf("  %-24s %9.1f\n", "PostgreSQL", o->postgres_us);
	(void)printf("  %-24s %9.1f\n", "all", cpu_of(o));
	(void)printf("  %-24s %9.1f\n", "clients (not counted)", o->driver_us);
	(void)printf(
	    "  %-24s %9.2f\n", "ratio to the limit", cpu_of(o) / limit);
	(void)printf(
	    "  %-24s %9.2f\n", "to bench/issue", cpu_of(o) / r->issue_us);
}

static void
print_json(const struct run *r)
{
	const struct outcome *s = &r->secret, *c = &r->cert;
	double limit = r->limit.sign_us + r->limit.verify_us;

	(void)printf("{\"name\":\"est\",\"cpu_us\":%.1f,\"limit_us\":%.1f,"
		     "\"ratio\":%.3f,\"per_s\":%.0f,\"p50_ms\":%.2f,"
		     "\"p99_ms\":%.2f,\"rss_mb\":%.1f,\"clients\":%d,"
		     "\"enrolld_us\":%.1f,\"signd_us\":%.1f,"
		     "\"postgres_us\":%.1f,\"issue_us\":%.1f,"
		     "\"of_issue\":%.3f,",
	    cpu_of(s), limit, cpu_of(s) / limit, (double)s->sum.n / s->wall_s,
	    s->sum.p50_ms, s->sum.p99_ms, s->rss_mb, CLIENTS, s->enrolld_us,
	    s->signd_us, s->postgres_us, r->issue_us, cpu_of(s) / r->issue_us);
	(void)printf("\"renew_cpu_us\":%.1f,\"renew_ratio\":%.3f,"
		     "\"renew_per_s\":%.0f,\"renew_enrolld_us\":%.1f,"
		     "\"renew_signd_us\":%.1f,\"renew_postgres_us\":%.1f,"
		     "\"renew_of_issue\":%.3f}\n",
	    cpu_of(c), cpu_of(c) / limit, (double)c->sum.n / c->wall_s,
	    c->enrolld_us, c->signd_us, c->postgres_us,
	    cpu_of(c) / r->issue_us);
}

static void
run(struct run *r, struct arena *a, int seconds)
{
	struct limit before, after;

	r->world = est_world_new();
	r->load = (struct est_load){ .port = r->world->port,
		.host = EST_WORLD_HOST,
		.root = r->world->root,
		.user = EST_WORLD_USER,
		.secret = r->world->secret,
		.clients = clients,
		.n_clients = CLIENTS };
	make_requests(a, seconds);
	first_certs(r, a);
	measure_limit(r, &before);
	measure(r, false, seconds, &r->secret);
	measure(r, true, seconds, &r->cert);
	measure_limit(r, &after);
	r->limit.sign_us = (before.sign_us + after.sign_us) / 2;
	r->limit.verify_us = (before.verify_us + after.verify_us) / 2;
	(void)printf("limit: token signature %.1f us, possession %.1f us\n"
		     "bench/issue: %.1f us, ratio %.2f\n",
	    r->limit.sign_us, r->limit.verify_us, r->issue_us, r->issue_ratio);
	print_outcome("with a secret", r, &r->secret);
	print_outcome("renewed with a certificate", r, &r->cert);
	print_json(r);
}

int
main(int argc, char **argv)
{
	int seconds = argc > 1 ? (int)strtol(argv[1], NULL, 10) : SECONDS;
	struct sigaction act = { .sa_handler = on_signal };
	struct sigaction ignore = { .sa_handler = SIG_IGN };
	static struct run r;
	struct arena *a;
	char text[16];

	if (argc > 2 || seconds < 1 || seconds > 60) {
		(void)fputs("usage: bench/est [seconds]\n", stderr);
		return 2;
	}
	top_find();
	(void)snprintf(text, sizeof(text), "%d", seconds);
	run_issue(&r, argv[0], text);
	(void)sigaction(SIGINT, &act, NULL);
	(void)sigaction(SIGTERM, &act, NULL);
	(void)sigaction(SIGPIPE, &ignore, NULL);
	a = arena_new();
	run(&r, a, seconds);
	arena_free(a);
	return 0;
}
