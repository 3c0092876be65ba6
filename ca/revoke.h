/*
 * The revocation pipeline: authenticate, authorise, one transaction (state,
 * change feed, audit).  For the command line, REST, ACME and CMP.
 */
#ifndef CA_REVOKE_H
#define CA_REVOKE_H

#include <stdbool.h>

#include "ca/enroll.h"
#include "ca/request.h"

/* RFC 5280 5.3.1; no reason at all is -1. */
#define REVOKE_REASON_NONE (-1)

struct revoke_request {
	const struct request_evidence *evidence;
	const char *protocol;
	const struct issuer *issuer;
	struct span serial;
	struct span cert; /* the client's copy, DER; empty: serial only */
	int reason;
	/* proofs beside the account: the certificate's own key signed */
	bool key_proven;
};

/*
 * Revokes.  NOT_FOUND: unknown certificate; UNAUTHENTICATED: the principal
 * may not revoke this one; CONFLICT: revoked already; MALFORMED: the reason
 * is not a CRLReason.
 */
int revoke_submit(
    struct ctx *ctx, const struct revoke_request *req, struct err *e) MUST_USE;

/* The CRLReason of a name such as "keyCompromise" or a number, or -2. */
int revoke_reason_named(const char *name);

/* The name of a CRLReason; "none" for -1. */
const char *revoke_reason_name(int reason);

#endif
