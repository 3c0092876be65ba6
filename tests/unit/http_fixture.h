/*
 * A server that echoes what it was asked, and libcurl as its client: what the
 * tests of base/http share.
 */
#ifndef TESTS_UNIT_HTTP_FIXTURE_H
#define TESTS_UNIT_HTTP_FIXTURE_H

#include <stdbool.h>
#include <stddef.h>

#include <curl/curl.h>
#include <semaphore.h>

#include "base/http.h"

#define FIXTURE_BODY_MAX 1000

/* A request of /wait posts 'fixture_entered' and waits for 'fixture_gate'. */
extern sem_t fixture_entered, fixture_gate;

/* How often the body of /secret was freed. */
extern unsigned fixture_freed;

struct answer {
	CURLcode rc;
	long status;
	char body[2000], headers[2000];
	size_t body_n, headers_n;
};

/* Group set-up and tear-down. */
int fixture_set_up(void **state);
int fixture_tear_down(void **state);

/*
 * A server on a free port of 127.0.0.1.  It answers 200 with
 * method|path|query|type|authorization|agent|peer|tls|body size|client
 * certificate size|id; /zero and /inject make replies that must not leave,
 * /binding says kind:hex of the channel binding, /chain the sizes of the
 * client's certificates; the body of /secret and /secret-lost is to be freed.
 */
struct http_server *fixture_server(
    bool tls, size_t workers, size_t queue, unsigned per_address);

/* A libcurl handle for 'path'; fixture_run performs and frees it. */
CURL *fixture_client(
    struct http_server *s, bool tls, const char *path, struct answer *a);
void fixture_run(CURL *c, struct answer *a);

/* A plain GET. */
void fixture_get(struct http_server *s, const char *path, struct answer *a);

/* A POST of 'n' octets (a mebibyte at most), with a length or in chunks. */
void fixture_post(
    struct http_server *s, size_t n, bool chunked, struct answer *a);

/* Fails the test unless 'text' starts so. */
void fixture_starts(const char *text, const char *start);

#endif
