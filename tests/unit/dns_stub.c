#include "dns_stub.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define HEADER 12
#define TYPE_A 1
#define TYPE_AAAA 28

static int stub_fd = -1;
static pthread_t stub_thread;

/* The end of the question that starts at 'at', or 0. */
static size_t
question_end(const uint8_t *m, size_t n)
{
	size_t at = HEADER;

	while (at < n && m[at] != 0)
		at += m[at] + 1U;
	return at + 5 <= n ? at + 5 : 0;
}

static size_t
put_record(uint8_t *m, size_t at, uint8_t type, const char *address)
{
	uint8_t head[] = { 0xc0, HEADER, 0, type, 0, 1, 0, 0, 0, 60, 0,
		type == TYPE_A ? 4 : 16 };

	memcpy(m + at, head, sizeof(head));
	(void)inet_pton(type == TYPE_A ? AF_INET : AF_INET6, address,
	    m + at + sizeof(head));
	m[7]++; /* answers */
	return at + sizeof(head) + head[11];
}

static int
label_is(const uint8_t *m, const char *label)
{
	return m[HEADER] == strlen(label) &&
	       memcmp(m + HEADER + 1, label, strlen(label)) == 0;
}

/* Turns the query into its answer; 0 is silence. */
static size_t
answer(uint8_t *m, size_t n)
{
	size_t end = n < HEADER ? 0 : question_end(m, n);
	uint8_t type;

	if (end == 0 || label_is(m, "silent"))
		return 0;
	type = m[end - 3];
	m[2] = 0x85; /* a response, authoritative */
	m[3] = 0x80;
	memset(m + 6, 0, 6);
	if (label_is(m, "fail"))
		m[3] |= 2;
	else if (label_is(m, "a") || label_is(m, "mixed")) {
		if (type == TYPE_A)
			end = put_record(m, end, TYPE_A, "127.0.0.1");
		if (type == TYPE_A && label_is(m, "mixed"))
			end = put_record(m, end, TYPE_A, "10.0.0.1");
	} else if (label_is(m, "aaaa")) {
		if (type == TYPE_AAAA)
			end = put_record(m, end, TYPE_AAAA, "::1");
	} else
		m[3] |= 3;
	return end;
}

static void *
serve(void *arg)
{
	struct sockaddr_in from;
	socklen_t len = sizeof(from);
	uint8_t m[1500];
	ssize_t n;

	(void)arg;
	while ((n = recvfrom(stub_fd, m, sizeof(m) - 100, 0,
		    (struct sockaddr *)&from, &len)) > 0) {
		size_t end = answer(m, (size_t)n);

		if (end > 0)
			(void)sendto(
			    stub_fd, m, end, 0, (struct sockaddr *)&from, len);
		len = sizeof(from);
	}
	return NULL;
}

void
dns_stub_start(char server[32])
{
	struct sockaddr_in sin = { .sin_family = AF_INET,
		.sin_addr = { htonl(INADDR_LOOPBACK) } };
	socklen_t len = sizeof(sin);

	stub_fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (bind(stub_fd, (struct sockaddr *)&sin, sizeof(sin)) != 0 ||
	    getsockname(stub_fd, (struct sockaddr *)&sin, &len) != 0 ||
	    pthread_create(&stub_thread, NULL, serve, NULL) != 0)
		abort();
	(void)snprintf(server, 32, "127.0.0.1@%u", ntohs(sin.sin_port));
}

void
dns_stub_stop(void)
{
	(void)shutdown(stub_fd, SHUT_RDWR); /* wakes up recvfrom */
	(void)pthread_join(stub_thread, NULL);
	(void)close(stub_fd);
}
