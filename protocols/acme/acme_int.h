/*
 * What the ACME handlers share; only protocols/acme/ includes this.
 */
#ifndef PROTOCOLS_ACME_ACME_INT_H
#define PROTOCOLS_ACME_ACME_INT_H

#include <jansson.h>

#include "base/arena.h"
#include "db/store_acme.h"
#include "protocols/acme/acme.h"
#include "protocols/acme/jsonio.h"
#include "protocols/acme/jws.h"
#include "protocols/acme/problem.h"

#define ACME_ID_SIZE 16 /* octets of randomness in a resource's id */

/* One request on its way. */
struct acme_req {
	struct acme_worker *w;
	const struct http_request *http;
	struct http_reply *reply;
	struct arena *a;
	const char *id; /* the variable part of the path, or NULL */
	struct jws jws;
	struct jwk key;   /* that signed: the account's, or the jwk */
	bool has_account; /* 'account' is filled in (kid) */
	struct store_account account;
	const json_t *payload; /* NULL: POST-as-GET */
	struct problem problem;
};

/* Fails the request with a problem; returns -1. */
int acme_fail(struct acme_req *r, enum problem_type type, const char *fmt, ...)
    PRINTF_LIKE(3, 4);

/* Fails with what the pipeline or a store said; returns -1. */
int acme_fail_err(struct acme_req *r, const struct err *e);

/* As acme_fail_err, but BAD_KEY, BAD_POP and MALFORMED become 'type'. */
int acme_fail_as(
    struct acme_req *r, enum problem_type type, const struct err *e);

/* Answers with a JSON body; takes the reference to 'body'. */
void acme_reply_json(struct acme_req *r, int status, json_t *body);

/* The URL of a resource: "order", id. */
const char *acme_url(
    const struct acme_req *r, const char *kind, const char *id);

/* Adds "Location" or a Link header. */
void acme_location(struct acme_req *r, const char *url);
void acme_link(struct acme_req *r, const char *url, const char *rel);

/* A new unpredictable id (RFC 8555 10.5). */
int acme_new_id(struct acme_req *r, const char **out);

/* RFC 3339 text of a time. */
const char *acme_time(const struct acme_req *r, int64_t t);

/*
 * Checks transport, JWS, nonce and key of a POST and fills in jws, key and
 * account (RFC 8555 6.2 to 6.5).  'jwk_ok' and 'kid_ok' say what the resource
 * takes.
 */
int acme_authenticate(struct acme_req *r, bool jwk_ok, bool kid_ok) MUST_USE;

/* Handlers: 0, or -1 after acme_fail. */
int acme_new_account(struct acme_req *r) MUST_USE;
int acme_account(struct acme_req *r) MUST_USE;
int acme_orders(struct acme_req *r) MUST_USE;
int acme_new_order(struct acme_req *r) MUST_USE;
int acme_order(struct acme_req *r) MUST_USE;
int acme_finalize(struct acme_req *r) MUST_USE;
int acme_certificate(struct acme_req *r) MUST_USE;
int acme_authz(struct acme_req *r) MUST_USE;
int acme_challenge(struct acme_req *r) MUST_USE;
int acme_revoke(struct acme_req *r) MUST_USE;

/* Answers with an order: Location, Retry-After while it is processed. */
void acme_reply_order(
    struct acme_req *r, int status, const struct store_order *o);

/* The order 'id' of this account; fails as not found for any other. */
int acme_load_order(
    struct acme_req *r, const char *id, struct store_order *out) MUST_USE;

/* The order's identifiers as names of the pipeline. */
const struct request_san *acme_order_sans(
    struct acme_req *r, const struct store_order *o);

#endif
