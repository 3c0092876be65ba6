/*
 * A PostgreSQL connection: prepared statements on first use, reconnect with
 * back-off, multi-host connection strings (target_session_attrs=read-write is
 * added unless the string names one).  One connection, one thread.  libpq is
 * known only here and in the stores, through db_int.h.
 */
#ifndef DB_DB_H
#define DB_DB_H

#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/err.h"

struct db;

/* The schema versions this program works with. */
#define DB_SCHEMA_MIN 9
#define DB_SCHEMA_MAX 9

/*
 * A connection that opens when it is first needed.  'conninfo' is libpq's;
 * 'app' shows in pg_stat_activity.
 */
struct db *db_new(const char *conninfo, const char *app);
void db_free(struct db *db);

/*
 * Connects now, or confirms that the connection works.  UNAVAILABLE: no
 * server (at most one attempt per back-off period, 0.1 to 2 s); REFUSED: the
 * schema version lies outside DB_SCHEMA_MIN..MAX or the login is wrong.
 */
int db_ready(struct db *db, struct err *e) MUST_USE;

/*
 * The addresses of the servers that 'conninfo' reaches over TCP, as numeric
 * text in the arena; none for UNIX sockets.  Names are looked up now.
 * MALFORMED: not a connection string; UNAVAILABLE: a name has no address.
 */
int db_hosts(const char *conninfo, struct arena *a, const char *const **out,
    size_t *n, struct err *e) MUST_USE;

#endif
