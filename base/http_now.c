#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/http_int.h"

/* A body beyond the cap is read on for this many caps before we hang up. */
#define DISCARD_FACTOR 16
/* Bodies of this size need no second allocation. */
#define BODY_INLINE 512

struct http_now {
	struct MHD_Connection *conn;
	bool sent;
	enum MHD_Result rc;
};

/* A request whose body is still coming. */
struct posted {
	size_t n, max, discarded;
	bool over;
	uint8_t *more; /* instead of 'bytes', when they are too few */
	uint8_t bytes[BODY_INLINE];
};

/* Stands for a request without a body: nothing to free. */
static struct posted no_body;

static const char *const days[] = { "Thu", "Fri", "Sat", "Sun", "Mon", "Tue",
	"Wed" };
static const char *const months[] = { "Jan", "Feb", "Mar", "Apr", "May", "Jun",
	"Jul", "Aug", "Sep", "Oct", "Nov", "Dec" };

void
http_date(int64_t t, char out[HTTP_DATE_SIZE])
{
	int64_t day = t / 86400 % 7;
	struct clock_civil c;

	clock_to_civil(t, &c);
	memcpy(out, "DDD, 00 MMM 0000 00:00:00 GMT", HTTP_DATE_SIZE);
	memcpy(out, days[day < 0 ? day + 7 : day], 3);
	memcpy(out + 8, months[(c.month - 1) % 12], 3);
	(void)clock_digits(out + 5, c.day, 2);
	(void)clock_digits(out + 12, c.year, 4);
	(void)clock_digits(out + 17, c.hour, 2);
	(void)clock_digits(out + 20, c.minute, 2);
	(void)clock_digits(out + 23, c.second, 2);
}

/* The number that 'n' digits make; what else is there shows later. */
static int
number(const char *text, int n)
{
	int v = 0;

	for (; n > 0; n--)
		v = v * 10 + (*text++ - '0') % 10;
	return v;
}

int64_t
http_date_parse(const char *text)
{
	struct clock_civil c = { 0 };
	char again[HTTP_DATE_SIZE];
	int64_t t;

	/* "Sun, 06 Nov 1994 08:49:37 GMT" */
	if (strlen(text) != HTTP_DATE_SIZE - 1)
		return -1;
	c.day = number(text + 5, 2);
	while (c.month < 12 && strncmp(text + 8, months[c.month], 3) != 0)
		c.month++;
	c.year = number(text + 12, 4);
	c.hour = number(text + 17, 2);
	c.minute = number(text + 20, 2);
	c.second = number(text + 23, 2);
	if (c.month++ == 12 || c.year < 1970)
		return -1;
	t = clock_from_civil(&c);
	http_date(t, again);
	return strcmp(again, text) == 0 ? t : -1;
}

bool
http_etag_listed(const char *list, const char *etag)
{
	size_t n = strlen(etag);
	const char *p;

	if (strcmp(list, "*") == 0)
		return true;
	for (p = list; (p = strstr(p, etag)) != NULL; p += n) {
		if ((p == list || strchr(" ,/", p[-1]) != NULL) &&
		    (p[n] == '\0' || strchr(" ,", p[n]) != NULL))
			return true;
	}
	return false;
}

static int
add_headers(struct http_ready *r, const struct http_reply *reply)
{
	size_t i;

	r->status = (unsigned)reply->status;
	if (reply->content_type != NULL &&
	    MHD_add_response_header(
		r->response, "Content-Type", reply->content_type) != MHD_YES)
		return -1;
	for (i = 0; i < reply->n_headers; i++) {
		if (MHD_add_response_header(r->response, reply->headers[i].name,
			reply->headers[i].value) != MHD_YES)
			return -1;
	}
	return 0;
}

static int
finish_ready(struct MHD_Response *m, const struct http_reply *reply,
    struct http_ready **out, struct err *e)
{
	struct http_ready *r = calloc(1, sizeof(*r));

	if (r != NULL && m != NULL) {
		r->response = m;
		if (add_headers(r, reply) == 0) {
			*out = r;
			return 0;
		}
	}
	if (m != NULL)
		MHD_destroy_response(m);
	free(r);
	return err_set(e, ERR_UNAVAILABLE, "the reply cannot be made");
}

int
http_ready_new(
    const struct http_reply *reply, struct http_ready **out, struct err *e)
{
	return finish_ready(
	    MHD_create_response_from_buffer(reply->body.n,
		(void *)(uintptr_t)reply->body.p, MHD_RESPMEM_MUST_COPY),
	    reply, out, e);
}

int
http_ready_file(const struct http_reply *reply, int fd, uint64_t offset,
    uint64_t size, struct http_ready **out, struct err *e)
{
	struct MHD_Response *m =
	    MHD_create_response_from_fd_at_offset64(size, fd, offset);

	if (m == NULL)
		(void)close(fd);
	return finish_ready(m, reply, out, e);
}

void
http_ready_free(struct http_ready *r)
{
	if (r == NULL)
		return;
	MHD_destroy_response(r->response);
	free(r);
}

const char *
http_now_field(const struct http_now *now, const char *name)
{
	return MHD_lookup_connection_value(now->conn, MHD_HEADER_KIND, name);
}

bool
http_now_is_local(const struct http_now *now)
{
	const union MHD_ConnectionInfo *info = MHD_get_connection_info(
	    now->conn, MHD_CONNECTION_INFO_CLIENT_ADDRESS);
	AUTO(arena_auto) a = arena_new();
	const char *text;

	if (info == NULL)
		return false;
	text = http_address_text(a, info->client_addr);
	return strncmp(text, "127.", 4) == 0 || strcmp(text, "::1") == 0;
}

static void
queue(struct http_now *now, unsigned status, const struct http_ready *r)
{
	if (now->sent)
		abort();
	now->sent = true;
	now->rc = MHD_queue_response(now->conn, status, r->response);
}

void
http_now_send(struct http_now *now, const struct http_ready *r)
{
	queue(now, r->status, r);
}

/* libmicrohttpd leaves out the body, and tells its length (RFC 9110 8.6). */
void
http_now_send_unchanged(struct http_now *now, const struct http_ready *r)
{
	queue(now, 304, r);
}

static void
send_text(struct http_now *now, int status, const char *text)
{
	const struct http_reply reply = { .status = status,
		.content_type = "text/plain",
		.body = span_str(text) };
	struct http_ready *r;
	struct err e;

	if (http_ready_new(&reply, &r, &e) == -1) {
		now->rc = MHD_NO;
		return;
	}
	http_now_send(now, r);
	http_ready_free(r);
}

size_t
http_now_raw(void *cls, struct MHD_Connection *c, char *s)
{
	(void)cls;
	(void)c;
	return strlen(s);
}

/* A thread's context, made by worker_new and freed when the thread ends. */
struct thread {
	struct http_server *server;
	void *context;
};

static void
thread_end(void *arg)
{
	struct thread *t = arg;

	if (t->server->conf.worker_free != NULL)
		t->server->conf.worker_free(t->context);
	free(t);
}

int
http_now_start(struct http_server *s, struct err *e)
{
	if (pthread_key_create(&s->thread_key, thread_end) != 0)
		return err_set(e, ERR_UNAVAILABLE, "no more thread keys");
	s->has_key = true;
	return 0;
}

static void *
context(struct http_server *s)
{
	struct thread *t = pthread_getspecific(s->thread_key);

	if (t != NULL)
		return t->context;
	t = calloc(1, sizeof(*t));
	if (t == NULL)
		abort();
	t->server = s;
	if (s->conf.worker_new != NULL)
		t->context = s->conf.worker_new(s->conf.arg);
	(void)pthread_setspecific(s->thread_key, t);
	return t->context;
}

static enum MHD_Result
answer(const struct http_port *p, struct http_now_request *req)
{
	p->server->conf.handle_now(context(p->server), req);
	if (!req->now->sent)
		send_text(req->now, 500, "internal error\n");
	return req->now->rc;
}

/* Whether the request comes with a body that is not too large to begin. */
static bool
has_body(struct MHD_Connection *c, const char *method)
{
	return strcmp(method, "GET") != 0 && strcmp(method, "HEAD") != 0 &&
	       (MHD_lookup_connection_value(
		    c, MHD_HEADER_KIND, "Content-Length") != NULL ||
		   MHD_lookup_connection_value(
		       c, MHD_HEADER_KIND, "Transfer-Encoding") != NULL);
}

static bool
announces_too_much(const struct http_port *p, struct MHD_Connection *c)
{
	const char *n =
	    MHD_lookup_connection_value(c, MHD_HEADER_KIND, "Content-Length");

	return n != NULL && strtoull(n, NULL, 10) > p->server->conf.body_max;
}

static enum MHD_Result
collect(struct posted *b, const char *data, size_t n)
{
	if (!b->over && n > b->max - b->n)
		b->over = true;
	if (b->over) {
		b->discarded += n;
		return b->discarded / DISCARD_FACTOR > b->max ? MHD_NO
							      : MHD_YES;
	}
	if (b->more == NULL && n > BODY_INLINE - b->n) {
		b->more = malloc(b->max);
		if (b->more == NULL)
			return MHD_NO;
		memcpy(b->more, b->bytes, b->n);
	}
	memcpy((b->more == NULL ? b->bytes : b->more) + b->n, data, n);
	b->n += n;
	return MHD_YES;
}

/* An answer at this early call would be the connection's last one. */
static enum MHD_Result
begin(const struct http_port *p, struct http_now_request *req, void **con_cls)
{
	struct posted *b;

	if (!has_body(req->now->conn, req->method)) {
		*con_cls = &no_body;
		return MHD_YES;
	}
	if (announces_too_much(p, req->now->conn)) {
		send_text(req->now, 413, "request body is too large\n");
		return req->now->rc;
	}
	b = malloc(sizeof(*b));
	if (b == NULL)
		return MHD_NO;
	b->n = b->discarded = 0;
	b->over = false;
	b->more = NULL;
	b->max = p->server->conf.body_max;
	*con_cls = b;
	return MHD_YES;
}

enum MHD_Result
/* NOLINTNEXTLINE(readability-function-size): the type is libmicrohttpd's */
http_now_on_request(void *cls, struct MHD_Connection *c, const char *url,
    const char *method, const char *version, const char *data,
    size_t *data_size, void **con_cls)
{
	struct http_now now = { .conn = c, .rc = MHD_NO };
	struct http_now_request req = { .method = method,
		.path = url[0] == '/' ? url : http_target_path(url),
		.now = &now };
	struct posted *b = *con_cls;
	size_t n = *data_size;

	(void)version;
	if (b == NULL)
		return begin(cls, &req, con_cls);
	if (n > 0) {
		*data_size = 0;
		return b == &no_body ? MHD_YES : collect(b, data, n);
	}
	if (b->over) {
		send_text(&now, 413, "request body is too large\n");
		return now.rc;
	}
	req.body = span_of(b->more == NULL ? b->bytes : b->more, b->n);
	return answer(cls, &req);
}

void
http_now_on_completed(void *cls, struct MHD_Connection *c, void **con_cls,
    enum MHD_RequestTerminationCode code)
{
	struct posted *b = *con_cls;

	(void)cls;
	(void)c;
	(void)code;
	*con_cls = NULL;
	if (b == NULL || b == &no_body)
		return;
	free(b->more);
	free(b);
}
