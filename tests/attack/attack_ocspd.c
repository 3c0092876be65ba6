/*
 * What hostile clients can do to chancery-ocspd: garbage, huge requests, slow
 * ones, more idle connections than it has room for from one address, and ten
 * thousand from many.  A client on another address is answered all the time,
 * and memory stays within bounds.
 */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/resource.h>
#include <sys/socket.h>

#include <errno.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/auto.h"
#include "base/clock.h"
#include "tests/db/ocspd_fixture.h"

AUTO_DEFINE(OCSP_REQUEST, OCSP_REQUEST_free);

#define GOOD V_OCSP_CERTSTATUS_GOOD
#define IDLE 10000
#define PER_ADDRESS 256 /* the daemon's default */
#define GARBAGE 400
#define DRIPS 20
#define OWN_FILES 200
#define LONG_HEAD 12000
/* What a connection may cost: libmicrohttpd's buffers and its own. */
#define CONNECTION_KB 24
#ifdef __SANITIZE_ADDRESS__
#define SLACK_KB (300 * 1024)
#else
#define SLACK_KB (16 * 1024)
#endif

static struct ocspd *d;
static uint64_t seed = 0x9e3779b97f4a7c15;

static uint32_t
rnd(uint32_t below)
{
	seed = seed * UINT64_C(6364136223846793005) + 1442695040888963407;
	return (uint32_t)(seed >> 33) % below;
}

static int
set_up(void **state)
{
	(void)state;
	d = ocspd_new();
	ocspd_issue(d, 1, 5);
	ocspd_start(d);
	ocspd_certify(d, 86400, false);
	return !ocspd_becomes(d, ocspd_serial(1), GOOD);
}

static int
tear_down(void **state)
{
	(void)state;
	ocspd_stop(d, SIGTERM);
	ocspd_free(d);
	return 0;
}

/* The client who means no harm, on 127.0.0.1: by GET, cached, and by POST. */
static void
honest(void)
{
	AUTO(OCSP_REQUEST) req =
	    ocsp_ca_request(&d->ca, EVP_sha1(), ocspd_serial(2), 16);
	struct ocspd_reply r;

	assert_int_equal(ocspd_status(d, ocspd_serial(1)), GOOD);
	ocspd_ask(d, "/status", ocsp_ca_request_der(d->arena, req), NULL, &r);
	assert_int_equal(r.status, 200);
	assert_int_equal(
	    ocsp_ca_judge(&d->ca, span_of(r.body, r.n), ocspd_serial(2)), GOOD);
}

static long
resident_kb(void)
{
	const char *path =
	    arena_printf(d->arena, "/proc/%d/statm", (int)d->pid);
	FILE *f = fopen(path, "re");
	char line[200] = "", *rest;

	assert_non_null(f);
	assert_non_null(fgets(line, sizeof(line), f));
	(void)fclose(f);
	/* the whole size in pages, then what is resident of it */
	(void)strtol(line, &rest, 10);
	return strtol(rest, NULL, 10) * (sysconf(_SC_PAGESIZE) / 1024);
}

/* A connection from 127.1.0.'from'; -1: it was refused. */
static int
attacker(uint32_t from)
{
	struct sockaddr_in sin = { .sin_family = AF_INET,
		.sin_addr.s_addr = htonl(0x7f010000 + from) };
	struct timeval patience = { 10, 0 };
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	assert_true(fd >= 0);
	assert_int_equal(bind(fd, (struct sockaddr *)&sin, sizeof(sin)), 0);
	(void)setsockopt(
	    fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
	(void)setsockopt(
	    fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience));
	sin.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	sin.sin_port = htons(d->port);
	if (connect(fd, (struct sockaddr *)&sin, sizeof(sin)) == 0)
		return fd;
	(void)close(fd);
	return -1;
}

/* Sends what is taken of it; then what is answered until the end, as text. */
static const char *
exchange(const void *p, size_t n, char *out, size_t size)
{
	const char *at = p;
	int fd = attacker(1);
	size_t got = 0;
	ssize_t k;

	assert_true(fd >= 0);
	while (n > 0 && (k = send(fd, at, n, MSG_NOSIGNAL)) > 0) {
		at += k;
		n -= (size_t)k;
	}
	(void)shutdown(fd, SHUT_WR);
	while (
	    got < size - 1 && (k = recv(fd, out + got, size - 1 - got, 0)) > 0)
		got += (size_t)k;
	(void)close(fd);
	out[got] = '\0';
	return out;
}

/* Octets that begin like a request, and go on otherwise. */
static size_t
spoil(uint8_t *out, size_t max)
{
	AUTO(OCSP_REQUEST) req =
	    ocsp_ca_request(&d->ca, EVP_sha1(), ocspd_serial(3), 16);
	struct span der = ocsp_ca_request_der(d->arena, req);
	size_t n = der.n, i;

	assert_true(n <= max);
	memcpy(out, der.p, n);
	for (i = rnd(4); i > 0; i--)
		out[rnd((uint32_t)n)] = (uint8_t)rnd(256);
	switch (rnd(4)) {
	case 0:
		return rnd((uint32_t)n) + 1;
	case 1:
		for (i = 0; i < n; i++)
			out[i] = (uint8_t)rnd(256);
		return n;
	default:
		return n;
	}
}

/* An OCSP path always answers with HTTP 200, and an OCSPResponse. */
static void
test_garbage(void **state)
{
	uint8_t body[1000];
	struct ocspd_reply r;
	size_t i, n, refused = 0;

	(void)state;
	for (i = 0; i < GARBAGE; i++) {
		n = spoil(body, sizeof(body));
		ocspd_ask(d, "/status", span_of(body, n), NULL, &r);
		assert_int_equal(r.status, 200);
		assert_true(r.n >= 5 && r.body[0] == 0x30);
		refused += r.n == 5 && r.body[4] == 1;
		if (i % 50 == 0)
			honest();
	}
	assert_true(refused > GARBAGE / 4);
	honest();
}

/* What is no HTTP, or too much of it. */
static void
test_not_http(void **state)
{
	static const char put[] =
	    "PUT /status HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n";
	static const char tls[] = "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03";
	static const char *const texts[] = {
		"\r\n\r\n", "GET\r\n\r\n", "GET /status/AAAA HTTP/9.9\r\n\r\n",
		"\x01\x02\xff\r\n\r\n",
		"POST /status HTTP/1.1\r\nHost: x\r\nContent-Length: -5\r\n\r\n",
		"POST /status HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nz"
	};
	char got[2000], *long_one = arena_alloc(d->arena, 1 << 20);
	size_t i;

	(void)state;
	(void)exchange(tls, sizeof(tls) - 1, got, sizeof(got));
	assert_null(strstr(got, "HTTP/1.1 200"));
	for (i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		(void)exchange(texts[i], strlen(texts[i]), got, sizeof(got));
		assert_null(strstr(got, " 200 "));
	}
	(void)exchange(put, sizeof(put) - 1, got, sizeof(got));
	assert_non_null(strstr(got, " 405 "));
	assert_non_null(strstr(got, "Allow: GET, HEAD, POST"));
	/* a path and a header of a mebibyte */
	memset(long_one, 'A', 1 << 20);
	memcpy(long_one, "GET /status/", 12);
	(void)exchange(long_one, 1 << 20, got, sizeof(got));
	assert_null(strstr(got, " 200 "));
	memcpy(long_one, "GET / HTTP/1.1\r\nX: ", 19);
	(void)exchange(long_one, 1 << 20, got, sizeof(got));
	assert_null(strstr(got, " 200 "));
	honest();
}

/* Bodies that are announced as huge, and those that just go on. */
static void
test_huge(void **state)
{
	static const char announced[] = "POST /status HTTP/1.1\r\nHost: x\r\n"
					"Content-Length: 1073741824\r\n\r\n";
	static const char chunked[] = "POST /status HTTP/1.1\r\nHost: x\r\n"
				      "Transfer-Encoding: chunked\r\n\r\n";
	const size_t size = (size_t)64 << 20;
	char got[2000], *text = malloc(size);
	long before = resident_kb();
	size_t n = sizeof(chunked) - 1;

	(void)state;
	assert_non_null(text);
	assert_non_null(
	    strstr(exchange(announced, sizeof(announced) - 1, got, sizeof(got)),
		" 413 "));
	memcpy(text, chunked, n);
	while (n + 4103 < size) {
		memcpy(text + n, "1000\r\n", 6);
		memset(text + n + 6, 'x', 4096);
		memcpy(text + n + 4102, "\r\n", 2);
		n += 4104;
	}
	/* it hangs up long before the end */
	(void)exchange(text, n, got, sizeof(got));
	assert_null(strstr(got, " 200 "));
	free(text);
	honest();
	assert_in_range(resident_kb(), 0, before + SLACK_KB);
}

/* As many files as there may be, at most 'want'. */
static rlim_t
raise_files(rlim_t want)
{
	struct rlimit r;

	assert_int_equal(getrlimit(RLIMIT_NOFILE, &r), 0);
	if (r.rlim_max < want) {
		/* root may */
		r.rlim_cur = r.rlim_max = want;
		if (setrlimit(RLIMIT_NOFILE, &r) == 0)
			return want;
		assert_int_equal(getrlimit(RLIMIT_NOFILE, &r), 0);
	}
	r.rlim_cur = r.rlim_max < want ? r.rlim_max : want;
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &r), 0);
	return r.rlim_cur;
}

static bool
is_closed(int fd)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };
	char octet;

	return poll(&p, 1, 0) == 1 && recv(fd, &octet, 1, MSG_DONTWAIT) <= 0 &&
	       errno != EAGAIN;
}

static size_t
count_closed(const int *fds, size_t n)
{
	size_t i, closed = 0;

	for (i = 0; i < n; i++)
		closed += fds[i] < 0 || is_closed(fds[i]);
	return closed;
}

static void
close_all(const int *fds, size_t n)
{
	size_t i;

	for (i = 0; i < n; i++) {
		if (fds[i] >= 0)
			(void)close(fds[i]);
	}
}

/* One address gets so many connections, and takes nobody else's. */
static void
test_one_address(void **state)
{
	int fds[2 * PER_ADDRESS];
	int64_t until = clock_mono_us() + 10000000;
	size_t i, n = 2 * PER_ADDRESS;

	(void)state;
	for (i = 0; i < n; i++)
		fds[i] = attacker(2);
	while (count_closed(fds, n) < PER_ADDRESS && clock_mono_us() < until)
		(void)usleep(20000);
	assert_int_equal(count_closed(fds, n), PER_ADDRESS);
	honest();
	close_all(fds, n);
}

static void
send_some(int fd, const char *text)
{
	if (fd >= 0)
		(void)send(fd, text, strlen(text), MSG_NOSIGNAL);
}

/*
 * Ten thousand connections: nothing, half a body, part of a head, and as much
 * of one as is read.
 */
static void
open_idle(int *fds, size_t n)
{
	static char long_head[LONG_HEAD];
	static const char *const starts[] = { "",
		"POST /status HTTP/1.1\r\nHost: x\r\nContent-Length: 99\r\n\r\n0",
		"GET /status/ME0w HTTP/1.1\r\nX: ", long_head };
	size_t i;

	memset(long_head, 'x', sizeof(long_head) - 1);
	memcpy(long_head, "GET / HTTP/1.1\r\nX: ", 19);
	for (i = 0; i < n; i++) {
		fds[i] = attacker((uint32_t)(10 + i / (PER_ADDRESS / 2)));
		send_some(fds[i], starts[i % 4]);
		if (i % 2000 == 0)
			honest();
	}
}

static void
test_idle(void **state)
{
	rlim_t files = raise_files(IDLE + OWN_FILES);
	size_t n = files < IDLE + OWN_FILES ? files - OWN_FILES : IDLE, i, k;
	int *fds = calloc(n, sizeof(*fds));
	int64_t until;
	long before = resident_kb(), after;

	(void)state;
	assert_true(files > 2 * OWN_FILES);
	open_idle(fds, n);
	for (k = 0; k < DRIPS; k++) {
		for (i = 2; i < n; i += 4 * 16)
			send_some(fds[i], "x");
		honest();
	}
	after = resident_kb();
	(void)printf("# %zu connections, %zu closed: %ld kB, %ld before\n", n,
	    count_closed(fds, n), after, before);
	assert_in_range(after, 0, before + (long)n * CONNECTION_KB + SLACK_KB);
	/* who says nothing more is dropped */
	until = clock_mono_us() + 40000000;
	while (count_closed(fds, n) < n / 2 && clock_mono_us() < until) {
		honest();
		(void)usleep(500000);
	}
	assert_true(count_closed(fds, n) >= n / 2);
	close_all(fds, n);
	free(fds);
	honest();
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_garbage),
		cmocka_unit_test(test_not_http),
		cmocka_unit_test(test_huge),
		cmocka_unit_test(test_one_address),
		cmocka_unit_test(test_idle),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
