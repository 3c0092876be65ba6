/*
 * PKCS#11: opens a token, finds a key by its CKA_ID and signs.  libp11 loads
 * the module, finds the token and logs in; keys are found, used and made by
 * the module's own functions, because libp11 can neither look a key up by
 * CKA_ID, nor say that a session is lost, nor make an EC key.
 *
 * One context per module and process, made after the fork and kept: a lost
 * session ends the process, and its replacement logs in anew.
 */
#ifndef HSM_TOKEN_H
#define HSM_TOKEN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <openssl/evp.h>

#include "base/arena.h"
#include "base/err.h"
#include "base/span.h"
#include "hsm/sign_alg.h"

#define TOKEN_ID_MAX 64

/* What an RFC 7512 URI says: which token, which key. */
struct token_uri {
	char token[33], serial[17], manufacturer[33], model[17];
	char object[128];
	uint8_t id[TOKEN_ID_MAX];
	size_t id_n;
};

/*
 * Parses "pkcs11:..."; path attributes that choose something else than a
 * private key, and an id that is missing, are MALFORMED.  pin-value and
 * pin-source are refused: the PIN is no part of a name.
 */
int token_uri_parse(
    const char *text, struct token_uri *out, struct err *e) MUST_USE;

struct token;
struct token_key;

/* How a token is opened. */
struct token_conf {
	const char *module;
	const struct token_uri *uri; /* which token of the module */
	const char *pin;
	const char *lock_path; /* flock around Initialize and Login */
	bool write;            /* to make keys */
};

/*
 * Loads the module, finds the token and logs in.  UNAUTHENTICATED: the PIN
 * is wrong or locked, so nobody may try again by himself; UNAVAILABLE: no
 * such module or token.  The module stays loaded as long as the process.
 */
int token_open(
    const struct token_conf *conf, struct token **out, struct err *e) MUST_USE;

/* Closes the session; NULL is allowed.  Its keys must be freed before. */
void token_close(struct token *t);

/*
 * The one private key with the URI's CKA_ID, proved to belong to 'public' by
 * its attributes and by a signature over random bytes.  NOT_FOUND, BAD_KEY,
 * UNAVAILABLE.
 */
int token_find(struct token *t, const struct token_uri *uri, EVP_PKEY *public,
    struct token_key **out, struct err *e) MUST_USE;

/* Forgets the key (it stays on the token); NULL is allowed. */
void token_key_free(struct token_key *k);

/*
 * Signs 'data' into the arena.  UNAVAILABLE with '*lost' true: session, login
 * or token are gone, and this process has to go too.
 */
int token_sign(struct token_key *k, struct arena *a, struct span data,
    struct span *sig, bool *lost, struct err *e) MUST_USE;

/* As token_sign, over the digest of the key's algorithm. */
int token_sign_digest(struct token_key *k, struct arena *a, struct span digest,
    struct span *sig, bool *lost, struct err *e) MUST_USE;

/* A token that is to be initialised. */
struct token_init {
	const char *module, *label;
	const char *so_pin, *pin;
};

/*
 * Gives the first token that has none this label and these PINs; '*there':
 * one of that label exists, nothing was done.  NOT_FOUND: no free token.
 */
int token_init(const struct token_init *t, bool *there, struct err *e) MUST_USE;

/*
 * Makes a key pair ("P-256", "P-384", "RSA-2048" to "RSA-4096") under the
 * URI's id and object label: not extractable, for signing only.  CONFLICT
 * when the id is taken.
 */
int token_make(struct token *t, const struct token_uri *uri,
    const char *algorithm, struct err *e) MUST_USE;

/* The public key of the pair with the URI's id; the caller frees it. */
int token_public(struct token *t, const struct token_uri *uri, EVP_PKEY **out,
    struct err *e) MUST_USE;

/* Attributes of the private key as "name=value" lines, in the arena. */
int token_attributes(struct token *t, const struct token_uri *uri,
    struct arena *a, const char **out, struct err *e) MUST_USE;

#endif
