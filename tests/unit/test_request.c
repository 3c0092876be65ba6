#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "ca/alabel.h"
#include "ca/request.h"
#include "ca/request_wire.h"
#include "tests/unit/arena_fixture.h"

#define L63 "abcdefghijabcdefghijabcdefghijabcdefghijabcdefghijabcdefghijabc"

/* What becomes of a text; NULL: refused. */
static const struct {
	const char *in;
	enum tosign_gn type;
	const char *out;
} table[] = {
	{ "a.test", TOSIGN_GN_DNS, "a.test" },
	{ "A.TEST", TOSIGN_GN_DNS, "a.test" },
	{ "dns:a.test", TOSIGN_GN_DNS, "a.test" },
	{ "localhost", TOSIGN_GN_DNS, "localhost" },
	{ "*.a.test", TOSIGN_GN_DNS, "*.a.test" },
	{ "1.a-b.2x", TOSIGN_GN_DNS, "1.a-b.2x" },
	{ L63 ".test", TOSIGN_GN_DNS, L63 ".test" },
	{ L63 "." L63 "." L63 ".abcdefghijabcdefghijabcdefghijabcdefghij"
	      "abcdefghijabcdefghija",
	    TOSIGN_GN_DNS,
	    L63 "." L63 "." L63 ".abcdefghijabcdefghijabcdefghijabcdefghij"
		"abcdefghijabcdefghija" },
	{ L63 "." L63 "." L63 ".abcdefghijabcdefghijabcdefghijabcdefghij"
	      "abcdefghijabcdefghijab",
	    TOSIGN_GN_DNS, NULL },
	{ L63 "x.test", TOSIGN_GN_DNS, NULL },
	{ "xn--bcher-kva.test", TOSIGN_GN_DNS, "xn--bcher-kva.test" },
	{ "XN--BCHER-KVA.test", TOSIGN_GN_DNS, "xn--bcher-kva.test" },
	{ "xn--a.test", TOSIGN_GN_DNS, NULL },
	{ "xn--.test", TOSIGN_GN_DNS, NULL },
	{ "xn--abc-.test", TOSIGN_GN_DNS, NULL },
	{ "xn--99999999.test", TOSIGN_GN_DNS, NULL },
	{ "ab--cd.test", TOSIGN_GN_DNS, NULL },
	{ "b\xc3\xbc"
	  "cher.test",
	    TOSIGN_GN_DNS, NULL },
	{ "", TOSIGN_GN_DNS, NULL },
	{ "dns:", TOSIGN_GN_DNS, NULL },
	{ ".", TOSIGN_GN_DNS, NULL },
	{ "a.test.", TOSIGN_GN_DNS, NULL },
	{ ".a.test", TOSIGN_GN_DNS, NULL },
	{ "a..test", TOSIGN_GN_DNS, NULL },
	{ "-a.test", TOSIGN_GN_DNS, NULL },
	{ "a-.test", TOSIGN_GN_DNS, NULL },
	{ "a_b.test", TOSIGN_GN_DNS, NULL },
	{ "a b.test", TOSIGN_GN_DNS, NULL },
	{ "a.test:80", TOSIGN_GN_DNS, NULL },
	{ "*", TOSIGN_GN_DNS, NULL },
	{ "*.", TOSIGN_GN_DNS, NULL },
	{ "*.*.test", TOSIGN_GN_DNS, NULL },
	{ "a.*.test", TOSIGN_GN_DNS, NULL },
	{ "a*.test", TOSIGN_GN_DNS, NULL },
	{ "a.123", TOSIGN_GN_DNS, NULL },
	{ "dns:127.0.0.1", TOSIGN_GN_DNS, NULL },
	{ "256.1.1.1", TOSIGN_GN_DNS, NULL },
	{ "127.0.0.1", TOSIGN_GN_IP, "127.0.0.1" },
	{ "ip:10.0.0.1", TOSIGN_GN_IP, "10.0.0.1" },
	{ "::1", TOSIGN_GN_IP, "::1" },
	{ "ip:2001:DB8:0:0:0:0:0:1", TOSIGN_GN_IP, "2001:db8::1" },
	{ "ip:10.0.0", TOSIGN_GN_IP, NULL },
	{ "ip:010.0.0.1", TOSIGN_GN_IP, NULL },
	{ "ip:10.0.0.1/8", TOSIGN_GN_IP, NULL },
	{ "ip:a.test", TOSIGN_GN_IP, NULL },
	{ "ip:", TOSIGN_GN_IP, NULL },
	{ "email:Bob@A.Test", TOSIGN_GN_EMAIL, "Bob@a.test" },
	{ "bob@a.test", TOSIGN_GN_EMAIL, "bob@a.test" },
	{ "email:a.b+c@test", TOSIGN_GN_EMAIL, "a.b+c@test" },
	{ "email:bob", TOSIGN_GN_EMAIL, NULL },
	{ "email:@a.test", TOSIGN_GN_EMAIL, NULL },
	{ "email:bob@", TOSIGN_GN_EMAIL, NULL },
	{ "email:bob@*.test", TOSIGN_GN_EMAIL, NULL },
	{ "email:.b@a.test", TOSIGN_GN_EMAIL, NULL },
	{ "email:b.@a.test", TOSIGN_GN_EMAIL, NULL },
	{ "email:b..c@a.test", TOSIGN_GN_EMAIL, NULL },
	{ "email:b c@a.test", TOSIGN_GN_EMAIL, NULL },
	{ "email:b@c@a.test", TOSIGN_GN_EMAIL, NULL },
	{ "email:\"b\"@a.test", TOSIGN_GN_EMAIL, NULL },
	{ "email:b\xc3\xbc@a.test", TOSIGN_GN_EMAIL, NULL },
	{ "email:" L63 "xx@a.test", TOSIGN_GN_EMAIL, NULL },
	{ "uri:https://a.test/x?y#z", TOSIGN_GN_URI, "https://a.test/x?y#z" },
	{ "uri:https://u@a.test:443/", TOSIGN_GN_URI, "https://u@a.test:443/" },
	{ "uri:https://[::1]:443/", TOSIGN_GN_URI, "https://[::1]:443/" },
	{ "uri:http://10.0.0.1", TOSIGN_GN_URI, "http://10.0.0.1" },
	{ "uri:urn:uuid:1", TOSIGN_GN_URI, "urn:uuid:1" },
	{ "uri:spiffe://td.test/w", TOSIGN_GN_URI, "spiffe://td.test/w" },
	{ "uri:/a", TOSIGN_GN_URI, NULL },
	{ "uri:a.test", TOSIGN_GN_URI, NULL },
	{ "uri:http:", TOSIGN_GN_URI, NULL },
	{ "uri:http://", TOSIGN_GN_URI, NULL },
	{ "uri:http:///a", TOSIGN_GN_URI, NULL },
	{ "uri:http://:80/", TOSIGN_GN_URI, NULL },
	{ "uri:http://a_b/", TOSIGN_GN_URI, NULL },
	{ "uri:http://a.test:x/", TOSIGN_GN_URI, NULL },
	{ "uri:http://[::1/", TOSIGN_GN_URI, NULL },
	{ "uri:http://[::g]/", TOSIGN_GN_URI, NULL },
	{ "uri:http://[::1]x/", TOSIGN_GN_URI, NULL },
	{ "uri:1http://a.test/", TOSIGN_GN_URI, NULL },
	{ "uri:http://a.test/ b", TOSIGN_GN_URI, NULL },
	{ "upn:bob@a.test", TOSIGN_GN_OTHER, "bob@a.test" },
	{ "upn:b\xc3\xbc@a.test", TOSIGN_GN_OTHER, "b\xc3\xbc@a.test" },
	{ "upn:bob", TOSIGN_GN_OTHER, NULL },
	{ "upn:bob@evil@a.test", TOSIGN_GN_OTHER, NULL },
	{ "upn:@a.test", TOSIGN_GN_OTHER, NULL },
	{ "upn:b\xc3@a.test", TOSIGN_GN_OTHER, NULL },
	{ "upn:b\x01@a.test", TOSIGN_GN_OTHER, NULL },
};

static void
syntax(void **state)
{
	struct request_san san;
	struct err e;
	size_t i;
	int rc;

	(void)state;
	for (i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
		rc = request_san_parse(a, table[i].in, &san, &e);
		if ((rc == 0) != (table[i].out != NULL))
			fail_msg("\"%s\": %s", table[i].in,
			    rc == 0 ? "accepted" : e.text);
		if (rc == -1) {
			assert_int_equal(e.kind, ERR_MALFORMED);
			continue;
		}
		assert_int_equal(san.type, table[i].type);
		assert_string_equal(san.text, table[i].out);
	}
}

/* RFC 3492 section 7.1, those that are lower case. */
static void
punycode(void **state)
{
	static const char *const good[] = { "xn--egbpdaj6bu4bxfgehfvwxn",
		"xn--ihqwcrb4cv8a8dqg056pqjye", "xn--de-jg4avhby1noc0d",
		"xn--d9juau41awczczp",
		"xn--hello-another-way--fc4qua05auwb3674vfr0b", "xn--tda",
		"xn--mnchen-3ya" };
	static const char *const bad[] = { "xn--", "xn---", "xn--abc", "xn--a-",
		"xn---a", "xn--zzzzzzzz", "xn--a_b", "xm--tda",
		"xn--aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa" };
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
		if (!alabel_is_valid(span_str(good[i])))
			fail_msg("%s is refused", good[i]);
	}
	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		if (alabel_is_valid(span_str(bad[i])))
			fail_msg("%s is taken", bad[i]);
	}
}

static void
repetitions(void **state)
{
	static const char *const in[] = { "a.test", "A.test", "ip:10.0.0.1",
		"10.0.0.1", "email:a@a.test", "upn:a@a.test", "a.test" };
	struct request_san sans[7];
	struct request_want w = { .sans = sans, .n_sans = 7 };
	struct err e;
	size_t i;

	(void)state;
	for (i = 0; i < 7; i++)
		assert_int_equal(request_san_parse(a, in[i], &sans[i], &e), 0);
	request_sans_dedup(&w);
	assert_int_equal(w.n_sans, 4);
	assert_string_equal(w.sans[3].text, "a@a.test");
	assert_string_equal(request_san_word(w.sans[3].type), "upn");
	assert_string_equal(request_san_word(TOSIGN_GN_RID), "name");
}

static void
wildcard_only_where_allowed(void **state)
{
	struct err e;

	(void)state;
	assert_int_equal(request_dns_check("*.a.test", true, &e), 0);
	assert_int_equal(request_dns_check("*.a.test", false, &e), -1);
	assert_int_equal(e.kind, ERR_MALFORMED);
	assert_int_equal(request_dns_check("A.test", false, &e), -1);
	assert_int_equal(request_dns_check("a_b", false, NULL), -1);
}

/* What waits for an approval comes back as it was. */
static void
wire(void **state)
{
	struct request_san sans[2] = { { .type = TOSIGN_GN_DNS,
					   .text = "a.test" },
		{ .type = TOSIGN_GN_IP,
		    .text = "::1",
		    .ip = span_of((const uint8_t *)"0123456789abcdef", 16) } };
	struct dn_attr cn = { dn_type_named("CN"), "x" };
	const char *names[] = { "dns:*.a.test", "CN:y" };
	struct request_holder h = { .profile = "dev",
		.cert_id = 7,
		.expired = true,
		.subject = { &cn, 1 },
		.sans = sans,
		.n_sans = 2 };
	struct request in = { .profile = "p",
		.evidence = { .kind = EVIDENCE_CERT,
		    .name = "dev/CN=x",
		    .proven = sans,
		    .n_proven = 1,
		    .secret_id = 9,
		    .one_time = true,
		    .names = names,
		    .n_names = 2,
		    .holder = &h },
		.want = { .raw = span_str("raw"),
		    .spki = span_str("spki"),
		    .subject = { &cn, 1 },
		    .sans = sans,
		    .n_sans = 2,
		    .must_staple = true,
		    .not_before = -5,
		    .not_after = 6 },
		.repeat_s = REQUEST_REPEAT_NEVER };
	AUTO_BUF(b, REQUEST_WIRE_MAX);
	AUTO_BUF(again, REQUEST_WIRE_MAX);
	struct request out;
	struct err e;
	size_t n;

	(void)state;
	request_wire_put(&b, &in);
	assert_int_equal(request_wire_get(a, buf_get(&b), &out, &e), 0);
	assert_string_equal(out.profile, "p");
	assert_null(out.issuer);
	assert_int_equal(out.evidence.kind, EVIDENCE_CERT);
	assert_string_equal(out.evidence.name, "dev/CN=x");
	assert_string_equal(out.evidence.names[1], "CN:y");
	assert_int_equal(out.evidence.secret_id, 9);
	assert_string_equal(out.evidence.holder->profile, "dev");
	assert_string_equal(dn_text(a, &out.want.subject), "CN=x");
	assert_true(request_san_eq(&out.want.sans[1], &sans[1]));
	assert_int_equal(out.want.not_before, -5);
	assert_int_equal(out.repeat_s, REQUEST_REPEAT_NEVER);
	assert_string_equal(
	    request_summary(a, &out.want), "CN=x dns:a.test ip:::1");
	/* nothing is lost: the same bytes again */
	request_wire_put(&again, &out);
	assert_true(span_eq(buf_get(&b), buf_get(&again)));
	/* cut short anywhere, it is damaged */
	for (n = 0; n < b.n; n++) {
		assert_int_equal(
		    request_wire_get(a, span_of(b.p, n), &out, &e), -1);
		assert_int_equal(e.kind, ERR_INTERNAL);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(syntax),
		cmocka_unit_test(punycode),
		cmocka_unit_test(repetitions),
		cmocka_unit_test(wildcard_only_where_allowed),
		cmocka_unit_test(wire),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
