#include "ocsp/reply.h"

#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/b64.h"
#include "base/sha256.h"

#define TYPE "application/ocsp-response"
#define ETAG_SIZE (1 + 2 * SHA256_SIZE + 2)
#define CONTROL_SIZE 96

struct reply {
	struct http_ready *ready;
	bool kept;
	char etag[ETAG_SIZE]; /* of a kept one */
};

/* What the headers of one reply point to. */
struct texts {
	char modified[HTTP_DATE_SIZE], expires[HTTP_DATE_SIZE];
	char control[CONTROL_SIZE];
};

static void
set_etag(struct reply *r, struct span body)
{
	uint8_t hash[SHA256_SIZE];

	sha256(body, hash);
	r->etag[0] = '"';
	hex_write(r->etag + 1, span_of(hash, sizeof(hash)));
	memcpy(r->etag + ETAG_SIZE - 2, "\"", 2);
}

static void
add_headers(const struct answer *a, int64_t now, struct http_reply *reply,
    struct texts *t)
{
	int64_t age = a->fresh_until > now ? a->fresh_until - now - 1 : 0;

	http_date(a->this_update, t->modified);
	http_date(a->next_update, t->expires);
	(void)snprintf(t->control, sizeof(t->control),
	    "max-age=%" PRId64 ", public, no-transform, must-revalidate", age);
	http_header_add(reply, "Last-Modified", t->modified);
	http_header_add(reply, "Expires", t->expires);
	http_header_add(reply, "Cache-Control", t->control);
}

struct reply *
reply_new(const struct answer *a, int64_t now, enum reply_caching caching)
{
	struct http_reply reply = {
		.status = 200, .content_type = TYPE, .body = a->body
	};
	struct reply *r = calloc(1, sizeof(*r));
	struct texts t;
	struct err e;

	if (r == NULL)
		return NULL;
	r->kept = caching == REPLY_KEPT;
	if (caching == REPLY_STALE)
		http_header_add(&reply, "Cache-Control", "max-age=0");
	if (r->kept) {
		set_etag(r, a->body);
		http_header_add(&reply, "ETag", r->etag);
		add_headers(a, now, &reply, &t);
	}
	if (http_ready_new(&reply, &r->ready, &e) == 0)
		return r;
	free(r);
	return NULL;
}

void
reply_free(struct reply *r)
{
	if (r == NULL)
		return;
	http_ready_free(r->ready);
	free(r);
}

static bool
client_has(const struct reply *r, const struct http_now_request *req)
{
	const char *tags;

	if (!r->kept || strcmp(req->method, "POST") == 0)
		return false;
	tags = http_now_field(req->now, "If-None-Match");
	return tags != NULL && http_etag_listed(tags, r->etag);
}

void
reply_send(const struct reply *r, const struct http_now_request *req)
{
	if (client_has(r, req))
		http_now_send_unchanged(req->now, r->ready);
	else
		http_now_send(req->now, r->ready);
}
