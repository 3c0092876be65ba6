/*
 * Credentials of the Basic scheme (RFC 7617).
 */
#ifndef PROTOCOLS_EST_BASIC_H
#define PROTOCOLS_EST_BASIC_H

#include "base/arena.h"
#include "base/err.h"
#include "base/span.h"

/* User id or password, in octets. */
#define EST_BASIC_MAX 255

struct est_basic {
	const char *name;
	struct span secret; /* est_basic_clear */
};

/*
 * Reads the value of an Authorization header field; 'out' lives in the arena.
 * UNAUTHENTICATED: another scheme, not base64, no colon, no name, too long, or
 * a control character (RFC 7617 2).
 */
int est_basic_parse(struct arena *a, const char *authorization,
    struct est_basic *out, struct err *e) MUST_USE;

/* Cleanses name and secret. */
void est_basic_clear(struct est_basic *b);

#endif
