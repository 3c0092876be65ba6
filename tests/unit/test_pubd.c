/* chancery-pubd on real parts: PostgreSQL, signd and a SoftHSM token. */
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include <openssl/ec.h>
#include <openssl/pem.h>
#include <openssl/sha.h>
#include <openssl/x509v3.h>

#include "base/auto.h"
#include "base/b64.h"
#include "base/clock.h"
#include "base/crl_partition.h"
#include "base/file.h"
#include "base/log.h"
#include "ca/issuer.h"
#include "db/db_int.h"
#include "db/store_crl.h"
#include "db/store_revoke.h"
#include "hsm/responder.h"
#include "tests/attack/signd_fixture.h"
#include "tests/db/sample.h"

#define WAIT_US ((int64_t)15 * 1000 * 1000)
#define CERTS 24

AUTO_DEFINE(X509, X509_free);
AUTO_DEFINE(X509_CRL, X509_CRL_free);
AUTO_DEFINE(FILE, fclose);
AUTO_DEFINE(EVP_MD_CTX, EVP_MD_CTX_free);
AUTO_DEFINE(ASN1_INTEGER, ASN1_INTEGER_free);

static struct fixture fx;
static struct pg *pg;
static struct writer *w;
static struct db *db; /* role ocsp: what the world sees */
static struct arena *a;
static X509 *ca;
static EVP_PKEY *host_key;
static int issuer;
static struct sample samples[CERTS];
static pid_t pubds[2];

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

/* chancery.yaml with these lines for the issuer. */
static const char *
conf(const char *lines)
{
	return fixture_write(&fx, "chancery.yaml",
	    span_str(arena_printf(fx.a,
		"public-url: https://a.test\n"
		"database: \"host=%s dbname=chancery\"\n"
		"run-dir: run\nstate-dir: %s\n"
		"listen:\n- {address: 127.0.0.1, port: 1}\n"
		"acme: {profile: p}\n"
		"crl-hook: %s/hook\n"
		"issuers:\n- name: ca\n  certificate: %s\n  chain: %s\n%s",
		pg_dir(pg), fx.state, fx.dir, fx.ca, fx.ca, lines)));
}

static void
start(int which)
{
	const char *build = getenv("top_builddir");
	const char *log = arena_printf(a, "%s/pubd%d.log", fx.dir, which);
	char *const argv[] = { arena_printf(a, "%s/chancery-pubd",
				   build == NULL ? "." : build),
		(char *)"-c", arena_printf(a, "%s/chancery.yaml", fx.dir),
		NULL };
	int out;

	pubds[which] = fork();
	if (pubds[which] == 0) {
		(void)prctl(PR_SET_PDEATHSIG, SIGTERM);
		out = open(log, O_WRONLY | O_CREAT | O_APPEND, 0600);
		(void)dup2(out, STDERR_FILENO);
		execv(argv[0], argv);
		_exit(127);
	}
}

/* Ends it by SIGTERM in good order, or by SIGKILL. */
static void
stop(int which, int sig)
{
	int status;

	assert_int_equal(kill(pubds[which], sig), 0);
	assert_int_equal(waitpid(pubds[which], &status, 0), pubds[which]);
	pubds[which] = 0;
	if (sig == SIGTERM)
		assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

static bool
current(const char *scope, struct store_crl *out)
{
	struct store_crls all;
	struct err e;
	size_t i;

	good(store_crl_current(db, a, &all, &e), &e);
	for (i = 0; i < all.n; i++) {
		if (strcmp(all.list[i].scope, scope) == 0) {
			*out = all.list[i];
			return true;
		}
	}
	return false;
}

/* The bytes of a list, which must be those that its row tells. */
static struct span
bytes_of(const struct store_crl *c)
{
	uint8_t *p = arena_alloc(a, c->size), hash[32];
	struct span piece;
	size_t n = 0;
	struct err e;
	int i;

	for (i = 0; n < c->size; i++) {
		good(store_crl_piece(db, a, c->id, i, &piece, &e), &e);
		assert_true(n + piece.n <= c->size);
		memcpy(p + n, piece.p, piece.n);
		n += piece.n;
	}
	(void)SHA256(p, n, hash);
	assert_memory_equal(hash, c->sha256, 32);
	return span_of(p, n);
}

static X509_CRL *
open_crl(const struct store_crl *c)
{
	struct span der = bytes_of(c);
	const uint8_t *p = der.p;
	X509_CRL *crl = d2i_X509_CRL(NULL, &p, (long)der.n);

	assert_non_null(crl);
	assert_int_equal(X509_CRL_verify(crl, X509_get0_pubkey(ca)), 1);
	return crl;
}

/* Waits for a list of the scope above this number. */
static struct store_crl
wait_for(const char *scope, int64_t above)
{
	int64_t until = clock_mono_us() + WAIT_US;
	struct store_crl c;

	while (!current(scope, &c) || c.number <= above) {
		if (clock_mono_us() > until)
			fail_msg("no list of scope %s", scope);
		usleep(20000);
	}
	return c;
}

/* The reason of certificate 'n' on a list: -2 when it is not there. */
static long
listed(const struct store_crl *c, int n)
{
	AUTO(X509_CRL) crl = open_crl(c);
	struct span s = samples[n].cert.serial;
	const uint8_t *p;
	AUTO(ASN1_INTEGER) serial = NULL;
	ASN1_ENUMERATED *reason;
	X509_REVOKED *r = NULL;
	uint8_t der[32] = { 0x02, (uint8_t)s.n };
	long v = -1;

	memcpy(der + 2, s.p, s.n);
	p = der;
	serial = d2i_ASN1_INTEGER(NULL, &p, (long)s.n + 2);
	if (X509_CRL_get0_by_serial(crl, &r, serial) == 0 || r == NULL)
		return -2;
	reason = X509_REVOKED_get_ext_d2i(r, NID_crl_reason, NULL, NULL);
	if (reason != NULL)
		v = ASN1_ENUMERATED_get(reason);
	ASN1_ENUMERATED_free(reason);
	return v;
}

static void
do_revoke(int n, int reason)
{
	struct store_revocation r = { .issuer = issuer,
		.serial = samples[n].cert.serial,
		.reason = reason,
		.at = clock_now(),
		.actor = "t",
		.request_id = "t" };
	struct err e;

	good(store_revoke(w, &r, &e), &e);
}

static void
release(int n)
{
	struct store_revocation r = { .issuer = issuer,
		.serial = samples[n].cert.serial,
		.actor = "t",
		.request_id = "t" };
	struct err e;

	good(store_revoke_release(w, &r, &e), &e);
}

/* Waits until the scope's list says this of a certificate. */
static struct store_crl
wait_listed(const char *scope, int n, long want)
{
	int64_t until = clock_mono_us() + WAIT_US;
	struct store_crl c = { .number = 0 };

	do {
		if (clock_mono_us() > until)
			fail_msg("%s never says %ld of %d", scope, want, n);
		c = wait_for(scope, c.number);
	} while (listed(&c, n) != want);
	return c;
}

static void
reset(void)
{
	struct db *owner = db_new_bare(pg_conninfo(pg, "postgres"), "t");
	struct err e;

	good(db_script(owner,
		 "DELETE FROM chancery.crl WHERE scope LIKE '%-%'"
		 " OR scope = 'delta'",
		 &e),
	    &e);
	db_free(owner);
}

#define PLAIN                                                                  \
	"  crl-urls: [\"http://c.test/ca.crl\"]\n"                             \
	"  crl: {interval: 1h, overlap: 1h, min-gap: 1s}\n"

/* The first list is there by itself; revocations show soon, holds go. */
static void
test_complete(void **state)
{
	struct store_crl first, c;
	int64_t t;

	(void)state;
	(void)conf(PLAIN);
	start(0);
	first = wait_for("full", 0);
	assert_int_equal(first.entries, 0);
	assert_in_range(first.number, clock_now() - 60, clock_now() + 60);
	assert_int_equal(first.next_update - first.this_update, 7200);
	assert_int_equal(listed(&first, 0), -2);
	usleep(1200000);
	do_revoke(0, 1);
	do_revoke(22, 1);
	t = clock_mono_us();
	c = wait_listed("full", 22, 1);
	assert_true(clock_mono_us() - t < 2000000);
	assert_true(c.number > first.number);
	do_revoke(1, 6);
	(void)wait_listed("full", 1, 6);
	release(1);
	c = wait_listed("full", 1, -2);
	assert_int_equal(c.entries, 1);
	assert_int_equal(listed(&c, 0), -2);
	/* the hook got the same bytes */
	{
		const char *copy = arena_printf(a, "%s/copied", fx.dir);
		int64_t until = clock_mono_us() + WAIT_US;
		struct span want = bytes_of(&c), got = { NULL, 0 };
		struct err e;

		while (file_read(a, copy, 1 << 20, &got, &e) == -1 ||
		       !span_eq(got, want)) {
			if (clock_mono_us() > until)
				fail_msg("the hook has not run");
			usleep(50000);
		}
	}
	stop(0, SIGTERM);
}

/* Numbers rise over a restart, and a standing list is not made anew. */
static void
test_restart(void **state)
{
	struct store_crl before, after;

	(void)state;
	assert_true(current("full", &before));
	start(0);
	fixture_wait_file(&fx, "pubd0.log", " ready\n", 2);
	do_revoke(2, -1);
	after = wait_listed("full", 2, -1);
	assert_true(after.number > before.number);
	stop(0, SIGKILL);
}

/* Another process takes over when one dies, and only then. */
static void
test_takeover(void **state)
{
	struct store_crl c;
	int64_t t;

	(void)state;
	start(0);
	do_revoke(3, 4);
	c = wait_listed("full", 3, 4);
	start(1);
	fixture_wait_file(&fx, "pubd1.log", " ready\n", 1);
	do_revoke(4, 4);
	c = wait_listed("full", 4, 4);
	stop(0, SIGKILL);
	t = clock_mono_us();
	do_revoke(5, 4);
	c = wait_listed("full", 5, 4);
	assert_true(clock_mono_us() - t < 12000000);
	assert_int_equal(listed(&c, 22), 1);
	stop(1, SIGTERM);
}

/* The delta tells what changed since its base, and takes holds back. */
static void
test_delta(void **state)
{
	struct store_crl c, d;
	AUTO(X509_CRL) crl = NULL;
	AUTO(ASN1_INTEGER) base = NULL;

	(void)state;
	do_revoke(6, 6);
	(void)conf("  crl-urls: [\"http://c.test/ca.crl\"]\n"
		   "  freshest-crl-urls: [\"http://c.test/d.crl\"]\n"
		   "  crl: {interval: 1h, overlap: 1h, min-gap: 1s,\n"
		   "    delta-interval: 10m}\n");
	{
		/* a complete list with the hold on it */
		struct db *pub = db_new(pg_conninfo(pg, "chancery_pub"), "t");
		struct err e;

		assert_true(current("full", &c));
		good(db_script(pub, "DELETE FROM crl", &e), &e);
		db_free(pub);
	}
	start(0);
	d = wait_for("delta", 0);
	assert_true(current("full", &c));
	assert_int_equal(d.base_number, c.number);
	assert_true(d.number > c.number);
	assert_int_equal(d.entries, 0);
	assert_int_equal(listed(&c, 6), 6);
	{
		AUTO(X509_CRL) full = open_crl(&c);

		assert_true(
		    X509_CRL_get_ext_by_NID(full, NID_freshest_crl, -1) >= 0);
	}
	usleep(1200000);
	do_revoke(7, 6);
	d = wait_listed("delta", 7, 6);
	assert_int_equal(d.entries, 1);
	release(6);
	d = wait_listed("delta", 6, 8);
	release(7);
	/* it was on a delta, so a client may have put it on its list */
	d = wait_listed("delta", 7, 8);
	assert_int_equal(d.entries, 2);
	do_revoke(6, 6);
	d = wait_listed("delta", 6, 6);
	crl = open_crl(&d);
	base = X509_CRL_get_ext_d2i(crl, NID_delta_crl, NULL, NULL);
	assert_int_equal(ASN1_INTEGER_get(base), (long)c.number);
	assert_true(current("full", &c));
	assert_int_equal(d.base_number, c.number);
	stop(0, SIGTERM);
}

/* Each certificate is on the list of its partition and on no other. */
static void
test_partitions(void **state)
{
	struct store_crl part[2];
	int n, k;

	(void)state;
	reset();
	(void)conf("  crl-urls: [\"http://c.test/{partition}.crl\"]\n"
		   "  freshest-crl-urls: [\"http://c.test/d{partition}.crl\"]\n"
		   "  crl-partitions: 2\n"
		   "  crl: {interval: 1h, overlap: 1h, min-gap: 1s,\n"
		   "    keep-expired: true}\n");
	for (n = 8; n < 16; n++)
		do_revoke(n, 3);
	start(0);
	for (k = 0; k < 2; k++)
		part[k] = wait_for(arena_printf(a, "part-%d", k), 0);
	for (n = 8; n < 16; n++) {
		k = (int)crl_partition_of(samples[n].cert.serial, 2);
		assert_int_equal(listed(&part[k], n), 3);
		assert_int_equal(listed(&part[1 - k], n), -2);
	}
	for (k = 0; k < 2; k++) {
		AUTO(X509_CRL) crl = open_crl(&part[k]);
		int at, critical;
		ISSUING_DIST_POINT *idp = X509_CRL_get_ext_d2i(
		    crl, NID_issuing_distribution_point, &critical, NULL);
		GENERAL_NAME *name;

		assert_non_null(idp);
		assert_int_equal(critical, 1);
		name = sk_GENERAL_NAME_value(idp->distpoint->name.fullname, 0);
		assert_string_equal(
		    (const char *)ASN1_STRING_get0_data(name->d.ia5),
		    k == 0 ? "http://c.test/0.crl" : "http://c.test/1.crl");
		ISSUING_DIST_POINT_free(idp);
		at = X509_CRL_get_ext_count(crl);
		assert_int_equal(at, 5); /* AKI number IDP freshest expired */
		(void)wait_for(arena_printf(a, "delta-%d", k), 0);
	}
	stop(0, SIGTERM);
}

static struct span
spki_of(const EVP_PKEY *key)
{
	unsigned char *der = NULL;
	int n = i2d_PUBKEY(key, &der);
	struct span out = span_dup(a, span_of(der, (size_t)n));

	OPENSSL_free(der);
	return out;
}

/* A responder's request becomes a certificate; a stranger's does not. */
static void
test_responder(void **state)
{
	AUTO(EVP_PKEY) key = EVP_EC_gen("P-256");
	AUTO(EVP_MD_CTX) ctx = EVP_MD_CTX_new();
	struct span ca_spki = spki_of(X509_get0_pubkey(ca));
	uint8_t hash[32], sig[128];
	struct store_responder ask = { .host = "h1",
		.issuer = issuer,
		.spki = spki_of(key),
		.not_after = clock_now() + 86400 };
	struct responder_claim claim = { .host = "h1",
		.issuer_spki_sha256 = span_of(hash, 32),
		.spki = ask.spki,
		.not_after = ask.not_after };
	int64_t until = clock_mono_us() + WAIT_US;
	struct store_responder got = { .host = NULL };
	size_t n = sizeof(sig);
	const uint8_t *p;
	struct err e;
	AUTO_BUF(b, 4096);

	(void)state;
	(void)SHA256(ca_spki.p, ca_spki.n, hash);
	responder_statement(&b, &claim);
	assert_int_equal(
	    EVP_DigestSignInit(ctx, NULL, EVP_sha256(), NULL, host_key), 1);
	assert_int_equal(EVP_DigestSign(ctx, sig, &n, b.p, b.n), 1);
	ask.signature = span_of(sig, n);
	good(store_responder_put(db, &ask, &e), &e);
	ask.host = "stranger";
	good(store_responder_put(db, &ask, &e), &e);
	(void)conf(PLAIN);
	start(0);
	while (got.host == NULL || got.cert.n == 0) {
		if (clock_mono_us() > until)
			fail_msg("no certificate: %s",
			    got.fault == NULL ? "" : got.fault);
		usleep(50000);
		good(store_responder_get(db, a, "h1", issuer, &got, &e), &e);
	}
	p = got.cert.p;
	{
		AUTO(X509) x = d2i_X509(NULL, &p, (long)got.cert.n);

		assert_int_equal(X509_verify(x, X509_get0_pubkey(ca)), 1);
		assert_int_equal(X509_get_extended_key_usage(x), XKU_OCSP_SIGN);
		assert_true(
		    X509_get_ext_by_NID(x, NID_id_pkix_OCSP_noCheck, -1) >= 0);
		assert_int_equal(EVP_PKEY_eq(X509_get0_pubkey(x), key), 1);
	}
	do {
		if (clock_mono_us() > until)
			fail_msg("no fault");
		usleep(50000);
		good(store_responder_get(db, a, "stranger", issuer, &got, &e),
		    &e);
	} while (got.fault == NULL);
	assert_int_equal(got.cert.n, 0);
	assert_non_null(strstr(got.fault, "not pinned"));
	assert_int_equal(kill(pubds[0], SIGHUP), 0);
	fixture_wait_file(&fx, "pubd0.log", "configuration read", 1);
	stop(0, SIGTERM);
}

static void
register_issuer(void)
{
	struct settings_issuer one = {
		.name = "ca", .certificate = fx.ca, .chain = fx.ca
	};
	struct settings s = { .issuers = &one, .issuers_count = 1 };
	struct db *oper = db_new(pg_conninfo(pg, "chancery_oper"), "t");
	struct issuer_set *set;
	struct err e;

	good(issuer_set_load(&s, &set, &e), &e);
	good(issuer_set_register(set, oper, &e), &e);
	issuer = issuer_at(set, 0)->id;
	issuer_set_free(set);
	db_free(oper);
}

static void
make_files(void)
{
	AUTO(FILE) pub = NULL;
	AUTO(FILE) f = NULL;
	const char *hook;

	host_key = EVP_EC_gen("P-256");
	pub = fopen(arena_printf(a, "%s/h1.pub", fx.dir), "we");
	assert_int_equal(PEM_write_PUBKEY(pub, host_key), 1);
	hook = fixture_write(&fx, "hook",
	    span_str(arena_printf(a,
		"#!/bin/sh\n"
		"[ \"$2 $3\" = 'ca full' ] || exit 0\n"
		"cp \"$1\" %s/copied.tmp && mv %s/copied.tmp %s/copied\n",
		fx.dir, fx.dir, fx.dir)));
	assert_int_equal(chmod(hook, 0700), 0);
	assert_int_equal(
	    mkdir(arena_printf(a, "%s/policies", fx.dir), 0700), 0);
	(void)fixture_write(
	    &fx, "policies/ocsp-responder.yaml", span_str(profile));
}

static int
setup(void **state)
{
	struct err e;
	int i;

	(void)state;
	a = arena_new();
	fixture_token(&fx);
	make_files();
	fixture_ca(&fx, arena_printf(a, classes, fx.dir));
	fixture_start(&fx, 1);
	{
		AUTO(FILE) f = fopen(fx.ca, "re");

		ca = PEM_read_X509(f, NULL, NULL, NULL);
	}
	pg = pg_new();
	register_issuer();
	db = db_new(pg_conninfo(pg, "chancery_ocsp"), "t");
	good(writer_new(pg_conninfo(pg, "chancery_oper"), "oper", "t", &w, &e),
	    &e);
	for (i = 0; i < CERTS; i++) {
		sample_init(&samples[i], issuer, i);
		/* the first one's serial is none: it is on no list */
		if (i > 0)
			samples[i].serial[0] &= 0x7f;
		else
			samples[i].serial[0] |= 0x80;
		sample_issue(w, &samples[i]);
	}
	return 0;
}

static int
teardown(void **state)
{
	int i;

	(void)state;
	for (i = 0; i < 2; i++) {
		if (pubds[i] != 0)
			stop(i, SIGKILL);
	}
	writer_free(w);
	db_free(db);
	pg_free(pg);
	fixture_clear(&fx);
	X509_free(ca);
	EVP_PKEY_free(host_key);
	arena_free(a);
	return 0;
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_complete),
		cmocka_unit_test(test_restart),
		cmocka_unit_test(test_takeover),
		cmocka_unit_test(test_delta),
		cmocka_unit_test(test_partitions),
		cmocka_unit_test(test_responder),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
