/*
 * The one table from our error kinds to what an EST client is told
 * (RFC 7030 4.2.3): a status, and a sentence as text/plain.
 */
#ifndef PROTOCOLS_EST_STATUS_H
#define PROTOCOLS_EST_STATUS_H

#include "base/err.h"

/* The HTTP status of a kind of error. */
int est_status(enum err_kind kind);

/*
 * What the client sees: the error's own text for MALFORMED, REFUSED, BAD_KEY,
 * BAD_POP and LIMITED, a fixed one for the others.
 */
const char *est_status_text(const struct err *e);

#endif
