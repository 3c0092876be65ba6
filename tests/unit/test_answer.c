/* Answers, judged by libcrypto. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include <openssl/rand.h>

#include "base/auto.h"
#include "ocsp/answer.h"
#include "ocsp_ca.h"

AUTO_DEFINE(OCSP_REQUEST, OCSP_REQUEST_free);
AUTO_DEFINE(OCSP_RESPONSE, OCSP_RESPONSE_free);
AUTO_DEFINE(OCSP_BASICRESP, OCSP_BASICRESP_free);

#define ID 3
#define REVOKED_AT 1700000000

static struct arena *arena;
static struct ocsp_ca ca, other, foreign;
static struct authority authorities[2];
static struct delegate delegate;
static struct answer_world world;
static struct answerer *answerer;
static struct answer_plan plan;
static struct answer got;
static int64_t now;

static const struct span good = { (const uint8_t *)"\x41goodgoodgoodgoo", 16 };
static const struct span bad = { (const uint8_t *)"\x42"
						  "adbadbadbadbadb",
	16 };
static const struct span held = { (const uint8_t *)"\x43heldheldheldhel", 16 };
static const struct span old = { (const uint8_t *)"\x44oldoldoldoldol", 15 };
static const struct span none = { (const uint8_t *)"\x45none", 5 };

static void
put(int issuer, struct span serial, int reason, int64_t revoked_at)
{
	struct status s = { .issuer = issuer,
		.not_after = serial.p == old.p ? now - 10 : now + 86400,
		.revoked = revoked_at != 0,
		.reason = reason,
		.revoked_at = revoked_at };

	(void)status_table_put(atomic_load(&world.table), serial, &s);
}

static void
make_delegate(void)
{
	X509 *cert;

	delegate.key = ocsp_ca_key();
	cert = ocsp_ca_delegate(&ca, delegate.key, 86400, true);
	delegate.cert = ocsp_ca_der(arena, cert);
	assert_int_equal(
	    X509_pubkey_digest(cert, EVP_sha1(), delegate.key_hash, NULL), 1);
	X509_free(cert);
	delegate.not_before = now - 60;
	delegate.not_after = now + 86400;
	delegate.generation = 1;
}

static int
group_set_up(void **state)
{
	struct err e;

	(void)state;
	arena = arena_new();
	now = time(NULL);
	ocsp_ca_init(&ca, "ca");
	ocsp_ca_init(&other, "ca"); /* the same name, another key */
	ocsp_ca_init(&foreign, "foreign");
	if (authority_init(arena, "a", ocsp_ca_der(arena, ca.cert),
		&authorities[0], &e) == -1 ||
	    authority_init(arena, "b", ocsp_ca_der(arena, other.cert),
		&authorities[1], &e) == -1)
		return -1;
	authorities[0].id = ID;
	authorities[1].id = ID + 1;
	make_delegate();
	world.epoch = epoch_new();
	world.authorities = authorities;
	world.n_authorities = 2;
	return 0;
}

static int
group_tear_down(void **state)
{
	(void)state;
	epoch_free(world.epoch);
	EVP_PKEY_free(delegate.key);
	ocsp_ca_clear(&ca);
	ocsp_ca_clear(&other);
	ocsp_ca_clear(&foreign);
	arena_free(arena);
	return 0;
}

static int
set_up(void **state)
{
	(void)state;
	world.validity_s = 3600;
	world.stale_s = 600;
	world.extended_revoked = false;
	atomic_store(&world.table, status_table_new(world.epoch, 0));
	atomic_store(&world.delegates[0], &delegate);
	atomic_store(&world.trust, ANSWER_CURRENT);
	atomic_store(&world.synced_at, now);
	answerer = answerer_new(&world);
	put(ID, good, -1, 0);
	put(ID, bad, 4, REVOKED_AT);
	put(ID, held, 6, REVOKED_AT);
	put(ID, old, 1, REVOKED_AT);
	return 0;
}

static int
tear_down(void **state)
{
	(void)state;
	answerer_free(answerer);
	status_table_free(atomic_load(&world.table));
	return 0;
}

static void
ask(OCSP_REQUEST *req)
{
	answer_plan(answerer, ocsp_ca_request_der(arena, req), now, &plan);
	answer_make(answerer, &plan, &got);
}

static void
ask_one(const struct ocsp_ca *of, const EVP_MD *md, struct span serial)
{
	AUTO(OCSP_REQUEST) req = ocsp_ca_request(of, md, serial, 0);

	ask(req);
}

static int
judge_one(struct span serial)
{
	ask_one(&ca, EVP_sha1(), serial);
	return ocsp_ca_judge(&ca, got.body, serial);
}

static OCSP_BASICRESP *
basic(void)
{
	const unsigned char *p = got.body.p;
	AUTO(OCSP_RESPONSE) r = d2i_OCSP_RESPONSE(NULL, &p, (long)got.body.n);

	assert_non_null(r);
	return OCSP_response_get1_basic(r);
}

/* Every octet of what we made is what libcrypto would have written. */
static void
check_der(void)
{
	const unsigned char *p = got.body.p;
	unsigned char *again = NULL;
	AUTO(OCSP_BASICRESP) b = basic();
	AUTO(OCSP_RESPONSE) r = d2i_OCSP_RESPONSE(NULL, &p, (long)got.body.n);
	AUTO(OCSP_RESPONSE) ours = OCSP_response_create(0, b);
	int n;

	assert_non_null(r);
	n = i2d_OCSP_RESPONSE(ours, &again);
	assert_true(span_eq(got.body, span_of(again, (size_t)n)));
	OPENSSL_free(again);
}

static void
test_statuses(void **state)
{
	(void)state;
	assert_int_equal(judge_one(good), V_OCSP_CERTSTATUS_GOOD);
	assert_true(plan.cacheable && got.is_signed);
	assert_int_equal(got.kind, ANSWER_GOOD);
	assert_int_equal(got.next_update, now + 3600);
	assert_int_equal(got.fresh_until, now + 1800);
	check_der();
	assert_int_equal(judge_one(bad), V_OCSP_CERTSTATUS_REVOKED);
	assert_int_equal(got.kind, ANSWER_REVOKED);
	check_der();
	assert_int_equal(judge_one(held), V_OCSP_CERTSTATUS_REVOKED);
	assert_int_equal(judge_one(none), V_OCSP_CERTSTATUS_UNKNOWN);
	assert_int_equal(got.kind, ANSWER_UNKNOWN);
	assert_false(plan.cacheable);
	check_der();
}

static void
test_hashes(void **state)
{
	const EVP_MD *mds[] = { EVP_sha1(), EVP_sha256(), EVP_sha384(),
		EVP_sha512() };
	OCSP_CERTID *id;
	size_t i;
	int status;

	(void)state;
	for (i = 0; i < 4; i++) {
		AUTO(OCSP_BASICRESP) b = NULL;

		ask_one(&ca, mds[i], bad);
		b = basic();
		/* libcrypto compares the CertID too, by the same hash */
		id = ocsp_ca_id(&ca, mds[i], bad);
		assert_int_equal(OCSP_resp_find_status(
				     b, id, &status, NULL, NULL, NULL, NULL),
		    1);
		assert_int_equal(status, V_OCSP_CERTSTATUS_REVOKED);
		OCSP_CERTID_free(id);
	}
	ask_one(&ca, EVP_md5(), bad);
	assert_int_equal(got.kind, ANSWER_UNAUTHORIZED);
}

static const OCSP_SINGLERESP *
only_single(const OCSP_BASICRESP *b)
{
	assert_int_equal(OCSP_resp_count((OCSP_BASICRESP *)(uintptr_t)b), 1);
	return OCSP_resp_get0((OCSP_BASICRESP *)(uintptr_t)b, 0);
}

static void
test_details(void **state)
{
	AUTO(OCSP_BASICRESP) b = NULL;
	const ASN1_OCTET_STRING *by_key;
	const X509_NAME *by_name;
	ASN1_GENERALIZEDTIME *at;
	int reason;

	(void)state;
	assert_int_equal(judge_one(bad), V_OCSP_CERTSTATUS_REVOKED);
	b = basic();
	assert_int_equal(OCSP_single_get0_status(
			     (OCSP_SINGLERESP *)(uintptr_t)only_single(b),
			     &reason, &at, NULL, NULL),
	    V_OCSP_CERTSTATUS_REVOKED);
	assert_int_equal(reason, 4);
	assert_memory_equal(ASN1_STRING_get0_data(at), "20231114221320Z", 15);
	assert_int_equal(OCSP_resp_get0_id(b, &by_key, &by_name), 1);
	assert_memory_equal(
	    ASN1_STRING_get0_data(by_key), delegate.key_hash, 20);
	assert_int_equal(sk_X509_num(OCSP_resp_get0_certs(b)), 1);
	assert_int_equal(OCSP_BASICRESP_get_ext_count(b), 0);
}

/* reason unspecified is not said at all */
static void
test_unspecified(void **state)
{
	AUTO(OCSP_BASICRESP) b = NULL;
	int reason = 7;

	(void)state;
	put(ID, none, 0, REVOKED_AT);
	assert_int_equal(judge_one(none), V_OCSP_CERTSTATUS_REVOKED);
	b = basic();
	(void)OCSP_single_get0_status(
	    (OCSP_SINGLERESP *)(uintptr_t)only_single(b), &reason, NULL, NULL,
	    NULL);
	assert_int_equal(reason, -1);
}

static void
test_expired(void **state)
{
	AUTO(OCSP_BASICRESP) b = NULL;
	OCSP_SINGLERESP *s;

	(void)state;
	assert_int_equal(judge_one(old), V_OCSP_CERTSTATUS_REVOKED);
	check_der();
	b = basic();
	s = (OCSP_SINGLERESP *)(uintptr_t)only_single(b);
	assert_int_equal(OCSP_SINGLERESP_get_ext_by_NID(
			     s, NID_id_pkix_OCSP_archiveCutoff, -1),
	    0);
}

static void
test_nonce(void **state)
{
	AUTO(OCSP_REQUEST) req = ocsp_ca_request(&ca, EVP_sha1(), good, 32);
	AUTO(OCSP_REQUEST) small = ocsp_ca_request(&ca, EVP_sha1(), good, 8);
	AUTO(OCSP_BASICRESP) b = NULL;
	AUTO(OCSP_BASICRESP) b2 = NULL;

	(void)state;
	ask(req);
	assert_false(plan.cacheable);
	assert_int_equal(ocsp_ca_judge(&ca, got.body, good), 0);
	b = basic();
	assert_int_equal(OCSP_check_nonce(req, b), 1);
	check_der();
	ask(small);
	b2 = basic();
	assert_int_equal(OCSP_check_nonce(small, b2), -1); /* in request only */
}

static void
add(OCSP_REQUEST *req, const struct ocsp_ca *of, const EVP_MD *md,
    struct span serial)
{
	assert_non_null(OCSP_request_add0_id(req, ocsp_ca_id(of, md, serial)));
}

static void
test_several(void **state)
{
	AUTO(OCSP_REQUEST) req = ocsp_ca_request(&ca, EVP_sha1(), good, 0);
	int i;

	(void)state;
	add(req, &ca, EVP_sha1(), bad);
	add(req, &ca, EVP_sha1(), none);
	ask(req);
	assert_false(plan.cacheable);
	for (i = 3; i < OCSP_REQ_CERTIDS_MAX; i++)
		add(req, &ca, EVP_sha1(), held);
	ask(req);
	assert_int_equal(ocsp_ca_judge(&ca, got.body, good), 0);
	assert_int_equal(ocsp_ca_judge(&ca, got.body, bad), 1);
	assert_int_equal(ocsp_ca_judge(&ca, got.body, none), 2);
	assert_int_equal(ocsp_ca_judge(&ca, got.body, held), 1);
	check_der();
}

/* libcrypto believes no response about several issuers; it is right. */
static void
test_mixed(void **state)
{
	AUTO(OCSP_REQUEST) req = ocsp_ca_request(&foreign, EVP_sha1(), good, 0);

	(void)state;
	add(req, &ca, EVP_sha512(), good);
	add(req, &other, EVP_sha1(), good);
	add(req, &ca, EVP_sha1(), bad);
	ask(req);
	assert_true(got.is_signed);
	assert_int_equal(plan.authority, 0);
	assert_int_equal(plan.n, 4);
	assert_int_equal(plan.list[0].status, RESPONSE_UNKNOWN);
	assert_int_equal(plan.list[1].status, RESPONSE_GOOD);
	assert_int_equal(plan.list[2].status, RESPONSE_UNKNOWN);
	assert_int_equal(plan.list[3].status, RESPONSE_REVOKED);
	check_der();
}

static void
is_error(enum answer_kind kind, uint8_t octet)
{
	assert_int_equal(got.kind, kind);
	assert_false(got.is_signed);
	assert_int_equal(got.body.n, 5);
	assert_int_equal(got.body.p[4], octet);
}

static void
test_errors(void **state)
{
	(void)state;
	ask_one(&foreign, EVP_sha1(), good);
	is_error(ANSWER_UNAUTHORIZED, 6);
	answer_plan(answerer, span_str("0"), now, &plan);
	answer_make(answerer, &plan, &got);
	is_error(ANSWER_MALFORMED, 1);
	/* the other issuer has no delegate */
	ask_one(&other, EVP_sha1(), good);
	is_error(ANSWER_TRY_LATER, 3);
	delegate.not_after = now + 59;
	ask_one(&ca, EVP_sha1(), good);
	delegate.not_after = now + 86400;
	is_error(ANSWER_TRY_LATER, 3);
	authorities[0].id = 0;
	ask_one(&ca, EVP_sha1(), good);
	authorities[0].id = ID;
	is_error(ANSWER_TRY_LATER, 3);
}

static void
test_trust(void **state)
{
	(void)state;
	atomic_store(&world.synced_at, now - 600);
	assert_int_equal(judge_one(good), V_OCSP_CERTSTATUS_GOOD);
	assert_int_equal(got.this_update, now - 600);
	assert_int_equal(got.next_update, now + 3000);
	atomic_store(&world.synced_at, now - 601);
	ask_one(&ca, EVP_sha1(), good);
	is_error(ANSWER_TRY_LATER, 3);
	atomic_store(&world.synced_at, now);
	atomic_store(&world.trust, ANSWER_EMPTY);
	ask_one(&ca, EVP_sha1(), bad);
	is_error(ANSWER_TRY_LATER, 3);
	/* what a database that went back says counts for nothing */
	atomic_store(&world.trust, ANSWER_DISPUTED);
	ask_one(&ca, EVP_sha1(), good);
	is_error(ANSWER_TRY_LATER, 3);
	ask_one(&ca, EVP_sha1(), held);
	is_error(ANSWER_TRY_LATER, 3);
	ask_one(&ca, EVP_sha1(), none);
	is_error(ANSWER_TRY_LATER, 3);
	atomic_store(&world.synced_at, now - 100000);
	assert_int_equal(judge_one(bad), V_OCSP_CERTSTATUS_REVOKED);
}

static void
test_extended(void **state)
{
	AUTO(OCSP_BASICRESP) b = NULL;
	ASN1_GENERALIZEDTIME *at;
	ASN1_OBJECT *oid = OBJ_txt2obj("1.3.6.1.5.5.7.48.1.9", 1);
	int reason;

	(void)state;
	world.extended_revoked = true;
	assert_int_equal(judge_one(none), V_OCSP_CERTSTATUS_REVOKED);
	assert_false(plan.cacheable);
	check_der();
	b = basic();
	(void)OCSP_single_get0_status(
	    (OCSP_SINGLERESP *)(uintptr_t)only_single(b), &reason, &at, NULL,
	    NULL);
	assert_int_equal(reason, 6);
	assert_memory_equal(ASN1_STRING_get0_data(at), "19700101000000Z", 15);
	assert_int_equal(OCSP_BASICRESP_get_ext_by_OBJ(b, oid, -1), 0);
	ASN1_OBJECT_free(oid);
	assert_int_equal(judge_one(good), V_OCSP_CERTSTATUS_GOOD);
}

/* The answer is made anew when the certificate expires, and ends with the
 * delegate. */
static void
test_limits(void **state)
{
	struct status s = {
		.issuer = ID, .not_after = now + 100, .reason = -1
	};

	(void)state;
	(void)status_table_put(atomic_load(&world.table), none, &s);
	assert_int_equal(judge_one(none), V_OCSP_CERTSTATUS_GOOD);
	assert_int_equal(got.fresh_until, now + 101);
	delegate.not_after = now + 1000;
	assert_int_equal(judge_one(good), V_OCSP_CERTSTATUS_GOOD);
	delegate.not_after = now + 86400;
	assert_int_equal(got.next_update, now + 1000);
	assert_int_equal(got.fresh_until, now + 500);
}

#define T(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		T(test_statuses),
		T(test_hashes),
		T(test_details),
		T(test_unspecified),
		T(test_expired),
		T(test_nonce),
		T(test_several),
		T(test_mixed),
		T(test_errors),
		T(test_trust),
		T(test_extended),
		T(test_limits),
	};

	return cmocka_run_group_tests(tests, group_set_up, group_tear_down);
}
