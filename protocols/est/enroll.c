/* /simpleenroll, /simplereenroll and /serverkeygen (RFC 7030 4.2, 4.4). */
#include <inttypes.h>

#include "base/b64.h"
#include "base/log.h"
#include "base/sha256.h"
#include "ca/authn.h"
#include "ca/csr.h"
#include "ca/renewal.h"
#include "ca/revoke.h"
#include "protocols/est/binding.h"
#include "protocols/est/codec.h"
#include "protocols/est/est_int.h"
#include "protocols/est/keygen.h"
#include "protocols/pkcs7.h"

/* A registration authority passes on what others made (RFC 7030 3.7). */
static int
check_binding(struct est_req *r, const struct request *req, struct err *e)
{
	bool required = r->profile->est.binding_required;
	struct est_binding b;

	if (req->evidence.kind == EVIDENCE_RA ||
	    (req->want.challenge == NULL && !required))
		return 0;
	b.kind = http_binding(r->http, &b.value);
	if (est_binding_check(r->a, &b, req->want.challenge, required, e) == -1)
		return err_prefix(e, "profile \"%s\"", r->profile->name);
	return 0;
}

/* Authentication, then the request, then what ties the two together. */
static int
read_request(struct est_req *r, struct request *req, struct err *e)
{
	bool keyless = r->route.op == EST_SERVERKEYGEN;
	struct span der;

	if (est_authenticate(r, &req->evidence, e) == -1 ||
	    est_decode(r->a, r->http->body, &der, e) == -1)
		return -1;
	if (keyless ? csr_parse_keyless(r->a, der, &req->want, e) == -1
		    : csr_parse(r->a, der, &req->want, e) == -1)
		return -1;
	return check_binding(r, req, e);
}

/* Names the transaction, also in the log. */
static void
begin(struct est_req *r, struct request *req)
{
	const char *op = est_op_name(r->route.op);
	uint8_t hash[SHA256_SIZE];

	req->protocol = "est";
	req->profile = r->profile->name;
	req->txn = authn_txn(r->a, req, op);
	sha256(req->want.raw, hash);
	log_event(LOG_INFO, "est request", "op", op, "csr",
	    hex_encode(r->a, span_of(hash, sizeof(hash))), "txn", req->txn,
	    "peer", r->http->peer, NULL);
}

/* RFC 7030 4.2.3; no body, as in a challenge. */
static void
reply_pending(struct est_req *r)
{
	r->reply->status = 202;
	http_header_add(r->reply, "Retry-After",
	    arena_printf(r->a, "%" PRId64, r->w->settings->retry_after_s));
}

int
est_enroll(struct est_req *r, struct err *e)
{
	struct request req = { .repeat_s = r->w->settings->repeat_s };
	struct enroll_result res;
	struct span certs;

	if (read_request(r, &req, e) == -1)
		return -1;
	if (r->route.op == EST_SIMPLEREENROLL &&
	    renewal_check(r->profile, &req.evidence, &req.want, e) == -1)
		return -1;
	begin(r, &req);
	if (enroll_submit(r->w->ctx, &req, &res, e) == -1)
		return -1;
	if (res.status == ENROLL_PENDING) {
		reply_pending(r);
		return 0;
	}
	if (pkcs7_certs_only(r->a, &res.cert, 1, &certs, e) == -1)
		return -1;
	est_reply_der(r, EST_CERTS_TYPE, certs);
	return 0;
}

/* Another answer to the same request may have come first. */
static int
check_key(struct est_req *r, struct span cert, const struct keygen *key,
    struct err *e)
{
	struct span tbs, alg, signature;
	struct tosign_cert c;

	if (tosign_unwrap(cert, &tbs, &alg, &signature, e) == -1 ||
	    tosign_cert_read(r->a, tbs, &c, e) == -1)
		return -1;
	if (!span_eq(c.spki, key->spki))
		return err_set(e, ERR_UNAVAILABLE,
		    "the same request is being answered with another key");
	return 0;
}

/* The certificate for 'key', and both to the client. */
static int
issue_with(struct est_req *r, struct request *req, const struct keygen *key,
    struct err *e)
{
	struct enroll_result res;
	struct span certs;

	if (enroll_submit(r->w->ctx, req, &res, e) == -1)
		return -1;
	if (res.status == ENROLL_PENDING) {
		reply_pending(r);
		return 0;
	}
	if (check_key(r, res.cert, key, e) == -1 ||
	    pkcs7_certs_only(r->a, &res.cert, 1, &certs, e) == -1 ||
	    keygen_answer(key, certs, r->wrap, &r->reply->body, e) == -1)
		return -1;
	r->reply->body_free = keygen_answer_free;
	r->reply->status = 200;
	r->reply->content_type = KEYGEN_MEDIA_TYPE;
	http_header_add(r->reply, "Cache-Control", "no-store");
	return 0;
}

/*
 * A key is sent once: the certificate of an earlier answer to the same
 * request is of no use any more.  What would be refused leaves it alone;
 * submitting says why.
 */
static int
supersede(struct est_req *r, const struct request *req, struct err *e)
{
	struct policy_plan plan;
	struct span tbs;
	struct err why;

	if (enroll_explain(r->w->ctx, req, NULL, &plan, &tbs, &why) == -1)
		return 0;
	return revoke_superseded(r->w->ctx, req->protocol, req->txn, e);
}

int
est_serverkeygen(struct est_req *r, struct err *e)
{
	struct request req = { .repeat_s = REQUEST_REPEAT_NEVER };
	struct keygen key = { 0 };
	int rc;

	if (read_request(r, &req, e) == -1 ||
	    keygen_check_plain(req.want.raw, e) == -1)
		return -1;
	begin(r, &req);
	if (keygen_make(r->a, r->profile->est.server_key, &key, e) == -1)
		return -1;
	req.want.spki = key.spki;
	rc = supersede(r, &req, e);
	if (rc == 0)
		rc = issue_with(r, &req, &key, e);
	keygen_clear(&key);
	return rc;
}
