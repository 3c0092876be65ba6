#include "protocols/acme/acme.h"

#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <openssl/rand.h>

#include "base/b64.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/metrics.h"
#include "protocols/acme/acme_int.h"

enum access {
	ACCESS_OPEN, /* plain GET and HEAD; POST-as-GET with an account */
	ACCESS_JWK,
	ACCESS_KID,
	ACCESS_EITHER
};

static int directory(struct acme_req *r);
static int new_nonce(struct acme_req *r);

/* A "*" in a path is the resource's id. */
static const struct route {
	const char *path;
	enum access access;
	int (*handle)(struct acme_req *);
} routes[] = {
	{ "directory", ACCESS_OPEN, directory },
	{ "new-nonce", ACCESS_OPEN, new_nonce },
	{ "new-account", ACCESS_JWK, acme_new_account },
	{ "new-order", ACCESS_KID, acme_new_order },
	{ "revoke-cert", ACCESS_EITHER, acme_revoke },
	{ "account/*", ACCESS_KID, acme_account },
	{ "account/*/orders", ACCESS_KID, acme_orders },
	{ "order/*", ACCESS_KID, acme_order },
	{ "order/*/finalize", ACCESS_KID, acme_finalize },
	{ "authz/*", ACCESS_KID, acme_authz },
	{ "challenge/*", ACCESS_KID, acme_challenge },
	{ "cert/*", ACCESS_KID, acme_certificate },
};
#define N_ROUTES (sizeof(routes) / sizeof(routes[0]))

int
acme_fail(struct acme_req *r, enum problem_type type, const char *fmt, ...)
{
	char text[ERR_TEXT_MAX];
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	r->problem.type = type;
	r->problem.detail = arena_strdup(r->a, text);
	return -1;
}

static void
log_fault(const struct err *e)
{
	if (e->kind == ERR_INTERNAL || e->kind == ERR_UNAVAILABLE)
		log_event(e->kind == ERR_INTERNAL ? LOG_ERROR : LOG_WARN,
		    "acme", "kind", err_kind_name(e->kind), "msg", e->text,
		    NULL);
}

int
acme_fail_err(struct acme_req *r, const struct err *e)
{
	log_fault(e);
	return acme_fail(r, problem_of_kind(e->kind), "%s", problem_text(e));
}

int
acme_fail_as(struct acme_req *r, enum problem_type type, const struct err *e)
{
	if (e->kind == ERR_BAD_KEY || e->kind == ERR_BAD_POP ||
	    e->kind == ERR_MALFORMED)
		return acme_fail(r, type, "%s", e->text);
	return acme_fail_err(r, e);
}

const char *
acme_url(const struct acme_req *r, const char *kind, const char *id)
{
	return arena_printf(r->a, "%s" ACME_PREFIX "%s%s%s",
	    r->w->conf->settings->public_url, kind, id == NULL ? "" : "/",
	    id == NULL ? "" : id);
}

void
acme_location(struct acme_req *r, const char *url)
{
	http_header_add(r->reply, "Location", url);
}

void
acme_link(struct acme_req *r, const char *url, const char *rel)
{
	http_header_add(
	    r->reply, "Link", arena_printf(r->a, "<%s>;rel=\"%s\"", url, rel));
}

void
acme_reply_json(struct acme_req *r, int status, json_t *body)
{
	r->reply->status = status;
	r->reply->content_type = "application/json";
	r->reply->body = jsonio_encode(r->a, body);
	json_decref(body);
}

int
acme_new_id(struct acme_req *r, const char **out)
{
	uint8_t raw[ACME_ID_SIZE];

	if (RAND_bytes(raw, sizeof(raw)) != 1)
		return acme_fail(r, PROBLEM_SERVER_INTERNAL, "no random bytes");
	*out = b64url_encode(r->a, span_of(raw, sizeof(raw)));
	return 0;
}

const char *
acme_time(const struct acme_req *r, int64_t t)
{
	char text[CLOCK_RFC3339_SIZE];

	clock_rfc3339(t, text);
	return arena_strdup(r->a, text);
}

static int
directory(struct acme_req *r)
{
	const struct settings_acme *s = &r->w->conf->settings->acme;
	json_t *meta = json_pack("{s:s*, s:s*, s:b}", "termsOfService",
	    s->terms_of_service, "website", s->website,
	    "externalAccountRequired", 0);
	json_t *caa = json_array();
	unsigned i;

	for (i = 0; i < s->caa_identities_count; i++)
		(void)json_array_append_new(
		    caa, json_string(s->caa_identities[i]));
	if (i > 0)
		(void)json_object_set(meta, "caaIdentities", caa);
	json_decref(caa);
	acme_reply_json(r, 200,
	    json_pack("{s:s, s:s, s:s, s:s, s:o}", "newNonce",
		acme_url(r, "new-nonce", NULL), "newAccount",
		acme_url(r, "new-account", NULL), "newOrder",
		acme_url(r, "new-order", NULL), "revokeCert",
		acme_url(r, "revoke-cert", NULL), "meta", meta));
	return 0;
}

/* RFC 8555 7.2: HEAD is 200, GET is 204. */
static int
new_nonce(struct acme_req *r)
{
	r->reply->status = strcmp(r->http->method, "HEAD") == 0 ? 200 : 204;
	return 0;
}

/* Matches "order/ID/finalize" and keeps ID. */
static bool
match(struct acme_req *r, const char *pattern, const char *path)
{
	const char *star = strchr(pattern, '*');
	size_t n;

	if (star == NULL)
		return strcmp(pattern, path) == 0;
	n = (size_t)(star - pattern);
	if (strncmp(pattern, path, n) != 0)
		return false;
	path += n;
	n = strcspn(path, "/");
	if (n == 0 || n > 64 || strcmp(star + 1, path + n) != 0)
		return false;
	r->id = arena_memdup(r->a, path, n);
	return true;
}

static const struct route *
find_route(struct acme_req *r)
{
	const char *path = r->http->path + sizeof(ACME_PREFIX) - 1;
	size_t i;

	for (i = 0; i < N_ROUTES; i++) {
		if (match(r, routes[i].path, path))
			return &routes[i];
	}
	return NULL;
}

static int
parse_payload(struct acme_req *r, json_t **out)
{
	struct err e;

	if (r->jws.payload.n == 0)
		return 0;
	if (jsonio_parse(r->jws.payload, out, &e) == -1)
		return acme_fail(r, PROBLEM_MALFORMED, "payload: %s", e.text);
	r->payload = *out;
	return 0;
}

static int
serve_post(struct acme_req *r, const struct route *route)
{
	bool jwk_ok =
	    route->access == ACCESS_JWK || route->access == ACCESS_EITHER;
	AUTO(json_t) payload = NULL;
	int rc;

	if (acme_authenticate(r, jwk_ok, route->access != ACCESS_JWK) == -1 ||
	    parse_payload(r, &payload) == -1)
		return -1;
	if (route->access == ACCESS_OPEN && payload != NULL)
		return acme_fail(r, PROBLEM_MALFORMED,
		    "payload must be empty (POST-as-GET)");
	rc = route->handle(r);
	r->payload = NULL;
	return rc;
}

static int
serve(struct acme_req *r)
{
	const struct route *route = find_route(r);
	bool get = strcmp(r->http->method, "GET") == 0 ||
		   strcmp(r->http->method, "HEAD") == 0;

	if (route == NULL)
		return acme_fail(r, PROBLEM_NOT_FOUND, "no such resource");
	if (get && route->access == ACCESS_OPEN)
		return route->handle(r);
	if (strcmp(r->http->method, "POST") == 0)
		return serve_post(r, route);
	http_header_add(r->reply, "Allow",
	    route->access == ACCESS_OPEN ? "GET, HEAD, POST" : "POST");
	return acme_fail(r, PROBLEM_METHOD_NOT_ALLOWED,
	    "method %.16s is not allowed here", r->http->method);
}

static struct metric *problem_counts[PROBLEM__COUNT];
static pthread_once_t meters_once = PTHREAD_ONCE_INIT;

static void
make_meters(void)
{
	const char *urn;
	char label[96];
	int i;

	for (i = 0; i < PROBLEM__COUNT; i++) {
		urn = problem_urn((enum problem_type)i);
		(void)snprintf(
		    label, sizeof(label), "type=\"%s\"", strrchr(urn, ':') + 1);
		problem_counts[i] = metrics_counter(
		    "chancery_acme_problems_total", "ACME errors sent.", label);
	}
}

static void
reply_problem(struct acme_req *r)
{
	int status = problem_status(r->problem.type);

	r->reply->status = status;
	r->reply->content_type = "application/problem+json";
	r->reply->body = problem_encode(r->a, &r->problem);
	if (status == 503 || status == 429)
		http_header_add(r->reply, "Retry-After", "5");
	metric_add(problem_counts[r->problem.type], 1);
	log_event(LOG_INFO, "acme problem", "type",
	    problem_urn(r->problem.type), "detail", r->problem.detail, "path",
	    r->http->path, "peer", r->http->peer, NULL);
}

/* What every answer carries (RFC 8555 6.5, 7.1). */
static void
common_headers(struct acme_req *r)
{
	bool is_directory = strcmp(r->http->path, ACME_PREFIX "directory") == 0;
	const char *nonce;
	struct err e;

	http_header_add(r->reply, "Cache-Control", "no-store");
	if (!is_directory)
		acme_link(r, acme_url(r, "directory", NULL), "index");
	if (is_directory && strcmp(r->http->method, "POST") != 0)
		return;
	if (nonce_new(&r->w->conf->nonce_key, r->a, &nonce, &e) == 0)
		http_header_add(r->reply, "Replay-Nonce", nonce);
}

void
acme_handle(struct acme_worker *w, const struct http_request *req,
    struct http_reply *reply)
{
	struct acme_req r = {
		.w = w, .http = req, .reply = reply, .a = req->arena
	};

	(void)pthread_once(&meters_once, make_meters);
	if (serve(&r) == -1)
		reply_problem(&r);
	common_headers(&r);
}

void
acme_shape(const struct http_request *req, struct http_reply *reply)
{
	char *text = arena_memdup(req->arena, reply->body.p, reply->body.n);
	struct problem p = { .type = PROBLEM_MALFORMED, .detail = text };

	text[strcspn(text, "\n")] = '\0';
	if (reply->status == 413)
		p.type = PROBLEM_TOO_LARGE;
	else if (reply->status >= 500)
		p.type = PROBLEM_UNAVAILABLE;
	reply->content_type = "application/problem+json";
	reply->body = problem_encode(req->arena, &p);
}
