/*
 * The servers that bench/ocsp compares, each in a process of its own: ours
 * with a table of synthetic certificates, libmicrohttpd with a static answer,
 * nginx with a static file.
 */
#ifndef BENCH_OCSP_SERVERS_H
#define BENCH_OCSP_SERVERS_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/arena.h"
#include "base/span.h"

#define SERVERS_THREADS 2

struct server {
	pid_t pid;
	uint16_t port;
	char dir[32]; /* scratch of nginx; "" for the others */
};

/* Requests, each about another certificate of the responder below. */
struct span *servers_requests(struct arena *a, size_t n, int post, int nonce);

/*
 * Our responder, which knows 'certs' certificates, the ones of the first so
 * many requests, and keeps 'cache' answers.
 */
void server_ours(struct server *s, size_t cache, size_t certs);

/* A static answer with this body and the headers of an OCSP answer. */
void server_bare(struct server *s, struct span body);

/* nginx with a file of this body; 0 when there is no nginx. */
int server_nginx(struct server *s, struct span body);

/* Ends it. */
void server_end(struct server *s);

/* The CPU time of one P-256 signature by libcrypto, in microseconds. */
double signature_us(int seconds);

#endif
