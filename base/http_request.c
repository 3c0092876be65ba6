#include <sys/random.h>

#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/b64.h"
#include "base/clock.h"
#include "base/http_int.h"
#include "base/log.h"
#include "base/metrics.h"

/* A body beyond the cap is read on for this many caps before we hang up. */
#define DISCARD_FACTOR 16
#define REQUEST_ID_OCTETS 8

/* One request from its first line to the last byte of its reply. */
struct live {
	struct http_request req;
	struct http_reply reply;
	struct http_port *port;
	struct MHD_Connection *conn;
	struct buf body;
	size_t discarded;
	int64_t started_us;
	bool begun;    /* the header fields have been seen */
	bool answered; /* 'reply' is complete */
	bool sending;  /* counted in the server's 'sending' */
};

void
http_header_add(struct http_reply *r, const char *name, const char *value)
{
	if (r->n_headers >= HTTP_HEADERS_MAX)
		abort();
	r->headers[r->n_headers++] = (struct http_header){ name, value };
}

static const char *
new_id(struct arena *a)
{
	uint8_t id[REQUEST_ID_OCTETS];

	if (getrandom(id, sizeof(id), 0) != (ssize_t)sizeof(id))
		abort();
	return hex_encode(a, span_of(id, sizeof(id)));
}

/* RFC 9112 3.2.2 */
const char *
http_target_path(const char *uri)
{
	if (strncasecmp(uri, "http://", 7) != 0 &&
	    strncasecmp(uri, "https://", 8) != 0)
		return uri;
	uri = strstr(uri, "://") + 3;
	return uri + strcspn(uri, "/?");
}

/* Splits the raw target. */
static void
set_target(struct http_request *r, const char *uri)
{
	char *path = arena_strdup(r->arena, http_target_path(uri));
	char *query = strchr(path, '?');

	if (query != NULL)
		*query++ = '\0';
	r->path = path[0] == '\0' ? "/" : path;
	r->query = query;
}

void *
http_on_uri(void *cls, const char *uri, struct MHD_Connection *c)
{
	struct arena *a = arena_new();
	struct live *l = arena_alloc(a, sizeof(*l));
	const union MHD_ConnectionInfo *info;

	l->port = cls;
	l->conn = c;
	l->started_us = clock_mono_us();
	buf_init(&l->body, l->port->server->conf.body_max);
	l->req.arena = a;
	l->req.method = "";
	l->req.id = new_id(a);
	l->req.tls = l->port->tls;
	set_target(&l->req, uri);
	info = MHD_get_connection_info(c, MHD_CONNECTION_INFO_CLIENT_ADDRESS);
	l->req.peer =
	    info == NULL ? "" : http_address_text(a, info->client_addr);
	return l;
}

static const char *
field(struct live *l, const char *name)
{
	return arena_strdup(l->req.arena,
	    MHD_lookup_connection_value(l->conn, MHD_HEADER_KIND, name));
}

static void
read_fields(struct live *l, const char *method)
{
	struct http_request *r = &l->req;

	r->method = arena_strdup(r->arena, method);
	r->content_type = field(l, "Content-Type");
	r->authorization = field(l, "Authorization");
	r->accept = field(l, "Accept");
	r->user_agent = field(l, "User-Agent");
	if (r->tls)
		http_tls_fill(r, l->conn);
}

static void
drop_body(struct http_reply *r)
{
	if (r->body_free != NULL)
		r->body_free(r->body);
	r->body_free = NULL;
	r->body = span_of(NULL, 0);
}

/* A reply of the server itself. */
static void
own_reply(struct live *l, int status, const char *text)
{
	const struct http_conf *conf = &l->port->server->conf;

	drop_body(&l->reply);
	l->reply = (struct http_reply){ .status = status,
		.content_type = "text/plain",
		.body = span_str(text) };
	if (status == 503)
		http_header_add(&l->reply, "Retry-After", "1");
	if (conf->shape != NULL)
		conf->shape(&l->req, &l->reply);
	l->answered = true;
}

static struct MHD_Response *
make_response(const struct live *l)
{
	const struct http_reply *r = &l->reply;
	struct MHD_Response *m;
	size_t i;
	bool ok = true;

	/* the bytes live in the request's arena until it is completed */
	m = MHD_create_response_from_buffer(
	    r->body.n, (void *)(uintptr_t)r->body.p, MHD_RESPMEM_PERSISTENT);
	if (m == NULL)
		return NULL;
	if (r->content_type != NULL)
		ok = MHD_add_response_header(
			 m, "Content-Type", r->content_type) == MHD_YES;
	for (i = 0; ok && i < r->n_headers; i++)
		ok = MHD_add_response_header(
			 m, r->headers[i].name, r->headers[i].value) == MHD_YES;
	if (ok && atomic_load(&l->port->server->ending))
		ok = MHD_add_response_header(m, "Connection", "close") ==
		     MHD_YES;
	if (ok)
		return m;
	MHD_destroy_response(m);
	return NULL;
}

static enum MHD_Result
send_reply(struct live *l)
{
	struct MHD_Response *m;
	enum MHD_Result rc;

	if (l->reply.status < 200 || l->reply.status > 599)
		own_reply(l, 500, "internal error\n");
	m = make_response(l);
	if (m == NULL) {
		own_reply(l, 500, "internal error\n");
		m = make_response(l);
	}
	if (m == NULL)
		return MHD_NO;
	rc = MHD_queue_response(l->conn, (unsigned)l->reply.status, m);
	MHD_destroy_response(m);
	return rc;
}

static bool
announces_too_much(struct live *l)
{
	const char *n = MHD_lookup_connection_value(
	    l->conn, MHD_HEADER_KIND, "Content-Length");

	return n != NULL &&
	       strtoull(n, NULL, 10) > l->port->server->conf.body_max;
}

static enum MHD_Result
collect(struct live *l, const char *data, size_t n)
{
	size_t max = l->port->server->conf.body_max;

	buf_add(&l->body, data, n);
	if (buf_ok(&l->body))
		return MHD_YES;
	l->discarded += n;
	return l->discarded / DISCARD_FACTOR > max ? MHD_NO : MHD_YES;
}

/* The worker may be done before this returns, but not MHD: it waits for us. */
static enum MHD_Result
hand_over(struct live *l)
{
	struct http_server *s = l->port->server;

	atomic_fetch_add(&s->working, 1);
	if (atomic_load(&s->ending)) {
		atomic_fetch_sub(&s->working, 1);
		own_reply(l, 503, "shutting down\n");
		return send_reply(l);
	}
	l->req.body = buf_get(&l->body);
	MHD_suspend_connection(l->conn);
	if (!workq_push(s->queue, l)) {
		own_reply(l, 503, "too many requests are waiting\n");
		MHD_resume_connection(l->conn);
		atomic_fetch_sub(&s->working, 1);
	}
	return MHD_YES;
}

enum MHD_Result
/* NOLINTNEXTLINE(readability-function-size): the type is libmicrohttpd's */
http_on_request(void *cls, struct MHD_Connection *c, const char *url,
    const char *method, const char *version, const char *data,
    size_t *data_size, void **con_cls)
{
	struct live *l = *con_cls;
	size_t n = *data_size;

	(void)cls;
	(void)c;
	(void)url;
	(void)version;
	if (!l->begun) {
		l->begun = true;
		read_fields(l, method);
		if (!announces_too_much(l))
			return MHD_YES;
		own_reply(l, 413, "request body is too large\n");
	} else if (n > 0) {
		*data_size = 0;
		return collect(l, data, n);
	} else if (!l->answered && !buf_ok(&l->body)) {
		own_reply(l, 413, "request body is too large\n");
	}
	return l->answered ? send_reply(l) : hand_over(l);
}

void
http_work(void *worker, void *job)
{
	struct live *l = job;
	struct http_server *s = l->port->server;

	log_request(l->req.id);
	s->conf.handle(worker, &l->req, &l->reply);
	log_request(NULL);
	l->answered = true;
	l->sending = true;
	atomic_fetch_add(&s->sending, 1);
	MHD_resume_connection(l->conn); /* 'l' is not ours from here on */
	atomic_fetch_sub(&s->working, 1);
}

/* Requests by the first digit of their status; 0: cut off before one. */
static struct metric *request_times[6];
static pthread_once_t meters_once = PTHREAD_ONCE_INIT;

static void
make_meters(void)
{
	char label[32];
	int i;

	for (i = 0; i < 6; i++) {
		(void)snprintf(label, sizeof(label), "status=\"%dxx\"", i);
		request_times[i] =
		    metrics_histogram("chancery_http_request_seconds",
			"Time from request line to last byte.", label);
	}
}

static void
meter(int status, int64_t us)
{
	(void)pthread_once(&meters_once, make_meters);
	if (status >= 0 && status < 600)
		metric_observe_us(request_times[status / 100], us);
}

static void
log_access(const struct live *l)
{
	int64_t took_us = clock_mono_us() - l->started_us;
	char status[16], us[24];

	meter(l->reply.status, took_us);
	(void)snprintf(status, sizeof(status), "%d", l->reply.status);
	(void)snprintf(us, sizeof(us), "%" PRId64, took_us);
	log_request(l->req.id);
	log_event(LOG_DEBUG, "request", "method", l->req.method, "path",
	    l->req.path, "status", status, "us", us, "peer", l->req.peer, NULL);
	log_request(NULL);
}

void
http_on_completed(void *cls, struct MHD_Connection *c, void **con_cls,
    enum MHD_RequestTerminationCode code)
{
	struct live *l = *con_cls;

	(void)cls;
	(void)c;
	(void)code;
	if (l == NULL)
		return;
	*con_cls = NULL;
	log_access(l);
	if (l->sending)
		atomic_fetch_sub(&l->port->server->sending, 1);
	buf_clear(&l->body);
	drop_body(&l->reply);
	arena_free(l->req.arena);
}
