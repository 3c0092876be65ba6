/* Revoking: states, feed and audit rows, blocked keys, the search. */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/clock.h"
#include "db/db_int.h"
#include "db/store_audit.h"
#include "db/store_revoke.h"
#include "tests/db/sample.h"

#define AT INT64_C(1800000000)

static struct pg *pg;
static struct db *db;
static struct writer *w;
static int issuer, other;

static int
setup(void **state)
{
	struct err e;

	(void)state;
	pg = pg_new();
	db = db_new(pg_conninfo(pg, "chancery_oper"), "test");
	if (writer_new(pg_conninfo(pg, "chancery_enroll"), "enroll", "t", &w,
		&e) == -1)
		return -1;
	issuer = sample_issuer(db, "tls");
	other = sample_issuer(db, "users");
	return issuer > 0 && other > 0 ? 0 : -1;
}

static int
teardown(void **state)
{
	(void)state;
	writer_free(w);
	db_free(db);
	pg_free(pg);
	return 0;
}

static struct store_revocation
revocation(const struct sample *s, int reason)
{
	return (struct store_revocation){ .issuer = s->cert.issuer,
		.serial = s->cert.serial,
		.reason = reason,
		.at = AT,
		.actor = "somebody",
		.request_id = "r9" };
}

/* What the certificate's row says now. */
static void
check_state(const struct sample *s, bool revoked, int reason,
    int64_t revoked_at, int64_t invalidity_at)
{
	AUTO(arena_auto) a = arena_new();
	struct store_cert got;
	struct err e;

	assert_int_equal(store_cert_get(db, a, s->cert.id, &got, &e), 0);
	assert_int_equal(got.revoked, revoked);
	assert_int_equal(got.reason, reason);
	assert_int_equal(got.revoked_at, revoked_at);
	assert_int_equal(got.invalidity_at, invalidity_at);
}

/* One value of the database. */
static int64_t ask(const char *fmt, ...) PRINTF_LIKE(1, 2);

static int64_t
ask(const char *fmt, ...)
{
	AUTO(PGresult) r = NULL;
	char sql[512];
	struct err e;
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(sql, sizeof(sql), fmt, ap);
	va_end(ap);
	if (db_query(db, sql, &(struct db_args){ .n = 0 }, &r, &e) == -1)
		fail_msg("%s", e.text);
	return db_i8(r, 0, 0);
}

/* "status reason;..." of the certificate's feed rows, oldest first. */
static const char *
feed(struct arena *a, const struct sample *s)
{
	AUTO(PGresult) r = NULL;
	struct db_args p = { .n = 0 };
	struct err e;

	db_arg_i8(&p, s->cert.id);
	if (db_query(db,
		"SELECT string_agg(status || ' ' || reason || coalesce(' '"
		" || extract(epoch FROM revoked_at)::bigint, ''), ';'"
		" ORDER BY seq) FROM status_change WHERE cert_id = $1",
		&p, &r, &e) == -1)
		fail_msg("%s", e.text);
	return db_text(a, r, 0, 0);
}

static const char *
history(struct arena *a, const struct sample *s)
{
	struct audit_row *rows;
	const char *out = "";
	struct err e;
	size_t n, i;

	assert_int_equal(
	    store_audit_of_cert(db, a, s->cert.id, &rows, &n, &e), 0);
	for (i = 0; i < n; i++)
		out = arena_printf(a, "%s %s", out, rows[i].kind);
	return out;
}

static void
test_hold(void **state)
{
	AUTO(arena_auto) a = arena_new();
	struct store_revocation r;
	struct sample s;
	struct err e;

	(void)state;
	sample_init(&s, issuer, 1);
	sample_issue(w, &s);
	r = revocation(&s, STORE_HOLD);
	assert_int_equal(store_revoke_release(w, &r, &e), -1);
	assert_int_equal(e.kind, ERR_CONFLICT);
	assert_int_equal(store_revoke(w, &r, &e), 0);
	check_state(&s, true, STORE_HOLD, AT, 0);
	assert_int_equal(store_revoke(w, &r, &e), -1);
	assert_int_equal(e.kind, ERR_CONFLICT);
	assert_int_equal(store_revoke_release(w, &r, &e), 0);
	check_state(&s, false, -1, 0, 0);
	assert_int_equal(store_revoke_release(w, &r, &e), -1);
	assert_int_equal(e.kind, ERR_CONFLICT);

	/* held again, then for good: the date of the hold stays */
	r.at = AT + 10;
	assert_int_equal(store_revoke(w, &r, &e), 0);
	r.at = AT + 20;
	r.reason = 4;
	assert_int_equal(store_revoke(w, &r, &e), 0);
	check_state(&s, true, 4, AT + 10, 0);
	assert_int_equal(store_revoke_release(w, &r, &e), -1);
	assert_int_equal(e.kind, ERR_REFUSED);
	assert_non_null(strstr(e.text, "for good"));
	assert_string_equal(feed(a, &s),
	    "0 -1;1 6 1800000000;0 8;1 6 1800000010;1 4 1800000010");
	assert_string_equal(
	    history(a, &s), " intent issue revoke release revoke revoke");
}

static void
test_upgrade(void **state)
{
	static const int reasons[] = { -1, 0, 2, 3, 4, 5, 9, 10 };
	AUTO(arena_auto) a = arena_new();
	struct store_revocation r;
	struct sample s;
	struct err e;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(reasons) / sizeof(reasons[0]); i++) {
		sample_init(&s, issuer, 10 + (int)i);
		sample_issue(w, &s);
		r = revocation(&s, reasons[i]);
		if (store_revoke(w, &r, &e) == -1)
			fail_msg("%s", e.text);
		check_state(&s, true, reasons[i], AT, 0);
		r.reason = reasons[i] == 4 ? 5 : 4;
		assert_int_equal(store_revoke(w, &r, &e), -1);
		assert_int_equal(e.kind, ERR_CONFLICT);
		r.reason = STORE_KEY_COMPROMISE;
		r.at = AT + 100;
		r.invalidity_at = AT - 1000;
		assert_int_equal(store_revoke(w, &r, &e), 0);
		check_state(&s, true, 1, AT, AT - 1000);
		assert_int_equal(store_revoke(w, &r, &e), -1);
		assert_int_equal(e.kind, ERR_CONFLICT);
		assert_int_equal(
		    ask("SELECT count(*) FROM status_change WHERE cert_id ="
			" %lld",
			(long long)s.cert.id),
		    3);
	}
	/* what the database does not take at all */
	sample_init(&s, issuer, 30);
	sample_issue(w, &s);
	for (i = 7; i <= 8; i++) {
		r = revocation(&s, (int)i);
		assert_int_equal(store_revoke(w, &r, &e), -1);
		assert_int_equal(e.kind, ERR_INTERNAL);
	}
	check_state(&s, false, -1, 0, 0);
	assert_string_equal(feed(a, &s), "0 -1");
	r = revocation(&s, 1);
	r.serial = span_str("nobody's");
	assert_int_equal(store_revoke(w, &r, &e), -1);
	assert_int_equal(e.kind, ERR_NOT_FOUND);
	assert_int_equal(store_revoke_release(w, &r, &e), -1);
	assert_int_equal(e.kind, ERR_NOT_FOUND);
}

/* A batch in which nothing, something and everything changes. */
static void
test_many(void **state)
{
	struct store_revocation r[40];
	struct sample s[20];
	struct err errs[40];
	size_t i;

	(void)state;
	for (i = 0; i < 20; i++) {
		sample_init(&s[i], issuer, 100 + (int)i);
		sample_issue(w, &s[i]);
		r[i] = r[20 + i] = revocation(&s[i], 5);
	}
	r[3].serial = span_str("unknown");
	store_revoke_all(w, r, 20, errs);
	for (i = 0; i < 20; i++) {
		assert_int_equal(
		    errs[i].kind, i == 3 ? ERR_NOT_FOUND : ERR_NONE);
		check_state(&s[i], i != 3, i == 3 ? -1 : 5, i == 3 ? 0 : AT, 0);
	}
	store_revoke_all(w, r, 40, errs);
	for (i = 0; i < 40; i++)
		assert_int_equal(errs[i].kind, i == 3    ? ERR_NOT_FOUND
					       : i == 23 ? ERR_NONE
							 : ERR_CONFLICT);
	/* dense, in the order of the commits */
	assert_int_equal(
	    ask("SELECT max(seq) - count(*) FROM status_change"), 0);
	assert_int_equal(ask("SELECT max(seq) - count(*) FROM audit"
			     " WHERE writer = 4096"),
	    0);
	store_revoke_all(w, r, 0, errs);
}

static void
test_block(void **state)
{
	AUTO(arena_auto) a = arena_new();
	struct store_key_block b = { .why = "leaked", .actor = "x" };
	struct store_revocation r;
	struct store_request rq;
	struct sample s, t, same;
	bool blocked = true;
	struct err e;
	int64_t id;

	(void)state;
	sample_init(&s, issuer, 200);
	memcpy(b.spki_sha256, s.intent.spki_sha256, STORE_HASH_SIZE);
	assert_int_equal(
	    store_revoke_blocked(db, b.spki_sha256, &blocked, &e), 0);
	assert_false(blocked);
	assert_int_equal(store_revoke_block(w, &b, &e), 0);
	assert_int_equal(store_revoke_block(w, &b, &e), -1);
	assert_int_equal(e.kind, ERR_CONFLICT);
	assert_int_equal(
	    store_revoke_blocked(db, b.spki_sha256, &blocked, &e), 0);
	assert_true(blocked);
	assert_int_equal(
	    ask("SELECT count(*) FROM audit WHERE kind = 'block'"), 1);
	assert_int_equal(store_cert_reserve(w, &s.intent, NULL, &id, &e), -1);
	assert_int_equal(e.kind, ERR_BAD_KEY);
	assert_non_null(strstr(e.text, "blocked"));
	assert_int_equal(sample_request(db, a, s.txn, &rq, &e), -1);
	assert_int_equal(e.kind, ERR_NOT_FOUND);

	/* a revocation as compromised blocks the key, once known or not */
	sample_init(&t, issuer, 201);
	sample_issue(w, &t);
	r = revocation(&t, 1);
	assert_int_equal(store_revoke(w, &r, &e), 0);
	sample_init(&same, issuer, 202);
	memcpy(same.intent.spki_sha256, t.intent.spki_sha256, STORE_HASH_SIZE);
	memcpy(same.cert.spki_sha256, t.intent.spki_sha256, STORE_HASH_SIZE);
	sample_issue(w, &same);
	r.block_key = true;
	assert_int_equal(store_revoke(w, &r, &e), -1);
	assert_int_equal(e.kind, ERR_CONFLICT);
	sample_init(&s, issuer, 203);
	memcpy(s.intent.spki_sha256, t.intent.spki_sha256, STORE_HASH_SIZE);
	assert_int_equal(store_cert_reserve(w, &s.intent, NULL, &id, &e), -1);
	assert_int_equal(e.kind, ERR_BAD_KEY);
	check_state(&same, false, -1, 0, 0);
}

struct racer {
	struct sample s;
	pthread_t thread;
	enum err_kind kind;
};

static void *
race(void *arg)
{
	struct racer *x = arg;
	struct err e = { .kind = ERR_NONE };

	if (store_cert_reserve(w, &x->s.intent, NULL, &x->s.cert.id, &e) == 0)
		e.kind = ERR_NONE;
	x->kind = e.kind;
	return NULL;
}

/* In one batch, the blocked key is refused and the others get in. */
static void
test_block_in_batch(void **state)
{
	struct store_key_block b = { .why = "leaked", .actor = "x" };
	struct racer x[32];
	struct err e;
	size_t i, round;

	(void)state;
	sample_init(&x[0].s, issuer, 299);
	memcpy(b.spki_sha256, x[0].s.intent.spki_sha256, STORE_HASH_SIZE);
	assert_int_equal(store_revoke_block(w, &b, &e), 0);
	for (round = 0; round < 5; round++) {
		for (i = 0; i < 32; i++) {
			sample_init(
			    &x[i].s, issuer, 300 + (int)(round * 32 + i));
			if (i % 8 == 5)
				memcpy(x[i].s.intent.spki_sha256, b.spki_sha256,
				    STORE_HASH_SIZE);
			assert_int_equal(
			    pthread_create(&x[i].thread, NULL, race, &x[i]), 0);
		}
		for (i = 0; i < 32; i++) {
			assert_int_equal(pthread_join(x[i].thread, NULL), 0);
			assert_int_equal(
			    x[i].kind, i % 8 == 5 ? ERR_BAD_KEY : ERR_NONE);
		}
	}
}

static uint64_t
count(const struct store_revoke_query *q)
{
	AUTO(arena_auto) a = arena_new();
	struct store_revoke_page page = { .max = 2 };
	uint64_t n, found = 0;
	struct err e;
	size_t i;

	if (store_revoke_count(db, q, &n, &e) == -1)
		fail_msg("%s", e.text);
	do {
		if (store_revoke_find(db, a, q, &page, &e) == -1)
			fail_msg("%s", e.text);
		for (i = 0; i < page.n; i++) {
			assert_true(page.list[i].id > page.after);
			page.after = page.list[i].id;
		}
		found += page.n;
	} while (page.n > 0);
	assert_int_equal(n, found);
	return n;
}

static void
test_search(void **state)
{
	struct store_name names[] = { { 2, "a.find.test" },
		{ 2, "b.a.find.test" } };
	struct store_revoke_query q = { .expired = -1, .reason = 4 };
	struct store_revocation r;
	struct sample s[5];
	struct err e;
	size_t i;

	(void)state;
	for (i = 0; i < 5; i++) {
		sample_init(&s[i], i == 4 ? other : issuer, 600 + (int)i);
		s[i].intent.principal = s[i].cert.principal = "found";
		s[i].intent.profile = s[i].cert.profile =
		    i < 2 ? "find-a" : "find-b";
		s[i].cert.names = names;
		s[i].cert.n_names = 1 + i % 2;
		if (i == 3)
			s[i].cert.not_after = clock_now() - 10;
		memcpy(s[i].cert.spki_sha256, s[i % 2].cert.spki_sha256,
		    STORE_HASH_SIZE);
		sample_issue(w, &s[i]);
	}
	q.principal = "found";
	assert_int_equal(count(&q), 5);
	q.expired = 0;
	assert_int_equal(count(&q), 4);
	q.expired = 1;
	assert_int_equal(count(&q), 1);
	q.expired = -1;
	q.issuer = "users";
	assert_int_equal(count(&q), 1);
	q.issuer = "nobody";
	assert_int_equal(count(&q), 0);
	q.issuer = NULL;
	q.profile = "find-b";
	assert_int_equal(count(&q), 3);
	q.profile = NULL;
	q.principal = NULL;
	q.name = "*.find.test";
	assert_int_equal(count(&q), 5);
	q.name = "b.A.find.test";
	assert_int_equal(count(&q), 2);
	q.name = NULL;
	q.key = span_of(s[0].cert.spki_sha256, STORE_HASH_SIZE);
	assert_int_equal(count(&q), 3);
	q.issued_after = clock_now() - 600;
	q.issued_before = clock_now() + 600;
	assert_int_equal(count(&q), 3);
	q.issued_after = clock_now() + 600;
	q.issued_before = 0;
	assert_int_equal(count(&q), 0);
	q.issued_after = 0;
	q.issued_before = clock_now() - 600;
	assert_int_equal(count(&q), 0);
	q.issued_before = 0;

	/* what the reason does not change is not found */
	r = revocation(&s[0], 5);
	assert_int_equal(store_revoke(w, &r, &e), 0);
	r = revocation(&s[2], STORE_HOLD);
	assert_int_equal(store_revoke(w, &r, &e), 0);
	assert_int_equal(count(&q), 2);
	q.reason = STORE_HOLD;
	assert_int_equal(count(&q), 1);
	q.reason = STORE_KEY_COMPROMISE;
	assert_int_equal(count(&q), 3);
}

/* A certificate that was under way while its key was blocked. */
static void
test_late(void **state)
{
	AUTO(arena_auto) a = arena_new();
	struct store_key_block b = { .why = "leaked", .actor = "x" };
	struct store_revoke_page page = { .max = 10 };
	struct store_revocation r;
	struct sample s;
	struct err e;
	size_t i, had;

	(void)state;
	assert_int_equal(store_revoke_find_late(db, a, &page, &e), 0);
	had = page.n;
	sample_init(&s, issuer, 700);
	assert_int_equal(
	    store_cert_reserve(w, &s.intent, NULL, &s.cert.id, &e), 0);
	memcpy(b.spki_sha256, s.intent.spki_sha256, STORE_HASH_SIZE);
	assert_int_equal(store_revoke_block(w, &b, &e), 0);
	assert_int_equal(store_cert_commit(w, &s.cert, "r", &e), 0);
	assert_int_equal(store_revoke_find_late(db, a, &page, &e), 0);
	assert_int_equal(page.n, had + 1);
	for (i = 0; i < page.n && page.list[i].id != s.cert.id; i++)
		continue;
	assert_true(i < page.n);
	assert_true(span_eq(page.list[i].serial, s.cert.serial));
	r = revocation(&s, 1);
	assert_int_equal(store_revoke(w, &r, &e), 0);
	assert_int_equal(store_revoke_find_late(db, a, &page, &e), 0);
	assert_int_equal(page.n, had);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_hold),
		cmocka_unit_test(test_upgrade),
		cmocka_unit_test(test_many),
		cmocka_unit_test(test_block),
		cmocka_unit_test(test_block_in_batch),
		cmocka_unit_test(test_search),
		cmocka_unit_test(test_late),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
