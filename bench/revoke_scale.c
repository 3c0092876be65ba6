/*
 * What a revocation costs with more and more certificates in the database: by
 * serial, by fingerprint, by key, and by a search for a name.
 * docs/benchmarks.md says how to read it.
 *
 *	bench/revoke_scale [certificates ...]
 *
 * The numbers rise; 100000 and 1000000 without any.  One JSON object
 * for each on standard output.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/auto.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/sha256.h"
#include "bench/top.h"
#include "ca/revoke.h"
#include "db/db_int.h"
#include "db/store_cert.h"
#include "tests/db/pg.h"
#include "tests/db/sample.h"

#define ACTS 200     /* of each kind at each size */
#define FILL 250000  /* certificates in one transaction */
#define PER_NAME 100 /* certificates that a search finds */
#define ROWS_MIN 100000
#define ROWS_MAX 20000000
/* Of so many in a row, one each is there for a series of acts ... */
#define CLASSES 64
/* ... and the last for searches, which find PER_NAME of these. */
#define GROUP (CLASSES * PER_NAME)

/* One cluster that grows. */
struct scale {
	struct pg *pg;
	struct db *super, *oper;
	struct writer *w;
	struct issuer tls;
	struct ctx ctx;
	long rows;          /* certificates so far */
	long series, group; /* so many were used */
};

enum how {
	BY_SERIAL,
	BY_FINGERPRINT,
	BY_KEY,
	BY_SEARCH,
	HOW__COUNT
};
static const char *const names[] = { "serial", "fingerprint", "key", "search" };

struct cost {
	double cpu_us, ms; /* each certificate */
};

static void
die(const char *what, const struct err *e)
{
	(void)fprintf(stderr, "bench: %s: %s\n", what, e->text);
	exit(1);
}

static void
sql(struct scale *x, const char *text)
{
	struct err e;

	if (db_script(x->super, text, &e) == -1)
		die("sql", &e);
}

/* Certificates 'from' to 'to' - 1, with every row that an issued one has. */
static void
fill(struct scale *x, long from, long to)
{
	AUTO(arena_auto) a = arena_new();
	const char *rows = arena_printf(a,
	    "SELECT i, (chancery.cert_month(now()) << 40) | i AS id,"
	    " '\\x40'::bytea || substr(sha256(('s' || i)::bytea), 1, 15)"
	    " AS serial FROM generate_series(%ld, %ld) AS i",
	    from, to - 1);

	sql(x, arena_printf(a,
		   "INSERT INTO chancery.cert (id, not_before, not_after,"
		   " sign_seq, issuer, sign_slot, serial, profile_hash,"
		   " spki_sha256, fingerprint, sign_head, protocol, txn,"
		   " profile, principal, subject, der)"
		   " SELECT id, now(), now() + interval '90 days', i, %d, 1,"
		   " serial, sha256('p'), sha256(('k' || i)::bytea),"
		   " sha256(('f' || i)::bytea), sha256('h'), 'acme',"
		   " 'bench-' || i, 'tls-server', 'acme:bench', '',"
		   " decode(repeat('30', 700), 'hex') FROM (%s) r",
		   x->tls.id, rows));
	sql(x, arena_printf(a,
		   "INSERT INTO chancery.cert_status (cert_id, not_after,"
		   " issuer, serial) SELECT id, now() + interval '90 days',"
		   " %d, serial FROM (%s) r",
		   x->tls.id, rows));
	sql(x, arena_printf(a,
		   "INSERT INTO chancery.cert_name (cert_id, type, rev)"
		   " SELECT id, 2, reverse('h' || i || CASE i %% %d"
		   " WHEN %d THEN '.g' || i / %d ELSE '.x' END"
		   " || '.bench.test') FROM (%s) r",
		   CLASSES, CLASSES - 1, GROUP, rows));
}

static void
grow(struct scale *x, long rows)
{
	long to;

	while (x->rows < rows) {
		to = rows - x->rows < FILL ? rows : x->rows + FILL;
		fill(x, x->rows, to);
		x->rows = to;
	}
	sql(x, "VACUUM ANALYZE chancery.cert");
	sql(x, "VACUUM ANALYZE chancery.cert_status");
	sql(x, "VACUUM ANALYZE chancery.cert_name");
	sql(x, "CHECKPOINT");
}

/* What number 'i' was filled in with. */
static void
hash_of(char kind, long i, uint8_t out[STORE_HASH_SIZE])
{
	char text[32];

	(void)snprintf(text, sizeof(text), "%c%ld", kind, i);
	sha256(span_str(text), out);
}

static const struct request_evidence operator= { .kind = EVIDENCE_OPERATOR,
	.name = "bench" };

static void
one(struct scale *x, struct span serial)
{
	const struct revoke_request r = { .evidence = &operator,
		.protocol = "cli",
		.issuer = &x->tls,
		.serial = serial,
		.reason = 4 };
	struct err e;

	if (revoke_submit(&x->ctx, &r, &e) == -1)
		die("revoke", &e);
}

static void
by_serial(struct scale *x, long i)
{
	uint8_t hash[STORE_HASH_SIZE], serial[16] = { 0x40 };

	hash_of('s', i, hash);
	memcpy(serial + 1, hash, 15);
	one(x, span_of(serial, sizeof(serial)));
}

static void
by_fingerprint(struct scale *x, long i)
{
	uint8_t hash[STORE_HASH_SIZE];
	struct store_cert row;
	struct err e;

	hash_of('f', i, hash);
	if (store_cert_by_fingerprint(x->oper, x->ctx.arena, hash, &row, &e) ==
	    -1)
		die("fingerprint", &e);
	one(x, row.serial);
}

static void
by_key(struct scale *x, long i)
{
	uint8_t hash[STORE_HASH_SIZE];
	struct revoke_many m = { .evidence = &operator,
		.protocol = "cli",
		.query = { .expired = -1, .reason = 1 } };
	struct err e;
	bool blocked;

	hash_of('k', i, hash);
	m.query.key = span_of(hash, sizeof(hash));
	if (revoke_key(&x->ctx, &m, &blocked, &e) == -1)
		die("key", &e);
	if (m.done != 1)
		die("key: not one", &e);
}

/* All of group 'i'. */
static void
by_search(struct scale *x, long i)
{
	struct revoke_many m = { .evidence = &operator,
		.protocol = "cli",
		.query = { .expired = 0, .reason = 4 } };
	struct err e;

	m.query.name = arena_printf(x->ctx.arena, "*.g%ld.bench.test", i);
	if (revoke_all(&x->ctx, &m, &e) == -1)
		die("search", &e);
	if (m.done != PER_NAME)
		die("search: not all", &e);
}

static void (*const acts[])(struct scale *, long) = {
	[BY_SERIAL] = by_serial,
	[BY_FINGERPRINT] = by_fingerprint,
	[BY_KEY] = by_key,
	[BY_SEARCH] = by_search,
};

/* Spread over all that there are, none of them twice. */
static struct cost
measure(struct scale *x, enum how how)
{
	long n = how == BY_SEARCH ? ACTS / PER_NAME : ACTS, k;
	long step = x->rows / CLASSES / n * CLASSES;
	int64_t wall = clock_mono_us(), cpu = clock_cpu_us();
	long long server = pg_cpu_us(x->pg);

	for (k = 0; k < n; k++) {
		x->ctx.arena = arena_new();
		acts[how](
		    x, how == BY_SEARCH ? x->group++ : k * step + x->series);
		arena_free(x->ctx.arena);
	}
	cpu = clock_cpu_us() - cpu;
	server = pg_cpu_us(x->pg) - server;
	wall = clock_mono_us() - wall;
	x->series += how != BY_SEARCH;
	return (struct cost){ (double)(cpu + server) / ACTS,
		(double)wall / 1000 / ACTS };
}

static void
start(struct scale *x)
{
	struct err e;

	x->pg = pg_new();
	x->super = db_new_bare(pg_conninfo(x->pg, "postgres"), "bench");
	x->oper = db_new(pg_conninfo(x->pg, "chancery_oper"), "bench");
	if (writer_new(pg_conninfo(x->pg, "chancery_oper"), "oper", "bench",
		&x->w, &e) == -1)
		die("writer", &e);
	x->tls.name = "tls";
	x->tls.id = sample_issuer(x->oper, "tls");
	x->ctx = (struct ctx){
		.db = x->oper, .writer = x->w, .request_id = "bench"
	};
}

static void
run(struct scale *x, long rows, bool first)
{
	struct cost c[HOW__COUNT];
	unsigned how;

	grow(x, rows);
	for (how = 0; how < HOW__COUNT; how++) {
		/* once before, so that every statement is prepared */
		if (first)
			(void)measure(x, (enum how)how);
		c[how] = measure(x, (enum how)how);
	}
	(void)printf("{\"name\":\"revoke_scale\",\"certificates\":%ld", rows);
	for (how = 0; how < HOW__COUNT; how++)
		(void)printf(",\"%s_us\":%.0f,\"%s_ms\":%.2f", names[how],
		    c[how].cpu_us, names[how], c[how].ms);
	(void)printf("}\n");
	(void)fflush(stdout);
}

int
main(int argc, char **argv)
{
	static const char *const usual[] = { "100000", "1000000" };
	struct scale x = { .rows = 0 };
	int n = argc > 1 ? argc - 1 : 2, i;
	long rows, last = ROWS_MIN - 1;

	log_init("bench", LOG_ERROR);
	top_find();
	start(&x);
	for (i = 0; i < n; i++) {
		rows = strtol(argc > 1 ? argv[i + 1] : usual[i], NULL, 10);
		if (rows <= last || rows > ROWS_MAX) {
			(void)fprintf(stderr, "usage: bench/revoke_scale "
					      "[certificates ...]\n");
			break;
		}
		run(&x, rows, i == 0);
		last = rows;
	}
	writer_free(x.w);
	db_free(x.oper);
	db_free(x.super);
	pg_free(x.pg);
	return i == n ? 0 : 2;
}
