/* Requests that wait, secrets that are used up, and repeats: the stores. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/clock.h"
#include "db/db_int.h"
#include "db/store_request.h"
#include "db/store_revoke.h"
#include "db/store_secret.h"
#include "tests/db/sample.h"

#define APPROVED_ROW                                                             \
	"INSERT INTO chancery.request SELECT protocol, 'mine', 3, slot, class,"  \
	" issuer, cert_id, now(), request_hash, tbs_hash, profile_hash, serial," \
	" profile, principal FROM chancery.request WHERE txn = 'order-3'"

static struct pg *pg;
static struct db *oper_db, *enroll_db;
static struct writer *oper, *enroll;
static int issuer;

static int
setup(void **state)
{
	struct err e;

	(void)state;
	pg = pg_new();
	oper_db = db_new(pg_conninfo(pg, "chancery_oper"), "test");
	enroll_db = db_new(pg_conninfo(pg, "chancery_enroll"), "test");
	if (writer_new(pg_conninfo(pg, "chancery_enroll"), "enroll", "t",
		&enroll, &e) == -1 ||
	    writer_new(
		pg_conninfo(pg, "chancery_oper"), "oper", "t", &oper, &e) == -1)
		return -1;
	issuer = sample_issuer(oper_db, "tls");
	return issuer > 0 ? 0 : -1;
}

static int
teardown(void **state)
{
	(void)state;
	writer_free(enroll);
	writer_free(oper);
	db_free(enroll_db);
	db_free(oper_db);
	pg_free(pg);
	return 0;
}

static struct store_pending
pending(const struct sample *s)
{
	struct store_pending p = { .protocol = "acme",
		.txn = s->txn,
		.profile = "tls-server",
		.principal = "acme:1",
		.body = span_str("body"),
		.summary = "CN=a dns:a.test",
		.lifetime_s = 3600,
		.request_id = "r" };

	memcpy(p.request_hash, s->intent.request_hash, STORE_HASH_SIZE);
	return p;
}

static int
state_of(const char *txn, int64_t repeat_s)
{
	AUTO(arena_auto) a = arena_new();
	const struct store_request_key key = { "acme", txn, repeat_s };
	struct store_request r;
	struct err e;

	if (store_request_get(enroll_db, a, &key, &r, &e) == -1)
		return -1;
	return (int)r.state;
}

/* The row of a transaction among those that wait (or waited). */
static struct store_waiting
waiting(struct arena *a, const char *txn, bool all)
{
	const struct store_waiting_query q = { 0, 1000, all };
	struct store_waiting *list, none = { .id = 0 };
	struct err e;
	size_t n, i;

	assert_int_equal(
	    store_request_waiting(oper_db, a, &q, &list, &n, &e), 0);
	for (i = 0; i < n; i++) {
		if (strcmp(list[i].txn, txn) == 0)
			return list[i];
	}
	return none;
}

static int
decide(int64_t id, bool approve, const char *operator, struct err * e)
{
	const struct store_decision d = {
		id, approve, "because", operator, "r" };

	return store_request_decide(oper, &d, e);
}

static void
run(const char *role, const char *sql, bool works)
{
	struct db *db = db_new_bare(pg_conninfo(pg, role), "test");
	struct err e;

	assert_int_equal(db_script(db, sql, &e), works ? 0 : -1);
	db_free(db);
}

static void
test_approve(void **state)
{
	AUTO(arena_auto) a = arena_new();
	struct store_pending p;
	struct store_waiting w;
	struct span body;
	struct sample s;
	struct err e;

	(void)state;
	sample_init(&s, issuer, 1);
	p = pending(&s);
	assert_int_equal(store_request_pend(enroll, &p, &e), 0);
	assert_int_equal(store_request_pend(enroll, &p, &e), -1);
	assert_int_equal(e.kind, ERR_CONFLICT);
	assert_int_equal(state_of(s.txn, 0), STORE_REQUEST_PENDING);
	/* what waits cannot be reserved */
	assert_int_equal(
	    store_cert_reserve(enroll, &s.intent, NULL, &s.cert.id, &e), -1);
	assert_int_equal(e.kind, ERR_CONFLICT);

	w = waiting(a, s.txn, false);
	assert_string_equal(w.summary, "CN=a dns:a.test");
	assert_string_equal(w.principal, "acme:1");
	assert_int_equal(w.state, STORE_REQUEST_PENDING);
	assert_int_equal(w.expires_at - w.created_at, 3600);
	assert_null(w.secret);
	assert_int_equal(decide(w.id, true, "alice", &e), 0);
	assert_int_equal(decide(w.id, false, "alice", &e), -1);
	assert_int_equal(e.kind, ERR_CONFLICT);
	assert_int_equal(decide(w.id + 1000, true, "alice", &e), -1);
	assert_int_equal(e.kind, ERR_NOT_FOUND);
	assert_int_equal(waiting(a, s.txn, false).id, 0);
	assert_int_equal(state_of(s.txn, 0), STORE_REQUEST_APPROVED);
	assert_int_equal(
	    store_request_body(enroll_db, a, "acme", s.txn, &body, &e), 0);
	assert_true(span_is(body, "body"));

	/* only the request that was approved */
	s.intent.request_hash[0] ^= 1;
	assert_int_equal(
	    store_cert_reserve(enroll, &s.intent, NULL, &s.cert.id, &e), -1);
	assert_int_equal(e.kind, ERR_CONFLICT);
	s.intent.request_hash[0] ^= 1;
	sample_issue(enroll, &s);
	assert_int_equal(state_of(s.txn, 0), STORE_REQUEST_ISSUED);
	w = waiting(a, s.txn, true);
	assert_int_equal(w.state, STORE_REQUEST_ISSUED);
	assert_int_equal(w.cert_id, s.cert.id);
	assert_string_equal(w.operator, "alice");
	assert_string_equal(w.reason, "because");
}

static void
test_reject(void **state)
{
	AUTO(arena_auto) a = arena_new();
	const struct store_request_key key = { "acme", "order-2", 0 };
	struct store_request r;
	struct store_pending p;
	struct sample s;
	struct err e;

	(void)state;
	sample_init(&s, issuer, 2);
	p = pending(&s);
	p.principal = "oper:bob";
	assert_int_equal(store_request_pend(enroll, &p, &e), 0);
	/* nobody decides on what is their own */
	assert_int_equal(
	    decide(waiting(a, s.txn, false).id, false, "bob", &e), -1);
	assert_int_equal(e.kind, ERR_REFUSED);
	assert_int_equal(
	    decide(waiting(a, s.txn, false).id, false, "alice", &e), 0);
	assert_int_equal(store_request_get(enroll_db, a, &key, &r, &e), 0);
	assert_int_equal(r.state, STORE_REQUEST_REJECTED);
	assert_string_equal(r.reason, "because");
	assert_int_equal(
	    store_cert_reserve(enroll, &s.intent, NULL, &s.cert.id, &e), -1);
	assert_int_equal(e.kind, ERR_CONFLICT);
	assert_int_equal(store_request_pend(enroll, &p, &e), -1);
	assert_int_equal(e.kind, ERR_CONFLICT);
}

/* Daemons neither approve nor go around an approval. */
static void
test_grants(void **state)
{
	struct store_pending p;
	struct sample s;
	struct err e;

	(void)state;
	sample_init(&s, issuer, 3);
	p = pending(&s);
	assert_int_equal(store_request_pend(enroll, &p, &e), 0);
	run("chancery_enroll",
	    "UPDATE chancery.request SET state = 3 WHERE txn = 'order-3'",
	    false);
	run("chancery_enroll",
	    "UPDATE chancery.request SET state = 1 WHERE txn = 'order-3'",
	    false);
	run("chancery_pub",
	    "UPDATE chancery.request SET state = 3 WHERE txn = 'order-3'",
	    false);
	run("chancery_enroll",
	    "INSERT INTO chancery.secret (name, kind, one_time, salt,"
	    " hash, profile, names, operator, expires_at)"
	    " VALUES ('x', 0, false, decode(repeat('00', 16), 'hex'),"
	    " sha256(''), 'p', '{}', 'me', now())",
	    false);
	/* nor is a row made that was approved from the start */
	run("chancery_enroll", APPROVED_ROW, false);
	run("chancery_oper", APPROVED_ROW, false);
	/* whoever changes what waits has asked for it */
	run("chancery_oper",
	    "UPDATE chancery.pending SET login = 'chancery_enroll',"
	    " secret = NULL WHERE txn = 'order-3'",
	    true);
	run("postgres",
	    "DO $$ BEGIN ASSERT 'chancery_oper' = (SELECT login"
	    " FROM chancery.pending WHERE txn = 'order-3'); END $$",
	    true);
	/* the hashes of secrets are for those who compare them */
	run("chancery_pub", "SELECT hash FROM chancery.secret", false);
	run("chancery_oper",
	    "UPDATE chancery.request SET state = 3 WHERE txn = 'order-3'",
	    true);
	run("chancery_oper",
	    "UPDATE chancery.request SET state = 4 WHERE txn = 'order-3'",
	    false);
}

static void
test_expired(void **state)
{
	AUTO(arena_auto) a = arena_new();
	struct store_pending p;
	struct sample s;
	struct err e;
	size_t n;

	(void)state;
	sample_init(&s, issuer, 4);
	p = pending(&s);
	p.lifetime_s = 0;
	assert_int_equal(store_request_pend(enroll, &p, &e), 0);
	assert_int_equal(state_of(s.txn, 0), STORE_REQUEST_EXPIRED);
	assert_int_equal(waiting(a, s.txn, false).id, 0);
	assert_int_equal(
	    decide(waiting(a, s.txn, true).id, true, "alice", &e), -1);
	assert_int_equal(e.kind, ERR_CONFLICT);
	run("chancery_oper",
	    "UPDATE chancery.request SET state = 3 WHERE txn = 'order-4'",
	    false);
	assert_int_equal(
	    store_request_clean(oper_db, clock_now() - 1800, 10, &n, &e), 0);
	assert_int_equal(n, 0);
	run("postgres",
	    "UPDATE chancery.pending SET expires_at = now()"
	    " - interval '1 hour' WHERE txn = 'order-4'",
	    true);
	run("postgres",
	    "UPDATE chancery.request SET created_at = now()"
	    " - interval '1 hour' WHERE txn = 'order-4'",
	    true);
	assert_int_equal(
	    store_request_clean(oper_db, clock_now() - 1800, 10, &n, &e), 0);
	assert_int_equal(n, 1);
	assert_int_equal(state_of(s.txn, 0), -1);
}

static int64_t
add_secret(const char *name, const char *operator)
{
	AUTO(arena_auto) a = arena_new();
	const char *names[] = { "dns:*.a.test", "CN:x" };
	struct store_secret s = { .name = name,
		.kind = STORE_SECRET_GENERATED,
		.one_time = true,
		.hash = { 1, 2, 3 },
		.profile = "device",
		.names = names,
		.n_names = 2,
		.operator= operator,
		.expires_at = INT64_C(4000000000) };
	struct store_secret got;
	struct err e;

	assert_int_equal(store_secret_add(oper, &s, "r", &e), 0);
	assert_int_equal(store_secret_add(oper, &s, "r", &e), -1);
	assert_int_equal(e.kind, ERR_CONFLICT);
	assert_int_equal(store_secret_get(enroll_db, a, name, &got, &e), 0);
	assert_memory_equal(got.hash, s.hash, sizeof(s.hash));
	assert_string_equal(got.profile, "device");
	assert_int_equal(got.n_names, 2);
	assert_string_equal(got.names[0], "dns:*.a.test");
	assert_true(got.one_time);
	assert_int_equal(got.used_at, 0);
	assert_int_equal(got.expires_at, INT64_C(4000000000));
	return got.id;
}

static void
test_secret_used(void **state)
{
	AUTO(arena_auto) a = arena_new();
	struct sample one, two;
	struct store_secret got;
	struct err e;
	int64_t id, ignored;

	(void)state;
	id = add_secret("once", "alice");
	sample_init(&one, issuer, 10);
	sample_init(&two, issuer, 11);
	one.intent.secret = two.intent.secret = id;
	assert_int_equal(
	    store_cert_reserve(enroll, &one.intent, NULL, &one.cert.id, &e), 0);
	assert_int_equal(
	    store_cert_reserve(enroll, &two.intent, NULL, &two.cert.id, &e),
	    -1);
	assert_int_equal(e.kind, ERR_UNAUTHENTICATED);
	assert_int_equal(state_of(two.txn, 0), -1);
	/* its own repeats are no other use */
	assert_int_equal(
	    store_cert_reserve(enroll, &one.intent, NULL, &ignored, &e), -1);
	assert_int_equal(e.kind, ERR_CONFLICT);
	assert_int_equal(store_secret_get(enroll_db, a, "once", &got, &e), 0);
	assert_string_equal(got.used_by, "acme order-10");
	/* given up, it is free again */
	assert_int_equal(
	    store_cert_void(enroll, one.cert.id, "acme", one.txn, "test", &e),
	    0);
	assert_int_equal(
	    store_cert_reserve(enroll, &two.intent, NULL, &two.cert.id, &e), 0);
	assert_int_equal(
	    store_cert_reserve(enroll, &one.intent, NULL, &one.cert.id, &e),
	    -1);
	assert_int_equal(e.kind, ERR_UNAUTHENTICATED);
	/* a revoked one is good for nothing, and its name is free */
	assert_int_equal(
	    store_secret_revoke(oper, "once", "alice", "r", &e), 0);
	assert_int_equal(
	    store_secret_revoke(oper, "once", "alice", "r", &e), -1);
	assert_int_equal(e.kind, ERR_NOT_FOUND);
	assert_int_equal(store_secret_get(enroll_db, a, "once", &got, &e), -1);
	assert_int_equal(e.kind, ERR_NOT_FOUND);
	sample_init(&one, issuer, 12);
	one.intent.secret = id;
	assert_int_equal(
	    store_cert_reserve(enroll, &one.intent, NULL, &one.cert.id, &e),
	    -1);
	assert_int_equal(e.kind, ERR_UNAUTHENTICATED);
	assert_int_not_equal(add_secret("once", "alice"), id);
}

/* A key that is blocked costs nothing: the client makes another. */
static void
test_secret_kept(void **state)
{
	struct store_key_block b = { .why = "leaked", .actor = "x" };
	struct sample one, two;
	struct err e;

	(void)state;
	sample_init(&one, issuer, 13);
	sample_init(&two, issuer, 14);
	one.intent.secret = two.intent.secret = add_secret("kept", "alice");
	memcpy(b.spki_sha256, one.intent.spki_sha256, STORE_HASH_SIZE);
	assert_int_equal(store_revoke_block(oper, &b, &e), 0);
	assert_int_equal(
	    store_cert_reserve(enroll, &one.intent, NULL, &one.cert.id, &e),
	    -1);
	assert_int_equal(e.kind, ERR_BAD_KEY);
	sample_issue(enroll, &two);
}

static void
revoke(const struct sample *s, int reason)
{
	const struct store_revocation rv = { .issuer = issuer,
		.serial = s->cert.serial,
		.reason = reason,
		.actor = "t",
		.request_id = "r" };
	struct err e;

	assert_int_equal(store_revoke(enroll, &rv, &e), 0);
}

/* The same request again with a one-time secret that had its certificate. */
static void
once_more(int n, const struct sample *first, int64_t repeat_s, bool works)
{
	struct store_pending p;
	struct sample s;
	struct err e;

	sample_init(&s, issuer, n);
	s.intent.txn = s.cert.txn = first->txn;
	s.intent.secret = first->intent.secret;
	s.intent.repeat_s = repeat_s;
	if (works) {
		sample_issue(enroll, &s);
		return;
	}
	assert_int_equal(
	    store_cert_reserve(enroll, &s.intent, NULL, &s.cert.id, &e), -1);
	assert_int_equal(e.kind, ERR_UNAUTHENTICATED);
	p = pending(first);
	p.secret = p.made_with = s.intent.secret;
	p.repeat_s = repeat_s;
	assert_int_equal(store_request_pend(enroll, &p, &e), -1);
	assert_int_equal(e.kind, ERR_UNAUTHENTICATED);
}

/* One certificate, however the request for it comes again. */
static void
test_secret_once(void **state)
{
	struct sample s;

	(void)state;
	sample_init(&s, issuer, 15);
	s.intent.secret = add_secret("revoked", "alice");
	sample_issue(enroll, &s);
	revoke(&s, 5);
	once_more(16, &s, 3600, false);
	once_more(16, &s, -1, false);
	/* what a new key has superseded may be asked for again */
	sample_init(&s, issuer, 17);
	s.intent.secret = add_secret("superseded", "alice");
	sample_issue(enroll, &s);
	revoke(&s, 4);
	once_more(18, &s, -1, true);

	sample_init(&s, issuer, 19);
	s.intent.secret = add_secret("old", "alice");
	sample_issue(enroll, &s);
	run("postgres",
	    "UPDATE chancery.request SET created_at = now()"
	    " - interval '2 hours' WHERE txn = 'order-19'",
	    true);
	once_more(22, &s, 3600, false);
	/* nor when nothing is remembered of it */
	run("postgres", "DELETE FROM chancery.request WHERE txn = 'order-19'",
	    true);
	once_more(22, &s, 3600, false);
}

static void
test_secret_pending(void **state)
{
	AUTO(arena_auto) a = arena_new();
	struct sample one, two;
	struct store_pending p;
	struct store_waiting w;
	struct err e;
	int64_t id;

	(void)state;
	id = add_secret("wait", "carol");
	sample_init(&one, issuer, 20);
	sample_init(&two, issuer, 21);
	p = pending(&one);
	p.secret = p.made_with = id;
	assert_int_equal(store_request_pend(enroll, &p, &e), 0);
	p = pending(&two);
	p.secret = p.made_with = id;
	assert_int_equal(store_request_pend(enroll, &p, &e), -1);
	assert_int_equal(e.kind, ERR_UNAUTHENTICATED);
	assert_int_equal(state_of(two.txn, 0), -1);
	w = waiting(a, one.txn, false);
	assert_string_equal(w.secret, "wait");
	/* nobody approves what came with a secret they made */
	assert_int_equal(decide(w.id, true, "carol", &e), -1);
	assert_int_equal(e.kind, ERR_REFUSED);
	assert_int_equal(decide(w.id, true, "alice", &e), 0);
	one.intent.secret = id;
	sample_issue(enroll, &one);
}

static void
test_secret_list(void **state)
{
	AUTO(arena_auto) a = arena_new();
	struct store_secret_query q = { 0, 100, true };
	struct store_secret *list;
	struct err e;
	size_t n, all;

	(void)state;
	(void)add_secret("listed", "alice");
	assert_int_equal(store_secret_list(oper_db, a, &q, &list, &all, &e), 0);
	q.all = false;
	assert_int_equal(store_secret_list(oper_db, a, &q, &list, &n, &e), 0);
	assert_true(n > 0 && n < all);
	assert_string_equal(list[n - 1].name, "listed");
	q.after = list[n - 1].id;
	assert_int_equal(store_secret_list(oper_db, a, &q, &list, &n, &e), 0);
	assert_int_equal(n, 0);
}

/* When a certificate stops being the answer to the same request. */
static void
test_repeat(void **state)
{
	struct store_revocation rv = {
		.issuer = issuer, .reason = 4, .actor = "t", .request_id = "r"
	};
	struct sample s, again;
	struct store_pending p;
	struct err e;

	(void)state;
	sample_init(&s, issuer, 30);
	sample_issue(enroll, &s);
	sample_init(&again, issuer, 31);
	again.intent.txn = again.cert.txn = s.txn;
	again.intent.repeat_s = 3600;
	assert_int_equal(
	    store_cert_reserve(enroll, &again.intent, NULL, &again.cert.id, &e),
	    -1);
	assert_int_equal(e.kind, ERR_CONFLICT);
	again.intent.repeat_s = -1;
	assert_int_equal(
	    store_cert_reserve(enroll, &again.intent, NULL, &again.cert.id, &e),
	    -1);
	assert_int_equal(e.kind, ERR_CONFLICT);
	run("postgres",
	    "UPDATE chancery.request SET created_at = now()"
	    " - interval '2 hours' WHERE txn = 'order-30'",
	    true);
	assert_int_equal(state_of(s.txn, 0), STORE_REQUEST_ISSUED);
	assert_int_equal(state_of(s.txn, 7300), STORE_REQUEST_ISSUED);
	assert_int_equal(state_of(s.txn, -1), STORE_REQUEST_ISSUED);
	assert_int_equal(state_of(s.txn, 3600), STORE_REQUEST_OLD);
	again.intent.repeat_s = 0;
	assert_int_equal(
	    store_cert_reserve(enroll, &again.intent, NULL, &again.cert.id, &e),
	    -1);
	again.intent.repeat_s = 3600;
	sample_issue(enroll, &again);
	assert_int_equal(state_of(s.txn, 3600), STORE_REQUEST_ISSUED);

	/* revoked: at once */
	rv.serial = again.cert.serial;
	assert_int_equal(store_revoke(enroll, &rv, &e), 0);
	assert_int_equal(state_of(s.txn, 0), STORE_REQUEST_ISSUED);
	assert_int_equal(state_of(s.txn, -1), STORE_REQUEST_OLD);
	assert_int_equal(state_of(s.txn, 3600), STORE_REQUEST_OLD);
	p = pending(&s);
	assert_int_equal(store_request_pend(enroll, &p, &e), -1);
	p.repeat_s = -1;
	assert_int_equal(store_request_pend(enroll, &p, &e), 0);
	assert_int_equal(state_of(s.txn, 0), STORE_REQUEST_PENDING);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_approve),
		cmocka_unit_test(test_reject),
		cmocka_unit_test(test_grants),
		cmocka_unit_test(test_expired),
		cmocka_unit_test(test_secret_used),
		cmocka_unit_test(test_secret_kept),
		cmocka_unit_test(test_secret_once),
		cmocka_unit_test(test_secret_pending),
		cmocka_unit_test(test_secret_list),
		cmocka_unit_test(test_repeat),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
