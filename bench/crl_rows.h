/* Certificates for benchmarks of CRLs. */
#ifndef BENCH_CRL_ROWS_H
#define BENCH_CRL_ROWS_H

#include "tests/unit/pubd_fixture.h"

/*
 * So many revoked certificates of the world's issuer, and CRL_ROWS_GOOD that
 * are not yet, as rows of cert_status alone.  A failure ends the process.
 */
#define CRL_ROWS_GOOD 1000
void crl_rows(struct pubd_world *x, long entries);

/* Revokes good one 'i', counted from 0, with a writer of the role oper. */
void crl_rows_revoke(struct pubd_world *x, struct writer *w, size_t i);

#endif
