/* chancery.yaml: defaults, paths, connection strings and every mistake. */
#include <sys/stat.h>

#include <limits.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/arena.h"
#include "base/file.h"
#include "base/settings.h"
#include "protocols/vald/vald_check.h"

static char dir[PATH_MAX];
static char file[PATH_MAX + 32];

/* 10 lines; what a test adds begins in line 11. */
static const char minimal[] = "public-url: https://ca.test:8443\n"
			      "listen:\n"
			      "  - address: 127.0.0.1\n"
			      "    port: 8443\n"
			      "issuers:\n"
			      "  - name: tls\n"
			      "    certificate: ca/tls.pem\n"
			      "    chain: /srv/chain.pem\n"
			      "acme:\n"
			      "  profile: tls-server\n";

static int
set_up(void **state)
{
	char template[] = "/tmp/settings.XXXXXX";

	(void)state;
	/* as realpath says it, which the loader uses */
	if (mkdtemp(template) == NULL || realpath(template, dir) == NULL)
		return -1;
	(void)snprintf(file, sizeof(file), "%s/chancery.yaml", dir);
	return 0;
}

static int
tear_down(void **state)
{
	(void)state;
	(void)unlink(file);
	return rmdir(dir);
}

static void
write_file(const char *head, const char *tail)
{
	AUTO(arena_auto) a = arena_new();
	struct err e;

	if (file_replace(file, span_str(arena_printf(a, "%s%s", head, tail)),
		0600, &e) == -1)
		fail_msg("%s", e.text);
}

static struct settings_file *
load(const char *head, const char *tail)
{
	struct settings_file *f;
	struct err e;

	write_file(head, tail);
	if (settings_load(file, &f, &e) == -1 || vald_check(f, &e) == -1)
		fail_msg("%s", e.text);
	return f;
}

/* The file is refused with "FILE:" and this text. */
static void
refused(const char *head, const char *tail, const char *text)
{
	struct settings_file *f = NULL;
	struct err e = { .text = "" };
	int rc;

	write_file(head, tail);
	rc = settings_load(file, &f, &e);
	if (rc == 0) {
		rc = vald_check(f, &e);
		settings_free(f);
	}
	assert_int_equal(rc, -1);
	assert_int_equal(e.kind, ERR_MALFORMED);
	assert_memory_equal(e.text, file, strlen(file));
	assert_int_equal(e.text[strlen(file)], ':');
	assert_string_equal(e.text + strlen(file) + 1, text);
}

static void
test_defaults(void **state)
{
	AUTO(arena_auto) a = arena_new();
	struct settings_file *f = load(minimal, "");
	const struct settings *s = settings_get(f);

	(void)state;
	assert_string_equal(s->public_url, "https://ca.test:8443");
	assert_string_equal(s->dir, dir);
	assert_null(s->database);
	assert_null(s->users.enroll);
	assert_string_equal(s->https_profile, "tls-server");
	assert_string_equal(s->policies, arena_printf(a, "%s/policies", dir));
	assert_string_equal(s->keys, arena_printf(a, "%s/keys.yaml", dir));
	assert_string_equal(s->run_dir, arena_printf(a, "%s/run", dir));
	assert_string_equal(s->state_dir, arena_printf(a, "%s/.", dir));
	assert_string_equal(
	    s->cluster_secret, arena_printf(a, "%s/secrets/cluster", dir));
	assert_false(s->listen[0].tls);
	assert_false(s->verify_leaves);
	assert_int_equal(s->workers, 16);
	assert_int_equal(s->connections, 4096);
	assert_int_equal(s->per_address, 256);
	assert_int_equal(s->acme.names_max, 100);
	assert_int_equal(s->acme.order_lifetime_s, 7 * 86400);
	assert_int_equal(s->acme.authz_lifetime_s, 30 * 86400);
	assert_int_equal(s->vald.http_port, 80);
	assert_int_equal(s->vald.https_port, 443);
	assert_int_equal(s->vald.tls_alpn_port, 443);
	assert_string_equal(s->ocsp.address, "0.0.0.0");
	assert_int_equal(s->ocsp.port, 8081);
	assert_string_equal(s->ocsp.unknown, "unknown");
	assert_string_equal(
	    s->ocsp.host_key, arena_printf(a, "%s/secrets/ocsp-host.pem", dir));
	assert_string_equal(
	    s->ocsp.files, arena_printf(a, "%s/./ocsp/files", dir));
	assert_int_equal(s->ocsp.validity_s, 3600);
	assert_int_equal(s->ocsp.stale_s, 600);
	assert_int_equal(s->ocsp.certificate_lifetime_s, 3 * 86400);
	assert_int_equal(s->ocsp.cache, 65536);
	assert_int_equal(s->vald.timeout_s, 10);
	assert_int_equal(s->vald.workers, 8);
	assert_int_equal(s->vald.attempts, 3);
	settings_free(f);
}

static void
test_paths(void **state)
{
	AUTO(arena_auto) a = arena_new();
	struct settings_file *f =
	    load(minimal, "policies: p/q\nkeys: /etc/keys.yaml\nrun-dir: ../r\n"
			  "state-dir: /var/lib/x\ncluster-secret: s\n");
	const struct settings *s = settings_get(f);
	char here[PATH_MAX];

	(void)state;
	assert_string_equal(s->policies, arena_printf(a, "%s/p/q", dir));
	assert_string_equal(s->keys, "/etc/keys.yaml");
	assert_string_equal(s->run_dir, arena_printf(a, "%s/../r", dir));
	assert_string_equal(s->state_dir, "/var/lib/x");
	assert_string_equal(s->cluster_secret, arena_printf(a, "%s/s", dir));
	assert_string_equal(
	    s->issuers[0].certificate, arena_printf(a, "%s/ca/tls.pem", dir));
	assert_string_equal(s->issuers[0].chain, "/srv/chain.pem");
	settings_free(f);
	/* a relative name of the file itself changes nothing */
	assert_non_null(getcwd(here, sizeof(here)));
	assert_int_equal(chdir(dir), 0);
	assert_int_equal(settings_load("chancery.yaml", &f, NULL), 0);
	assert_string_equal(settings_get(f)->dir, dir);
	settings_free(f);
	assert_int_equal(chdir(here), 0);
}

static void
test_vald(void **state)
{
	struct settings_file *f = load(minimal,
	    "vald:\n  allow-networks: [10.0.0.0/8, \"::1\"]\n"
	    "  deny-networks:\n    - fd00::/8\n"
	    "  http-port: 5002\n  https-port: 5003\n  tls-alpn-port: 5001\n"
	    "  timeout: 3s\n  workers: 100\n  attempts: 1\n"
	    "  dns-server: 192.0.2.53@5353\n"
	    "  resolve:\n    - suffix: .test\n      address: 127.0.0.1\n");
	const struct settings_vald *v = &settings_get(f)->vald;

	(void)state;
	assert_int_equal(v->allow_networks_count, 2);
	assert_string_equal(v->allow_networks[1], "::1");
	assert_string_equal(v->deny_networks[0], "fd00::/8");
	assert_int_equal(v->http_port, 5002);
	assert_int_equal(v->https_port, 5003);
	assert_int_equal(v->tls_alpn_port, 5001);
	assert_int_equal(v->timeout_s, 3);
	assert_int_equal(v->workers, 100);
	assert_int_equal(v->attempts, 1);
	assert_string_equal(v->dns_server, "192.0.2.53@5353");
	assert_string_equal(v->resolve[0].suffix, ".test");
	settings_free(f);
}

static void
test_schema_mistakes(void **state)
{
	(void)state;
	refused(minimal, "colour: red\n", "11: colour: unknown key");
	refused(minimal, "workers: 1\nworkers: 2\n",
	    "12: key \"workers\" is repeated");
	refused(minimal, "workers: 010\n",
	    "11: workers: number 010 has a leading zero");
	refused(minimal, "workers: many\n",
	    "11: workers: expected a whole number, found \"many\"");
	refused(minimal, "vald:\n  http-port: 65536\n",
	    "12: vald.http-port: number 65536 is out of range");
	refused(minimal, "verify-leaves: maybe\n",
	    "11: verify-leaves: expected true or false, found \"maybe\"");
	refused(minimal, "https-names: ca.test\n",
	    "11: https-names: expected a list, found one value");
	refused(minimal, "vald: []\n",
	    "11: vald: expected a mapping, found a list");
	refused(minimal, "vald:\n  resolve:\n    - suffix: .test\n",
	    "13: vald.resolve[0]: key \"address\" is missing");
	refused(
	    "acme:\n  profile: p\n", "", "1: key \"public-url\" is missing");
}

static void
test_value_mistakes(void **state)
{
	static const char *const urls[] = { "http://ca.test", "https://",
		"https://ca.test/", "https://ca.test/acme", "https://a b",
		"https://a?b", "ca.test" };
	AUTO(arena_auto) a = arena_new();
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(urls) / sizeof(urls[0]); i++)
		refused(arena_printf(a, "public-url: \"%s\"\n", urls[i]),
		    strchr(minimal, '\n') + 1,
		    "1: public-url: must be https://HOST or https://HOST:PORT "
		    "(RFC 8555 6.1)");
	refused("public-url: https://ca.test\nlisten:\n"
		"  - {address: \"::\", port: 1}\n"
		"  - {address: \"::\",\n     port: 0}\n",
	    strstr(minimal, "issuers:"),
	    "5: listen[1].port: must be 1 to 65535");
	refused(minimal, "workers: 257\n", "11: workers: must be at most 256");
	refused(minimal, "  names-max: 257\n",
	    "11: acme.names-max: must be at most 256");
	refused(minimal, "  order-lifetime: 59s\n",
	    "11: acme.order-lifetime: duration 59s is outside 60s to "
	    "31536000s");
	/* requests are not remembered for longer */
	refused(minimal, "est: {repeat: 31d}\n",
	    "11: est.repeat: duration 31d is outside 1s to 2592000s");
	refused(minimal, "  authorization-lifetime: soon\n",
	    "11: acme.authorization-lifetime: \"soon\" is not a duration "
	    "such as 90s, 15m, 12h or 397d");
	refused(strstr(minimal, "issuers:"),
	    "public-url: https://ca.test\nlisten: []\n",
	    "8: listen: list has fewer than 1 entries");
}

static void
test_issuer_twice(void **state)
{
	(void)state;
	refused("issuers:\n"
		"  - {name: tls, certificate: a, chain: b}\n"
		"  - {name: users, certificate: a, chain: b}\n"
		"  - certificate: a\n    chain: b\n    name: tls\n"
		"public-url: https://ca.test\nlisten:\n"
		"  - {address: \"::\", port: 1}\nacme:\n  profile: p\n",
	    "", "6: issuers[2].name: issuer \"tls\" is there twice");
}

/* 'minimal' with more of its issuer, which begins in line 9. */
static const char *
with_issuer(struct arena *a, const char *more)
{
	const char *acme = strstr(minimal, "acme:");

	return arena_printf(
	    a, "%.*s%s%s", (int)(acme - minimal), minimal, more, acme);
}

static void
test_partitions(void **state)
{
	AUTO(arena_auto) a = arena_new();
	const char *good =
	    with_issuer(a, "    crl-urls: [\"http://a/{partition}\", "
			   "\"http://a/all\"]\n"
			   "    freshest-crl-urls: [\"http://d/{partition}\"]\n"
			   "    crl-partitions: 4096\n");
	struct settings_file *f = load(good, "");
	const struct settings_issuer *i = settings_get(f)->issuers;

	(void)state;
	assert_int_equal(i->crl_partitions, 4096);
	assert_int_equal(i->freshest_crl_urls_count, 1);
	assert_string_equal(i->freshest_crl_urls[0], "http://d/{partition}");
	settings_free(f);
	refused(with_issuer(a, "    crl-urls: [\"http://a/{partition}\"]\n"
			       "    crl-partitions: 4097\n"),
	    "", "10: issuers[0].crl-partitions: must be at most 4096");
	refused(with_issuer(a, "    crl-urls: [\"http://a/x\"]\n"
			       "    crl-partitions: 2\n"),
	    "",
	    "10: issuers[0].crl-partitions: needs a URL with {partition} in "
	    "crl-urls");
	refused(with_issuer(a, "    crl-urls: [\"http://a/{partition}\"]\n"),
	    "", "9: issuers[0].crl-urls: {partition} needs crl-partitions");
	refused(with_issuer(a, "    crl-urls: [\"http://a/x\"]\n"
			       "    freshest-crl-urls: "
			       "[\"http://a/{partition}\"]\n"),
	    "",
	    "10: issuers[0].freshest-crl-urls: {partition} needs "
	    "crl-partitions");
	refused(with_issuer(a,
		    "    crl-urls: [\"http://a/{partition}/{partition}\"]\n"
		    "    crl-partitions: 2\n"),
	    "", "9: issuers[0].crl-urls[0]: has {partition} twice");
	refused(with_issuer(a, "    freshest-crl-urls: [\"http://a/d\"]\n"), "",
	    "9: issuers[0].freshest-crl-urls: a delta CRL needs crl-urls for "
	    "the complete one");
}

static void
test_vald_mistakes(void **state)
{
	(void)state;
	refused(minimal, "vald:\n  allow-networks:\n    - ::/0\n    - x\n",
	    "14: vald.allow-networks[1]: \"x\" is not a network such as "
	    "10.0.0.0/8");
	refused(minimal, "vald:\n  deny-networks: [10.1.0.0/8]\n",
	    "12: vald.deny-networks[0]: \"10.1.0.0/8\" is not a network such "
	    "as 10.0.0.0/8");
	refused(minimal,
	    "vald:\n  resolve:\n    - suffix: .test\n"
	    "      address: localhost\n",
	    "14: vald.resolve[0].address: \"localhost\" is not an address");
	refused(minimal, "vald:\n\n  timeout: 2m\n",
	    "13: vald.timeout: duration 2m is outside 1s to 60s");
	refused(minimal, "ocsp:\n  unknown: good\n",
	    "12: ocsp.unknown: must be \"unknown\" or \"revoked\"");
	refused(minimal, "ocsp:\n  stale: 31m\n",
	    "11: ocsp.validity: must be at least twice \"ocsp.stale\"");
	refused(minimal, "ocsp:\n  validity: 8d\n",
	    "12: ocsp.validity: duration 8d is outside 120s to 604800s");
	refused(minimal, "ocsp:\n  threads: 300\n",
	    "12: ocsp.threads: must be at most 256");
	refused(minimal, "vald:\n  workers: 101\n",
	    "12: vald.workers: must be at most 100");
	refused(minimal, "vald:\n  workers: 1\n  attempts: 101\n",
	    "13: vald.attempts: must be at most 100");
}

static void
test_no_file(void **state)
{
	struct settings_file *f;
	struct err e;

	(void)state;
	(void)unlink(file);
	assert_int_equal(settings_load(file, &f, &e), -1);
	assert_int_equal(e.kind, ERR_NOT_FOUND);
	assert_non_null(strstr(e.text, file));
}

/* The connection string that a "database" line gives the role "r". */
static const char *
conninfo(struct arena *a, const char *line)
{
	struct settings_file *f = load(minimal, line);
	char text[5000];
	struct err e;

	if (settings_conninfo(settings_get(f), "r", text, sizeof(text), &e) ==
	    -1)
		fail_msg("%s", e.text);
	settings_free(f);
	return arena_strdup(a, text);
}

static void
test_conninfo(void **state)
{
	AUTO(arena_auto) a = arena_new();
	struct settings_file *f;
	struct err e;
	char small[20], text[200];

	(void)state;
	assert_string_equal(conninfo(a, ""),
	    arena_printf(a, "host='%s/run/pg' dbname=chancery user=r", dir));
	assert_string_equal(conninfo(a, "database: host=a,b dbname=x\n"),
	    "host=a,b dbname=x user=r");
	assert_string_equal(conninfo(a, "database: postgresql://a/x\n"),
	    "postgresql://a/x?user=r");
	assert_string_equal(
	    conninfo(a, "database: postgres://a/x?sslmode=verify-full\n"),
	    "postgres://a/x?sslmode=verify-full&user=r");
	f = load(minimal, "ocsp:\n  read-database: host=b\n");
	assert_int_equal(settings_read_conninfo(
			     settings_get(f), "r", text, sizeof(text), &e),
	    0);
	assert_string_equal(text, "host=b user=r target_session_attrs=any");
	settings_free(f);
	f = load(minimal, "database: host=a\n");
	assert_int_equal(settings_read_conninfo(
			     settings_get(f), "r", text, sizeof(text), &e),
	    0);
	assert_string_equal(text, "host=a user=r");
	settings_free(f);
	f = load(minimal, "");
	assert_int_equal(
	    settings_conninfo(settings_get(f), "r", small, sizeof(small), &e),
	    -1);
	assert_int_equal(e.kind, ERR_REFUSED);
	settings_free(f);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_defaults),
		cmocka_unit_test(test_paths),
		cmocka_unit_test(test_vald),
		cmocka_unit_test(test_schema_mistakes),
		cmocka_unit_test(test_value_mistakes),
		cmocka_unit_test(test_issuer_twice),
		cmocka_unit_test(test_partitions),
		cmocka_unit_test(test_vald_mistakes),
		cmocka_unit_test(test_no_file),
		cmocka_unit_test(test_conninfo),
	};

	return cmocka_run_group_tests_name(
	    "settings", tests, set_up, tear_down);
}
