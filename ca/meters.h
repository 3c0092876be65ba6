/*
 * What the pipeline counts for /metrics: how long its stages take and how its
 * requests end.  Thread-safe.
 */
#ifndef CA_METERS_H
#define CA_METERS_H

#include <stdint.h>

#include "base/err.h"
#include "ca/enroll.h"

/* A stage has taken 'us' microseconds of wall time. */
void meters_stage(enum enroll_stage stage, int64_t us);

/* A request has ended: with a certificate, pending, or refused ('kind'). */
void meters_issued(void);
void meters_pending(void);
void meters_refused(enum err_kind kind);

#endif
