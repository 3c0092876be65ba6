/* What the stores share among themselves. */
#ifndef DB_STORE_INT_H
#define DB_STORE_INT_H

#include <stdint.h>

#include "base/err.h"

/*
 * The last number of this writer.  Each statement of a batch sees the rows
 * of the earlier ones, so the numbers are dense without a counter anywhere.
 * Should a process write once more after its number was taken over, the key
 * (writer, seq) makes one of the two wait for the other and fail.
 */
#define STORE_LAST_AUDIT                                                       \
	"(SELECT coalesce(max(seq), 0) FROM audit WHERE writer = $1::int)"
#define STORE_LAST_CHANGE                                                      \
	"(SELECT coalesce(max(seq), 0) FROM status_change WHERE writer = $1::int)"

/* The channel that hears of new certificates and status changes. */
#define STORE_CHANNEL "chancery_status"

/* The channel that hears of challenges to validate. */
#define STORE_VALD_CHANNEL "chancery_vald"

/* The states of a request row. */
#define STORE_ROW_PENDING 0
#define STORE_ROW_INTENT 1
#define STORE_ROW_VOID 2
#define STORE_ROW_APPROVED 3
#define STORE_ROW_REJECTED 4

/*
 * Whether the certificate of request row 'x' is no answer any more to the
 * same request: it is revoked, or older than 'repeat' seconds.  -1: only
 * when it is revoked; NULL: it stays the answer.
 */
#define STORE_ANSWERS_NO_MORE(repeat)                                          \
	"CASE WHEN " repeat " IS NULL THEN false"                              \
	" WHEN EXISTS (SELECT FROM cert_status s WHERE s.issuer = x.issuer"    \
	" AND s.serial = x.serial AND s.status = 1) THEN true"                 \
	" WHEN " repeat " = -1 THEN false"                                     \
	" ELSE x.created_at < now() - make_interval(secs => " repeat ")"       \
	" AND EXISTS (SELECT FROM cert c WHERE c.id = x.cert_id) END"

/*
 * Whether the request of row 't' is still the one that its secret was used
 * up for: the transaction is remembered, and has no certificate, or one that
 * answers, or one that only a new key for the same request has superseded.
 */
#define STORE_SECRET_SAME                                                       \
	"EXISTS (SELECT FROM request x WHERE x.protocol = t.protocol"           \
	" AND x.txn = t.txn AND (x.state <> 1 OR CASE WHEN t.repeat = -1"       \
	" THEN NOT EXISTS (SELECT FROM cert_status s WHERE s.issuer = x.issuer" \
	" AND s.serial = x.serial AND s.status = 1 AND s.reason <> 4)"          \
	" ELSE NOT " STORE_ANSWERS_NO_MORE("t.repeat") " END))"

/*
 * Uses up the one-time secrets of the rows of 't' that are 'good': 'used' has
 * the ordinals of those whose secret is theirs now.  A transaction that was
 * given up gives its secret back.
 */
#define STORE_SECRET_USE_IF(good)                                              \
	" used AS (UPDATE secret s SET used_at = coalesce(s.used_at, now()),"  \
	" used_protocol = t.protocol, used_txn = t.txn FROM t"                 \
	" WHERE s.id = t.secret AND " good " AND s.revoked_at IS NULL"         \
	" AND s.expires_at > now() AND (s.used_txn IS NULL"                    \
	" OR (s.used_protocol, s.used_txn) = (t.protocol, t.txn)"              \
	" AND " STORE_SECRET_SAME                                              \
	" OR EXISTS (SELECT FROM request q WHERE q.state = 2"                  \
	" AND q.protocol = s.used_protocol AND q.txn = s.used_txn))"           \
	" RETURNING t.ord),"
#define STORE_SECRET_USE STORE_SECRET_USE_IF("true")

/* The column of STORE_ANSWERS_NO_MORE for REQUEST_REPEAT_*. */
struct writer_row;
void store_repeat(struct writer_row *r, int64_t repeat_s);

/* UNAUTHENTICATED: a one-time secret that is used up.  Returns -1. */
int store_secret_used(struct err *e);

#endif
