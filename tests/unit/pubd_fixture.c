#include "tests/unit/pubd_fixture.h"

#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include <openssl/ec.h>
#include <openssl/pem.h>

#include "base/auto.h"
#include "base/clock.h"
#include "ca/issuer.h"

AUTO_DEFINE(FILE, fclose);

static const char classes[] =
    "classes:\n"
    "- name: lists\n  key: ca\n  caller: pub\n  kind: crl\n"
    "  max-validity: 8d\n"
    "  crl-distribution-points: [\"http://c.test/ca.crl\",\n"
    "    \"http://c.test/{partition}.crl\"]\n"
    "  freshest-crl: [\"http://c.test/d.crl\",\n"
    "    \"http://c.test/d{partition}.crl\"]\n"
    "  crl-partitions: 2\n"
    "- name: ocsp\n  key: ca\n  caller: pub\n  kind: responder\n"
    "  extensions: [keyUsage, extendedKeyUsage, noCheck,\n"
    "    authorityKeyIdentifier, subjectKeyIdentifier]\n"
    "  subject:\n"
    "  - {attribute: commonName, values: [\"OCSP *\"]}\n"
    "  max-validity: 7d\n"
    "responders:\n- name: h1\n  key: %s/h1.pub\n  issuers: [ca]\n";

static const char profile[] =
    "name: ocsp-responder\nissuers: [ca]\nallow:\n- protocols: [pub]\n"
    "subject:\n  allowed:\n  - {type: CN, required: true}\n"
    "keys: {ec: [P-256]}\n"
    "validity: {default: 1d, max: 7d, backdate: 5m}\n"
    "key-usage: [digitalSignature]\nextended-key-usage: [OCSPSigning]\n"
    "ocsp-nocheck: true\n";

static void
good(int rc, const struct err *e)
{
	if (rc != 0)
		fail_msg("%s", e->text);
}

void
pubd_conf(struct pubd_world *x, const char *lines)
{
	(void)fixture_write(&x->fx, "chancery.yaml",
	    span_str(arena_printf(x->fx.a,
		"public-url: https://a.test\n"
		"database: \"host=%s dbname=chancery\"\n"
		"run-dir: run\nstate-dir: %s\n"
		"listen:\n- {address: 127.0.0.1, port: 1}\n"
		"acme: {profile: p}\n"
		"crl-hook: %s/hook\n"
		"issuers:\n- name: ca\n  certificate: %s\n  chain: %s\n%s",
		pg_dir(x->pg), x->fx.state, x->fx.dir, x->fx.ca, x->fx.ca,
		lines)));
}

void
pubd_start(struct pubd_world *x, int which)
{
	const char *build = getenv("top_builddir");
	const char *log = arena_printf(x->a, "%s/pubd%d.log", x->fx.dir, which);
	char *const argv[] = { arena_printf(x->a, "%s/chancery-pubd",
				   build == NULL ? "." : build),
		(char *)"-c", arena_printf(x->a, "%s/chancery.yaml", x->fx.dir),
		NULL };
	int out;

	x->pids[which] = fork();
	if (x->pids[which] == 0) {
		(void)prctl(PR_SET_PDEATHSIG, SIGTERM);
		out = open(log, O_WRONLY | O_CREAT | O_APPEND, 0600);
		(void)dup2(out, STDERR_FILENO);
		execv(argv[0], argv);
		_exit(127);
	}
}

void
pubd_stop(struct pubd_world *x, int which, int sig)
{
	int status;

	assert_int_equal(kill(x->pids[which], sig), 0);
	assert_int_equal(waitpid(x->pids[which], &status, 0), x->pids[which]);
	x->pids[which] = 0;
	if (sig == SIGTERM)
		assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

static void
register_issuer(struct pubd_world *x)
{
	struct settings_issuer one = {
		.name = "ca", .certificate = x->fx.ca, .chain = x->fx.ca
	};
	struct settings s = { .issuers = &one, .issuers_count = 1 };
	struct db *oper = db_new(pg_conninfo(x->pg, "chancery_oper"), "t");
	struct issuer_set *set;
	struct err e;

	good(issuer_set_load(&s, &set, &e), &e);
	good(issuer_set_register(set, oper, &e), &e);
	x->issuer = issuer_at(set, 0)->id;
	issuer_set_free(set);
	db_free(oper);
}

static void
make_files(struct pubd_world *x)
{
	AUTO(FILE) pub = NULL;
	const char *hook;

	x->host_key = EVP_EC_gen("P-256");
	pub = fopen(arena_printf(x->a, "%s/h1.pub", x->fx.dir), "we");
	assert_int_equal(PEM_write_PUBKEY(pub, x->host_key), 1);
	hook = fixture_write(&x->fx, "hook",
	    span_str(arena_printf(x->a,
		"#!/bin/sh\n"
		"[ \"$2 $3\" = 'ca full' ] || exit 0\n"
		"[ ! -e %s/fail ] || { rm %s/fail; exit 1; }\n"
		"cp \"$1\" %s/copied.tmp && mv %s/copied.tmp %s/copied\n",
		x->fx.dir, x->fx.dir, x->fx.dir, x->fx.dir, x->fx.dir)));
	assert_int_equal(chmod(hook, 0700), 0);
	assert_int_equal(
	    mkdir(arena_printf(x->a, "%s/policies", x->fx.dir), 0700), 0);
	(void)fixture_write(
	    &x->fx, "policies/ocsp-responder.yaml", span_str(profile));
}

void
pubd_setup(struct pubd_world *x)
{
	struct err e;
	int i;

	x->a = arena_new();
	fixture_token(&x->fx);
	make_files(x);
	fixture_ca(&x->fx, arena_printf(x->a, classes, x->fx.dir));
	fixture_start(&x->fx, 1);
	{
		AUTO(FILE) f = fopen(x->fx.ca, "re");

		x->ca = PEM_read_X509(f, NULL, NULL, NULL);
	}
	x->pg = pg_new();
	register_issuer(x);
	x->db = db_new(pg_conninfo(x->pg, "chancery_ocsp"), "t");
	good(writer_new(pg_conninfo(x->pg, "chancery_oper"), "oper", "t",
		 &x->writer, &e),
	    &e);
	for (i = 0; i < PUBD_CERTS; i++) {
		sample_init(&x->samples[i], x->issuer, i);
		/* the first one's serial is none: it is on no list */
		if (i > 0)
			x->samples[i].serial[0] &= 0x7f;
		else
			x->samples[i].serial[0] |= 0x80;
		sample_issue(x->writer, &x->samples[i]);
	}
}

void
pubd_teardown(struct pubd_world *x)
{
	int i;

	for (i = 0; i < 2; i++) {
		if (x->pids[i] != 0)
			pubd_stop(x, i, SIGKILL);
	}
	writer_free(x->writer);
	db_free(x->db);
	pg_free(x->pg);
	fixture_clear(&x->fx);
	X509_free(x->ca);
	EVP_PKEY_free(x->host_key);
	arena_free(x->a);
}

struct pubd_world pubd;

int
pubd_group_setup(void **state)
{
	(void)state;
	pubd_setup(&pubd);
	return 0;
}

int
pubd_group_teardown(void **state)
{
	(void)state;
	pubd_teardown(&pubd);
	return 0;
}

bool
pubd_current(struct pubd_world *x, const char *scope, struct store_crl *out)
{
	struct store_crls all;
	struct err e;
	size_t i;

	good(store_crl_current(x->db, x->a, &all, &e), &e);
	for (i = 0; i < all.n; i++) {
		if (strcmp(all.list[i].scope, scope) == 0) {
			*out = all.list[i];
			return true;
		}
	}
	return false;
}

struct store_crl
pubd_wait(struct pubd_world *x, const char *scope, int64_t above)
{
	int64_t until = clock_mono_us() + PUBD_WAIT_US;
	struct store_crl c;

	while (!pubd_current(x, scope, &c) || c.number <= above) {
		if (clock_mono_us() > until)
			fail_msg("no list of scope %s", scope);
		(void)usleep(20000);
	}
	return c;
}
