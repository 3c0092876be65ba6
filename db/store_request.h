/*
 * Requests that wait for an approval.  The row is unique on (protocol, txn)
 * like those of store_cert.h, with the state PENDING.
 */
#ifndef DB_STORE_REQUEST_H
#define DB_STORE_REQUEST_H

#include <stdint.h>

#include "base/err.h"
#include "base/span.h"
#include "db/store_cert.h"

struct writer;

struct store_pending {
	const char *protocol, *txn;
	uint8_t request_hash[STORE_HASH_SIZE];
	const char *profile, *principal;
	struct span body; /* what was asked, to be judged again */
	const char *request_id;
};

/*
 * Records a request that waits, and an audit event.  CONFLICT when
 * (protocol, txn) exists.
 */
int store_request_pend(
    struct writer *w, const struct store_pending *p, struct err *e) MUST_USE;

#endif
