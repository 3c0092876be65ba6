#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/x509.h>

#include "base/b64.h"
#include "protocols/est/codec.h"
#include "protocols/est/keygen.h"

static struct arena *a;

static int
set_up(void **state)
{
	(void)state;
	a = arena_new();
	/* where memory may not be locked it is only cleansed */
	(void)keygen_init();
	return 0;
}

static int
tear_down(void **state)
{
	(void)state;
	arena_free(a);
	return 0;
}

/* libcrypto reads the PKCS#8 and finds the public key that we said. */
static void
check_pair(struct span pkcs8, struct span spki, const char *type, int bits)
{
	const uint8_t *p = pkcs8.p;
	PKCS8_PRIV_KEY_INFO *info =
	    d2i_PKCS8_PRIV_KEY_INFO(NULL, &p, (long)pkcs8.n);
	unsigned char *der = NULL;
	EVP_PKEY *key;
	int n;

	assert_non_null(info);
	assert_ptr_equal(p, pkcs8.p + pkcs8.n);
	key = EVP_PKCS82PKEY(info);
	assert_non_null(key);
	assert_true(EVP_PKEY_is_a(key, type));
	assert_int_equal(EVP_PKEY_get_bits(key), bits);
	n = i2d_PUBKEY(key, &der);
	assert_true(n > 0);
	assert_true(span_eq(span_of(der, (size_t)n), spki));
	OPENSSL_free(der);
	EVP_PKEY_free(key);
	PKCS8_PRIV_KEY_INFO_free(info);
}

static void
test_types(void **state)
{
	static const struct {
		const char *type, *name;
		int bits;
	} rows[] = {
		{ "P-256", "EC", 256 },
		{ "P-384", "EC", 384 },
		{ "P-521", "EC", 521 },
		{ "rsa:2048", "RSA", 2048 },
		{ "rsa:3072", "RSA", 3072 },
		{ "ed25519", "ED25519", 253 },
	};
	struct keygen k, again;
	struct err e;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		assert_int_equal(keygen_make(a, rows[i].type, &k, &e), 0);
		check_pair(k.pkcs8, k.spki, rows[i].name,
		    strcmp(rows[i].name, "ED25519") == 0 ? 256 : rows[i].bits);
		if (CRYPTO_secure_malloc_initialized() == 1)
			assert_true(CRYPTO_secure_allocated(k.pkcs8.p));
		if (i == 0) {
			assert_int_equal(
			    keygen_make(a, rows[i].type, &again, &e), 0);
			assert_false(span_eq(k.spki, again.spki));
			keygen_clear(&again);
		}
		keygen_clear(&k);
		assert_null(k.pkcs8.p);
	}
	assert_int_equal(keygen_make(a, "P-1", &k, &e), -1);
	assert_int_equal(e.kind, ERR_UNAVAILABLE);
	assert_int_equal(keygen_make(a, "rsa:x", &k, &e), -1);
	keygen_clear(&k);
}

/* What is between two texts. */
static struct span
between(struct span in, const char *from, const char *to)
{
	const uint8_t *p = memmem(in.p, in.n, from, strlen(from)), *q;

	assert_non_null(p);
	p += strlen(from);
	q = memmem(p, (size_t)(in.p + in.n - p), to, strlen(to));
	assert_non_null(q);
	return span_of(p, (size_t)(q - p));
}

static void
check_answer(bool wrap)
{
	const char *sep = "\r\n--chancery-serverkeygen";
	const char *head = "Content-Transfer-Encoding: base64\r\n\r\n";
	static uint8_t certs[1000] = { 1, 2, 3 };
	struct span body, part, der;
	struct keygen k;
	struct err e;
	size_t n;

	assert_int_equal(keygen_make(a, "P-256", &k, &e), 0);
	/* every remainder of base64 and of its lines */
	for (n = sizeof(certs) - 50; n <= sizeof(certs); n++) {
		assert_int_equal(
		    keygen_answer(&k, span_of(certs, n), wrap, &body, &e), 0);
		part = between(body, "--chancery-serverkeygen\r\n", sep);
		assert_non_null(memmem(
		    part.p, part.n, "Content-Type: application/pkcs8\r\n", 33));
		part = between(body, head, sep);
		assert_int_equal(memchr(part.p, '\n', part.n) != NULL, wrap);
		assert_int_equal(est_decode(a, part, &der, &e), 0);
		assert_true(span_eq(der, k.pkcs8));
		part = between(body,
		    "Content-Type: application/pkcs7-mime; "
		    "smime-type=certs-only\r\n"
		    "Content-Transfer-Encoding: base64\r\n\r\n",
		    "\r\n--chancery-serverkeygen--\r\n");
		assert_int_equal(est_decode(a, part, &der, &e), 0);
		assert_true(span_eq(der, span_of(certs, n)));
		assert_memory_equal(body.p + body.n - 4, "--\r\n", 4);
		keygen_answer_free(body);
	}
	keygen_clear(&k);
}

static void
test_answer(void **state)
{
	(void)state;
	check_answer(false);
	check_answer(true);
}

/* A request with one more attribute, or none. */
static struct span
make_csr(const char *oid)
{
	EVP_PKEY *key = EVP_EC_gen("P-256");
	X509_REQ *req = X509_REQ_new();
	unsigned char *der = NULL;
	struct span out;
	int n;

	assert_int_equal(X509_REQ_set_pubkey(req, key), 1);
	if (oid != NULL)
		assert_int_equal(
		    X509_REQ_add1_attr_by_txt(
			req, oid, V_ASN1_OCTET_STRING, (const uint8_t *)"k", 1),
		    1);
	assert_true(X509_REQ_sign(req, key, EVP_sha256()) > 0);
	n = i2d_X509_REQ(req, &der);
	assert_true(n > 0);
	out = span_dup(a, span_of(der, (size_t)n));
	OPENSSL_free(der);
	X509_REQ_free(req);
	EVP_PKEY_free(key);
	return out;
}

static void
test_encryption(void **state)
{
	struct span csr = make_csr(NULL);
	struct err e;

	(void)state;
	assert_int_equal(keygen_check_plain(csr, &e), 0);
	assert_int_equal(
	    keygen_check_plain(make_csr("1.2.840.113549.1.9.7"), &e), 0);
	assert_int_equal(
	    keygen_check_plain(make_csr("1.2.840.113549.1.9.16.2.37"), &e), -1);
	assert_int_equal(e.kind, ERR_MALFORMED);
	assert_non_null(strstr(e.text, "not supported"));
	assert_int_equal(
	    keygen_check_plain(make_csr("1.2.840.113549.1.9.16.2.54"), &e), -1);
	assert_int_equal(e.kind, ERR_MALFORMED);
	csr.n--;
	assert_int_equal(keygen_check_plain(csr, &e), -1);
	assert_int_equal(e.kind, ERR_MALFORMED);
}

static void *
make_rsa(void *arg)
{
	struct arena *mine = arena_new();
	enum err_kind *kind = arg;
	struct keygen k;
	struct err e;

	*kind = keygen_make(mine, "rsa:3072", &k, &e) == 0 ? ERR_NONE : e.kind;
	keygen_clear(&k);
	arena_free(mine);
	return NULL;
}

/* Who asks for many RSA keys does not keep every worker busy. */
static void
test_many(void **state)
{
	enum err_kind kinds[4 * KEYGEN_RSA_MAX];
	pthread_t threads[4 * KEYGEN_RSA_MAX];
	size_t n = 4 * KEYGEN_RSA_MAX, made = 0, i;

	(void)state;
	for (i = 0; i < n; i++)
		assert_int_equal(
		    pthread_create(&threads[i], NULL, make_rsa, &kinds[i]), 0);
	for (i = 0; i < n; i++) {
		(void)pthread_join(threads[i], NULL);
		made += kinds[i] == ERR_NONE;
		if (kinds[i] != ERR_NONE)
			assert_int_equal(kinds[i], ERR_UNAVAILABLE);
	}
	assert_true(made >= 1);
	assert_true(made < n);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_types),
		cmocka_unit_test(test_answer),
		cmocka_unit_test(test_encryption),
		cmocka_unit_test(test_many),
	};

	return cmocka_run_group_tests_name(
	    "est_keygen", tests, set_up, tear_down);
}
