/* Lint rules about policies and about where to find things. */
#include <string.h>

#include <openssl/x509v3.h>

#include "base/auto.h"
#include "ca/lint_int.h"
#include "ca/oid.h"

AUTO_DEFINE(ASN1_INTEGER, ASN1_INTEGER_free);
AUTO_DEFINE(AUTHORITY_INFO_ACCESS, AUTHORITY_INFO_ACCESS_free);
AUTO_DEFINE(CERTIFICATEPOLICIES, CERTIFICATEPOLICIES_free);
AUTO_DEFINE(CRL_DIST_POINTS, CRL_DIST_POINTS_free);
AUTO_DEFINE(POLICY_CONSTRAINTS, POLICY_CONSTRAINTS_free);

#define NOTICE_MAX 200

static void
mappings_free(POLICY_MAPPINGS *m)
{
	sk_POLICY_MAPPING_pop_free(m, POLICY_MAPPING_free);
}
AUTO_DEFINE(POLICY_MAPPINGS, mappings_free);

/* Decodes an extension's value with one of libcrypto's templates. */
static void *
decode(const struct tosign_ext *x, const ASN1_ITEM *item)
{
	const uint8_t *p = x->value.p;
	ASN1_VALUE *v = ASN1_item_d2i(NULL, &p, (long)x->value.n, item);

	if (v != NULL && p != x->value.p + x->value.n) {
		ASN1_item_free(v, item);
		v = NULL;
	}
	return v;
}

static bool
is_any_policy(const ASN1_OBJECT *o)
{
	return OBJ_obj2nid(o) == NID_any_policy;
}

static int
check_notice(const USERNOTICE *notice, struct err *e)
{
	const ASN1_STRING *text = notice->exptext;
	const unsigned char *p;
	int n, chars = 0;

	if (notice->noticeref != NULL)
		return err_set(e, ERR_REFUSED, "user notice has a noticeRef");
	if (text == NULL)
		return 0;
	p = ASN1_STRING_get0_data(text);
	n = ASN1_STRING_length(text);
	if (ASN1_STRING_type(text) != V_ASN1_UTF8STRING || n == 0)
		return err_set(
		    e, ERR_REFUSED, "explicitText is not a UTF8String");
	for (; n > 0; n--, p++) {
		if (*p < 0x20 || *p == 0x7f)
			return err_set(e, ERR_REFUSED,
			    "explicitText has a control character");
		chars += (*p & 0xc0) != 0x80;
	}
	if (chars > NOTICE_MAX)
		return err_set(e, ERR_REFUSED,
		    "explicitText has more than %d characters", NOTICE_MAX);
	return 0;
}

static int
check_policy(const struct lint *l, const POLICYINFO *p, struct err *e)
{
	int i;

	if (is_any_policy(p->policyid) && !l->ca)
		return err_set(
		    e, ERR_REFUSED, "anyPolicy in an end-entity certificate");
	if (p->qualifiers != NULL && sk_POLICYQUALINFO_num(p->qualifiers) == 0)
		return err_set(
		    e, ERR_REFUSED, "a list of policy qualifiers is empty");
	for (i = 0; i < sk_POLICYQUALINFO_num(p->qualifiers); i++) {
		const POLICYQUALINFO *q =
		    sk_POLICYQUALINFO_value(p->qualifiers, i);

		if (OBJ_obj2nid(q->pqualid) == NID_id_qt_unotice &&
		    check_notice(q->d.usernotice, e) == -1)
			return -1;
	}
	return 0;
}

int
lint_policies(const struct lint *l, struct err *e)
{
	AUTO(CERTIFICATEPOLICIES) list = NULL;
	int i, j;

	if (l->policies == NULL)
		return 0;
	list = decode(l->policies, ASN1_ITEM_rptr(CERTIFICATEPOLICIES));
	if (list == NULL || sk_POLICYINFO_num(list) == 0)
		return err_set(e, ERR_REFUSED,
		    "certificatePolicies are empty or malformed");
	for (i = 0; i < sk_POLICYINFO_num(list); i++) {
		const POLICYINFO *p = sk_POLICYINFO_value(list, i);

		if (check_policy(l, p, e) == -1)
			return -1;
		for (j = 0; j < i; j++) {
			if (OBJ_cmp(p->policyid,
				sk_POLICYINFO_value(list, j)->policyid) == 0)
				return err_set(e, ERR_REFUSED,
				    "a certificate policy is there twice");
		}
	}
	return 0;
}

int
lint_policy_mappings(const struct lint *l, struct err *e)
{
	const struct tosign_ext *x =
	    tosign_ext_find(&l->cert, OID_POLICY_MAPPINGS);
	AUTO(POLICY_MAPPINGS) list = NULL;
	int i;

	if (x == NULL)
		return 0;
	if (!l->ca)
		return err_set(e, ERR_REFUSED,
		    "policyMappings in an end-entity certificate");
	list = decode(x, ASN1_ITEM_rptr(POLICY_MAPPINGS));
	if (list == NULL || sk_POLICY_MAPPING_num(list) == 0)
		return err_set(
		    e, ERR_REFUSED, "policyMappings are empty or malformed");
	for (i = 0; i < sk_POLICY_MAPPING_num(list); i++) {
		const POLICY_MAPPING *m = sk_POLICY_MAPPING_value(list, i);

		if (is_any_policy(m->issuerDomainPolicy) ||
		    is_any_policy(m->subjectDomainPolicy))
			return err_set(
			    e, ERR_REFUSED, "policyMappings map anyPolicy");
	}
	return 0;
}

int
lint_policy_constraints(const struct lint *l, struct err *e)
{
	const struct tosign_ext *x =
	    tosign_ext_find(&l->cert, OID_POLICY_CONSTRAINTS);
	AUTO(POLICY_CONSTRAINTS) pc = NULL;

	if (x == NULL)
		return 0;
	pc = decode(x, ASN1_ITEM_rptr(POLICY_CONSTRAINTS));
	if (pc == NULL || (pc->requireExplicitPolicy == NULL &&
			      pc->inhibitPolicyMapping == NULL))
		return err_set(
		    e, ERR_REFUSED, "policyConstraints are empty or malformed");
	if (!l->ca)
		return err_set(e, ERR_REFUSED,
		    "policyConstraints in an end-entity certificate");
	return 0;
}

int
lint_inhibit_any(const struct lint *l, struct err *e)
{
	const struct tosign_ext *x =
	    tosign_ext_find(&l->cert, OID_INHIBIT_ANY_POLICY);
	AUTO(ASN1_INTEGER) skip = NULL;

	if (x == NULL)
		return 0;
	skip = decode(x, ASN1_ITEM_rptr(ASN1_INTEGER));
	if (skip == NULL || ASN1_STRING_type(skip) != V_ASN1_INTEGER)
		return err_set(
		    e, ERR_REFUSED, "inhibitAnyPolicy is not a number");
	if (!l->ca)
		return err_set(e, ERR_REFUSED,
		    "inhibitAnyPolicy in an end-entity certificate");
	return 0;
}

/* An absolute http URI: clients do not follow https for CRLs and CAs. */
static bool
is_http(const GENERAL_NAME *g)
{
	static const char http[] = "http://";
	const size_t n = sizeof(http) - 1;

	return g->type == GEN_URI &&
	       (size_t)ASN1_STRING_length(g->d.uniformResourceIdentifier) > n &&
	       memcmp(ASN1_STRING_get0_data(g->d.uniformResourceIdentifier),
		   http, n) == 0;
}

/* RFC 3986 has no braces: a template that nobody has filled in. */
static bool
has_brace(const GENERAL_NAME *g)
{
	const ASN1_STRING *s = g->d.uniformResourceIdentifier;

	return g->type == GEN_URI &&
	       (memchr(ASN1_STRING_get0_data(s), '{',
		    (size_t)ASN1_STRING_length(s)) != NULL ||
		   memchr(ASN1_STRING_get0_data(s), '}',
		       (size_t)ASN1_STRING_length(s)) != NULL);
}

static int
check_point(const DIST_POINT *p, struct err *e)
{
	const GENERAL_NAME *name;
	bool http = false;
	int i;

	if (p->reasons != NULL || p->CRLissuer != NULL)
		return err_set(e, ERR_REFUSED,
		    "a distribution point has reasons or a cRLIssuer");
	if (p->distpoint == NULL || p->distpoint->type != 0)
		return err_set(
		    e, ERR_REFUSED, "a distribution point has no fullName");
	for (i = 0; i < sk_GENERAL_NAME_num(p->distpoint->name.fullname); i++) {
		name = sk_GENERAL_NAME_value(p->distpoint->name.fullname, i);
		if (has_brace(name))
			return err_set(e, ERR_REFUSED,
			    "a distribution point's URI has a brace");
		http = http || is_http(name);
	}
	if (!http)
		return err_set(
		    e, ERR_REFUSED, "a distribution point has no http URI");
	return 0;
}

static int
check_points(const struct tosign_ext *x, struct err *e)
{
	AUTO(CRL_DIST_POINTS) list = NULL;
	int i;

	if (x == NULL)
		return 0;
	list = decode(x, ASN1_ITEM_rptr(CRL_DIST_POINTS));
	if (list == NULL || sk_DIST_POINT_num(list) == 0)
		return err_set(e, ERR_REFUSED,
		    "distribution points are empty or malformed");
	for (i = 0; i < sk_DIST_POINT_num(list); i++) {
		if (check_point(sk_DIST_POINT_value(list, i), e) == -1)
			return -1;
	}
	return 0;
}

/* Whether one of the points has this URL. */
static bool
has_url(const struct tosign_dp *dps, size_t n, const char *url)
{
	size_t i, j;

	for (i = 0; i < n; i++) {
		for (j = 0; j < dps[i].n_names; j++) {
			if (span_is(dps[i].names[j].value, url))
				return true;
		}
	}
	return false;
}

/* Whether one of the points has one of the URLs. */
static bool
has_point(
    const struct tosign_dp *dps, size_t n, const struct profile_strings *urls)
{
	size_t i;

	for (i = 0; i < urls->n; i++) {
		if (has_url(dps, n, urls->list[i]))
			return true;
	}
	return false;
}

/*
 * A certificate of a partitioned issuer names its own partition: in another
 * one's list its revocation would not be found.
 */
static int
check_partition(const struct lint *l, const struct tosign_ext *x,
    const struct profile_strings *urls, struct err *e)
{
	const struct issuer *i = l->in->issuer;
	struct profile_strings own;
	struct tosign_dp *dps;
	size_t n;

	if (x == NULL || i == NULL || i->crl_partitions == 0 || urls->n == 0)
		return 0;
	if (tosign_crldp_parse(l->arena, x->value, &dps, &n, e) == -1)
		return -1;
	own = issuer_crl_urls(l->arena, i, urls, l->cert.serial);
	if (!has_point(dps, n, &own))
		return err_set(e, ERR_REFUSED,
		    "no distribution point is that of the serial's partition");
	return 0;
}

int
lint_crldp(const struct lint *l, struct err *e)
{
	if (check_points(l->crldp, e) == -1)
		return -1;
	return check_partition(l, l->crldp,
	    l->in->issuer == NULL ? NULL : &l->in->issuer->crl_urls, e);
}

int
lint_freshest(const struct lint *l, struct err *e)
{
	const struct tosign_ext *x =
	    tosign_ext_find(&l->cert, OID_FRESHEST_CRL);

	if (check_points(x, e) == -1)
		return -1;
	return check_partition(l, x,
	    l->in->issuer == NULL ? NULL : &l->in->issuer->freshest_urls, e);
}

int
lint_aia(const struct lint *l, struct err *e)
{
	AUTO(AUTHORITY_INFO_ACCESS) list = NULL;
	int i, nid;

	if (l->aia == NULL)
		return 0;
	list = decode(l->aia, ASN1_ITEM_rptr(AUTHORITY_INFO_ACCESS));
	if (list == NULL || sk_ACCESS_DESCRIPTION_num(list) == 0)
		return err_set(e, ERR_REFUSED,
		    "authorityInfoAccess is empty or malformed");
	for (i = 0; i < sk_ACCESS_DESCRIPTION_num(list); i++) {
		const ACCESS_DESCRIPTION *d =
		    sk_ACCESS_DESCRIPTION_value(list, i);

		nid = OBJ_obj2nid(d->method);
		if ((nid != NID_ad_OCSP && nid != NID_ad_ca_issuers) ||
		    !is_http(d->location))
			return err_set(e, ERR_REFUSED,
			    "authorityInfoAccess has other than http URIs of "
			    "OCSP and CA issuers");
	}
	return 0;
}
