/*
 * The CRLs that this machine has from before: what they say is revoked was
 * revoked, whatever a database says later.  Only complete lists count whose
 * signature is that of one of our issuers.
 */
#ifndef OCSP_CRL_BOUND_H
#define OCSP_CRL_BOUND_H

#include <stddef.h>
#include <stdint.h>

#include "base/span.h"
#include "ocsp/authority.h"

struct crl_bound_entry {
	const struct authority *issuer;
	struct span serial;  /* contents octets of the INTEGER */
	int reason;          /* -1: none; never certificateHold */
	int64_t this_update; /* of the list */
};

/*
 * Calls 'fn' for every certificate that a list below 'dir' (*.crl, also in
 * directories of it) has as revoked for good.  Lists that are damaged or of
 * others are passed over.  Returns how many lists counted.
 */
size_t crl_bound_each(const char *dir, const struct authority *list, size_t n,
    void (*fn)(void *arg, const struct crl_bound_entry *entry), void *arg);

#endif
