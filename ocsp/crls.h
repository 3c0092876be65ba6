/*
 * Keeps the files of the issuers' CRLs as new as the database has them: what
 * files.h writes, after the signature of each list was verified under the
 * issuer's certificate.
 */
#ifndef OCSP_CRLS_H
#define OCSP_CRLS_H

#include "base/err.h"
#include "base/settings.h"

struct crls;

/* Reads the issuers' certificates; MALFORMED when one is none. */
int crls_new(const struct settings *s, const char *conninfo, struct crls **out,
    struct err *e) MUST_USE;
void crls_free(struct crls *c);

/* Fetches what is new; says in the log when that begins or ends to fail. */
void crls_step(struct crls *c);

#endif
