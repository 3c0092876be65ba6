/*
 * HTTP server: the only module that knows libmicrohttpd and the GnuTLS under
 * it.  Bytes in, struct http_request out to a worker; struct http_reply back.
 * Bodies are collected up to a cap, then the connection is suspended and the
 * request queued; a full queue is 503 with Retry-After.  Plain listeners use
 * epoll, TLS listeners poll and a pool (epoll spins in handshakes).
 */
#ifndef BASE_HTTP_H
#define BASE_HTTP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/err.h"
#include "base/span.h"

#define HTTP_HEADERS_MAX 16

struct http_server;

struct http_request {
	struct arena *arena; /* lives until the reply is sent */
	const char *method;
	const char *path;         /* raw, before any unescaping, no query */
	const char *query;        /* raw, or NULL */
	const char *content_type; /* or NULL */
	const char *authorization;
	const char *accept;
	const char *user_agent;
	const char *peer; /* address as text, without port */
	bool tls;
	struct span body;
	struct span client_cert; /* DER, or empty */
	const char *id;          /* request id, also in the log */
};

struct http_header {
	const char *name, *value;
};

/* Filled by the handler; everything lives in the request's arena. */
struct http_reply {
	int status;
	const char *content_type; /* NULL: none */
	struct span body;
	struct http_header headers[HTTP_HEADERS_MAX];
	size_t n_headers;
};

/* Adds a header; more than HTTP_HEADERS_MAX is a bug and aborts. */
void http_header_add(struct http_reply *r, const char *name, const char *value);

struct http_listener {
	const char *address; /* "127.0.0.1", or "::" for IPv6 and IPv4 */
	uint16_t port;       /* 0: any free one */
	bool tls;
};

struct http_conf {
	const struct http_listener *listeners;
	size_t n_listeners;
	size_t workers;       /* worker threads */
	size_t queue;         /* waiting requests before 503 */
	size_t body_max;      /* bytes; more is 413 */
	unsigned connections; /* per listener */
	unsigned per_address; /* connections per client address */
	unsigned timeout_s;   /* idle connections */
	/* Makes and frees a worker's context, in the worker's thread. */
	void *(*worker_new)(void *arg);
	void (*worker_free)(void *worker);
	/* Serves one request in a worker. */
	void (*handle)(void *worker, const struct http_request *req,
	    struct http_reply *reply);
	/*
	 * Shapes the replies that the server makes itself (413, 503, 400):
	 * 'reply' has status and text; NULL keeps text/plain.
	 */
	void (*shape)(const struct http_request *req, struct http_reply *reply);
	void *arg;
};

/*
 * Opens the listeners and serves until http_server_free; 'conf' is copied.
 * The process ignores SIGPIPE.  Numbers of 0 in 'conf' are a bug (INTERNAL).
 *  A port in use is
 * CONFLICT with the address in the text.  TLS listeners need a certificate:
 * http_server_set_cert before the first handshake.
 */
int http_server_new(const struct http_conf *conf, struct http_server **out,
    struct err *e) MUST_USE;

/*
 * The certificate chain (PEM, leaf first) and private key (PEM, PKCS#8) of
 * the TLS listeners; new handshakes use it from now on, also while serving.
 * 'request_client_cert' of the handshake is always "optional".
 */
int http_server_set_cert(struct http_server *s, const char *chain_pem,
    const char *key_pem, struct err *e) MUST_USE;

/* The port that listener 'i' of the configuration is bound to. */
uint16_t http_server_port(const struct http_server *s, size_t i);

/* Stops listening, lets running requests finish, and frees. */
void http_server_free(struct http_server *s);

#endif
