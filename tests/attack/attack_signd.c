/*
 * What a hostile enrolld can get out of signd: nothing but what a class of
 * the enroll role allows.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/clock.h"
#include "base/der.h"
#include "hsm/sign_client.h"
#include "hsm/sign_log.h"
#include "tests/attack/signd_fixture.h"

#define SLOT 0x18 /* node 3, slot 0 */

static struct fixture fx;
static struct sign_client *client;

static int
ask_kind(
    enum sign_kind kind, struct span tbs, struct sign_reply *r, struct err *e)
{
	struct sign_request req = { .kind = kind,
		.key = "ca",
		.slot = SLOT,
		.tbs = tbs,
		.request_id = "attack" };

	return sign_client_sign(client, fx.a, &req, r, e);
}

static int
ask(struct span tbs, struct sign_reply *r, struct err *e)
{
	return ask_kind(SIGN_CERT, tbs, r, e);
}

static void
refused(struct span tbs, const char *rule)
{
	struct sign_reply r;
	struct err e;

	assert_int_equal(ask(tbs, &r, &e), -1);
	if ((e.kind != ERR_REFUSED && e.kind != ERR_MALFORMED) ||
	    strstr(e.text, rule) == NULL)
		fail_msg("wanted \"%s\", got %s \"%s\"", rule,
		    err_kind_name(e.kind), e.text);
}

static void
test_good(void **state)
{
	struct fixture_tbs t = { .slot = SLOT, .cn = "a.good.test", .fill = 1 };
	struct span tbs = fixture_tbs(&fx, &t);
	struct sign_reply first, again;
	struct sign_recall what;
	struct err e;
	bool found;

	(void)state;
	if (ask(tbs, &first, &e) != 0)
		fail_msg("%s", e.text);
	assert_int_equal(first.receipt.slot, SLOT);
	assert_true(first.signature.n > 60);
	/* the same again is the same signature, ECDSA or not */
	assert_int_equal(ask(tbs, &again, &e), 0);
	assert_true(span_eq(first.signature, again.signature));
	assert_int_equal(first.receipt.seq, again.receipt.seq);
	t.cn = NULL;
	refused(fixture_tbs(&fx, &t), "serial: another object");
	what =
	    (struct sign_recall){ SLOT, first.receipt.head, clock_now() - 60 };
	assert_int_equal(
	    sign_client_recall(client, fx.a, &what, &found, &again, &e), 0);
	assert_false(found);
}

static void
test_foreign(void **state)
{
	struct fixture_tbs t = { .slot = SLOT,
		.issuer = span_of("\x30\x00", 2) };

	(void)state;
	refused(fixture_tbs(&fx, &t), "issuer");
	t = (struct fixture_tbs){ .slot = SLOT,
		.aki = span_of("\x30\x06\x80\x04\x01\x02\x03\x05", 8) };
	refused(fixture_tbs(&fx, &t), "authorityKeyIdentifier");
	t = (struct fixture_tbs){ .slot = SLOT + 1 };
	refused(fixture_tbs(&fx, &t), "serial");
	t = (struct fixture_tbs){ .slot = SLOT, .fill = 0x81 };
	refused(fixture_tbs(&fx, &t), "serial");
}

static void
test_power(void **state)
{
	static const char *const eku[] = { "2.5.29.37.0", "1.3.6.1.5.5.7.3.9",
		"1.3.6.1.5.5.7.3.28", "1.3.6.1.5.5.7.3.32" };
	struct fixture_tbs t = { .slot = SLOT, .ca = true, .cn = "Sub X" };
	size_t i;

	(void)state;
	refused(fixture_tbs(&fx, &t), "compiled in");
	t = (struct fixture_tbs){ .slot = SLOT, .key_usage = 1 << 5 };
	refused(fixture_tbs(&fx, &t), "compiled in");
	t = (struct fixture_tbs){ .slot = SLOT, .key_usage = 1 << 6 };
	refused(fixture_tbs(&fx, &t), "compiled in");
	for (i = 0; i < sizeof(eku) / sizeof(eku[0]); i++) {
		t = (struct fixture_tbs){ .slot = SLOT, .eku = eku[i] };
		refused(fixture_tbs(&fx, &t), "compiled in");
	}
	t = (struct fixture_tbs){ .slot = SLOT,
		.extra_oid = "1.3.6.1.5.5.7.48.1.5" };
	refused(fixture_tbs(&fx, &t), "compiled in");
}

static void
test_outside_class(void **state)
{
	struct fixture_tbs t = { .slot = SLOT, .eku = "1.3.6.1.5.5.7.3.3" };

	(void)state;
	refused(fixture_tbs(&fx, &t), "eku");
	t = (struct fixture_tbs){ .slot = SLOT, .extra_oid = "1.2.3.4" };
	refused(fixture_tbs(&fx, &t), "extensions: 1.2.3.4");
	t = (struct fixture_tbs){ .slot = SLOT, .dns = "a.evil.test" };
	refused(fixture_tbs(&fx, &t), "san: name 1 matches no pattern");
	t = (struct fixture_tbs){ .slot = SLOT, .dns = "*.good.test" };
	refused(fixture_tbs(&fx, &t), "san: name 1 is a wildcard");
	t = (struct fixture_tbs){ .slot = SLOT, .cn = "b.good.test" };
	refused(fixture_tbs(&fx, &t), "subject");
	t = (struct fixture_tbs){ .slot = SLOT, .dns = "" };
	refused(fixture_tbs(&fx, &t), "names nobody");
	t = (struct fixture_tbs){ .slot = SLOT,
		.validity_s = (int64_t)91 * 86400 };
	refused(fixture_tbs(&fx, &t), "max-validity");
	t = (struct fixture_tbs){ .slot = SLOT,
		.validity_s = (int64_t)3700 * 86400 };
	refused(fixture_tbs(&fx, &t), "CA certificate");
	t = (struct fixture_tbs){ .slot = SLOT, .not_before = -4000 };
	refused(fixture_tbs(&fx, &t), "notBefore");
	t = (struct fixture_tbs){ .slot = SLOT, .not_before = 100 };
	refused(fixture_tbs(&fx, &t), "notBefore");
}

static void
test_not_a_tbs(void **state)
{
	struct fixture_tbs t = { .slot = SLOT };
	struct span tbs = fixture_tbs(&fx, &t);
	uint8_t *p = arena_alloc(fx.a, tbs.n + 2);
	struct sign_reply r;
	struct err e;

	(void)state;
	refused(span_of(p, 32), "not a TBSCertificate");
	memcpy(p, tbs.p, tbs.n);
	refused(span_of(p, tbs.n + 1), "not a TBSCertificate");
	/* BER: the outer length indefinite */
	p[1] = 0x80;
	memmove(p + 2, tbs.p + 4, tbs.n - 4);
	memset(p + tbs.n - 2, 0, 2);
	refused(span_of(p, tbs.n), "not a TBSCertificate");
	assert_int_equal(ask_kind(SIGN_CRL, tbs, &r, &e), -1);
	assert_int_equal(e.kind, ERR_REFUSED);
}

/* The oper role gets its CA, but no more than its class says. */
static void
test_oper(void **state)
{
	struct sign_client *enroll = client;
	struct fixture_tbs t = {
		.slot = SLOT, .fill = 7, .ca = true, .cn = "Sub One"
	};
	struct sign_reply r;
	struct err e;

	(void)state;
	client = sign_client_new(fx.run, "oper", 5000);
	if (ask(fixture_tbs(&fx, &t), &r, &e) != 0)
		fail_msg("%s", e.text);
	t.fill = 8;
	t.cn = "Other";
	refused(fixture_tbs(&fx, &t), "subject");
	t = (struct fixture_tbs){ .slot = SLOT };
	refused(fixture_tbs(&fx, &t), "sub-ca");
	sign_client_free(client);
	client = enroll;
}

/* Everything above stands in the log, refusals up to the rate limit. */
static void
test_logged(void **state)
{
	struct sign_log_summary sum;
	struct err e;

	(void)state;
	fixture_stop(&fx);
	if (sign_log_verify(
		arena_printf(fx.a, "%s/sign-18.log", fx.state), &sum, &e) != 0)
		fail_msg("%s", e.text);
	assert_int_equal(sum.signatures, 2);
	assert_int_equal(sum.bars, 1);
	assert_int_equal(sum.refusals, SIGN_LOG_REFUSALS);
}

static int
setup(void **state)
{
	(void)state;
	fixture_token(&fx);
	fixture_ca(&fx, fixture_classes);
	fixture_start(&fx, 1);
	client = sign_client_new(fx.run, "enroll", 5000);
	return 0;
}

static int
teardown(void **state)
{
	(void)state;
	sign_client_free(client);
	fixture_clear(&fx);
	return 0;
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_good),
		cmocka_unit_test(test_foreign),
		cmocka_unit_test(test_power),
		cmocka_unit_test(test_outside_class),
		cmocka_unit_test(test_not_a_tbs),
		cmocka_unit_test(test_oper),
		cmocka_unit_test(test_logged),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
