/*
 * A signed answer as an HTTP reply, with what caches are told of it (RFC 9919
 * section 7).  What the answer says is not looked at here.
 */
#ifndef OCSP_REPLY_H
#define OCSP_REPLY_H

#include <stdint.h>

#include "base/http.h"
#include "ocsp/answer.h"

/* Made once, sent any number of times, by any thread. */
struct reply;

/* What caches may do. */
enum reply_caching {
	REPLY_KEPT,  /* keep it until a better one is there, before its end */
	REPLY_STALE, /* not use it again: a GET that may soon be answered else
		      */
	REPLY_PLAIN  /* a POST: nothing is said */
};

/* Copies the answer.  NULL: no memory. */
struct reply *reply_new(
    const struct answer *a, int64_t now, enum reply_caching caching);

/* NULL is allowed. */
void reply_free(struct reply *r);

/*
 * Sends it, or 304 when the client of a GET or HEAD has it (If-None-Match).
 * If-Modified-Since counts for nothing: a status may change twice in a second,
 * and then an old answer has the date of the new one.
 */
void reply_send(const struct reply *r, const struct http_now_request *req);

#endif
