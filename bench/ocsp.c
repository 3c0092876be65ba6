/*
 * What an OCSP answer costs, beside what a static answer costs by
 * libmicrohttpd and by nginx, and a signature; and what the table of statuses
 * costs.  docs/benchmarks.md says how to read it.
 *
 *	bench/ocsp [seconds [certificates [load]]]
 *
 * Each part prints one JSON object in a line.  'load' makes a throw-away
 * database with that many certificates and loads them from there.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "bench/ocsp_load.h"
#include "bench/ocsp_servers.h"
#include "bench/procs.h"
#include "bench/top.h"
#include "db/db_int.h"
#include "db/store_status.h"
#include "ocsp/snapshot.h"
#include "tests/db/pg.h"

#define SECONDS 6
#define SECONDS_MAX 200
#define WARM_SECONDS 2
#define CERTS 1000000
#define THREADS 2
#define CONNECTIONS 64
#define FEW 10000 /* certificates asked about, all in the cache */
#define NONCES 20000
#define CACHE 65536
/* So many that a cache of the smallest size has 1 of 200 answers. */
#define UNCACHED 100000
#define CACHE_SMALL 512
/*
 * The client looks for answers that often.  If it sleeps for each one, a
 * quarter of the server's time is the kernel waking and switching to it, which
 * clients on other machines would not ask for.
 */
#define PAUSE_US 100

struct asked {
	const struct span *requests;
	size_t n;
	bool post, is_signed;
	size_t cache, certs; /* of our server */
	unsigned pause_us;
};

struct cost {
	double cpu_us, per_s, p50_ms, p99_ms, rss_mb;
	size_t body;
};

static int seconds = SECONDS;

static void
measure(
    struct server *s, const struct asked *a, int seconds_now, struct cost *out)
{
	struct load l = { .port = s->port,
		.requests = a->requests,
		.n_requests = a->n,
		.threads = THREADS,
		.connections = CONNECTIONS,
		.pause_us = a->pause_us,
		.seconds = seconds_now };
	struct procs from, to;

	procs_tree(s->pid, &from);
	load_run(&l);
	procs_tree(s->pid, &to);
	if (l.failed > 0)
		(void)fprintf(stderr, "bench: %zu requests failed\n", l.failed);
	out->cpu_us = (double)(to.cpu_us - from.cpu_us) / (double)l.n;
	out->per_s = (double)l.n / l.wall_s;
	out->p50_ms = l.p50_ms;
	out->p99_ms = l.p99_ms;
	out->rss_mb = to.rss_mb;
	out->body = l.body;
}

enum {
	OURS,
	BARE,
	NGINX,
	SERVERS
};

/* One second of each, by turns: other work on the machine hits all alike. */
struct round {
	struct cost costs[SERVERS];
	double limit_us, ratio;
};

static void
take_round(struct server *all, size_t n, const struct asked *a, struct round *r)
{
	size_t i;

	for (i = 0; i < n; i++)
		measure(&all[i], a, 1, &r->costs[i]);
	r->limit_us = r->costs[BARE].cpu_us;
	if (a->is_signed)
		r->limit_us += signature_us(1);
	r->ratio = r->costs[OURS].cpu_us / r->limit_us;
}

static int
by_ratio(const void *a, const void *b)
{
	const struct round *x = a, *y = b;

	return (x->ratio > y->ratio) - (x->ratio < y->ratio);
}

static void
print(const char *name, const struct round *r, bool with_nginx)
{
	const struct round *middle = &r[seconds / 2];
	const struct cost *c = &middle->costs[OURS];
	const struct cost *nginx = &middle->costs[NGINX];

	(void)printf("{\"name\":\"%s\",\"cpu_us\":%.2f,\"limit_us\":%.2f,"
		     "\"ratio\":%.3f,\"least\":%.3f,\"most\":%.3f,"
		     "\"per_s\":%.0f,\"p50_ms\":%.3f,\"p99_ms\":%.3f,"
		     "\"rss_mb\":%.1f",
	    name, c->cpu_us, middle->limit_us, middle->ratio, r[0].ratio,
	    r[seconds - 1].ratio, c->per_s, c->p50_ms, c->p99_ms, c->rss_mb);
	if (with_nginx)
		(void)printf(",\"nginx_us\":%.2f,\"nginx_per_s\":%.0f,"
			     "\"of_nginx\":%.3f",
		    nginx->cpu_us, nginx->per_s, c->per_s / nginx->per_s);
	(void)printf("}\n");
	(void)fflush(stdout);
}

/* The same load on all servers, ours first: it tells the size of a body. */
static void
compare(const char *name, const struct asked *a)
{
	static uint8_t body[16384];
	static struct round rounds[SECONDS_MAX];
	struct server all[SERVERS] = { { .pid = 0 } };
	size_t n = NGINX, i;
	struct cost warm;

	server_ours(&all[OURS], a->cache, a->certs);
	measure(&all[OURS], a, WARM_SECONDS, &warm);
	server_bare(&all[BARE], span_of(body, warm.body));
	/* nginx answers no POST to a file */
	if (!a->post && server_nginx(&all[NGINX], span_of(body, warm.body)))
		n++;
	for (i = BARE; i < n; i++)
		measure(&all[i], a, 1, &warm);
	for (i = 0; i < (size_t)seconds; i++)
		take_round(all, n, a, &rounds[i]);
	for (i = 0; i < n; i++)
		server_end(&all[i]);
	qsort(rounds, (size_t)seconds, sizeof(rounds[0]), by_ratio);
	print(name, rounds, n > NGINX);
}

static struct span
serial(uint64_t n, uint8_t out[16])
{
	uint64_t h = (n + 1) * UINT64_C(0x9e3779b97f4a7c15);

	memcpy(out, &h, 8);
	h = (h ^ h >> 31) * UINT64_C(0xbf58476d1ce4e5b9);
	memcpy(out + 8, &h, 8);
	out[0] = (uint8_t)((out[0] & 0x3f) | 0x40);
	return span_of(out, 16);
}

static double
since(int64_t from_us)
{
	return (double)(clock_mono_us() - from_us) / 1e6;
}

static void
use_snapshot(struct epoch *ep, const struct status_table *t, double *write_s,
    double *load_s)
{
	char path[] = "/tmp/bench-status-XXXXXX";
	int fd = mkstemp(path);
	struct status_table *again;
	struct snapshot s = { 0 }, back;
	struct err e;
	int64_t from = clock_mono_us();

	if (fd == -1 || snapshot_write(path, t, &s, &e) == -1)
		abort();
	*write_s = since(from);
	from = clock_mono_us();
	if (snapshot_load(path, ep, &again, &back, &e) == -1)
		abort();
	*load_s = since(from);
	if (status_table_count(again) != status_table_count(t))
		abort();
	status_table_free(again);
	(void)close(fd);
	(void)unlink(path);
}

static void
table(size_t n)
{
	struct epoch *ep = epoch_new();
	struct epoch_reader *r = epoch_reader_new(ep);
	struct status_table *t = status_table_new(ep, n);
	struct status s = {
		.issuer = 1, .not_after = 1900000000, .reason = -1
	};
	double put_s, find_s, write_s, load_s;
	struct procs p;
	uint8_t octets[16];
	uint64_t word;
	int64_t from = clock_mono_us();
	size_t i, found = 0;

	for (i = 0; i < n; i++)
		(void)status_table_put(t, serial(i, octets), &s);
	put_s = since(from);
	from = clock_mono_us();
	for (i = 0; i < n; i++) {
		epoch_enter(r);
		found +=
		    status_table_find(t, 1, serial(2 * i, octets), &s, &word);
		epoch_leave(r);
	}
	find_s = since(from);
	procs_self(&p);
	use_snapshot(ep, t, &write_s, &load_s);
	(void)printf(
	    "{\"name\":\"ocsp table\",\"certificates\":%zu,"
	    "\"found\":%zu,\"bytes_each\":%.2f,\"rss_mb\":%.1f,"
	    "\"put_us\":%.3f,\"find_us\":%.3f,\"snapshot_write_s\":%.2f,"
	    "\"snapshot_load_s\":%.2f}\n",
	    n, found, (double)status_table_bytes(t) / (double)n, p.rss_mb,
	    put_s * 1e6 / (double)n, find_s * 1e6 / (double)n, write_s, load_s);
	(void)fflush(stdout);
	status_table_free(t);
	epoch_reader_free(r);
	epoch_free(ep);
}

struct filling {
	struct epoch *epoch;
	struct status_table *table;
};

static void
on_expect(void *arg, size_t rows)
{
	struct filling *f = arg;

	f->table = status_table_new(f->epoch, rows);
}

static int
on_row(void *arg, const struct store_status_row *row, struct err *e)
{
	struct filling *f = arg;
	struct status s = { .issuer = row->issuer,
		.not_after = row->not_after,
		.revoked = row->revoked,
		.reason = row->reason,
		.revoked_at = row->revoked_at };

	(void)e;
	(void)status_table_put(f->table, row->serial, &s);
	return 0;
}

/* The primary key is of no use to a load, and takes longest to fill. */
static void
fill(struct pg *pg, size_t n)
{
	struct db *db = db_new_bare(pg_conninfo(pg, "postgres"), "bench");
	char sql[400];
	struct err e;

	(void)snprintf(sql, sizeof(sql),
	    "SET search_path = chancery;"
	    "ALTER TABLE cert_status DROP CONSTRAINT cert_status_pkey;"
	    "INSERT INTO cert_status (cert_id, not_after, issuer, serial)"
	    " SELECT n, now() + interval '90 days', 1,"
	    " decode('4' || substr(md5(n::text), 2), 'hex')"
	    " FROM generate_series(1, %zu) n; ANALYZE cert_status",
	    n);
	if (db_script(db, sql, &e) == -1) {
		(void)fprintf(stderr, "bench: %s\n", e.text);
		exit(1);
	}
	db_free(db);
}

static void
database(struct pg *pg)
{
	const char *conninfo = pg_conninfo(pg, "chancery_ocsp");
	struct filling f = { .epoch = epoch_new() };
	const struct store_status_sink sink = { on_expect, on_row, &f };
	struct db *db = db_new(conninfo, "bench");
	struct store_status_marks marks = { 0 };
	long long pg_us = pg_cpu_us(pg);
	int64_t from = clock_mono_us(), cpu = clock_cpu_us();
	struct procs p;
	struct err e;
	double load_s;

	if (store_status_load(db, &sink, &marks, &e) == -1) {
		(void)fprintf(stderr, "bench: %s\n", e.text);
		exit(1);
	}
	load_s = since(from);
	cpu = clock_cpu_us() - cpu;
	procs_self(&p);
	db_free(db); /* its backend's time counts when it has ended */
	(void)usleep(300000);
	(void)printf("{\"name\":\"ocsp load\",\"certificates\":%zu,"
		     "\"load_s\":%.2f,\"own_cpu_s\":%.2f,"
		     "\"postgres_cpu_s\":%.2f,\"bytes_each\":%.2f,"
		     "\"rss_mb\":%.1f}\n",
	    status_table_count(f.table), load_s, (double)cpu / 1e6,
	    (double)(pg_cpu_us(pg) - pg_us) / 1e6,
	    (double)status_table_bytes(f.table) /
		(double)status_table_count(f.table),
	    p.rss_mb);
	status_table_free(f.table);
	store_status_marks_clear(&marks);
	epoch_free(f.epoch);
}

static void
answers(struct arena *a, size_t certs)
{
	const struct span *get = servers_requests(a, FEW, 0, 0);
	const struct span *post = servers_requests(a, FEW, 1, 0);
	const struct span *many = servers_requests(a, UNCACHED, 0, 0);
	const struct span *nonce = servers_requests(a, NONCES, 1, 16);

	compare("ocsp cached GET",
	    &(struct asked){ get, FEW, false, false, CACHE, FEW, PAUSE_US });
	compare("ocsp cached GET of many",
	    &(struct asked){ get, FEW, false, false, CACHE,
		certs < FEW ? FEW : certs, PAUSE_US });
	compare("ocsp cached POST",
	    &(struct asked){ post, FEW, true, false, CACHE, FEW, PAUSE_US });
	compare(
	    "ocsp uncached GET", &(struct asked){ many, UNCACHED, false, true,
				     CACHE_SMALL, UNCACHED, PAUSE_US });
	compare("ocsp uncached GET, client woken",
	    &(struct asked){
		many, UNCACHED, false, true, CACHE_SMALL, UNCACHED, 0 });
	compare("ocsp nonce POST", &(struct asked){ nonce, NONCES, true, true,
				       CACHE, NONCES, PAUSE_US });
}

int
main(int argc, char **argv)
{
	size_t certs = argc > 2 ? strtoul(argv[2], NULL, 10) : CERTS;
	struct arena *a = arena_new();
	struct pg *pg;

	if (argc > 1)
		seconds = (int)strtol(argv[1], NULL, 10);
	if (argc > 4 || seconds < 1 || seconds > SECONDS_MAX || certs < 1) {
		(void)fputs("usage: bench/ocsp [seconds [certificates "
			    "[load]]]\n",
		    stderr);
		return 2;
	}
	answers(a, certs);
	table(certs);
	if (argc > 3) {
		top_find();
		pg = pg_new();
		fill(pg, certs);
		database(pg);
		pg_free(pg);
	}
	arena_free(a);
	return 0;
}
