/* The revocation pipeline on a real database: who may do what. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/clock.h"
#include "ca/revoke.h"
#include "db/store_request.h"
#include "tests/db/sample.h"

#define UNDER_TEST "revoke.test"

static struct pg *pg;
static struct db *oper;
static struct writer *w;
static struct issuer tls;
static struct ctx ctx;

static const struct request_evidence alice = { .kind = EVIDENCE_OPERATOR,
	.name = "alice" };
/* the account that sample_init issues to, and another one */
static const struct request_evidence account = { .kind = EVIDENCE_ACME,
	.name = "1" };
static const struct request_evidence stranger = { .kind = EVIDENCE_ACME,
	.name = "2" };

static int
setup(void **state)
{
	struct err e;

	(void)state;
	pg = pg_new();
	oper = db_new(pg_conninfo(pg, "chancery_oper"), "test");
	if (writer_new(pg_conninfo(pg, "chancery_oper"), "oper", "t", &w, &e) ==
	    -1)
		return -1;
	tls.name = "tls";
	tls.id = sample_issuer(oper, "tls");
	ctx = (struct ctx){ .arena = arena_new(),
		.db = oper,
		.writer = w,
		.request_id = "req" };
	return 0;
}

static int
teardown(void **state)
{
	(void)state;
	clock_set_fake(-1);
	writer_free(w);
	db_free(oper);
	arena_free(ctx.arena);
	pg_free(pg);
	return 0;
}

static void
issue(struct sample *s, int n)
{
	sample_init(s, tls.id, n);
	sample_issue(w, s);
}

static struct revoke_request
request(const struct sample *s, const struct request_evidence *who, int reason)
{
	return (struct revoke_request){ .evidence = who,
		.protocol = who->kind == EVIDENCE_OPERATOR ? "cli" : "acme",
		.issuer = &tls,
		.serial = s->cert.serial,
		.reason = reason };
}

static void
submits(const struct revoke_request *r, enum err_kind kind)
{
	struct err e = { .kind = ERR_NONE };

	if (revoke_submit(&ctx, r, &e) == 0)
		e.kind = ERR_NONE;
	if (e.kind != kind)
		fail_msg("%s: %s", err_kind_name(e.kind), e.text);
}

static void
check(const struct sample *s, bool revoked, int reason)
{
	struct store_cert row;
	struct err e;

	assert_int_equal(
	    store_cert_get(oper, ctx.arena, s->cert.id, &row, &e), 0);
	assert_int_equal(row.revoked, revoked);
	assert_int_equal(row.reason, reason);
}

static bool
is_blocked(const struct sample *s)
{
	struct err e;
	bool blocked;

	assert_int_equal(
	    store_revoke_blocked(oper, s->cert.spki_sha256, &blocked, &e), 0);
	return blocked;
}

static void
reasons(void **state)
{
	static const struct {
		const char *name;
		int reason;
	} all[] = {
		{ "unspecified", 0 },
		{ "keyCompromise", 1 },
		{ "KEYCOMPROMISE", 1 },
		{ "cACompromise", 2 },
		{ "affiliationChanged", 3 },
		{ "superseded", 4 },
		{ "cessationOfOperation", 5 },
		{ "certificateHold", 6 },
		{ "removeFromCRL", 8 },
		{ "privilegeWithdrawn", 9 },
		{ "aACompromise", 10 },
		{ "10", 10 },
		{ "0", 0 },
		{ "7", -2 },
		{ "11", -2 },
		{ "-1", -2 },
		{ "", -2 },
		{ "1x", -2 },
		{ " 1", -2 },
		{ "none", -2 },
		{ "99999999999999999999", -2 },
	};
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
		if (revoke_reason_named(all[i].name) != all[i].reason)
			fail_msg("%s", all[i].name);
	}
	assert_string_equal(revoke_reason_name(-1), "none");
	assert_string_equal(revoke_reason_name(7), "none");
	assert_string_equal(revoke_reason_name(10), "aACompromise");
}

static void
hold(void **state)
{
	struct revoke_request r;
	struct sample s;
	struct err e;

	(void)state;
	issue(&s, 1);
	r = request(&s, &alice, STORE_HOLD);
	submits(&r, ERR_NONE);
	submits(&r, ERR_CONFLICT);
	check(&s, true, STORE_HOLD);
	/* the subscriber does not end it, by either name */
	r = request(&s, &account, REVOKE_REASON_REMOVE);
	submits(&r, ERR_UNAUTHENTICATED);
	assert_int_equal(revoke_release(&ctx, &r, &e), -1);
	assert_int_equal(e.kind, ERR_UNAUTHENTICATED);
	r = request(&s, &alice, REVOKE_REASON_REMOVE);
	submits(&r, ERR_NONE);
	check(&s, false, -1);
	submits(&r, ERR_CONFLICT);
	/* held again; the subscriber may end its use for good */
	r = request(&s, &alice, STORE_HOLD);
	submits(&r, ERR_NONE);
	r = request(&s, &account, 5);
	submits(&r, ERR_NONE);
	check(&s, true, 5);
	r = request(&s, &alice, REVOKE_REASON_REMOVE);
	submits(&r, ERR_REFUSED);
	assert_false(is_blocked(&s));
}

/* Who can make it keyCompromise, and whose word blocks the key. */
static void
compromise(void **state)
{
	struct request_san san = { 0 };
	struct request_evidence owner = stranger;
	struct revoke_request r;
	struct sample s;
	struct err e;

	(void)state;
	assert_int_equal(
	    request_san_parse(ctx.arena, "www.example.test", &san, &e), 0);
	owner.proven = &san;
	owner.n_proven = 1;

	issue(&s, 10);
	r = request(&s, &stranger, 1);
	submits(&r, ERR_UNAUTHENTICATED);
	r = request(&s, &owner, 1);
	submits(&r, ERR_NONE);
	assert_false(is_blocked(&s));
	r = request(&s, &alice, 1);
	submits(&r, ERR_CONFLICT);
	assert_true(is_blocked(&s));

	issue(&s, 11);
	r = request(&s, &account, 4);
	submits(&r, ERR_NONE);
	r = request(&s, &owner, 1);
	submits(&r, ERR_CONFLICT);
	check(&s, true, 4);
	r = request(&s, &stranger, 1);
	r.key_proven = true;
	submits(&r, ERR_NONE);
	check(&s, true, 1);
	assert_true(is_blocked(&s));

	issue(&s, 12);
	r = request(&s, &account, 1);
	r.invalidity_at = clock_now() + 10;
	submits(&r, ERR_MALFORMED);
	r.invalidity_at = clock_now() - 10;
	submits(&r, ERR_NONE);
	assert_true(is_blocked(&s));
	r = request(&s, &alice, 7);
	submits(&r, ERR_MALFORMED);
	r = request(&s, &alice, 1);
	r.protocol = "acme";
	submits(&r, ERR_UNAUTHENTICATED);
	r = request(&s, &alice, 1);
	r.cert = span_str("other bytes");
	submits(&r, ERR_NOT_FOUND);
}

static struct revoke_many
many(const struct request_evidence *who, int reason)
{
	return (struct revoke_many){ .evidence = who,
		.protocol = who->kind == EVIDENCE_OPERATOR ? "cli" : "acme",
		.query = { .expired = -1, .reason = reason } };
}

static void
tell(void *arg, uint64_t done)
{
	*(uint64_t *)arg = done;
}

/* Over several steps; the second time goes on where nothing is left. */
static void
by_search(void **state)
{
	struct store_name name = { 2, "www." UNDER_TEST };
	struct revoke_many m = many(&alice, 4);
	struct revoke_request r;
	uint64_t n, told = 0;
	struct sample s;
	struct err e;
	int i;

	(void)state;
	for (i = 0; i < 520; i++) {
		sample_init(&s, tls.id, 1000 + i);
		s.cert.names = &name;
		sample_issue(w, &s);
	}
	assert_int_equal(revoke_count(&ctx, &m, &n, &e), -1);
	assert_int_equal(e.kind, ERR_MALFORMED);
	assert_int_equal(revoke_all(&ctx, &m, &e), -1);
	assert_int_equal(e.kind, ERR_MALFORMED);
	m.query.name = "*." UNDER_TEST;
	m.progress = tell;
	m.arg = &told;
	assert_int_equal(revoke_count(&ctx, &m, &n, &e), 0);
	assert_int_equal(n, 520);
	r = request(&s, &alice, 3);
	submits(&r, ERR_NONE);
	if (revoke_all(&ctx, &m, &e) == -1)
		fail_msg("%s", e.text);
	assert_int_equal(m.done, 519);
	assert_int_equal(m.before, 0);
	assert_int_equal(told, 519);
	check(&s, true, 3);
	assert_int_equal(revoke_count(&ctx, &m, &n, &e), 0);
	assert_int_equal(n, 0);
	assert_int_equal(revoke_all(&ctx, &m, &e), 0);
	assert_int_equal(m.done, 0);

	/* not what cannot be, and not for everybody */
	m.query.reason = 8;
	assert_int_equal(revoke_all(&ctx, &m, &e), -1);
	assert_int_equal(e.kind, ERR_MALFORMED);
	m.query.reason = 7;
	assert_int_equal(revoke_all(&ctx, &m, &e), -1);
	assert_int_equal(e.kind, ERR_MALFORMED);
	m = many(&account, 4);
	m.query.name = "*." UNDER_TEST;
	assert_int_equal(revoke_count(&ctx, &m, &n, &e), -1);
	assert_int_equal(e.kind, ERR_UNAUTHENTICATED);
	assert_int_equal(revoke_all(&ctx, &m, &e), -1);
	assert_int_equal(e.kind, ERR_UNAUTHENTICATED);
}

static void
by_key(void **state)
{
	struct revoke_many m = many(&alice, 1);
	struct sample s[3];
	struct revoke_request r;
	struct err e;
	bool blocked;
	int64_t id;
	size_t i;

	(void)state;
	for (i = 0; i < 3; i++) {
		sample_init(&s[i], tls.id, 2000 + (int)i);
		memcpy(s[i].cert.spki_sha256, s[0].cert.spki_sha256, 32);
		memcpy(s[i].intent.spki_sha256, s[0].cert.spki_sha256, 32);
		sample_issue(w, &s[i]);
	}
	r = request(&s[1], &alice, 4);
	submits(&r, ERR_NONE);
	assert_int_equal(revoke_key(&ctx, &m, &blocked, &e), -1);
	assert_int_equal(e.kind, ERR_MALFORMED);
	m.query.key = span_of(s[0].cert.spki_sha256, 32);
	m.query.reason = STORE_HOLD;
	assert_int_equal(revoke_key(&ctx, &m, &blocked, &e), -1);
	assert_int_equal(e.kind, ERR_MALFORMED);
	assert_false(is_blocked(&s[0]));
	m.query.reason = 1;
	if (revoke_key(&ctx, &m, &blocked, &e) == -1)
		fail_msg("%s", e.text);
	assert_false(blocked);
	assert_int_equal(m.done, 3);
	for (i = 0; i < 3; i++)
		check(&s[i], true, 1);
	assert_int_equal(revoke_key(&ctx, &m, &blocked, &e), 0);
	assert_true(blocked);
	assert_int_equal(m.done, 0);
	sample_init(&s[2], tls.id, 2003);
	memcpy(s[2].intent.spki_sha256, s[0].cert.spki_sha256, 32);
	assert_int_equal(
	    store_cert_reserve(w, &s[2].intent, NULL, &id, &e), -1);
	assert_int_equal(e.kind, ERR_BAD_KEY);
	/* a key without any certificate is blocked as well */
	sample_init(&s[2], tls.id, 2004);
	m.query.key = span_of(s[2].cert.spki_sha256, 32);
	assert_int_equal(revoke_key(&ctx, &m, &blocked, &e), 0);
	assert_int_equal(m.done, 0);
	assert_true(is_blocked(&s[2]));
	m = many(&account, 1);
	m.query.key = span_of(s[0].cert.spki_sha256, 32);
	assert_int_equal(revoke_key(&ctx, &m, &blocked, &e), -1);
	assert_int_equal(e.kind, ERR_UNAUTHENTICATED);
}

/* Reserved before its key was blocked, stored after. */
static void
late(void **state)
{
	struct store_key_block b = { .why = "leaked", .actor = "x" };
	struct sample s, t;
	struct err e;
	uint64_t n;

	(void)state;
	assert_int_equal(revoke_late(&ctx, &n, &e), 0);
	sample_init(&s, tls.id, 3000);
	assert_int_equal(
	    store_cert_reserve(w, &s.intent, NULL, &s.cert.id, &e), 0);
	memcpy(b.spki_sha256, s.cert.spki_sha256, 32);
	assert_int_equal(store_revoke_block(w, &b, &e), 0);
	assert_int_equal(store_cert_commit(w, &s.cert, "r", &e), 0);
	check(&s, false, -1);
	if (revoke_late(&ctx, &n, &e) == -1)
		fail_msg("%s", e.text);
	assert_int_equal(n, 1);
	check(&s, true, 1);
	assert_int_equal(revoke_late(&ctx, &n, &e), 0);
	assert_int_equal(n, 0);

	sample_init(&t, tls.id, 3001);
	assert_int_equal(
	    store_cert_reserve(w, &t.intent, NULL, &t.cert.id, &e), 0);
	memcpy(b.spki_sha256, t.cert.spki_sha256, 32);
	assert_int_equal(store_cert_commit(w, &t.cert, "r", &e), 0);
	assert_int_equal(revoke_if_blocked(&ctx, &t.cert, &e), 0);
	check(&t, false, -1);
	assert_int_equal(store_revoke_block(w, &b, &e), 0);
	assert_int_equal(revoke_if_blocked(&ctx, &t.cert, &e), 0);
	check(&t, true, 1);
	assert_int_equal(revoke_if_blocked(&ctx, &t.cert, &e), 0);
}

/* What a transaction issued makes way for another certificate. */
static void
superseded(void **state)
{
	struct store_pending waits = { .protocol = "acme",
		.txn = "waits",
		.profile = "p",
		.principal = "acme:1",
		.body = span_str("x"),
		.summary = "",
		.lifetime_s = 60,
		.request_id = "req" };
	struct writer *enroll;
	struct store_cert row;
	struct sample s;
	struct err e;

	(void)state;
	issue(&s, 500);
	assert_int_equal(revoke_superseded(&ctx, "acme", "nobody", &e), 0);
	if (writer_new(pg_conninfo(pg, "chancery_enroll"), "enroll", "t",
		&enroll, &e) == -1 ||
	    store_request_pend(enroll, &waits, &e) == -1)
		fail_msg("%s", e.text);
	writer_free(enroll);
	assert_int_equal(revoke_superseded(&ctx, "acme", "waits", &e), 0);
	assert_int_equal(revoke_superseded(&ctx, "est", s.txn, &e), 0);
	assert_int_equal(
	    store_cert_get(oper, ctx.arena, s.cert.id, &row, &e), 0);
	assert_false(row.revoked);
	/* once and again: the first date stays */
	assert_int_equal(revoke_superseded(&ctx, "acme", s.txn, &e), 0);
	assert_int_equal(revoke_superseded(&ctx, "acme", s.txn, &e), 0);
	assert_int_equal(
	    store_cert_get(oper, ctx.arena, s.cert.id, &row, &e), 0);
	assert_true(row.revoked);
	assert_int_equal(row.reason, 4);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(reasons),
		cmocka_unit_test(hold),
		cmocka_unit_test(compromise),
		cmocka_unit_test(by_search),
		cmocka_unit_test(by_key),
		cmocka_unit_test(late),
		cmocka_unit_test(superseded),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
