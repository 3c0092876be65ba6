/* Serial intents, certificates, status, audit: the stores and the writer. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/clock.h"
#include "db/store_audit.h"
#include "db/store_cert.h"
#include "db/store_revoke.h"
#include "db/writer.h"
#include "tests/db/sample.h"

static struct pg *pg;
static struct db *db;
static struct writer *w;
static int issuer;

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
	return issuer > 0 ? 0 : -1;
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

static void
test_issuer(void **state)
{
	AUTO(arena_auto) a = arena_new();
	struct store_issuer i = {
		.name = "users", .spki_sha256 = { 9 }, .cert = span_str("one")
	};
	struct store_issuer got;
	struct err e;
	int id;

	(void)state;
	assert_int_equal(store_issuer_put(db, &i, &e), 0);
	id = i.id;
	i.cert = span_str("two");
	assert_int_equal(store_issuer_put(db, &i, &e), 0);
	assert_int_equal(i.id, id);
	assert_int_equal(store_issuer_get(db, a, "users", &got, &e), 0);
	assert_int_equal(got.id, id);
	assert_int_equal(got.spki_sha256[0], 9);
	assert_true(span_is(got.cert, "two"));
	i.spki_sha256[0] = 8;
	assert_int_equal(store_issuer_put(db, &i, &e), -1);
	assert_int_equal(e.kind, ERR_CONFLICT);
	assert_int_equal(store_issuer_get(db, a, "none", &got, &e), -1);
	assert_int_equal(e.kind, ERR_NOT_FOUND);
}

static void
test_reserve_commit(void **state)
{
	AUTO(arena_auto) a = arena_new();
	struct sample s;
	struct store_request rq;
	struct store_cert got;
	struct audit_row *rows;
	struct err e;
	size_t n;

	(void)state;
	sample_init(&s, issuer, 1);
	assert_int_equal(sample_request(db, a, s.txn, &rq, &e), -1);
	assert_int_equal(e.kind, ERR_NOT_FOUND);
	assert_int_equal(
	    store_cert_reserve(w, &s.intent, NULL, &s.cert.id, &e), 0);
	assert_true(s.cert.id >> 40 >= (2026 - 1970) * 12);
	assert_int_equal(sample_request(db, a, s.txn, &rq, &e), 0);
	assert_int_equal(rq.state, STORE_REQUEST_INTENT);
	assert_int_equal(rq.cert_id, s.cert.id);
	assert_true(span_eq(rq.serial, s.intent.serial));
	assert_memory_equal(rq.tbs_hash, s.intent.tbs_hash, 32);
	assert_memory_equal(rq.request_hash, s.intent.request_hash, 32);
	assert_string_equal(rq.profile, "tls-server");
	assert_string_equal(rq.principal, "acme:1");
	assert_int_equal(rq.slot, 3);
	assert_true(rq.intent_at > 1700000000);

	assert_int_equal(store_cert_get(db, a, s.cert.id, &got, &e), -1);
	assert_int_equal(e.kind, ERR_NOT_FOUND);
	assert_int_equal(store_cert_commit(w, &s.cert, "r1", &e), 0);
	assert_int_equal(store_cert_commit(w, &s.cert, "r1", &e), 0);
	assert_int_equal(sample_request(db, a, s.txn, &rq, &e), 0);
	assert_int_equal(rq.state, STORE_REQUEST_ISSUED);
	assert_int_equal(store_cert_get(db, a, s.cert.id, &got, &e), 0);
	assert_int_equal(store_cert_names(db, a, &got, &e), 0);
	sample_check(&s, &got);
	assert_false(got.revoked);
	assert_int_equal(
	    store_cert_by_fingerprint(db, a, s.cert.fingerprint, &got, &e), 0);
	assert_int_equal(got.n_names, 0);
	assert_int_equal(store_cert_names(db, a, &got, &e), 0);
	sample_check(&s, &got);
	assert_int_equal(
	    store_cert_by_serial(db, a, issuer, s.cert.serial, &got, &e), 0);
	assert_int_equal(got.id, s.cert.id);
	assert_true(span_eq(got.der, s.cert.der));
	assert_string_equal(got.profile, "tls-server");
	assert_string_equal(got.principal, "acme:1");
	assert_int_equal(got.n_names, 0);
	assert_false(got.revoked);

	assert_int_equal(
	    store_audit_of_cert(db, a, s.cert.id, &rows, &n, &e), 0);
	assert_int_equal(n, 2);
	assert_string_equal(rows[0].kind, "intent");
	assert_string_equal(rows[1].kind, "issue");
	assert_string_equal(rows[0].actor, "chancery_enroll");
	assert_int_equal(rows[1].seq, rows[0].seq + 1);
	assert_int_equal(rows[0].writer, 4096);
	assert_non_null(strstr((const char *)rows[1].leaf.p, "signSeq=7\n"));

	/* another certificate under the same id */
	s.cert.fingerprint[0] ^= 1;
	assert_int_equal(store_cert_commit(w, &s.cert, "r1", &e), -1);
	assert_int_equal(e.kind, ERR_CONFLICT);
}

static void
test_conflicts(void **state)
{
	AUTO(arena_auto) a = arena_new();
	struct sample s, t;
	struct store_request rq;
	struct err e;
	int64_t id, again;

	(void)state;
	sample_init(&s, issuer, 2);
	assert_int_equal(store_cert_reserve(w, &s.intent, NULL, &id, &e), 0);
	assert_int_equal(
	    store_cert_reserve(w, &s.intent, NULL, &again, &e), -1);
	assert_int_equal(e.kind, ERR_CONFLICT);
	assert_non_null(strstr(e.text, s.txn));

	assert_int_equal(
	    store_cert_void(w, id + 1, "acme", s.txn, "x", &e), -1);
	assert_int_equal(e.kind, ERR_NOT_FOUND);
	assert_int_equal(store_cert_void(w, id, "acme", s.txn, "x", &e), 0);
	assert_int_equal(store_cert_void(w, id, "acme", s.txn, "x", &e), 0);
	assert_int_equal(sample_request(db, a, s.txn, &rq, &e), 0);
	assert_int_equal(rq.state, STORE_REQUEST_VOID);
	s.cert.id = id;
	assert_int_equal(store_cert_commit(w, &s.cert, "r", &e), -1);
	assert_int_equal(e.kind, ERR_CONFLICT);

	/* a void one is taken over */
	assert_int_equal(store_cert_reserve(w, &s.intent, NULL, &again, &e), 0);
	assert_int_not_equal(again, id);
	s.cert.id = again;
	assert_int_equal(store_cert_commit(w, &s.cert, "r", &e), 0);
	assert_int_equal(store_cert_void(w, again, "acme", s.txn, "x", &e), -1);
	assert_int_equal(e.kind, ERR_CONFLICT);

	/* a serial that exists */
	sample_init(&t, issuer, 3);
	assert_int_equal(
	    store_cert_reserve(w, &t.intent, NULL, &t.cert.id, &e), 0);
	t.cert.serial = s.cert.serial;
	assert_int_equal(store_cert_commit(w, &t.cert, "r", &e), -1);
	assert_int_equal(e.kind, ERR_CONFLICT);

	/* text that is none */
	sample_init(&t, issuer, 4);
	t.intent.principal = "\xff\xfe";
	assert_int_equal(store_cert_reserve(w, &t.intent, NULL, &id, &e), -1);
	assert_int_equal(e.kind, ERR_MALFORMED);
}

static void
test_intents_open(void **state)
{
	AUTO(arena_auto) a = arena_new();
	struct db *mine = db_new(pg_conninfo(pg, "chancery_enroll"), "test");
	int64_t later = clock_now() + 100;
	struct store_open_intents o;
	size_t before;
	struct sample s;
	struct err e;

	(void)state;
	assert_int_equal(store_intents_open(mine, a, later, 100, &o, &e), 0);
	before = o.n;
	sample_init(&s, issuer, 6);
	assert_int_equal(
	    store_cert_reserve(w, &s.intent, NULL, &s.cert.id, &e), 0);
	assert_int_equal(store_intents_open(mine, a, later, 100, &o, &e), 0);
	assert_int_equal(o.n, before + 1);
	assert_string_equal(o.list[o.n - 1].txn, s.txn);
	assert_int_equal(o.list[o.n - 1].cert_id, s.cert.id);
	assert_memory_equal(o.list[o.n - 1].tbs_hash, s.intent.tbs_hash, 32);
	/* another role's intents are not mine */
	assert_int_equal(store_intents_open(db, a, later, 100, &o, &e), 0);
	assert_int_equal(o.n, 0);
	assert_int_equal(store_cert_commit(w, &s.cert, "r", &e), 0);
	assert_int_equal(store_intents_open(mine, a, later, 100, &o, &e), 0);
	assert_int_equal(o.n, before);
	db_free(mine);
}

static size_t
count_list(const struct store_cert_query *q)
{
	AUTO(arena_auto) a = arena_new();
	struct store_cert *list;
	struct err e;
	size_t n, i;

	assert_int_equal(store_cert_list(db, a, q, &list, &n, &e), 0);
	for (i = 1; i < n; i++)
		assert_true(list[i].id < list[i - 1].id);
	return n;
}

static void
test_list(void **state)
{
	struct store_name names[] = { { 2, "a.list.test" },
		{ 2, "b.a.list.test" }, { 255, "a.list.test" } };
	struct store_cert_query q = { .revoked = -1 };
	struct store_revocation r = {
		.issuer = issuer, .reason = -1, .at = 1800000000
	};
	struct sample s[3];
	struct err e;
	size_t i;

	(void)state;
	for (i = 0; i < 3; i++) {
		sample_init(&s[i], issuer, 20 + (int)i);
		s[i].intent.principal = s[i].cert.principal = "lister";
		s[i].cert.names = names;
		s[i].cert.n_names = i + 1;
		s[i].cert.not_after += (int64_t)i * 86400;
		sample_issue(w, &s[i]);
	}
	q.principal = "lister";
	assert_int_equal(count_list(&q), 3);
	q.limit = 2;
	assert_int_equal(count_list(&q), 2);
	q.limit = 0;
	q.before_id = s[1].cert.id;
	assert_int_equal(count_list(&q), 1);
	q.before_id = 0;
	q.name = "B.a.list.test";
	assert_int_equal(count_list(&q), 2);
	q.name = "*.list.test";
	assert_int_equal(count_list(&q), 3);
	q.name = "*.a.list.test";
	assert_int_equal(count_list(&q), 2);
	q.name = "*.st.test";
	assert_int_equal(count_list(&q), 0);
	q.name = NULL;
	q.expires_before = s[1].cert.not_after;
	assert_int_equal(count_list(&q), 1);
	q.expires_before = 0;
	q.expires_after = s[1].cert.not_after;
	assert_int_equal(count_list(&q), 1);
	q.expires_after = 0;
	q.serial = s[2].cert.serial;
	assert_int_equal(count_list(&q), 1);
	q.serial = span_of(NULL, 0);
	r.serial = s[0].cert.serial;
	assert_int_equal(store_revoke(w, &r, &e), 0);
	q.revoked = 1;
	assert_int_equal(count_list(&q), 1);
	q.revoked = 0;
	assert_int_equal(count_list(&q), 2);
	q.issuer_name = "no such issuer";
	assert_int_equal(count_list(&q), 0);
	q.issuer_name = "tls";
	q.profile = "tls-server";
	assert_int_equal(count_list(&q), 2);
}

static void
test_audit(void **state)
{
	AUTO(arena_auto) a = arena_new();
	const struct audit_pair pairs[] = { { "why", "a\nb\\c" },
		{ "not", NULL } };
	struct audit_event ev = { "refused", 77, pairs, 2 };
	struct audit_row *rows;
	struct err e;
	size_t n;

	(void)state;
	assert_true(span_is(
	    audit_leaf(a, &ev), "kind=refused\ncert=77\nwhy=a\\0ab\\5cc\n"));
	assert_int_equal(store_audit_put(w, &ev, &e), 0);
	assert_int_equal(store_audit_of_cert(db, a, 77, &rows, &n, &e), 0);
	assert_int_equal(n, 1);
	assert_true(span_eq(rows[0].leaf, audit_leaf(a, &ev)));
	assert_true(rows[0].at_us > INT64_C(1700000000000000));
}

static void
test_profile(void **state)
{
	uint8_t hash[32] = { 1 };
	struct err e;

	(void)state;
	assert_int_equal(store_profile_put(w, hash, "p", "text", &e), 0);
	assert_int_equal(store_profile_put(w, hash, "p", "text", &e), 0);
}

static void
test_clean(void **state)
{
	AUTO(arena_auto) a = arena_new();
	int64_t later = clock_now() + 1000;
	struct store_request rq;
	struct sample s, open;
	struct err e;
	size_t n;

	(void)state;
	sample_init(&s, issuer, 30);
	sample_issue(w, &s);
	sample_init(&open, issuer, 31);
	assert_int_equal(
	    store_cert_reserve(w, &open.intent, NULL, &open.cert.id, &e), 0);
	assert_int_equal(store_request_clean(db, later, 1, &n, &e), 0);
	assert_int_equal(n, 1);
	assert_int_equal(store_request_clean(db, later, 1000, &n, &e), 0);
	assert_true(n > 1);
	assert_int_equal(sample_request(db, a, s.txn, &rq, &e), -1);
	assert_int_equal(e.kind, ERR_NOT_FOUND);
	assert_int_equal(sample_request(db, a, open.txn, &rq, &e), 0);
	assert_int_equal(store_cert_commit(w, &open.cert, "r", &e), 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_issuer),
		cmocka_unit_test(test_reserve_commit),
		cmocka_unit_test(test_conflicts),
		cmocka_unit_test(test_intents_open),
		cmocka_unit_test(test_list),
		cmocka_unit_test(test_audit),
		cmocka_unit_test(test_profile),
		cmocka_unit_test(test_clean),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
