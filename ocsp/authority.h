/*
 * The issuers that a responder answers for, found by the hashes of a CertID
 * (RFC 6960 4.1.1).  Made once, then const.
 */
#ifndef OCSP_AUTHORITY_H
#define OCSP_AUTHORITY_H

#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/err.h"
#include "base/span.h"
#include "ocsp/ocsp_req.h"

#define AUTHORITY_HASH_MAX 64

struct authority {
	const char *name; /* in the settings */
	_Atomic int id;   /* row id; 0 until it is known */
	struct span cert; /* DER */
	int64_t not_before, not_after;
	uint8_t spki_sha256[32];
	/* of its Name and its key's bits, by enum ocsp_hash */
	uint8_t name_hash[OCSP_HASH__COUNT][AUTHORITY_HASH_MAX];
	uint8_t key_hash[OCSP_HASH__COUNT][AUTHORITY_HASH_MAX];
};

/*
 * Reads a CA certificate (DER, borrowed).  MALFORMED: it is none.
 */
int authority_init(struct arena *a, const char *name, struct span cert,
    struct authority *out, struct err *e) MUST_USE;

/* The index of the issuer that a CertID names, or -1: it is none of these. */
int authority_find(
    const struct authority *list, size_t n, const struct ocsp_certid *id);

#endif
