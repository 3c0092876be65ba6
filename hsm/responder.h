/*
 * What an OCSP responder signs with its host identity key to have a key
 * certified that lives in its memory: the claim that ocspd makes, pubd
 * passes on and signd checks against the responders of keys.yaml.
 */
#ifndef HSM_RESPONDER_H
#define HSM_RESPONDER_H

#include <stdint.h>

#include "base/buf.h"
#include "base/span.h"

/* No responder certificate lives longer, whatever keys.yaml says. */
#define RESPONDER_VALIDITY_MAX_S ((int64_t)7 * 86400)

struct responder_claim {
	const char *host; /* its name in keys.yaml */
	struct span issuer_spki_sha256;
	struct span spki;  /* of the new key, SubjectPublicKeyInfo, DER */
	int64_t not_after; /* the certificate may not outlive this */
};

/*
 * Appends the statement to be signed (P-256, ECDSA with SHA-256, DER): the
 * block "chancery responder 1", then host, issuer hash and SPKI as blocks,
 * then notAfter as 64 bits.
 */
void responder_statement(struct buf *b, const struct responder_claim *c);

#endif
