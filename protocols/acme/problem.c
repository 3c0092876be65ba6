#include "protocols/acme/problem.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "protocols/acme/jsonio.h"
#include "protocols/acme/jws.h"

#define URN "urn:ietf:params:acme:error:"

static const struct {
	int status;
	const char *urn;
} types[] = {
	[PROBLEM_ACCOUNT_DOES_NOT_EXIST] = { 400, URN "accountDoesNotExist" },
	[PROBLEM_ALREADY_REVOKED] = { 400, URN "alreadyRevoked" },
	[PROBLEM_BAD_CSR] = { 400, URN "badCSR" },
	[PROBLEM_BAD_NONCE] = { 400, URN "badNonce" },
	[PROBLEM_BAD_PUBLIC_KEY] = { 400, URN "badPublicKey" },
	[PROBLEM_BAD_REVOCATION_REASON] = { 400, URN "badRevocationReason" },
	[PROBLEM_BAD_SIGNATURE_ALGORITHM] = { 400,
	    URN "badSignatureAlgorithm" },
	[PROBLEM_CONNECTION] = { 400, URN "connection" },
	[PROBLEM_DNS] = { 400, URN "dns" },
	[PROBLEM_INCORRECT_RESPONSE] = { 403, URN "incorrectResponse" },
	[PROBLEM_INVALID_CONTACT] = { 400, URN "invalidContact" },
	[PROBLEM_MALFORMED] = { 400, URN "malformed" },
	[PROBLEM_METHOD_NOT_ALLOWED] = { 405, URN "malformed" },
	[PROBLEM_NOT_FOUND] = { 404, URN "malformed" },
	[PROBLEM_TOO_LARGE] = { 413, URN "malformed" },
	[PROBLEM_UNSUPPORTED_MEDIA_TYPE] = { 415, URN "malformed" },
	[PROBLEM_ORDER_NOT_READY] = { 403, URN "orderNotReady" },
	[PROBLEM_RATE_LIMITED] = { 429, URN "rateLimited" },
	[PROBLEM_REJECTED_IDENTIFIER] = { 403, URN "rejectedIdentifier" },
	[PROBLEM_SERVER_INTERNAL] = { 500, URN "serverInternal" },
	[PROBLEM_TLS] = { 400, URN "tls" },
	[PROBLEM_UNAUTHORIZED] = { 401, URN "unauthorized" },
	[PROBLEM_FORBIDDEN] = { 403, URN "unauthorized" },
	[PROBLEM_UNAVAILABLE] = { 503, URN "serverInternal" },
	[PROBLEM_UNSUPPORTED_CONTACT] = { 400, URN "unsupportedContact" },
	[PROBLEM_UNSUPPORTED_IDENTIFIER] = { 400, URN "unsupportedIdentifier" },
	[PROBLEM_USER_ACTION_REQUIRED] = { 403, URN "userActionRequired" },
};
_Static_assert(
    sizeof(types) / sizeof(types[0]) == PROBLEM__COUNT, "every type has a row");

static const enum problem_type of_kind[] = {
	[ERR_NONE] = PROBLEM_SERVER_INTERNAL,
	[ERR_MALFORMED] = PROBLEM_MALFORMED,
	[ERR_UNAUTHENTICATED] = PROBLEM_FORBIDDEN,
	[ERR_REFUSED] = PROBLEM_REJECTED_IDENTIFIER,
	[ERR_BAD_POP] = PROBLEM_BAD_CSR,
	[ERR_BAD_KEY] = PROBLEM_BAD_CSR,
	[ERR_CONFLICT] = PROBLEM_ORDER_NOT_READY,
	[ERR_NOT_FOUND] = PROBLEM_NOT_FOUND,
	[ERR_LIMITED] = PROBLEM_RATE_LIMITED,
	[ERR_UNAVAILABLE] = PROBLEM_UNAVAILABLE,
	[ERR_INTERNAL] = PROBLEM_SERVER_INTERNAL,
};
_Static_assert(sizeof(of_kind) / sizeof(of_kind[0]) == ERR__COUNT,
    "every kind has a type");

int
problem_status(enum problem_type type)
{
	return types[type].status;
}

const char *
problem_urn(enum problem_type type)
{
	return types[type].urn;
}

enum problem_type
problem_of_kind(enum err_kind kind)
{
	return of_kind[kind];
}

const char *
problem_text(const struct err *e)
{
	switch (e->kind) {
	case ERR_UNAUTHENTICATED:
		return "not allowed for this account";
	case ERR_UNAVAILABLE:
		return "a part of the service is down, try again later";
	case ERR_NONE:
	case ERR_INTERNAL:
		return "internal error";
	default:
		return e->text;
	}
}

/* Text that may be cut within a character, or come from a certificate. */
static const char *
utf8(struct arena *a, const char *text)
{
	AUTO(json_t) good = json_string(text);
	char *copy, *p;

	if (good != NULL || text == NULL)
		return text;
	copy = arena_strdup(a, text);
	for (p = copy; *p != '\0'; p++) {
		if ((unsigned char)*p >= 0x80)
			*p = '?';
	}
	return copy;
}

static json_t *
encode_sub(struct arena *a, const struct problem_sub *s)
{
	return json_pack("{s:s, s:s, s:{s:s, s:s}}", "type", types[s->type].urn,
	    "detail", utf8(a, s->detail), "identifier", "type",
	    utf8(a, s->id_type), "value", utf8(a, s->id_value));
}

struct span
problem_encode(struct arena *a, const struct problem *p)
{
	AUTO(json_t) doc = json_pack("{s:s, s:s, s:i, s:s*}", "type",
	    types[p->type].urn, "detail", utf8(a, p->detail), "status",
	    types[p->type].status, "instance", p->instance);
	json_t *subs;
	size_t i;

	if (p->with_algorithms)
		(void)json_object_set_new(doc, "algorithms", jws_algorithms());
	if (p->n_subs > 0) {
		subs = json_array();
		for (i = 0; i < p->n_subs; i++)
			(void)json_array_append_new(
			    subs, encode_sub(a, &p->subs[i]));
		(void)json_object_set_new(doc, "subproblems", subs);
	}
	return jsonio_encode(a, doc);
}
