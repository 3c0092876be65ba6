/* Requests that are answered in the server's own thread. */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/time.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/buf.h"
#include "http_fixture.h"

static struct http_ready *fixed;
static atomic_int made, freed;

static void *
thread_new(void *arg)
{
	assert_ptr_equal(arg, &made);
	atomic_fetch_add(&made, 1);
	return &freed;
}

static void
thread_free(void *thread)
{
	atomic_fetch_add((atomic_int *)thread, 1);
}

/* method|path|body size|last octet|If-None-Match */
static void
echo(const struct http_now_request *req)
{
	const char *etag = http_now_field(req->now, "If-None-Match");
	struct http_reply reply = { .status = 200,
		.content_type = "text/plain" };
	struct http_ready *r;
	struct err e;
	AUTO_BUF(b, 20000);

	buf_printf(&b, "%s|%s|%zu|%d|%s", req->method, req->path, req->body.n,
	    req->body.n == 0 ? -1 : req->body.p[req->body.n - 1],
	    etag == NULL ? "-" : etag);
	reply.body = buf_get(&b);
	http_header_add(&reply, "X-A", "b");
	assert_int_equal(http_ready_new(&reply, &r, &e), 0);
	http_now_send(req->now, r);
	http_ready_free(r);
}

static void
handle(void *thread, const struct http_now_request *req)
{
	assert_ptr_equal(thread, &freed);
	if (strcmp(req->path, "/fixed") == 0)
		http_now_send(req->now, fixed);
	else if (strcmp(req->path, "/nothing") != 0)
		echo(req);
}

static struct http_server *
server(unsigned threads)
{
	struct http_listener l = { "127.0.0.1", 0, false };
	struct http_conf conf = {
		.listeners = &l,
		.n_listeners = 1,
		.body_max = FIXTURE_BODY_MAX,
		.connections = 100,
		.per_address = 50,
		.timeout_s = 1,
		.worker_new = thread_new,
		.worker_free = thread_free,
		.handle_now = handle,
		.threads = threads,
		.arg = &made,
	};
	struct http_server *s;
	struct err e;

	if (http_server_new(&conf, &s, &e) != 0)
		fail_msg("%s", e.text);
	return s;
}

static void
test_get(void **state)
{
	struct http_server *s = server(2);
	struct answer a;
	CURL *c;

	(void)state;
	/* the path arrives as it was sent */
	fixture_get(s, "/a%2Fb//c+%2B/../d?q=1", &a);
	assert_int_equal(a.status, 200);
	assert_string_equal(a.body, "GET|/a%2Fb//c+%2B/../d|0|-1|-");
	assert_non_null(strstr(a.headers, "X-A: b"));
	assert_non_null(strstr(a.headers, "Date: "));
	c = fixture_client(s, false, "/h", &a);
	curl_easy_setopt(c, CURLOPT_NOBODY, 1L);
	fixture_run(c, &a);
	assert_int_equal(a.status, 200);
	assert_int_equal(a.body_n, 0);
	assert_non_null(strstr(a.headers, "Content-Length: 14"));
	c = fixture_client(s, false, "/", &a);
	curl_easy_setopt(c, CURLOPT_REQUEST_TARGET, "http://other:80/p/q");
	fixture_run(c, &a);
	fixture_starts(a.body, "GET|/p/q|");
	fixture_get(s, "/nothing", &a);
	assert_int_equal(a.status, 500);
	http_server_free(s);
	assert_true(made > 0);
	assert_int_equal(made, freed);
}

static void
test_post(void **state)
{
	struct http_server *s = server(1);
	struct answer a;

	(void)state;
	fixture_post(s, 0, false, &a);
	assert_string_equal(a.body, "POST|/post|0|-1|-");
	fixture_post(s, 100, false, &a);
	assert_string_equal(a.body, "POST|/post|100|120|-");
	fixture_post(s, FIXTURE_BODY_MAX, false, &a);
	assert_string_equal(a.body, "POST|/post|1000|120|-");
	fixture_post(s, FIXTURE_BODY_MAX, true, &a);
	assert_string_equal(a.body, "POST|/post|1000|120|-");
	fixture_post(s, FIXTURE_BODY_MAX + 1, false, &a);
	assert_int_equal(a.status, 413);
	fixture_post(s, FIXTURE_BODY_MAX + 1, true, &a);
	assert_int_equal(a.status, 413);
	fixture_post(s, 1024 * 1024, true, &a); /* we hang up */
	assert_int_not_equal(a.rc, CURLE_OK);
	fixture_get(s, "/", &a);
	assert_int_equal(a.status, 200);
	http_server_free(s);
}

static void
test_ready(void **state)
{
	struct http_server *s = server(2);
	struct http_reply reply = { .status = 404, .body = span_str("none") };
	struct http_ready *wrong;
	struct answer a;
	struct err e;
	int i;

	(void)state;
	assert_int_equal(http_ready_new(&reply, &fixed, &e), 0);
	for (i = 0; i < 20; i++) {
		fixture_get(s, "/fixed", &a);
		assert_int_equal(a.status, 404);
		assert_string_equal(a.body, "none");
	}
	http_ready_free(fixed);
	http_header_add(&reply, "X", "a\r\nb: c");
	assert_int_equal(http_ready_new(&reply, &wrong, &e), -1);
	assert_int_equal(e.kind, ERR_UNAVAILABLE);
	http_server_free(s);
}

static int
raw_connection(struct http_server *s)
{
	struct sockaddr_in sin = { .sin_family = AF_INET,
		.sin_port = htons(http_server_port(s, 0)),
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	struct timeval patience = { 10, 0 };
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	assert_true(fd >= 0);
	assert_int_equal(connect(fd, (struct sockaddr *)&sin, sizeof(sin)), 0);
	(void)setsockopt(
	    fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
	return fd;
}

/* Clients that send half a request do not hold up others, and are dropped. */
static void
test_slow(void **state)
{
	static const char *const starts[] = { "", "GET / HTT",
		"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\nabc" };
	struct http_server *s = server(1);
	struct answer a;
	char octet;
	int fds[3], i;

	(void)state;
	for (i = 0; i < 3; i++) {
		fds[i] = raw_connection(s);
		assert_int_equal(
		    send(fds[i], starts[i], strlen(starts[i]), MSG_NOSIGNAL),
		    strlen(starts[i]));
	}
	fixture_get(s, "/", &a);
	assert_int_equal(a.status, 200);
	for (i = 0; i < 3; i++) {
		assert_true(recv(fds[i], &octet, 1, 0) <= 0);
		(void)close(fds[i]);
	}
	http_server_free(s);
}

/* HTTP/1.0, and requests that come together on one connection. */
static void
test_raw(void **state)
{
	static const char text[] =
	    "POST /a HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc"
	    "GET /fixed2 HTTP/1.1\r\nHost: x\r\n\r\n"
	    "GET /b HTTP/1.0\r\nIf-None-Match: \"e\"\r\n\r\n";
	struct http_server *s = server(1);
	char got[4096];
	size_t n = 0;
	ssize_t k;
	int fd = raw_connection(s);

	(void)state;
	assert_int_equal(
	    send(fd, text, sizeof(text) - 1, MSG_NOSIGNAL), sizeof(text) - 1);
	while ((k = recv(fd, got + n, sizeof(got) - 1 - n, 0)) > 0)
		n += (size_t)k;
	got[n] = '\0';
	assert_non_null(strstr(got, "POST|/a|3|99|-"));
	assert_non_null(strstr(got, "GET|/fixed2|0|-1|-"));
	assert_non_null(strstr(got, "GET|/b|0|-1|\"e\""));
	(void)close(fd);
	http_server_free(s);
}

static void
test_date(void **state)
{
	char text[HTTP_DATE_SIZE];

	(void)state;
	http_date(784111777, text);
	assert_string_equal(text, "Sun, 06 Nov 1994 08:49:37 GMT");
	assert_int_equal(http_date_parse(text), 784111777);
	http_date(0, text);
	assert_string_equal(text, "Thu, 01 Jan 1970 00:00:00 GMT");
	assert_int_equal(http_date_parse(text), 0);
	assert_int_equal(http_date_parse("Mon, 06 Nov 1994 08:49:37 GMT"), -1);
	assert_int_equal(http_date_parse("Sun, 06 Nov 1994 08:49:3x GMT"), -1);
	assert_int_equal(http_date_parse("Sun, 06 Nox 1994 08:49:37 GMT"), -1);
	assert_int_equal(http_date_parse("Sun, 31 Feb 1994 08:49:37 GMT"), -1);
	assert_int_equal(http_date_parse(""), -1);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_get),
		cmocka_unit_test(test_post),
		cmocka_unit_test(test_ready),
		cmocka_unit_test(test_slow),
		cmocka_unit_test(test_raw),
		cmocka_unit_test(test_date),
	};

	return cmocka_run_group_tests(tests, fixture_set_up, fixture_tear_down);
}
