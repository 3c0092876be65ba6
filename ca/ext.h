/*
 * X.509 extension encoders (RFC 5280 4.2).  Each appends one whole Extension
 * to a buffer; a failure shows in buf_ok.
 */
#ifndef CA_EXT_H
#define CA_EXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/span.h"
#include "ca/profile.h"
#include "ca/request.h"

/* An extension with this value. */
void ext_raw(struct buf *b, const char *oid, bool critical, struct span value);

/* authorityKeyIdentifier with keyIdentifier only (4.2.1.1). */
void ext_authority_key_id(struct buf *b, struct span key_id);

/* subjectKeyIdentifier (4.2.1.2). */
void ext_subject_key_id(struct buf *b, struct span key_id);

/* keyUsage, critical (4.2.1.3); bit 0 is digitalSignature. */
void ext_key_usage(struct buf *b, uint32_t bits);

/* basicConstraints, critical (4.2.1.9); path_len -1 is absent. */
void ext_basic_constraints(struct buf *b, bool ca, int path_len);

/* subjectAltName (4.2.1.6), critical when the subject is empty. */
void ext_subject_alt_name(
    struct buf *b, bool critical, const struct request_san *sans, size_t n);

/* extKeyUsage (4.2.1.12); timeStamping alone is critical (RFC 3161 2.3). */
void ext_extended_key_usage(struct buf *b, const struct profile_strings *oids);

/* certificatePolicies (4.2.1.4). */
void ext_policies(
    struct buf *b, const struct profile_policy *policies, size_t n);

/* cRLDistributionPoints (4.2.1.13), one point for each URL. */
void ext_crl_distribution_points(
    struct buf *b, const struct profile_strings *urls);

/* freshestCRL (4.2.1.15), likewise. */
void ext_freshest_crl(struct buf *b, const struct profile_strings *urls);

/* authorityInfoAccess (4.2.2.1). */
void ext_authority_info_access(struct buf *b,
    const struct profile_strings *ocsp, const struct profile_strings *issuers);

/* nameConstraints, critical (4.2.1.10). */
void ext_name_constraints(struct buf *b, const struct profile_constraints *c);

/* TLS feature status_request (RFC 7633). */
void ext_tls_feature(struct buf *b);

/* id-pkix-ocsp-nocheck (RFC 6960 4.2.2.2.1). */
void ext_ocsp_nocheck(struct buf *b);

#endif
