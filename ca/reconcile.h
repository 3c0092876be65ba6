/*
 * Open intents: a serial that was recorded but has no certificate, because a
 * process or a machine died in between.  The signer's recall says whether the
 * signature exists: then the certificate is completed; else the hash is
 * barred for good and the intent is given up.
 */
#ifndef CA_RECONCILE_H
#define CA_RECONCILE_H

#include <stdbool.h>

#include "ca/enroll.h"
#include "db/store_cert.h"

/* An intent younger than this may still be in somebody's hands. */
#define RECONCILE_AGE_S 30

/*
 * Settles one intent.  '*issued' tells which way; then 'row' is the
 * certificate as stored.  UNAVAILABLE: signer or database down.
 */
int reconcile_intent(struct ctx *ctx, const struct store_open_intent *in,
    bool *issued, struct store_cert *row, struct err *e) MUST_USE;

/*
 * Settles the open intents that are old enough, at most 'max'; adds to the
 * counts.
 */
int reconcile_all(struct ctx *ctx, size_t max, size_t *issued, size_t *voided,
    struct err *e) MUST_USE;

#endif
