/*
 * Append-only audit events.  An event becomes its leaf bytes (a canonical
 * text: one "key=value" line per member, sorted as given, values escaped),
 * which the row stores verbatim; writer and sequence are the row's key.
 * Events of certificates are written by store_cert in the same transaction
 * as the act; this is for the acts that have no row of their own.
 */
#ifndef DB_STORE_AUDIT_H
#define DB_STORE_AUDIT_H

#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/err.h"
#include "base/span.h"

struct db;
struct writer;

struct audit_pair {
	const char *key, *value; /* a NULL value is left out */
};

struct audit_event {
	const char *kind; /* "refused", "startup", "account" ... */
	int64_t cert_id;  /* 0: none */
	const struct audit_pair *pairs;
	size_t n_pairs;
};

/* The canonical bytes of an event. */
struct span audit_leaf(struct arena *a, const struct audit_event *ev);

/* Appends an event durably. */
int store_audit_put(
    struct writer *w, const struct audit_event *ev, struct err *e) MUST_USE;

struct audit_row {
	uint16_t writer;
	uint64_t seq;
	int64_t at_us, cert_id;
	const char *kind, *actor;
	struct span leaf;
};

/* The events of one certificate, oldest first. */
int store_audit_of_cert(struct db *db, struct arena *a, int64_t cert_id,
    struct audit_row **out, size_t *n, struct err *e) MUST_USE;

#endif
