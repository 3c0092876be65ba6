/*
 * Has the short-lived certificates of OCSP responders made: takes their
 * requests from the database, runs them through the pipeline as the pub role,
 * and writes the outcome back.  Who may have one, signd decides by keys.yaml.
 */
#ifndef CRL_RESPONDER_H
#define CRL_RESPONDER_H

#include <stdbool.h>

#include "ca/engine.h"

/* The profile of these certificates. */
#define RESPONDER_PROFILE "ocsp-responder"

/*
 * Answers the open requests, with 'again' also those that have got a fault
 * before.  UNAVAILABLE: database or signer down; a request
 * that is refused gets its fault written and is no error.
 */
int responder_turn(
    struct engine *g, struct ctx *ctx, bool again, struct err *e) MUST_USE;

#endif
