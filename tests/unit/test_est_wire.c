#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/b64.h"
#include "protocols/est/basic.h"
#include "protocols/est/binding.h"
#include "protocols/est/codec.h"
#include "protocols/est/route.h"
#include "protocols/est/status.h"
#include "tests/unit/arena_fixture.h"

static void
test_routes(void **state)
{
	static const struct {
		const char *path;
		enum est_op op;
		const char *label;
	} good[] = {
		{ "/.well-known/est/cacerts", EST_CACERTS, NULL },
		{ "/.well-known/est/csrattrs", EST_CSRATTRS, NULL },
		{ "/.well-known/est/simpleenroll", EST_SIMPLEENROLL, NULL },
		{ "/.well-known/est/simplereenroll", EST_SIMPLEREENROLL, NULL },
		{ "/.well-known/est/serverkeygen", EST_SERVERKEYGEN, NULL },
		{ "/.well-known/est/device/cacerts", EST_CACERTS, "device" },
		{ "/.well-known/est/tls-server/simplereenroll",
		    EST_SIMPLEREENROLL, "tls-server" },
		{ "/.well-known/est/cacert/cacerts", EST_CACERTS, "cacert" },
		{ "/.well-known/est/../cacerts", EST_CACERTS, ".." },
	};
	static const char *const bad[] = { "/.well-known/est",
		"/.well-known/est/", "/.well-known/estx/cacerts",
		"/.well-known/est/fullcmc", "/.well-known/est/device/fullcmc",
		"/.well-known/est/cacerts/", "/.well-known/est//cacerts",
		"/.well-known/est/device", "/.well-known/est/device/",
		"/.well-known/est/cacerts/cacerts",
		"/.well-known/est/simpleenroll/cacerts",
		"/.well-known/est/a/b/cacerts",
		"/.well-known/est/device/cacerts/x", "/.well-known/est/CACERTS",
		"/", "" };
	struct est_route r;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
		assert_true(est_route_parse(a, good[i].path, &r));
		assert_int_equal(r.op, good[i].op);
		if (good[i].label == NULL)
			assert_null(r.label);
		else
			assert_string_equal(r.label, good[i].label);
		assert_true(est_route_is(good[i].path));
	}
	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_false(est_route_parse(a, bad[i], &r));
	assert_true(est_route_is("/.well-known/est/fullcmc"));
	assert_false(est_route_is("/.well-known/estx/cacerts"));
	assert_false(est_op_posts(EST_CACERTS));
	assert_false(est_op_posts(EST_CSRATTRS));
	assert_true(est_op_posts(EST_SIMPLEENROLL));
	assert_true(est_op_posts(EST_SIMPLEREENROLL));
	assert_true(est_op_posts(EST_SERVERKEYGEN));
}

static void
test_decode(void **state)
{
	static const char *const bad[] = { "", " \r\n", "AAE",
		"AA==\0AA==", "AA-_", "AB==", "-----BEGIN X-----",
		"A===", "AAE=AAE=" };
	struct span out;
	struct err e;
	size_t i;

	(void)state;
	assert_int_equal(
	    est_decode(a, span_str(" AA\r\nEC\t\n AwQ=\n"), &out, &e), 0);
	assert_true(span_eq(out, span_of("\0\1\2\3\4", 5)));
	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		struct span s = i == 3 ? span_of(bad[i], 9) : span_str(bad[i]);

		e.kind = ERR_NONE;
		assert_int_equal(est_decode(a, s, &out, &e), -1);
		assert_int_equal(e.kind, ERR_MALFORMED);
	}
}

static void
test_encode(void **state)
{
	static const uint8_t bytes[100] = { 1, 2, 3 };
	struct span text, back;
	struct err e;
	size_t n;

	(void)state;
	for (n = 0; n <= sizeof(bytes); n++) {
		text = est_encode(a, span_of(bytes, n), false);
		assert_null(memchr(text.p, '\n', text.n));
		assert_int_equal(text.n, (n + 2) / 3 * 4);
		text = est_encode(a, span_of(bytes, n), true);
		assert_true(n == 0 || text.p[text.n - 1] == '\n');
		assert_true(n <= 48 || text.p[64] == '\n');
		if (n == 0)
			continue;
		assert_int_equal(est_decode(a, text, &back, &e), 0);
		assert_true(span_eq(back, span_of(bytes, n)));
	}
	/* whole lines and nothing more */
	assert_int_equal(est_encode(a, span_of(bytes, 96), true).n, 130);
	assert_true(est_agent_wraps("Cisco EST client 1.0"));
	assert_false(est_agent_wraps("curl/7"));
	assert_false(est_agent_wraps(NULL));
}

static void
test_media_type(void **state)
{
	(void)state;
	assert_true(
	    est_media_type_is("application/pkcs10", "application/pkcs10"));
	assert_true(est_media_type_is(
	    "Application/PKCS10; charset=x", "application/pkcs10"));
	assert_true(
	    est_media_type_is("application/pkcs10 ;a=b", "application/pkcs10"));
	assert_false(
	    est_media_type_is("application/pkcs10x", "application/pkcs10"));
	assert_false(
	    est_media_type_is("application/pkcs", "application/pkcs10"));
	assert_false(est_media_type_is("", "application/pkcs10"));
	assert_false(est_media_type_is(NULL, "application/pkcs10"));
}

static int
parse_basic(const char *name_and_secret, size_t n, struct est_basic *out)
{
	struct err e = { ERR_NONE, "" };
	char *text = arena_printf(
	    a, "basic  %s ", b64_encode(a, span_of(name_and_secret, n)));
	int rc = est_basic_parse(a, text, out, &e);

	if (rc == -1)
		assert_int_equal(e.kind, ERR_UNAUTHENTICATED);
	return rc;
}

static void
test_basic(void **state)
{
	static const char *const bad[] = { "", "Basic", "Basic ", "Basic *",
		"BasicYTpi", "Bearer YTpi", "Digest username=\"a\"",
		"Basic YTp", "Basic YTpi, Digest x" };
	char big[EST_BASIC_MAX + 4];
	struct est_basic b;
	const uint8_t *p;
	struct err e;
	size_t i;

	(void)state;
	assert_int_equal(est_basic_parse(a, "Basic YTpi", &b, &e), 0);
	assert_string_equal(b.name, "a");
	assert_true(span_is(b.secret, "b"));
	p = b.secret.p;
	est_basic_clear(&b);
	assert_int_equal(p[0], 0);
	assert_int_equal(parse_basic("dev\xc3\xa9:a:b", 9, &b), 0);
	assert_string_equal(b.name, "dev\xc3\xa9");
	assert_true(span_is(b.secret, "a:b"));
	assert_int_equal(parse_basic("a:", 2, &b), 0);
	assert_int_equal(b.secret.n, 0);
	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		assert_int_equal(est_basic_parse(a, bad[i], &b, &e), -1);
		assert_int_equal(e.kind, ERR_UNAUTHENTICATED);
	}
	assert_int_equal(parse_basic("ab", 2, &b), -1);
	assert_int_equal(parse_basic(":b", 2, &b), -1);
	assert_int_equal(parse_basic("a:\0b", 4, &b), -1);
	assert_int_equal(parse_basic("a\nb:c", 5, &b), -1);
	assert_int_equal(parse_basic("a:\x7f", 3, &b), -1);
	memset(big, 'x', sizeof(big));
	big[1] = ':';
	assert_int_equal(parse_basic(big, EST_BASIC_MAX + 2, &b), 0);
	assert_int_equal(b.secret.n, EST_BASIC_MAX);
	assert_int_equal(parse_basic(big, EST_BASIC_MAX + 3, &b), -1);
	memset(big, 'x', sizeof(big));
	big[EST_BASIC_MAX + 1] = ':';
	assert_int_equal(parse_basic(big, sizeof(big), &b), -1);
}

static void
expect_binding(const struct est_binding *b, const char *challenge,
    bool required, const char *why)
{
	struct err e = { ERR_NONE, "" };
	int rc = est_binding_check(a, b, challenge, required, &e);

	assert_int_equal(rc, why == NULL ? 0 : -1);
	if (why == NULL)
		return;
	assert_int_equal(e.kind, ERR_MALFORMED);
	if (strstr(e.text, why) == NULL)
		fail_msg("\"%s\" does not say \"%s\"", e.text, why);
}

static void
test_binding(void **state)
{
	static const uint8_t bytes[48] = { 1, 2, 3 };
	const struct est_binding none = { HTTP_BINDING_NONE, { NULL, 0 } };
	const struct est_binding unique = { HTTP_BINDING_TLS_UNIQUE,
		span_of(bytes, 12) };
	const struct est_binding exporter = { HTTP_BINDING_TLS_EXPORTER,
		span_of(bytes, 32) };
	const char *good = b64_encode(a, unique.value);
	const char *good13 = b64_encode(a, exporter.value);
	const char *other = b64_encode(a, span_of(bytes + 1, 12));
	const char *other13 = b64_encode(a, span_of(bytes + 1, 32));

	(void)state;
	expect_binding(&unique, good, true, NULL);
	expect_binding(&unique, good, false, NULL);
	expect_binding(&unique, arena_printf(a, "%s\n", good), true, NULL);
	expect_binding(&unique, other, false, "not the tls-unique");
	expect_binding(&unique, other, true, "not the tls-unique");
	expect_binding(&unique, NULL, false, NULL);
	expect_binding(&unique, NULL, true, "must be linked");
	expect_binding(&unique, "secret", false, NULL);
	expect_binding(&unique, "secret", true, "not the tls-unique");
	expect_binding(&unique, good13, false, NULL);
	expect_binding(&exporter, good13, true, NULL);
	expect_binding(&exporter, other13, false, "not the tls-exporter");
	expect_binding(&exporter, other13, false, "tls-unique cannot be");
	expect_binding(&exporter, good, true, "tls-unique cannot be");
	expect_binding(&exporter, NULL, true, "tls-unique cannot be");
	expect_binding(&exporter, good, false, NULL);
	expect_binding(&none, NULL, false, NULL);
	expect_binding(&none, "", false, NULL);
	expect_binding(&none, good, true, "must be linked");
	expect_binding(&none, NULL, true, "must be linked");
}

static void
test_status(void **state)
{
	static const struct {
		enum err_kind kind;
		int status;
		bool own_text;
	} rows[] = {
		{ ERR_NONE, 500, false },
		{ ERR_MALFORMED, 400, true },
		{ ERR_UNAUTHENTICATED, 401, false },
		{ ERR_REFUSED, 403, true },
		{ ERR_BAD_POP, 400, true },
		{ ERR_BAD_KEY, 400, true },
		{ ERR_CONFLICT, 409, false },
		{ ERR_NOT_FOUND, 404, false },
		{ ERR_LIMITED, 429, true },
		{ ERR_UNAVAILABLE, 503, false },
		{ ERR_INTERNAL, 500, false },
	};
	struct err e = { .text = "database \"x\" on host y" };
	size_t i;

	(void)state;
	assert_int_equal(sizeof(rows) / sizeof(rows[0]), ERR__COUNT);
	for (i = 0; i < ERR__COUNT; i++) {
		e.kind = rows[i].kind;
		assert_int_equal(est_status(e.kind), rows[i].status);
		assert_int_equal(
		    strcmp(est_status_text(&e), e.text) == 0, rows[i].own_text);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_routes),
		cmocka_unit_test(test_decode),
		cmocka_unit_test(test_encode),
		cmocka_unit_test(test_media_type),
		cmocka_unit_test(test_basic),
		cmocka_unit_test(test_binding),
		cmocka_unit_test(test_status),
	};

	return cmocka_run_group_tests_name("est_wire", tests, setup, teardown);
}
