/*
 * The CAs above our issuers, which issue nothing here: where certificates say
 * that their CRLs are, and whether these lists are there and in time.
 * chancery-pubd(8) and chancery(1) tell; operators import the lists.
 */
#ifndef CRL_OUTER_H
#define CRL_OUTER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "ca/issuer.h"
#include "db/store_authority.h"
#include "db/store_crl.h"

/* The next certificate of a text of PEM blocks, DER in the arena. */
bool outer_next_cert(struct arena *a, const char **text, struct span *der);

/* All CA certificates that the settings know of an issuer, the root last. */
const char *outer_chain(struct arena *a, const struct issuer *i);

/*
 * The paths of the http URLs at which certificates of the chains say that the
 * CRL of this CA is: at most STORE_AUTHORITY_PATHS_MAX of them.
 */
const char **outer_paths(struct arena *a, const struct issuer_set *set,
    const struct issuer *ca, size_t *n);

/* A CA's name from the first of its paths: "/crl/root.crl" is "root". */
const char *outer_name(struct arena *a, const char *path);

/* When the list after 'row' ought to be there. */
int64_t outer_due(const struct store_crl *row);

/* A list that ought to be there. */
struct outer {
	const char *name;
	const struct store_crl *row; /* NULL: never imported */
	bool late;                   /* missing, too */
};

struct outers {
	struct outer *list;
	size_t n;
};

/* All of them, in the arena; 'rows' are the current lists. */
int outer_list(struct arena *a, struct db *db, const struct issuer_set *set,
    const struct store_crls *rows, struct outers *out, struct err *e) MUST_USE;

#endif
