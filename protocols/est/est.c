#include "protocols/est/est.h"

#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "base/metrics.h"
#include "protocols/est/codec.h"
#include "protocols/est/csrattrs.h"
#include "protocols/est/est_int.h"
#include "protocols/est/status.h"
#include "protocols/pkcs7.h"

#define REQUEST_TYPE "application/pkcs10"
#define CSRATTRS_TYPE "application/csrattrs"
/* Seconds until a client may try again what failed for our reasons. */
#define RETRY_AFTER "5"
/* And what was too much for an hour. */
#define RETRY_LIMITED "600"

static int (*const handlers[])(struct est_req *, struct err *) = {
	[EST_CACERTS] = est_cacerts,
	[EST_CSRATTRS] = est_csrattrs,
	[EST_SIMPLEENROLL] = est_enroll,
	[EST_SIMPLEREENROLL] = est_enroll,
	[EST_SERVERKEYGEN] = est_serverkeygen,
};
_Static_assert(sizeof(handlers) / sizeof(handlers[0]) == EST_OP__COUNT,
    "every operation has a handler");

void
est_reply_text(struct est_req *r, int status, const char *text)
{
	r->reply->status = status;
	r->reply->content_type = "text/plain; charset=utf-8";
	r->reply->body = span_str(arena_printf(r->a, "%s\n", text));
}

void
est_reply_der(struct est_req *r, const char *type, struct span der)
{
	r->reply->status = 200;
	r->reply->content_type = type;
	r->reply->body = est_encode(r->a, der, r->wrap);
	/* RFC 8951 dropped it, some clients cannot do without */
	http_header_add(r->reply, "Content-Transfer-Encoding", "base64");
}

int
est_cacerts(struct est_req *r, struct err *e)
{
	const struct issuer *i =
	    issuer_get(r->w->ctx->issuers, r->profile->issuers.list[0]);
	struct span der;

	if (i == NULL)
		return err_set(e, ERR_INTERNAL,
		    "issuer \"%s\" of profile \"%s\" is not configured",
		    r->profile->issuers.list[0], r->profile->name);
	if (pkcs7_certs_only(r->a, i->chain, i->n_chain, &der, e) == -1)
		return -1;
	est_reply_der(r, EST_CERTS_TYPE, der);
	return 0;
}

int
est_csrattrs(struct est_req *r, struct err *e)
{
	struct span der;

	if (csrattrs_encode(r->a, r->profile, &der, e) == -1)
		return -1;
	est_reply_der(r, CSRATTRS_TYPE, der);
	return 0;
}

/* NULL: there is no such resource. */
static const struct profile *
find_profile(const struct est_req *r)
{
	const char *name =
	    r->route.label == NULL ? r->w->settings->profile : r->route.label;
	const struct profile *p =
	    name == NULL ? NULL : profile_get(r->w->ctx->profiles, name);

	if (p == NULL || !profile_has_protocol(p, "est") ||
	    (r->route.op == EST_SERVERKEYGEN && p->est.server_key == NULL))
		return NULL;
	return p;
}

/* What HTTP alone can tell; true: the reply is made. */
static bool
refused_by_form(struct est_req *r)
{
	const struct http_request *h = r->http;
	bool post = est_op_posts(r->route.op);

	if (post ? strcmp(h->method, "POST") != 0
		 : strcmp(h->method, "GET") != 0 &&
		       strcmp(h->method, "HEAD") != 0) {
		http_header_add(r->reply, "Allow", post ? "POST" : "GET, HEAD");
		est_reply_text(r, 405, "this method is not allowed here");
	} else if (post && !est_media_type_is(h->content_type, REQUEST_TYPE)) {
		est_reply_text(r, 415, "the content type is not " REQUEST_TYPE);
	} else if (post && h->body.n > EST_BODY_MAX) {
		est_reply_text(r, 413, "the request is too large");
	} else {
		return false;
	}
	return true;
}

static struct metric *error_counts[ERR__COUNT];
static pthread_once_t meters_once = PTHREAD_ONCE_INIT;

static void
make_meters(void)
{
	char label[48];
	int i;

	for (i = ERR_NONE + 1; i < ERR__COUNT; i++) {
		(void)snprintf(label, sizeof(label), "kind=\"%s\"",
		    err_kind_name((enum err_kind)i));
		error_counts[i] = metrics_counter("chancery_est_errors_total",
		    "EST requests that failed.", label);
	}
}

/*
 * What a client without credentials gets: it may drop the answer unread, and
 * Bouncy Castle fails if there was a body to read.
 */
static void
reply_challenge(struct est_req *r, const char *text)
{
	if (r->http->authorization == NULL)
		r->reply->status = 401;
	else
		est_reply_text(r, 401, text);
	http_header_add(
	    r->reply, "WWW-Authenticate", "Basic realm=\"chancery\"");
}

static void
reply_error(struct est_req *r, const struct err *e)
{
	int status = est_status(e->kind);

	(void)pthread_once(&meters_once, make_meters);
	metric_add(error_counts[e->kind], 1);
	log_event(e->kind == ERR_INTERNAL      ? LOG_ERROR
		  : e->kind == ERR_UNAVAILABLE ? LOG_WARN
					       : LOG_INFO,
	    "est error", "kind", err_kind_name(e->kind), "msg", e->text, "path",
	    r->http->path, "peer", r->http->peer, NULL);
	if (status == 401) {
		reply_challenge(r, est_status_text(e));
		return;
	}
	est_reply_text(r, status, est_status_text(e));
	if (status == 503 || status == 429)
		http_header_add(r->reply, "Retry-After",
		    status == 503 ? RETRY_AFTER : RETRY_LIMITED);
}

void
est_handle(struct est_worker *w, const struct http_request *req,
    struct http_reply *reply)
{
	struct est_req r = {
		.w = w, .http = req, .reply = reply, .a = req->arena
	};
	struct err e;

	if (!est_route_parse(r.a, req->path, &r.route) ||
	    (r.profile = find_profile(&r)) == NULL) {
		est_reply_text(&r, 404, "no such resource");
		return;
	}
	r.wrap = r.profile->est.wrap || est_agent_wraps(req->user_agent);
	if (!refused_by_form(&r) && handlers[r.route.op](&r, &e) == -1)
		reply_error(&r, &e);
}
