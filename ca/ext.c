#include "ca/ext.h"

#include <string.h>

#include "base/der.h"
#include "ca/oid.h"

struct open_ext {
	size_t seq, value;
};

static struct open_ext
ext_begin(struct buf *b, const char *oid, bool critical)
{
	struct open_ext x;

	x.seq = der_begin(b, DER_SEQUENCE);
	der_oid(b, oid);
	der_true(b, critical);
	x.value = der_begin(b, DER_OCTET_STRING);
	return x;
}

static void
ext_end(struct buf *b, struct open_ext x)
{
	der_end(b, x.value);
	der_end(b, x.seq);
}

void
ext_raw(struct buf *b, const char *oid, bool critical, struct span value)
{
	struct open_ext x = ext_begin(b, oid, critical);

	buf_span(b, value);
	ext_end(b, x);
}

void
ext_authority_key_id(struct buf *b, struct span key_id)
{
	struct open_ext x = ext_begin(b, OID_AUTHORITY_KEY_ID, false);
	size_t seq = der_begin(b, DER_SEQUENCE);

	der_put(b, DER_CONTEXT(0), key_id);
	der_end(b, seq);
	ext_end(b, x);
}

void
ext_subject_key_id(struct buf *b, struct span key_id)
{
	struct open_ext x = ext_begin(b, OID_SUBJECT_KEY_ID, false);

	der_put(b, DER_OCTET_STRING, key_id);
	ext_end(b, x);
}

void
ext_key_usage(struct buf *b, uint32_t bits)
{
	struct open_ext x = ext_begin(b, OID_KEY_USAGE, true);

	der_named_bits(b, bits);
	ext_end(b, x);
}

void
ext_basic_constraints(struct buf *b, bool ca, int path_len)
{
	struct open_ext x = ext_begin(b, OID_BASIC_CONSTRAINTS, true);
	size_t seq = der_begin(b, DER_SEQUENCE);

	der_true(b, ca);
	if (path_len >= 0)
		der_int(b, path_len);
	der_end(b, seq);
	ext_end(b, x);
}

/* otherName [0] { type-id, [0] EXPLICIT UTF8String } */
static void
put_upn(struct buf *b, const char *upn)
{
	size_t other = der_begin(b, DER_CONTEXT_CONSTRUCTED(0)), value;

	der_oid(b, OID_UPN);
	value = der_begin(b, DER_CONTEXT_CONSTRUCTED(0));
	der_put(b, DER_UTF8_STRING, span_str(upn));
	der_end(b, value);
	der_end(b, other);
}

void
ext_subject_alt_name(
    struct buf *b, bool critical, const struct request_san *sans, size_t n)
{
	struct open_ext x = ext_begin(b, OID_SUBJECT_ALT_NAME, critical);
	size_t seq = der_begin(b, DER_SEQUENCE), i;

	for (i = 0; i < n; i++) {
		if (sans[i].type == TOSIGN_GN_OTHER)
			put_upn(b, sans[i].text);
		else if (sans[i].type == TOSIGN_GN_IP)
			der_put(b, DER_CONTEXT(TOSIGN_GN_IP), sans[i].ip);
		else
			der_put(b, (uint8_t)DER_CONTEXT(sans[i].type),
			    span_str(sans[i].text));
	}
	der_end(b, seq);
	ext_end(b, x);
}

void
ext_extended_key_usage(struct buf *b, const struct profile_strings *oids)
{
	bool critical =
	    oids->n == 1 && strcmp(oids->list[0], OID_EKU_TIME_STAMPING) == 0;
	struct open_ext x = ext_begin(b, OID_EXT_KEY_USAGE, critical);
	size_t seq = der_begin(b, DER_SEQUENCE), i;

	for (i = 0; i < oids->n; i++)
		der_oid(b, oids->list[i]);
	der_end(b, seq);
	ext_end(b, x);
}

static void
put_policy(struct buf *b, const struct profile_policy *p)
{
	size_t info = der_begin(b, DER_SEQUENCE), quals, qual, notice;

	der_oid(b, p->oid);
	if (p->cps == NULL && p->notice == NULL) {
		der_end(b, info);
		return;
	}
	quals = der_begin(b, DER_SEQUENCE);
	if (p->cps != NULL) {
		qual = der_begin(b, DER_SEQUENCE);
		der_oid(b, OID_QT_CPS);
		der_put(b, DER_IA5_STRING, span_str(p->cps));
		der_end(b, qual);
	}
	if (p->notice != NULL) {
		qual = der_begin(b, DER_SEQUENCE);
		der_oid(b, OID_QT_NOTICE);
		notice = der_begin(b, DER_SEQUENCE);
		der_put(b, DER_UTF8_STRING, span_str(p->notice));
		der_end(b, notice);
		der_end(b, qual);
	}
	der_end(b, quals);
	der_end(b, info);
}

void
ext_policies(struct buf *b, const struct profile_policy *policies, size_t n)
{
	struct open_ext x = ext_begin(b, OID_CERTIFICATE_POLICIES, false);
	size_t seq = der_begin(b, DER_SEQUENCE), i;

	for (i = 0; i < n; i++)
		put_policy(b, &policies[i]);
	der_end(b, seq);
	ext_end(b, x);
}

static void
put_points(struct buf *b, const char *oid, const struct profile_strings *urls)
{
	struct open_ext x = ext_begin(b, oid, false);
	size_t seq = der_begin(b, DER_SEQUENCE), point, name, full, i;

	for (i = 0; i < urls->n; i++) {
		point = der_begin(b, DER_SEQUENCE);
		name = der_begin(b, DER_CONTEXT_CONSTRUCTED(0));
		full = der_begin(b, DER_CONTEXT_CONSTRUCTED(0));
		der_put(b, DER_CONTEXT(TOSIGN_GN_URI), span_str(urls->list[i]));
		der_end(b, full);
		der_end(b, name);
		der_end(b, point);
	}
	der_end(b, seq);
	ext_end(b, x);
}

void
ext_crl_distribution_points(struct buf *b, const struct profile_strings *urls)
{
	put_points(b, OID_CRL_DISTRIBUTION_POINTS, urls);
}

void
ext_freshest_crl(struct buf *b, const struct profile_strings *urls)
{
	put_points(b, OID_FRESHEST_CRL, urls);
}

static void
put_access(
    struct buf *b, const char *method, const struct profile_strings *urls)
{
	size_t i, seq;

	for (i = 0; i < urls->n; i++) {
		seq = der_begin(b, DER_SEQUENCE);
		der_oid(b, method);
		der_put(b, DER_CONTEXT(TOSIGN_GN_URI), span_str(urls->list[i]));
		der_end(b, seq);
	}
}

void
ext_authority_info_access(struct buf *b, const struct profile_strings *ocsp,
    const struct profile_strings *issuers)
{
	struct open_ext x = ext_begin(b, OID_AUTHORITY_INFO_ACCESS, false);
	size_t seq = der_begin(b, DER_SEQUENCE);

	put_access(b, OID_AD_OCSP, ocsp);
	put_access(b, OID_AD_CA_ISSUERS, issuers);
	der_end(b, seq);
	ext_end(b, x);
}

static void
put_subtree(struct buf *b, uint8_t tag, struct span base)
{
	size_t seq = der_begin(b, DER_SEQUENCE);

	der_put(b, tag, base);
	der_end(b, seq);
}

/* Network and mask, RFC 5280 4.2.1.10. */
static void
put_ip_subtree(struct buf *b, const struct profile_range *r)
{
	uint8_t base[32] = { 0 };
	unsigned i;

	memcpy(base, r->net, r->octets);
	for (i = 0; i < r->bits; i++)
		base[r->octets + i / 8] |= (uint8_t)(0x80 >> i % 8);
	put_subtree(b, DER_CONTEXT(TOSIGN_GN_IP), span_of(base, 2 * r->octets));
}

struct subtrees {
	const struct profile_strings *dns, *email;
	const struct profile_range *ip;
	size_t n_ip;
};

static void
put_subtrees(struct buf *b, uint8_t tag, const struct subtrees *t)
{
	size_t list, i;

	if (t->dns->n + t->email->n + t->n_ip == 0)
		return;
	list = der_begin(b, tag);
	for (i = 0; i < t->dns->n; i++)
		put_subtree(
		    b, DER_CONTEXT(TOSIGN_GN_DNS), span_str(t->dns->list[i]));
	for (i = 0; i < t->email->n; i++)
		put_subtree(b, DER_CONTEXT(TOSIGN_GN_EMAIL),
		    span_str(t->email->list[i]));
	for (i = 0; i < t->n_ip; i++)
		put_ip_subtree(b, &t->ip[i]);
	der_end(b, list);
}

void
ext_name_constraints(struct buf *b, const struct profile_constraints *c)
{
	const struct subtrees permitted = { &c->permitted_dns,
		&c->permitted_email, c->permitted_ip, c->n_permitted_ip };
	const struct subtrees excluded = { &c->excluded_dns, &c->excluded_email,
		c->excluded_ip, c->n_excluded_ip };
	struct open_ext x = ext_begin(b, OID_NAME_CONSTRAINTS, true);
	size_t seq = der_begin(b, DER_SEQUENCE);

	put_subtrees(b, DER_CONTEXT_CONSTRUCTED(0), &permitted);
	put_subtrees(b, DER_CONTEXT_CONSTRUCTED(1), &excluded);
	der_end(b, seq);
	ext_end(b, x);
}

void
ext_tls_feature(struct buf *b)
{
	struct open_ext x = ext_begin(b, OID_TLS_FEATURE, false);
	size_t seq = der_begin(b, DER_SEQUENCE);

	der_int(b, 5);
	der_end(b, seq);
	ext_end(b, x);
}

void
ext_ocsp_nocheck(struct buf *b)
{
	struct open_ext x = ext_begin(b, OID_OCSP_NOCHECK, false);

	der_put(b, DER_NULL, span_of(NULL, 0));
	ext_end(b, x);
}
