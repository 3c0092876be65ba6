/*
 * When an issuer's CRLs are made: by the clock, long before the last ones
 * end, and soon after a revocation.  Of several publishers on one database
 * the one with the lease does it.
 */
#ifndef CRL_PUBLISH_H
#define CRL_PUBLISH_H

#include <stdbool.h>

#include "ca/engine.h"
#include "crl/hook.h"
#include "db/store_crl.h"

struct publish_conf {
	const struct settings *settings; /* outlives the publisher */
	struct engine *engine;
	struct ctx *ctx;
	const char *holder; /* names this process in the lease row */
	const char *dir;    /* for the files that a hook gets */
	struct hook *hook;  /* or NULL */
};

struct publisher;

/*
 * A publisher; the issuers have their row ids already.  UNAVAILABLE: no thread
 * for the files.
 */
int publisher_new(const struct publish_conf *conf, struct publisher **out,
    struct err *e) MUST_USE;

/* Gives the lease back and frees. */
void publisher_free(struct publisher *p);

/*
 * Takes or keeps the lease, looks for revocations and publishes what is due;
 * says in the log and in metrics what fails and what is late.  UNAVAILABLE:
 * the database does not answer.
 */
int publisher_turn(struct publisher *p, struct err *e) MUST_USE;

/* Whether this process is the one that publishes. */
bool publisher_active(const struct publisher *p);

/* From now on the issuers' schedules are those of 'settings'. */
void publisher_reload(struct publisher *p, const struct settings *settings);

/* Whether a list of this issuer is late, with 'row' NULL when there is none. */
bool publish_is_late(const struct settings_crl *conf,
    const struct store_crl *row, int64_t now_s);

#endif
