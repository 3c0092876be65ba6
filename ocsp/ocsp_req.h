/*
 * Reads an OCSPRequest (RFC 6960 4.1.1) without allocating: the one decoder
 * of DER that is written by hand, because it sees every request and every
 * attacker.  It accepts DER only; tests/fuzz/fuzz_ocsp.c holds it against
 * libcrypto's templates.  What a responder ignores anyway (requestorName,
 * signature) is stepped over and not looked into.
 */
#ifndef OCSP_OCSP_REQ_H
#define OCSP_OCSP_REQ_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/span.h"

#define OCSP_REQ_CERTIDS_MAX 32
#define OCSP_REQ_SIZE_MAX ((size_t)8192)

/* Nonces that are repeated in the answer (RFC 9654 2.1), in octets. */
#define OCSP_NONCE_MIN 16
#define OCSP_NONCE_MAX 32

enum ocsp_hash {
	OCSP_HASH_SHA1,
	OCSP_HASH_SHA256,
	OCSP_HASH_SHA384,
	OCSP_HASH_SHA512,
	OCSP_HASH__COUNT,
	OCSP_HASH_OTHER = OCSP_HASH__COUNT
};

struct ocsp_certid {
	struct span der; /* the CertID as asked, to be repeated */
	enum ocsp_hash hash;
	struct span name_hash, key_hash;
	struct span serial; /* contents octets of the INTEGER */
};

struct ocsp_req {
	struct ocsp_certid ids[OCSP_REQ_CERTIDS_MAX];
	size_t n;
	struct span nonce; /* extnValue to repeat verbatim, or empty */
	/* the parts that count, for comparison with other decoders */
	struct span version, list, exts;
	bool ignored; /* there was a requestorName or a signature */
};

/*
 * Reads a request; 'out' borrows from 'der'.  MALFORMED: not DER, a tail, a
 * version other than v1, none or more than OCSP_REQ_CERTIDS_MAX CertIDs, a
 * critical extension that is not understood (RFC 6960 4.4), a nonce of 0 or
 * more than 128 octets (RFC 9654 2.1).
 */
int ocsp_req_parse(
    struct span der, struct ocsp_req *out, struct err *e) MUST_USE;

/*
 * Decodes the last part of the path of a GET (RFC 6960 A.1): base64 with
 * padding or without, any octet of it percent-encoded or not, any number of
 * slashes before it.  '*n' is the length written to 'out'.  MALFORMED: not
 * that, or more than 'size' octets.
 */
int ocsp_req_decode_path(const char *text, uint8_t *out, size_t size, size_t *n,
    struct err *e) MUST_USE;

/* The octets of the digest that 'hash' makes; 0 for OCSP_HASH_OTHER. */
size_t ocsp_hash_size(enum ocsp_hash hash);

#endif
