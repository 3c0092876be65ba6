#include "ocsp/service.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/clock.h"
#include "base/metrics.h"
#include "ocsp/reply.h"

#define METRICS_MAX ((size_t)1024 * 1024)
#define HEALTH_MAX ((size_t)64 * 1024)
#define TYPE "application/ocsp-response"

struct service {
	struct service_conf conf;
	struct cache *cache;
	struct http_ready *errors[ANSWER__COUNT];
	struct http_ready *not_found, *not_allowed;
	struct metric *kinds[ANSWER__COUNT], *hits, *signatures;
};

struct thread {
	struct service *service;
	struct answerer *answerer;
	uint8_t der[OCSP_REQ_SIZE_MAX];
	struct answer_plan plan;
};

static const char *const kind_labels[] = {
	[ANSWER_GOOD] = "kind=\"good\"",
	[ANSWER_REVOKED] = "kind=\"revoked\"",
	[ANSWER_UNKNOWN] = "kind=\"unknown\"",
	[ANSWER_MALFORMED] = "kind=\"malformedRequest\"",
	[ANSWER_INTERNAL] = "kind=\"internalError\"",
	[ANSWER_TRY_LATER] = "kind=\"tryLater\"",
	[ANSWER_UNAUTHORIZED] = "kind=\"unauthorized\"",
};
_Static_assert(sizeof(kind_labels) / sizeof(kind_labels[0]) == ANSWER__COUNT,
    "every kind has a label");

static void
drop_reply(void *value)
{
	reply_free(value);
}

static struct http_ready *
make_ready(const struct http_reply *reply)
{
	struct http_ready *r;
	struct err e;

	if (http_ready_new(reply, &r, &e) == -1)
		abort();
	return r;
}

/* Unsigned answers: the same bytes every time, for no cache to keep. */
static void
make_errors(struct service *s)
{
	static const enum response_error codes[] = {
		[ANSWER_MALFORMED] = RESPONSE_MALFORMED,
		[ANSWER_INTERNAL] = RESPONSE_INTERNAL,
		[ANSWER_TRY_LATER] = RESPONSE_TRY_LATER,
		[ANSWER_UNAUTHORIZED] = RESPONSE_UNAUTHORIZED,
	};
	struct http_reply reply;
	enum answer_kind k;

	for (k = ANSWER_MALFORMED; k < ANSWER__COUNT; k++) {
		reply = (struct http_reply){ .status = 200,
			.content_type = TYPE,
			.body = response_error(codes[k]) };
		http_header_add(&reply, "Cache-Control", "no-store");
		s->errors[k] = make_ready(&reply);
	}
	reply = (struct http_reply){ .status = 404,
		.content_type = "text/plain; charset=utf-8",
		.body = span_str("not found\n") };
	s->not_found = make_ready(&reply);
	reply.status = 405;
	reply.body = span_str("method not allowed\n");
	http_header_add(&reply, "Allow", "GET, HEAD, POST");
	s->not_allowed = make_ready(&reply);
}

struct service *
service_new(const struct service_conf *conf)
{
	struct service *s = calloc(1, sizeof(*s));
	enum answer_kind k;

	if (s == NULL)
		abort();
	s->conf = *conf;
	s->cache = cache_new(conf->cache, drop_reply);
	make_errors(s);
	for (k = 0; k < ANSWER__COUNT; k++)
		s->kinds[k] = metrics_counter("chancery_ocsp_answers_total",
		    "Answers by the status of their first certificate.",
		    kind_labels[k]);
	s->hits = metrics_counter("chancery_ocsp_cache_hits_total",
	    "Answers that were made before.", NULL);
	s->signatures = metrics_counter("chancery_ocsp_signatures_total",
	    "Answers that were signed.", NULL);
	return s;
}

void
service_free(struct service *s)
{
	enum answer_kind k;

	if (s == NULL)
		return;
	cache_free(s->cache);
	for (k = 0; k < ANSWER__COUNT; k++)
		http_ready_free(s->errors[k]);
	http_ready_free(s->not_found);
	http_ready_free(s->not_allowed);
	free(s);
}

void *
service_thread_new(void *service)
{
	struct thread *t = calloc(1, sizeof(*t));

	if (t == NULL)
		abort();
	t->service = service;
	t->answerer = answerer_new(t->service->conf.world);
	return t;
}

void
service_thread_free(void *thread)
{
	struct thread *t = thread;

	answerer_free(t->answerer);
	free(t);
}

static bool
is_read(const struct http_now_request *req)
{
	return strcmp(req->method, "GET") == 0 ||
	       strcmp(req->method, "HEAD") == 0;
}

static void
send_cached(void *arg, void *value)
{
	reply_send(value, arg);
}

static void
send_new(struct thread *t, const struct http_now_request *req)
{
	struct service *s = t->service;
	const struct answer_plan *plan = &t->plan;
	const struct cache_ask key = { plan->key, plan->word, plan->now };
	struct reply *reply;
	struct answer a;

	answer_make(t->answerer, plan, &a);
	metric_add(s->kinds[a.kind], 1);
	if (!a.is_signed) {
		http_now_send(req->now, s->errors[a.kind]);
		return;
	}
	metric_add(s->signatures, 1);
	reply = reply_new(&a, plan->now,
	    plan->cacheable ? REPLY_KEPT
	    : is_read(req)  ? REPLY_STALE
			    : REPLY_PLAIN);
	if (reply == NULL)
		return;
	reply_send(reply, req);
	if (plan->cacheable)
		cache_put(s->cache, &key, a.fresh_until, reply);
	else
		reply_free(reply);
}

static void
answer(struct thread *t, struct span der, const struct http_now_request *req)
{
	struct service *s = t->service;
	const struct answer_plan *plan = &t->plan;

	answer_plan(t->answerer, der, clock_now(), &t->plan);
	if (plan->cacheable) {
		const struct cache_ask key = { plan->key, plan->word,
			plan->now };

		/* the cache hands its argument on as it is */
		if (cache_use(
			s->cache, &key, send_cached, (void *)(uintptr_t)req)) {
			metric_add(s->hits, 1);
			metric_add(s->kinds[plan->kind], 1);
			return;
		}
	}
	send_new(t, req);
}

/* What follows the prefix that a path begins with, or NULL. */
static const char *
after_prefix(const struct service *s, const char *path)
{
	size_t i, n;

	for (i = 0; i < s->conf.n_prefixes; i++) {
		n = strlen(s->conf.prefixes[i]);
		if (strncmp(path, s->conf.prefixes[i], n) == 0 &&
		    (path[n] == '/' || path[n] == '\0'))
			return path + n;
	}
	return NULL;
}

static void
ask(struct thread *t, const struct http_now_request *req, const char *rest)
{
	struct err e;
	size_t n;

	if (strcmp(req->method, "POST") == 0)
		answer(t, req->body, req);
	else if (!is_read(req))
		http_now_send(req->now, t->service->not_allowed);
	else if (ocsp_req_decode_path(rest, t->der, sizeof(t->der), &n, &e) ==
		 -1)
		answer(t, span_of(NULL, 0), req);
	else
		answer(t, span_of(t->der, n), req);
}

static void
send_text(const struct http_now_request *req, int status, const char *type,
    struct span text)
{
	const struct http_reply reply = {
		.status = status, .content_type = type, .body = text
	};
	struct http_ready *r;
	struct err e;

	if (http_ready_new(&reply, &r, &e) == -1)
		return;
	http_now_send(req->now, r);
	http_ready_free(r);
}

/* Whether answers can be given, and what is wrong otherwise. */
static bool
describe(const struct service *s, struct buf *b)
{
	const struct answer_world *w = s->conf.world;
	int64_t now = clock_now(), age;
	struct feed_health h;
	bool ok = true;
	size_t i;

	feed_health(s->conf.feed, &h);
	age = now - h.synced_at;
	if (h.trust == ANSWER_DISPUTED)
		buf_str(b, "the database went back in time\n");
	else if (h.trust == ANSWER_EMPTY || age > w->stale_s)
		buf_str(b, "the statuses are not current\n");
	else if (!h.connected)
		buf_printf(b,
		    "degraded: no database for %" PRId64 " s, answers end "
		    "after %" PRId64 " s\n",
		    age, w->stale_s);
	ok = h.trust == ANSWER_CURRENT && age <= w->stale_s;
	for (i = 0; i < w->n_authorities; i++) {
		if (atomic_load(&w->delegate_until[i]) > now)
			continue;
		ok = false;
		buf_printf(b, "no certificate from issuer \"%s\"\n",
		    w->authorities[i].name);
	}
	if (b->n == 0)
		buf_str(b, "ok\n");
	return ok;
}

static void
health(const struct service *s, const struct http_now_request *req)
{
	AUTO_BUF(b, HEALTH_MAX);
	bool ok = s->conf.feed == NULL || describe(s, &b);

	send_text(
	    req, ok ? 200 : 503, "text/plain; charset=utf-8", buf_get(&b));
}

static void
metrics(const struct http_now_request *req)
{
	AUTO_BUF(b, METRICS_MAX);

	metrics_render(&b);
	send_text(req, 200, "text/plain; version=0.0.4", buf_get(&b));
}

/* Files go first: a prefix may be the whole server. */
void
service_handle(void *thread, const struct http_now_request *req)
{
	struct thread *t = thread;
	struct service *s = t->service;
	const char *rest = after_prefix(s, req->path);

	if (rest != NULL && rest != req->path) {
		ask(t, req, rest);
		return;
	}
	if (is_read(req) && strcmp(req->path, "/health") == 0)
		health(s, req);
	else if (is_read(req) && strcmp(req->path, "/metrics") == 0 &&
		 http_now_is_local(req->now))
		metrics(req);
	else if (is_read(req) && s->conf.statics != NULL &&
		 statics_serve(s->conf.statics, req))
		return;
	else if (rest != NULL)
		ask(t, req, rest);
	else
		http_now_send(
		    req->now, is_read(req) ? s->not_found : s->not_allowed);
}
