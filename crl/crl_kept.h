/*
 * The last complete list of a scope as it was built, kept as its memory file,
 * and the certificates that have changed since: the next list is a copy with
 * these put right, which takes a tenth of the time of reading all rows.
 * Knows nothing of the database; who keeps a list tells it every change.
 */
#ifndef CRL_CRL_KEPT_H
#define CRL_CRL_KEPT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "crl/crl_build.h"
#include "db/store_crl.h"

/* Beyond so many changes reading everything is quicker. */
#define CRL_KEPT_CHANGES_MAX 10000

struct crl_kept_serial {
	uint8_t n, bytes[20];
};

struct crl_kept {
	bool changed; /* something is not on a published list yet */
	/* the list; nothing is kept while 'has' is false */
	bool has;
	struct crl_built built; /* the descriptor is ours */
	int64_t number;         /* under which it was published; 0: not yet */
	int64_t read_at;        /* when all rows were read; mono, us */
	bool patched;           /* changes were put into it since */
	bool stale;             /* more has changed than could be noted */
	struct crl_kept_serial *changes;
	size_t n, max;
};

/* Forgets the list and what changed since; 'changed' stays. */
void crl_kept_drop(struct crl_kept *k);

/* Keeps a list, in place of the one before, with no changes. */
void crl_kept_take(struct crl_kept *k, const struct crl_built *built);

/*
 * Notes that a certificate has changed; an empty serial: any.  What is too
 * much makes the list stale.
 */
void crl_kept_note(struct crl_kept *k, struct span serial);

/* The serials noted, ascending, each once; in the arena. */
struct span *crl_kept_changes(struct crl_kept *k, struct arena *a, size_t *n);

/*
 * Copies the kept list to 'to' with 'now' in place of whatever it has of
 * 'changes'; both ascend, and all of 'now' is among 'changes'.
 */
struct crl_kept_patch {
	const struct span *changes;
	size_t n_changes;
	const struct crl_entry *now;
	size_t n_now;
};
int crl_kept_copy(const struct crl_kept *k, const struct crl_kept_patch *patch,
    struct crl_build *to, struct err *e) MUST_USE;

#endif
