/*
 * A request as bytes: what a row that waits for an approval holds, so that
 * any process can judge it again.  Everything is ours; nothing here reads
 * what a client sent.
 */
#ifndef CA_REQUEST_WIRE_H
#define CA_REQUEST_WIRE_H

#include "base/arena.h"
#include "base/buf.h"
#include "base/err.h"
#include "ca/request.h"

/* The most that a request may have as bytes. */
#define REQUEST_WIRE_MAX ((size_t)512 * 1024)

/* Appends the request; protocol and txn are the row's.  Shows in buf_ok. */
void request_wire_put(struct buf *b, const struct request *req);

/* Reads one back into the arena; INTERNAL: not what request_wire_put wrote. */
int request_wire_get(struct arena *a, struct span bytes, struct request *out,
    struct err *e) MUST_USE;

/* Subject and names on one line, for people. */
const char *request_summary(struct arena *a, const struct request_want *w);

#endif
