/*
 * Builds OCSP responses (RFC 6960 4.2, RFC 9919) as DER; libcrypto makes the
 * signature only.  What the statuses are is not decided here.
 */
#ifndef OCSP_RESPONSE_H
#define OCSP_RESPONSE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <openssl/evp.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/span.h"

#define RESPONSE_SIZE_MAX ((size_t)32 * 1024)
#define RESPONSE_KEY_HASH_SIZE 20

/* OCSPResponseStatus of responses without a signature. */
enum response_error {
	RESPONSE_MALFORMED = 1,
	RESPONSE_INTERNAL = 2,
	RESPONSE_TRY_LATER = 3,
	RESPONSE_UNAUTHORIZED = 6
};

/* The whole of such a response; static. */
struct span response_error(enum response_error kind);

/* Who signs: a delegate of one issuer.  Const while it is in use. */
struct delegate {
	EVP_PKEY *key;    /* P-256 */
	struct span cert; /* DER */
	uint8_t key_hash[RESPONSE_KEY_HASH_SIZE];
	int64_t not_before, not_after;
	uint64_t generation; /* another one for another key */
};

enum response_status {
	RESPONSE_GOOD,
	RESPONSE_REVOKED,
	RESPONSE_UNKNOWN,
	/* as revoked, says that it was never issued (RFC 6960 4.4.8) */
	RESPONSE_NOT_ISSUED
};

struct response_single {
	struct span certid; /* DER, as asked */
	enum response_status status;
	int64_t revoked_at;
	int reason;             /* -1: none */
	int64_t archive_cutoff; /* 0: none */
};

struct response {
	const struct response_single *list;
	size_t n;
	int64_t this_update, produced_at, next_update;
	struct span nonce; /* extnValue, or empty */
};

/* Signs for one thread. */
struct signer;
struct signer *signer_new(void);
void signer_free(struct signer *s);

/*
 * Appends the signed response to 'out'.  INTERNAL: libcrypto fails, or it is
 * larger than the buffer may be.
 */
int response_sign(struct signer *s, const struct delegate *d,
    const struct response *r, struct buf *out, struct err *e) MUST_USE;

#endif
