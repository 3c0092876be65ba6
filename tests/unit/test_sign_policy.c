#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <openssl/ec.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/der.h"
#include "hsm/sign_approve.h"
#include "hsm/sign_names.h"
#include "hsm/sign_policy.h"
#include "tests/attack/signd_fixture.h"

AUTO_DEFINE(X509, X509_free);
AUTO_DEFINE(FILE, fclose);

#define SLOT 0x18

static struct fixture fx;
static EVP_PKEY *key;

static void
test_names(void **state)
{
	static const struct {
		enum sign_name_type type;
		bool want;
		const char *pattern, *name;
	} v[] = {
		{ SIGN_NAME_DNS, true, "a.test", "a.test" },
		{ SIGN_NAME_DNS, false, "a.test", "b.a.test" },
		{ SIGN_NAME_DNS, false, "a.test", "*.a.test" },
		{ SIGN_NAME_DNS, false, "a.test", "A.test" },
		{ SIGN_NAME_DNS, true, "*.a.test", "b.a.test" },
		{ SIGN_NAME_DNS, true, "*.a.test", "*.a.test" },
		{ SIGN_NAME_DNS, false, "*.a.test", "a.test" },
		{ SIGN_NAME_DNS, false, "*.a.test", "c.b.a.test" },
		{ SIGN_NAME_DNS, false, "*.a.test", "*.b.a.test" },
		{ SIGN_NAME_DNS, false, "*.a.test", "b.xa.test" },
		{ SIGN_NAME_DNS, false, "*.a.test", ".a.test" },
		{ SIGN_NAME_DNS, false, "*.a.test", "b.*.a.test" },
		{ SIGN_NAME_DNS, true, "**.a.test", "b.a.test" },
		{ SIGN_NAME_DNS, true, "**.a.test", "c.b.a.test" },
		{ SIGN_NAME_DNS, true, "**.a.test", "*.a.test" },
		{ SIGN_NAME_DNS, true, "**.a.test", "*.b.a.test" },
		{ SIGN_NAME_DNS, false, "**.a.test", "a.test" },
		{ SIGN_NAME_DNS, false, "**.a.test", "xa.test" },
		{ SIGN_NAME_DNS, false, "**.a.test", "B.a.test" },
		{ SIGN_NAME_DNS, false, "**.a.test", "b..a.test" },
		{ SIGN_NAME_DNS, false, "**.a.test", "b.a.test." },
		{ SIGN_NAME_DNS, false, "**.a.test", "b/c.a.test" },
		{ SIGN_NAME_DNS, false, "**.a.test", "*a.a.test" },
		{ SIGN_NAME_DNS, false, "**.a.test", "*.*.a.test" },
		{ SIGN_NAME_DNS, true, "**", "x.y" },
		{ SIGN_NAME_DNS, true, "**", "localhost" },
		{ SIGN_NAME_DNS, true, "**", "*.y" },
		{ SIGN_NAME_DNS, false, "**", "*" },
		{ SIGN_NAME_DNS, false, "**", "" },
		{ SIGN_NAME_DNS, false, "**", "a b" },
		{ SIGN_NAME_EMAIL, true, "@a.test", "u@a.test" },
		{ SIGN_NAME_EMAIL, false, "@a.test", "u@b.a.test" },
		{ SIGN_NAME_EMAIL, true, "@.a.test", "u@b.a.test" },
		{ SIGN_NAME_EMAIL, false, "@a.test", "u@x@a.test" },
		{ SIGN_NAME_EMAIL, false, "@a.test", "@a.test" },
		{ SIGN_NAME_EMAIL, true, "u@a.test", "u@a.test" },
		{ SIGN_NAME_UPN, false, "u@a.test", "v@a.test" },
		{ SIGN_NAME_URI, true, "spiffe://d/*", "spiffe://d/x" },
		{ SIGN_NAME_URI, false, "spiffe://d/*", "spiffe://d/x/y" },
		{ SIGN_NAME_URI, true, "spiffe://d/**", "spiffe://d/x/y" },
		{ SIGN_NAME_URI, false, "http://*.t/", "http://u@e.t/" },
		{ SIGN_NAME_URI, false, "http://*", "http://a b" },
		{ SIGN_NAME_TEXT, true, "a*b*c", "axxbxxbc" },
		{ SIGN_NAME_TEXT, false, "a*b*c", "axxbxxb" },
		{ SIGN_NAME_TEXT, false, "*", "a\x01" },
		{ SIGN_NAME_TEXT, false, "*", "" },
	};
	static const uint8_t ip4[] = { 10, 1, 127, 9 };
	static const uint8_t ip6[16] = { 0x20, 1, 0xd, 0xb8 };
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(v) / sizeof(v[0]); i++) {
		if (sign_names_match(v[i].type, v[i].pattern,
			span_str(v[i].name)) != v[i].want)
			fail_msg("%s %s", v[i].pattern, v[i].name);
	}
	assert_false(sign_names_match(
	    SIGN_NAME_DNS, "**.a.test", span_of("e.test\0.a.test", 14)));
	assert_true(
	    sign_names_match(SIGN_NAME_IP, "10.1.64.0/18", span_of(ip4, 4)));
	assert_false(
	    sign_names_match(SIGN_NAME_IP, "10.1.128.0/17", span_of(ip4, 4)));
	assert_false(sign_names_match(SIGN_NAME_IP, "::/0", span_of(ip4, 4)));
	assert_true(
	    sign_names_match(SIGN_NAME_IP, "2001:db8::/32", span_of(ip6, 16)));
	assert_true(
	    sign_names_match(SIGN_NAME_IP, "0.0.0.0/0", span_of(ip4, 4)));
}

static void
test_patterns(void **state)
{
	static const struct {
		enum sign_name_type type;
		const char *pattern;
	} bad[] = {
		{ SIGN_NAME_DNS, "" },
		{ SIGN_NAME_DNS, "a..b" },
		{ SIGN_NAME_DNS, "*" },
		{ SIGN_NAME_DNS, "." },
		{ SIGN_NAME_DNS, ".a.test" },
		{ SIGN_NAME_DNS, "*." },
		{ SIGN_NAME_DNS, "**." },
		{ SIGN_NAME_DNS, "***.a.test" },
		{ SIGN_NAME_DNS, "*.*.a.test" },
		{ SIGN_NAME_DNS, "b*.a.test" },
		{ SIGN_NAME_DNS, "a.*.b" },
		{ SIGN_NAME_DNS, "A.test" },
		{ SIGN_NAME_IP, "10.0.0.0/33" },
		{ SIGN_NAME_IP, "10.0.0" },
		{ SIGN_NAME_IP, "10.0.0.0/" },
		{ SIGN_NAME_EMAIL, "@" },
		{ SIGN_NAME_UPN, "user" },
		{ SIGN_NAME_URI, "" },
	};
	struct err e;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		assert_int_equal(
		    sign_names_pattern_check(bad[i].type, bad[i].pattern, &e),
		    -1);
		assert_int_equal(e.kind, ERR_MALFORMED);
	}
}

/* A CA certificate and approver key by libcrypto, in the scratch directory. */
static void
make_files(void)
{
	AUTO(X509) x = X509_new();
	AUTO(FILE) f = fopen(fx.ca, "we");
	AUTO(FILE) pub =
	    fopen(arena_printf(fx.a, "%s/approver.pub", fx.dir), "we");
	X509_NAME *name = X509_get_subject_name(x);
	X509_EXTENSION *ski;
	unsigned char *der = NULL;
	int n;

	key = EVP_EC_gen("P-256");
	assert_int_equal(X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_UTF8,
			     (const unsigned char *)"T", -1, -1, 0),
	    1);
	assert_int_equal(X509_set_issuer_name(x, name), 1);
	assert_int_equal(X509_set_pubkey(x, key), 1);
	assert_non_null(X509_gmtime_adj(X509_getm_notBefore(x), 0));
	assert_non_null(X509_time_adj_ex(X509_getm_notAfter(x), 3650, 0, NULL));
	ski = X509V3_EXT_conf_nid(
	    NULL, NULL, NID_subject_key_identifier, "01:02:03:04");
	assert_int_equal(X509_add_ext(x, ski, -1), 1);
	X509_EXTENSION_free(ski);
	assert_true(X509_sign(x, key, EVP_sha256()) > 0);
	assert_int_equal(PEM_write_X509(f, x), 1);
	assert_int_equal(PEM_write_PUBKEY(pub, key), 1);
	n = i2d_X509_NAME(name, &der);
	fx.ca_name = span_dup(fx.a, span_of(der, (size_t)n));
	OPENSSL_free(der);
	fx.aki = span_of("\x30\x06\x80\x04\x01\x02\x03\x04", 8);
}

static int
load(const char *head, const char *classes, struct sign_policy **p,
    struct err *e)
{
	const char *file = fixture_write(&fx, "keys.yaml",
	    span_str(arena_printf(fx.a,
		"%s"
		"keys:\n- name: ca\n  keyfile: none\n  passphrase-file: none\n"
		"  certificate: %s\n%s",
		head, fx.ca, classes)));

	return sign_policy_load(file, p, e);
}

#define HEAD "node: 3\nslots: 1\n"
#define CLASS(more)                                                            \
	"classes:\n- name: c\n  key: ca\n  caller: enroll\n"                   \
	"  kind: certificate\n  eku: [serverAuth]\n"                           \
	"  key-usage: [digitalSignature, absent]\n"                            \
	"  extensions: [keyUsage, extendedKeyUsage, subjectAltName,\n"         \
	"    authorityKeyIdentifier, 1.2.3.4=0500]\n"                          \
	"  max-validity: 2d\n  san: {dns: [\"**.good.test\"]}\n" more

static void
test_load_errors(void **state)
{
	static const struct {
		const char *head, *classes, *want;
	} v[] = {
		{ "node: 32\nslots: 1\n", CLASS(""), ":1: node" },
		{ "node: 0\nslots: 9\n", CLASS(""), ":2: slots" },
		{ HEAD, CLASS("  ca: true\n"), "ca" },
		{ HEAD, CLASS("  backdate: 25h\n"), "backdate" },
		{ HEAD, CLASS("  approvals: 1\n"), "approvals" },
		{ HEAD, CLASS("  approvers: [x]\n  approvals: 1\n"),
		    "approvers" },
		{ HEAD, CLASS("  aia: [\"http://x/\"]\n"), "aia" },
		{ HEAD, CLASS("  colour: red\n"), "colour" },
		{ HEAD, CLASS("  crl-partitions: 2\n"), "crl-partitions" },
		{ HEAD,
		    CLASS("  crl-distribution-points: [\"x{partition}\"]\n"),
		    "crl-partitions" },
		{ HEAD,
		    CLASS("  crl-distribution-points: [\"x\"]\n"
			  "  freshest-crl: [\"x{partition}\"]\n"),
		    "crl-partitions" },
		{ HEAD,
		    CLASS("  crl-distribution-points: [\"x{partition}\"]\n"
			  "  crl-partitions: 4097\n"),
		    "at most 4096" },
		{ HEAD,
		    "classes:\n- {name: c, key: other, caller: enroll,\n"
		    "  kind: certificate, eku: [absent],\n"
		    "  key-usage: [absent], extensions: [],\n"
		    "  max-validity: 1d}\n",
		    "no key" },
		{ HEAD "callers: {enroll: [no-such-user-here]}\n", CLASS(""),
		    "no user" },
	};
	struct sign_policy *p;
	struct err e;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(v) / sizeof(v[0]); i++) {
		assert_int_equal(load(v[i].head, v[i].classes, &p, &e), -1);
		if (e.kind != ERR_MALFORMED ||
		    strstr(e.text, v[i].want) == NULL)
			fail_msg("%zu: %s", i, e.text);
	}
	assert_int_equal(sign_policy_load("/nonexistent", &p, &e), -1);
	assert_int_equal(e.kind, ERR_NOT_FOUND);
}

static int
check(const struct sign_policy *p, const struct fixture_tbs *t,
    struct sign_request *req, struct err *e)
{
	struct sign_asker asker = { SIGN_ROLE_ENROLL, SLOT, clock_now() };
	struct sign_verdict v;

	req->kind = SIGN_CERT;
	req->key = "ca";
	req->tbs = fixture_tbs(&fx, t);
	return sign_policy_check(p, fx.a, &asker, req, &v, e);
}

static void
test_rules(void **state)
{
	struct sign_policy *p;
	struct sign_request req = { .request_id = "r" };
	struct fixture_tbs t = { .slot = SLOT };
	struct err e;

	(void)state;
	assert_int_equal(load(HEAD, CLASS(""), &p, &e), 0);
	assert_int_equal(sign_policy_slot(p, 0), SLOT);
	assert_int_equal(p->horizon_s, 3600);
	assert_int_equal(check(p, &t, &req, &e), 0);
	t.validity_s = 2 * 86400 + 1;
	assert_int_equal(check(p, &t, &req, &e), -1);
	assert_non_null(strstr(e.text, "class \"c\": max-validity"));
	t = (struct fixture_tbs){ .slot = SLOT, .extra_oid = "1.2.3.4" };
	assert_int_equal(check(p, &t, &req, &e), 0);
	t.spki = p->keys[0].spki;
	assert_int_equal(check(p, &t, &req, &e), -1);
	assert_non_null(strstr(e.text, "CA's own"));
	sign_policy_free(p);
	/* the same extension with another fixed value */
	assert_int_equal(
	    load(HEAD,
		"classes:\n- {name: c, key: ca, caller: enroll,\n"
		"  kind: certificate, eku: [serverAuth],\n"
		"  key-usage: [digitalSignature], max-validity: 1d,\n"
		"  san: {dns: [\"**.good.test\"]}, extensions: [keyUsage,\n"
		"  extendedKeyUsage, subjectAltName,\n"
		"  authorityKeyIdentifier, 1.2.3.4=0101ff]}\n",
		&p, &e),
	    0);
	t.spki = span_of(NULL, 0);
	assert_int_equal(check(p, &t, &req, &e), -1);
	assert_non_null(strstr(e.text, "1.2.3.4 has another value"));
	sign_policy_free(p);
}

static void
test_wildcard(void **state)
{
	struct sign_policy *p;
	struct sign_request req = { .request_id = "r" };
	struct fixture_tbs t = { .slot = SLOT, .dns = "*.good.test" };
	struct err e;

	(void)state;
	assert_int_equal(load(HEAD, CLASS(""), &p, &e), 0);
	assert_int_equal(check(p, &t, &req, &e), -1);
	assert_non_null(strstr(e.text, "san: name 1 is a wildcard"));
	sign_policy_free(p);
	assert_int_equal(load(HEAD, CLASS("    wildcard: true\n"), &p, &e), -1);
	assert_int_equal(
	    load(HEAD, CLASS("  san: {dns: [\"*.good.test\"]}\n"), &p, &e),
	    -1); /* there already */
	assert_int_equal(
	    load(HEAD,
		"classes:\n- {name: c, key: ca, caller: enroll,\n"
		"  kind: certificate, eku: [serverAuth],\n"
		"  key-usage: [digitalSignature], max-validity: 1d,\n"
		"  extensions: [extendedKeyUsage, keyUsage,\n"
		"  subjectAltName, authorityKeyIdentifier],\n"
		"  san: {dns: [\"*.good.test\"],\n"
		"    wildcard: true}}\n",
		&p, &e),
	    0);
	assert_int_equal(check(p, &t, &req, &e), 0);
	t.dns = "*.b.good.test";
	assert_int_equal(check(p, &t, &req, &e), -1);
	assert_non_null(strstr(e.text, "san: name 1 matches no pattern"));
	sign_policy_free(p);
}

/* CRLDistributionPoints with one URL. */
static struct span
points(const char *url)
{
	size_t seq, point, name, full;
	AUTO_BUF(b, 512);

	seq = der_begin(&b, DER_SEQUENCE);
	point = der_begin(&b, DER_SEQUENCE);
	name = der_begin(&b, DER_CONTEXT_CONSTRUCTED(0));
	full = der_begin(&b, DER_CONTEXT_CONSTRUCTED(0));
	der_put(&b, DER_CONTEXT(6), span_str(url));
	der_end(&b, full);
	der_end(&b, name);
	der_end(&b, point);
	der_end(&b, seq);
	return span_dup(fx.a, buf_get(&b));
}

/*
 * A partition other than the serial's own would hide a revocation: 16 octets
 * 0x55, the second one the slot's, are 0x5555555555555555 mod 8 = 5.
 */
static void
test_partitions(void **state)
{
	static const char *const oids[] = { "2.5.29.31", "2.5.29.46" };
	static const char *const rules[] = { "crl-distribution-points",
		"freshest-crl" };
	static const char *const wrong[] = { "http://a/4.crl",
		"http://a/13.crl", "http://a/05.crl", "http://a/5.crl2",
		"http://a/.crl", "http://a/{partition}.crl", "http://b/5.crl",
		"" };
	struct sign_request req = { .request_id = "r" };
	struct fixture_tbs t = { .slot = SLOT };
	struct sign_policy *p;
	struct err e;
	size_t i, w;

	(void)state;
	if (load(HEAD,
		"classes:\n- {name: c, key: ca, caller: enroll,\n"
		"  kind: certificate, eku: [serverAuth],\n"
		"  key-usage: [digitalSignature], max-validity: 1d,\n"
		"  san: {dns: [\"**.good.test\"]}, extensions: [keyUsage,\n"
		"  extendedKeyUsage, subjectAltName, authorityKeyIdentifier,\n"
		"  crlDistributionPoints, freshestCRL], crl-partitions: 8,\n"
		"  crl-distribution-points: [\"http://a/{partition}.crl\",\n"
		"    \"http://a/all.crl\"],\n"
		"  freshest-crl: [\"http://a/{partition}.crl\",\n"
		"    \"http://a/all.crl\"]}\n",
		&p, &e) != 0)
		fail_msg("%s", e.text);
	for (i = 0; i < 2; i++) {
		t.extra_oid = oids[i];
		t.extra = points("http://a/5.crl");
		if (check(p, &t, &req, &e) != 0)
			fail_msg("%s", e.text);
		t.extra = points("http://a/all.crl");
		assert_int_equal(check(p, &t, &req, &e), 0);
		for (w = 0; w < sizeof(wrong) / sizeof(wrong[0]); w++) {
			t.extra = points(wrong[w]);
			assert_int_equal(check(p, &t, &req, &e), -1);
			assert_non_null(strstr(e.text, rules[i]));
		}
		/* another serial, another partition */
		t.fill = 0x56;
		t.extra = points("http://a/5.crl");
		assert_int_equal(check(p, &t, &req, &e), -1);
		t.extra = points("http://a/6.crl");
		assert_int_equal(check(p, &t, &req, &e), 0);
		t.fill = 0;
	}
	sign_policy_free(p);
}

static struct span
approve(const uint8_t hash[SIGN_HASH_SIZE])
{
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	uint8_t sig[256];
	size_t n = sizeof(sig);

	assert_int_equal(
	    EVP_DigestSignInit(ctx, NULL, EVP_sha256(), NULL, key), 1);
	assert_int_equal(EVP_DigestSign(ctx, sig, &n, hash, SIGN_HASH_SIZE), 1);
	EVP_MD_CTX_free(ctx);
	return span_dup(fx.a, span_of(sig, n));
}

static void
test_approvals(void **state)
{
	struct sign_request req = { .request_id = "r",
		.max_validity_s = 86400 };
	struct fixture_tbs t = { .slot = SLOT };
	uint8_t hash[SIGN_HASH_SIZE], other[SIGN_HASH_SIZE] = { 1 };
	struct sign_approval ap = { .approver = "alice" };
	struct sign_policy *p;
	struct tosign_cert c;
	const char *dir;
	struct err e;

	(void)state;
	if (load(arena_printf(fx.a,
		     HEAD "approvers:\n- {name: alice, public-key: "
			  "%s/approver.pub}\n",
		     fx.dir),
		CLASS("  approvers: [alice]\n  approvals: 1\n"), &p, &e) != 0)
		fail_msg("%s", e.text);
	req.approve_by = clock_now() + 60;
	assert_int_equal(check(p, &t, &req, &e), -1);
	assert_non_null(strstr(e.text, "0 of 1"));
	assert_int_equal(tosign_cert_parse(fx.a, req.tbs, &c, &e), 0);
	assert_int_equal(sign_approve_statement(&req, &c, hash, &e), 0);
	ap.signature = approve(hash);
	req.approvals = &ap;
	req.n_approvals = 1;
	/* another serial and validity are the same statement */
	t.fill = 9;
	t.validity_s = 3600;
	assert_int_equal(check(p, &t, &req, &e), 0);
	t.validity_s = 86401;
	assert_int_equal(check(p, &t, &req, &e), -1);
	t.validity_s = 0;
	t.dns = "other.good.test";
	assert_int_equal(check(p, &t, &req, &e), -1);
	assert_non_null(strstr(e.text, "signature of \"alice\""));
	t.dns = NULL;
	req.approve_by = clock_now() - 1;
	assert_int_equal(check(p, &t, &req, &e), -1);
	sign_policy_free(p);
	dir = arena_printf(fx.a, "%s/approved", fx.dir);
	assert_int_equal(sign_approve_use(dir, hash, hash, &e), 0);
	assert_int_equal(sign_approve_use(dir, hash, hash, &e), 0);
	assert_int_equal(sign_approve_use(dir, hash, other, &e), -1);
	assert_int_equal(e.kind, ERR_REFUSED);
}

static int
setup(void **state)
{
	(void)state;
	fx.a = arena_new();
	(void)snprintf(fx.dir, sizeof(fx.dir), "/tmp/signpolicy-XXXXXX");
	assert_non_null(mkdtemp(fx.dir));
	(void)snprintf(fx.ca, sizeof(fx.ca), "%s/ca.pem", fx.dir);
	make_files();
	return 0;
}

static int
teardown(void **state)
{
	(void)state;
	EVP_PKEY_free(key);
	fixture_clear(&fx);
	return 0;
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_names),
		cmocka_unit_test(test_patterns),
		cmocka_unit_test(test_load_errors),
		cmocka_unit_test(test_partitions),
		cmocka_unit_test(test_rules),
		cmocka_unit_test(test_wildcard),
		cmocka_unit_test(test_approvals),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
