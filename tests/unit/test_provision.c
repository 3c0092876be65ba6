/* The ceremony mode: what it makes, libcrypto verifies. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include <openssl/pem.h>
#include <openssl/x509v3.h>

#include "base/auto.h"
#include "base/b64.h"
#include "base/clock.h"
#include "tests/attack/signd_fixture.h"
#include "tests/unit/crl_sample.h"

AUTO_DEFINE(FILE, fclose);
AUTO_DEFINE(X509, X509_free);
AUTO_DEFINE(X509_REQ, X509_REQ_free);
AUTO_DEFINE(X509_CRL, X509_CRL_free);

static struct fixture fx;

static const char *
token_key(void)
{
	return arena_printf(fx.a, "module=%s\nuri=%s\npin-file=%s/pin\n",
	    fixture_module(), FIXTURE_URI, fx.dir);
}

static X509 *
read_cert(const char *path)
{
	AUTO(FILE) f = fopen(path, "re");

	assert_non_null(f);
	return PEM_read_X509(f, NULL, NULL, NULL);
}

static void
test_self_signed(void **state)
{
	AUTO(X509) x = read_cert(fx.ca);

	(void)state;
	assert_int_equal(X509_verify(x, X509_get0_pubkey(x)), 1);
	assert_int_equal(X509_check_ca(x), 1);
}

static void
test_csr(void **state)
{
	const char *out = arena_printf(fx.a, "%s/ca.csr", fx.dir);
	AUTO(X509_REQ) req = NULL;
	AUTO(FILE) f = NULL;

	(void)state;
	assert_int_equal(
	    fixture_ceremony(
		&fx, arena_printf(fx.a, "verb=csr\n%ssubject=%s\nout=%s\n",
			 token_key(), hex_encode(fx.a, fx.ca_name), out)),
	    0);
	f = fopen(out, "re");
	assert_non_null(f);
	req = PEM_read_X509_REQ(f, NULL, NULL, NULL);
	assert_non_null(req);
	assert_int_equal(X509_REQ_verify(req, X509_REQ_get0_pubkey(req)), 1);
}

static int
sign_ca(const char *tbs, const char *out)
{
	return fixture_ceremony(&fx,
	    arena_printf(fx.a, "verb=sign-ca\n%sissuer=%s\ntbs=%s\nout=%s\n",
		token_key(), fx.ca, tbs, out));
}

/* A sub-CA under the token's key, and what sign-ca does not do. */
static void
test_sign_ca(void **state)
{
	struct fixture_tbs t = { .ca = true,
		.cn = "Sub",
		.slot = 1,
		.validity_s = (int64_t)100 * 86400 };
	const char *tbs, *out = arena_printf(fx.a, "%s/sub.pem", fx.dir);
	AUTO(X509) ca = read_cert(fx.ca);
	AUTO(X509) sub = NULL;

	(void)state;
	tbs = fixture_write(&fx, "sub.tbs", fixture_tbs(&fx, &t));
	assert_int_equal(sign_ca(tbs, out), 0);
	sub = read_cert(out);
	assert_int_equal(X509_verify(sub, X509_get0_pubkey(ca)), 1);
	t.validity_s = (int64_t)4000 * 86400;
	tbs = fixture_write(&fx, "long.tbs", fixture_tbs(&fx, &t));
	assert_int_equal(sign_ca(tbs, out), 1);
	t = (struct fixture_tbs){ .slot = 1 };
	tbs = fixture_write(&fx, "leaf.tbs", fixture_tbs(&fx, &t));
	assert_int_equal(sign_ca(tbs, out), 1);
}

/* A head as the CA of the fixture has it. */
static struct crl_head
crl_head(void)
{
	struct crl_head h = crl_sample_head(clock_now());

	h.issuer = fx.ca_name;
	/* SEQUENCE { [0] keyIdentifier } */
	h.key_id = span_of(fx.aki.p + 4, fx.aki.n - 4);
	return h;
}

static int
sign_crl(struct span tbs, const char *out)
{
	const char *path = fixture_write(&fx, "crl.tbs", tbs);

	return fixture_ceremony(&fx,
	    arena_printf(fx.a, "verb=sign-crl\n%sissuer=%s\ntbs=%s\nout=%s\n",
		token_key(), fx.ca, path, out));
}

static struct span
crl_tbs(const struct crl_head *h)
{
	const struct crl_built built = crl_sample_build(h, 3);

	return crl_sample_bytes(fx.a, &built);
}

static void
test_sign_crl(void **state)
{
	const char *out = arena_printf(fx.a, "%s/ca.crl", fx.dir);
	struct crl_head h = crl_head();
	AUTO(X509) ca = read_cert(fx.ca);
	AUTO(X509_CRL) crl = NULL;
	AUTO(FILE) f = NULL;

	(void)state;
	assert_int_equal(sign_crl(crl_tbs(&h), out), 0);
	f = fopen(out, "re");
	assert_non_null(f);
	crl = d2i_X509_CRL_fp(f, NULL);
	assert_non_null(crl);
	assert_int_equal(X509_CRL_verify(crl, X509_get0_pubkey(ca)), 1);
	assert_int_equal(sk_X509_REVOKED_num(X509_CRL_get_REVOKED(crl)), 3);
}

/* What the ceremony mode does not sign as a CRL. */
static void
test_sign_crl_refuses(void **state)
{
	static const char *const urls[] = { CRL_SAMPLE_URL };
	const char *out = arena_printf(fx.a, "%s/no.crl", fx.dir);
	struct crl_head good = crl_head(), bad[8];
	struct fixture_tbs leaf = { .slot = 1 };
	struct span tbs = crl_tbs(&good);
	AUTO_BUF(tail, tbs.n + 1);
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		bad[i] = good;
	bad[0].issuer = crl_sample_head(0).issuer;
	bad[1].key_id = span_of("\1\2\3\5", 4);
	bad[2].base = span_of("\1", 1);
	bad[3].point_urls = (struct profile_strings){ urls, 1 };
	bad[4].freshest_urls = (struct profile_strings){ urls, 1 };
	bad[5].this_update -= 600;
	bad[6].this_update += 600;
	bad[6].next_update += 600;
	bad[7].next_update += (int64_t)200 * 365 * 86400;
	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		if (sign_crl(crl_tbs(&bad[i]), out) != 1)
			fail_msg("list %zu was signed", i);
	good.next_update = good.this_update;
	assert_int_equal(sign_crl(crl_tbs(&good), out), 1);
	/* bytes that are no TBSCertList, and one too many */
	assert_int_equal(sign_crl(fixture_tbs(&fx, &leaf), out), 1);
	buf_span(&tail, tbs);
	buf_u8(&tail, 0);
	assert_int_equal(sign_crl(buf_get(&tail), out), 1);
	assert_int_equal(access(out, F_OK), -1);
}

static void
test_keyfile(void **state)
{
	const char *key = arena_printf(fx.a,
	    "keyfile=%s/soft.pem\npassphrase-file=%s/pin\n", fx.dir, fx.dir);

	(void)state;
	assert_int_equal(
	    fixture_ceremony(
		&fx, arena_printf(fx.a,
			 "# made here\nverb=make-key\n%salgorithm=P-384\n\n"
			 "verb=attributes\n%s",
			 key, key)),
	    0);
	/* a key that is there is not replaced; the second request is not
	 * reached */
	assert_int_equal(
	    fixture_ceremony(&fx,
		arena_printf(fx.a,
		    "verb=make-key\n%salgorithm=P-256\n\nverb=attributes\n%s",
		    key, key)),
	    1);
}

static void
test_bad_requests(void **state)
{
	static const char *const bad[] = { "verb=dance\n", "nonsense\n",
		"verb=attributes\n", "verb=make-key\nkeyfile=/x\n" };
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_int_equal(fixture_ceremony(&fx, bad[i]), 1);
}

static int
setup(void **state)
{
	(void)state;
	fixture_token(&fx);
	fixture_ca(&fx, fixture_classes);
	return 0;
}

static int
teardown(void **state)
{
	(void)state;
	fixture_clear(&fx);
	return 0;
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_self_signed),
		cmocka_unit_test(test_csr),
		cmocka_unit_test(test_sign_ca),
		cmocka_unit_test(test_sign_crl),
		cmocka_unit_test(test_sign_crl_refuses),
		cmocka_unit_test(test_keyfile),
		cmocka_unit_test(test_bad_requests),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
