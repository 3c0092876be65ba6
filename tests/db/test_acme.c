/* ACME state and the validation queue. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/clock.h"
#include "db/store_acme.h"
#include "db/store_vald.h"
#include "db/writer.h"
#include "tests/db/sample.h"

static struct pg *pg;
static struct db *db, *vald, *super;
static struct writer *w, *vw, *nw;
static int issuer;

static const struct store_account alice = { .id = "alice",
	.thumbprint = { 1 },
	.jwk = "{\"kty\":\"EC\"}",
	.contact = "[\"mailto:a@example.test\"]",
	.tos_agreed = true };

static int
setup(void **state)
{
	struct err e;

	(void)state;
	pg = pg_new();
	db = db_new(pg_conninfo(pg, "chancery_enroll"), "test");
	vald = db_new(pg_conninfo(pg, "chancery_vald"), "test");
	super = db_new(pg_conninfo(pg, "chancery_oper"), "test");
	issuer = sample_issuer(super, "tls");
	if (writer_new(pg_conninfo(pg, "chancery_enroll"), "enroll", "t", &w,
		&e) == -1 ||
	    writer_new(
		pg_conninfo(pg, "chancery_vald"), "vald", "t", &vw, &e) == -1 ||
	    writer_new_async(pg_conninfo(pg, "chancery_enroll"), &nw, &e) == -1)
		return -1;
	return store_account_new(w, &alice, &e);
}

static int
teardown(void **state)
{
	(void)state;
	writer_free(w);
	writer_free(vw);
	writer_free(nw);
	db_free(db);
	db_free(vald);
	db_free(super);
	pg_free(pg);
	return 0;
}

static void
test_account(void **state)
{
	AUTO(arena_auto) a = arena_new();
	struct store_account acc = {
		.id = "bob", .thumbprint = { 2 }, .jwk = "{}", .contact = "[]"
	};
	struct store_account got;
	struct err e;

	(void)state;
	assert_int_equal(store_account_new(w, &acc, &e), 0);
	acc.id = "bobby";
	assert_int_equal(store_account_new(w, &acc, &e), -1);
	assert_int_equal(e.kind, ERR_CONFLICT);
	acc.thumbprint[0] = 3;
	acc.contact = "no JSON";
	assert_int_equal(store_account_new(w, &acc, &e), -1);
	assert_int_equal(e.kind, ERR_MALFORMED);
	assert_int_equal(
	    store_account_by_key(db, a, alice.thumbprint, &got, &e), 0);
	assert_string_equal(got.id, "alice");
	assert_string_equal(got.jwk, alice.jwk);
	assert_string_equal(got.contact, alice.contact);
	assert_true(got.tos_agreed);
	assert_int_equal(got.status, STORE_ACCOUNT_VALID);
	assert_true(got.created_at > 1700000000);
	assert_int_equal(
	    store_account_by_key(db, a, acc.thumbprint, &got, &e), -1);
	assert_int_equal(e.kind, ERR_NOT_FOUND);

	assert_int_equal(store_account_contact(w, "bob", "[\"x\"]", &e), 0);
	assert_int_equal(store_account_get(db, a, "bob", &got, &e), 0);
	assert_string_equal(got.contact, "[\"x\"]");
	assert_int_equal(store_account_contact(w, "none", "[]", &e), -1);
	assert_int_equal(e.kind, ERR_NOT_FOUND);
	assert_int_equal(store_account_deactivate(w, "bob", &e), 0);
	assert_int_equal(store_account_deactivate(w, "bob", &e), -1);
	assert_int_equal(e.kind, ERR_NOT_FOUND);
	assert_int_equal(store_account_get(db, a, "bob", &got, &e), 0);
	assert_int_equal(got.status, STORE_ACCOUNT_DEACTIVATED);
	assert_int_equal(store_account_get(db, a, "none", &got, &e), -1);
	assert_int_equal(e.kind, ERR_NOT_FOUND);
}

/* An order of alice's for 'name' with the ids "o-TAG", "z-TAG", "c-TAG". */
struct made {
	char o[40], z[40], c[40], c2[40];
	struct store_challenge_new ch[2];
	struct store_authz_new az[1];
	struct store_order_new order;
};

static void
make(struct made *m, const char *tag, const char *name)
{
	int64_t now = clock_now();

	memset(m, 0, sizeof(*m));
	(void)snprintf(m->o, sizeof(m->o), "o-%s", tag);
	(void)snprintf(m->z, sizeof(m->z), "z-%s", tag);
	(void)snprintf(m->c, sizeof(m->c), "c-%s", tag);
	(void)snprintf(m->c2, sizeof(m->c2), "d-%s", tag);
	m->ch[0] = (struct store_challenge_new){ m->c, "http-01", "tok" };
	m->ch[1] = (struct store_challenge_new){ m->c2, "tls-alpn-01", "t2" };
	m->az[0] = (struct store_authz_new){ { "dns", name, false }, m->z,
		m->ch, 2, false };
	m->order = (struct store_order_new){ m->o, "alice", "tls-server",
		now + 3600, 0, now + 86400, now + 600, 1000, 0, m->az, 1 };
}

static void
order_new(struct made *m)
{
	AUTO(arena_auto) a = arena_new();
	struct err e;

	assert_int_equal(store_order_new(w, NULL, a, &m->order, &e), 0);
}

static enum store_order_status
order_status(const char *id)
{
	AUTO(arena_auto) a = arena_new();
	struct store_order o;
	struct err e;

	assert_int_equal(store_order_get(db, a, id, &o, &e), 0);
	return o.status;
}

/* Has the challenge validated, as vald does. */
static void
validate(const struct made *m, bool ok)
{
	AUTO(arena_auto) a = arena_new();
	struct store_vald_result res = { m->c, m->z, "v1", ok, 0, "seen",
		ok ? NULL : "connection", ok ? NULL : "refused" };
	struct store_vald_job *jobs;
	struct err e;
	size_t n;

	assert_int_equal(store_challenge_respond(w, m->c, &e), 0);
	assert_int_equal(
	    store_vald_take(vald, a, &(struct store_vald_lease){ "v1", 10, 30 },
		&jobs, &n, &e),
	    0);
	assert_int_equal(n, 1);
	assert_string_equal(jobs[0].challenge, m->c);
	assert_string_equal(jobs[0].authz, m->z);
	assert_string_equal(jobs[0].token, "tok");
	assert_string_equal(jobs[0].type, "http-01");
	assert_string_equal(jobs[0].ident_value, m->az[0].identifier.value);
	assert_int_equal(jobs[0].thumbprint[0], 1);
	assert_int_equal(store_vald_result(vw, &res, &e), 0);
}

static void
test_order(void **state)
{
	AUTO(arena_auto) a = arena_new();
	struct store_authz z;
	struct store_order o;
	struct sample s;
	struct made m;
	struct err e;

	(void)state;
	make(&m, "1", "one.test");
	order_new(&m);
	assert_int_equal(store_order_new(w, NULL, a, &m.order, &e), -1);
	assert_int_equal(e.kind, ERR_CONFLICT);
	assert_int_equal(store_order_get(db, a, "o-1", &o, &e), 0);
	assert_int_equal(o.status, STORE_ORDER_PENDING);
	assert_string_equal(o.account, "alice");
	assert_int_equal(o.expires_at, m.order.expires_at);
	assert_int_equal(o.not_before, 0);
	assert_int_equal(o.not_after, m.order.not_after);
	assert_int_equal(o.n_identifiers, 1);
	assert_string_equal(o.identifiers[0].type, "dns");
	assert_string_equal(o.identifiers[0].value, "one.test");
	assert_int_equal(o.n_authz, 1);
	assert_string_equal(o.authz[0], "z-1");
	assert_int_equal(store_order_get(db, a, "none", &o, &e), -1);
	assert_int_equal(e.kind, ERR_NOT_FOUND);

	assert_int_equal(store_authz_get(db, a, "z-1", &z, &e), 0);
	assert_int_equal(z.status, STORE_AUTHZ_PENDING);
	assert_int_equal(z.n_challenges, 2);
	assert_int_equal(z.challenges[0].status, STORE_CHALLENGE_PENDING);
	validate(&m, true);
	assert_int_equal(store_authz_by_challenge(db, a, "d-1", &z, &e), 0);
	assert_string_equal(z.id, "z-1");
	assert_int_equal(z.status, STORE_AUTHZ_VALID);
	assert_true(z.expires_at > clock_now() + 900);
	assert_int_equal(z.challenges[0].status, STORE_CHALLENGE_VALID);
	assert_true(z.challenges[0].validated_at > 1700000000);
	assert_int_equal(z.challenges[1].status, STORE_CHALLENGE_PENDING);
	assert_int_equal(store_challenge_respond(w, "d-1", &e), -1);
	assert_int_equal(e.kind, ERR_CONFLICT);
	assert_int_equal(order_status("o-1"), STORE_ORDER_READY);

	/* the pipeline's rows make it processing, then valid */
	sample_init(&s, issuer, 1);
	s.intent.txn = s.cert.txn = "o-1";
	assert_int_equal(store_cert_reserve(w, &s.intent, &s.cert.id, &e), 0);
	assert_int_equal(order_status("o-1"), STORE_ORDER_PROCESSING);
	assert_int_equal(store_cert_commit(w, &s.cert, "r", &e), 0);
	assert_int_equal(store_order_get(db, a, "o-1", &o, &e), 0);
	assert_int_equal(o.status, STORE_ORDER_VALID);
	assert_int_equal(o.cert_id, s.cert.id);
}

static void
test_order_invalid(void **state)
{
	AUTO(arena_auto) a = arena_new();
	struct store_authz z;
	struct made m;
	struct err e;

	(void)state;
	make(&m, "2", "two.test");
	order_new(&m);
	validate(&m, false);
	assert_int_equal(order_status("o-2"), STORE_ORDER_INVALID);
	assert_int_equal(store_authz_get(db, a, "z-2", &z, &e), 0);
	assert_int_equal(z.status, STORE_AUTHZ_INVALID);
	assert_int_equal(z.challenges[0].status, STORE_CHALLENGE_INVALID);
	assert_string_equal(z.challenges[0].error_type, "connection");
	assert_string_equal(z.challenges[0].error_detail, "refused");

	make(&m, "3", "three.test"); /* expired */
	m.order.expires_at = clock_now() - 1;
	order_new(&m);
	assert_int_equal(order_status("o-3"), STORE_ORDER_INVALID);

	make(&m, "4", "four.test"); /* its authorization expired */
	m.order.pending_until = clock_now() - 1;
	order_new(&m);
	assert_int_equal(order_status("o-4"), STORE_ORDER_INVALID);
	assert_int_equal(store_authz_get(db, a, "z-4", &z, &e), 0);
	assert_int_equal(z.status, STORE_AUTHZ_EXPIRED);

	make(&m, "5", "five.test"); /* deactivated */
	order_new(&m);
	validate(&m, true);
	assert_int_equal(store_authz_deactivate(w, "z-5", &e), 0);
	assert_int_equal(store_authz_deactivate(w, "none", &e), -1);
	assert_int_equal(e.kind, ERR_NOT_FOUND);
	assert_int_equal(order_status("o-5"), STORE_ORDER_INVALID);
}

static void
test_reuse_and_holds(void **state)
{
	AUTO(arena_auto) a = arena_new();
	struct store_identifier ids[] = { { "dns", "seven.test", false },
		{ "dns", "eight.test", false } };
	struct store_authz_new two[2];
	struct store_order o;
	struct made m, n;
	struct err e;
	bool all;

	(void)state;
	make(&m, "7", "seven.test");
	order_new(&m);
	validate(&m, true);
	assert_int_equal(store_account_holds(db, "alice", ids, 1, &all, &e), 0);
	assert_true(all);
	assert_int_equal(store_account_holds(db, "alice", ids, 2, &all, &e), 0);
	assert_false(all);
	assert_int_equal(store_account_holds(db, "bob", ids, 1, &all, &e), 0);
	assert_false(all);
	assert_int_equal(store_account_holds(db, "alice", ids, 0, &all, &e), 0);
	assert_false(all);

	make(&m, "7b", "seven.test");
	make(&n, "8", "eight.test");
	two[0] = m.az[0];
	two[1] = n.az[0];
	m.order.authz = two;
	m.order.n_authz = 2;
	m.order.reuse_until = clock_now() + 60;
	assert_int_equal(store_order_new(w, db, a, &m.order, &e), 0);
	assert_true(two[0].reused);
	assert_string_equal(two[0].id, "z-7");
	assert_false(two[1].reused);
	assert_int_equal(store_order_get(db, a, "o-7b", &o, &e), 0);
	assert_int_equal(o.n_authz, 2);
	assert_string_equal(o.authz[0], "z-7");
	assert_string_equal(o.authz[1], "z-8");
	assert_int_equal(o.status, STORE_ORDER_PENDING);
	validate(&n, true);
	assert_int_equal(order_status("o-7b"), STORE_ORDER_READY);

	/* a wildcard is another identifier */
	make(&m, "9", "seven.test");
	m.az[0].identifier.wildcard = true;
	m.order.reuse_until = clock_now() + 60;
	assert_int_equal(store_order_new(w, db, a, &m.order, &e), 0);
	assert_false(m.az[0].reused);
	assert_int_equal(store_order_get(db, a, "o-9", &o, &e), 0);
	assert_true(o.identifiers[0].wildcard);
	assert_string_equal(o.identifiers[0].value, "seven.test");
	/* not valid for long enough */
	make(&m, "10", "seven.test");
	m.order.reuse_until = clock_now() + 5000;
	assert_int_equal(store_order_new(w, db, a, &m.order, &e), 0);
	assert_false(m.az[0].reused);
}

static void
test_order_list(void **state)
{
	AUTO(arena_auto) a = arena_new();
	struct store_order *list, *rest;
	struct err e;
	size_t n, m;

	(void)state;
	assert_int_equal(
	    store_order_list(db, a,
		&(struct store_order_query){ "alice", 0, 100 }, &list, &n, &e),
	    0);
	assert_true(n >= 3);
	assert_true(list[0].created_us > list[1].created_us);
	assert_int_equal(
	    store_order_list(db, a,
		&(struct store_order_query){ "alice", list[1].created_us, 100 },
		&rest, &m, &e),
	    0);
	assert_int_equal(m, n - 2);
	assert_string_equal(rest[0].id, list[2].id);
	assert_int_equal(
	    store_order_list(db, a,
		&(struct store_order_query){ "bob", 0, 100 }, &list, &n, &e),
	    0);
	assert_int_equal(n, 0);
}

static void
test_queue(void **state)
{
	AUTO(arena_auto) a = arena_new();
	struct store_vald_result res = { "c-q", "z-q", "v1", false, 1, NULL,
		"dns", "no address" };
	struct store_vald_job *jobs;
	struct store_authz z;
	struct made m;
	struct err e;
	size_t n;

	(void)state;
	assert_int_equal(store_vald_wait(vald, 0, &e), 0);
	make(&m, "q", "queue.test");
	order_new(&m);
	assert_int_equal(store_challenge_respond(w, "none", &e), -1);
	assert_int_equal(e.kind, ERR_NOT_FOUND);
	assert_int_equal(store_challenge_respond(w, "c-q", &e), 0);
	assert_int_equal(store_challenge_respond(w, "c-q", &e), 0);
	assert_int_equal(store_vald_wait(vald, 5000, &e), 0);
	assert_int_equal(store_authz_get(db, a, "z-q", &z, &e), 0);
	assert_int_equal(z.challenges[0].status, STORE_CHALLENGE_PROCESSING);

	/* a lease that ends is taken up again */
	assert_int_equal(
	    store_vald_take(vald, a, &(struct store_vald_lease){ "v0", 10, 0 },
		&jobs, &n, &e),
	    0);
	assert_int_equal(n, 1);
	assert_int_equal(jobs[0].attempts, 1);
	assert_int_equal(
	    store_vald_take(vald, a, &(struct store_vald_lease){ "v1", 10, 30 },
		&jobs, &n, &e),
	    0);
	assert_int_equal(n, 1);
	assert_int_equal(jobs[0].attempts, 2);
	assert_int_equal(
	    store_vald_take(vald, a, &(struct store_vald_lease){ "v2", 10, 30 },
		&jobs, &n, &e),
	    0);
	assert_int_equal(n, 0);

	/* who lost the lease records nothing */
	res.holder = "v0";
	assert_int_equal(store_vald_result(vw, &res, &e), -1);
	assert_int_equal(e.kind, ERR_CONFLICT);
	res.holder = "v1";
	assert_int_equal(store_vald_result(vw, &res, &e), 0);
	assert_int_equal(store_authz_get(db, a, "z-q", &z, &e), 0);
	assert_int_equal(z.status, STORE_AUTHZ_PENDING);
	assert_int_equal(z.challenges[0].status, STORE_CHALLENGE_PROCESSING);
	assert_string_equal(z.challenges[0].error_type, "dns");
	res.ok = true;
	assert_int_equal(store_vald_result(vw, &res, &e), -1);
	assert_int_equal(e.kind, ERR_MALFORMED);
	res.retry_s = 0;
	assert_int_equal(store_vald_result(vw, &res, &e), -1);
	assert_int_equal(e.kind, ERR_CONFLICT);
}

static void
test_nonce(void **state)
{
	int64_t now = clock_now();
	struct err e;
	size_t n;

	(void)state;
	assert_int_equal(store_nonce_use(nw, span_str("n1"), now + 60, &e), 0);
	assert_int_equal(store_nonce_use(nw, span_str("n1"), now + 60, &e), -1);
	assert_int_equal(e.kind, ERR_CONFLICT);
	assert_int_equal(store_nonce_use(nw, span_str("n2"), now - 700, &e), 0);
	assert_int_equal(store_nonce_use(nw, span_str("n3"), now - 700, &e), 0);
	/* a front end whose clock is behind would take it again */
	assert_int_equal(store_nonce_use(nw, span_str("n4"), now - 5, &e), 0);
	assert_int_equal(store_nonce_clean(db, 1, &n, &e), 0);
	assert_int_equal(n, 1);
	assert_int_equal(store_nonce_clean(db, 10, &n, &e), 0);
	assert_int_equal(n, 1);
	assert_int_equal(store_nonce_use(nw, span_str("n1"), now + 60, &e), -1);
	/* acts that are numbered need a writer with a number */
	assert_int_equal(store_account_deactivate(nw, "alice", &e), -1);
	assert_int_equal(e.kind, ERR_INTERNAL);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_account),
		cmocka_unit_test(test_order),
		cmocka_unit_test(test_order_invalid),
		cmocka_unit_test(test_reuse_and_holds),
		cmocka_unit_test(test_order_list),
		cmocka_unit_test(test_queue),
		cmocka_unit_test(test_nonce),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
