/*
 * A round: all complete lists of an issuer, or all its deltas, built in one
 * pass over what is revoked.  A delta is the difference between its base, as
 * published, and the state now, with what the delta before it has said:
 * clients may have put that one together with the base (RFC 5280 5.2.4).
 */
#ifndef CRL_CRL_ROUND_H
#define CRL_CRL_ROUND_H

#include "crl/crl_build.h"
#include "crl/crl_kept.h"
#include "crl/crl_scope.h"

#define CRL_NUMBER_SIZE 8

/* One list of a round. */
struct crl_list {
	const struct crl_scope *scope;
	struct store_crl row;   /* as it will be recorded; filled before */
	int64_t before_id;      /* delta: the one before, of this base; or 0 */
	int64_t base_id;        /* delta: id of the base */
	int64_t expired_since;  /* CRL_NO_TIME, or kept since then */
	struct crl_kept *kept;  /* keeps the list when it is built, or NULL */
	struct crl_built built; /* out; the descriptor is -1 without */
	bool published;         /* out: it is public */
	/* while it is built */
	struct crl_build *build;
	uint8_t *bytes[2];      /* of base and delta before */
	struct span entries[2]; /* what is left of their entries */
	uint8_t number[CRL_NUMBER_SIZE], base[CRL_NUMBER_SIZE];
};

struct crl_round {
	const struct issuer *issuer;
	struct crl_list *lists;
	size_t n;
	bool read;      /* of all rows, not of what is kept */
	size_t skipped; /* out: rows with a serial that is none */
};

/*
 * Builds the lists from all rows; those that have left by 'mark' stay out.  The
 * descriptors are closed by crl_round_clear, also after a failure; those of
 * lists that are kept stay open.
 */
int crl_round_build(struct db *db, struct crl_round *r,
    const struct store_crl_mark *mark, struct err *e) MUST_USE;

/*
 * Builds each list that is kept from what is kept, and how those certificates
 * stand now that have changed since; a list that was built already only if
 * there are such.
 */
int crl_round_patch(struct db *db, struct crl_round *r, struct err *e) MUST_USE;
void crl_round_clear(struct crl_round *r);

#endif
