/* The store of CRLs against PostgreSQL. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/arena.h"
#include "base/clock.h"
#include "db/db_int.h"
#include "db/store_crl.h"
#include "db/store_revoke.h"
#include "tests/db/sample.h"

#define CERTS 40
#define PIECE 1000

static struct sample_roles roles;
static struct writer *w;
static struct arena *a;
static int issuer, other;
static struct sample samples[CERTS];

static void
good(int rc, const struct err *e)
{
	if (rc != 0)
		fail_msg("%s", e->text);
}

static void
revoke(int n, int reason)
{
	struct store_revocation r = { .issuer = samples[n].cert.issuer,
		.serial = samples[n].cert.serial,
		.reason = reason,
		.at = clock_now(),
		.invalidity_at = reason == 1 ? 1000 : 0,
		.actor = "t",
		.request_id = "t" };
	struct err e;

	good(store_revoke(w, &r, &e), &e);
}

static void
release(int n)
{
	struct store_revocation r = { .issuer = samples[n].cert.issuer,
		.serial = samples[n].cert.serial,
		.actor = "t",
		.request_id = "t" };
	struct err e;

	good(store_revoke_release(w, &r, &e), &e);
}

/* What a query gave. */
struct got {
	size_t n;
	struct store_crl_row rows[CERTS];
};

static int
take(void *arg, const struct store_crl_row *row, struct err *e)
{
	struct got *g = arg;

	(void)e;
	assert_true(g->n < CERTS);
	g->rows[g->n] = *row;
	g->rows[g->n++].serial = span_dup(a, row->serial);
	return 0;
}

static struct got
query(struct store_crl_query *q)
{
	struct got g = { .n = 0 };
	struct err e;
	size_t i;

	q->take = take;
	q->arg = &g;
	good(store_crl_revoked(roles.pub, q, &e), &e);
	for (i = 1; i < g.n; i++)
		assert_true(
		    span_cmp(g.rows[i - 1].serial, g.rows[i].serial) < 0);
	return g;
}

static void
test_revoked(void **state)
{
	struct store_crl_query q = { .issuer = issuer,
		.mark = { .at = STORE_CRL_NO_TIME } };
	struct got g = query(&q);
	size_t i;
	int reasons = 0;

	(void)state;
	assert_int_equal(g.n, 0);
	for (i = 0; i < 10; i++)
		revoke((int)i, i == 0 ? 1 : i == 1 ? -1 : 6);
	release(2);
	g = query(&q);
	assert_int_equal(g.n, 9);
	for (i = 0; i < g.n; i++) {
		if (g.rows[i].reason == 1)
			assert_int_equal(g.rows[i].invalidity_at, 1000);
		else
			assert_true(
			    g.rows[i].invalidity_at == STORE_CRL_NO_TIME);
		reasons += g.rows[i].reason;
		assert_in_range(
		    g.rows[i].revoked_at, clock_now() - 60, clock_now());
	}
	assert_int_equal(reasons, 1 - 1 + 7 * 6);
	q = (struct store_crl_query){ .issuer = other,
		.mark = { .at = STORE_CRL_NO_TIME } };
	assert_int_equal(query(&q).n, 0);
}

static int
stop_at_three(void *arg, const struct store_crl_row *row, struct err *e)
{
	(void)row;
	return ++*(int *)arg == 3 ? err_set(e, ERR_MALFORMED, "three") : 0;
}

/* A taker that fails ends the read; the next one is whole. */
static void
test_stopped(void **state)
{
	int n = 0;
	struct store_crl_query q = { .issuer = issuer,
		.mark = { .at = STORE_CRL_NO_TIME },
		.take = stop_at_three,
		.arg = &n };
	struct err e;

	(void)state;
	assert_int_equal(store_crl_revoked(roles.pub, &q, &e), -1);
	assert_string_equal(e.text, "three");
	assert_int_equal(query(&q).n, 9);
}

/* What is told since the last time; each one is of 'issuer'. */
static size_t
news(struct store_crl_feed *f, struct span *first)
{
	struct store_crl_changes c;
	struct err e;
	size_t i;

	good(store_crl_news(roles.pub, a, f, &c, &e), &e);
	assert_false(c.back);
	for (i = 0; i < c.n; i++)
		assert_int_equal(c.list[i].issuer, issuer);
	*first = c.n == 0 ? span_of(NULL, 0) : c.list[0].serial;
	return c.n;
}

static void
test_news(void **state)
{
	struct store_crl_feed f = { NULL, 0 };
	struct store_crl_changes c;
	struct span serial;
	struct sample s;
	struct err e;

	(void)state;
	assert_int_equal(news(&f, &serial), 0);
	sample_init(&s, issuer, 1000);
	sample_issue(w, &s);
	assert_int_equal(news(&f, &serial), 0);
	revoke(20, 6);
	revoke(21, 6);
	assert_int_equal(news(&f, &serial), 2);
	assert_true(span_eq(serial, samples[20].cert.serial));
	release(20);
	assert_int_equal(news(&f, &serial), 1);
	assert_true(span_eq(serial, samples[20].cert.serial));
	release(21);
	assert_int_equal(news(&f, &serial), 1);
	assert_int_equal(news(&f, &serial), 0);
	/* a database that went back */
	f.list[0].seq += 1000000;
	good(store_crl_news(roles.pub, a, &f, &c, &e), &e);
	assert_true(c.back);
	assert_int_equal(news(&f, &serial), 0);
	store_crl_feed_clear(&f);
}

/* Too many to tell: the issuer alone. */
static void
test_much_news(void **state)
{
	struct db *owner = db_new_bare(pg_conninfo(roles.pg, "postgres"), "t");
	struct store_crl_feed f = { NULL, 0 };
	struct span serial;
	struct err e;

	(void)state;
	assert_int_equal(news(&f, &serial), 0);
	good(db_script(owner,
		 arena_printf(a,
		     "SET search_path = chancery;"
		     "INSERT INTO writer VALUES (20000, 1, 'x', 'x', now());"
		     "INSERT INTO status_change (writer, seq, cert_id,"
		     " not_after, revoked_at, issuer, status, reason, serial)"
		     " SELECT 20000, i, i, now(), now(), %d, 1, 1, '\\x42'"
		     " FROM generate_series(1, %d) i",
		     issuer, STORE_CRL_CHANGES_MAX + 1),
		 &e),
	    &e);
	assert_int_equal(news(&f, &serial), 1);
	assert_int_equal(serial.n, 0);
	assert_int_equal(news(&f, &serial), 0);
	store_crl_feed_clear(&f);
	db_free(owner);
}

/* How some certificates stand, told as those of the whole list. */
static void
test_some(void **state)
{
	const struct span ask[] = { samples[0].cert.serial,
		samples[1].cert.serial, samples[2].cert.serial,
		samples[30].cert.serial };
	struct got g = { .n = 0 };
	struct store_crl_query q = { .issuer = issuer,
		.mark = { .at = STORE_CRL_NO_TIME },
		.take = take,
		.arg = &g };
	struct got all = query(&q);
	struct err e;
	size_t i, k, same = 0;

	(void)state;
	q.arg = &g;
	good(store_crl_revoked_of(roles.pub, &q, ask, 4, &e), &e);
	assert_int_equal(g.n, 2);
	assert_true(span_cmp(g.rows[0].serial, g.rows[1].serial) < 0);
	for (i = 0; i < g.n; i++) {
		for (k = 0; k < all.n; k++)
			same +=
			    span_eq(g.rows[i].serial, all.rows[k].serial) &&
			    g.rows[i].revoked_at == all.rows[k].revoked_at &&
			    g.rows[i].reason == all.rows[k].reason &&
			    g.rows[i].invalidity_at ==
				all.rows[k].invalidity_at;
	}
	assert_int_equal(same, 2);
	g.n = 0;
	q.mark = (struct store_crl_mark){ .at = INT64_C(4000000000) };
	good(store_crl_revoked_of(roles.pub, &q, ask, 4, &e), &e);
	assert_int_equal(g.n, 0);
	good(store_crl_revoked_of(roles.pub, &q, ask, 0, &e), &e);
}

/* Expired entries leave in the order of their times, as many as may. */
static void
test_advance(void **state)
{
	struct store_crl_query q = { .issuer = issuer,
		.mark = { .at = STORE_CRL_NO_TIME } };
	int64_t far = samples[0].cert.not_after + 100 * 86400;
	struct store_crl_leave l = { clock_now() - 3600, 5, 0 };
	struct err e;

	(void)state;
	assert_int_equal(query(&q).n, 9);
	good(store_crl_advance(roles.pub, a, &q, &l, &e), &e);
	assert_int_equal(l.gone, 0);
	assert_int_equal(query(&q).n, 9);
	l = (struct store_crl_leave){ far, 4, 0 };
	good(store_crl_advance(roles.pub, a, &q, &l, &e), &e);
	assert_int_equal(l.gone, 4);
	assert_int_equal(query(&q).n, 5);
	good(store_crl_advance(roles.pub, a, &q, &l, &e), &e);
	assert_int_equal(l.gone, 4);
	assert_int_equal(query(&q).n, 1);
	good(store_crl_advance(roles.pub, a, &q, &l, &e), &e);
	assert_int_equal(l.gone, 1);
	assert_int_equal(query(&q).n, 0);
}

static struct store_crl
list_of(const char *scope, int64_t number, int64_t base)
{
	struct store_crl c = { .issuer = issuer,
		.number = number,
		.base_number = base,
		.this_update = clock_now(),
		.next_update = clock_now() + 60,
		.entries = 3,
		.gone = 2,
		.size = PIECE,
		.mark = { 77, span_of("\x01\x02", 2) },
		.sha256 = { 9 } };

	(void)snprintf(c.scope, sizeof(c.scope), "%s", scope);
	return c;
}

static int
publish(struct db *db, struct store_crl *c, int64_t epoch, struct err *e)
{
	uint8_t bytes[PIECE] = { (uint8_t)c->number };

	if (store_crl_begin(db, c, e) == -1)
		return -1;
	if (store_crl_put(db, c, 0, span_of(bytes, PIECE), e) == -1 ||
	    store_crl_put(db, c, 1, span_of(bytes, 10), e) == -1) {
		store_crl_abort(db);
		return -1;
	}
	return store_crl_commit(db, epoch, e);
}

static void
entries_are(const struct store_crl *like, int64_t when, uint64_t n)
{
	uint64_t got;
	struct err e;

	good(store_crl_entries_at(roles.pub, like, when, &got, &e), &e);
	assert_int_equal(got, n);
}

static void
test_publish(void **state)
{
	struct store_crl c = list_of("full", 5, 0), got;
	struct store_crls all;
	struct span piece;
	int64_t epoch = 0;
	uint64_t gone;
	struct err e;

	(void)state;
	good(store_crl_lease(roles.pub, "a", 60, &epoch, &e), &e);
	good(publish(roles.pub, &c, epoch, &e), &e);
	good(store_crl_current(roles.ocsp, a, &all, &e), &e);
	assert_int_equal(all.n, 1);
	assert_int_equal(all.list[0].number, 5);
	assert_string_equal(all.list[0].scope, "full");
	assert_int_equal(all.list[0].this_update, c.this_update);
	assert_int_equal(all.list[0].size, PIECE);
	assert_int_equal(all.list[0].mark.at, 77);
	assert_true(span_eq(all.list[0].mark.serial, c.mark.serial));
	assert_memory_equal(all.list[0].sha256, c.sha256, 32);
	good(store_crl_piece(roles.ocsp, a, all.list[0].id, 1, &piece, &e), &e);
	assert_int_equal(piece.n, 10);
	assert_int_equal(piece.p[0], 5);
	assert_int_equal(
	    store_crl_piece(roles.ocsp, a, all.list[0].id, 2, &piece, &e), -1);
	assert_int_equal(e.kind, ERR_NOT_FOUND);
	/* the same number again is no second list */
	assert_int_equal(publish(roles.pub, &c, epoch, &e), -1);
	assert_int_equal(e.kind, ERR_CONFLICT);
	c = list_of("delta", 6, 5);
	good(publish(roles.pub, &c, epoch, &e), &e);
	c = list_of("full", 7, 0);
	c.this_update += 10;
	c.entries = 9;
	good(publish(roles.pub, &c, epoch, &e), &e);
	entries_are(&c, 0, 3);
	entries_are(&c, c.this_update, 3);
	entries_are(&c, c.this_update + 1, 9);
	good(store_crl_numbered(roles.pub, a, &c, 5, &got, &e), &e);
	good(store_crl_gone(roles.pub, &c, 0, &gone, &e), &e);
	assert_int_equal(gone, 4);
	c = list_of("part-1", 1, 0);
	assert_int_equal(store_crl_entries_at(roles.pub, &c, 0, &gone, &e), -1);
	assert_int_equal(e.kind, ERR_NOT_FOUND);
	store_crl_release(roles.pub, epoch);
}

/* The base of a current delta keeps its bytes, others lose them. */
static void
test_clean(void **state)
{
	struct store_crl c = list_of("full", 8, 0), base, old;
	struct span piece;
	struct err e;

	(void)state;
	good(publish(roles.pub, &c, 0, &e), &e);
	good(store_crl_numbered(roles.pub, a, &c, 5, &base, &e), &e);
	good(store_crl_numbered(roles.pub, a, &c, 7, &old, &e), &e);
	good(store_crl_clean(roles.pub, 0, &e), &e);
	good(store_crl_piece(roles.pub, a, base.id, 0, &piece, &e), &e);
	assert_int_equal(
	    store_crl_piece(roles.pub, a, old.id, 0, &piece, &e), -1);
	good(store_crl_numbered(roles.pub, a, &c, 7, &old, &e), &e);
	good(store_crl_clean(roles.pub, clock_now() + 60, &e), &e);
	assert_int_equal(store_crl_numbered(roles.pub, a, &c, 7, &old, &e), -1);
	good(store_crl_numbered(roles.pub, a, &c, 5, &base, &e), &e);
	good(store_crl_numbered(roles.pub, a, &c, 8, &old, &e), &e);
}

/* One of two publishes; who lost the lease publishes no more. */
static void
test_lease(void **state)
{
	struct db *second =
	    db_new(pg_conninfo(roles.pg, "chancery_pub"), "second");
	int64_t mine = 0, theirs = 0;
	struct store_crl c = list_of("full", 20, 0);
	struct err e;

	(void)state;
	good(store_crl_lease(roles.pub, "a", 60, &mine, &e), &e);
	assert_true(mine > 0);
	good(store_crl_lease(second, "b", 60, &theirs, &e), &e);
	assert_int_equal(theirs, 0);
	/* it has run out, but nobody took it */
	good(store_crl_lease(roles.pub, "a", 0, &mine, &e), &e);
	good(publish(roles.pub, &c, mine, &e), &e);
	c = list_of("full", 21, 0);
	good(store_crl_lease(second, "b", 60, &theirs, &e), &e);
	assert_true(theirs > mine);
	assert_int_equal(publish(roles.pub, &c, mine, &e), -1);
	assert_int_equal(e.kind, ERR_UNAVAILABLE);
	good(publish(second, &c, theirs, &e), &e);
	good(store_crl_lease(roles.pub, "a", 60, &mine, &e), &e);
	assert_int_equal(mine, 0);
	store_crl_release(second, theirs);
	good(store_crl_lease(roles.pub, "a", 60, &mine, &e), &e);
	assert_true(mine > theirs);
	db_free(second);
}

static void
test_grants(void **state)
{
	static const char *const never[] = {
		"INSERT INTO crl_piece VALUES (1, 9, 'x')", "DELETE FROM crl",
		"UPDATE crl_lease SET epoch = 9", "UPDATE crl SET number = 99",
		"TRUNCATE crl CASCADE"
	};
	struct err e;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(never) / sizeof(never[0]); i++) {
		assert_int_equal(db_script(roles.ocsp, never[i], &e), -1);
		assert_int_equal(e.kind, ERR_REFUSED);
	}
	assert_int_equal(db_script(roles.pub, never[3], &e), -1);
	assert_int_equal(db_script(roles.pub, never[4], &e), -1);
}

static void
test_responder(void **state)
{
	struct store_responder ask = { .host = "h",
		.issuer = issuer,
		.spki = span_of("key", 3),
		.not_after = clock_now() + 600,
		.signature = span_of("sig", 3) };
	struct store_responder *list, got;
	struct err e;
	size_t n;

	(void)state;
	good(store_responder_put(roles.ocsp, &ask, &e), &e);
	good(store_responder_open(roles.pub, a, &list, &n, &e), &e);
	assert_int_equal(n, 1);
	assert_true(span_eq(list[0].signature, ask.signature));
	list[0].fault = "no";
	good(store_responder_answer(roles.pub, &list[0], &e), &e);
	good(store_responder_get(roles.ocsp, a, "h", issuer, &got, &e), &e);
	assert_string_equal(got.fault, "no");
	good(store_responder_open(roles.pub, a, &list, &n, &e), &e);
	assert_int_equal(n, 1);
	list[0].cert = span_of("cert", 4);
	good(store_responder_answer(roles.pub, &list[0], &e), &e);
	good(store_responder_open(roles.pub, a, &list, &n, &e), &e);
	assert_int_equal(n, 0);
	good(store_responder_get(roles.ocsp, a, "h", issuer, &got, &e), &e);
	assert_true(span_is(got.cert, "cert"));
	assert_null(got.fault);
	ask.spki = span_of("other", 5);
	good(store_responder_put(roles.ocsp, &ask, &e), &e);
	got.spki = span_of("key", 3);
	assert_int_equal(store_responder_answer(roles.pub, &got, &e), -1);
	assert_int_equal(e.kind, ERR_NOT_FOUND);
}

static int
setup(void **state)
{
	struct err e;
	int i;

	(void)state;
	a = arena_new();
	sample_open(&roles);
	issuer = sample_issuer(roles.oper, "one");
	other = sample_issuer(roles.oper, "two");
	if (writer_new(pg_conninfo(roles.pg, "chancery_oper"), "oper", "t", &w,
		&e) == -1)
		return -1;
	for (i = 0; i < CERTS; i++) {
		sample_init(&samples[i], issuer, i);
		sample_issue(w, &samples[i]);
	}
	return 0;
}

static int
teardown(void **state)
{
	(void)state;
	writer_free(w);
	sample_close(&roles);
	arena_free(a);
	return 0;
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_revoked),
		cmocka_unit_test(test_stopped),
		cmocka_unit_test(test_some),
		cmocka_unit_test(test_news),
		cmocka_unit_test(test_much_news),
		cmocka_unit_test(test_advance),
		cmocka_unit_test(test_publish),
		cmocka_unit_test(test_clean),
		cmocka_unit_test(test_lease),
		cmocka_unit_test(test_grants),
		cmocka_unit_test(test_responder),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
