#include "protocols/acme/nonce.h"

#include <string.h>

#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/kdf.h>
#include <openssl/params.h>
#include <openssl/rand.h>

#include "base/auto.h"
#include "base/b64.h"
#include "base/clock.h"

AUTO_DEFINE(EVP_KDF, EVP_KDF_free);
AUTO_DEFINE(EVP_KDF_CTX, EVP_KDF_CTX_free);

#define MAC_SIZE 16
#define BODY_SIZE (8 + NONCE_ID_SIZE)

int
nonce_key_derive(struct span secret, struct nonce_key *out, struct err *e)
{
	char digest[] = "SHA256", info[] = "chancery acme nonce";
	AUTO(EVP_KDF) kdf = EVP_KDF_fetch(NULL, "HKDF", NULL);
	AUTO(EVP_KDF_CTX) ctx = EVP_KDF_CTX_new(kdf);
	OSSL_PARAM params[] = {
		OSSL_PARAM_construct_utf8_string(
		    OSSL_KDF_PARAM_DIGEST, digest, 0),
		OSSL_PARAM_construct_octet_string(
		    OSSL_KDF_PARAM_KEY, (void *)(uintptr_t)secret.p, secret.n),
		OSSL_PARAM_construct_octet_string(
		    OSSL_KDF_PARAM_INFO, info, sizeof(info) - 1),
		OSSL_PARAM_construct_end(),
	};

	if (ctx == NULL ||
	    EVP_KDF_derive(ctx, out->bytes, NONCE_KEY_SIZE, params) != 1)
		return err_set(e, ERR_INTERNAL, "nonce key cannot be derived");
	return 0;
}

static int
mac(const struct nonce_key *k, const uint8_t body[BODY_SIZE],
    uint8_t out[MAC_SIZE], struct err *e)
{
	uint8_t full[EVP_MAX_MD_SIZE];
	unsigned n = sizeof(full);

	if (HMAC(EVP_sha256(), k->bytes, NONCE_KEY_SIZE, body, BODY_SIZE, full,
		&n) == NULL)
		return err_set(e, ERR_INTERNAL, "nonce MAC failed");
	memcpy(out, full, MAC_SIZE);
	return 0;
}

int
nonce_new(
    const struct nonce_key *k, struct arena *a, const char **out, struct err *e)
{
	uint8_t raw[BODY_SIZE + MAC_SIZE];
	uint64_t now = (uint64_t)clock_now();
	int i;

	for (i = 0; i < 8; i++)
		raw[i] = (uint8_t)(now >> (8 * (7 - i)));
	if (RAND_bytes(raw + 8, NONCE_ID_SIZE) != 1)
		return err_set(e, ERR_INTERNAL, "no random bytes");
	if (mac(k, raw, raw + BODY_SIZE, e) == -1)
		return -1;
	*out = b64url_encode(a, span_of(raw, sizeof(raw)));
	return 0;
}

int
nonce_check(const struct nonce_key *k, struct arena *a, const char *text,
    uint8_t id[NONCE_ID_SIZE], int64_t *expires, struct err *e)
{
	uint8_t want[MAC_SIZE];
	struct span raw, time;
	uint64_t made;

	if (b64url_decode(a, span_str(text), &raw, e) == -1)
		return err_prefix(e, "nonce");
	if (raw.n != BODY_SIZE + MAC_SIZE)
		return err_set(e, ERR_REFUSED, "nonce is not one of ours");
	if (mac(k, raw.p, want, e) == -1)
		return -1;
	if (CRYPTO_memcmp(want, raw.p + BODY_SIZE, MAC_SIZE) != 0)
		return err_set(e, ERR_REFUSED, "nonce is not one of ours");
	time = span_of(raw.p, 8);
	if (!span_u64(&time, &made) ||
	    (int64_t)made + NONCE_LIFETIME_S < clock_now())
		return err_set(e, ERR_REFUSED, "nonce is too old");
	memcpy(id, raw.p + 8, NONCE_ID_SIZE);
	*expires = (int64_t)made + NONCE_LIFETIME_S;
	return 0;
}
