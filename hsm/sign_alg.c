#include "hsm/sign_alg.h"

#include <string.h>

#include <openssl/core_names.h>
#include <openssl/err.h>

#include "base/auto.h"

AUTO_DEFINE(EVP_MD_CTX, EVP_MD_CTX_free);
AUTO_DEFINE(EVP_PKEY_CTX, EVP_PKEY_CTX_free);

/* RFC 4055 section 5, RFC 5758 section 3.2 */
static const uint8_t rsa_sha256[] = { 0x30, 0x0d, 0x06, 0x09, 0x2a, 0x86, 0x48,
	0x86, 0xf7, 0x0d, 0x01, 0x01, 0x0b, 0x05, 0x00 };
static const uint8_t ecdsa_sha256[] = { 0x30, 0x0a, 0x06, 0x08, 0x2a, 0x86,
	0x48, 0xce, 0x3d, 0x04, 0x03, 0x02 };
static const uint8_t ecdsa_sha384[] = { 0x30, 0x0a, 0x06, 0x08, 0x2a, 0x86,
	0x48, 0xce, 0x3d, 0x04, 0x03, 0x03 };

static EVP_MD *sha256, *sha384;

static int
fetch_digests(struct err *e)
{
	if (sha256 == NULL)
		sha256 = EVP_MD_fetch(NULL, "SHA256", NULL);
	if (sha384 == NULL)
		sha384 = EVP_MD_fetch(NULL, "SHA384", NULL);
	if (sha256 == NULL || sha384 == NULL)
		return err_set(
		    e, ERR_INTERNAL, "libcrypto has no SHA-256 or SHA-384");
	return 0;
}

static int
rsa_of(const EVP_PKEY *key, struct sign_alg *out, struct err *e)
{
	int bits = EVP_PKEY_get_bits(key);

	if (bits < 2048 || bits > 4096 || bits % 8 != 0)
		return err_set(
		    e, ERR_BAD_KEY, "RSA key of %d bits is not served", bits);
	*out = (struct sign_alg){ .name = bits == 2048   ? "RSA-2048"
					  : bits == 3072 ? "RSA-3072"
					  : bits == 4096 ? "RSA-4096"
							 : "RSA",
		.rsa = true,
		.bits = (size_t)bits,
		.sig_alg = span_of(rsa_sha256, sizeof(rsa_sha256)),
		.md = sha256 };
	return 0;
}

int
sign_alg_of(const EVP_PKEY *key, struct sign_alg *out, struct err *e)
{
	char group[32] = "";

	if (fetch_digests(e) != 0)
		return -1;
	if (EVP_PKEY_is_a(key, "RSA"))
		return rsa_of(key, out, e);
	if (EVP_PKEY_is_a(key, "EC"))
		(void)EVP_PKEY_get_group_name(key, group, sizeof(group), NULL);
	if (strcmp(group, "prime256v1") == 0) {
		*out = (struct sign_alg){ .name = "P-256",
			.bits = 256,
			.sig_alg = span_of(ecdsa_sha256, sizeof(ecdsa_sha256)),
			.md = sha256 };
		return 0;
	}
	if (strcmp(group, "secp384r1") == 0) {
		*out = (struct sign_alg){ .name = "P-384",
			.bits = 384,
			.sig_alg = span_of(ecdsa_sha384, sizeof(ecdsa_sha384)),
			.md = sha384 };
		return 0;
	}
	return err_set(e, ERR_BAD_KEY, "key is not RSA, P-256 or P-384");
}

int
sign_alg_verify(const struct sign_alg *alg, EVP_PKEY *key, struct span data,
    struct span sig, struct err *e)
{
	AUTO(EVP_MD_CTX) ctx = EVP_MD_CTX_new();
	bool good;

	(void)ERR_set_mark();
	good = ctx != NULL &&
	       EVP_DigestVerifyInit(ctx, NULL, alg->md, NULL, key) == 1 &&
	       EVP_DigestVerify(ctx, sig.p, sig.n, data.p, data.n) == 1;
	(void)ERR_pop_to_mark();
	if (!good)
		return err_set(
		    e, ERR_BAD_KEY, "signature does not fit the public key");
	return 0;
}

int
sign_alg_digest(const struct sign_alg *alg, struct span data,
    uint8_t out[SIGN_DIGEST_MAX], size_t *n, struct err *e)
{
	unsigned len = 0;

	if (EVP_Digest(data.p, data.n, out, &len, alg->md, NULL) != 1)
		return err_set(e, ERR_INTERNAL, "digest failed");
	*n = len;
	return 0;
}

int
sign_alg_verify_digest(const struct sign_alg *alg, EVP_PKEY *key,
    struct span digest, struct span sig, struct err *e)
{
	AUTO(EVP_PKEY_CTX) ctx = EVP_PKEY_CTX_new(key, NULL);
	bool good;

	(void)ERR_set_mark();
	good = ctx != NULL && EVP_PKEY_verify_init(ctx) == 1 &&
	       EVP_PKEY_CTX_set_signature_md(ctx, alg->md) == 1 &&
	       EVP_PKEY_verify(ctx, sig.p, sig.n, digest.p, digest.n) == 1;
	(void)ERR_pop_to_mark();
	if (!good)
		return err_set(
		    e, ERR_BAD_KEY, "signature does not fit the public key");
	return 0;
}
