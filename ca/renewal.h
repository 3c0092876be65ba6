/*
 * Renewal with a certificate as evidence: what is asked must be what the old
 * certificate says (RFC 7030 4.2.2), or ask for the change in the way of
 * RFC 6402 2.8.
 */
#ifndef CA_RENEWAL_H
#define CA_RENEWAL_H

#include "base/err.h"
#include "ca/profile.h"
#include "ca/request.h"

/*
 * Checks 'want' against the certificate that 'ev' shows: subject by name
 * matching (RFC 5280 7.1), alternative names as sets, the same profile.
 * With ChangeSubjectName 'want' gets the new names; whether the client may
 * have them is the pipeline's to say.  UNAUTHENTICATED: no certificate of
 * ours; REFUSED: other names or another profile.
 */
int renewal_check(const struct profile *p, const struct request_evidence *ev,
    struct request_want *want, struct err *e) MUST_USE;

#endif
