/*
 * Software keys: an encrypted PKCS#8 file (RFC 5958, PEM), with the verbs of
 * hsm/token.h.  An unencrypted file is refused.
 */
#ifndef HSM_KEYFILE_H
#define HSM_KEYFILE_H

#include <openssl/evp.h>

#include "base/arena.h"
#include "base/err.h"
#include "base/span.h"
#include "hsm/sign_alg.h"

struct keyfile;

/* Opens the file; UNAVAILABLE: cannot be read or decrypted; BAD_KEY. */
int keyfile_open(const char *path, const char *passphrase, struct keyfile **out,
    struct err *e) MUST_USE;
void keyfile_free(struct keyfile *k);

/* The public key; the caller frees it. */
EVP_PKEY *keyfile_public(const struct keyfile *k);

/* Signs 'data' into the arena. */
int keyfile_sign(struct keyfile *k, struct arena *a, struct span data,
    struct span *sig, struct err *e) MUST_USE;

/* As keyfile_sign, over the digest of the key's algorithm. */
int keyfile_sign_digest(struct keyfile *k, struct arena *a, struct span digest,
    struct span *sig, struct err *e) MUST_USE;

/*
 * Makes a key ("P-256", "P-384", "RSA-2048" to "RSA-4096") and writes the
 * file, which must not exist yet, with mode 0400.
 */
int keyfile_make(const char *path, const char *passphrase,
    const char *algorithm, struct err *e) MUST_USE;

#endif
