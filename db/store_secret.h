/*
 * Enrollment secrets: a name and a text that clients show (HTTP Basic, later
 * SCEP).  Only a hash of the text is stored: SHA-256 of generated ones, scrypt
 * of those that people choose (ca/secret.h).
 */
#ifndef DB_STORE_SECRET_H
#define DB_STORE_SECRET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/err.h"

struct db;
struct writer;

#define STORE_SALT_SIZE 16
#define STORE_SECRET_HASH_SIZE 32

enum store_secret_kind {
	STORE_SECRET_GENERATED,
	STORE_SECRET_CHOSEN
};

struct store_secret {
	int64_t id;
	const char *name; /* 1 to 64 visible ASCII characters, no colon */
	enum store_secret_kind kind;
	bool one_time;
	uint8_t salt[STORE_SALT_SIZE], hash[STORE_SECRET_HASH_SIZE];
	const char *profile;
	const char **names; /* globs such as "dns:*.a.test"; none: any */
	size_t n_names;
	const char *operator;                       /* who made it */
	int64_t created_at, expires_at, revoked_at; /* 0: not revoked */
	int64_t used_at;                            /* one-time; 0: not yet */
	const char *used_by; /* "PROTOCOL TXN", or NULL */
};

/*
 * Stores a new one, with an audit event; 'id', 'created_at' are ignored.
 * Role oper.  CONFLICT: a secret of that name is not revoked.
 */
int store_secret_add(struct writer *w, const struct store_secret *s,
    const char *request_id, struct err *e) MUST_USE;

/* Revokes by name, with an audit event.  Role oper.  NOT_FOUND. */
int store_secret_revoke(struct writer *w, const char *name,
    const char *operator, const char * request_id, struct err *e) MUST_USE;

/* The one of that name that is not revoked, expired or not; NOT_FOUND. */
int store_secret_get(struct db *db, struct arena *a, const char *name,
    struct store_secret *out, struct err *e) MUST_USE;

/*
 * In order of age, at most 'max' with ids above 'after'; with 'all' also
 * those that are revoked, expired or used up.
 */
struct store_secret_query {
	int64_t after;
	size_t max;
	bool all;
};
int store_secret_list(struct db *db, struct arena *a,
    const struct store_secret_query *q, struct store_secret **out, size_t *n,
    struct err *e) MUST_USE;

#endif
