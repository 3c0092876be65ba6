/*
 * How EST carries binary data (RFC 8951 3): base64 in both directions.  What
 * comes in may have white space and claims about its encoding, which do not
 * count; what goes out is one line, or lines of 64 for clients that cannot
 * read that.
 */
#ifndef PROTOCOLS_EST_CODEC_H
#define PROTOCOLS_EST_CODEC_H

#include <stdbool.h>

#include "base/arena.h"
#include "base/err.h"
#include "base/span.h"

/* The largest body of a request. */
#define EST_BODY_MAX ((size_t)64 * 1024)

/* The columns of wrapped output. */
#define EST_LINE 64

/*
 * Decodes a request's body.  MALFORMED: empty, not base64, without its
 * padding.
 */
int est_decode(struct arena *a, struct span body, struct span *out,
    struct err *e) MUST_USE;

/* Encodes an answer; wrapped, every line ends in a line feed. */
struct span est_encode(struct arena *a, struct span der, bool wrap);

/* Whether a client's User-Agent (or NULL) says that it needs lines. */
bool est_agent_wraps(const char *user_agent);

/*
 * Whether a Content-Type (or NULL) is this media type, whatever its case and
 * its parameters (RFC 9110 8.3.1).
 */
bool est_media_type_is(const char *content_type, const char *type);

#endif
