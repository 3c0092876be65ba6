/*
 * EST server (RFC 7030, 8951, 9908): a thin translation between HTTP and the
 * pipeline.  Without a label in the path the profile is that of the settings;
 * a label names any profile that allows the protocol "est".
 */
#ifndef PROTOCOLS_EST_EST_H
#define PROTOCOLS_EST_EST_H

#include "base/http.h"
#include "base/settings.h"
#include "ca/enroll.h"
#include "protocols/est/route.h"

/* One worker. */
struct est_worker {
	const struct settings_est *settings;
	struct ctx *ctx; /* its arena is set for each request */
};

/*
 * Serves a request over TLS whose path est_route_is; everything else is the
 * caller's to answer.
 */
void est_handle(struct est_worker *w, const struct http_request *req,
    struct http_reply *reply);

#endif
