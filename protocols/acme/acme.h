/*
 * ACME server (RFC 8555): a thin translation between HTTP and the pipeline.
 * State is in PostgreSQL, so any node answers any message; URLs come from
 * the configured public URL, never from the Host header.
 */
#ifndef PROTOCOLS_ACME_ACME_H
#define PROTOCOLS_ACME_ACME_H

#include <stdbool.h>

#include "base/http.h"
#include "base/settings.h"
#include "ca/enroll.h"
#include "protocols/acme/nonce.h"

#define ACME_PREFIX "/acme/"

/* Shared by all workers, const. */
struct acme_conf {
	const struct settings *settings;
	struct nonce_key nonce_key;
};

/* One worker. */
struct acme_worker {
	const struct acme_conf *conf;
	struct ctx *ctx;             /* its arena is set for each request */
	struct writer *nonce_writer; /* asynchronous commits */
};

/* Serves a request whose path starts with ACME_PREFIX. */
void acme_handle(struct acme_worker *w, const struct http_request *req,
    struct http_reply *reply);

/* Makes a problem document of a reply that the HTTP server made itself. */
void acme_shape(const struct http_request *req, struct http_reply *reply);

#endif
