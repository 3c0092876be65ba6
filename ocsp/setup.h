/*
 * What chancery.yaml says, in the form that the responder works with: its
 * issuers, the paths it answers, the CA certificates it serves.
 */
#ifndef OCSP_SETUP_H
#define OCSP_SETUP_H

#include <stddef.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/err.h"
#include "base/settings.h"
#include "ocsp/authority.h"
#include "ocsp/static.h"

/*
 * The issuers that have OCSP URLs; MALFORMED names one whose certificate is
 * none.
 */
int setup_authorities(struct arena *a, const struct settings *s,
    struct authority **out, size_t *n, struct err *e) MUST_USE;

/*
 * The paths of the OCSP URLs of all issuers, without a slash at the end, each
 * once, and "/ocsp".
 */
void setup_prefixes(struct arena *a, const struct settings *s,
    const char *const **out, size_t *n);

/*
 * Adds the CA certificates at the paths of their caIssuers URLs (RFC 5280
 * 4.2.2.1): a certs-only CMS message where that ends in .p7c, DER elsewhere.
 */
int setup_certificates(
    struct statics *statics, const struct settings *s, struct err *e) MUST_USE;

/* A certs-only CMS message (RFC 5652, RFC 8551 3.2.2) of one certificate. */
void setup_p7c(struct buf *b, struct span cert);

#endif
