/*
 * Issuing CAs and profiles in a scratch directory, for tests of ca/ that need
 * no database and no signer.  The test has the keys.
 */
#ifndef TESTS_CA_FIXTURE_H
#define TESTS_CA_FIXTURE_H

#include <openssl/evp.h>

#include "base/arena.h"
#include "ca/issuer.h"
#include "ca/profile.h"
#include "tests/unit/tbs_maker.h"

/* The fixture's own time: every clock_now answers it. */
#define CA_FIXTURE_NOW INT64_C(1800000000) /* 2027-01-15T08:00:00Z */

struct ca_fixture {
	char dir[64];
	struct arena *a;
	EVP_PKEY *key; /* of all its CAs */
	struct issuer_set *issuers;
	struct profile_set *profiles; /* those that ship */
};

/*
 * The issuers: "tls" and "open" (no path length), "users" and "code" (path
 * length 0) and "limited" (name constraints: DNS below "test" only).
 */
void ca_fixture_init(struct ca_fixture *f);
void ca_fixture_clear(struct ca_fixture *f);

/* Fills a good end-entity TBS (TLS server "a.test") under an issuer. */
void ca_fixture_leaf(struct ca_fixture *f, const char *issuer, struct span spki,
    struct tbs_maker *m);

/* A good subordinate CA; under itself when 'issuer' is NULL. */
void ca_fixture_ca(struct ca_fixture *f, const char *issuer, struct span spki,
    struct tbs_maker *m);

#endif
