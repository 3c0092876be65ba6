/*
 * What the ceremony mode signs as a CRL: a complete list for all certificates
 * of the key's own CA certificate, as of now.
 */
#ifndef HSM_PROVISION_CRL_H
#define HSM_PROVISION_CRL_H

#include "hsm/crlcheck.h"
#include "hsm/tosign.h"

/*
 * Reads the TBSCertList 'tbs' as crlcheck_read does and judges it: MALFORMED
 * from there; REFUSED: a delta, a part, a pointer to deltas; another issuer,
 * key identifier or signature algorithm; thisUpdate not within five minutes
 * of this machine's clock, nextUpdate not after it or after the issuer's
 * notAfter; an issuer that is no CA or whose keyUsage lacks cRLSign.
 */
int provision_check_crl(struct span tbs, const struct tosign_cert *issuer,
    struct span sig_alg, struct crlcheck *c, struct err *e) MUST_USE;

#endif
