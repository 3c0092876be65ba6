/*
 * CRLs: what goes on them, the lists that were published, and the lease that
 * makes one of several publishers the one who publishes.
 */
#ifndef DB_STORE_CRL_H
#define DB_STORE_CRL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/err.h"
#include "base/span.h"
#include "db/store_audit.h"
#include "db/store_status.h"

struct db;

#define STORE_CRL_PIECE_MAX ((size_t)1 << 20)
#define STORE_CRL_SCOPE_MAX 16

/* No time. */
#define STORE_CRL_NO_TIME INT64_MIN

/* Told when a list is published. */
#define STORE_CRL_CHANNEL "chancery_crl"

/* Up to where expired entries have left the lists, in this order. */
struct store_crl_mark {
	int64_t at;         /* notAfter or, if later, the revocation */
	struct span serial; /* of those at this very second: below */
};

/* A published list. */
struct store_crl {
	int64_t id;
	int issuer;
	char scope[STORE_CRL_SCOPE_MAX]; /* full, part-N, delta, delta-N */
	int64_t number, base_number;     /* base 0: a complete list */
	int64_t this_update, next_update;
	uint64_t entries, gone, size;
	struct store_crl_mark mark; /* at STORE_CRL_NO_TIME: none has left */
	uint8_t sha256[32];
	const char *issuer_name; /* out */
};
struct store_crls {
	struct store_crl *list;
	size_t n;
};

/* The newest list of each issuer and scope. */
int store_crl_current(struct db *db, struct arena *a, struct store_crls *out,
    struct err *e) MUST_USE;

/* The list with this number, if it is still known; NOT_FOUND. */
int store_crl_numbered(struct db *db, struct arena *a,
    const struct store_crl *like, int64_t number, struct store_crl *out,
    struct err *e) MUST_USE;

/*
 * Piece 'n', counted from 0, of a list's bytes: STORE_CRL_PIECE_MAX octets,
 * the last one what is left.  NOT_FOUND: no such piece, or no more.
 */
int store_crl_piece(struct db *db, struct arena *a, int64_t id, int n,
    struct span *out, struct err *e) MUST_USE;

/* A revoked certificate. */
struct store_crl_row {
	struct span serial;
	int64_t revoked_at, invalidity_at; /* STORE_CRL_NO_TIME: none */
	int reason;                        /* -1: none */
};

/* What is revoked: of one issuer, by serial (bytes, then length). */
struct store_crl_query {
	int issuer;
	struct store_crl_mark mark; /* without what has left before */
	int (*take)(void *arg, const struct store_crl_row *row, struct err *e);
	void *arg;
};

/* Gives all rows of one snapshot to 'take', whose failure ends it. */
int store_crl_revoked(
    struct db *db, const struct store_crl_query *q, struct err *e) MUST_USE;

/* As store_crl_revoked, but only of these serials. */
int store_crl_revoked_of(struct db *db, const struct store_crl_query *q,
    const struct span *serials, size_t n, struct err *e) MUST_USE;

/* How many expired entries may leave, and how many do. */
struct store_crl_leave {
	int64_t until; /* those that expired before */
	uint64_t max;
	uint64_t gone; /* out */
};

/* Moves the mark of 'q' on; its serial is in the arena. */
int store_crl_advance(struct db *db, struct arena *a, struct store_crl_query *q,
    struct store_crl_leave *leave, struct err *e) MUST_USE;

/*
 * How many entries the scope's newest list of before 'when' has; its oldest
 * one when there is none from then.  NOT_FOUND: it has no list.
 */
int store_crl_entries_at(struct db *db, const struct store_crl *like,
    int64_t when, uint64_t *entries, struct err *e) MUST_USE;

/* How many entries left this scope's lists since 'since' by expiry. */
int store_crl_gone(struct db *db, const struct store_crl *like, int64_t since,
    uint64_t *gone, struct err *e) MUST_USE;

/* Up to where each writer's changes were looked at; zeroed to begin with. */
struct store_crl_feed {
	struct store_crl_feed_mark {
		int writer;
		int64_t seq;
	} * list;
	size_t n;
};
void store_crl_feed_clear(struct store_crl_feed *f);

/* A certificate that was revoked or released. */
struct store_crl_change {
	int issuer;
	struct span
	    serial; /* empty: several of this issuer, too many to tell */
};
struct store_crl_changes {
	struct store_crl_change *list;
	size_t n;
	bool back; /* the database lacks changes that were there before */
};

/* How many changes of one writer are told one by one. */
#define STORE_CRL_CHANGES_MAX 4096

/*
 * What was revoked or released since the last call, in the arena; nothing by
 * the first one.  After a failure the next call tells it.
 */
int store_crl_news(struct db *db, struct arena *a, struct store_crl_feed *f,
    struct store_crl_changes *out, struct err *e) MUST_USE;

/*
 * Waits until some status may have changed, or 'timeout_ms': for a connection
 * that nothing else uses.
 */
int store_crl_wait(struct db *db, int timeout_ms, struct err *e) MUST_USE;

/*
 * Publishes a list: begin, one call for each piece in order, the audit event
 * if there is one, commit; nobody sees any of it before.  'epoch' is that of
 * the lease, or 0 for an operator who has none; 'writer' the number that this
 * process holds, whose thread has nothing to write meanwhile.  UNAVAILABLE from
 * commit: somebody else has taken the lease since.
 */
int store_crl_begin(struct db *db, struct store_crl *c, struct err *e) MUST_USE;
int store_crl_put(struct db *db, const struct store_crl *c, int n,
    struct span bytes, struct err *e) MUST_USE;
int store_crl_audit(struct db *db, uint16_t writer,
    const struct audit_event *ev, struct err *e) MUST_USE;
int store_crl_commit(struct db *db, int64_t epoch, struct err *e) MUST_USE;

/* Gives up what was begun. */
void store_crl_abort(struct db *db);

/*
 * Deletes the bytes of lists that are neither current nor the base of a
 * current delta, and the rows of those published before 'before'.
 */
int store_crl_clean(struct db *db, int64_t before, struct err *e) MUST_USE;

/*
 * Takes or keeps the lease for 'ttl_s'.  '*epoch' is 0 before the first
 * time and when the lease is somebody else's.
 */
int store_crl_lease(struct db *db, const char *holder, int ttl_s,
    int64_t *epoch, struct err *e) MUST_USE;

/* Gives the lease back at once. */
void store_crl_release(struct db *db, int64_t epoch);

/* So many at a time: rows are the responders' to write. */
#define STORE_RESPONDERS_MAX 64

/*
 * Requests of responders that have no answer to their last question and are
 * still of use; those without a fault first, then the longest waiting ones, at
 * most STORE_RESPONDERS_MAX.
 */
int store_responder_open(struct db *db, struct arena *a,
    struct store_responder **out, size_t *n, struct err *e) MUST_USE;

/*
 * Answers a request, by certificate or, when that is empty, by the fault;
 * NOT_FOUND: another key was asked for meanwhile.
 */
int store_responder_answer(
    struct db *db, const struct store_responder *r, struct err *e) MUST_USE;

#endif
