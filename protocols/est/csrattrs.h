/*
 * CSR attributes: what a request for a profile should look like, for clients
 * that ask before they make one.  In the list of RFC 7030 4.5.2 as RFC 8951
 * and RFC 9908 3.2 correct it, and as the template of RFC 9908 3.4 in it.
 */
#ifndef PROTOCOLS_EST_CSRATTRS_H
#define PROTOCOLS_EST_CSRATTRS_H

#include "base/arena.h"
#include "base/err.h"
#include "base/span.h"
#include "ca/profile.h"

/*
 * The CsrAttrs (DER) of a profile in the arena.  Of several allowed keys the
 * one asked for is the first curve, else Ed25519, else RSA of the least size.
 * INTERNAL: too long.
 */
int csrattrs_encode(struct arena *a, const struct profile *p, struct span *out,
    struct err *e) MUST_USE;

#endif
