/*
 * Which CRLs there ought to be, which there are, and which are late.
 */
#ifndef CTL_CRL_STATE_H
#define CTL_CRL_STATE_H

#include <stdbool.h>

#include "ctl/ctl.h"
#include "db/store_crl.h"

struct crl_state {
	const char *ca, *scope;
	const struct store_crl *row; /* NULL: there is none yet */
	bool imported;               /* by hand, not by chancery-pubd */
	bool wanted;                 /* by chancery.yaml, or imported */
	bool late;
	int64_t due; /* when the next one ought to be there; if wanted */
};

/*
 * All lists that are recorded or missing, by CA and scope, in the arena.  A
 * list of an issuer is late as chancery-pubd(8) says; an imported one 30 days
 * before its nextUpdate, or when a quarter of its life is left if that is
 * later.
 */
int crl_states(struct ctl *c, struct db *db, struct crl_state **out, size_t *n,
    struct err *e) MUST_USE;

#endif
