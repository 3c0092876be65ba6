/*
 * All CAs that have a row: the issuers of chancery.yaml, and those whose CRL
 * was signed offline and is only served here.
 */
#ifndef DB_STORE_AUTHORITY_H
#define DB_STORE_AUTHORITY_H

#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/err.h"
#include "base/span.h"
#include "db/store_cert.h"

#define STORE_AUTHORITY_PATHS_MAX 16

struct store_authority {
	int id; /* as in struct store_crl */
	const char *name;
	uint8_t spki_sha256[STORE_HASH_SIZE];
	struct span cert; /* DER */
	/*
	 * At which paths of URLs, such as "/crl/root.crl", its CRL is served;
	 * none: an issuer, whose CRLs are served where its settings say.
	 */
	const char **paths;
	size_t n_paths;
};

/* All of them, by name. */
int store_authority_list(struct db *db, struct arena *a,
    struct store_authority **out, size_t *n, struct err *e) MUST_USE;

/*
 * Registers a CA that issues nothing here, or finds it again and takes the
 * newer certificate and paths (1 to STORE_AUTHORITY_PATHS_MAX); fills in 'id'.
 * CONFLICT: the name belongs to another key, or the key has another name.
 * Role oper.
 */
int store_authority_put(
    struct db *db, struct store_authority *x, struct err *e) MUST_USE;

#endif
