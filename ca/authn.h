/*
 * Evidence into a principal: who asks.  The adapter has checked the
 * message's own cryptography; this decides what that proves.  Secrets and
 * client certificates are judged here for every protocol alike.
 */
#ifndef CA_AUTHN_H
#define CA_AUTHN_H

#include <stddef.h>

#include "base/arena.h"
#include "base/err.h"
#include "base/span.h"
#include "ca/profile.h"
#include "ca/request.h"

struct ctx;

struct principal {
	enum request_evidence_kind kind;
	const char *name; /* "acme:KID", "oper:alice", "secret:NAME" */
};

/* UNAUTHENTICATED when the evidence proves nobody or not this protocol's. */
int authn_principal(struct arena *a, const struct request *req,
    struct principal *out, struct err *e) MUST_USE;

/*
 * The evidence of a client certificate: 'chain' is what the client sent in
 * TLS or CMS, leaf first.  It counts when it is one of ours (of the issuers
 * and within the grace that 'p' names, in our database, not revoked) or leads
 * to a trust anchor of 'p'; purpose and times are checked (RFC 5280 6.1).
 * UNAUTHENTICATED says why not; UNAVAILABLE: the database is away.
 */
int authn_cert(struct ctx *ctx, const struct profile *p,
    const struct span *chain, size_t n, struct request_evidence *out,
    struct err *e) MUST_USE;

/*
 * The evidence of an enrollment secret: 'name' and 'text' are what the client
 * sent.  UNAUTHENTICATED: unknown, wrong, expired, revoked, or not for this
 * profile, in one text for all.  Whether a one-time secret was used up shows
 * when the request is reserved.
 */
int authn_secret(struct ctx *ctx, const struct profile *p, const char *name,
    struct span text, struct request_evidence *out, struct err *e) MUST_USE;

/*
 * A transaction id for protocols that have none of their own: a hash of
 * principal, profile, operation and the request's bytes.
 */
const char *authn_txn(
    struct arena *a, const struct request *req, const char *operation);

#endif
