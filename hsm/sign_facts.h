/*
 * A TBSCertificate taken apart once, for all classes that may judge it.
 */
#ifndef HSM_SIGN_FACTS_H
#define HSM_SIGN_FACTS_H

#include "hsm/tosign.h"

struct sign_facts {
	struct tosign_cert cert;
	struct tosign_attr *subject;
	size_t n_subject;
	struct tosign_general_name *san;
	size_t n_san;
	struct span *eku;
	size_t n_eku;
	uint32_t key_usage;
	bool ca;
	int64_t path_len;
	struct tosign_access *aia;
	size_t n_aia;
	struct span aia_der;
	struct tosign_dp *dps[2]; /* cRLDistributionPoints, freshestCRL */
	size_t n_dps[2];
	struct span dp_der[2];
	struct span aki;
	bool has_aki, nocheck;
};

/*
 * Reads 'tbs'; 'f' lives in the arena.  MALFORMED as tosign_cert_parse and
 * when a known extension is; REFUSED for an extension that stands there twice.
 */
int sign_facts_read(struct arena *a, struct span tbs, struct sign_facts *f,
    struct err *e) MUST_USE;

#endif
