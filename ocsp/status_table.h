/*
 * The status of every certificate of every issuer, in memory: 32 bytes each
 * and at most 40 with the free space of the table.  One thread writes; any
 * number of threads look things up and never wait.  A certificate never
 * leaves, and one that was revoked for good never becomes good again,
 * whatever the writer is told.
 */
#ifndef OCSP_STATUS_TABLE_H
#define OCSP_STATUS_TABLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/span.h"
#include "ocsp/epoch.h"

#define STATUS_SERIAL_MAX 20
#define STATUS_REASON_HOLD 6

struct status_table;

struct status {
	int issuer; /* row id of the issuer, 1 to 65535 */
	int64_t not_after;
	bool revoked;
	int reason;         /* CRLReason, -1: none */
	int64_t revoked_at; /* 0 unless revoked */
};

/* What a put did. */
enum status_put {
	STATUS_PUT_NEW,
	STATUS_PUT_SAME,
	STATUS_PUT_CHANGED,
	STATUS_PUT_REFUSED, /* it would make a revoked certificate good */
	STATUS_PUT_BAD      /* serial, issuer or reason out of range */
};

/* A table with room for 'expected' certificates, that grows beyond. */
struct status_table *status_table_new(struct epoch *ep, size_t expected);

/* Frees it; nobody may look any more. */
void status_table_free(struct status_table *t);

/*
 * Adds or changes a certificate; 'serial' are the octets of its number, with
 * or without leading zeros.  Only one thread at a time.  A key keeps the
 * notAfter that it came with first.
 */
enum status_put status_table_put(
    struct status_table *t, struct span serial, const struct status *s);

/*
 * Looks up a serial as an INTEGER's contents octets, between epoch_enter and
 * epoch_leave.  False: there is no such certificate.  '*word' stands for the
 * status: it is another one when the status is.
 */
bool status_table_find(const struct status_table *t, int issuer,
    struct span serial, struct status *out, uint64_t *word);

/* How many certificates there are, and of them revoked. */
size_t status_table_count(const struct status_table *t);
size_t status_table_revoked(const struct status_table *t);

/* Memory of the table, free space included, in bytes. */
size_t status_table_bytes(const struct status_table *t);

/*
 * Calls 'fn' with every certificate, between epoch_enter and epoch_leave;
 * ends with -1 when 'fn' does.  What is put meanwhile may or may not be seen.
 */
int status_table_each(const struct status_table *t,
    int (*fn)(void *arg, struct span serial, const struct status *s),
    void *arg);

#endif
