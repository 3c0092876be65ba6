/*
 * Public keys of requests: what kind they are, whether they are sound, and a
 * verified signature with them.  The key is built once, by fromdata or
 * set1_encoded_public_key, never through the decoder (150 us in OpenSSL 3.0).
 */
#ifndef CA_PUBKEY_H
#define CA_PUBKEY_H

#include <stdint.h>

#include <openssl/evp.h>

#include "base/auto.h"
#include "base/err.h"
#include "base/span.h"

AUTO_DEFINE(EVP_PKEY, EVP_PKEY_free);

enum pubkey_type {
	PUBKEY_RSA,
	PUBKEY_EC,
	PUBKEY_ED25519
};

struct pubkey {
	enum pubkey_type type;
	const char *name; /* "RSA-2048", "P-256", "Ed25519" */
	unsigned bits;
	struct span octets; /* of the BIT STRING; borrowed */
	EVP_PKEY *key;      /* owned */
};

/*
 * Builds the key of a SubjectPublicKeyInfo.  BAD_KEY: an algorithm or curve
 * that we do not know, wrong parameters, a point that is not on its curve or
 * not uncompressed, an RSA key with an even or small exponent, an even
 * modulus or one that is not 2048 to 8192 bits in whole octets.
 */
int pubkey_open(struct span spki, struct pubkey *out, struct err *e) MUST_USE;
void pubkey_clear(struct pubkey *k);

/*
 * Checks a signature over 'message' made with 'sig_alg' (AlgorithmIdentifier,
 * DER).  BAD_POP: it is wrong; BAD_KEY: the algorithm does not fit the key or
 * is too weak (MD5, SHA-1).
 */
int pubkey_verify(const struct pubkey *k, struct span sig_alg,
    struct span message, struct span signature, struct err *e) MUST_USE;

#endif
