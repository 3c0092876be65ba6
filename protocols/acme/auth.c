/* From an HTTP POST to a verified JWS of a known key (RFC 8555 6.2-6.5). */
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/b64.h"
#include "protocols/acme/acme_int.h"

static int
check_transport(struct acme_req *r)
{
	static const char type[] = "application/jose+json";
	const char *have = r->http->content_type;
	size_t n = have == NULL ? 0 : strcspn(have, "; \t");

	if (n != sizeof(type) - 1 || strncasecmp(have, type, n) != 0)
		return acme_fail(r, PROBLEM_UNSUPPORTED_MEDIA_TYPE,
		    "Content-Type is not %s", type);
	return 0;
}

static int
check_header(struct acme_req *r)
{
	const char *query = r->http->query;
	const char *url = arena_printf(r->a, "%s%s%s%s",
	    r->w->conf->settings->public_url, r->http->path,
	    query == NULL ? "" : "?", query == NULL ? "" : query);

	if (!jws_alg_known(r->jws.alg)) {
		r->problem.with_algorithms = true;
		return acme_fail(r, PROBLEM_BAD_SIGNATURE_ALGORITHM,
		    "algorithm \"%.32s\" is not taken", r->jws.alg);
	}
	if (strcmp(r->jws.url, url) != 0)
		return acme_fail(r, PROBLEM_UNAUTHORIZED,
		    "\"url\" of the protected header is not %s", url);
	return 0;
}

static int
check_nonce(struct acme_req *r, uint8_t id[NONCE_ID_SIZE], int64_t *expires)
{
	struct err e;

	if (r->jws.nonce == NULL)
		return acme_fail(
		    r, PROBLEM_BAD_NONCE, "protected header has no nonce");
	if (nonce_check(&r->w->conf->nonce_key, r->a, r->jws.nonce, id, expires,
		&e) == 0)
		return 0;
	return acme_fail(r,
	    e.kind == ERR_MALFORMED ? PROBLEM_MALFORMED : PROBLEM_BAD_NONCE,
	    "%s", e.text);
}

static int
use_nonce(struct acme_req *r, const uint8_t id[NONCE_ID_SIZE], int64_t expires)
{
	struct err e;

	if (store_nonce_use(r->w->nonce_writer, span_of(id, NONCE_ID_SIZE),
		expires, &e) == 0)
		return 0;
	if (e.kind == ERR_CONFLICT)
		return acme_fail(r, PROBLEM_BAD_NONCE, "nonce was used before");
	return acme_fail_err(r, &e);
}

static int
load_account(struct acme_req *r)
{
	const char *prefix = acme_url(r, "account", "");
	size_t n = strlen(prefix);
	struct err e;

	if (strncmp(r->jws.kid, prefix, n) != 0)
		return acme_fail(r, PROBLEM_ACCOUNT_DOES_NOT_EXIST,
		    "\"kid\" is not an account URL of this server");
	if (store_account_get(
		r->w->ctx->db, r->a, r->jws.kid + n, &r->account, &e) == -1) {
		if (e.kind == ERR_NOT_FOUND)
			return acme_fail(r, PROBLEM_ACCOUNT_DOES_NOT_EXIST,
			    "there is no such account");
		return acme_fail_err(r, &e);
	}
	if (jwk_parse_text(r->a, r->account.jwk, &r->key, &e) == -1)
		return acme_fail_err(r, &e);
	r->has_account = true;
	return 0;
}

static int
find_key(struct acme_req *r, bool jwk_ok, bool kid_ok)
{
	if (r->jws.kid != NULL) {
		if (!kid_ok)
			return acme_fail(r, PROBLEM_MALFORMED,
			    "this resource takes \"jwk\", not \"kid\"");
		return load_account(r);
	}
	if (!jwk_ok)
		return acme_fail(r, PROBLEM_MALFORMED,
		    "this resource takes \"kid\", not \"jwk\"");
	r->key = r->jws.jwk;
	return 0;
}

static int
check_account(struct acme_req *r)
{
	if (!r->has_account || r->account.status == STORE_ACCOUNT_VALID)
		return 0;
	return acme_fail(r, PROBLEM_UNAUTHORIZED, "account is %s",
	    r->account.status == STORE_ACCOUNT_REVOKED ? "revoked"
						       : "deactivated");
}

int
acme_authenticate(struct acme_req *r, bool jwk_ok, bool kid_ok)
{
	uint8_t nonce[NONCE_ID_SIZE];
	int64_t expires = 0;
	struct err e;

	if (check_transport(r) == -1)
		return -1;
	if (jws_parse(r->a, r->http->body, &r->jws, &e) == -1)
		return acme_fail_as(r,
		    e.kind == ERR_BAD_KEY ? PROBLEM_BAD_PUBLIC_KEY
					  : PROBLEM_MALFORMED,
		    &e);
	if (check_header(r) == -1 || check_nonce(r, nonce, &expires) == -1 ||
	    find_key(r, jwk_ok, kid_ok) == -1)
		return -1;
	if (jws_verify(r->a, &r->jws, &r->key, &e) == -1)
		return acme_fail_as(r, PROBLEM_MALFORMED, &e);
	if (check_account(r) == -1)
		return -1;
	/* only a valid signature costs a row */
	return use_nonce(r, nonce, expires);
}
