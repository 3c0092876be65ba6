/*
 * TBSCertificate (RFC 5280 4.1) assembled as DER from a plan.
 */
#ifndef CA_TBS_H
#define CA_TBS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/err.h"
#include "base/span.h"
#include "ca/policy.h"

#define TBS_SERIAL_SIZE 16
#define TBS_KEY_ID_SIZE 20

struct tbs_input {
	struct span serial;  /* INTEGER contents octets */
	struct span sig_alg; /* AlgorithmIdentifier, DER */
	struct span issuer;  /* Name, DER */
	struct span key_id;  /* of the issuer; empty in a root */
	const struct policy_plan *plan;
	/* URLs; the profile says whether they are used */
	const struct profile_strings *crl_urls, *ocsp_urls, *ca_issuers_urls;
	const struct profile_strings *freshest_urls; /* NULL: none */
};

/* Assembles the TBSCertificate in the arena. */
int tbs_build(struct arena *a, const struct tbs_input *in, struct span *out,
    struct err *e) MUST_USE;

/*
 * A serial: positive, 16 octets, the second one names node and slot
 * of the signer, the rest is random (118 bits).
 */
int tbs_serial(
    uint8_t slot, uint8_t out[TBS_SERIAL_SIZE], struct err *e) MUST_USE;

/*
 * Key identifier, RFC 7093 method 1: 160 bits of SHA-256 of the key bits of a
 * SubjectPublicKeyInfo that was accepted before.
 */
int tbs_key_id(
    struct span spki, uint8_t out[TBS_KEY_ID_SIZE], struct err *e) MUST_USE;

#endif
