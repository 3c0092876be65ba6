/* The grouping writer under load, bad rows, restarts and lost leases. */
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

#include "db/db_int.h"
#include "db/store_audit.h"
#include "db/store_cert.h"
#include "db/writer.h"
#include "tests/db/sample.h"

#define THREADS 32
#define ROUNDS 20

static struct pg *pg;
static struct db *super;
static struct writer *w;
static int issuer;

static int
setup(void **state)
{
	struct db *oper;
	struct err e;

	(void)state;
	pg = pg_new();
	oper = db_new(pg_conninfo(pg, "chancery_oper"), "test");
	issuer = sample_issuer(oper, "tls");
	db_free(oper);
	super = db_new(pg_conninfo(pg, "postgres"), "test");
	return writer_new(
	    pg_conninfo(pg, "chancery_enroll"), "enroll", "t", &w, &e);
}

static int
teardown(void **state)
{
	(void)state;
	writer_free(w);
	db_free(super);
	pg_free(pg);
	return 0;
}

static int64_t
ask(const char *sql)
{
	AUTO(PGresult) r = NULL;
	struct db_args none = { .n = 0 };
	struct err e = { .text = "" };

	if (db_query(super, sql, &none, &r, &e) == -1)
		fail_msg("%s", e.text);
	return db_i8(r, 0, 0);
}

/* Every writer's numbers run from 1 without gaps, in order of time. */
static void
check_dense(void)
{
	assert_int_equal(ask("SELECT count(*) FROM (SELECT writer FROM audit"
			     " GROUP BY writer HAVING max(seq) <> count(*)"
			     " OR min(seq) <> 1) x"),
	    0);
	assert_int_equal(
	    ask("SELECT count(*) FROM (SELECT writer FROM status_change"
		" GROUP BY writer HAVING max(seq) <> count(*)"
		" OR min(seq) <> 1) x"),
	    0);
	assert_int_equal(
	    ask("SELECT count(*) FROM (SELECT at < lag(at) OVER (PARTITION BY"
		" writer ORDER BY seq) AS back FROM audit) x WHERE back"),
	    0);
}

struct load {
	struct writer *w;
	int base, rounds;
	bool bad;     /* every other row cannot be stored */
	bool patient; /* retries while UNAVAILABLE */
	_Atomic int done, refused, unavailable;
};

static int
issue_once(struct load *l, struct sample *s)
{
	struct err e = { .kind = ERR_NONE };
	int64_t id = 0;

	if (store_cert_reserve(l->w, &s->intent, NULL, &id, &e) == 0) {
		s->cert.id = id;
		if (store_cert_commit(l->w, &s->cert, "r", &e) == 0)
			return 0;
	}
	if (e.kind == ERR_UNAVAILABLE)
		l->unavailable++;
	else
		l->refused++;
	return -1;
}

struct worker {
	struct load *load;
	int n;
	pthread_t thread;
};

static void *
work(void *arg)
{
	struct worker *k = arg;
	struct load *l = k->load;
	struct sample s;
	int i, attempt, n;

	for (i = 0; i < l->rounds; i++) {
		n = l->base + k->n * l->rounds + i;
		sample_init(&s, issuer, n);
		if (l->bad && i % 2 == 1)
			s.intent.principal = "\xff";
		for (attempt = 0; issue_once(l, &s) == -1; attempt++) {
			if (!l->patient || attempt > 500)
				break;
			/* a lost answer: a new transaction */
			(void)usleep(20000);
			sample_init(&s, issuer, n + 1000000 * (attempt + 1));
		}
		l->done++;
	}
	return NULL;
}

static void
start_load(struct load *l, struct worker *k, int threads)
{
	int i;

	for (i = 0; i < threads; i++) {
		k[i] = (struct worker){ .load = l, .n = i };
		assert_int_equal(
		    pthread_create(&k[i].thread, NULL, work, &k[i]), 0);
	}
}

static void
join_load(struct worker *k, int threads)
{
	int i;

	for (i = 0; i < threads; i++)
		(void)pthread_join(k[i].thread, NULL);
}

static void
test_threads(void **state)
{
	struct load l = { .w = w, .base = 1000, .rounds = ROUNDS };
	struct worker k[THREADS];

	(void)state;
	start_load(&l, k, THREADS);
	join_load(k, THREADS);
	assert_int_equal(l.refused + l.unavailable, 0);
	assert_int_equal(ask("SELECT count(*) FROM cert"), THREADS * ROUNDS);
	assert_int_equal(
	    ask("SELECT count(*) FROM cert_status"), THREADS * ROUNDS);
	assert_int_equal(
	    ask("SELECT count(*) FROM audit"), 2 * THREADS * ROUNDS);
	/* rows of one transaction share its time: they were grouped */
	assert_true(
	    ask("SELECT count(DISTINCT at) FROM audit") < THREADS * ROUNDS);
	check_dense();
}

static void
test_bad_rows(void **state)
{
	struct load l = { .w = w, .base = 5000, .rounds = 10, .bad = true };
	int64_t before = ask("SELECT count(*) FROM cert");
	struct worker k[THREADS];

	(void)state;
	start_load(&l, k, THREADS);
	join_load(k, THREADS);
	assert_int_equal(l.refused, THREADS * 5);
	assert_int_equal(l.unavailable, 0);
	assert_int_equal(
	    ask("SELECT count(*) FROM cert") - before, THREADS * 5);
	check_dense();
}

/* All want the same transaction: one gets it, the others hear CONFLICT. */
static void *
want_same(void *arg)
{
	struct worker *k = arg;
	struct sample s;
	struct err e;
	int64_t id;

	sample_init(&s, issuer, k->load->base);
	if (store_cert_reserve(w, &s.intent, NULL, &id, &e) == 0)
		k->load->done++;
	else if (e.kind == ERR_CONFLICT)
		k->load->refused++;
	return NULL;
}

static void
test_same_txn(void **state)
{
	struct load l = { .w = w, .base = 7000 };
	struct worker k[THREADS];
	int i;

	(void)state;
	for (i = 0; i < THREADS; i++) {
		k[i] = (struct worker){ .load = &l, .n = i };
		assert_int_equal(
		    pthread_create(&k[i].thread, NULL, want_same, &k[i]), 0);
	}
	join_load(k, THREADS);
	assert_int_equal(l.done, 1);
	assert_int_equal(l.refused, THREADS - 1);
	check_dense();
}

static void
test_two_writers(void **state)
{
	struct load one = { .w = w, .base = 10000, .rounds = 20 };
	struct load two = { .base = 20000, .rounds = 20 };
	struct worker k1[8], k2[8];
	uint16_t n1, n2;
	struct err e;

	(void)state;
	assert_int_equal(writer_new(pg_conninfo(pg, "chancery_enroll"),
			     "enroll", "t2", &two.w, &e),
	    0);
	start_load(&one, k1, 8);
	start_load(&two, k2, 8);
	join_load(k1, 8);
	join_load(k2, 8);
	assert_int_equal(one.refused + one.unavailable, 0);
	assert_int_equal(two.refused + two.unavailable, 0);
	assert_int_equal(writer_number(w, &n1, &e), 0);
	assert_int_equal(writer_number(two.w, &n2, &e), 0);
	assert_int_not_equal(n1, n2);
	check_dense();
	writer_free(two.w);
	/* a number that was given back is taken again and goes on */
	assert_int_equal(writer_new(pg_conninfo(pg, "chancery_enroll"),
			     "enroll", "t3", &two.w, &e),
	    0);
	two.base = 30000;
	start_load(&two, k2, 1);
	join_load(k2, 1);
	assert_int_equal(two.refused + two.unavailable, 0);
	assert_int_equal(writer_number(two.w, &n1, &e), 0);
	assert_int_equal(n1, n2);
	check_dense();
	writer_free(two.w);
}

static void
test_lost_lease(void **state)
{
	struct load l = { .w = w, .base = 40000, .rounds = 1 };
	struct worker k[1];
	uint16_t before, after;
	struct err e;

	(void)state;
	assert_int_equal(writer_number(w, &before, &e), 0);
	/* somebody else took the number while this process slept */
	assert_int_equal(
	    db_script(super,
		"UPDATE writer SET epoch = epoch + 1, node = 'other',"
		" expires_at = now() + interval '1 hour'",
		&e),
	    0);
	start_load(&l, k, 1);
	join_load(k, 1);
	assert_int_equal(l.refused + l.unavailable, 0);
	assert_int_equal(writer_number(w, &after, &e), 0);
	assert_int_not_equal(before, after);
	check_dense();
}

static void
test_restart(void **state)
{
	AUTO(arena_auto) a = arena_new();
	struct load l = {
		.w = w, .base = 50000, .rounds = 200, .patient = true
	};
	struct db *db = db_new(pg_conninfo(pg, "chancery_enroll"), "test");
	struct store_cert_query q = { .revoked = -1, .limit = 1 };
	struct store_cert *list;
	struct worker k[8];
	struct err e;
	size_t n;
	int i;

	(void)state;
	assert_int_equal(db_ready(db, &e), 0);
	start_load(&l, k, 8);
	for (i = 0; i < 2; i++) {
		while (l.done < 100 * (i + 1))
			(void)usleep(1000);
		pg_stop(pg, i == 0); /* a crash, then in good order */
		assert_int_equal(store_cert_list(db, a, &q, &list, &n, &e), -1);
		assert_int_equal(e.kind, ERR_UNAVAILABLE);
		(void)usleep(100000);
		pg_start(pg);
	}
	join_load(k, 8);
	assert_true(l.unavailable > 0);
	assert_int_equal(l.refused, 0);
	assert_int_equal(l.done, 8 * 200);
	for (i = 0; store_cert_list(db, a, &q, &list, &n, &e) == -1; i++) {
		assert_int_equal(e.kind, ERR_UNAVAILABLE);
		assert_true(i < 100);
		(void)usleep(50000);
	}
	db_free(db);
	db_drop(super);
	check_dense();
	/* nothing is half there */
	assert_int_equal(ask("SELECT count(*) FROM cert c FULL JOIN cert_status"
			     " s ON s.cert_id = c.id WHERE c.id IS NULL"
			     " OR s.cert_id IS NULL"),
	    0);
	assert_int_equal(ask("SELECT (SELECT count(*) FROM audit"
			     " WHERE kind = 'issue') -"
			     " (SELECT count(*) FROM cert)"),
	    0);
}

static void
test_unreachable(void **state)
{
	struct writer *none;
	struct sample s;
	uint16_t number;
	struct db *db;
	struct err e;
	int64_t id;

	(void)state;
	assert_int_equal(
	    writer_new("host=/nonexistent dbname=x", "enroll", "t", &none, &e),
	    0);
	sample_init(&s, issuer, 60000);
	assert_int_equal(
	    store_cert_reserve(none, &s.intent, NULL, &id, &e), -1);
	assert_int_equal(e.kind, ERR_UNAVAILABLE);
	assert_int_equal(writer_number(none, &number, &e), -1);
	assert_int_equal(e.kind, ERR_UNAVAILABLE);
	writer_free(none);
	/* a login that may not, a string that is none, a role it has not */
	db = db_new(pg_conninfo(pg, "nobody_at_all"), "test");
	assert_int_equal(db_ready(db, &e), -1);
	assert_int_equal(e.kind, ERR_REFUSED);
	db_free(db);
	db = db_new("colour=green", "test");
	assert_int_equal(db_ready(db, &e), -1);
	assert_int_equal(e.kind, ERR_REFUSED);
	db_free(db);
	assert_int_equal(writer_new(pg_conninfo(pg, "chancery_vald"), "enroll",
			     "t", &none, &e),
	    0);
	assert_int_equal(
	    store_cert_reserve(none, &s.intent, NULL, &id, &e), -1);
	assert_int_equal(e.kind, ERR_REFUSED);
	writer_free(none);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_threads),
		cmocka_unit_test(test_bad_rows),
		cmocka_unit_test(test_same_txn),
		cmocka_unit_test(test_two_writers),
		cmocka_unit_test(test_lost_lease),
		cmocka_unit_test(test_restart),
		cmocka_unit_test(test_unreachable),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
