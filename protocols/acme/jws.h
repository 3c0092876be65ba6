/*
 * JSON Web Signatures and keys as ACME uses them (RFC 8555 6.2, RFC 7515,
 * 7517, 7518, 7638): flattened serialization only, asymmetric algorithms
 * only.
 */
#ifndef PROTOCOLS_ACME_JWS_H
#define PROTOCOLS_ACME_JWS_H

#include <jansson.h>
#include <stdbool.h>

#include "base/arena.h"
#include "base/err.h"
#include "base/span.h"

/* A public key. */
struct jwk {
	const char *json;       /* required members only, RFC 7638 order */
	const char *thumbprint; /* base64url of SHA-256 of json */
	struct span spki;       /* SubjectPublicKeyInfo, DER */
};

struct jws {
	const char *alg, *nonce, *url;
	const char *kid; /* or NULL, then 'jwk' counts */
	struct jwk jwk;
	struct span signing_input; /* protected "." payload */
	struct span payload;       /* decoded */
	struct span signature;
};

/*
 * Takes a request body apart.  MALFORMED: not a flattened JWS, or members
 * that ACME forbids; BAD_KEY: a jwk that cannot be used.
 */
int jws_parse(
    struct arena *a, struct span body, struct jws *out, struct err *e) MUST_USE;

/* Whether we take the algorithm (RFC 7518 name). */
bool jws_alg_known(const char *alg);

/* The names of all algorithms that we take; the caller owns it. */
json_t *jws_algorithms(void);

/*
 * Checks the signature with 'key'.  BAD_POP: wrong; BAD_KEY: the algorithm
 * does not fit the key.
 */
int jws_verify(struct arena *a, const struct jws *j, const struct jwk *key,
    struct err *e) MUST_USE;

/*
 * Reads a key.  MALFORMED: members wrong or of the wrong length; BAD_KEY: not
 * RSA, EC or Ed25519, too weak, or a point off its curve.
 */
int jwk_parse(
    struct arena *a, const json_t *v, struct jwk *out, struct err *e) MUST_USE;

/* As jwk_parse from text. */
int jwk_parse_text(
    struct arena *a, const char *text, struct jwk *out, struct err *e) MUST_USE;

/* The key of a SubjectPublicKeyInfo; BAD_KEY as pubkey_open. */
int jwk_from_spki(
    struct arena *a, struct span spki, struct jwk *out, struct err *e) MUST_USE;

#endif
