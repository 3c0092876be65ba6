/*
 * The private keys of keys.yaml, opened in one slot process: on tokens and in
 * files alike.
 */
#ifndef HSM_SLOT_KEYS_H
#define HSM_SLOT_KEYS_H

#include <stdbool.h>

#include "base/arena.h"
#include "base/err.h"
#include "hsm/sign_policy.h"

struct slot_keys;

/*
 * Opens every token (under 'lock_path') and key file, and compares each key
 * with its CA certificate.  UNAUTHENTICATED: a PIN is wrong.  'out' is to be
 * freed on failure too.
 */
int slot_keys_open(const struct sign_policy *p, const char *lock_path,
    struct slot_keys **out, struct err *e) MUST_USE;
void slot_keys_free(struct slot_keys *k);

struct slot_job {
	const struct sign_key *key;
	struct span data;   /* or, of an object that is long: */
	struct span digest; /* its digest by the key's algorithm */
	bool verify;        /* the signature before it is handed out */
};

/*
 * Signs; a key's first signature, and every one with
 * 'verify' is verified.  UNAVAILABLE with '*lost': the process has to go.
 */
int slot_keys_sign(struct slot_keys *k, struct arena *a,
    const struct slot_job *job, struct span *sig, bool *lost,
    struct err *e) MUST_USE;

#endif
