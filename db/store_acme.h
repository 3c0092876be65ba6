/*
 * ACME state (RFC 8555): accounts, orders, authorizations, challenges, used
 * nonces.  What can be derived is derived when it is read: an authorization's
 * status from its validation results, an order's from its authorizations, its
 * expiry and the certificate request of (protocol "acme", txn = order id).
 * Ids are the caller's, unpredictable, without white space.  Role enroll.
 */
#ifndef DB_STORE_ACME_H
#define DB_STORE_ACME_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/err.h"
#include "base/span.h"

struct db;
struct writer;

#define STORE_THUMBPRINT_SIZE 32

enum store_account_status {
	STORE_ACCOUNT_VALID,
	STORE_ACCOUNT_DEACTIVATED, /* by the client */
	STORE_ACCOUNT_REVOKED      /* by the operator */
};

struct store_account {
	const char *id;
	uint8_t thumbprint[STORE_THUMBPRINT_SIZE]; /* RFC 7638, SHA-256 */
	const char *jwk;                           /* as JSON text */
	const char *contact; /* a JSON array of strings, as text */
	bool tos_agreed;
	/* ignored by store_account_new */
	enum store_account_status status;
	int64_t created_at;
};

/* Makes an account; audited.  CONFLICT: id or key exists. */
int store_account_new(
    struct writer *w, const struct store_account *acc, struct err *e) MUST_USE;

/* Look-ups; NOT_FOUND.  Any status is found. */
int store_account_get(struct db *db, struct arena *a, const char *id,
    struct store_account *out, struct err *e) MUST_USE;
int store_account_by_key(struct db *db, struct arena *a,
    const uint8_t thumbprint[STORE_THUMBPRINT_SIZE], struct store_account *out,
    struct err *e) MUST_USE;

/* Replaces the contacts (a JSON array) of a valid account; NOT_FOUND. */
int store_account_contact(struct writer *w, const char *id, const char *contact,
    struct err *e) MUST_USE;

/* Deactivates a valid account (section 7.3.6); audited; NOT_FOUND. */
int store_account_deactivate(
    struct writer *w, const char *id, struct err *e) MUST_USE;

struct store_identifier {
	const char *type;  /* "dns" ... */
	const char *value; /* canonical; of a wildcard the base name */
	bool wildcard;
};

struct store_challenge_new {
	const char *id, *type, *token;
};

struct store_authz_new {
	struct store_identifier identifier;
	const char *id; /* store_order_new puts a reused one's id here */
	const struct store_challenge_new *challenges;
	size_t n_challenges;
	bool reused; /* filled in by store_order_new */
};

struct store_order_new {
	const char *id, *account, *profile;
	int64_t expires_at, not_before, not_after; /* 0: none was asked for */
	int64_t pending_until; /* until when challenges can be answered */
	int valid_s;           /* how long a validation is good, seconds */
	/* Reuse the account's authorizations that are valid until then;
	 * 0: make new ones. */
	int64_t reuse_until;
	struct store_authz_new *authz; /* one for each identifier */
	size_t n_authz;
};

/*
 * Makes an order with its authorizations and challenges in one transaction.
 * 'db' is asked for authorizations to reuse (may be NULL when reuse_until is
 * 0); reused ids live in the arena.  CONFLICT: the id exists.
 */
int store_order_new(struct writer *w, struct db *db, struct arena *a,
    struct store_order_new *o, struct err *e) MUST_USE;

/* RFC 8555 section 7.1.6. */
enum store_order_status {
	STORE_ORDER_PENDING,
	STORE_ORDER_READY,
	STORE_ORDER_PROCESSING,
	STORE_ORDER_VALID,
	STORE_ORDER_INVALID
};

struct store_order {
	const char *id, *account, *profile;
	enum store_order_status status;
	int64_t created_us, expires_at;
	int64_t not_before, not_after; /* 0: none was asked for */
	const struct store_identifier *identifiers;
	size_t n_identifiers;
	const char *const *authz; /* ids, in the order of the identifiers */
	size_t n_authz;
	int64_t cert_id; /* when VALID, else 0 */
};

/* One order with its status now; NOT_FOUND. */
int store_order_get(struct db *db, struct arena *a, const char *id,
    struct store_order *out, struct err *e) MUST_USE;

struct store_order_query {
	const char *account;
	int64_t before_us; /* only older ones; 0: from the newest */
	size_t max;
};

/* The account's orders, newest first. */
int store_order_list(struct db *db, struct arena *a,
    const struct store_order_query *q, struct store_order **out, size_t *n,
    struct err *e) MUST_USE;

/* RFC 8555 section 7.1.6. */
enum store_authz_status {
	STORE_AUTHZ_PENDING,
	STORE_AUTHZ_VALID,
	STORE_AUTHZ_INVALID,
	STORE_AUTHZ_EXPIRED,
	STORE_AUTHZ_DEACTIVATED
};

enum store_challenge_status {
	STORE_CHALLENGE_PENDING,
	STORE_CHALLENGE_PROCESSING,
	STORE_CHALLENGE_VALID,
	STORE_CHALLENGE_INVALID
};

struct store_challenge {
	const char *id, *type, *token;
	enum store_challenge_status status;
	int64_t validated_at; /* when VALID */
	/* the last failure, also while PROCESSING; or NULL */
	const char *error_type, *error_detail;
};

struct store_authz {
	const char *id, *account;
	struct store_identifier identifier;
	enum store_authz_status status;
	int64_t expires_at;
	const struct store_challenge *challenges;
	size_t n_challenges;
};

/* An authorization with its challenges, by its id or a challenge's. */
int store_authz_get(struct db *db, struct arena *a, const char *id,
    struct store_authz *out, struct err *e) MUST_USE;
int store_authz_by_challenge(struct db *db, struct arena *a,
    const char *challenge, struct store_authz *out, struct err *e) MUST_USE;

/*
 * The client says that the challenge can be validated: queues it for vald.
 * Again while it waits for a retry: due at once, if the last try is 5 s old.
 * CONFLICT: its authorization is no longer pending; NOT_FOUND.
 */
int store_challenge_respond(
    struct writer *w, const char *challenge, struct err *e) MUST_USE;

/* Deactivates an authorization (section 7.5.2); audited; NOT_FOUND. */
int store_authz_deactivate(
    struct writer *w, const char *id, struct err *e) MUST_USE;

/* Whether the account holds valid authorizations for all identifiers. */
int store_account_holds(struct db *db, const char *account,
    const struct store_identifier *idents, size_t n, bool *all,
    struct err *e) MUST_USE;

/*
 * Marks a nonce as used until it expires (seconds).  CONFLICT: it was used.
 * 'w' comes from writer_new_async.
 */
int store_nonce_use(struct writer *w, struct span nonce, int64_t expires_at,
    struct err *e) MUST_USE;

/* Deletes at most 'max' used nonces that have expired; roles enroll, pub. */
int store_nonce_clean(
    struct db *db, size_t max, size_t *deleted, struct err *e) MUST_USE;

#endif
