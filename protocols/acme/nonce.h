/*
 * Anti-replay nonces (RFC 8555 6.5): time, random bytes and a MAC under a key
 * derived from the cluster secret, so that every node knows its own and
 * nothing is stored until one is used.
 */
#ifndef PROTOCOLS_ACME_NONCE_H
#define PROTOCOLS_ACME_NONCE_H

#include <stdint.h>

#include "base/arena.h"
#include "base/err.h"
#include "base/span.h"

#define NONCE_LIFETIME_S 3600
#define NONCE_KEY_SIZE 32
#define NONCE_ID_SIZE 16

struct nonce_key {
	uint8_t bytes[NONCE_KEY_SIZE];
};

/* Derives the MAC key from the cluster secret (HKDF, RFC 5869). */
int nonce_key_derive(
    struct span secret, struct nonce_key *out, struct err *e) MUST_USE;

/* A new nonce as base64url text in the arena. */
int nonce_new(const struct nonce_key *k, struct arena *a, const char **out,
    struct err *e) MUST_USE;

/*
 * Checks text, age and MAC and gives the identity that is stored when it is
 * used.  MALFORMED: not base64url; REFUSED: not ours or too old.
 */
int nonce_check(const struct nonce_key *k, struct arena *a, const char *text,
    uint8_t id[NONCE_ID_SIZE], int64_t *expires, struct err *e) MUST_USE;

#endif
