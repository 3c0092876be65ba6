/*
 * ACME error types (RFC 8555 6.7) and their problem documents (RFC 7807):
 * the one table from our error kinds to what a client is told.
 */
#ifndef PROTOCOLS_ACME_PROBLEM_H
#define PROTOCOLS_ACME_PROBLEM_H

#include <stdbool.h>
#include <stddef.h>

#include "base/arena.h"
#include "base/err.h"
#include "base/span.h"

enum problem_type {
	PROBLEM_ACCOUNT_DOES_NOT_EXIST,
	PROBLEM_ALREADY_REVOKED,
	PROBLEM_BAD_CSR,
	PROBLEM_BAD_NONCE,
	PROBLEM_BAD_PUBLIC_KEY,
	PROBLEM_BAD_REVOCATION_REASON,
	PROBLEM_BAD_SIGNATURE_ALGORITHM,
	PROBLEM_CONNECTION,
	PROBLEM_DNS,
	PROBLEM_INCORRECT_RESPONSE,
	PROBLEM_INVALID_CONTACT,
	PROBLEM_MALFORMED,
	PROBLEM_METHOD_NOT_ALLOWED,     /* malformed, 405 */
	PROBLEM_NOT_FOUND,              /* malformed, 404 */
	PROBLEM_TOO_LARGE,              /* malformed, 413 */
	PROBLEM_UNSUPPORTED_MEDIA_TYPE, /* malformed, 415 */
	PROBLEM_ORDER_NOT_READY,
	PROBLEM_RATE_LIMITED,
	PROBLEM_REJECTED_IDENTIFIER,
	PROBLEM_SERVER_INTERNAL,
	PROBLEM_TLS,
	PROBLEM_UNAUTHORIZED, /* 401: who are you */
	PROBLEM_FORBIDDEN,    /* unauthorized, 403: not yours */
	PROBLEM_UNAVAILABLE,  /* serverInternal, 503 */
	PROBLEM_UNSUPPORTED_CONTACT,
	PROBLEM_UNSUPPORTED_IDENTIFIER,
	PROBLEM_USER_ACTION_REQUIRED,
	PROBLEM__COUNT
};

/* What goes wrong with one identifier of several (RFC 8555 6.7.1). */
struct problem_sub {
	enum problem_type type;
	const char *detail, *id_type, *id_value;
};

struct problem {
	enum problem_type type;
	const char *detail;
	const struct problem_sub *subs;
	size_t n_subs;
	const char *instance; /* URL, or NULL */
	bool with_algorithms; /* lists the JWS algorithms that we take */
};

/* HTTP status and URN of a type. */
int problem_status(enum problem_type type);
const char *problem_urn(enum problem_type type);

/*
 * The type that a kind of error of the pipeline becomes, and the text that
 * the client sees: the error's own for MALFORMED, REFUSED, BAD_KEY, BAD_POP,
 * CONFLICT, NOT_FOUND and LIMITED, a fixed one for the others.
 */
enum problem_type problem_of_kind(enum err_kind kind);
const char *problem_text(const struct err *e);

/* The document as JSON in the arena. */
struct span problem_encode(struct arena *a, const struct problem *p);

#endif
