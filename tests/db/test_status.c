/*
 * The feed of status changes: writers that commit late and roll back, gaps, a
 * database that went back in time, and the requests of responders.
 */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include <openssl/evp.h>

#include "base/clock.h"
#include "db/db_int.h"
#include "db/store_status.h"
#include "ocsp/status_table.h"
#include "tests/db/sample.h"

#define WRITERS 8
#define ROUNDS 150
#define FIRST_WRITER 4200

static struct pg *pg;
static struct db *super, *db;
static int issuer;
static struct epoch *ep;
static struct epoch_reader *reader;

/* What a responder keeps. */
struct copy {
	struct status_table *table;
	struct store_status_marks marks;
	size_t expected, rows, refused;
};

static int
setup(void **state)
{
	struct db *oper;

	(void)state;
	pg = pg_new();
	oper = db_new(pg_conninfo(pg, "chancery_oper"), "test");
	issuer = sample_issuer(oper, "tls");
	db_free(oper);
	super = db_new(pg_conninfo(pg, "postgres"), "test");
	db = db_new(pg_conninfo(pg, "chancery_ocsp"), "test");
	ep = epoch_new();
	reader = epoch_reader_new(ep);
	return 0;
}

static int
teardown(void **state)
{
	(void)state;
	epoch_reader_free(reader);
	epoch_free(ep);
	db_free(db);
	db_free(super);
	pg_free(pg);
	return 0;
}

static void
script(struct db *to, const char *sql)
{
	struct err e = { .text = "" };

	if (db_script(to, sql, &e) == -1)
		fail_msg("%s: %s", sql, e.text);
}

static void
on_expect(void *arg, size_t rows)
{
	((struct copy *)arg)->expected = rows;
}

static int
on_row(void *arg, const struct store_status_row *row, struct err *e)
{
	struct copy *c = arg;
	struct status s = { .issuer = row->issuer,
		.not_after = row->not_after,
		.revoked = row->revoked,
		.reason = row->reason,
		.revoked_at = row->revoked_at };

	c->rows++;
	switch (status_table_put(c->table, row->serial, &s)) {
	case STATUS_PUT_BAD:
		return err_set(e, ERR_INTERNAL, "a row is out of range");
	case STATUS_PUT_REFUSED:
		c->refused++;
		break;
	default:
		break;
	}
	return 0;
}

static void
copy_init(struct copy *c, struct store_status_sink *sink)
{
	*c = (struct copy){ .table = status_table_new(ep, 0) };
	*sink = (struct store_status_sink){ on_expect, on_row, c };
}

static void
copy_clear(struct copy *c)
{
	status_table_free(c->table);
	store_status_marks_clear(&c->marks);
}

static void
load(struct copy *c, const struct store_status_sink *sink)
{
	struct err e = { .text = "" };

	if (store_status_load(db, sink, &c->marks, &e) == -1)
		fail_msg("%s", e.text);
}

static enum store_status_found
poll_once(struct copy *c, const struct store_status_sink *sink)
{
	struct store_status_news news;
	struct err e = { .text = "" };

	if (store_status_poll(db, sink, &c->marks, &news, &e) == -1)
		fail_msg("%s", e.text);
	assert_false(news.replica);
	return news.found;
}

static void
poll_all(struct copy *c, const struct store_status_sink *sink)
{
	enum store_status_found found;

	do
		found = poll_once(c, sink);
	while (found == STORE_STATUS_MORE);
	assert_int_equal(found, STORE_STATUS_OK);
}

/* Every row of the database is in the table as it is there. */
static void
check_same(const struct copy *c)
{
	static const char sql[] =
	    "SELECT serial, status, reason, revoked_at, not_after, issuer"
	    " FROM cert_status";
	AUTO(PGresult) r = NULL;
	struct db_args none = { .n = 0 };
	struct err e = { .text = "" };
	struct status s;
	uint64_t word;
	int i;

	if (db_query(super, sql, &none, &r, &e) == -1)
		fail_msg("%s", e.text);
	assert_int_equal(PQntuples(r), status_table_count(c->table));
	for (i = 0; i < PQntuples(r); i++) {
		epoch_enter(reader);
		assert_true(status_table_find(c->table, db_i4(r, i, 5),
		    span_of(PQgetvalue(r, i, 0), (size_t)PQgetlength(r, i, 0)),
		    &s, &word));
		epoch_leave(reader);
		assert_int_equal(s.revoked, db_i2(r, i, 1));
		assert_int_equal(s.not_after, db_time(r, i, 4));
		if (!s.revoked)
			continue;
		assert_int_equal(s.reason, db_i2(r, i, 2));
		assert_int_equal(s.revoked_at, db_time(r, i, 3));
	}
}

/* One who writes as db/writer does, but slowly, and not always to the end. */
struct slow {
	int number;
	uint32_t x;
	pthread_t thread;
	int committed, rolled_back;
};

static _Atomic int writing;

static uint32_t
next_random(uint32_t *x)
{
	*x ^= *x << 13;
	*x ^= *x >> 17;
	return *x ^= *x << 5;
}

#define CHANGE_COLS                                                            \
	"INSERT INTO status_change (writer, seq, cert_id, not_after,"          \
	" revoked_at, issuer, status, reason, serial) "
#define NEXT_SEQ(n)                                                            \
	"(SELECT coalesce(max(seq), 0) + 1 FROM status_change WHERE writer ="  \
	" " n ")"

/* Issues one certificate, and revokes, holds or releases another. */
static void
write_both(struct db *to, const struct slow *w, int n, uint32_t what)
{
	static const char *const sets[] = {
		"status = 1, reason = 6, revoked_at = date_trunc('s', now())"
		" WHERE status = 0",
		"status = 0, reason = -1, revoked_at = NULL WHERE reason = 6",
		"status = 1, reason = 1, revoked_at = coalesce(revoked_at,"
		" date_trunc('s', now())) WHERE (status = 0 OR reason = 6)"
	};
	char sql[2000];

	(void)snprintf(sql, sizeof(sql),
	    "WITH t AS (INSERT INTO cert_status (cert_id, not_after, issuer,"
	    " serial) VALUES (%d, '2030-01-01', %d, '\\x40%04x%06x')"
	    " RETURNING *) " CHANGE_COLS "SELECT %d, " NEXT_SEQ(
		"%d") ", cert_id, not_after, NULL, issuer, 0, -1, serial"
		      " FROM t",
	    n, issuer, (unsigned)w->number, (unsigned)n, w->number, w->number);
	script(to, sql);
	/* one row a transaction: two would lock each other's */
	(void)snprintf(sql, sizeof(sql),
	    "WITH t AS (UPDATE cert_status SET %s"
	    " AND serial = '\\x40%04x%06x' RETURNING *) " CHANGE_COLS
	    "SELECT %d, " NEXT_SEQ(
		"%d") ", cert_id, not_after, revoked_at,"
		      " issuer, status, reason, serial FROM t",
	    sets[what % 3], FIRST_WRITER + what / 256 % WRITERS, what / 8 % 20,
	    w->number, w->number);
	script(to, sql);
}

static void *
write_slowly(void *arg)
{
	struct slow *w = arg;
	struct db *to = db_new(pg_conninfo(pg, "postgres"), "slow");
	uint32_t x;
	int i;

	for (i = 0; i < ROUNDS; i++) {
		script(to, "BEGIN");
		write_both(to, w, i, next_random(&w->x));
		x = next_random(&w->x);
		if (x % 4 == 0)
			(void)usleep(x / 4 % 20000);
		if (x % 5 == 0) {
			script(to, "ROLLBACK");
			w->rolled_back++;
		} else {
			script(to, "COMMIT");
			w->committed++;
		}
	}
	db_free(to);
	atomic_fetch_sub(&writing, 1);
	return NULL;
}

static void
start_writers(struct slow *w)
{
	char sql[200];
	int i;

	atomic_store(&writing, WRITERS);
	for (i = 0; i < WRITERS; i++) {
		w[i] = (struct slow){ .number = FIRST_WRITER + i,
			.x = 77 + (uint32_t)i };
		(void)snprintf(sql, sizeof(sql),
		    "INSERT INTO writer VALUES (%d, 1, 't', 't', now())",
		    w[i].number);
		script(super, sql);
		assert_int_equal(
		    pthread_create(&w[i].thread, NULL, write_slowly, &w[i]), 0);
	}
}

/*
 * Readers that begin before, in the middle and late, while eight writers
 * commit out of order and roll back: none misses a change.
 */
static void
test_late_commits(void **state)
{
	struct slow w[WRITERS];
	struct copy c[3];
	struct store_status_sink sink[3];
	size_t i, polls = 0;
	int rolled_back = 0;

	(void)state;
	for (i = 0; i < 3; i++)
		copy_init(&c[i], &sink[i]);
	load(&c[0], &sink[0]);
	start_writers(w);
	while (atomic_load(&writing) > 0) {
		poll_all(&c[0], &sink[0]);
		if (polls == 20)
			load(&c[1], &sink[1]);
		if (polls > 20)
			poll_all(&c[1], &sink[1]);
		polls++;
	}
	load(&c[2], &sink[2]);
	for (i = 0; i < WRITERS; i++) {
		(void)pthread_join(w[i].thread, NULL);
		rolled_back += w[i].rolled_back;
	}
	assert_true(rolled_back > 0 && polls > 25);
	assert_true(status_table_revoked(c[0].table) > 10);
	for (i = 0; i < 3; i++) {
		poll_all(&c[i], &sink[i]);
		check_same(&c[i]);
		assert_int_equal(c[i].refused, 0);
		assert_int_equal(c[i].marks.n, c[0].marks.n);
		assert_memory_equal(c[i].marks.list, c[0].marks.list,
		    c[0].marks.n * sizeof(c[0].marks.list[0]));
	}
	for (i = 0; i < 3; i++)
		copy_clear(&c[i]);
}

/* More changes than one poll reads, by real writers. */
static void
test_chunks(void **state)
{
	struct store_status_sink sink;
	struct copy c;
	char sql[600];

	(void)state;
	copy_init(&c, &sink);
	load(&c, &sink);
	(void)snprintf(sql, sizeof(sql),
	    "INSERT INTO writer VALUES (5000, 1, 't', 't', now());"
	    "WITH t AS (INSERT INTO cert_status (cert_id, not_after, issuer,"
	    " serial) SELECT n, '2031-01-01', %d, decode('40' || lpad(to_hex(n),"
	    " 38, '0'), 'hex') FROM generate_series(1, 9000) n RETURNING *)"
	    " " CHANGE_COLS "SELECT 5000, row_number() OVER (), cert_id,"
	    " not_after, NULL, issuer, 0, -1, serial FROM t",
	    issuer);
	script(super, sql);
	assert_int_equal(poll_once(&c, &sink), STORE_STATUS_MORE);
	poll_all(&c, &sink);
	check_same(&c);
	copy_clear(&c);
}

/* What only a restored, broken or tampered database shows. */
static void
test_other_histories(void **state)
{
	struct store_status_sink sink;
	struct copy c;
	size_t rows;

	(void)state;
	copy_init(&c, &sink);
	load(&c, &sink);
	poll_all(&c, &sink);
	rows = c.rows;
	script(super, "ALTER TABLE status_change DISABLE TRIGGER ALL;"
		      "UPDATE status_change SET at = at - interval '1 s'"
		      " WHERE writer = 5000 AND seq = 9000");
	assert_int_equal(poll_once(&c, &sink), STORE_STATUS_ANOTHER);
	script(super, "UPDATE status_change SET at = at + interval '1 s'"
		      " WHERE writer = 5000 AND seq = 9000");
	poll_all(&c, &sink);
	/* a backup from before the last changes */
	script(super, "CREATE TABLE kept AS SELECT * FROM status_change"
		      " WHERE writer = 5000 AND seq > 8990;"
		      "DELETE FROM status_change WHERE writer = 5000"
		      " AND seq > 8990");
	assert_int_equal(poll_once(&c, &sink), STORE_STATUS_BEHIND);
	/* its writer goes on */
	script(super, "INSERT INTO status_change SELECT writer, seq, now(),"
		      " cert_id, not_after, revoked_at, issuer, status,"
		      " reason, serial FROM kept");
	assert_int_equal(poll_once(&c, &sink), STORE_STATUS_ANOTHER);
	script(super, "DELETE FROM status_change WHERE writer = 5000"
		      " AND seq > 8990;"
		      "INSERT INTO status_change SELECT * FROM kept;"
		      "UPDATE kept SET seq = seq + 11");
	poll_all(&c, &sink);
	/* a number left out */
	script(super, "INSERT INTO status_change SELECT * FROM kept");
	assert_int_equal(poll_once(&c, &sink), STORE_STATUS_GAP);
	assert_int_equal(c.rows, rows);
	script(super, "DELETE FROM writer WHERE number = 5000;"
		      "DELETE FROM status_change WHERE writer = 5000");
	assert_int_equal(poll_once(&c, &sink), STORE_STATUS_BEHIND);
	copy_clear(&c);
}

static void
test_responder(void **state)
{
	AUTO(arena_auto) a = arena_new();
	struct store_responder r = { .host = "node1",
		.issuer = issuer,
		.spki = span_str("key"),
		.not_after = 1900000000,
		.signature = span_str("sig") };
	struct store_responder got;
	uint8_t key[32]; /* of sample_issuer */
	struct err e;
	int id;

	(void)state;
	assert_int_equal(
	    store_responder_get(db, a, "node1", issuer, &got, &e), -1);
	assert_int_equal(e.kind, ERR_NOT_FOUND);
	assert_int_equal(store_responder_put(db, &r, &e), 0);
	script(super, "UPDATE responder SET cert = 'abc',"
		      " certified_at = now(), fault = 'none'");
	assert_int_equal(
	    store_responder_get(db, a, "node1", issuer, &got, &e), 0);
	assert_true(span_is(got.spki, "key") && span_is(got.signature, "sig"));
	assert_int_equal(got.not_after, 1900000000);
	assert_true(span_is(got.cert, "abc"));
	assert_true(got.certified_at > 0 && got.asked_at > 0);
	assert_string_equal(got.fault, "none");
	/* the same key again keeps the answer, another one does not */
	assert_int_equal(store_responder_put(db, &r, &e), 0);
	assert_int_equal(
	    store_responder_get(db, a, "node1", issuer, &got, &e), 0);
	assert_true(span_is(got.cert, "abc"));
	r.spki = span_str("key2");
	assert_int_equal(store_responder_put(db, &r, &e), 0);
	assert_int_equal(
	    store_responder_get(db, a, "node1", issuer, &got, &e), 0);
	assert_true(span_is(got.spki, "key2") && got.cert.n == 0);
	assert_null(got.fault);
	assert_int_equal(got.certified_at, 0);
	assert_int_equal(
	    EVP_Digest("tls 0", 5, key, NULL, EVP_sha256(), NULL), 1);
	assert_int_equal(store_status_issuer(db, key, &id, &e), 0);
	assert_int_equal(id, issuer);
	assert_int_equal(
	    store_status_issuer(db, (const uint8_t[32]){ 9 }, &id, &e), -1);
	assert_int_equal(e.kind, ERR_NOT_FOUND);
}

/* A waiting reader hears of a change at once. */
static void
test_wait(void **state)
{
	struct db *wait = db_new(pg_conninfo(pg, "chancery_ocsp"), "wait");
	int64_t from = clock_mono_us();
	struct err e;

	(void)state;
	assert_int_equal(store_status_wait(wait, 20000, &e), 0);
	script(super, "NOTIFY chancery_status");
	assert_int_equal(store_status_wait(wait, 20000, &e), 0);
	assert_true(clock_mono_us() - from < 10000000);
	from = clock_mono_us();
	assert_int_equal(store_status_wait(wait, 50, &e), 0);
	assert_true(clock_mono_us() - from >= 45000);
	db_free(wait);
}

/* The server goes away in the middle; nothing is taken twice or lost. */
static void
test_restart(void **state)
{
	struct store_status_news news;
	struct store_status_sink sink;
	struct err e;
	struct copy c;
	int i;

	(void)state;
	copy_init(&c, &sink);
	load(&c, &sink);
	pg_stop(pg, true);
	assert_int_equal(store_status_poll(db, &sink, &c.marks, &news, &e), -1);
	assert_int_equal(e.kind, ERR_UNAVAILABLE);
	assert_int_equal(store_status_load(db, &sink, &c.marks, &e), -1);
	assert_int_equal(e.kind, ERR_UNAVAILABLE);
	pg_start(pg);
	for (i = 0; store_status_poll(db, &sink, &c.marks, &news, &e) == -1;
	     i++) {
		assert_true(i < 200);
		(void)usleep(20000);
	}
	assert_int_equal(news.found, STORE_STATUS_OK);
	db_drop(super);
	check_same(&c);
	copy_clear(&c);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_late_commits),
		cmocka_unit_test(test_chunks),
		cmocka_unit_test(test_responder),
		cmocka_unit_test(test_wait),
		cmocka_unit_test(test_other_histories),
		cmocka_unit_test(test_restart),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
