/* Committed to "revoked" over HTTP, while others ask. */
#include "bench/revoke.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/b64.h"
#include "base/clock.h"
#include "bench/ocsp_load.h"
#include "bench/procs.h"
#include "db/store_revoke.h"
#include "db/writer.h"
#include "tests/db/ocspd_fixture.h"

#define CERTS 10000
#define LOAD_CONNECTIONS 8
#define LOAD_PAUSE_US 1000 /* unless they ask as fast as they can */
#define LOAD_SECONDS 300
#define WARM_US 1500000
#define ASK_EVERY_US 300
#define PATIENCE_US 10000000

/* Between two revocations, so that they do not keep time with the polls. */
#define PAUSE_MAX_US 40000

#define ANSWER_MAX 8192

/* The client that waits: one connection, one answer. */
struct client {
	int fd;
	size_t n, head; /* octets received; of them before the body */
	char got[ANSWER_MAX];
};

struct scene {
	struct ocspd *d;
	struct writer *w;
	struct span requests[CERTS];
	struct load load;
	atomic_bool stop;
	pthread_t loader;
	struct client client;
};

static _Noreturn void
die(const char *what)
{
	(void)fprintf(stderr, "bench/revoke: %s\n", what);
	exit(1);
}

static struct span
serial(uint32_t n, uint8_t out[16])
{
	uint32_t big = htonl(n);

	memset(out, 0x41, 16);
	memcpy(out + 12, &big, sizeof(big));
	return span_of(out, 16);
}

/* As rows of the status table alone; the daemon looks at nothing else. */
static void
fill(struct ocspd *d)
{
	ocspd_sql(d,
	    arena_printf(d->arena,
		"INSERT INTO cert_status (cert_id, not_after, issuer, serial)"
		" SELECT n, now() + interval '90 days', %d,"
		" decode(repeat('41', 12) || lpad(to_hex(n), 8, '0'), 'hex')"
		" FROM generate_series(0, %d) n; ANALYZE cert_status",
		d->issuer, CERTS - 1));
}

static void
make_requests(struct scene *s)
{
	struct arena *a = s->d->arena;
	uint8_t octets[16];
	OCSP_REQUEST *req;
	uint32_t i;

	for (i = 0; i < CERTS; i++) {
		req = ocsp_ca_request(
		    &s->d->ca, EVP_sha1(), serial(i, octets), 0);
		s->requests[i] = span_str(arena_printf(a,
		    "GET /status/%s HTTP/1.1\r\nHost: ca.test\r\n\r\n",
		    b64_encode(a, ocsp_ca_request_der(a, req))));
		OCSP_REQUEST_free(req);
	}
}

static void
client_open(struct client *c, uint16_t port)
{
	struct sockaddr_in sin = { .sin_family = AF_INET,
		.sin_port = htons(port),
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK) };

	c->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (c->fd == -1 ||
	    connect(c->fd, (struct sockaddr *)&sin, sizeof(sin)) == -1)
		die("no connection");
}

static bool
is_whole(struct client *c)
{
	const char *end = memmem(c->got, c->n, "\r\n\r\n", 4), *field;

	if (end == NULL)
		return false;
	c->head = (size_t)(end - c->got) + 4;
	field = memmem(c->got, c->head, "Content-Length: ", 16);
	if (field == NULL)
		die("an answer without a length");
	return c->n >= c->head + strtoul(field + 16, NULL, 10);
}

/* The body of the answer; valid until the next call. */
static struct span
client_ask(struct client *c, struct span request)
{
	ssize_t n;

	if (send(c->fd, request.p, request.n, MSG_NOSIGNAL) !=
	    (ssize_t)request.n)
		die("the connection is gone");
	c->n = 0;
	do {
		n = recv(c->fd, c->got + c->n, ANSWER_MAX - 1 - c->n, 0);
		if (n <= 0)
			die("the connection ended");
		c->n += (size_t)n;
		c->got[c->n] = '\0';
	} while (!is_whole(c));
	return span_of(c->got + c->head, c->n - c->head);
}

/*
 * Asks until the answer says revoked.  An answer that did not change is not
 * looked at again: when it came is what counts.
 */
static int64_t
wait_for_revoked(struct scene *s, uint32_t i, struct span good)
{
	AUTO(arena_auto) a = arena_new();
	int64_t from = clock_mono_us(), now;
	struct span before = span_dup(a, good), body;
	uint8_t octets[16];
	int status;

	for (;;) {
		body = client_ask(&s->client, s->requests[i]);
		now = clock_mono_us();
		if (!span_eq(body, before)) {
			status =
			    ocsp_ca_judge(&s->d->ca, body, serial(i, octets));
			if (status == V_OCSP_CERTSTATUS_REVOKED)
				return now - from;
			if (status != V_OCSP_CERTSTATUS_GOOD)
				die("neither good nor revoked");
			before = span_dup(a, body);
		}
		if (now - from > PATIENCE_US)
			die("it does not become revoked");
		(void)usleep(ASK_EVERY_US);
	}
}

static void
revoke_one(struct scene *s, uint32_t i, struct revoke_ocsp *out)
{
	AUTO(arena_auto) a = arena_new();
	uint8_t octets[16];
	struct store_revocation r = { .issuer = s->d->issuer,
		.serial = serial(i, octets),
		.reason = 4,
		.at = clock_now(),
		.actor = "bench",
		.request_id = "bench" };
	struct span good = span_dup(a, client_ask(&s->client, s->requests[i]));
	int64_t from;
	struct err e;

	if (ocsp_ca_judge(&s->d->ca, good, r.serial) != V_OCSP_CERTSTATUS_GOOD)
		die("it was not good before");
	(void)usleep(i * 7919 % PAUSE_MAX_US);
	from = clock_mono_us();
	if (store_revoke(s->w, &r, &e) == -1)
		die(e.text);
	out->commit.us[i] = clock_mono_us() - from;
	out->seen.us[i] = wait_for_revoked(s, i, good);
}

static void *
run_load(void *arg)
{
	load_run(arg);
	return NULL;
}

static void
start_load(struct scene *s, bool full)
{
	s->load = (struct load){ .port = s->d->port,
		.requests = s->requests,
		.n_requests = CERTS,
		.threads = 1,
		.connections = LOAD_CONNECTIONS,
		.seconds = LOAD_SECONDS,
		.pause_us = full ? 0 : LOAD_PAUSE_US,
		.stop = &s->stop };
	if (pthread_create(&s->loader, NULL, run_load, &s->load) != 0)
		die("no thread");
	(void)usleep(WARM_US);
}

static void
end_load(struct scene *s, struct revoke_ocsp *out)
{
	atomic_store(&s->stop, true);
	(void)pthread_join(s->loader, NULL);
	if (s->load.failed > 0)
		die("requests of the load failed");
	out->per_s = (double)s->load.n / s->load.wall_s;
	out->load_p99_ms = s->load.p99_ms;
}

static struct scene *
scene_new(bool replica)
{
	struct scene *s = calloc(1, sizeof(*s));
	uint8_t octets[16];
	struct err e;

	if (s == NULL)
		abort();
	s->d = ocspd_new();
	if (replica)
		ocspd_follow(s->d);
	fill(s->d);
	make_requests(s);
	ocspd_start(s->d);
	ocspd_certify(s->d, 86400, false);
	if (!ocspd_becomes(s->d, serial(0, octets), V_OCSP_CERTSTATUS_GOOD))
		die("it does not answer");
	if (writer_new(pg_conninfo(s->d->pg, "chancery_oper"), "oper", "bench",
		&s->w, &e) == -1)
		die(e.text);
	client_open(&s->client, s->d->port);
	return s;
}

static void
scene_free(struct scene *s)
{
	(void)close(s->client.fd);
	writer_free(s->w);
	ocspd_free(s->d);
	free(s);
}

void
revoke_ocsp(struct arena *a, size_t n, struct revoke_ocsp *out)
{
	struct scene *s = scene_new(out->replica);
	struct procs p;
	uint32_t i;

	out->commit = revoke_times_new(a, n);
	out->seen = revoke_times_new(a, n);
	start_load(s, out->full);
	for (i = 0; i < n; i++)
		revoke_one(s, i, out);
	end_load(s, out);
	procs_tree(s->d->pid, &p);
	out->rss_mb = p.rss_mb;
	revoke_sort(&out->commit);
	revoke_sort(&out->seen);
	scene_free(s);
}
