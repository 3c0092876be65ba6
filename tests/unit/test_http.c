#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include <cmocka.h>
#include <curl/curl.h>
#include <pthread.h>
#include <semaphore.h>

#include "base/http.h"
#include "http_fixture.h"

static void
test_request_fields(void **state)
{
	struct http_server *s = fixture_server(false, 2, 10, 50);
	struct curl_slist *h = NULL;
	struct answer a;
	CURL *c;

	(void)state;
	fixture_get(s, "/a%2Fb/../c?x=%31&y", &a);
	assert_int_equal(a.status, 200);
	fixture_starts(
	    a.body, "GET|/a%2Fb/../c|x=%31&y|-|-|-|127.0.0.1|0|0|0|");
	assert_int_equal(
	    strspn(strrchr(a.body, '|') + 1, "0123456789abcdef"), 16);
	assert_non_null(strstr(a.headers, "X-Id: "));
	c = fixture_client(s, false, "/", &a);
	h = curl_slist_append(h, "Content-Type: application/x");
	h = curl_slist_append(h, "Authorization: Basic eA==");
	h = curl_slist_append(h, "Expect: 100-continue");
	curl_easy_setopt(c, CURLOPT_HTTPHEADER, h);
	curl_easy_setopt(c, CURLOPT_USERAGENT, "agent/1");
	curl_easy_setopt(c, CURLOPT_POSTFIELDS, "0123456789");
	fixture_run(c, &a);
	curl_slist_free_all(h);
	fixture_starts(a.headers, "HTTP/1.1 100 Continue");
	fixture_starts(a.body, "POST|/|-|application/x|Basic eA==|agent/1|"
			       "127.0.0.1|0|10|0|");
	http_server_free(s);
}

static void
test_absolute_target(void **state)
{
	struct http_server *s = fixture_server(false, 1, 10, 50);
	struct answer a;
	CURL *c;

	(void)state;
	c = fixture_client(s, false, "/", &a);
	curl_easy_setopt(c, CURLOPT_REQUEST_TARGET, "http://other:80/p/q?r");
	fixture_run(c, &a);
	fixture_starts(a.body, "GET|/p/q|r|");
	c = fixture_client(s, false, "/", &a);
	curl_easy_setopt(c, CURLOPT_REQUEST_TARGET, "HTTP://other");
	fixture_run(c, &a);
	fixture_starts(a.body, "GET|/|-|");
	http_server_free(s);
}

static void
test_head(void **state)
{
	struct http_server *s = fixture_server(false, 1, 10, 50);
	struct answer a;
	CURL *c = fixture_client(s, false, "/h", &a);

	(void)state;
	curl_easy_setopt(c, CURLOPT_NOBODY, 1L);
	fixture_run(c, &a);
	assert_int_equal(a.status, 200);
	assert_int_equal(a.body_n, 0);
	assert_non_null(strstr(a.headers, "Content-Length: "));
	assert_non_null(strstr(a.headers, "X-Id: "));
	http_server_free(s);
}

static void
test_wrong_replies_are_500(void **state)
{
	struct http_server *s = fixture_server(false, 1, 10, 50);
	struct answer a;

	(void)state;
	fixture_get(s, "/zero", &a);
	assert_int_equal(a.status, 500);
	fixture_get(s, "/inject", &a);
	assert_int_equal(a.status, 500);
	assert_null(strstr(a.headers, "b: c"));
	http_server_free(s);
}

static void
test_body_cap(void **state)
{
	struct http_server *s = fixture_server(false, 1, 10, 50);
	struct answer a;

	(void)state;
	fixture_post(s, FIXTURE_BODY_MAX, false, &a);
	assert_int_equal(a.status, 200);
	fixture_post(s, FIXTURE_BODY_MAX + 1, false, &a);
	assert_int_equal(a.status, 413);
	assert_string_equal(a.body, "{\"status\":413}");
	assert_non_null(strstr(a.headers, "application/problem+json"));
	fixture_post(s, FIXTURE_BODY_MAX, true, &a);
	assert_int_equal(a.status, 200);
	fixture_post(s, FIXTURE_BODY_MAX + 1, true, &a);
	assert_int_equal(a.status, 413);
	fixture_post(s, 1024 * 1024, true, &a); /* we hang up */
	assert_int_not_equal(a.rc, CURLE_OK);
	fixture_get(s, "/", &a);
	assert_int_equal(a.status, 200);
	http_server_free(s);
}

static void
never(void *worker, const struct http_request *r, struct http_reply *reply)
{
	(void)worker;
	(void)r;
	reply->status = 404;
}

static void
test_port_in_use(void **state)
{
	struct http_server *s = fixture_server(false, 1, 10, 50), *t = NULL;
	struct http_listener l = { "127.0.0.1", http_server_port(s, 0), false };
	struct http_conf conf = { .listeners = &l,
		.n_listeners = 1,
		.workers = 1,
		.queue = 1,
		.body_max = 1,
		.connections = 1,
		.per_address = 1,
		.timeout_s = 1,
		.handle = never };
	char want[100];
	struct err e;

	(void)state;
	assert_int_equal(http_server_new(&conf, &t, &e), -1);
	assert_int_equal(e.kind, ERR_CONFLICT);
	(void)snprintf(want, sizeof(want), "cannot listen on 127.0.0.1 port %u",
	    http_server_port(s, 0));
	fixture_starts(e.text, want);
	l.address = "localhost";
	assert_int_equal(http_server_new(&conf, &t, &e), -1);
	assert_int_equal(e.kind, ERR_MALFORMED);
	l.address = "192.0.2.1";
	assert_int_equal(http_server_new(&conf, &t, &e), -1);
	assert_int_equal(e.kind, ERR_UNAVAILABLE);
	conf.timeout_s = 0;
	assert_int_equal(http_server_new(&conf, &t, &e), -1);
	assert_int_equal(e.kind, ERR_INTERNAL);
	assert_null(t);
	http_server_free(NULL);
	http_server_free(s);
}

static void *
get_wait(void *arg)
{
	struct http_server *s = arg;
	static __thread struct answer a;

	fixture_get(s, "/wait", &a);
	return (void *)(intptr_t)a.status;
}

static void
test_full_queue(void **state)
{
	struct http_server *s = fixture_server(false, 1, 1, 50);
	struct answer a = { 0 };
	pthread_t waiter;
	void *status;
	int i;

	(void)state;
	pthread_create(&waiter, NULL, get_wait, s);
	sem_wait(&fixture_entered); /* the worker is busy */
	for (i = 0; i < 20 && a.status != 503; i++) {
		/* the first one fills the queue and gives up */
		CURL *c = fixture_client(s, false, "/", &a);

		curl_easy_setopt(c, CURLOPT_TIMEOUT_MS, 300L);
		fixture_run(c, &a);
	}
	assert_int_equal(a.status, 503);
	assert_non_null(strstr(a.headers, "Retry-After: 1"));
	sem_post(&fixture_gate);
	pthread_join(waiter, &status);
	assert_int_equal((intptr_t)status, 200);
	fixture_get(s, "/", &a);
	assert_int_equal(a.status, 200);
	http_server_free(s);
}

static int
raw_connect(struct http_server *s)
{
	struct sockaddr_in sin = { .sin_family = AF_INET,
		.sin_port = htons(http_server_port(s, 0)),
		.sin_addr = { htonl(INADDR_LOOPBACK) } };
	struct timeval limit = { 10, 0 };
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	assert_int_equal(connect(fd, (struct sockaddr *)&sin, sizeof(sin)), 0);
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
	return fd;
}

static void
test_slow_clients(void **state)
{
	static const char half[] = "POST / HTTP/1.1\r\nHost: x\r\n"
				   "Content-Length: 10\r\n\r\n12345";
	struct http_server *s = fixture_server(false, 1, 4, 50);
	struct answer a;
	int fds[20], i;

	(void)state;
	for (i = 0; i < 20; i++) {
		fds[i] = raw_connect(s);
		assert_int_equal(
		    send(fds[i], half, i % 2 ? strlen(half) : 20, 0),
		    (ssize_t)(i % 2 ? strlen(half) : 20));
	}
	for (i = 0; i < 5; i++) {
		fixture_get(s, "/", &a);
		assert_int_equal(a.status, 200);
	}
	for (i = 0; i < 20; i++)
		close(fds[i]);
	http_server_free(s);
}

static void
test_bytes_that_are_no_http(void **state)
{
	static const char *const wrong[] = { "GET /x HTTP/1.1\r\nbad\r\n\r\n",
		"\x16\x03\x01\x02", "GET\r\n\r\n", "GET / HTTP/9.9\r\n\r\n",
		"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n" };
	struct http_server *s = fixture_server(false, 1, 4, 50);
	struct answer a;
	char reply[100];
	size_t i;
	int fd;

	(void)state;
	for (i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		fd = raw_connect(s);
		assert_true(send(fd, wrong[i], strlen(wrong[i]), 0) > 0);
		shutdown(fd, SHUT_WR);
		while (recv(fd, reply, sizeof(reply), 0) > 0)
			continue;
		close(fd);
	}
	fixture_get(s, "/", &a);
	assert_int_equal(a.status, 200);
	http_server_free(s);
}

static void
test_limit_per_address(void **state)
{
	struct http_server *s = fixture_server(false, 1, 4, 3);
	int fds[4], i;
	char c;

	(void)state;
	for (i = 0; i < 4; i++)
		fds[i] = raw_connect(s);
	assert_int_equal(recv(fds[3], &c, 1, 0), 0); /* closed by the server */
	for (i = 0; i < 4; i++)
		close(fds[i]);
	http_server_free(s);
}

struct load {
	struct http_server *server;
	uint16_t port;
	atomic_int ok, refused, broken;
};

static void *
hammer(void *arg)
{
	struct load *l = arg;
	static __thread struct answer a;
	CURLcode rc;
	char url[100];
	CURL *c = fixture_client(l->server, false, "/", &a);

	(void)snprintf(url, sizeof(url), "http://127.0.0.1:%u/", l->port);
	curl_easy_setopt(c, CURLOPT_URL, url);
	do {
		a.body_n = 0;
		rc = curl_easy_perform(c);
		curl_easy_getinfo(c, CURLINFO_RESPONSE_CODE, &a.status);
		if (rc == CURLE_OK && a.status == 200)
			atomic_fetch_add(&l->ok, 1);
		else if (rc == CURLE_OK && a.status == 503)
			atomic_fetch_add(&l->refused, 1);
		else if (rc == CURLE_PARTIAL_FILE)
			atomic_fetch_add(&l->broken, 1);
	} while (rc == CURLE_OK);
	curl_easy_cleanup(c);
	return NULL;
}

static void
test_shutdown_under_load(void **state)
{
	struct load l = { .server = fixture_server(false, 2, 4, 50) };
	pthread_t threads[4];
	int i;

	(void)state;
	l.port = http_server_port(l.server, 0);
	for (i = 0; i < 4; i++)
		pthread_create(&threads[i], NULL, hammer, &l);
	while (atomic_load(&l.ok) < 500)
		usleep(1000);
	http_server_free(l.server);
	for (i = 0; i < 4; i++)
		pthread_join(threads[i], NULL);
	assert_true(l.ok >= 500);
	assert_int_equal(l.broken, 0);
}

static void *
free_server(void *arg)
{
	http_server_free(arg);
	return NULL;
}

static void
test_running_request_finishes(void **state)
{
	struct http_server *s = fixture_server(false, 1, 4, 50);
	pthread_t asker, closer;
	void *status;

	(void)state;
	pthread_create(&asker, NULL, get_wait, s);
	sem_wait(&fixture_entered);
	pthread_create(&closer, NULL, free_server, s);
	usleep(50000);
	sem_post(&fixture_gate);
	pthread_join(asker, &status);
	pthread_join(closer, NULL);
	assert_int_equal((intptr_t)status, 200);
}

/* A body that is not the arena's is freed once, sent or not. */
static void
test_body_free(void **state)
{
	struct http_server *s = fixture_server(false, 1, 4, 50);
	struct answer a;

	(void)state;
	fixture_freed = 0;
	fixture_get(s, "/secret", &a);
	assert_int_equal(a.status, 200);
	assert_string_equal(a.body, "secret");
	fixture_get(s, "/secret-lost", &a);
	assert_int_equal(a.status, 500);
	http_server_free(s);
	assert_int_equal(fixture_freed, 2);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_request_fields),
		cmocka_unit_test(test_absolute_target),
		cmocka_unit_test(test_head),
		cmocka_unit_test(test_wrong_replies_are_500),
		cmocka_unit_test(test_body_cap),
		cmocka_unit_test(test_port_in_use),
		cmocka_unit_test(test_full_queue),
		cmocka_unit_test(test_slow_clients),
		cmocka_unit_test(test_bytes_that_are_no_http),
		cmocka_unit_test(test_limit_per_address),
		cmocka_unit_test(test_shutdown_under_load),
		cmocka_unit_test(test_running_request_finishes),
		cmocka_unit_test(test_body_free),
	};

	return cmocka_run_group_tests_name(
	    "http", tests, fixture_set_up, fixture_tear_down);
}
