/*
 * A query that is written for one call: its text and its parameters.  Values
 * are never part of the text.  For the stores that search.
 */
#ifndef DB_QUERY_H
#define DB_QUERY_H

#include <stdint.h>

#include "base/buf.h"
#include "db/db_int.h"

#define QUERY_MAX 8192

struct query {
	struct buf sql;
	struct db_args args;
};

/* An empty query; the caller clears 'sql'. */
void query_init(struct query *q);

/*
 * Adds " AND condition$n" with the value as parameter n, unless the value is
 * NULL or 0, or the bytes are empty.  Times are seconds.
 */
void query_text(struct query *q, const char *condition, const char *v);
void query_int(struct query *q, const char *condition, int64_t v);
void query_time(struct query *q, const char *condition, int64_t v);
void query_bytes(struct query *q, const char *condition, struct span v);

/*
 * The certificates 'c' with this name, exact or "*.suffix"; none of it when
 * 'name' is NULL.
 */
void query_name(struct query *q, const char *name);

/* Runs it, as db_query does. */
int query_run(
    struct query *q, struct db *db, PGresult **out, struct err *e) MUST_USE;

#endif
