/* The pipeline on real parts: PostgreSQL, signd and a SoftHSM token. */
#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include <openssl/x509v3.h>

#include "base/clock.h"
#include "ca/enroll.h"
#include "ca/reconcile.h"
#include "ca/revoke.h"
#include "db/db_int.h"
#include "db/store_cert.h"
#include "db/store_request.h"
#include "db/writer.h"
#include "hsm/sign_client.h"
#include "tests/unit/pipeline_fixture.h"
#include "tests/unit/tbs_maker.h"

#define THREADS 16

static void
issues(void **state)
{
	struct enroll_result one, two;
	const unsigned char *p;
	struct err e;
	struct ask q;
	X509 *x;

	(void)state;
	submit(ask(&q, "1", "bytes", "a.good.test"), &one);
	assert_int_equal(one.status, ENROLL_ISSUED);
	assert_string_equal(one.issuer->name, "ca");
	p = one.cert.p;
	x = d2i_X509(NULL, &p, (long)one.cert.n);
	assert_non_null(x);
	assert_int_equal(X509_verify(x, one.issuer->key.key), 1);
	assert_int_equal(X509_check_host(x, "a.good.test", 0, 0, NULL), 1);
	X509_free(x);
	/* again: the same; polled: the same; other bytes: a conflict */
	submit(&q.req, &two);
	assert_true(span_eq(one.cert, two.cert));
	assert_int_equal(one.cert_id, two.cert_id);
	assert_int_equal(enroll_poll(&ctx, "cli", "1", &two, &e), 0);
	assert_true(span_eq(one.cert, two.cert));
	assert_int_equal(enroll_poll(&ctx, "cli", "none", &two, &e), -1);
	assert_int_equal(e.kind, ERR_NOT_FOUND);
	fails(ask(&q, "1", "other", "a.good.test"), ERR_CONFLICT);
	/* the same bytes from somebody else, too */
	(void)ask(&q, "1", "bytes", "a.good.test");
	q.req.evidence.name = "mallory";
	fails(&q.req, ERR_CONFLICT);
	/* another transaction: another certificate */
	submit(ask(&q, "2", "bytes", "a.good.test"), &two);
	assert_false(span_eq(one.serial, two.serial));
}

static void
refusals_are_not_remembered(void **state)
{
	struct enroll_result res;
	struct ask q;

	(void)state;
	fails(ask(&q, "r1", "bytes", "a.example"), ERR_REFUSED);
	(void)ask(&q, "r1", "bytes", "a.good.test");
	q.req.profile = "nothing";
	fails(&q.req, ERR_REFUSED);
	q.req.profile = "p";
	q.req.evidence.name = "";
	fails(&q.req, ERR_UNAUTHENTICATED);
	submit(ask(&q, "r1", "bytes", "a.good.test"), &res);
	/* a refusal now does not undo what was issued */
	(void)ask(&q, "r1", "bytes", "a.example");
	submit(&q.req, &res);
	/* the profile allows it, signd's class does not: free again at once */
	fails(ask(&q, "r2", "bytes", "a.bad.test"), ERR_REFUSED);
	submit(ask(&q, "r2", "other", "a.good.test"), &res);
}

struct racer {
	pthread_t thread;
	int64_t cert_id;
	char text[ERR_TEXT_MAX];
};

static void *
race(void *arg)
{
	const struct timespec pause = { 0, 50 * 1000 * 1000 };
	struct request_san san = { .type = TOSIGN_GN_DNS,
		.text = "race.good.test" };
	struct request req = { .protocol = "cli",
		.txn = "race",
		.profile = "p",
		.evidence = { .kind = EVIDENCE_OPERATOR, .name = "alice" },
		.want = { .sans = &san, .n_sans = 1 } };
	struct racer *r = arg;
	struct enroll_result res;
	struct ctx own;
	struct err e;
	int tries;

	req.want.raw = span_str("bytes");
	req.want.spki = spki;
	ctx_open(&own, 5000);
	for (tries = 0; tries < 100; tries++) {
		if (enroll_submit(&own, &req, &res, &e) == 0) {
			r->cert_id = res.cert_id;
			break;
		}
		(void)snprintf(r->text, sizeof(r->text), "%s", e.text);
		if (e.kind != ERR_UNAVAILABLE)
			break;
		(void)nanosleep(&pause, NULL);
	}
	ctx_close(&own);
	return NULL;
}

static void
one_transaction_one_certificate(void **state)
{
	struct racer racers[THREADS] = { 0 };
	int i;

	(void)state;
	for (i = 0; i < THREADS; i++)
		assert_int_equal(
		    pthread_create(&racers[i].thread, NULL, race, &racers[i]),
		    0);
	for (i = 0; i < THREADS; i++)
		(void)pthread_join(racers[i].thread, NULL);
	for (i = 0; i < THREADS; i++) {
		if (racers[i].cert_id == 0)
			fail_msg("%d: %s", i, racers[i].text);
		assert_int_equal(racers[i].cert_id, racers[0].cert_id);
	}
}

/* Sends a signal to signd's slot processes. */
static void
signal_slots(int sig)
{
	char path[64], text[256] = "";
	char *p = text, *end;
	long pid;
	FILE *f;

	(void)snprintf(path, sizeof(path), "/proc/%d/task/%d/children",
	    (int)fx.signd, (int)fx.signd);
	f = fopen(path, "re");
	assert_non_null(f);
	assert_non_null(fgets(text, sizeof(text), f));
	(void)fclose(f);
	while ((pid = strtol(p, &end, 10)) > 0) {
		assert_int_equal(kill((pid_t)pid, sig), 0);
		p = end;
	}
}

/* An open intent older than "h1", of an issuer that is configured no more. */
static const char gone[] =
    "INSERT INTO request (protocol, txn, state, slot, class, issuer, cert_id,"
    " created_at, request_hash, tbs_hash, profile_hash, serial, profile,"
    " principal) SELECT protocol, 'gone', 1, slot, class, 99, 1,"
    " created_at - interval '1 s', request_hash, tbs_hash, profile_hash,"
    " serial, profile, principal FROM request WHERE txn = 'h1'";

static void
signer_hangs(void **state)
{
	size_t issued = 0, voided = 0;
	struct enroll_result res;
	struct ctx impatient;
	struct err e;
	struct ask q;

	(void)state;
	ctx_open(&impatient, 300);
	signal_slots(SIGSTOP);
	assert_int_equal(enroll_submit(&impatient,
			     ask(&q, "h1", "bytes", "a.good.test"), &res, &e),
	    -1);
	signal_slots(SIGCONT);
	ctx_close(&impatient);
	assert_int_equal(e.kind, ERR_UNAVAILABLE);
	/* the intent is open: nobody else may try yet */
	fails(&q.req, ERR_UNAVAILABLE);
	assert_int_equal(enroll_poll(&ctx, "cli", "h1", &res, &e), -1);
	assert_int_equal(e.kind, ERR_UNAVAILABLE);
	assert_int_equal(reconcile_all(&ctx, 10, &issued, &voided, &e), 0);
	assert_int_equal(issued + voided, 0);
	clock_set_fake(clock_now() + RECONCILE_AGE_S + 2);
	/* what cannot be settled does not hold up the others */
	assert_int_equal(db_script(ctx.db, gone, &e), 0);
	assert_int_equal(reconcile_all(&ctx, 10, &issued, &voided, &e), -1);
	assert_int_equal(e.kind, ERR_INTERNAL);
	assert_int_equal(
	    db_script(
		ctx.db, "UPDATE request SET state = 2 WHERE txn = 'gone'", &e),
	    0);
	/* "h1" alone: "r2", which signd refused, was settled at once */
	assert_int_equal(issued + voided, 1);
	submit(&q.req, &res);
	assert_int_equal(res.status, ENROLL_ISSUED);
	clock_set_fake(-1);
}

static void
signer_down(void **state)
{
	static const char *const txns[] = { "d1", "d2", "d3" };
	struct enroll_result res;
	struct err e;
	struct ask q;
	size_t i;

	(void)state;
	fixture_stop(&fx);
	/* a connection of each slot looks alive until it is used */
	for (i = 0; i < 3; i++)
		fails(
		    ask(&q, txns[i], "bytes", "a.good.test"), ERR_UNAVAILABLE);
	/* then nothing is begun */
	assert_int_equal(enroll_poll(&ctx, "cli", "d3", &res, &e), -1);
	assert_int_equal(e.kind, ERR_NOT_FOUND);
	fixture_start(&fx, 2);
	submit(&q.req, &res);
	clock_set_fake(clock_now() + RECONCILE_AGE_S + 2);
	for (i = 0; i < 2; i++) {
		submit(ask(&q, txns[i], "bytes", "a.good.test"), &res);
		assert_int_equal(res.status, ENROLL_ISSUED);
	}
	clock_set_fake(-1);
}

static void
database_down(void **state)
{
	struct enroll_result res;
	struct err e;
	struct ask q;
	int tries;

	(void)state;
	pg_stop(pg, true);
	fails(ask(&q, "b1", "bytes", "a.good.test"), ERR_UNAVAILABLE);
	pg_start(pg);
	for (tries = 0; tries < 100; tries++) {
		if (enroll_submit(&ctx, &q.req, &res, &e) == 0)
			return;
		assert_int_equal(e.kind, ERR_UNAVAILABLE);
		(void)usleep(100000);
	}
	fail_msg("%s", e.text);
}

static void
decide(const char *txn, const char *operator, bool approve)
{
	AUTO(arena_auto) a = arena_new();
	const struct store_waiting_query all = { 0, 100, false };
	struct store_decision d = { 0, approve, "not today", operator, "t" };
	struct db *db = db_new(pg_conninfo(pg, "chancery_oper"), "test");
	struct store_waiting *list;
	struct writer *w;
	struct err e;
	size_t n, i;

	assert_int_equal(writer_new(pg_conninfo(pg, "chancery_oper"), "oper",
			     "test", &w, &e),
	    0);
	assert_int_equal(store_request_waiting(db, a, &all, &list, &n, &e), 0);
	for (i = 0; i < n && strcmp(list[i].txn, txn) != 0; i++)
		continue;
	assert_true(i < n);
	d.id = list[i].id;
	if (store_request_decide(w, &d, &e) == -1)
		fail_msg("%s", e.text);
	writer_free(w);
	db_free(db);
}

static void
approval(void **state)
{
	struct enroll_result res, two;
	struct err e;
	struct ask q;

	(void)state;
	(void)ask(&q, "a1", "bytes", "a.good.test");
	q.req.profile = "held";
	submit(&q.req, &res);
	assert_int_equal(res.status, ENROLL_PENDING);
	submit(&q.req, &res);
	assert_int_equal(res.status, ENROLL_PENDING);
	assert_int_equal(enroll_poll(&ctx, "cli", "a1", &res, &e), 0);
	assert_int_equal(res.status, ENROLL_PENDING);
	q.req.want.raw = span_str("other");
	fails(&q.req, ERR_CONFLICT);
	assert_int_equal(enroll_confirm(&ctx, "cli", "a1", true, &e), -1);
	assert_int_equal(e.kind, ERR_CONFLICT);
	/* approved: the same request goes on, another one does not */
	decide("a1", "bob", true);
	fails(&q.req, ERR_CONFLICT);
	q.req.want.raw = span_str("bytes");
	submit(&q.req, &res);
	assert_int_equal(res.status, ENROLL_ISSUED);
	submit(&q.req, &two);
	assert_true(span_eq(res.cert, two.cert));
}

/* Whoever polls goes on with what was approved, as it was asked for. */
static void
approval_polled(void **state)
{
	struct enroll_result res, two;
	struct store_cert row;
	struct err e;
	struct ask q;

	(void)state;
	(void)ask(&q, "a2", "bytes", "polled.good.test");
	q.req.profile = "held";
	submit(&q.req, &res);
	assert_int_equal(res.status, ENROLL_PENDING);
	decide("a2", "bob", true);
	assert_int_equal(enroll_poll(&ctx, "cli", "a2", &res, &e), 0);
	assert_int_equal(res.status, ENROLL_ISSUED);
	submit(&q.req, &two);
	assert_true(span_eq(res.cert, two.cert));
	assert_int_equal(
	    store_cert_get(ctx.db, ctx.arena, res.cert_id, &row, &e), 0);
	assert_int_equal(store_cert_names(ctx.db, ctx.arena, &row, &e), 0);
	assert_string_equal(row.principal, "oper:alice");
	assert_int_equal(row.n_names, 1);
	assert_string_equal(row.names[0].text, "polled.good.test");
}

static void
approval_rejected(void **state)
{
	struct enroll_result res;
	struct err e;
	struct ask q;

	(void)state;
	(void)ask(&q, "a3", "bytes", "a.good.test");
	q.req.profile = "held";
	submit(&q.req, &res);
	decide("a3", "bob", false);
	assert_int_equal(enroll_submit(&ctx, &q.req, &res, &e), -1);
	assert_int_equal(e.kind, ERR_REFUSED);
	assert_non_null(strstr(e.text, "not today"));
	assert_int_equal(enroll_poll(&ctx, "cli", "a3", &res, &e), -1);
	assert_int_equal(e.kind, ERR_REFUSED);
}

/* Nobody fills the operators' list alone. */
static void
approval_limited(void **state)
{
	struct db *db = db_new_bare(pg_conninfo(pg, "postgres"), "test");
	struct enroll_result res;
	struct err e;
	struct ask q;

	(void)state;
	assert_int_equal(
	    db_script(db,
		"INSERT INTO chancery.request SELECT 'cli', 'w' || i,"
		" 0, 0, 1, 0, 0, now(), sha256(''), sha256(''),"
		" sha256(''), '\\x00', 'held', 'oper:flood'"
		" FROM generate_series(1, 1000) AS i",
		&e),
	    0);
	db_free(db);
	(void)ask(&q, "w-one", "bytes", "a.good.test");
	q.req.profile = "held";
	submit(&q.req, &res);
	assert_int_equal(res.status, ENROLL_PENDING);
	(void)ask(&q, "w-two", "bytes", "a.good.test");
	q.req.profile = "held";
	q.req.evidence.name = "flood";
	fails(&q.req, ERR_LIMITED);
}

/* How long a certificate is the answer to the same request. */
static void
repeats(void **state)
{
	struct enroll_result one, two;
	struct revoke_request rev = { .protocol = "cli", .reason = 4 };
	struct err e;
	struct ask q;

	(void)state;
	(void)ask(&q, "r1", "bytes", "a.good.test");
	q.req.repeat_s = 3600;
	submit(&q.req, &one);
	submit(&q.req, &two);
	assert_true(span_eq(one.cert, two.cert));
	/* a revoked one is none */
	rev.evidence = &q.req.evidence;
	rev.issuer = one.issuer;
	rev.serial = one.serial;
	assert_int_equal(revoke_submit(&ctx, &rev, &e), 0);
	submit(&q.req, &two);
	assert_false(span_eq(one.cert, two.cert));
	/* never: the earlier one has to be revoked first */
	q.req.repeat_s = REQUEST_REPEAT_NEVER;
	fails(&q.req, ERR_UNAVAILABLE);
	rev.serial = two.serial;
	assert_int_equal(revoke_submit(&ctx, &rev, &e), 0);
	submit(&q.req, &one);
	assert_false(span_eq(one.cert, two.cert));
}

static int
do_revoke(const struct enroll_result *res, const char *account, int reason,
    struct err *e)
{
	const struct request_evidence ev = {
		.kind = account == NULL ? EVIDENCE_OPERATOR : EVIDENCE_ACME,
		.name = account == NULL ? "alice" : account
	};
	const struct revoke_request r = { .evidence = &ev,
		.protocol = account == NULL ? "cli" : "acme",
		.issuer = res->issuer,
		.serial = res->serial,
		.reason = reason };

	return revoke_submit(&ctx, &r, e);
}

static void
revocation(void **state)
{
	const struct span before = spki;
	struct enroll_result res, unknown;
	EVP_PKEY *key = maker_key("P-256");
	struct err e;
	struct ask q;

	(void)state;
	spki = maker_spki(fx.a, key);
	EVP_PKEY_free(key);
	submit(ask(&q, "v1", "bytes", "a.good.test"), &res);
	assert_int_equal(do_revoke(&res, "stranger", 1, &e), -1);
	assert_int_equal(e.kind, ERR_UNAUTHENTICATED);
	assert_int_equal(do_revoke(&res, NULL, 7, &e), -1);
	assert_int_equal(e.kind, ERR_MALFORMED);
	unknown = res;
	unknown.serial = span_of("\x40\x01\x02\x03\x04\x05\x06\x07\x08", 9);
	assert_int_equal(do_revoke(&unknown, NULL, 1, &e), -1);
	assert_int_equal(e.kind, ERR_NOT_FOUND);
	if (do_revoke(&res, NULL, 1, &e) == -1)
		fail_msg("%s", e.text);
	assert_int_equal(do_revoke(&res, NULL, 1, &e), -1);
	assert_int_equal(e.kind, ERR_CONFLICT);
	/* nobody gets another certificate for this key */
	fails(ask(&q, "v2", "bytes", "a.good.test"), ERR_BAD_KEY);
	fails(ask(&q, "v2", "bytes", "b.good.test"), ERR_BAD_KEY);
	/* what was issued is still the answer to the same request */
	submit(ask(&q, "v1", "bytes", "a.good.test"), &unknown);
	assert_int_equal(unknown.cert_id, res.cert_id);
	spki = before;
	submit(ask(&q, "v2", "bytes", "a.good.test"), &res);
}

static void
confirmation(void **state)
{
	struct enroll_result res;
	struct store_cert row;
	struct err e;
	struct ask q;

	(void)state;
	submit(ask(&q, "c1", "bytes", "a.good.test"), &res);
	assert_int_equal(enroll_confirm(&ctx, "cli", "c1", true, &e), 0);
	assert_int_equal(
	    store_cert_get(ctx.db, ctx.arena, res.cert_id, &row, &e), 0);
	assert_false(row.revoked);
	assert_int_equal(enroll_confirm(&ctx, "cli", "c1", false, &e), 0);
	assert_int_equal(
	    store_cert_get(ctx.db, ctx.arena, res.cert_id, &row, &e), 0);
	assert_true(row.revoked);
	assert_int_equal(row.reason, 5);
	assert_int_equal(enroll_confirm(&ctx, "cli", "c1", false, &e), 0);
	assert_int_equal(enroll_confirm(&ctx, "cli", "none", true, &e), -1);
	assert_int_equal(e.kind, ERR_NOT_FOUND);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(issues),
		cmocka_unit_test(refusals_are_not_remembered),
		cmocka_unit_test(one_transaction_one_certificate),
		cmocka_unit_test(signer_hangs),
		cmocka_unit_test(signer_down),
		cmocka_unit_test(database_down),
		cmocka_unit_test(approval),
		cmocka_unit_test(approval_polled),
		cmocka_unit_test(approval_rejected),
		cmocka_unit_test(approval_limited),
		cmocka_unit_test(repeats),
		cmocka_unit_test(revocation),
		cmocka_unit_test(confirmation),
	};

	return cmocka_run_group_tests(tests, pipeline_setup, pipeline_teardown);
}
