/*
 * What the stores and the writer share of db.c: statements with binary
 * parameters and results.  The only header that shows libpq; not for other
 * folders.
 */
#ifndef DB_DB_INT_H
#define DB_DB_INT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <libpq-fe.h>

#include "base/arena.h"
#include "base/auto.h"
#include "base/buf.h"
#include "base/err.h"
#include "base/span.h"
#include "db/db.h"

AUTO_DEFINE(PGresult, PQclear);

/* A statement, prepared on first use; compared by address, so static. */
struct db_stmt {
	const char *name;
	const char *sql;
	bool read; /* tried again once when the connection was stale */
};

/* Parameters in binary form. */
#define DB_ARGS_MAX 24
struct db_args {
	int n;
	const char *v[DB_ARGS_MAX];
	int len[DB_ARGS_MAX];
	int fmt[DB_ARGS_MAX];
	uint8_t num[DB_ARGS_MAX][8];
};

/* Each adds the next parameter; what they point to must stay. */
void db_arg_i2(struct db_args *a, int16_t v);
void db_arg_i4(struct db_args *a, int32_t v);
void db_arg_i8(struct db_args *a, int64_t v);
void db_arg_bool(struct db_args *a, bool v);
void db_arg_time(struct db_args *a, int64_t t_s);    /* seconds since 1970 */
void db_arg_bytes(struct db_args *a, struct span v); /* bytea or text */
void db_arg_text(struct db_args *a, const char *v);  /* NULL: SQL null */
void db_arg_null(struct db_args *a);

/*
 * Runs a statement.  'out' is the caller's and holds PGRES_TUPLES_OK or
 * PGRES_COMMAND_OK.  Error kinds as db_sqlstate_kind.
 */
int db_exec(struct db *db, const struct db_stmt *s, const struct db_args *a,
    PGresult **out, struct err *e) MUST_USE;

/* As db_exec, but no row is NOT_FOUND with "no such WHAT". */
int db_one(struct db *db, const struct db_stmt *s, const struct db_args *a,
    PGresult **out, const char *what, struct err *e) MUST_USE;

/* As db_exec for SQL text made for this call, planned for its values. */
int db_query(struct db *db, const char *sql, const struct db_args *a,
    PGresult **out, struct err *e) MUST_USE;

/* Runs SQL text without parameters, several statements allowed. */
int db_script(struct db *db, const char *sql, struct err *e) MUST_USE;

/* Columns of a result; SQL null reads as 0, empty or NULL. */
bool db_null(const PGresult *r, int row, int col);
int16_t db_i2(const PGresult *r, int row, int col);
int32_t db_i4(const PGresult *r, int row, int col);
int64_t db_i8(const PGresult *r, int row, int col);
bool db_bool(const PGresult *r, int row, int col);
int64_t db_time(const PGresult *r, int row, int col);    /* seconds */
int64_t db_time_us(const PGresult *r, int row, int col); /* microseconds */
struct span db_bytes(struct arena *a, const PGresult *r, int row, int col);
char *db_text(struct arena *a, const PGresult *r, int row, int col);
/* Copies exactly 'n' bytes, or zeroes 'out' when the length is another. */
void db_fixed(const PGresult *r, int row, int col, uint8_t *out, size_t n);

/*
 * The elements of a one-dimensional array column as strings in the arena; an
 * array of none or SQL null gives n = 0.
 */
const char **db_texts(
    struct arena *a, const PGresult *r, int row, int col, size_t *n);

/* A one-dimensional array in binary form: header, then its elements. */
struct db_array {
	struct buf b;
	uint32_t n;
};
void db_array_init(struct db_array *a, size_t max);
void db_array_clear(struct db_array *a);
/* Forgets the elements; 'oid' is that of the element type. */
void db_array_start(struct db_array *a, uint32_t oid);
void db_array_int(struct db_array *a, int width, int64_t v);
void db_array_bytes(struct db_array *a, struct span v);
void db_array_null(struct db_array *a);
/* The finished array; borrowed until the next change. */
struct span db_array_get(struct db_array *a);

/* Element types. */
#define DB_OID_BOOL 16u
#define DB_OID_BYTEA 17u
#define DB_OID_INT8 20u
#define DB_OID_INT4 23u
#define DB_OID_TEXT 25u
#define DB_OID_TIMESTAMPTZ 1184u

/* Microseconds since 2000 of seconds since 1970, and back. */
int64_t db_pgtime(int64_t t_s);

/*
 * What an SQLSTATE tells the client: connection, resources, shutdown, crash,
 * cancellation, read-only and serialization classes are UNAVAILABLE, unique
 * violation CONFLICT, permission and login REFUSED, bytes that are no text
 * MALFORMED, the rest INTERNAL.
 */
enum err_kind db_sqlstate_kind(const char *sqlstate);

/*
 * Turns a failed result (or NULL: a lost connection) into an error, and drops
 * the connection when it is of no more use.
 */
int db_fail(struct db *db, const PGresult *r, struct err *e);

/* Connects if need be and prepares 's' if it is not. */
int db_prepare(struct db *db, const struct db_stmt *s, struct err *e) MUST_USE;

/* The connection after db_ready, for pipelines. */
PGconn *db_pg(struct db *db);

/* Counts connections made: a change means prepared state is gone. */
uint64_t db_generation(const struct db *db);

/* Drops the connection; the next use makes a new one. */
void db_drop(struct db *db);

/* As db_new, but no schema is asked for: for migrations. */
struct db *db_new_bare(const char *conninfo, const char *app);

/* Whether a server answers; never waits longer than its connect_timeout. */
bool db_ping(const char *conninfo);

/*
 * Waits for a notification on 'channel' (a plain identifier), or 'timeout_ms';
 * returns at once on a new connection, which may have missed some.
 */
int db_listen(
    struct db *db, const char *channel, int timeout_ms, struct err *e) MUST_USE;

/* Session settings run after each connect, after the common ones. */
void db_session(struct db *db, const char *sql);

/* A text of lines as its parts, and back; NULL-free. */
struct span db_lines(struct arena *a, const char *const *v, size_t n);
const char **db_split(struct arena *a, const char *lines, size_t *n);

#endif
