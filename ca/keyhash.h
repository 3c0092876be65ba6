/*
 * The hash that a public key is known by, from whatever of it a person has at
 * hand.
 */
#ifndef CA_KEYHASH_H
#define CA_KEYHASH_H

#include <stdint.h>

#include "base/arena.h"
#include "base/err.h"
#include "base/span.h"

#define KEYHASH_SIZE 32

/*
 * SHA-256 of the SubjectPublicKeyInfo in a PEM text: a certificate, a
 * request, a public key, or an unencrypted private key (one that leaked).
 * MALFORMED: nothing of these.
 */
int keyhash_pem(struct arena *a, struct span text, uint8_t out[KEYHASH_SIZE],
    struct err *e) MUST_USE;

#endif
