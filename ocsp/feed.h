/*
 * Keeps the status table as the database has it: loads it or takes it from
 * the snapshot, follows the changes, and notices a database that went back in
 * time.  One thread; what it changes is read through struct answer_world.
 */
#ifndef OCSP_FEED_H
#define OCSP_FEED_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "ocsp/answer.h"

struct feed;

struct feed_conf {
	struct answer_world *world;
	const char *conninfo; /* of the database that is read */
	const char *snapshot; /* file */
	const char *accept;   /* file: an operator accepts the database */
	const char *files;    /* directory of CRLs from before, or NULL */
};

/*
 * Takes the snapshot if there is one; never fails because of it.  It answers
 * nothing before a step has found the database to know all of it.
 */
struct feed *feed_new(const struct feed_conf *conf);
void feed_free(struct feed *f);

/*
 * One round: waits at most 50 ms for changes and takes them.  Logs what
 * changes for the better or worse.
 */
void feed_step(struct feed *f);

/*
 * Writes the snapshot; any thread, one at a time.  Nothing is written before
 * the table is loaded.  Of a database that is disputed it has what was known
 * before, so that a restart forgets nothing.
 */
int feed_save(struct feed *f, struct err *e) MUST_USE;

/* How the feed is: for health and metrics, from any thread. */
struct feed_health {
	enum answer_trust trust;
	bool bounded;      /* the CRLs from before were looked at */
	bool connected;    /* the database answered, some seconds ago at most */
	int64_t synced_at; /* 0: never */
	size_t certificates, revoked;
};
void feed_health(const struct feed *f, struct feed_health *out);

#endif
