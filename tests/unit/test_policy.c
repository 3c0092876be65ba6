#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/clock.h"
#include "ca/policy.h"
#include "tests/unit/ca_fixture.h"

#define NOW CA_FIXTURE_NOW
#define DAY 86400

static struct ca_fixture fx;
static struct span p256, p384, rsa2048, ed25519, ours;

static const char profile_text[] =
    "name: p\nissuers: [tls, users]\nallow:\n"
    "- protocols: [acme]\n"
    "- protocols: [cli]\n  principals: [\"oper:a*\"]\n"
    "subject:\n  fixed:\n  - {type: O, value: Test}\n"
    "  allowed:\n  - {type: CN, from-san: true}\n"
    "  - {type: OU, pattern: \"Dep *\", max: 2}\n"
    "  - {type: serialNumber, required: %s}\n"
    "san:\n  required: true\n  max: 4\n"
    "  dns:\n    patterns: [\"**.test\", \"*.one\", exact.two]\n    max: 3\n"
    "    wildcard: %s\n"
    "  ip:\n    ranges: [10.0.0.0/8, \"fd00::/8\"]\n"
    "  email:\n    patterns: [\"*@*.test\"]\n"
    "keys:\n  rsa: {min: 2048, max: 2048}\n  ec: [P-256]\n"
    "validity: {default: 10d, max: 20d, backdate: 5m}\n"
    "key-usage: [digitalSignature]\n"
    "key-usage-rsa: [digitalSignature, keyEncipherment]\n"
    "extended-key-usage: [serverAuth]\ntls-feature: %s\n";

static struct span
spki_of(const char *type)
{
	EVP_PKEY *key = maker_key(type);
	struct span out = maker_spki(fx.a, key);

	EVP_PKEY_free(key);
	return out;
}

static int
setup(void **state)
{
	(void)state;
	ca_fixture_init(&fx);
	p256 = spki_of("P-256");
	p384 = spki_of("P-384");
	rsa2048 = spki_of("RSA-2048");
	ed25519 = spki_of("Ed25519");
	ours = maker_spki(fx.a, fx.key);
	return 0;
}

static int
teardown(void **state)
{
	(void)state;
	ca_fixture_clear(&fx);
	return 0;
}

/* One request; NULL and 0 stand for something good. */
struct ask {
	const char *who, *protocol, *issuer, *subject;
	const char *sans; /* separated by spaces */
	const char *proven;
	struct span spki;
	bool staple;
	int64_t not_before, not_after;
	/* of the profile */
	const char *serial, *wildcard, *feature;
	/* NULL: accepted */
	const char *rule, *says;
	enum err_kind kind;
};

static size_t
parse_sans(const char *text, struct request_san *out)
{
	size_t n = 0, len;
	struct err e;

	for (; *text != '\0'; text += len + strspn(text + len, " ")) {
		len = strcspn(text, " ");
		if (request_san_parse(fx.a, arena_memdup(fx.a, text, len),
			&out[n++], &e) == -1)
			fail_msg("%s", e.text);
	}
	return n;
}

static const char *
given(const char *value, const char *otherwise)
{
	return value == NULL ? otherwise : value;
}

static int
judge(const struct ask *q, struct policy_trail *trail, struct policy_plan *plan,
    struct err *e)
{
	struct request_san sans[16], proven[16];
	struct principal who = { EVIDENCE_OPERATOR,
		given(q->who, "oper:alice") };
	struct request req = { .protocol = given(q->protocol, "cli"),
		.txn = "1",
		.issuer = q->issuer };
	struct profile p;
	struct policy_input in = { &who, &req, &p, fx.issuers, trail };

	if (profile_parse(fx.a, "p.yaml",
		span_str(arena_printf(fx.a, profile_text,
		    given(q->serial, "false"), given(q->wildcard, "true"),
		    given(q->feature, "optional"))),
		&p, e) == -1)
		fail_msg("%s", e->text);
	req.want.spki = q->spki.n > 0 ? q->spki : p256;
	req.want.must_staple = q->staple;
	req.want.not_before = q->not_before;
	req.want.not_after = q->not_after;
	req.want.sans = sans;
	req.want.n_sans = parse_sans(given(q->sans, "a.test"), sans);
	if (dn_parse(fx.a, given(q->subject, ""), &req.want.subject, e) == -1)
		fail_msg("%s", e->text);
	if (q->proven != NULL) {
		req.evidence.kind = EVIDENCE_ACME;
		req.evidence.proven = proven;
		req.evidence.n_proven = parse_sans(q->proven, proven);
	}
	return policy_check(fx.a, &in, plan, e);
}

/* One ask is judged as it says. */
static void
judge_one(const struct ask *q, size_t i)
{
	struct policy_plan plan;
	const char *want;
	struct err e;
	int rc = judge(q, NULL, &plan, &e);

	if (rc == 0 && q->rule != NULL)
		fail_msg("ask %zu is accepted", i);
	if (rc == 0)
		return;
	if (q->rule == NULL)
		fail_msg("ask %zu: %s", i, e.text);
	want = arena_printf(fx.a, "profile \"p\", rule %s: ", q->rule);
	if (strncmp(e.text, want, strlen(want)) != 0 ||
	    strstr(e.text, q->says) == NULL ||
	    e.kind != (q->kind == ERR_NONE ? ERR_REFUSED : q->kind))
		fail_msg("ask %zu: %s, not %s%s", i, e.text, want, q->says);
}

static void
judge_all(const struct ask *asks, size_t n)
{
	size_t i;

	for (i = 0; i < n; i++)
		judge_one(&asks[i], i);
}

static void
rules_of_who_and_key(void **state)
{
	const struct ask asks[] = {
		{ .rule = NULL },
		{ .who = "oper:bob",
		    .rule = "allow",
		    .says = "may not be used by oper:bob over cli" },
		{ .protocol = "internal",
		    .rule = "allow",
		    .says = "may not be used over internal" },
		{ .who = "acme:1", .protocol = "acme" },
		{ .issuer = "users" },
		{ .issuer = "code", .rule = "issuer", .says = "\"code\"" },
		{ .spki = rsa2048 },
		{ .spki = p384,
		    .rule = "key",
		    .says = "P-384",
		    .kind = ERR_BAD_KEY },
		{ .spki = ed25519,
		    .rule = "key",
		    .says = "Ed25519",
		    .kind = ERR_BAD_KEY },
		{ .spki = ours,
		    .rule = "key",
		    .says = "our own CAs",
		    .kind = ERR_BAD_KEY },
		{ .subject = "CN=b.test" },
		{ .subject = "CN=Web Server",
		    .rule = "common-name",
		    .says = "common name",
		    .kind = ERR_MALFORMED },
		{ .subject = "CN=b.example",
		    .rule = "san",
		    .says = "\"b.example\"" },
		{ .subject = "CN=a.test,CN=b.test",
		    .rule = "subject",
		    .says = "CN at most 1 times" },
		{ .subject = "OU=Dep 1,OU=Dep 2,O=Test" },
		{ .subject = "OU=Dep 1,OU=Dep 2,OU=Dep 3",
		    .rule = "subject",
		    .says = "OU at most 2 times" },
	};

	(void)state;
	judge_all(asks, sizeof(asks) / sizeof(asks[0]));
}

static void
rules_of_names(void **state)
{
	const struct ask asks[] = {
		{ .subject = "OU=x",
		    .rule = "subject",
		    .says = "does not match \"Dep *\"" },
		{ .subject = "O=Other",
		    .rule = "subject",
		    .says = "does not allow the subject attribute O" },
		{ .subject = "L=Town", .rule = "subject", .says = "L" },
		{ .serial = "true",
		    .rule = "subject",
		    .says = "requires the subject attribute serialNumber" },
		{ .serial = "true", .subject = "serialNumber=1" },
		{ .sans = "", .rule = "san", .says = "requires" },
		{ .sans = "a.b.c.test *.test x.one exact.two",
		    .rule = "san",
		    .says = "at most 3 alternative names of" },
		{ .sans = "a.b.c.test *.a.test x.one" },
		{ .sans = "exact.two ip:10.1.2.3 ip:fd00::1 email:a@b.test" },
		{ .sans = "exact.two ip:10.1.2.3 ip:fd00::1 ip:10.1.2.4 "
			  "email:a@b.test",
		    .rule = "san",
		    .says = "at most 4 alternative names" },
		{ .sans = "x.y.one", .rule = "san", .says = "x.y.one" },
		{ .sans = "one", .rule = "san", .says = "\"one\"" },
		{ .sans = "test", .rule = "san", .says = "\"test\"" },
		{ .sans = "xtest", .rule = "san", .says = "\"xtest\"" },
		{ .sans = "a.exact.two", .rule = "san", .says = "a.exact" },
		{ .sans = "*.one",
		    .wildcard = "false",
		    .rule = "san",
		    .says = "wildcard" },
	};

	(void)state;
	judge_all(asks, sizeof(asks) / sizeof(asks[0]));
}

static void
rules_of_the_rest(void **state)
{
	const struct ask asks[] = {
		{ .sans = "ip:11.0.0.1", .rule = "san", .says = "11.0.0.1" },
		{ .sans = "ip:fe00::1", .rule = "san", .says = "fe00::1" },
		{ .sans = "email:a@test", .rule = "san", .says = "a@test" },
		{ .sans = "uri:http://a.test/",
		    .rule = "san",
		    .says = "type uri" },
		{ .sans = "a.test b.test",
		    .who = "acme:1",
		    .protocol = "acme",
		    .proven = "b.test a.test" },
		{ .sans = "a.test b.test",
		    .who = "acme:1",
		    .protocol = "acme",
		    .proven = "a.test",
		    .rule = "control",
		    .says = "\"b.test\" is not proven" },
		{ .subject = "CN=b.test",
		    .who = "acme:1",
		    .protocol = "acme",
		    .proven = "a.test",
		    .rule = "control",
		    .says = "\"b.test\"" },
		{ .sans = "*.a.test",
		    .who = "acme:1",
		    .protocol = "acme",
		    .proven = "a.test",
		    .rule = "control",
		    .says = "*.a" },
		{ .staple = true },
		{ .staple = true,
		    .feature = "never",
		    .rule = "tls-feature",
		    .says = "status_request" },
		{ .not_before = NOW - 3600, .not_after = NOW + DAY },
		{ .not_before = NOW - 3601,
		    .rule = "validity",
		    .says = "notBefore" },
		{ .not_before = NOW + 61,
		    .rule = "validity",
		    .says = "notBefore" },
		{ .not_after = NOW + 20 * DAY - 1 },
		{ .not_after = NOW + 20 * DAY,
		    .rule = "validity",
		    .says = "at most 1728000 seconds" },
		{ .not_after = NOW, .rule = "validity", .says = "past" },
		{ .not_after = INT64_C(253402300799),
		    .rule = "validity",
		    .says = "at most" },
	};

	(void)state;
	judge_all(asks, sizeof(asks) / sizeof(asks[0]));
}

static void
plan(void **state)
{
	const struct ask q = { .subject = "CN=B.test,OU=Dep 1,O=Test",
		.sans = "a.test a.test",
		.spki = rsa2048,
		.feature = "always" };
	struct policy_plan p;
	struct err e;

	(void)state;
	assert_int_equal(judge(&q, NULL, &p, &e), 0);
	assert_string_equal(p.issuer->name, "tls");
	assert_string_equal(
	    dn_text(fx.a, &p.subject), "CN=b.test,OU=Dep 1,O=Test");
	assert_int_equal(p.n_sans, 2);
	assert_string_equal(p.sans[1].text, "b.test");
	assert_int_equal(p.key_usage, 5);
	assert_string_equal(p.key_name, "RSA-2048");
	assert_int_equal(p.not_before, NOW - 300);
	assert_int_equal(p.not_after, NOW - 300 + 10 * DAY - 1);
	assert_true(p.must_staple);
}

/* A CN that counts as a name is that name, however it is written. */
static void
name_in_subject(void **state)
{
	const struct ask q = { .subject = "CN=dns:B.test", .sans = "b.test" };
	struct policy_plan p;
	struct err e;

	(void)state;
	assert_int_equal(judge(&q, NULL, &p, &e), 0);
	assert_string_equal(dn_text(fx.a, &p.subject), "CN=b.test,O=Test");
	assert_int_equal(p.n_sans, 1);
}

/* Validity never passes the issuer's; nothing comes from one to be. */
static void
issuers_validity(void **state)
{
	const struct ask q = { 0 };
	struct policy_plan p;
	struct err e;

	(void)state;
	clock_set_fake(INT64_C(2840140800) - DAY); /* 2059-12-31 */
	assert_int_equal(judge(&q, NULL, &p, &e), 0);
	assert_int_equal(p.not_after, p.issuer->not_after);
	clock_set_fake(INT64_C(1767225600) + 10); /* 2026-01-01 */
	assert_int_equal(judge(&q, NULL, &p, &e), 0);
	assert_int_equal(p.not_before, p.issuer->not_before);
	clock_set_fake(INT64_C(1767225600) - 3600);
	assert_int_equal(judge(&q, NULL, &p, &e), -1);
	assert_non_null(strstr(e.text, "not valid yet"));
	clock_set_fake(NOW);
}

/* The trail has the rules in the order in which they are applied. */
static void
trail(void **state)
{
	static const char *const order[] = { "allow", "issuer", "key",
		"common-name", "subject", "san", "control", "tls-feature",
		"validity" };
	/* breaks every rule; then what is repaired, one after the other */
	struct ask q = { .who = "oper:bob",
		.issuer = "code",
		.spki = p384,
		.subject = "CN=Web Server,L=x",
		.sans = "a.example",
		.proven = "z.test",
		.staple = true,
		.feature = "never",
		.not_before = 1 };
	struct policy_trail t;
	struct policy_plan p;
	struct err e;
	size_t i, k;

	(void)state;
	for (i = 0; i < 9; i++) {
		memset(&t, 0, sizeof(t));
		assert_int_equal(judge(&q, &t, &p, &e), -1);
		assert_int_equal(t.n, i + 1);
		for (k = 0; k <= i; k++) {
			assert_string_equal(t.steps[k].rule, order[k]);
			assert_int_equal(t.steps[k].ok, k < i);
		}
		q.who = "oper:alice";
		q.issuer = i >= 1 ? "tls" : q.issuer;
		q.spki = i >= 2 ? p256 : q.spki;
		q.subject = i >= 4 ? "" : i >= 3 ? "L=x" : q.subject;
		q.sans = i >= 5 ? "a.test" : q.sans;
		q.proven = i >= 6 ? "a.test" : q.proven;
		q.staple = i < 7;
	}
	q.not_before = 0;
	memset(&t, 0, sizeof(t));
	assert_int_equal(judge(&q, &t, &p, &e), 0);
	assert_int_equal(t.n, 9);
	assert_true(t.steps[8].ok);
}

/* What the profile fixes is nobody's to prove: /csrattrs asks for it. */
static void
fixed_attributes(void **state)
{
	static const char text[] =
	    "name: d\nissuers: [tls]\nallow:\n- protocols: [est]\n"
	    "subject:\n  fixed: [{type: O, value: Test}]\n"
	    "  allowed: [{type: CN}]\nkeys: {ec: [P-256]}\n"
	    "validity: {default: 1d, max: 1d}\n"
	    "key-usage: [digitalSignature]\n";
	struct request_holder holder = { .n_sans = 0 };
	struct principal who = { EVIDENCE_CERT, "cert:@maker/CN=sn-1" };
	struct request req = { .protocol = "est",
		.txn = "1",
		.evidence = { .kind = EVIDENCE_CERT, .holder = &holder },
		.want = { .spki = p256 } };
	struct policy_plan plan;
	struct profile p;
	struct policy_input in = { &who, &req, &p, fx.issuers, NULL };
	struct err e;

	(void)state;
	if (profile_parse(fx.a, "d.yaml", span_str(text), &p, &e) == -1 ||
	    dn_parse(fx.a, "CN=sn-1", &holder.subject, &e) == -1 ||
	    dn_parse(fx.a, "CN=sn-1,O=Test", &req.want.subject, &e) == -1 ||
	    policy_check(fx.a, &in, &plan, &e) == -1)
		fail_msg("%s", e.text);
	assert_string_equal(dn_text(fx.a, &plan.subject), "CN=sn-1,O=Test");
	assert_int_equal(
	    dn_parse(fx.a, "CN=sn-2,O=Test", &req.want.subject, &e), 0);
	assert_int_equal(policy_check(fx.a, &in, &plan, &e), -1);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(rules_of_who_and_key),
		cmocka_unit_test(rules_of_names),
		cmocka_unit_test(rules_of_the_rest),
		cmocka_unit_test(plan),
		cmocka_unit_test(name_in_subject),
		cmocka_unit_test(issuers_validity),
		cmocka_unit_test(trail),
		cmocka_unit_test(fixed_attributes),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
