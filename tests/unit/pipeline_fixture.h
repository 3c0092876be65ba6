/*
 * The pipeline on real parts for tests: PostgreSQL, signd and a SoftHSM token
 * with one issuer "ca" and two profiles, "p" and, with approval, "held".
 */
#ifndef TESTS_UNIT_PIPELINE_FIXTURE_H
#define TESTS_UNIT_PIPELINE_FIXTURE_H

#include "ca/enroll.h"
#include "tests/attack/signd_fixture.h"
#include "tests/db/pg.h"

extern struct fixture fx;
extern struct pg *pg;
extern struct issuer_set *issuers;
extern struct profile_set *profiles;
extern struct writer *writer; /* role enroll */
extern struct ctx ctx;
extern struct span spki; /* of the key that requests ask for */

/* A file beside the profiles: another profile, a trust anchor. */
struct pipeline_file {
	const char *name;
	struct span bytes;
};

/* Starts everything; ended by pipeline_teardown. */
void pipeline_start(const struct pipeline_file *extra, size_t n_extra);

/* For cmocka_run_group_tests, without further files. */
int pipeline_setup(void **state);
int pipeline_teardown(void **state);

/* Another context, with its own connections. */
void ctx_open(struct ctx *c, int timeout_ms);
void ctx_close(struct ctx *c);

/* A request of "oper:alice" for a name; 'raw' stands for its bytes. */
struct ask {
	struct request req;
	struct request_san san;
};
const struct request *ask(
    struct ask *q, const char *txn, const char *raw, const char *name);

/* enroll_submit that must work, or fail with this kind. */
void submit(const struct request *req, struct enroll_result *res);
void fails(const struct request *req, enum err_kind kind);

#endif
