/* Sample intents and certificates for tests and benchmarks. */
#ifndef TESTS_DB_SAMPLE_H
#define TESTS_DB_SAMPLE_H

#include "db/db.h"
#include "db/store_cert.h"
#include "db/writer.h"
#include "tests/db/pg.h"

struct sample {
	char txn[32];
	uint8_t serial[16], der[900];
	struct store_name name[1];
	struct store_intent intent;
	struct store_cert cert;
};

/* Fills in sample number 'n'; others have other serials and transactions. */
void sample_init(struct sample *s, int issuer, int n);

/* Reserves and commits it; a failure ends the process. */
void sample_issue(struct writer *w, struct sample *s);

/* Fails the test unless 'got' is what was committed. */
void sample_check(const struct sample *s, const struct store_cert *got);

/* store_request_get of an "acme" transaction that answers for ever. */
int sample_request(struct db *db, struct arena *a, const char *txn,
    struct store_request *out, struct err *e);

/*
 * A throw-away cluster with a connection of each of three roles; what
 * sample_close frees.  A failure ends the process.
 */
struct sample_roles {
	struct pg *pg;
	struct db *oper, *pub, *ocsp;
};
void sample_open(struct sample_roles *out);
void sample_close(struct sample_roles *r);

/* Registers an issuer as role oper and returns its id. */
int sample_issuer(struct db *db, const char *name);

#endif
