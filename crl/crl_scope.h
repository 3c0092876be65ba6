/*
 * Which CRLs an issuer has, by its settings: one for all its certificates,
 * or one for each partition, and a delta beside each when certificates are
 * told where (base/crl_partition.h has the rule that certificates follow).
 */
#ifndef CRL_CRL_SCOPE_H
#define CRL_CRL_SCOPE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "ca/issuer.h"
#include "db/store_crl.h"

struct crl_scope {
	char name[STORE_CRL_SCOPE_MAX];  /* "full", "part-N" */
	char delta[STORE_CRL_SCOPE_MAX]; /* "delta", "delta-N" */
	bool full;                       /* all certificates */
	uint32_t partition;              /* unless full */
	/* of the issuingDistributionPoint: none when full (RFC 5280 5.2.5) */
	struct profile_strings point_urls;
	struct profile_strings freshest_urls; /* none: there are no deltas */
};

/* The scopes of 'i', in the arena. */
struct crl_scope *crl_scopes(
    struct arena *a, const struct issuer *i, size_t *n);

/* Whether a certificate of this serial belongs there. */
bool crl_scope_has(
    const struct crl_scope *s, const struct issuer *i, struct span serial);

#endif
