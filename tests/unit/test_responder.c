/* How chancery-pubd has the certificates of OCSP responders made. */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include <openssl/ec.h>
#include <openssl/sha.h>

#include "base/auto.h"
#include "base/clock.h"
#include "db/store_crl.h"
#include "hsm/responder.h"
#include "tests/unit/pubd_fixture.h"

AUTO_DEFINE(X509, X509_free);
AUTO_DEFINE(EVP_PKEY, EVP_PKEY_free);
AUTO_DEFINE(EVP_MD_CTX, EVP_MD_CTX_free);

static void
good(int rc, const struct err *e)
{
	if (rc != 0)
		fail_msg("%s", e->text);
}

static struct span
spki_of(const EVP_PKEY *key)
{
	unsigned char *der = NULL;
	int n = i2d_PUBKEY(key, &der);
	struct span out = span_dup(pubd.a, span_of(der, (size_t)n));

	OPENSSL_free(der);
	return out;
}

/* A responder's request becomes a certificate; a stranger's does not. */
static void
test_responder(void **state)
{
	AUTO(EVP_PKEY) key = EVP_EC_gen("P-256");
	AUTO(EVP_MD_CTX) ctx = EVP_MD_CTX_new();
	struct span ca_spki = spki_of(X509_get0_pubkey(pubd.ca));
	uint8_t hash[32], sig[128];
	struct store_responder ask = { .host = "h1",
		.issuer = pubd.issuer,
		.spki = spki_of(key),
		.not_after = clock_now() + 86400 };
	struct responder_claim claim = { .host = "h1",
		.issuer_spki_sha256 = span_of(hash, 32),
		.spki = ask.spki,
		.not_after = ask.not_after };
	int64_t until = clock_mono_us() + PUBD_WAIT_US;
	struct store_responder got = { .host = NULL };
	size_t n = sizeof(sig);
	const uint8_t *p;
	struct err e;
	AUTO_BUF(b, 4096);

	(void)state;
	(void)SHA256(ca_spki.p, ca_spki.n, hash);
	responder_statement(&b, &claim);
	assert_int_equal(
	    EVP_DigestSignInit(ctx, NULL, EVP_sha256(), NULL, pubd.host_key),
	    1);
	assert_int_equal(EVP_DigestSign(ctx, sig, &n, b.p, b.n), 1);
	ask.signature = span_of(sig, n);
	good(store_responder_put(pubd.db, &ask, &e), &e);
	ask.host = "stranger";
	good(store_responder_put(pubd.db, &ask, &e), &e);
	pubd_conf(&pubd, PUBD_PLAIN);
	pubd_start(&pubd, 0);
	while (got.host == NULL || got.cert.n == 0) {
		if (clock_mono_us() > until)
			fail_msg("no certificate: %s",
			    got.fault == NULL ? "" : got.fault);
		usleep(50000);
		good(store_responder_get(
			 pubd.db, pubd.a, "h1", pubd.issuer, &got, &e),
		    &e);
	}
	p = got.cert.p;
	{
		AUTO(X509) cert = d2i_X509(NULL, &p, (long)got.cert.n);

		assert_int_equal(
		    X509_verify(cert, X509_get0_pubkey(pubd.ca)), 1);
		assert_int_equal(
		    X509_get_extended_key_usage(cert), XKU_OCSP_SIGN);
		assert_true(X509_get_ext_by_NID(
				cert, NID_id_pkix_OCSP_noCheck, -1) >= 0);
		assert_int_equal(EVP_PKEY_eq(X509_get0_pubkey(cert), key), 1);
	}
	do {
		if (clock_mono_us() > until)
			fail_msg("no fault");
		usleep(50000);
		good(store_responder_get(
			 pubd.db, pubd.a, "stranger", pubd.issuer, &got, &e),
		    &e);
	} while (got.fault == NULL);
	assert_int_equal(got.cert.n, 0);
	assert_non_null(strstr(got.fault, "not pinned"));
	assert_int_equal(kill(pubd.pids[0], SIGHUP), 0);
	fixture_wait_file(&pubd.fx, "pubd0.log", "configuration read", 1);
	pubd_stop(&pubd, 0, SIGTERM);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_responder),
	};

	return cmocka_run_group_tests(
	    tests, pubd_group_setup, pubd_group_teardown);
}
