/*
 * Revoking: the state of certificates, the keys that are blocked, and the
 * search for what is to be revoked.  Each act is one transaction: status,
 * change feed, audit.
 */
#ifndef DB_STORE_REVOKE_H
#define DB_STORE_REVOKE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/err.h"
#include "base/span.h"
#include "db/store_cert.h"

struct db;
struct writer;

/* CRLReasons that are more than a number here (RFC 5280 5.3.1). */
#define STORE_KEY_COMPROMISE 1
#define STORE_HOLD 6

struct store_revocation {
	int issuer;
	struct span serial;
	int reason;            /* CRLReason but 7 and 8, or -1 */
	int64_t at;            /* seconds; a date that stands is kept */
	int64_t invalidity_at; /* seconds; 0: none, or as it was */
	bool block_key;        /* the key gets no certificate any more */
	const char *actor, *request_id;
};

/*
 * Revokes a good certificate, revokes one on hold for good, or makes the
 * reason keyCompromise.  CONFLICT when it is revoked already and none of
 * these, NOT_FOUND when it is unknown; the key is blocked in either case.
 */
int store_revoke(
    struct writer *w, const struct store_revocation *r, struct err *e) MUST_USE;

/*
 * As store_revoke for 'n' certificates at once; 'errs' says of each what
 * store_revoke would, with ERR_NONE for done.
 */
void store_revoke_all(struct writer *w, const struct store_revocation *r,
    size_t n, struct err *errs);

/*
 * Releases a certificate on hold: good again.  CONFLICT when it is good,
 * REFUSED when it is revoked for good, NOT_FOUND when it is unknown.  Of 'r'
 * only issuer, serial, actor and request_id count.
 */
int store_revoke_release(
    struct writer *w, const struct store_revocation *r, struct err *e) MUST_USE;

struct store_key_block {
	uint8_t spki_sha256[STORE_HASH_SIZE];
	const char *why, *actor, *request_id;
};

/*
 * Blocks a key: store_cert_reserve refuses it from now on, for ever.
 * CONFLICT when it is blocked already.
 */
int store_revoke_block(
    struct writer *w, const struct store_key_block *b, struct err *e) MUST_USE;

/* Whether the key of this hash is blocked. */
int store_revoke_blocked(struct db *db,
    const uint8_t spki_sha256[STORE_HASH_SIZE], bool *blocked,
    struct err *e) MUST_USE;

/*
 * Which certificates 'reason' would change.  NULL or 0 members do not
 * restrict.
 */
struct store_revoke_query {
	const char *profile, *issuer, *principal;
	const char *name;      /* exact, or "*.suffix" */
	struct span key;       /* SHA-256 of the SubjectPublicKeyInfo */
	int64_t issued_after;  /* seconds: not before this */
	int64_t issued_before; /* seconds: before this */
	int expired;           /* -1 both, 0 only others, 1 only those */
	int reason;
};

struct store_revoke_match {
	int64_t id;
	int issuer;
	struct span serial;
};

/* How many there are. */
int store_revoke_count(struct db *db, const struct store_revoke_query *q,
    uint64_t *n, struct err *e) MUST_USE;

/*
 * At most 'max' of them with an id above 'after', by id.  The serials live in
 * the arena.
 */
struct store_revoke_page {
	int64_t after;
	size_t max;
	struct store_revoke_match *list; /* out */
	size_t n;                        /* out */
};
int store_revoke_find(struct db *db, struct arena *a,
    const struct store_revoke_query *q, struct store_revoke_page *page,
    struct err *e) MUST_USE;

/*
 * Good certificates whose key was blocked in the last hour and that were
 * stored since, or in the minute before: they were under way.  As
 * store_revoke_find, but 'after' does not count.
 */
int store_revoke_find_late(struct db *db, struct arena *a,
    struct store_revoke_page *page, struct err *e) MUST_USE;

#endif
