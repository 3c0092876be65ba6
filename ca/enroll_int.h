/*
 * What the files of ca/enroll*.c share; nobody else includes this.
 */
#ifndef CA_ENROLL_INT_H
#define CA_ENROLL_INT_H

#include "ca/enroll.h"
#include "db/store_cert.h"

/* A stored certificate as a result. */
void enroll_set_issued(
    struct ctx *ctx, const struct store_cert *row, struct enroll_result *res);

/*
 * What a request row says, as enroll_submit answers it; NOT_FOUND: it answers
 * no more.  An open intent that is old enough is settled.
 */
int enroll_outcome(struct ctx *ctx, const struct store_request_key *key,
    const struct store_request *r, struct enroll_result *res,
    struct err *e) MUST_USE;

#endif
