/*
 * The HTTP side of the responder: which path is what, and the headers of RFC
 * 9919 (section 7) around answers.  Everything is answered in the server's
 * threads, without waiting for anything.
 */
#ifndef OCSP_SERVICE_H
#define OCSP_SERVICE_H

#include <stddef.h>

#include "base/http.h"
#include "ocsp/answer.h"
#include "ocsp/cache.h"
#include "ocsp/feed.h"
#include "ocsp/static.h"

struct service;

struct service_conf {
	const struct answer_world *world;
	struct feed *feed;       /* for health; may be NULL */
	struct statics *statics; /* may be NULL */
	/* paths that are asked for statuses, such as "/ocsp", without a slash
	 * at the end: "" is the whole server */
	const char *const *prefixes;
	size_t n_prefixes;
	size_t cache; /* answers */
};

/* 'conf' is copied; what it points to stays. */
struct service *service_new(const struct service_conf *conf);
void service_free(struct service *s);

/* For struct http_conf: a thread's context, and its handler. */
void *service_thread_new(void *service);
void service_thread_free(void *thread);
void service_handle(void *thread, const struct http_now_request *req);

#endif
