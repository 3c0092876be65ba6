/*
 * A certificate as a database row: what is stored beside the DER is read from
 * the DER, never from the request.
 */
#ifndef CA_CERTROW_H
#define CA_CERTROW_H

#include "base/arena.h"
#include "base/err.h"
#include "base/span.h"
#include "ca/issuer.h"
#include "db/store_cert.h"

/*
 * Wraps TBS and signature and fills the members of 'row' that follow from
 * them: der, fingerprint, serial, times, subject, key hash and names.  The
 * TBS is one that lint or the signer has accepted.
 */
int certrow_fill(struct arena *a, const struct issuer *issuer, struct span tbs,
    struct span signature, struct store_cert *row, struct err *e) MUST_USE;

#endif
