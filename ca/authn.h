/*
 * Evidence into a principal: who asks.  The adapter has checked the
 * message's own cryptography; this decides what that proves.
 */
#ifndef CA_AUTHN_H
#define CA_AUTHN_H

#include "base/arena.h"
#include "base/err.h"
#include "ca/request.h"

struct principal {
	enum request_evidence_kind kind;
	const char *name; /* "acme:KID", "oper:alice", "internal:enrolld" */
};

/* UNAUTHENTICATED when the evidence proves nobody or not this protocol's. */
int authn_principal(struct arena *a, const struct request *req,
    struct principal *out, struct err *e) MUST_USE;

#endif
