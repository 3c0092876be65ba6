/*
 * What is due of one issuer's CRLs: which lists by the clock, by what was
 * revoked and by what is published already, under which numbers, and which
 * expired entries leave.  Has nothing signed and publishes nothing.
 */
#ifndef CRL_CRL_PLAN_H
#define CRL_CRL_PLAN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/settings.h"
#include "ca/issuer.h"
#include "crl/crl_kept.h"
#include "crl/crl_round.h"
#include "crl/crl_scope.h"

/* What has failed is tried again after 'until_us', later each time. */
struct crl_wait {
	int64_t until_us, backoff_us; /* mono; 0: it has not failed */
};

/*
 * The rounds of a turn.  Lists that failed last have rounds of their own after
 * all others, so that one that the signer refuses delays itself alone.
 */
enum crl_which {
	CRL_COMPLETE,
	CRL_DELTA,
	CRL_COMPLETE_AGAIN,
	CRL_DELTA_AGAIN,
	CRL__WHICH
};

struct crl_plan {
	const struct issuer *issuer;
	const struct settings_crl *conf; /* borrowed; may be replaced */
	struct arena *arena;
	struct crl_scope *scopes;
	struct crl_kept *kept;     /* one for each scope */
	struct crl_wait *waits[2]; /* for each scope: CRL_COMPLETE, CRL_DELTA */
	size_t n;
	int64_t last_number;
};

/* At one moment: what is published. */
struct crl_moment {
	struct db *db;
	struct arena *a;
	struct store_crls all;
	int64_t now;
};

/* 'conf' is set by the caller before anything else is asked. */
void crl_plan_init(struct crl_plan *p, const struct issuer *issuer);
void crl_plan_clear(struct crl_plan *p);

/* Notes a change; an empty serial: of anything. */
void crl_plan_note(struct crl_plan *p, struct span serial);

/* Forgets the lists that are kept: all rows are read for the next ones. */
void crl_plan_forget(struct crl_plan *p);

/* The newest published list of a scope's name, or NULL. */
const struct store_crl *crl_plan_find(
    const struct crl_moment *m, const struct crl_plan *p, const char *scope);

/* Whether the complete list of this scope has failed last. */
bool crl_plan_waits(const struct crl_plan *p, const struct crl_scope *s);

/* Puts the next try off, for twice as long as the last time. */
void crl_wait_longer(struct crl_wait *w);

/*
 * The lists that are due for one of the rounds, in the arena of 'm'; their
 * changes count as told.  'out->n' is 0 when none is.  'm->all' has what the
 * rounds before have published.
 */
void crl_plan_due(const struct crl_moment *m, struct crl_plan *p,
    enum crl_which which, struct crl_round *out);

/*
 * Gives the lists their numbers and decides up to where expired entries have
 * left; '*mark' is that of lists that are made of all rows.
 */
int crl_plan_prepare(const struct crl_moment *m, struct crl_plan *p,
    struct crl_round *r, struct store_crl_mark *mark, struct err *e) MUST_USE;

/* What was heard while the lists were read is on them now. */
void crl_plan_told(struct crl_plan *p, const struct crl_round *r);

/* The list is public, or it alone has failed and has to wait. */
void crl_plan_published(struct crl_plan *p, struct crl_list *l);
void crl_plan_refused(struct crl_plan *p, const struct crl_list *l);

/* After a round: what is kept of lists that are not public is worthless. */
void crl_plan_done(struct crl_plan *p, const struct crl_round *r);

#endif
