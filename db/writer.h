/*
 * The process's one writing connection.  Requests that wait at the same
 * moment share one transaction; the caller sees a blocking call that returns
 * when its rows are durable, or its own error while the rest of the batch
 * goes through.  The writer holds a writer number (a lease row with a fencing
 * epoch, renewed while it lives) and numbers its audit rows and status
 * changes densely in commit order.  Thread-safe.
 *
 * UNAVAILABLE from a call that writes may also mean that the connection was
 * lost while the transaction committed: repeating the act is safe and tells.
 */
#ifndef DB_WRITER_H
#define DB_WRITER_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"

struct writer;

/*
 * Another way to wait for an act than sleeping until it is durable: 'wake'
 * runs in the writer's thread as soon as the act is settled ('done': it is
 * durable) and must not block; 'wait' runs in the caller's and returns after
 * that only.  The two know of each other through 'arg'.
 */
struct writer_wait {
	void (*wake)(void *arg, bool done);
	void (*wait)(void *arg);
	void *arg;
};

/*
 * Starts the writer thread, which takes a lease for a writer number of
 * 'role' ("enroll", "oper", "pub", "vald") as soon as the database answers.
 * 'node' names the machine and process in the lease row.  Fails only when no
 * thread can be had; a database that is down shows in the calls.
 */
int writer_new(const char *conninfo, const char *role, const char *node,
    struct writer **out, struct err *e) MUST_USE;

/*
 * A writer for rows whose loss in a crash of the server does no harm (used
 * nonces): it groups in the same way but commits asynchronously and holds no
 * writer number, so acts that are audited fail with INTERNAL.
 */
int writer_new_async(
    const char *conninfo, struct writer **out, struct err *e) MUST_USE;

/* Finishes what waits, gives the lease back and frees. */
void writer_free(struct writer *w);

/* The number held now, or UNAVAILABLE. */
int writer_number(struct writer *w, uint16_t *number, struct err *e) MUST_USE;

#endif
