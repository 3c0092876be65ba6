#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/metrics.h"
#include "protocols/enrolld.h"
#include "protocols/est/est.h"

#define METRICS_MAX ((size_t)1024 * 1024)

/* A worker's means. */
struct worker {
	struct enrolld *d;
	struct ctx *ctx;
	struct acme_worker acme;
	struct est_worker est;
};

void *
enrolld_worker_new(void *arg)
{
	struct worker *w = calloc(1, sizeof(*w));

	if (w == NULL)
		abort();
	w->d = arg;
	w->ctx = engine_ctx_new(w->d->engine);
	w->acme.conf = &w->d->acme;
	w->acme.ctx = w->ctx;
	w->acme.nonce_writer = engine_async_writer(w->d->engine);
	w->est.settings = &w->d->settings->est;
	w->est.ctx = w->ctx;
	return w;
}

void
enrolld_worker_free(void *worker)
{
	struct worker *w = worker;

	engine_ctx_free(w->ctx);
	free(w);
}

static void
text(struct http_reply *reply, int status, const char *body)
{
	reply->status = status;
	reply->content_type = "text/plain; charset=utf-8";
	reply->body = span_str(body);
}

/* 200 when database and signer answer, else 503. */
static void
health(struct worker *w, struct http_reply *reply)
{
	struct err e;

	if (engine_check(w->ctx, &e) == 0) {
		text(reply, 200, "ok\n");
		return;
	}
	log_event(LOG_WARN, "unhealthy", "msg", e.text, NULL);
	text(reply, 503, "database or signer is down\n");
	http_header_add(reply, "Retry-After", "5");
}

static void
metrics(const struct http_request *req, struct http_reply *reply)
{
	AUTO_BUF(b, METRICS_MAX);

	metrics_render(&b);
	reply->status = 200;
	reply->content_type = "text/plain; version=0.0.4";
	reply->body = span_dup(req->arena, buf_get(&b));
}

static bool
is_read(const struct http_request *req)
{
	return strcmp(req->method, "GET") == 0 ||
	       strcmp(req->method, "HEAD") == 0;
}

/* ACME is for HTTPS alone (RFC 8555 6.1). */
static bool
is_acme(const struct http_request *req)
{
	return req->tls && req->path != NULL &&
	       strncmp(req->path, ACME_PREFIX, strlen(ACME_PREFIX)) == 0;
}

/* EST is for HTTPS alone, too (RFC 7030 3.3). */
static bool
is_est(const struct http_request *req)
{
	return req->tls && est_route_is(req->path);
}

void
enrolld_handle(
    void *worker, const struct http_request *req, struct http_reply *reply)
{
	struct worker *w = worker;

	engine_begin(w->d->engine, w->ctx, req->arena, req->id);
	log_request(req->id);
	if (is_acme(req))
		acme_handle(&w->acme, req, reply);
	else if (is_est(req))
		est_handle(&w->est, req, reply);
	else if (strcmp(req->path, "/health") == 0 && is_read(req))
		health(w, reply);
	else if (strcmp(req->path, "/metrics") == 0 && is_read(req) &&
		 !req->tls)
		metrics(req, reply);
	else
		text(reply, 404, "not found\n");
	log_request(NULL);
}

void
enrolld_shape(const struct http_request *req, struct http_reply *reply)
{
	if (is_acme(req))
		acme_shape(req, reply);
}
