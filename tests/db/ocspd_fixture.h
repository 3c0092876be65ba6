/*
 * A running chancery-ocspd on a scratch directory and a database, and what
 * the publisher would do for it.  A failure ends the process.
 */
#ifndef TESTS_DB_OCSPD_FIXTURE_H
#define TESTS_DB_OCSPD_FIXTURE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/arena.h"
#include "base/span.h"
#include "tests/db/pg.h"
#include "tests/unit/ocsp_ca.h"

struct ocspd {
	struct arena *arena;
	struct pg *pg, *replica; /* the latter is NULL without ocspd_follow */
	const char *dir;
	uint16_t port;
	pid_t pid;
	struct ocsp_ca ca;
	int issuer; /* row id */
	EVP_PKEY *host_key;
};

/* The database, the CA and the configuration; nothing runs yet. */
struct ocspd *ocspd_new(void);
void ocspd_free(struct ocspd *d);

/*
 * Makes a streaming replica, from which the daemon is to read; before its
 * start and before others connect, for the primary is restarted.
 */
void ocspd_follow(struct ocspd *d);

/* Starts the daemon, or ends it by 'sig' and waits. */
void ocspd_start(struct ocspd *d);
void ocspd_stop(struct ocspd *d, int sig);

/* Runs it with one more option to its end; its exit status. */
int ocspd_run(struct ocspd *d, const char *option);

/*
 * As the publisher: waits for a request, checks its signature, writes a
 * certificate of 'ttl_s'; one without id-kp-OCSPSigning if 'wrong'.
 */
void ocspd_certify(struct ocspd *d, int64_t ttl_s, bool wrong);

struct ocspd_reply {
	long status;
	size_t n;
	uint8_t body[20000];
	char headers[2000];
};

/* GET if 'body' is empty, else POST; 'header' may be NULL. */
void ocspd_ask(struct ocspd *d, const char *path, struct span body,
    const char *header, struct ocspd_reply *out);

/* HEAD: no body comes. */
void ocspd_head(struct ocspd *d, const char *path, struct ocspd_reply *out);

/*
 * Asks about a serial (a GET by RFC 6960 A.1) and judges: the status, or
 * -10 - OCSPResponseStatus when there is none, -1 when it is wrong.
 */
int ocspd_status(struct ocspd *d, struct span serial);

/* As ocspd_status until it is 'want'; false after ten seconds. */
bool ocspd_becomes(struct ocspd *d, struct span serial, int want);

/* SQL as the database's superuser. */
void ocspd_sql(struct ocspd *d, const char *sql);

/* Ends a statement: what its query "t" changed goes into the feed, too. */
#define OCSPD_FEED                                                             \
	" INSERT INTO status_change (writer, seq, cert_id, not_after,"         \
	" revoked_at, issuer, status, reason, serial) SELECT 4096,"            \
	" (SELECT coalesce(max(seq), 0) FROM status_change"                    \
	" WHERE writer = 4096) + row_number() OVER (), cert_id, not_after,"    \
	" revoked_at, issuer, status, reason, serial FROM t"

/* Issues certificates number 'from' to 'to', as writer 4096. */
void ocspd_issue(struct ocspd *d, int from, int to);

/* The serial of certificate 'n' (1 to 255); static until the next call. */
struct span ocspd_serial(int n);

/* Waits up to ten seconds for "/health" to have this status and text. */
bool ocspd_health(struct ocspd *d, long status, const char *text);

#endif
