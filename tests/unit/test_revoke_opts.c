/* The command line of `chancery revoke`, and keys from files. */
#include <getopt.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include <openssl/pem.h>
#include <openssl/sha.h>

#include "base/b64.h"
#include "ca/keyhash.h"
#include "ctl/revoke_opts.h"
#include "tests/unit/ca_fixture.h"

static struct ca_fixture fx;

/* The command prints a usage line; the rest of ctl is not needed here. */
int
ctl_usage(const char *text)
{
	(void)text;
	return CTL_USAGE;
}

static int
setup(void **state)
{
	(void)state;
	ca_fixture_init(&fx);
	return 0;
}

static int
teardown(void **state)
{
	(void)state;
	ca_fixture_clear(&fx);
	return 0;
}

static void
test_where(void **state)
{
	static const char *const wrong[] = { "profile", "=x",
		"profile=", "color=red", "after=soon", "before=2026-13-01",
		"after=2026-01-01T00:00", "expired=maybe",
		"profile=a profile=b", "name=a.test  issuer" };
	struct store_revoke_query q = { .expired = 0 };
	struct err e;
	size_t i;

	(void)state;
	assert_int_equal(revoke_opts_where(fx.a,
			     " profile=tls  name=*.a.test\tissuer=i ", &q, &e),
	    0);
	assert_string_equal(q.profile, "tls");
	assert_string_equal(q.name, "*.a.test");
	assert_string_equal(q.issuer, "i");
	assert_null(q.principal);
	assert_int_equal(revoke_opts_where(fx.a,
			     "principal=acme:a=b after=2026-01-01 "
			     "before=2026-01-01T02:00:00+01:00 expired=any",
			     &q, &e),
	    0);
	assert_string_equal(q.principal, "acme:a=b");
	assert_int_equal(q.issued_after, 1767225600);
	assert_int_equal(q.issued_before, 1767225600 + 3600);
	assert_int_equal(q.expired, -1);
	assert_int_equal(revoke_opts_where(fx.a, "expired=no", &q, &e), 0);
	assert_int_equal(q.expired, 0);
	assert_int_equal(revoke_opts_where(fx.a, "expired=yes", &q, &e), 0);
	assert_int_equal(q.expired, 1);
	assert_int_equal(revoke_opts_where(fx.a, "", &q, &e), 0);
	for (i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		q = (struct store_revoke_query){ .expired = 0 };
		if (revoke_opts_where(fx.a, wrong[i], &q, &e) == 0)
			fail_msg("%s", wrong[i]);
		assert_int_equal(e.kind, ERR_MALFORMED);
	}
}

struct line {
	const char *argv[8];
	int rc;
	enum revoke_what what;
	int reason;
};

static const struct line lines[] = {
	{ { "x" }, CTL_OK, REVOKE_ONE, -1 },
	{ { "-r", "4", "x" }, CTL_OK, REVOKE_ONE, 4 },
	{ { "x", "--reason", "certificateHold" }, CTL_OK, REVOKE_ONE, 6 },
	{ { "-r", "removeFromCRL", "x" }, CTL_OK, REVOKE_ONE, 8 },
	{ { "--release", "x", "-i", "tls" }, CTL_OK, REVOKE_RELEASE, -1 },
	{ { "--key", "f" }, CTL_OK, REVOKE_KEY, 1 },
	{ { "--key", "f", "-r", "5", "-y" }, CTL_OK, REVOKE_KEY, 5 },
	{ { "--where", "name=a", "--where", "profile=b" }, CTL_OK,
	    REVOKE_SEARCH, -1 },
	{ { NULL }, CTL_USAGE, 0, 0 },
	{ { "x", "y" }, CTL_USAGE, 0, 0 },
	{ { "-r", "7", "x" }, CTL_USAGE, 0, 0 },
	{ { "-r", "", "x" }, CTL_USAGE, 0, 0 },
	{ { "--nonsense", "x" }, CTL_USAGE, 0, 0 },
	{ { "--key", "f", "x" }, CTL_USAGE, 0, 0 },
	{ { "--key", "f", "--where", "name=a" }, CTL_USAGE, 0, 0 },
	{ { "--key", "f", "--release" }, CTL_USAGE, 0, 0 },
	{ { "--key", "f", "-i", "tls" }, CTL_USAGE, 0, 0 },
	{ { "--where", "name=a", "x" }, CTL_USAGE, 0, 0 },
	{ { "--where", "name=" }, CTL_USAGE, 0, 0 },
	{ { "--release", "-r", "4", "x" }, CTL_USAGE, 0, 0 },
	{ { "--release", "--invalidity-date", "2026-01-01", "x" }, CTL_USAGE, 0,
	    0 },
	{ { "--invalidity-date", "x", "x" }, CTL_USAGE, 0, 0 },
};

static void
test_lines(void **state)
{
	struct ctl c = { .a = fx.a };
	struct revoke_opts o;
	char *argv[10];
	size_t i;
	int n, rc;

	(void)state;
	for (i = 0; i < sizeof(lines) / sizeof(lines[0]); i++) {
		argv[0] = arena_strdup(fx.a, "revoke");
		for (n = 1; n < 9 && lines[i].argv[n - 1] != NULL; n++)
			argv[n] = arena_strdup(fx.a, lines[i].argv[n - 1]);
		argv[n] = NULL;
		optind = 0;
		rc = revoke_opts_parse(&c, n, argv, &o);
		if (rc != lines[i].rc)
			fail_msg("line %zu: %d", i, rc);
		if (rc != CTL_OK)
			continue;
		assert_int_equal(o.what, lines[i].what);
		assert_int_equal(o.query.reason, lines[i].reason);
		/* a key's certificates are revoked whether expired or not */
		assert_int_equal(
		    o.query.expired, o.what == REVOKE_KEY ? -1 : 0);
	}
}

static struct span
bio_text(BIO *bio)
{
	char *p;
	long n = BIO_get_mem_data(bio, &p);

	return span_dup(fx.a, span_of(p, (size_t)n));
}

static void
same_key(struct span text, const uint8_t want[KEYHASH_SIZE])
{
	uint8_t got[KEYHASH_SIZE];
	struct err e;

	if (keyhash_pem(fx.a, text, got, &e) == -1)
		fail_msg("%s", e.text);
	assert_memory_equal(got, want, KEYHASH_SIZE);
}

static void
test_keyhash(void **state)
{
	struct span spki = maker_spki(fx.a, fx.key);
	const struct issuer *ca = issuer_get(fx.issuers, "tls");
	BIO *bio = BIO_new(BIO_s_mem());
	uint8_t want[KEYHASH_SIZE], got[KEYHASH_SIZE];
	X509_REQ *req = X509_REQ_new();
	struct err e;

	(void)state;
	(void)SHA256(spki.p, spki.n, want);
	same_key(span_str(ca->cert_pem), want);
	same_key(span_str(pem_encode(fx.a, "PUBLIC KEY", spki)), want);
	assert_int_equal(
	    PEM_write_bio_PrivateKey(bio, fx.key, NULL, NULL, 0, NULL, NULL),
	    1);
	same_key(bio_text(bio), want);
	(void)BIO_reset(bio);
	assert_int_equal(PEM_write_bio_PrivateKey_traditional(
			     bio, fx.key, NULL, NULL, 0, NULL, NULL),
	    1);
	same_key(bio_text(bio), want);
	(void)BIO_reset(bio);
	assert_int_equal(X509_REQ_set_pubkey(req, fx.key), 1);
	assert_true(X509_REQ_sign(req, fx.key, EVP_sha256()) > 0);
	assert_int_equal(PEM_write_bio_X509_REQ(bio, req), 1);
	same_key(bio_text(bio), want);
	X509_REQ_free(req);

	/* nobody is asked for a passphrase */
	(void)BIO_reset(bio);
	assert_int_equal(
	    PEM_write_bio_PrivateKey(bio, fx.key, EVP_aes_128_cbc(),
		(const unsigned char *)"secret", 6, NULL, NULL),
	    1);
	assert_int_equal(keyhash_pem(fx.a, bio_text(bio), got, &e), -1);
	assert_int_equal(e.kind, ERR_MALFORMED);
	BIO_free(bio);
	assert_int_equal(keyhash_pem(fx.a, span_str("text"), got, &e), -1);
	assert_int_equal(e.kind, ERR_MALFORMED);
	assert_int_equal(
	    keyhash_pem(fx.a,
		span_str(pem_encode(fx.a, "PUBLIC KEY", span_str("not a key"))),
		got, &e),
	    -1);
	assert_int_equal(e.kind, ERR_MALFORMED);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_where),
		cmocka_unit_test(test_lines),
		cmocka_unit_test(test_keyhash),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
