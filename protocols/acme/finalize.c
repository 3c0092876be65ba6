/* Finalize, certificate download and revocation (RFC 8555 7.4, 7.4.2, 7.6). */
#include <stdlib.h>
#include <string.h>

#include "base/b64.h"
#include "ca/csr.h"
#include "ca/oid.h"
#include "ca/revoke.h"
#include "protocols/acme/acme_int.h"

/* Reasons that a subscriber may give. */
static const int reasons[] = { 0, 1, 3, 4, 5 };

static int
read_b64(struct acme_req *r, const char *key, struct span *out)
{
	const char *text;
	struct err e;

	if (r->payload == NULL)
		return acme_fail(r, PROBLEM_MALFORMED, "payload is empty");
	if (jsonio_required(r->a, r->payload, key, &text, &e) == -1)
		return acme_fail_err(r, &e);
	if (b64url_decode(r->a, span_str(text), out, &e) == -1)
		return acme_fail(
		    r, PROBLEM_MALFORMED, "\"%s\": %s", key, e.text);
	return 0;
}

/* RFC 8555 7.4: the names of the CSR are those of the order, no more, no
 * less; a CN counts as one of them. */
static int
check_names(struct acme_req *r, const struct store_order *o,
    const struct request_san *sans, struct request_want *want)
{
	const char *cn = dn_value(&want->subject, "CN");
	struct request_want all = *want;
	size_t i, k;

	all.sans = arena_array(r->a, want->n_sans + 1, sizeof(*all.sans));
	if (want->n_sans > 0)
		memcpy(all.sans, want->sans, want->n_sans * sizeof(*all.sans));
	if (cn != NULL &&
	    request_san_parse(r->a, cn, &all.sans[all.n_sans++], NULL) == -1)
		return acme_fail(
		    r, PROBLEM_BAD_CSR, "common name is not a DNS name");
	request_sans_dedup(&all);
	for (i = 0; i < all.n_sans; i++) {
		for (k = 0; k < o->n_identifiers; k++) {
			if (request_san_eq(&all.sans[i], &sans[k]))
				break;
		}
		if (k == o->n_identifiers)
			return acme_fail(r, PROBLEM_BAD_CSR,
			    "name \"%.253s\" is not one of the order",
			    all.sans[i].text);
	}
	if (all.n_sans != o->n_identifiers)
		return acme_fail(
		    r, PROBLEM_BAD_CSR, "the request lacks names of the order");
	want->sans = all.sans;
	want->n_sans = all.n_sans;
	return 0;
}

/* RFC 8555 11.1: no account key in a certificate. */
static int
check_key(struct acme_req *r, const struct request_want *want)
{
	struct store_account acc;
	struct span thumb;
	struct jwk key;
	struct err e;

	if (jwk_from_spki(r->a, want->spki, &key, &e) == -1 ||
	    b64url_decode(r->a, span_str(key.thumbprint), &thumb, &e) == -1)
		return acme_fail_as(r, PROBLEM_BAD_CSR, &e);
	if (store_account_by_key(r->w->ctx->db, r->a, thumb.p, &acc, &e) == 0)
		return acme_fail(
		    r, PROBLEM_BAD_CSR, "the key is that of an ACME account");
	return e.kind == ERR_NOT_FOUND ? 0 : acme_fail_err(r, &e);
}

static int
submit(struct acme_req *r, struct store_order *o,
    const struct request_san *sans, const struct request_want *want)
{
	struct request req = { .protocol = "acme",
		.txn = o->id,
		.profile = o->profile,
		.evidence = { .kind = EVIDENCE_ACME,
		    .name = r->account.id,
		    .proven = sans,
		    .n_proven = o->n_identifiers },
		.want = *want };
	struct enroll_result res;
	struct err e;

	req.want.not_before = o->not_before;
	req.want.not_after = o->not_after;
	if (enroll_submit(r->w->ctx, &req, &res, &e) == -1)
		return acme_fail_err(r, &e);
	if (res.status == ENROLL_ISSUED) {
		o->status = STORE_ORDER_VALID;
		o->cert_id = res.cert_id;
	} else {
		o->status = STORE_ORDER_PROCESSING;
	}
	acme_reply_order(r, 200, o);
	return 0;
}

int
acme_finalize(struct acme_req *r)
{
	const struct request_san *sans;
	struct request_want want;
	struct store_order o;
	struct span der = { NULL, 0 };
	struct err e;

	if (acme_load_order(r, r->id, &o) == -1 ||
	    read_b64(r, "csr", &der) == -1)
		return -1;
	/* asked again after a lost answer */
	if (o.status == STORE_ORDER_VALID ||
	    o.status == STORE_ORDER_PROCESSING) {
		acme_reply_order(r, 200, &o);
		return 0;
	}
	if (o.status != STORE_ORDER_READY)
		return acme_fail(r, PROBLEM_ORDER_NOT_READY,
		    "the order is not ready to be finalized");
	if (csr_parse(r->a, der, &want, &e) == -1) {
		if (e.kind == ERR_REFUSED)
			e.kind = ERR_MALFORMED;
		return acme_fail_as(r, PROBLEM_BAD_CSR, &e);
	}
	sans = acme_order_sans(r, &o);
	if (check_names(r, &o, sans, &want) == -1 || check_key(r, &want) == -1)
		return -1;
	return submit(r, &o, sans, &want);
}

int
acme_certificate(struct acme_req *r)
{
	struct enroll_result res;
	struct store_order o;
	struct err e;

	if (acme_load_order(r, r->id, &o) == -1)
		return -1;
	if (o.status != STORE_ORDER_VALID)
		return acme_fail(
		    r, PROBLEM_NOT_FOUND, "there is no certificate yet");
	if (enroll_poll(r->w->ctx, "acme", o.id, &res, &e) == -1)
		return acme_fail_err(r, &e);
	if (res.issuer == NULL)
		return acme_fail(r, PROBLEM_SERVER_INTERNAL,
		    "the certificate's issuer is not configured");
	r->reply->status = 200;
	r->reply->content_type = "application/pem-certificate-chain";
	r->reply->body = span_str(arena_printf(r->a, "%s%s",
	    pem_encode(r->a, "CERTIFICATE", res.cert), res.issuer->chain_pem));
	return 0;
}

static int
read_reason(struct acme_req *r, int *out)
{
	const json_t *v = json_object_get(r->payload, "reason");
	size_t i;

	*out = REVOKE_REASON_NONE;
	if (v == NULL)
		return 0;
	for (i = 0; i < sizeof(reasons) / sizeof(reasons[0]); i++) {
		if (json_is_integer(v) && json_integer_value(v) == reasons[i]) {
			/* unspecified is not put on record (RFC 5280 5.3.1) */
			*out =
			    reasons[i] == 0 ? REVOKE_REASON_NONE : reasons[i];
			return 0;
		}
	}
	return acme_fail(r, PROBLEM_BAD_REVOCATION_REASON,
	    "reason is not one of 0, 1, 3, 4, 5");
}

/* What a request to revoke says of its certificate. */
struct target {
	struct span spki;
	struct request_want names; /* only 'sans' */
};

static int
read_cert(struct acme_req *r, struct revoke_request *rev, struct target *t)
{
	const struct tosign_ext *san;
	struct span tbs, alg, signature;
	struct tosign_cert c;
	struct err e;

	if (read_b64(r, "certificate", &rev->cert) == -1)
		return -1;
	if (tosign_unwrap(rev->cert, &tbs, &alg, &signature, &e) == -1 ||
	    tosign_cert_parse(r->a, tbs, &c, &e) == -1)
		return acme_fail(r, PROBLEM_MALFORMED,
		    "\"certificate\" is not a certificate");
	rev->issuer = issuer_of_cert(r->w->ctx->issuers, &c);
	san = tosign_ext_find(&c, OID_SUBJECT_ALT_NAME);
	if (rev->issuer == NULL ||
	    (san != NULL &&
		request_sans_decode(r->a, san->value, &t->names, &e) == -1))
		return acme_fail(
		    r, PROBLEM_NOT_FOUND, "the certificate is not one of ours");
	rev->serial = c.serial;
	t->spki = c.spki;
	return 0;
}

/*
 * The account's valid authorizations for the names of the certificate: all
 * or none (RFC 8555 7.6).  That the certificate is ours is checked later.
 */
static int
proven_names(struct acme_req *r, const struct request_want *names,
    struct request_evidence *ev)
{
	struct store_identifier *ids =
	    arena_array(r->a, names->n_sans, sizeof(*ids));
	struct err e;
	bool all;
	size_t i;

	for (i = 0; i < names->n_sans; i++) {
		const char *name = names->sans[i].text;

		ids[i].type = request_san_word(names->sans[i].type);
		ids[i].wildcard = strncmp(name, "*.", 2) == 0;
		ids[i].value = ids[i].wildcard ? name + 2 : name;
	}
	if (store_account_holds(r->w->ctx->db, r->account.id, ids,
		names->n_sans, &all, &e) == -1)
		return acme_fail_err(r, &e);
	if (all) {
		ev->proven = names->sans;
		ev->n_proven = names->n_sans;
	}
	return 0;
}

int
acme_revoke(struct acme_req *r)
{
	struct request_evidence ev = { .kind = EVIDENCE_ACME };
	struct revoke_request rev = { .evidence = &ev, .protocol = "acme" };
	struct target t = { 0 };
	struct err e;

	if (read_cert(r, &rev, &t) == -1 || read_reason(r, &rev.reason) == -1)
		return -1;
	if (r->has_account) {
		ev.name = r->account.id;
		if (proven_names(r, &t.names, &ev) == -1)
			return -1;
	} else {
		ev.name = "certificate-key";
		rev.key_proven = span_eq(t.spki, r->key.spki);
	}
	if (revoke_submit(r->w->ctx, &rev, &e) == -1) {
		if (e.kind == ERR_CONFLICT)
			return acme_fail(
			    r, PROBLEM_ALREADY_REVOKED, "%s", e.text);
		return acme_fail_err(r, &e);
	}
	r->reply->status = 200;
	return 0;
}
