/*
 * A throw-away PostgreSQL cluster for tests and benchmarks, made by
 * db/embedded in a scratch directory, migrated, reached over a UNIX socket.
 * Every role may log in as the OS user who runs the test.  Any failure ends
 * the process with a line on stderr.
 */
#ifndef TESTS_DB_PG_H
#define TESTS_DB_PG_H

#include <stdbool.h>
#include <sys/types.h>

struct pg;

/* A running cluster with the newest schema; freed with pg_free. */
struct pg *pg_new(void);

/* As pg_new, but nothing is migrated. */
struct pg *pg_new_empty(void);

/*
 * A streaming replica of 'primary', which is restarted for it; freed with
 * pg_free before the primary.
 */
struct pg *pg_new_replica(struct pg *primary);

/* Stops the server and removes its directory. */
void pg_free(struct pg *pg);

/*
 * The connection string of 'role' ("chancery_enroll" ..., "postgres"); lives
 * as long as 'pg'.
 */
const char *pg_conninfo(struct pg *pg, const char *role);

/* The cluster's scratch directory, writable for the caller. */
const char *pg_dir(const struct pg *pg);

/* Ends the server: 'crash' as if the power failed, else in good order. */
void pg_stop(struct pg *pg, bool crash);

/* Starts it again and waits until it answers. */
void pg_start(struct pg *pg);

/* The server's first process. */
pid_t pg_pid(const struct pg *pg);

/* User and system time of all server processes so far, in microseconds. */
long long pg_cpu_us(const struct pg *pg);

#endif
