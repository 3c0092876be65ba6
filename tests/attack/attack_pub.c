/*
 * What a hostile pubd can get out of signd: no CRL that forgets what was
 * revoked, and no responder that the operator has not pinned.
 */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

#include <openssl/ec.h>
#include <openssl/pem.h>
#include <openssl/sha.h>
#include <openssl/x509.h>

#include "base/auto.h"
#include "base/clock.h"
#include "hsm/responder.h"
#include "hsm/sign_client.h"
#include "hsm/sign_log.h"
#include "hsm/tosign.h"
#include "tests/attack/signd_fixture.h"
#include "tests/unit/crl_sample.h"

#define SLOT 0x1a  /* node 3, the slot of the pub role */
#define OTHER 0x18 /* node 3, slot 0 */
#define DAY ((int64_t)86400)

AUTO_DEFINE(X509, X509_free);
AUTO_DEFINE(X509_CRL, X509_CRL_free);
AUTO_DEFINE(EVP_PKEY, EVP_PKEY_free);
AUTO_DEFINE(EVP_MD_CTX, EVP_MD_CTX_free);
AUTO_DEFINE(FILE, fclose);

static struct fixture fx;
static struct sign_client *client;
static EVP_PKEY *host_key;
static uint8_t slot = SLOT;
static uint8_t number[2] = { 1, 0 };
static const char *const url[] = { CRL_SAMPLE_URL, "http://evil.test/",
	"http://crl.test/1.crl", "http://crl.test/2.crl" };

static const char classes[] =
    "- name: lists\n"
    "  key: ca\n"
    "  caller: pub\n"
    "  kind: crl\n"
    "  max-validity: 8d\n"
    "  crl-distribution-points: [\"" CRL_SAMPLE_URL "\",\n"
    "    \"http://crl.test/{partition}.crl\"]\n"
    "  crl-partitions: 2\n"
    "  freshest-crl: [\"" CRL_SAMPLE_URL "\"]\n"
    "- name: ocsp\n"
    "  key: ca\n"
    "  caller: pub\n"
    "  kind: responder\n"
    "  extensions: [keyUsage, extendedKeyUsage, noCheck,\n"
    "    authorityKeyIdentifier]\n"
    "  subject:\n"
    "  - {attribute: commonName, values: [\"OCSP *\"]}\n"
    "  max-validity: 7d\n"
    "responders:\n"
    "- name: h1\n"
    "  key: %s/h1.pub\n"
    "  issuers: [ca]\n"
    "  max-validity: 2d\n"
    "  per-hour: 2\n"
    "- name: h2\n"
    "  key: %s/h1.pub\n"
    "  issuers: [ca]\n";

/* A head for our CA with the next number. */
static struct crl_head
head_of(void)
{
	struct crl_head h = crl_sample_head(clock_now());

	number[1]++;
	h.issuer = fx.ca_name;
	h.number = span_dup(fx.a, span_of(number, 2));
	return h;
}

static int
ask(int fd, struct sign_reply *r, struct err *e)
{
	struct sign_request req = { .kind = SIGN_CRL,
		.key = "ca",
		.slot = slot,
		.request_id = "crl",
		.crl_fd = fd };

	return sign_client_sign(client, fx.a, &req, r, e);
}

static void
is_refused(int rc, const struct err *e, const char *rule)
{
	if (rc == 0)
		fail_msg("wanted \"%s\", but it was signed", rule);
	if ((e->kind != ERR_REFUSED && e->kind != ERR_MALFORMED) ||
	    strstr(e->text, rule) == NULL)
		fail_msg("wanted \"%s\", got %s \"%s\"", rule,
		    err_kind_name(e->kind), e->text);
}

static void
crl_refused(const struct crl_head *h, size_t n, const char *rule)
{
	struct crl_built b = crl_sample_build(h, n);
	struct sign_reply r;
	struct err e = { .kind = ERR_NONE };

	is_refused(ask(b.fd, &r, &e), &e, rule);
	assert_int_equal(close(b.fd), 0);
}

static void
crl_signed(const struct crl_head *h, size_t n)
{
	struct crl_built b = crl_sample_build(h, n);
	struct sign_reply r;
	struct err e;

	if (ask(b.fd, &r, &e) != 0)
		fail_msg("%s", e.text);
	assert_int_equal(close(b.fd), 0);
}

static X509 *
ca_cert(void)
{
	AUTO(FILE) f = fopen(fx.ca, "re");

	return PEM_read_X509(f, NULL, NULL, NULL);
}

/* A list like any other is signed, and the same again is the same. */
static void
test_good(void **state)
{
	struct crl_head h = head_of();
	struct crl_built b = crl_sample_build(&h, 200);
	struct sign_reply first, again;
	AUTO(X509_CRL) crl = NULL;
	AUTO(X509) ca = ca_cert();
	struct span der;
	const uint8_t *p;
	struct err e;

	(void)state;
	if (ask(b.fd, &first, &e) != 0)
		fail_msg("%s", e.text);
	der = tosign_wrap(
	    fx.a, crl_sample_bytes(fx.a, &b), h.sig_alg, first.signature);
	p = der.p;
	crl = d2i_X509_CRL(NULL, &p, (long)der.n);
	assert_int_equal(X509_CRL_verify(crl, X509_get0_pubkey(ca)), 1);
	assert_int_equal(ask(b.fd, &again, &e), 0);
	assert_true(span_eq(first.signature, again.signature));
	assert_int_equal(first.receipt.seq, again.receipt.seq);
	assert_int_equal(close(b.fd), 0);
}

static void
test_number(void **state)
{
	struct crl_head h = head_of();

	(void)state;
	h.number = span_of(number, 1);
	crl_refused(&h, 200, "cRLNumber");
	h = head_of();
	crl_signed(&h, 200);
	h.next_update++;
	crl_refused(&h, 200, "cRLNumber");
}

/* Spread over lists, and whatever the numbers: what was revoked stays. */
static void
test_loss(void **state)
{
	struct crl_head h = head_of();
	struct err e = { .kind = ERR_NONE };
	struct sign_reply r;
	struct crl_built b;

	(void)state;
	crl_refused(&h, 0, "crl-loss-allowance: 200 entries");
	crl_refused(&h, 99, "crl-loss-allowance: 101 entries");
	h = head_of();
	crl_signed(&h, 110);
	h = head_of();
	crl_refused(&h, 99, "crl-loss-allowance: 101 entries");
	h = head_of();
	crl_signed(&h, 100);
	/* an inflated list does not make the loss smaller */
	h = head_of();
	crl_signed(&h, 5000);
	h = head_of();
	crl_refused(&h, 4700, "crl-loss-allowance");
	h = head_of();
	crl_signed(&h, 5000);
	/* not even when a second list has the invented serials, too */
	h = head_of();
	b = crl_sample_from(&h, 201, 4800);
	is_refused(ask(b.fd, &r, &e), &e, "crl-loss-allowance: 200 entries");
	assert_int_equal(close(b.fd), 0);
}

static void
test_wrong(void **state)
{
	struct crl_head h = head_of();

	(void)state;
	h.issuer = span_of("\x30\x00", 2);
	crl_refused(&h, 5000, "issuer");
	h = head_of();
	h.key_id = span_of("\1\2\3\5", 4);
	crl_refused(&h, 5000, "authorityKeyIdentifier");
	h = head_of();
	h.sig_alg = span_of("\x30\x05\x06\x03\x2b\x65\x70", 7);
	crl_refused(&h, 5000, "signature");
	h = head_of();
	h.this_update -= 400;
	crl_refused(&h, 5000, "thisUpdate");
	h.this_update += 800;
	h.next_update += 800;
	crl_refused(&h, 5000, "thisUpdate");
	h = head_of();
	h.next_update = h.this_update + 9 * DAY;
	crl_refused(&h, 5000, "max-validity");
	h.next_update = h.this_update;
	crl_refused(&h, 5000, "max-validity");
	h = head_of();
	h.freshest_urls = (struct profile_strings){ url + 1, 1 };
	crl_refused(&h, 5000, "freshest-crl");
}

/*
 * A value of the issuingDistributionPoint that has no floor yet would let a
 * list forget everything: only those of the partitions are signed.
 */
static void
test_point(void **state)
{
	static const struct {
		size_t at, n;
	} bad[] = { { 0, 1 }, { 1, 1 }, { 0, 2 }, { 3, 1 }, { 2, 2 } };
	struct crl_head h;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		h = head_of();
		h.point_urls =
		    (struct profile_strings){ url + bad[i].at, bad[i].n };
		crl_refused(&h, 0, "crl-distribution-points");
	}
	h = head_of();
	h.point_urls = (struct profile_strings){ url + 2, 1 };
	crl_signed(&h, 5000);
	h = head_of();
	h.point_urls = (struct profile_strings){ url + 2, 1 };
	crl_refused(&h, 0, "crl-loss-allowance");
}

/* A delta starts from a list that was signed, and removes little. */
static void
test_delta(void **state)
{
	struct crl_entry x = { .reason = CRL_REMOVE_FROM_CRL,
		.revoked_at = 5,
		.invalidity_at = CRL_NO_TIME };
	struct crl_head h = head_of();
	struct sign_reply r;
	struct crl_built b;
	struct crl_build *build;
	uint8_t serial[2] = { 1 };
	struct err e = { .kind = ERR_NONE };
	int i, n;

	(void)state;
	h.base = h.number;
	crl_refused(&h, 1, "deltaCRLIndicator");
	h.point_urls = (struct profile_strings){ url + 2, 1 };
	crl_refused(&h, 1, "deltaCRLIndicator");
	/* most of the 5000 are of today: five percent of them are not allowed
	 */
	for (n = 100; n <= 101; n++) {
		h = head_of();
		h.base = span_of("\1\1", 2);
		assert_int_equal(crl_build_new(&h, &build, &e), 0);
		x.serial = span_of(serial, 2);
		for (i = 0; i < n; i++) {
			serial[1] = (uint8_t)i;
			assert_int_equal(crl_build_add(build, &x, &e), 0);
		}
		assert_int_equal(crl_build_end(build, &b, &e), 0);
		crl_build_free(build);
		if (n == 100)
			assert_int_equal(ask(b.fd, &r, &e), 0);
		else
			is_refused(ask(b.fd, &r, &e), &e, "crl-loss");
		assert_int_equal(close(b.fd), 0);
	}
}

static void
test_not_sealed(void **state)
{
	struct crl_head h = head_of();
	struct crl_built b = crl_sample_build(&h, 5000);
	struct span tbs = crl_sample_bytes(fx.a, &b);
	int fd = memfd_create("open", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	struct sign_reply r;
	struct err e = { .kind = ERR_NONE };

	(void)state;
	assert_int_equal(write(fd, tbs.p, tbs.n), (ssize_t)tbs.n);
	is_refused(ask(fd, &r, &e), &e, "sealed");
	assert_int_equal(
	    fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW), 0);
	is_refused(ask(fd, &r, &e), &e, "sealed");
	is_refused(ask(-1, &r, &e), &e, "sealed");
	assert_int_equal(close(fd), 0);
	assert_int_equal(close(b.fd), 0);
}

static void
test_other_roles(void **state)
{
	static const char *const roles[] = { "enroll", "oper" };
	struct sign_client *pub = client;
	struct crl_head h = head_of();
	size_t i;

	(void)state;
	slot = OTHER;
	for (i = 0; i < 2; i++) {
		client = sign_client_new(fx.run, roles[i], 5000);
		crl_refused(&h, 5000, "compiled in");
		sign_client_free(client);
	}
	client = pub;
	slot = SLOT;
}

/* What a claim and a certificate say; zeroed members are good. */
struct responder {
	const char *host;
	int64_t validity_s, claimed_s;
	bool no_nocheck, other_key, other_host, other_issuer;
	const char *eku;
};

static struct span
spki_of(EVP_PKEY *key)
{
	unsigned char *der = NULL;
	int n = i2d_PUBKEY(key, &der);
	struct span out = span_dup(fx.a, span_of(der, (size_t)n));

	OPENSSL_free(der);
	return out;
}

static struct span
claim(const struct responder *r, struct span spki, int64_t not_after)
{
	AUTO(EVP_MD_CTX) ctx = EVP_MD_CTX_new();
	AUTO(X509) ca = ca_cert();
	struct span ca_spki = spki_of(X509_get0_pubkey(ca));
	uint8_t hash[32], sig[128];
	struct responder_claim c = { .host = r->other_host ? "h3" : "h1",
		.issuer_spki_sha256 = span_of(hash, sizeof(hash)),
		.spki = spki,
		.not_after = not_after };
	size_t n = sizeof(sig);
	AUTO_BUF(b, 4096);

	(void)SHA256(ca_spki.p, ca_spki.n, hash);
	hash[0] ^= r->other_issuer;
	responder_statement(&b, &c);
	assert_int_equal(
	    EVP_DigestSignInit(ctx, NULL, EVP_sha256(), NULL, host_key), 1);
	assert_int_equal(EVP_DigestSign(ctx, sig, &n, b.p, b.n), 1);
	return span_dup(fx.a, span_of(sig, n));
}

static int
ask_responder(const struct responder *r, struct err *e)
{
	static uint8_t fill = 1;
	AUTO(EVP_PKEY) key = EVP_EC_gen("P-256");
	AUTO(EVP_PKEY) other = EVP_EC_gen("P-256");
	struct fixture_tbs t = { .slot = slot,
		.fill = fill++,
		.cn = "OCSP h1",
		.dns = "",
		.eku = r->eku == NULL ? "1.3.6.1.5.5.7.3.9" : r->eku,
		.extra_oid = r->no_nocheck ? NULL : "1.3.6.1.5.5.7.48.1.5",
		.validity_s = r->validity_s == 0 ? DAY : r->validity_s,
		.spki = spki_of(key) };
	struct sign_request req = { .kind = SIGN_RESPONDER,
		.key = "ca",
		.slot = slot,
		.tbs = fixture_tbs(&fx, &t),
		.request_id = "responder",
		.responder_host = r->host == NULL ? "h1" : r->host,
		.responder_not_after =
		    clock_now() +
		    (r->claimed_s == 0 ? 2 * DAY : r->claimed_s) };
	struct sign_reply reply;

	req.responder_signature = claim(
	    r, r->other_key ? spki_of(other) : t.spki, req.responder_not_after);
	return sign_client_sign(client, fx.a, &req, &reply, e);
}

static void
test_responder(void **state)
{
	static const struct {
		struct responder r;
		const char *rule;
	} bad[] = {
		{ { .host = "h9" }, "not pinned" },
		{ { .host = "h2" }, "has not signed" },
		{ { .other_host = true }, "has not signed" },
		{ { .other_key = true }, "has not signed" },
		{ { .other_issuer = true }, "has not signed" },
		{ { .validity_s = 365 * DAY, .claimed_s = 366 * DAY },
		    "max-validity" },
		{ { .validity_s = 3 * DAY, .claimed_s = 4 * DAY },
		    "lives longer than a week or than host" },
		{ { .claimed_s = 60 }, "lives longer than was asked" },
		{ { .no_nocheck = true }, "ocsp-nocheck" },
		{ { .eku = "1.3.6.1.5.5.7.3.1" }, "eku" },
	};
	struct responder good = { .host = "h1" };
	struct err e = { .kind = ERR_NONE };
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		is_refused(ask_responder(&bad[i].r, &e), &e, bad[i].rule);
	for (i = 0; i < 2; i++) {
		if (ask_responder(&good, &e) != 0)
			fail_msg("%s", e.text);
	}
	is_refused(ask_responder(&good, &e), &e, "per-hour");
}

/* The pub role gets such a certificate by a claim only, others never. */
static void
test_responder_kind(void **state)
{
	struct fixture_tbs t = { .slot = slot,
		.cn = "OCSP h1",
		.dns = "",
		.eku = "1.3.6.1.5.5.7.3.9" };
	struct sign_request req = { .kind = SIGN_CERT,
		.key = "ca",
		.slot = slot,
		.tbs = fixture_tbs(&fx, &t),
		.request_id = "r" };
	struct responder good = { .host = "h1" };
	struct sign_client *pub = client;
	struct err e = { .kind = ERR_NONE };
	struct sign_reply r;

	(void)state;
	is_refused(sign_client_sign(client, fx.a, &req, &r, &e), &e,
	    "without a responder's claim");
	client = sign_client_new(fx.run, "enroll", 5000);
	slot = OTHER;
	is_refused(ask_responder(&good, &e), &e, "compiled in");
	slot = SLOT;
	sign_client_free(client);
	client = pub;
}

/* A replacement process has the same floors and budgets. */
static void
test_restart(void **state)
{
	struct crl_head h = head_of();
	struct responder good = { .host = "h1" };
	struct err e = { .kind = ERR_NONE };

	(void)state;
	fixture_stop(&fx);
	fixture_start(&fx, 2);
	crl_refused(&h, 0, "crl-loss-allowance");
	h.number = span_of(number, 1);
	crl_refused(&h, 5000, "cRLNumber");
	is_refused(ask_responder(&good, &e), &e, "per-hour");
	h = head_of();
	crl_signed(&h, 5000);
}

static void
test_logged(void **state)
{
	struct sign_log_summary sum;
	struct err e;

	(void)state;
	fixture_stop(&fx);
	if (sign_log_verify(
		arena_printf(fx.a, "%s/sign-1a.log", fx.state), &sum, &e) != 0)
		fail_msg("%s", e.text);
	/* 9 lists, 2 responder certificates */
	assert_int_equal(sum.signatures, 11);
	assert_true(sum.refusals >= SIGN_LOG_REFUSALS);
}

static int
setup(void **state)
{
	const char *pub;

	(void)state;
	fixture_token(&fx);
	pub = arena_printf(fx.a, "%s/h1.pub", fx.dir);
	host_key = EVP_EC_gen("P-256");
	{
		AUTO(FILE) f = fopen(pub, "we");

		assert_int_equal(PEM_write_PUBKEY(f, host_key), 1);
	}
	fixture_ca(&fx, arena_printf(fx.a, "%s%s", fixture_classes,
			    arena_printf(fx.a, classes, fx.dir, fx.dir)));
	fixture_start(&fx, 1);
	client = sign_client_new(fx.run, "pub", 5000);
	return 0;
}

static int
teardown(void **state)
{
	(void)state;
	sign_client_free(client);
	EVP_PKEY_free(host_key);
	fixture_clear(&fx);
	return 0;
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_good),
		cmocka_unit_test(test_number),
		cmocka_unit_test(test_loss),
		cmocka_unit_test(test_wrong),
		cmocka_unit_test(test_point),
		cmocka_unit_test(test_delta),
		cmocka_unit_test(test_not_sealed),
		cmocka_unit_test(test_other_roles),
		cmocka_unit_test(test_responder),
		cmocka_unit_test(test_responder_kind),
		cmocka_unit_test(test_restart),
		cmocka_unit_test(test_logged),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
