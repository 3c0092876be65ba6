#include "protocols/est/keygen.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include <openssl/bio.h>
#include <openssl/crypto.h>
#include <openssl/ec.h>
#include <openssl/encoder.h>
#include <openssl/rsa.h>
#include <openssl/x509.h>

#include "ca/pubkey.h"
#include "protocols/est/codec.h"

#define BOUNDARY "chancery-serverkeygen"
#define PART "--" BOUNDARY "\r\nContent-Type: "
#define ENCODING "\r\nContent-Transfer-Encoding: base64\r\n\r\n"
#define KEY_TYPE "application/pkcs8"
#define CERTS_TYPE "application/pkcs7-mime; smime-type=certs-only"
#define END "--" BOUNDARY "--\r\n"

#define SECURE_HEAP ((size_t)256 * 1024)
#define SECURE_MIN 32
#define RSA_PREFIX "rsa:"
/* The octets of a line of EST_LINE. */
#define LINE_OCTETS (EST_LINE / 4 * 3)

/* RFC 7030 4.4.1 */
#define OID_DECRYPT_KEY_ID "1.2.840.113549.1.9.16.2.37"
#define OID_ASYM_DECRYPT_KEY_ID "1.2.840.113549.1.9.16.2.54"

AUTO_DEFINE(ASN1_OBJECT, ASN1_OBJECT_free);
AUTO_DEFINE(BIO, BIO_vfree);
AUTO_DEFINE(OSSL_ENCODER_CTX, OSSL_ENCODER_CTX_free);
AUTO_DEFINE(X509_REQ, X509_REQ_free);

bool
keygen_init(void)
{
	return CRYPTO_secure_malloc_initialized() == 1 ||
	       CRYPTO_secure_malloc_init(SECURE_HEAP, SECURE_MIN) == 1;
}

/* NULL also when as many are being made as may be. */
static EVP_PKEY *
generate_rsa(unsigned long bits)
{
	static atomic_int making;
	EVP_PKEY *key = NULL;

	if (atomic_fetch_add(&making, 1) < KEYGEN_RSA_MAX)
		key = EVP_RSA_gen(bits);
	atomic_fetch_sub(&making, 1);
	return key;
}

static EVP_PKEY *
generate(const char *type)
{
	size_t n = strlen(RSA_PREFIX);

	if (strncasecmp(type, RSA_PREFIX, n) == 0)
		return generate_rsa(strtoul(type + n, NULL, 10));
	if (strcasecmp(type, "ed25519") == 0)
		return EVP_PKEY_Q_keygen(NULL, NULL, "ED25519");
	return EVP_EC_gen(type);
}

static int
encode_public(struct arena *a, EVP_PKEY *key, struct span *out, struct err *e)
{
	unsigned char *der = NULL;
	int n = i2d_PUBKEY(key, &der);

	if (n <= 0)
		return err_set(e, ERR_UNAVAILABLE, "the key cannot be encoded");
	*out = span_dup(a, span_of(der, (size_t)n));
	OPENSSL_free(der);
	return 0;
}

static int
encode_private(EVP_PKEY *key, struct span *out, struct err *e)
{
	AUTO(OSSL_ENCODER_CTX)
	ctx = OSSL_ENCODER_CTX_new_for_pkey(
	    key, EVP_PKEY_KEYPAIR, "DER", "PrivateKeyInfo", NULL);
	AUTO(BIO) mem = BIO_new(BIO_s_secmem());
	const char *der;
	uint8_t *copy;
	long n;

	if (ctx == NULL || mem == NULL || OSSL_ENCODER_to_bio(ctx, mem) != 1)
		return err_set(e, ERR_UNAVAILABLE, "the key cannot be encoded");
	n = BIO_get_mem_data(mem, (char **)(uintptr_t)&der);
	copy = OPENSSL_secure_malloc((size_t)n);
	if (copy == NULL)
		return err_set(e, ERR_UNAVAILABLE, "no secure memory is left");
	memcpy(copy, der, (size_t)n);
	*out = span_of(copy, (size_t)n);
	return 0;
}

int
keygen_make(
    struct arena *a, const char *type, struct keygen *out, struct err *e)
{
	AUTO(EVP_PKEY) key = generate(type);

	*out = (struct keygen){ 0 };
	if (key == NULL)
		return err_set(e, ERR_UNAVAILABLE,
		    "no key of type \"%s\" can be made now", type);
	if (encode_public(a, key, &out->spki, e) == -1)
		return -1;
	return encode_private(key, &out->pkcs8, e);
}

void
keygen_clear(struct keygen *k)
{
	OPENSSL_secure_clear_free((void *)(uintptr_t)k->pkcs8.p, k->pkcs8.n);
	*k = (struct keygen){ 0 };
}

static bool
has_attribute(const X509_REQ *req, const char *oid)
{
	AUTO(ASN1_OBJECT) obj = OBJ_txt2obj(oid, 1);

	return obj == NULL || X509_REQ_get_attr_by_OBJ(req, obj, -1) >= 0;
}

int
keygen_check_plain(struct span csr, struct err *e)
{
	const uint8_t *p = csr.p;
	AUTO(X509_REQ) req = d2i_X509_REQ(NULL, &p, (long)csr.n);

	if (req == NULL || p != csr.p + csr.n)
		return err_set(e, ERR_MALFORMED, "request is not PKCS#10");
	if (has_attribute(req, OID_DECRYPT_KEY_ID) ||
	    has_attribute(req, OID_ASYM_DECRYPT_KEY_ID))
		return err_set(e, ERR_MALFORMED,
		    "encryption of the private key (DecryptKeyIdentifier, "
		    "AsymmetricDecryptKeyIdentifier) is not supported");
	return 0;
}

/* Writes into memory that is large enough. */
struct writer_at {
	uint8_t *p;
	size_t n;
};

static void
put(struct writer_at *w, const char *text)
{
	size_t n = strlen(text);

	memcpy(w->p + w->n, text, n);
	w->n += n;
}

/* In lines of EST_LINE, or all in one. */
static void
put_base64(struct writer_at *w, struct span s, bool wrap)
{
	struct span piece;

	while (s.n > 0) {
		if (!wrap || !span_take(&s, LINE_OCTETS, &piece)) {
			piece = s;
			s.n = 0;
		}
		w->n +=
		    (size_t)EVP_EncodeBlock(w->p + w->n, piece.p, (int)piece.n);
		if (wrap && s.n > 0)
			put(w, "\r\n");
	}
	put(w, "\r\n");
}

/* No less than what base64 in lines needs, with its NUL. */
static size_t
base64_size(size_t n)
{
	return (n + 2) / 3 * 4 + 2 * (n / LINE_OCTETS + 1) + 1;
}

int
keygen_answer(const struct keygen *k, struct span certs, bool wrap,
    struct span *out, struct err *e)
{
	size_t size =
	    base64_size(k->pkcs8.n) + base64_size(certs.n) +
	    sizeof(PART KEY_TYPE ENCODING PART CERTS_TYPE ENCODING END);
	struct writer_at w = { OPENSSL_secure_malloc(size), 0 };

	if (w.p == NULL)
		return err_set(e, ERR_UNAVAILABLE, "no secure memory is left");
	put(&w, PART KEY_TYPE ENCODING);
	put_base64(&w, k->pkcs8, wrap);
	put(&w, PART CERTS_TYPE ENCODING);
	put_base64(&w, certs, wrap);
	put(&w, END);
	*out = span_of(w.p, w.n);
	return 0;
}

void
keygen_answer_free(struct span body)
{
	OPENSSL_secure_clear_free((void *)(uintptr_t)body.p, body.n);
}
