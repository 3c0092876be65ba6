#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "ca/oid.h"
#include "ca/profile.h"
#include "tests/unit/arena_fixture.h"

/* A good profile; a mistake replaces one of its lines. */
static const char *const lines[] = {
	/* 1 */ "name: p",
	/* 2 */ "issuers: [tls]",
	/* 3 */ "allow:",
	/* 4 */ "- protocols: [acme, cli]",
	/* 5 */ "  principals: [\"oper:*\"]",
	/* 6 */ "subject:",
	/* 7 */ "  fixed:",
	/* 8 */ "  - {type: O, value: Test}",
	/* 9 */ "  allowed:",
	/* 10 */ "  - {type: CN, from-san: true}",
	/* 11 */ "san:",
	/* 12 */ "  required: true",
	/* 13 */ "  dns:",
	/* 14 */ "    patterns: [\"**.test\", localhost]",
	/* 15 */ "  ip:",
	/* 16 */ "    ranges: [127.0.0.0/8]",
	/* 17 */ "keys:",
	/* 18 */ "  rsa: {min: 2048, max: 4096}",
	/* 19 */ "  ec: [P-256]",
	/* 20 */ "validity:",
	/* 21 */ "  default: 90d",
	/* 22 */ "  max: 397d",
	/* 23 */ "  backdate: 5m",
	/* 24 */ "key-usage: [digitalSignature]",
	/* 25 */ "extended-key-usage: [serverAuth]",
	/* 26 */ "policies:",
	/* 27 */ "- oid: 1.2.3",
	/* 28 */ "tls-feature: optional",
	/* 29 */ "crl-distribution-points: true",
};
#define N_LINES (sizeof(lines) / sizeof(lines[0]))

static struct span
with(size_t at, const char *line)
{
	const char *text = "";
	size_t i;

	for (i = 0; i < N_LINES; i++)
		text = arena_printf(
		    a, "%s%s\n", text, i + 1 == at ? line : lines[i]);
	return span_str(text);
}

static const struct mistake {
	size_t line; /* also where the error must point */
	const char *text, *says;
} mistakes[] = {
	{ 1, "nam: p", "nam" },
	{ 1, "name: \"@p\"", "begins with" },
	{ 2, "issuer: [tls]", "issuer" },
	{ 2, "issuers: tls", "issuers" },
	{ 4, "- protocols: [acme, htp]", "\"htp\" is not acme" },
	{ 4, "- protocol: [acme]", "protocol" },
	{ 8, "  - {type: XX, value: Test}", "unknown name attribute \"XX\"" },
	{ 8, "  - {type: C, value: Test}", "C has 4 characters" },
	{ 8, "  - {type: O}", "value" },
	{ 10, "  - {type: commonname, from-san: true}",
	    "unknown name attribute" },
	{ 10, "  - {type: CN, from-san: yes}", "from-san" },
	{ 10, "  - {type: CN, max: -1}", "max" },
	{ 14, "    patterns: [\"a*.test\"]", "is not a name" },
	{ 14, "    patterns: [\"*.*.test\"]", "is not a name" },
	{ 14, "    patterns: [\"A.test\"]", "is not a name" },
	{ 14, "    pattern: [\"a.test\"]", "pattern" },
	{ 16, "    ranges: [127.0.0.1/8]", "is not an address range" },
	{ 16, "    ranges: [127.0.0.0/33]", "is not an address range" },
	{ 16, "    ranges: [127.0.0.0/]", "is not an address range" },
	{ 16, "    ranges: [127.0.0.0/8x]", "is not an address range" },
	{ 16, "    ranges: [localhost]", "is not an address range" },
	{ 18, "  rsa: {min: 1024, max: 4096}", "between 2048 and 8192" },
	{ 18, "  rsa: {min: 2048, max: 16384}", "between 2048 and 8192" },
	{ 18, "  rsa: {min: 4096, max: 2048}", "between 2048 and 8192" },
	{ 18, "  rsa: {min: 02048, max: 4096}", "min" },
	{ 19, "  ec: [P-224]", "\"P-224\" is not P-256" },
	{ 21, "  default: 90", "90" },
	{ 21, "  default: 30s", "less than a minute" },
	{ 21, "  default: 398d", "more than the maximum" },
	{ 22, "  max: 101y", "101y" },
	{ 23, "  backdate: 2h", "2h" },
	{ 24, "key-usage: [signing]", "signing" },
	{ 24, "key-usage: [keyCertSign]", "go together" },
	{ 25, "extended-key-usage: [serverauth]", "\"serverauth\"" },
	{ 25, "extended-key-usage: [anyExtendedKeyUsage]", "is not an" },
	{ 25, "extended-key-usage: [2.5.29.37.0]", "2.5.29.37.0" },
	{ 25, "extended-key-usage: [serverAuth, 1.3.6.1.5.5.7.3.1]", "twice" },
	{ 27, "- oid: 1.2.x", "\"1.2.x\" is not an OID" },
	{ 28, "tls-feature: sometimes", "sometimes" },
	{ 28, "basic-constraints: {ca: false, path-length: 0}", "0 to 10" },
	{ 28, "name-constraints: {permitted: {dns: [test]}}", "only a CA" },
	{ 29, "crl-distribution-points: 1", "crl-distribution-points" },
	{ 29, "tls-feature: always", "tls-feature" },
	{ 29, "- x", "" },
	{ 29, "clients: {expires: 1d}", "expires" },
	{ 29, "clients: {expired: soon}", "clients.expired" },
	{ 29, "clients: {trust-anchors: [none.pem]}", "none.pem" },
	{ 29, "clients: {trust-anchors: [x/ca.pem, y/ca.pem]}",
	    "two trust anchors are called \"ca\"" },
	{ 29, "est: {server-keygen: P-384}", "not a key that the profile" },
	{ 29, "est: {server-keygen: \"rsa:1024\"}", "not a key" },
	{ 29, "est: {channel-binding: often}", "channel-binding" },
};

static void
good(void **state)
{
	struct profile p;
	struct err e;

	(void)state;
	if (profile_parse(a, "p.yaml", with(0, ""), &p, &e) == -1)
		fail_msg("%s", e.text);
	assert_string_equal(p.name, "p");
	assert_int_equal(p.n_allow, 1);
	assert_string_equal(p.allow[0].principals.list[0], "oper:*");
	assert_string_equal(p.fixed[0].value, "Test");
	assert_true(p.attrs[0].from_san);
	assert_int_equal(p.attrs[0].max, 1);
	assert_true(p.san[PROFILE_SAN_DNS].allowed);
	assert_false(p.san[PROFILE_SAN_DNS].wildcard);
	assert_false(p.san[PROFILE_SAN_EMAIL].allowed);
	assert_int_equal(p.san[PROFILE_SAN_IP].ranges[0].bits, 8);
	assert_int_equal(p.validity_default_s, 90 * 86400);
	assert_int_equal(p.backdate_s, 300);
	assert_int_equal(p.key_usage, 1);
	assert_int_equal(p.key_usage_rsa, 1);
	assert_string_equal(p.eku.list[0], OID_EKU_SERVER_AUTH);
	assert_int_equal(p.path_len, -1);
	assert_false(p.approval);
	assert_string_equal(profile_usage_text(a, 0x61),
	    "digitalSignature,keyCertSign,cRLSign");
}

/* What clients and EST are told. */
static void
clients(void **state)
{
	struct profile p;
	struct err e;

	(void)state;
	if (profile_parse(a, "p.yaml", with(0, ""), &p, &e) == -1)
		fail_msg("%s", e.text);
	assert_int_equal(p.clients.issuers.n, 1);
	assert_string_equal(p.clients.issuers.list[0], "tls");
	assert_int_equal(p.clients.expired_s, 0);
	assert_false(p.clients.any_name);
	assert_null(p.est.server_key);
	assert_true(profile_has_protocol(&p, "acme"));
	assert_false(profile_has_protocol(&p, "est"));
	if (profile_parse(a, "p.yaml",
		with(29, "clients: {issuers: [users], expired: 2d,"
			 " any-name: true}\n"
			 "est: {channel-binding: true, wrap-lines: true,"
			 " server-keygen: \"rsa:3072\"}"),
		&p, &e) == -1)
		fail_msg("%s", e.text);
	assert_string_equal(p.clients.issuers.list[0], "users");
	assert_int_equal(p.clients.expired_s, 2 * 86400);
	assert_true(p.clients.any_name);
	assert_true(p.est.binding_required);
	assert_true(p.est.wrap);
	assert_string_equal(p.est.server_key, "rsa:3072");
}

static void
each_mistake_has_its_line(void **state)
{
	const struct mistake *m;
	const char *where;
	struct profile p;
	struct err e;
	size_t i;
	int bad = 0;

	(void)state;
	for (i = 0; i < sizeof(mistakes) / sizeof(mistakes[0]); i++) {
		m = &mistakes[i];
		where = arena_printf(a, "p.yaml:%zu:", m->line);
		e.text[0] = '\0';
		if (profile_parse(
			a, "p.yaml", with(m->line, m->text), &p, &e) == -1 &&
		    e.kind == ERR_MALFORMED &&
		    strncmp(e.text, where, strlen(where)) == 0 &&
		    strstr(e.text, m->says) != NULL)
			continue;
		print_error("%s\n  %s\n", m->text, e.text);
		bad++;
	}
	assert_int_equal(bad, 0);
}

/* What is missing is reported where the profile starts. */
static void
each_part_is_needed(void **state)
{
	static const struct {
		size_t from, to;
		const char *key;
	} parts[] = { { 1, 1, "name" }, { 2, 2, "issuers" }, { 3, 5, "allow" },
		{ 17, 19, "keys" }, { 20, 23, "validity" },
		{ 24, 24, "key-usage" } };
	const char *text;
	struct profile p;
	struct err e;
	size_t i, k;

	(void)state;
	for (i = 0; i < sizeof(parts) / sizeof(parts[0]); i++) {
		text = "";
		for (k = 1; k <= N_LINES; k++) {
			if (k < parts[i].from || k > parts[i].to)
				text = arena_printf(
				    a, "%s%s\n", text, lines[k - 1]);
		}
		assert_int_equal(
		    profile_parse(a, "p.yaml", span_str(text), &p, &e), -1);
		if (strstr(e.text, parts[i].key) == NULL)
			fail_msg("%s: %s", parts[i].key, e.text);
	}
}

static void
no_algorithm(void **state)
{
	struct profile p;
	struct err e;
	const char *text = "name: p\nissuers: [tls]\nallow:\n"
			   "- protocols: [cli]\nkeys: {ec: []}\n"
			   "validity: {default: 1d, max: 1d}\n"
			   "key-usage: [digitalSignature]\n";

	(void)state;
	assert_int_equal(
	    profile_parse(a, "p.yaml", span_str(text), &p, &e), -1);
	assert_non_null(strstr(e.text, "p.yaml:5: keys"));
}

static void
shipped_ones_load(void **state)
{
	static const char *const names[] = { "code-signing", "device",
		"ocsp-responder", "ra", "sub-ca", "tls-client", "tls-server",
		"user" };
	const char *top = getenv("top_srcdir");
	struct profile_set *s;
	struct err e;
	size_t i;

	(void)state;
	if (profile_set_load(
		arena_printf(a, "%s/policies", top == NULL ? "." : top), &s,
		&e) == -1)
		fail_msg("%s", e.text);
	assert_int_equal(profile_count(s), sizeof(names) / sizeof(names[0]));
	for (i = 0; i < profile_count(s); i++) {
		assert_string_equal(profile_at(s, i)->name, names[i]);
		assert_ptr_equal(profile_get(s, names[i]), profile_at(s, i));
		assert_true(profile_at(s, i)->description[0] != '\0');
		assert_false(profile_at(s, i)->approval);
	}
	assert_null(profile_get(s, "nothing"));
	profile_set_free(s);
}

static void
directories(void **state)
{
	char dir[] = "/tmp/profile-XXXXXX";
	struct profile_set *s;
	struct span text = with(0, "");
	const char *file;
	struct err e;
	int fd;

	(void)state;
	assert_non_null(mkdtemp(dir));
	assert_int_equal(profile_set_load(dir, &s, &e), -1);
	assert_int_equal(e.kind, ERR_NOT_FOUND);
	file = arena_printf(a, "%s/q.yaml", dir);
	fd = open(file, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	assert_int_equal(write(fd, text.p, text.n), (ssize_t)text.n);
	(void)close(fd);
	/* the name is not the file's */
	assert_int_equal(profile_set_load(dir, &s, &e), -1);
	assert_non_null(strstr(e.text, "q.yaml:1: name"));
	assert_int_equal(rename(file, arena_printf(a, "%s/p.yaml", dir)), 0);
	assert_int_equal(profile_set_load(dir, &s, &e), 0);
	assert_int_equal(profile_count(s), 1);
	profile_set_free(s);
	(void)unlink(arena_printf(a, "%s/p.yaml", dir));
	(void)rmdir(dir);
	assert_int_equal(profile_set_load(dir, &s, &e), -1);
	assert_int_equal(e.kind, ERR_NOT_FOUND);
}

static void
purposes(void **state)
{
	(void)state;
	assert_string_equal(profile_eku_oid("clientAuth"), OID_EKU_CLIENT_AUTH);
	assert_string_equal(profile_eku_oid("1.2.3"), "1.2.3");
	assert_null(profile_eku_oid("clientauth"));
	assert_null(profile_eku_oid("3.1"));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(good),
		cmocka_unit_test(clients),
		cmocka_unit_test(each_mistake_has_its_line),
		cmocka_unit_test(each_part_is_needed),
		cmocka_unit_test(no_algorithm),
		cmocka_unit_test(shipped_ones_load),
		cmocka_unit_test(directories),
		cmocka_unit_test(purposes),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
