#include "bench/ocsp_load.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "bench/latency.h"

#define ANSWER_MAX 16384
#define EVENTS 64

struct conn {
	int fd;
	size_t n;
	int64_t asked_us;
	char got[ANSWER_MAX];
};

struct loader {
	pthread_t thread;
	struct load *load;
	int epoll;
	size_t next, n_conns;
	struct conn *conns;
	int64_t until_us;
	struct latency latency;
	size_t failed, body;
};

static _Noreturn void
die(const char *what)
{
	(void)fprintf(stderr, "bench: %s: %s\n", what, strerror(errno));
	exit(1);
}

static void
ask(struct loader *l, struct conn *c)
{
	const struct span *r =
	    &l->load->requests[l->next++ % l->load->n_requests];

	c->n = 0;
	c->asked_us = clock_mono_us();
	if (send(c->fd, r->p, r->n, MSG_NOSIGNAL) != (ssize_t)r->n)
		die("send");
}

static void
open_conn(struct loader *l, struct conn *c)
{
	struct sockaddr_in sin = { .sin_family = AF_INET,
		.sin_port = htons(l->load->port),
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	struct epoll_event ev = { .events = EPOLLIN, .data.ptr = c };
	int on = 1;

	c->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (c->fd == -1 ||
	    connect(c->fd, (struct sockaddr *)&sin, sizeof(sin)) == -1)
		die("connect");
	(void)setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	if (epoll_ctl(l->epoll, EPOLL_CTL_ADD, c->fd, &ev) == -1)
		die("epoll");
	ask(l, c);
}

/* Whether the answer is whole. */
static bool
is_whole(struct loader *l, const struct conn *c)
{
	const char *head = memmem(c->got, c->n, "\r\n\r\n", 4), *field;
	size_t size;

	if (head == NULL)
		return false;
	field = memmem(c->got, (size_t)(head - c->got), "Content-Length: ", 16);
	size = field == NULL ? 0 : strtoul(field + 16, NULL, 10);
	if ((size_t)(head - c->got) + 4 + size > c->n)
		return false;
	l->body = size;
	return true;
}

static void
reopen(struct loader *l, struct conn *c)
{
	(void)close(c->fd);
	open_conn(l, c);
}

static void
on_bytes(struct loader *l, struct conn *c)
{
	ssize_t n = recv(c->fd, c->got + c->n, ANSWER_MAX - 1 - c->n, 0);
	int64_t now;

	if (n <= 0) {
		/* nginx ends a connection after some thousand requests */
		if (c->n > 0)
			l->failed++;
		reopen(l, c);
		return;
	}
	c->n += (size_t)n;
	c->got[c->n] = '\0';
	if (!is_whole(l, c))
		return;
	now = clock_mono_us();
	if (strncmp(c->got, "HTTP/1.1 200", 12) != 0)
		l->failed++;
	latency_note(&l->latency, now - c->asked_us);
	if (now < l->until_us)
		ask(l, c);
	else
		c->asked_us = 0;
}

static bool
is_over(const struct load *l, int64_t until_us)
{
	return clock_mono_us() >= until_us ||
	       (l->stop != NULL && atomic_load(l->stop));
}

static void *
work(void *arg)
{
	struct loader *l = arg;
	struct epoll_event ev[EVENTS];
	size_t i;
	int n;

	l->epoll = epoll_create1(EPOLL_CLOEXEC);
	for (i = 0; i < l->n_conns; i++)
		open_conn(l, &l->conns[i]);
	while (!is_over(l->load, l->until_us)) {
		n = epoll_wait(l->epoll, ev, EVENTS, 100);
		for (i = 0; n > 0 && i < (size_t)n; i++)
			on_bytes(l, ev[i].data.ptr);
		if (l->load->pause_us > 0)
			(void)usleep(l->load->pause_us);
	}
	for (i = 0; i < l->n_conns; i++)
		(void)close(l->conns[i].fd);
	(void)close(l->epoll);
	return NULL;
}

static void
merge(struct load *l, struct loader *all)
{
	struct latency times = { 0 };
	struct latency_sum sum;
	size_t i;

	l->failed = 0;
	for (i = 0; i < l->threads; i++) {
		l->failed += all[i].failed;
		l->body = all[i].body;
		latency_take(&times, &all[i].latency);
		free(all[i].conns);
	}
	latency_sum(&times, &sum);
	l->n = sum.n;
	l->p50_ms = sum.p50_ms;
	l->p99_ms = sum.p99_ms;
}

void
load_run(struct load *l)
{
	struct loader *all = calloc(l->threads, sizeof(*all));
	int64_t from = clock_mono_us();
	size_t i;

	if (all == NULL)
		abort();
	for (i = 0; i < l->threads; i++) {
		all[i].load = l;
		all[i].next = i * l->n_requests / l->threads;
		all[i].n_conns = l->connections / l->threads;
		all[i].conns = calloc(all[i].n_conns, sizeof(struct conn));
		all[i].until_us = from + (int64_t)l->seconds * 1000000;
		if (all[i].conns == NULL ||
		    pthread_create(&all[i].thread, NULL, work, &all[i]) != 0)
			abort();
	}
	for (i = 0; i < l->threads; i++)
		(void)pthread_join(all[i].thread, NULL);
	l->wall_s = (double)(clock_mono_us() - from) / 1e6;
	merge(l, all);
	free(all);
}
