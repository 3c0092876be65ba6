/* Revoked certificates for benchmarks of CRLs. */
#ifndef BENCH_CRL_ROWS_H
#define BENCH_CRL_ROWS_H

#include "tests/unit/pubd_fixture.h"

/*
 * So many revoked certificates of the world's issuer, as rows of cert_status
 * alone.  A failure ends the process.
 */
void crl_rows(struct pubd_world *x, long entries);

#endif
