/*
 * The validation queue, for chancery-vald (role vald): challenges that
 * clients have asked to validate are leased in batches; a lease that ends
 * without a result (a crash) makes the challenge due again.
 */
#ifndef DB_STORE_VALD_H
#define DB_STORE_VALD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/err.h"

struct db;
struct writer;

struct store_vald_job {
	const char *challenge, *authz; /* ids */
	const char *type, *token;      /* "http-01" ... */
	const char *ident_type, *ident_value;
	bool wildcard;
	uint8_t thumbprint[32]; /* of the account key */
	int attempts;           /* this one included */
	int64_t asked_at;
};

struct store_vald_lease {
	const char *holder; /* unique to the process */
	int max, ttl_s;
};

/* Leases at most 'max' challenges that are due, for 'ttl_s' seconds. */
int store_vald_take(struct db *db, struct arena *a,
    const struct store_vald_lease *l, struct store_vald_job **out, size_t *n,
    struct err *e) MUST_USE;

struct store_vald_result {
	const char *challenge, *authz, *holder;
	bool ok;
	int retry_s;          /* a failure to be tried again then; 0: final */
	const char *evidence; /* what was asked where; or NULL */
	const char *error_type, *error_detail; /* of a failure, or NULL */
};

/*
 * Records a result and ends or puts off the lease in one transaction.  'w' is
 * a writer of role "vald".  CONFLICT: the lease is lost, nothing is recorded;
 * MALFORMED: a success is to be retried.
 */
int store_vald_result(struct writer *w, const struct store_vald_result *res,
    struct err *e) MUST_USE;

/*
 * Waits until a client asks for a validation, or 'timeout_ms': for a
 * connection 'db' that nothing else uses.  Wakes up early now and then.
 */
int store_vald_wait(struct db *db, int timeout_ms, struct err *e) MUST_USE;

#endif
