/*
 * Enrollment secrets: how they are made, stored and compared.  Generated ones
 * have 160 random bits, so that SHA-256 keeps them; those that people choose
 * are kept under scrypt (RFC 7914), computed one at a time in a process.
 */
#ifndef CA_SECRET_H
#define CA_SECRET_H

#include <stdbool.h>

#include "base/err.h"
#include "base/span.h"
#include "db/store_secret.h"

/* A generated secret: 32 characters of base32 (RFC 4648), and the zero. */
#define SECRET_TEXT_SIZE 33

/* What a person chooses, in bytes of UTF-8. */
#define SECRET_CHOSEN_MIN 12
#define SECRET_MAX 255
#define SECRET_NAME_MAX 64

/* Makes one; the caller cleanses 'out'. */
int secret_generate(char out[SECRET_TEXT_SIZE], struct err *e) MUST_USE;

/*
 * Fills in kind, salt and hash for 'text'.  MALFORMED: too short or too long
 * for its kind, or with control characters.
 */
int secret_hash(enum store_secret_kind kind, struct span text,
    struct store_secret *out, struct err *e) MUST_USE;

/* Whether a secret may be called this: visible ASCII without a colon. */
bool secret_name_ok(const char *name);

/*
 * Whether 'text' is the secret; takes as long when it is not.  UNAVAILABLE:
 * too many chosen secrets are being compared at this moment, so that whoever
 * guesses does not keep everybody else waiting.
 */
int secret_matches(const struct store_secret *s, struct span text,
    bool *matches, struct err *e) MUST_USE;

#endif
