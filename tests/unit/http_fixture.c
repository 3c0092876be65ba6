#include "http_fixture.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/arena.h"
#include "base/b64.h"

sem_t fixture_entered, fixture_gate;

unsigned fixture_freed;

static void
free_secret(struct span body)
{
	if (span_is(body, "secret"))
		fixture_freed++;
	free((void *)(uintptr_t)body.p);
}

/* The kind of the channel binding and its octets. */
static const char *
binding_text(const struct http_request *r)
{
	struct span value;
	enum http_binding kind = http_binding(r, &value);

	return arena_printf(
	    r->arena, "%d:%s", (int)kind, hex_encode(r->arena, value));
}

/* The certificates' sizes. */
static const char *
chain_text(const struct http_request *r)
{
	const char *text = "";
	size_t i;

	for (i = 0; i < r->n_client_chain; i++)
		text = arena_printf(
		    r->arena, "%s%zu ", text, r->client_chain[i].n);
	return text;
}

static void
handle(void *worker, const struct http_request *r, struct http_reply *reply)
{
	const char *text;

	(void)worker;
	if (strcmp(r->path, "/wait") == 0) {
		sem_post(&fixture_entered);
		sem_wait(&fixture_gate);
	}
	reply->status = strcmp(r->path, "/zero") == 0 ? 0 : 200;
	reply->content_type = "text/plain";
	text = arena_printf(r->arena, "%s|%s|%s|%s|%s|%s|%s|%d|%zu|%zu|%s",
	    r->method, r->path, r->query == NULL ? "-" : r->query,
	    r->content_type == NULL ? "-" : r->content_type,
	    r->authorization == NULL ? "-" : r->authorization,
	    r->user_agent == NULL ? "-" : r->user_agent, r->peer, r->tls,
	    r->body.n, r->client_chain[0].n, r->id);
	reply->body = span_str(text);
	if (strcmp(r->path, "/binding") == 0)
		reply->body = span_str(binding_text(r));
	if (strcmp(r->path, "/chain") == 0)
		reply->body = span_str(chain_text(r));
	if (strncmp(r->path, "/secret", 7) == 0) {
		reply->body = span_str(strdup("secret"));
		reply->body_free = free_secret;
	}
	if (strcmp(r->path, "/secret-lost") == 0)
		reply->status = 0;
	http_header_add(reply, "X-Id",
	    strcmp(r->path, "/inject") == 0 ? "a\r\nb: c" : r->id);
}

static void
shape(const struct http_request *r, struct http_reply *reply)
{
	reply->content_type = "application/problem+json";
	reply->body =
	    span_str(arena_printf(r->arena, "{\"status\":%d}", reply->status));
}

struct http_server *
fixture_server(bool tls, size_t workers, size_t queue, unsigned per_address)
{
	struct http_listener l = { "127.0.0.1", 0, tls };
	struct http_conf conf = {
		.listeners = &l,
		.n_listeners = 1,
		.workers = workers,
		.queue = queue,
		.body_max = FIXTURE_BODY_MAX,
		.connections = 100,
		.per_address = per_address,
		.timeout_s = 5,
		.handle = handle,
		.shape = shape,
	};
	struct http_server *s;
	struct err e;

	if (http_server_new(&conf, &s, &e) != 0)
		fail_msg("%s", e.text);
	return s;
}

static size_t
keep(char *to, size_t *n, size_t max, const char *p, size_t len)
{
	size_t room = max - 1 - *n;

	memcpy(to + *n, p, len < room ? len : room);
	*n += len < room ? len : room;
	return len;
}

static size_t
on_body(char *p, size_t size, size_t n, void *arg)
{
	struct answer *a = arg;

	return keep(a->body, &a->body_n, sizeof(a->body), p, size * n);
}

static size_t
on_header(char *p, size_t size, size_t n, void *arg)
{
	struct answer *a = arg;

	return keep(a->headers, &a->headers_n, sizeof(a->headers), p, size * n);
}

CURL *
fixture_client(
    struct http_server *s, bool tls, const char *path, struct answer *a)
{
	CURL *c = curl_easy_init();
	char url[300];

	memset(a, 0, sizeof(*a));
	(void)snprintf(url, sizeof(url), "%s://127.0.0.1:%u%s",
	    tls ? "https" : "http", http_server_port(s, 0), path);
	curl_easy_setopt(c, CURLOPT_URL, url);
	curl_easy_setopt(c, CURLOPT_PATH_AS_IS, 1L);
	curl_easy_setopt(c, CURLOPT_PROXY, "");
	curl_easy_setopt(c, CURLOPT_NOSIGNAL, 1L);
	curl_easy_setopt(c, CURLOPT_TIMEOUT, 20L);
	curl_easy_setopt(c, CURLOPT_WRITEFUNCTION, on_body);
	curl_easy_setopt(c, CURLOPT_WRITEDATA, a);
	curl_easy_setopt(c, CURLOPT_HEADERFUNCTION, on_header);
	curl_easy_setopt(c, CURLOPT_HEADERDATA, a);
	return c;
}

void
fixture_run(CURL *c, struct answer *a)
{
	a->rc = curl_easy_perform(c);
	curl_easy_getinfo(c, CURLINFO_RESPONSE_CODE, &a->status);
	curl_easy_cleanup(c);
}

void
fixture_get(struct http_server *s, const char *path, struct answer *a)
{
	fixture_run(fixture_client(s, false, path, a), a);
}

void
fixture_starts(const char *text, const char *start)
{
	if (strncmp(text, start, strlen(start)) != 0)
		fail_msg("\"%s\" does not start with \"%s\"", text, start);
}

int
fixture_set_up(void **state)
{
	(void)state;
	sem_init(&fixture_entered, 0, 0);
	sem_init(&fixture_gate, 0, 0);
	return curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK;
}

int
fixture_tear_down(void **state)
{
	(void)state;
	curl_global_cleanup();
	return 0;
}

void
fixture_post(struct http_server *s, size_t n, bool chunked, struct answer *a)
{
	static char big[1024 * 1024];
	struct curl_slist *h = NULL;
	CURL *c = fixture_client(s, false, "/post", a);

	memset(big, 'x', sizeof(big));
	h = curl_slist_append(h, "Expect:");
	if (chunked)
		h = curl_slist_append(h, "Transfer-Encoding: chunked");
	curl_easy_setopt(c, CURLOPT_HTTPHEADER, h);
	curl_easy_setopt(c, CURLOPT_POSTFIELDS, big);
	curl_easy_setopt(c, CURLOPT_POSTFIELDSIZE, (long)n);
	fixture_run(c, a);
	curl_slist_free_all(h);
}
