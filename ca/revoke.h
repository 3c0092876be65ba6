/*
 * The revocation pipeline: authenticate, authorise, one transaction (state,
 * change feed, audit).  For the command line, REST, ACME and CMP.
 */
#ifndef CA_REVOKE_H
#define CA_REVOKE_H

#include <stdbool.h>
#include <stdint.h>

#include "ca/enroll.h"
#include "ca/request.h"
#include "db/store_revoke.h"

/* RFC 5280 5.3.1; no reason at all is -1. */
#define REVOKE_REASON_NONE (-1)
/* Not a reason to revoke: it asks for the release of a hold. */
#define REVOKE_REASON_REMOVE 8

struct revoke_request {
	const struct request_evidence *evidence;
	const char *protocol;
	const struct issuer *issuer;
	struct span serial;
	struct span cert; /* the client's copy, DER; empty: serial only */
	int reason;
	int64_t invalidity_at; /* RFC 5280 5.3.2, seconds; 0: not known */
	/* proofs beside the account: the certificate's own key signed */
	bool key_proven;
};

/*
 * Revokes: a good certificate, one on hold for good, or, for the operator and
 * whoever has the key, changes the reason to keyCompromise; the first date
 * stays.  keyCompromise also blocks the key, unless nothing but the names was
 * proven (whoever gets a name must not block somebody else's key).
 * REVOKE_REASON_REMOVE is revoke_release.
 *
 * NOT_FOUND: unknown certificate; UNAUTHENTICATED: the principal may not
 * revoke this one; CONFLICT: revoked already; MALFORMED: the reason is not a
 * CRLReason, or the invalidity date lies in the future.
 */
int revoke_submit(
    struct ctx *ctx, const struct revoke_request *req, struct err *e) MUST_USE;

/*
 * Ends a hold; operators only.  CONFLICT: not revoked; REFUSED: revoked for
 * good; otherwise as revoke_submit.
 */
int revoke_release(
    struct ctx *ctx, const struct revoke_request *req, struct err *e) MUST_USE;

/* Revoking what a search finds, or all certificates of a key. */
struct revoke_many {
	const struct request_evidence *evidence;
	const char *protocol;
	struct store_revoke_query query; /* with the reason */
	int64_t invalidity_at;
	void (*progress)(void *arg, uint64_t done); /* or NULL */
	void *arg;
	uint64_t done, before; /* out: revoked, found revoked already */
};

/*
 * How many certificates revoke_all would change.  Operators only; MALFORMED:
 * the search restricts nothing.
 */
int revoke_count(struct ctx *ctx, const struct revoke_many *m, uint64_t *n,
    struct err *e) MUST_USE;

/*
 * Revokes them in batches, each a transaction or two.  After a failure
 * 'done' says how far it came; calling it again goes on, because what is
 * revoked is no more found.
 */
int revoke_all(struct ctx *ctx, struct revoke_many *m, struct err *e) MUST_USE;

/*
 * Blocks the key of 'm->query.key', then revokes all of its certificates.
 * 'blocked' says whether it was blocked before.
 */
int revoke_key(struct ctx *ctx, struct revoke_many *m, bool *blocked,
    struct err *e) MUST_USE;

/*
 * Revokes the certificates that were under way while their key was blocked,
 * in the last hour.  For housekeeping; 'n' counts them.
 */
int revoke_late(struct ctx *ctx, uint64_t *n, struct err *e) MUST_USE;

/*
 * Revokes as superseded what a transaction issued, before the pipeline issues
 * another certificate in it: for keys that were made here and that nobody has
 * any more (RFC 7030 4.4).  Nothing issued, or revoked already, is no error.
 */
int revoke_superseded(struct ctx *ctx, const char *protocol, const char *txn,
    struct err *e) MUST_USE;

/* Revokes a certificate that was just stored when its key is blocked. */
int revoke_if_blocked(
    struct ctx *ctx, const struct store_cert *row, struct err *e) MUST_USE;

/* The CRLReason of a name such as "keyCompromise" or a number, or -2. */
int revoke_reason_named(const char *name);

/* The name of a CRLReason; "none" for -1. */
const char *revoke_reason_name(int reason);

#endif
