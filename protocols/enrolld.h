/*
 * What the parts of chancery-enrolld share.
 */
#ifndef PROTOCOLS_ENROLLD_H
#define PROTOCOLS_ENROLLD_H

#include "base/http.h"
#include "base/settings.h"
#include "ca/engine.h"
#include "protocols/acme/acme.h"

struct enrolld {
	const struct settings *settings;
	struct engine *engine;
	struct acme_conf acme;
	struct http_server *http;
	int64_t renew_at; /* of the HTTPS certificate */
};

/* The HTTP server's callbacks (base/http.h); 'arg' is a struct enrolld. */
void *enrolld_worker_new(void *arg);
void enrolld_worker_free(void *worker);
void enrolld_handle(
    void *worker, const struct http_request *req, struct http_reply *reply);
void enrolld_shape(const struct http_request *req, struct http_reply *reply);

#endif
