/*
 * What an OCSP responder reads (role ocsp): the status of all certificates at
 * once, then the changes, and its own request for a certificate.
 *
 * A change is numbered densely within its writer in the order of commits, so
 * a reader that keeps one place per writer misses nothing, on the primary or
 * on a replica.  The feed tells which certificates changed; how they stand is
 * read from cert_status in the same snapshot, because the changes of several
 * writers have no order among each other.
 */
#ifndef DB_STORE_STATUS_H
#define DB_STORE_STATUS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/err.h"
#include "base/span.h"

struct db;

#define STORE_STATUS_ANCHOR_SIZE 16

struct store_status_row {
	int issuer;
	struct span serial;
	int64_t not_after;
	bool revoked;
	int reason;         /* CRLReason, -1: none */
	int64_t revoked_at; /* 0 unless revoked */
};

/*
 * The last change of a writer that was read, and a hash of it: a database
 * that has another change there has another history.
 */
struct store_status_mark {
	int writer;
	int64_t seq;
	uint8_t anchor[STORE_STATUS_ANCHOR_SIZE];
};

/* One mark per writer, in order; the caller zeroes it before the first use. */
struct store_status_marks {
	struct store_status_mark *list;
	size_t n, max;
};
void store_status_marks_clear(struct store_status_marks *m);

/* Adds the mark of a writer that has none yet. */
void store_status_marks_add(
    struct store_status_marks *m, const struct store_status_mark *mark);

/* Takes rows; the serial is borrowed.  A take of -1 ends the read. */
struct store_status_sink {
	/* how many rows are about to come, as far as the database knows */
	void (*expect)(void *arg, size_t rows);
	int (*take)(
	    void *arg, const struct store_status_row *row, struct err *e);
	void *arg;
};

/*
 * Reads all rows, and the marks of the same snapshot into 'marks' (which are
 * replaced when all went well).
 */
int store_status_load(struct db *db, const struct store_status_sink *sink,
    struct store_status_marks *marks, struct err *e) MUST_USE;

/* What a poll found. */
enum store_status_found {
	STORE_STATUS_OK,
	STORE_STATUS_MORE,    /* OK, and there is more to read already */
	STORE_STATUS_BEHIND,  /* the database lacks what was read before */
	STORE_STATUS_ANOTHER, /* it has another history */
	STORE_STATUS_GAP      /* a writer left a number out */
};

struct store_status_news {
	enum store_status_found found;
	int writer;    /* whose changes are wrong */
	bool replica;  /* of a database that is only read */
	int64_t as_of; /* on a replica: time of what it replayed last */
	size_t rows;   /* given to the sink */
};

/*
 * Reads the changes after 'marks', which move on.  Unless the result is OK or
 * MORE no row is taken and no mark moves.
 */
int store_status_poll(struct db *db, const struct store_status_sink *sink,
    struct store_status_marks *marks, struct store_status_news *news,
    struct err *e) MUST_USE;

/*
 * Waits until there may be changes, or 'timeout_ms': for a connection 'db'
 * that nothing else uses.  Not on a replica, which cannot listen.
 */
int store_status_wait(struct db *db, int timeout_ms, struct err *e) MUST_USE;

/* The row id of the issuer with this key; NOT_FOUND. */
int store_status_issuer(struct db *db, const uint8_t spki_sha256[32], int *id,
    struct err *e) MUST_USE;

/* A responder's request for a certificate of one issuer. */
struct store_responder {
	const char *host;
	int issuer;
	struct span spki; /* DER */
	int64_t not_after;
	struct span signature;
	/* what became of it; ignored by put */
	struct span cert; /* DER, or empty */
	int64_t asked_at, certified_at;
	const char *fault; /* or NULL */
};

/* Writes the request; another key than before clears what became of it. */
int store_responder_put(
    struct db *db, const struct store_responder *r, struct err *e) MUST_USE;

/* Reads it; NOT_FOUND. */
int store_responder_get(struct db *db, struct arena *a, const char *host,
    int issuer, struct store_responder *out, struct err *e) MUST_USE;

#endif
