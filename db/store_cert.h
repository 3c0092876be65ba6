/*
 * Serial intents, certificates and their status; revoking: store_revoke.h.
 *
 * The intent row is the first audit row of a certificate and is never
 * updated; the certificate row completes it.  A request row, unique on
 * (protocol, txn), makes the pipeline idempotent.
 */
#ifndef DB_STORE_CERT_H
#define DB_STORE_CERT_H

#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/err.h"
#include "base/span.h"

struct db;
struct writer;
struct writer_wait;

#define STORE_HASH_SIZE 32
#define STORE_SERIAL_MAX 20

/* Where the issuer's row id comes from: name and key are registered once. */
struct store_issuer {
	int id;
	const char *name;
	uint8_t spki_sha256[STORE_HASH_SIZE];
	struct span cert; /* DER; replaced on renewal with the same key */
};

/*
 * Registers an issuer, or finds it again and takes the newer certificate;
 * fills in 'id'.  CONFLICT: the name belongs to another key.  Role oper.
 */
int store_issuer_put(
    struct db *db, struct store_issuer *i, struct err *e) MUST_USE;

/* The issuer of that name; NOT_FOUND. */
int store_issuer_get(struct db *db, struct arena *a, const char *name,
    struct store_issuer *out, struct err *e) MUST_USE;

/* What is remembered of a (protocol, txn). */
enum store_request_state {
	STORE_REQUEST_PENDING,  /* waits for an approval */
	STORE_REQUEST_APPROVED, /* may be issued */
	STORE_REQUEST_REJECTED, /* an operator said no */
	STORE_REQUEST_EXPIRED,  /* nobody decided, or nobody came back */
	STORE_REQUEST_INTENT,   /* an intent is durable, no certificate yet */
	STORE_REQUEST_ISSUED,   /* certificate durable */
	STORE_REQUEST_OLD,      /* it was, but answers no more */
	STORE_REQUEST_VOID      /* intent given up: never signed */
};

struct store_request {
	enum store_request_state state;
	uint8_t request_hash[STORE_HASH_SIZE];
	int64_t cert_id;    /* 0 before an intent */
	const char *reason; /* REJECTED: what the operator said */
	/* of the intent, if there is one */
	int issuer;
	struct span serial;
	uint8_t tbs_hash[STORE_HASH_SIZE];
	uint8_t slot;
	int64_t intent_at;
	const char *profile, *principal;
	uint8_t profile_hash[STORE_HASH_SIZE];
};

struct store_request_key {
	const char *protocol, *txn;
	int64_t repeat_s; /* struct request of ca/request.h */
};

/* Looks a transaction up; NOT_FOUND when it is new. */
int store_request_get(struct db *db, struct arena *a,
    const struct store_request_key *key, struct store_request *out,
    struct err *e) MUST_USE;

struct store_intent {
	const char *protocol, *txn;
	uint8_t request_hash[STORE_HASH_SIZE];
	int issuer;
	struct span serial;
	uint8_t tbs_hash[STORE_HASH_SIZE];
	uint8_t slot;
	const char *profile;
	uint8_t profile_hash[STORE_HASH_SIZE];
	const char *principal;
	uint8_t spki_sha256[STORE_HASH_SIZE];
	int64_t not_before, not_after;
	const char *request_id;
	int64_t repeat_s; /* struct request of ca/request.h */
	int64_t secret;   /* one-time, used up by this; 0: none */
};

/*
 * Transaction 1: makes the request row and the intent (audit) row durable and
 * gives the certificate its id.  CONFLICT when (protocol, txn) exists: the
 * caller looks it up and decides; taken over are a VOID one, this very request
 * when it is APPROVED, and one whose certificate is revoked or older than
 * 'repeat_s'.  BAD_KEY when the key is blocked (store_revoke.h);
 * UNAUTHENTICATED when the secret is another transaction's.  'how' to wait may
 * be NULL (db/writer.h).
 */
int store_cert_reserve(struct writer *w, const struct store_intent *in,
    const struct writer_wait *how, int64_t *cert_id, struct err *e) MUST_USE;

struct store_name {
	uint8_t type;     /* GeneralName tag number; 255 for the CN */
	const char *text; /* lower case; stored reversed */
};

struct store_cert {
	int64_t id; /* from store_cert_reserve; encodes the month */
	int issuer;
	const char *issuer_name; /* filled by reads, ignored by writes */
	struct span serial;
	const char *protocol, *txn, *profile;
	uint8_t profile_hash[STORE_HASH_SIZE];
	const char *principal;
	int64_t not_before, not_after;
	const char *subject; /* RFC 4514 text */
	uint8_t spki_sha256[STORE_HASH_SIZE];
	uint8_t fingerprint[STORE_HASH_SIZE]; /* SHA-256 of der */
	struct span der;
	const struct store_name *names;
	size_t n_names;
	/* the signer's receipt */
	uint8_t sign_slot;
	uint64_t sign_seq;
	uint8_t sign_head[STORE_HASH_SIZE];
	/* status; ignored by store_cert_commit */
	bool revoked;
	int reason; /* CRLReason, -1 when none was given */
	int64_t revoked_at, issued_at;
	int64_t invalidity_at; /* 0: none was given */
};

/*
 * Transaction 2: certificate, names, status, change feed and audit row.
 * Doing it again for the same id and fingerprint is no error.
 */
int store_cert_commit(struct writer *w, const struct store_cert *c,
    const char *request_id, struct err *e) MUST_USE;

/* Gives an intent up after the signer barred its hash; audited. */
int store_cert_void(struct writer *w, int64_t cert_id, const char *protocol,
    const char *txn, const char *why, struct err *e) MUST_USE;

struct store_open_intent {
	int64_t cert_id, intent_at;
	const char *protocol, *txn, *profile, *principal;
	uint8_t tbs_hash[STORE_HASH_SIZE], profile_hash[STORE_HASH_SIZE];
	uint8_t slot;
	int issuer;
	struct span serial;
};
struct store_open_intents {
	const struct store_open_intent *list;
	size_t n;
};

/*
 * Intents of this role without certificate and not void, older than
 * 'before'; at most 'max'; the rows live in the arena.
 */
int store_intents_open(struct db *db, struct arena *a, int64_t before,
    size_t max, struct store_open_intents *out, struct err *e) MUST_USE;

/*
 * Deletes at most 'max' request rows from before 'before' that are issued,
 * void, or waited for an approval in vain; the certificates and audit rows
 * stay, but the transaction is no more remembered.  Role pub or oper.
 */
int store_request_clean(struct db *db, int64_t before, size_t max,
    size_t *deleted, struct err *e) MUST_USE;

/* One certificate without its names; NOT_FOUND. */
int store_cert_get(struct db *db, struct arena *a, int64_t id,
    struct store_cert *out, struct err *e) MUST_USE;
int store_cert_by_fingerprint(struct db *db, struct arena *a,
    const uint8_t fingerprint[STORE_HASH_SIZE], struct store_cert *out,
    struct err *e) MUST_USE;

/*
 * What a certificate that somebody shows or revokes is judged by: 'id',
 * 'profile', 'principal', 'subject', 'der', 'revoked' and 'reason' alone are
 * filled in.  NOT_FOUND.
 */
int store_cert_by_serial(struct db *db, struct arena *a, int issuer,
    struct span serial, struct store_cert *out, struct err *e) MUST_USE;

/*
 * Fills in the names of the certificate with this 'id'.  The more certificates
 * there are, the longer it takes: only where they are looked at.
 */
int store_cert_names(struct db *db, struct arena *a, struct store_cert *c,
    struct err *e) MUST_USE;

/*
 * How many of the newest 'max' certificates of this principal and profile were
 * issued within an hour.
 */
int store_cert_recent(struct db *db, const char *principal, const char *profile,
    unsigned max, unsigned *n, struct err *e) MUST_USE;

/* A search; NULL or 0 members do not restrict.  Newest first, with names. */
struct store_cert_query {
	const char *issuer_name, *profile, *principal;
	const char *name; /* exact, or "*.suffix" */
	struct span serial;
	int64_t expires_before, expires_after;
	int revoked;       /* -1 both, 0 no, 1 yes */
	int64_t before_id; /* paging: ids below */
	size_t limit;      /* at most 1000 */
};
int store_cert_list(struct db *db, struct arena *a,
    const struct store_cert_query *q, struct store_cert **out, size_t *n,
    struct err *e) MUST_USE;

/*
 * Makes the monthly partitions of certificates from now to 'months' ahead
 * that are missing (roles oper, pub).
 */
int store_cert_partitions(struct db *db, int months, struct err *e) MUST_USE;

/* Stores a profile's effective text once under its hash. */
int store_profile_put(struct writer *w, const uint8_t hash[STORE_HASH_SIZE],
    const char *name, const char *text, struct err *e) MUST_USE;

#endif
