/*
 * Linking identity and proof of possession (RFC 7030 3.5, RFC 9266): the
 * challengePassword of a request may be the channel binding of the TLS
 * connection that it came over, in base64.
 */
#ifndef PROTOCOLS_EST_BINDING_H
#define PROTOCOLS_EST_BINDING_H

#include <stdbool.h>

#include "base/arena.h"
#include "base/err.h"
#include "base/http.h"
#include "base/span.h"

struct est_binding {
	enum http_binding kind;
	struct span value; /* of this connection */
};

/*
 * Checks the challengePassword (or NULL).  One that decodes to the length of
 * a binding must be this connection's; another one is no binding, which is
 * only wrong when one is 'required'.  MALFORMED says what is missing.
 */
int est_binding_check(struct arena *a, const struct est_binding *b,
    const char *challenge, bool required, struct err *e) MUST_USE;

#endif
