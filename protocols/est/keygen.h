/*
 * Keys that are made for clients (RFC 7030 4.4).  A private key exists here
 * and in the answer, in secure memory, until that was sent; it is never
 * stored, logged or shown to the database.  Encoding and sending make copies
 * for a moment in memory of libcrypto and GnuTLS that may be swapped.
 */
#ifndef PROTOCOLS_EST_KEYGEN_H
#define PROTOCOLS_EST_KEYGEN_H

#include <stdbool.h>

#include "base/arena.h"
#include "base/err.h"
#include "base/span.h"

/* The media type of keygen_answer. */
#define KEYGEN_MEDIA_TYPE "multipart/mixed; boundary=chancery-serverkeygen"

/* RSA keys that are made at once, in a process: each takes a second or more. */
#define KEYGEN_RSA_MAX 4

/*
 * Reserves memory that is not swapped, for as many keys as are under way at
 * once; once in a process, before its sandbox.  False: there is none, keys
 * are then only cleansed.
 */
bool keygen_init(void);

struct keygen {
	struct span pkcs8; /* PrivateKeyInfo (RFC 5958); secret */
	struct span spki;  /* in the arena */
};

/*
 * Makes a key of this type ("P-256", "rsa:3072", "ed25519"), freed with
 * keygen_clear.  UNAVAILABLE: no secure memory is left, too many RSA keys are
 * being made, or no such type.
 */
int keygen_make(struct arena *a, const char *type, struct keygen *out,
    struct err *e) MUST_USE;

/* Cleanses and frees. */
void keygen_clear(struct keygen *k);

/*
 * MALFORMED when a request (DER) cannot be read, or asks for a key in
 * encrypted form (RFC 7030 4.4.1.1, 4.4.1.2).
 */
int keygen_check_plain(struct span csr, struct err *e) MUST_USE;

/*
 * The answer's body: the key and 'certs', a certs-only message, in base64
 * ('wrap': in lines).  In secure memory; freed with keygen_answer_free.
 */
int keygen_answer(const struct keygen *k, struct span certs, bool wrap,
    struct span *out, struct err *e) MUST_USE;
void keygen_answer_free(struct span body);

#endif
