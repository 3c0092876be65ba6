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
/* The longest chain that a client may show, and one certificate in it. */
#define HTTP_CHAIN_MAX 8
#define HTTP_CERT_MAX ((size_t)32 * 1024)

struct http_server;
struct http_session;

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
	/* what the client showed in TLS, DER, leaf first; not verified */
	struct span client_chain[HTTP_CHAIN_MAX];
	size_t n_client_chain;
	const struct http_session *session; /* for http_binding; or NULL */
	const char *id;                     /* request id, also in the log */
};

/* What ties a request to its TLS connection (RFC 5929 3, RFC 9266). */
enum http_binding {
	HTTP_BINDING_NONE,
	HTTP_BINDING_TLS_UNIQUE,   /* TLS 1.2 */
	HTTP_BINDING_TLS_EXPORTER, /* TLS 1.3 */
};

/*
 * The channel binding of the request's connection, made when it is asked for:
 * while the request is with its handler, nobody else uses the TLS session.
 * NONE leaves 'out' empty: no TLS, a TLS 1.2 session that was resumed without
 * extended master secret (RFC 7627), or the library cannot say.
 */
enum http_binding http_binding(
    const struct http_request *req, struct span *out);

struct http_header {
	const char *name, *value;
};

/* The time as RFC 9110 5.6.7 writes it, and back (-1: not of that form). */
#define HTTP_DATE_SIZE 30
void http_date(int64_t t, char out[HTTP_DATE_SIZE]);
int64_t http_date_parse(const char *text);

/*
 * Whether the list of entity tags of an If-None-Match has this one, weak or
 * strong, or is "*" (RFC 9110 13.1.2).
 */
bool http_etag_listed(const char *list, const char *etag);

/* Filled by the handler; everything lives in the request's arena. */
struct http_reply {
	int status;
	const char *content_type; /* NULL: none */
	struct span body;
	struct http_header headers[HTTP_HEADERS_MAX];
	size_t n_headers;
	/*
	 * For a body with a secret, which does not live in the arena: called
	 * once with it when it was sent or dropped.  NULL: nothing to do.
	 */
	void (*body_free)(struct span body);
};

/* Adds a header; more than HTTP_HEADERS_MAX is a bug and aborts. */
void http_header_add(struct http_reply *r, const char *name, const char *value);

/*
 * A reply that is made once and sent any number of times, by any thread;
 * sending it costs no copy.
 */
struct http_ready;

/* Copies all of 'reply'.  UNAVAILABLE: no memory, or a header is wrong. */
int http_ready_new(const struct http_reply *reply, struct http_ready **out,
    struct err *e) MUST_USE;

/* As http_ready_new with 'size' bytes of a file from 'offset' as the body;
 * takes 'fd' over, also on failure. */
int http_ready_file(const struct http_reply *reply, int fd, uint64_t offset,
    uint64_t size, struct http_ready **out, struct err *e) MUST_USE;

/* Replies that are being sent are sent to their end.  NULL is allowed. */
void http_ready_free(struct http_ready *r);

/* A request that is answered in the server's own thread. */
struct http_now;
struct http_now_request {
	const char *method;
	const char *path; /* raw, before any unescaping, no query */
	struct span body;
	struct http_now *now;
};

/* A header field of the request, or NULL. */
const char *http_now_field(const struct http_now *now, const char *name);

/* Whether the client is on this machine. */
bool http_now_is_local(const struct http_now *now);

/* Sends the reply; the caller may free it afterwards. */
void http_now_send(struct http_now *now, const struct http_ready *r);

/* The same as 304 Not Modified: its headers without its body. */
void http_now_send_unchanged(struct http_now *now, const struct http_ready *r);

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
	 * If set, 'handle', 'shape' and the queue are not used: serves every
	 * request at once in one of 'threads' threads per listener, and calls
	 * http_now_send once (without that it is 500).  It must not block.
	 * Its 'thread' comes from worker_new.  Not for TLS.
	 */
	void (*handle_now)(void *thread, const struct http_now_request *req);
	unsigned threads;
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
