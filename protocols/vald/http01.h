/*
 * The http-01 challenge (RFC 8555 section 8.3), seen from the CA.  Every name
 * is resolved once, every address of every hop is checked against the policy
 * and pinned; no proxy, no cookies, no redirect to an address.  What was
 * fetched never leaves this module.
 */
#ifndef PROTOCOLS_VALD_HTTP01_H
#define PROTOCOLS_VALD_HTTP01_H

#include <stdint.h>

#include "base/err.h"
#include "protocols/vald/netpolicy.h"
#include "protocols/vald/outcome.h"
#include "protocols/vald/resolve.h"

#define HTTP01_REDIRECTS_MAX 10
#define HTTP01_BODY_MAX ((size_t)1024)

struct http01_conf {
	const struct netpolicy *policy; /* outlives the http01 */
	uint16_t port;                  /* 80; redirects may go there, too */
	uint16_t tls_port;              /* 443, for redirects */
	long timeout_ms;                /* for each hop; twice that in all */
};

struct http01_request {
	const char *name; /* a DNS name in A-label form, no wildcard */
	const char *token;
	const char *key_authorization;
};

struct http01;

/*
 * One per thread; 'resolver' is used by the same thread and outlives it.
 * The process has called curl_global_init.
 */
int http01_new(const struct http01_conf *conf, struct resolver *resolver,
    struct http01 **out, struct err *e) MUST_USE;

/* NULL is allowed. */
void http01_free(struct http01 *h);

/* Asks the host and fills 'out'; takes at most twice the timeout. */
void http01_check(
    struct http01 *h, const struct http01_request *req, struct outcome *out);

#endif
