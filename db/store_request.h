/*
 * Requests that wait for an approval.  The row is unique on (protocol, txn)
 * like those of store_cert.h, with the state PENDING; an operator approves or
 * rejects it, and whoever holds the transaction goes on.
 */
#ifndef DB_STORE_REQUEST_H
#define DB_STORE_REQUEST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/err.h"
#include "base/span.h"
#include "db/store_cert.h"

struct db;
struct writer;

struct store_pending {
	const char *protocol, *txn;
	uint8_t request_hash[STORE_HASH_SIZE];
	const char *profile, *principal;
	struct span body;    /* what was asked, to be judged again */
	const char *summary; /* subject and names, for people */
	int64_t lifetime_s;  /* to be decided, and then to be fetched */
	int64_t repeat_s;    /* struct request of ca/request.h */
	int64_t secret;      /* one-time, used up by this; 0: none */
	int64_t made_with;   /* the secret that authenticated; 0: none */
	const char *request_id;
};

/*
 * Records a request that waits, and an audit event.  CONFLICT when
 * (protocol, txn) exists and answers; UNAUTHENTICATED when the secret is
 * another transaction's.
 */
int store_request_pend(
    struct writer *w, const struct store_pending *p, struct err *e) MUST_USE;

/* How many requests of a principal wait; more than 'max' are not counted. */
int store_request_count(struct db *db, const char *principal, unsigned max,
    unsigned *n, struct err *e) MUST_USE;

/* The body of a request that is PENDING or APPROVED; NOT_FOUND. */
int store_request_body(struct db *db, struct arena *a, const char *protocol,
    const char *txn, struct span *body, struct err *e) MUST_USE;

/* What an operator sees. */
struct store_waiting {
	int64_t id;
	const char *protocol, *txn, *profile, *principal, *summary;
	enum store_request_state state; /* up to EXPIRED, or ISSUED */
	int64_t created_at, expires_at, decided_at; /* 0: not decided */
	const char *operator, * reason, *secret;    /* NULL: none */
	int64_t cert_id;                            /* ISSUED */
};

/*
 * What waits, or with 'all' what waited and is still remembered, oldest
 * first; at most 'max' rows with ids above 'after'.  Role oper.
 */
struct store_waiting_query {
	int64_t after;
	size_t max;
	bool all;
};
int store_request_waiting(struct db *db, struct arena *a,
    const struct store_waiting_query *q, struct store_waiting **out, size_t *n,
    struct err *e) MUST_USE;

/* One of them by id; NOT_FOUND. */
int store_request_waiting_get(struct db *db, struct arena *a, int64_t id,
    struct store_waiting *out, struct err *e) MUST_USE;

struct store_decision {
	int64_t id;
	bool approve;
	const char *reason;   /* required to reject */
	const char *operator; /* OS user */
	const char *request_id;
};

/*
 * Decides a request that waits, with an audit event.  Role oper.  NOT_FOUND:
 * no such id; CONFLICT: decided already or expired; REFUSED: it came from this
 * operator or login, or with a secret of this operator's.
 */
int store_request_decide(
    struct writer *w, const struct store_decision *d, struct err *e) MUST_USE;

#endif
