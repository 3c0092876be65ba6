/*
 * The signature algorithms that the signing service uses: which one a key
 * has, its AlgorithmIdentifier and its digest, fetched once.
 */
#ifndef HSM_SIGN_ALG_H
#define HSM_SIGN_ALG_H

#include <stddef.h>
#include <stdint.h>

#include <openssl/evp.h>

#include "base/err.h"
#include "base/span.h"

struct sign_alg {
	const char *name; /* "RSA-2048" ... "P-256", "P-384" */
	bool rsa;
	size_t bits;         /* of the modulus or the order */
	struct span sig_alg; /* AlgorithmIdentifier, DER */
	const EVP_MD *md;    /* fetched, lives for ever */
};

/*
 * The algorithm for 'key': sha256WithRSAEncryption (2048 to 4096 bits in
 * whole octets), ecdsa-with-SHA256 on P-256, ecdsa-with-SHA384 on P-384.
 * BAD_KEY for any other key.
 */
int sign_alg_of(
    const EVP_PKEY *key, struct sign_alg *out, struct err *e) MUST_USE;

/* Verifies 'sig' over 'data' under 'key'; BAD_KEY when it is wrong. */
int sign_alg_verify(const struct sign_alg *alg, EVP_PKEY *key, struct span data,
    struct span sig, struct err *e) MUST_USE;

#define SIGN_DIGEST_MAX 64

/* The algorithm's digest of 'data', which may be long: '*n' octets. */
int sign_alg_digest(const struct sign_alg *alg, struct span data,
    uint8_t out[SIGN_DIGEST_MAX], size_t *n, struct err *e) MUST_USE;

/* As sign_alg_verify, over what sign_alg_digest gave. */
int sign_alg_verify_digest(const struct sign_alg *alg, EVP_PKEY *key,
    struct span digest, struct span sig, struct err *e) MUST_USE;

#endif
