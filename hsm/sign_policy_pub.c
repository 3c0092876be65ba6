/* What the publisher may have signed: CRLs and responder certificates. */
#include <string.h>

#include "base/buf.h"
#include "base/crl_partition.h"
#include "base/sha256.h"
#include "hsm/crlcheck.h"
#include "hsm/responder.h"
#include "hsm/sign_facts.h"
#include "hsm/sign_policy_int.h"

/* How far thisUpdate may lie from the signer's clock. */
#define THIS_UPDATE_S ((int64_t)300)

#define STATEMENT_MAX ((size_t)16 * 1024)

static const struct sign_responder *
find_responder(const struct sign_policy *p, const char *name)
{
	size_t i;

	for (i = 0; i < p->n_responders; i++) {
		if (strcmp(p->responders[i].name, name) == 0)
			return &p->responders[i];
	}
	return NULL;
}

/* The claim is to the very key that the certificate names. */
static int
check_claim(const struct sign_responder *r, const struct sign_key *key,
    const struct sign_request *req, const struct sign_facts *f, struct err *e)
{
	uint8_t hash[SHA256_SIZE];
	const struct responder_claim claim = { .host = req->responder_host,
		.issuer_spki_sha256 = span_of(hash, sizeof(hash)),
		.spki = f->cert.spki,
		.not_after = req->responder_not_after };
	AUTO_BUF(b, STATEMENT_MAX);

	sha256(key->spki, hash);
	responder_statement(&b, &claim);
	if (!buf_ok(&b) || sign_alg_verify(&r->alg, r->key, buf_get(&b),
			       req->responder_signature, e) != 0)
		return err_set(e, ERR_REFUSED,
		    "responder: host \"%s\" has not signed a claim to this "
		    "key, issuer and time",
		    r->name);
	return 0;
}

int
sign_policy_responder(const struct sign_policy *p, const struct sign_key *key,
    const struct sign_request *req, const struct sign_facts *f,
    const struct sign_responder **out, struct err *e)
{
	const struct sign_responder *r = find_responder(p, req->responder_host);
	int64_t lives = f->cert.not_after - f->cert.not_before;

	if (r == NULL)
		return err_set(e, ERR_REFUSED,
		    "responder: host \"%s\" is not pinned",
		    req->responder_host);
	if (!sign_policy_listed(&r->issuers, span_str(key->name)))
		return err_set(e, ERR_REFUSED,
		    "responder: host \"%s\" answers not for issuer \"%s\"",
		    r->name, key->name);
	if (!f->nocheck)
		return err_set(e, ERR_REFUSED,
		    "responder: without ocsp-nocheck (RFC 6960 4.2.2.2.1)");
	if (lives > RESPONDER_VALIDITY_MAX_S || lives > r->max_validity_s)
		return err_set(e, ERR_REFUSED,
		    "responder: lives longer than a week or than host \"%s\" "
		    "may have",
		    r->name);
	if (f->cert.not_after > req->responder_not_after)
		return err_set(
		    e, ERR_REFUSED, "responder: lives longer than was asked");
	*out = r;
	return check_claim(r, key, req, f, e);
}

/* Whether the point's names are all marked URLs of the list, for 'partition'.
 */
static bool
is_point(const struct sign_strings *list, uint32_t partition,
    const struct crlcheck_urls *point)
{
	size_t i, n = 0;

	for (i = 0; i < list->n; i++) {
		if (!crl_partition_marked(list->s[i]))
			continue;
		if (n == point->n ||
		    !crl_partition_url_is(list->s[i], partition, point->url[n]))
			return false;
		n++;
	}
	return n == point->n;
}

/*
 * A list is for one partition, or for all certificates and then without
 * issuingDistributionPoint.  Nothing in between: every such value has a floor
 * of its own, and one that is new would let a list forget everything.
 */
static int
check_point(const struct sign_class *k, const struct crlcheck *c,
    uint32_t *partition, struct err *e)
{
	const struct sign_strings *list = &k->crldp.ca_issuers;
	size_t i, plain = 0;

	*partition = 0;
	for (i = 0; i < list->n; i++)
		plain += !crl_partition_marked(list->s[i]);
	if (!c->has_idp && (plain > 0 || list->n == 0))
		return 0;
	if (!c->has_idp)
		return err_set(e, ERR_REFUSED,
		    "crl-distribution-points: no URL of the list is for all "
		    "certificates");
	for (; *partition < k->crl_partitions; (*partition)++) {
		if (is_point(list, *partition, &c->point))
			return 0;
	}
	return err_set(e, ERR_REFUSED,
	    "crl-distribution-points: the point is not that of a partition");
}

static int
check_freshest(const struct sign_class *k, const struct crlcheck *c,
    uint32_t partition, struct err *e)
{
	const struct sign_strings *list = &k->freshest.ca_issuers;
	size_t i, j;

	for (i = 0; i < c->freshest.n; i++) {
		for (j = 0; j < list->n; j++) {
			if (crl_partition_marked(list->s[j]) == c->has_idp &&
			    crl_partition_url_is(
				list->s[j], partition, c->freshest.url[i]))
				break;
		}
		if (j == list->n)
			return err_set(e, ERR_REFUSED,
			    "freshest-crl: location is not in the list");
	}
	return 0;
}

static int
check_class(const struct sign_class *k, const struct crlcheck *c, struct err *e)
{
	uint32_t partition;

	if (check_point(k, c, &partition, e) != 0 ||
	    check_freshest(k, c, partition, e) != 0)
		return -1;
	if (c->next_update <= c->this_update ||
	    c->next_update - c->this_update > k->max_validity_s)
		return err_set(e, ERR_REFUSED,
		    "max-validity: longer than %lld s, or none",
		    (long long)k->max_validity_s);
	return 0;
}

/* What holds for every CRL of this key. */
static int
check_fixed(const struct sign_key *key, const struct crlcheck *c, int64_t now,
    struct err *e)
{
	if (!span_eq(c->issuer, key->subject))
		return err_set(e, ERR_REFUSED,
		    "issuer: not the subject of the certificate of key \"%s\"",
		    key->name);
	if (!span_eq(c->aki, key->aki))
		return err_set(e, ERR_REFUSED,
		    "authorityKeyIdentifier: not that of key \"%s\"",
		    key->name);
	if (!span_eq(c->sig_alg, key->alg.sig_alg))
		return err_set(e, ERR_REFUSED,
		    "signature: the algorithm does not fit key \"%s\"",
		    key->name);
	if (c->this_update < now - THIS_UPDATE_S ||
	    c->this_update > now + THIS_UPDATE_S)
		return err_set(e, ERR_REFUSED,
		    "thisUpdate: not within five minutes of now");
	return 0;
}

int
sign_policy_check_crl(const struct sign_policy *p,
    const struct sign_asker *asker, const struct sign_request *req,
    const struct crlcheck *list, struct sign_verdict *out, struct err *e)
{
	const struct sign_key *key = sign_policy_key(p, req->key);
	const struct sign_class *k;
	size_t i;

	memset(out, 0, sizeof(*out));
	if (key == NULL)
		return err_set(
		    e, ERR_REFUSED, "key \"%s\" is not served", req->key);
	if (asker->role != SIGN_ROLE_PUB)
		return err_set(
		    e, ERR_REFUSED, "compiled in: CRLs are for the pub role");
	if (check_fixed(key, list, asker->now, e) != 0)
		return -1;
	(void)err_set(
	    e, ERR_REFUSED, "no class of kind crl for key \"%s\"", key->name);
	for (i = 0; i < p->n_classes; i++) {
		k = &p->classes[i];
		if (k->key != key || k->kind != SIGN_CRL)
			continue;
		if (check_class(k, list, e) == 0) {
			out->class = k;
			out->ca = true;
			return 0;
		}
		(void)err_prefix(e, "class \"%s\"", k->name);
	}
	return -1;
}
