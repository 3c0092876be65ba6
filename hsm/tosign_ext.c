/* What stands inside a TBSCertificate: keys, names and extension values. */
#include "hsm/tosign.h"

#include <openssl/asn1t.h>
#include <openssl/err.h>
#include <openssl/x509.h>

#include "base/der.h"
#include "hsm/tosign_int.h"

struct spki_tmpl {
	X509_ALGOR *alg;
	ASN1_BIT_STRING *key;
};

struct attr_tmpl {
	ASN1_OBJECT *oid;
	ASN1_TYPE *value;
};

struct gn_tmpl {
	int type;
	union {
		struct attr_tmpl *other;
		ASN1_STRING *str;
		ASN1_OBJECT *oid;
	} d;
};

struct bc_tmpl {
	ASN1_BOOLEAN ca;
	ASN1_INTEGER *path_len;
};

struct aia_tmpl {
	ASN1_OBJECT *method;
	struct gn_tmpl *location;
};

struct dpname_tmpl {
	int type;
	union {
		OPENSSL_STACK *full;
		OPENSSL_STACK *relative;
	} d;
};

struct dp_tmpl {
	struct dpname_tmpl *name;
	ASN1_BIT_STRING *reasons;
	OPENSSL_STACK *issuer;
};

/* clang-format off */
ASN1_SEQUENCE(SPKI_TMPL) = {
	ASN1_SIMPLE(struct spki_tmpl, alg, X509_ALGOR),
	ASN1_SIMPLE(struct spki_tmpl, key, ASN1_BIT_STRING)
} static_ASN1_SEQUENCE_END_name(struct spki_tmpl, SPKI_TMPL)

ASN1_SEQUENCE(ATTR_TMPL) = {
	ASN1_SIMPLE(struct attr_tmpl, oid, ASN1_OBJECT),
	ASN1_SIMPLE(struct attr_tmpl, value, ASN1_ANY)
} static_ASN1_SEQUENCE_END_name(struct attr_tmpl, ATTR_TMPL)

ASN1_ITEM_TEMPLATE(RDN_TMPL) =
	ASN1_EX_TEMPLATE_TYPE(ASN1_TFLG_SET_OF, 0, RDN, ATTR_TMPL)
static_ASN1_ITEM_TEMPLATE_END(RDN_TMPL)

ASN1_ITEM_TEMPLATE(NAME_TMPL) =
	ASN1_EX_TEMPLATE_TYPE(ASN1_TFLG_SEQUENCE_OF, 0, NAME, RDN_TMPL)
static_ASN1_ITEM_TEMPLATE_END(NAME_TMPL)

ASN1_SEQUENCE(OTHER_TMPL) = {
	ASN1_SIMPLE(struct attr_tmpl, oid, ASN1_OBJECT),
	ASN1_EXP(struct attr_tmpl, value, ASN1_ANY, 0)
} static_ASN1_SEQUENCE_END_name(struct attr_tmpl, OTHER_TMPL)

ASN1_CHOICE(GN_TMPL) = {
	ASN1_IMP(struct gn_tmpl, d.other, OTHER_TMPL, 0),
	ASN1_IMP(struct gn_tmpl, d.str, ASN1_IA5STRING, 1),
	ASN1_IMP(struct gn_tmpl, d.str, ASN1_IA5STRING, 2),
	ASN1_EXP(struct gn_tmpl, d.str, ASN1_SEQUENCE, 4),
	ASN1_IMP(struct gn_tmpl, d.str, ASN1_IA5STRING, 6),
	ASN1_IMP(struct gn_tmpl, d.str, ASN1_OCTET_STRING, 7),
	ASN1_IMP(struct gn_tmpl, d.oid, ASN1_OBJECT, 8)
} static_ASN1_CHOICE_END_name(struct gn_tmpl, GN_TMPL)

ASN1_ITEM_TEMPLATE(GNS_TMPL) =
	ASN1_EX_TEMPLATE_TYPE(ASN1_TFLG_SEQUENCE_OF, 0, GNS, GN_TMPL)
static_ASN1_ITEM_TEMPLATE_END(GNS_TMPL)

ASN1_ITEM_TEMPLATE(EKU_TMPL) =
	ASN1_EX_TEMPLATE_TYPE(ASN1_TFLG_SEQUENCE_OF, 0, EKU, ASN1_OBJECT)
static_ASN1_ITEM_TEMPLATE_END(EKU_TMPL)

ASN1_SEQUENCE(BC_TMPL) = {
	ASN1_OPT(struct bc_tmpl, ca, ASN1_FBOOLEAN),
	ASN1_OPT(struct bc_tmpl, path_len, ASN1_INTEGER)
} static_ASN1_SEQUENCE_END_name(struct bc_tmpl, BC_TMPL)

ASN1_SEQUENCE(AD_TMPL) = {
	ASN1_SIMPLE(struct aia_tmpl, method, ASN1_OBJECT),
	ASN1_SIMPLE(struct aia_tmpl, location, GN_TMPL)
} static_ASN1_SEQUENCE_END_name(struct aia_tmpl, AD_TMPL)

ASN1_ITEM_TEMPLATE(AIA_TMPL) =
	ASN1_EX_TEMPLATE_TYPE(ASN1_TFLG_SEQUENCE_OF, 0, AIA, AD_TMPL)
static_ASN1_ITEM_TEMPLATE_END(AIA_TMPL)

ASN1_CHOICE(DPNAME_TMPL) = {
	ASN1_IMP_SEQUENCE_OF(struct dpname_tmpl, d.full, GN_TMPL, 0),
	ASN1_IMP_SET_OF(struct dpname_tmpl, d.relative, ATTR_TMPL, 1)
} static_ASN1_CHOICE_END_name(struct dpname_tmpl, DPNAME_TMPL)

ASN1_SEQUENCE(DP_TMPL) = {
	ASN1_EXP_OPT(struct dp_tmpl, name, DPNAME_TMPL, 0),
	ASN1_IMP_OPT(struct dp_tmpl, reasons, ASN1_BIT_STRING, 1),
	ASN1_IMP_SEQUENCE_OF_OPT(struct dp_tmpl, issuer, GN_TMPL, 2)
} static_ASN1_SEQUENCE_END_name(struct dp_tmpl, DP_TMPL)

ASN1_ITEM_TEMPLATE(CRLDP_TMPL) =
	ASN1_EX_TEMPLATE_TYPE(ASN1_TFLG_SEQUENCE_OF, 0, CRLDP, DP_TMPL)
static_ASN1_ITEM_TEMPLATE_END(CRLDP_TMPL)
    /* clang-format on */

    int tosign_spki_read(
	struct span der, struct tosign_spki *out, struct err *e)
{
	struct tlv outer, alg, oid, t;

	if (!tlv_take(&der, &outer) || !tlv_take(&outer.contents, &alg) ||
	    !tlv_take(&alg.contents, &oid) || !tlv_take(&outer.contents, &t) ||
	    t.contents.n < 2 || t.contents.p[0] != 0)
		return err_set(
		    e, ERR_MALFORMED, "not a SubjectPublicKeyInfo in DER");
	out->alg_oid = oid.contents;
	out->params = alg.contents;
	out->key = span_of(t.contents.p + 1, t.contents.n - 1);
	return 0;
}

int
tosign_spki_parse(struct span der, struct tosign_spki *out, struct err *e)
{
	if (!tosign_judge(ASN1_ITEM_rptr(SPKI_TMPL), der))
		return err_set(
		    e, ERR_MALFORMED, "not a SubjectPublicKeyInfo in DER");
	return tosign_spki_read(der, out, e);
}

/* Counts the attributes of all RDNs. */
static bool
count_attrs(struct span rdns, size_t *n)
{
	struct tlv rdn;
	size_t inside;

	*n = 0;
	while (rdns.n > 0) {
		if (!tlv_take(&rdns, &rdn) ||
		    !tlv_count(rdn.contents, &inside) || inside == 0)
			return false;
		*n += inside;
	}
	return *n <= TOSIGN_NAMES_MAX;
}

int
tosign_name_read(struct arena *a, struct span der, struct tosign_attr **out,
    size_t *n, struct err *e)
{
	struct tlv name, rdn, attr, t;
	size_t rdns = 0, i = 0;

	if (!tlv_take(&der, &name) || !count_attrs(name.contents, n))
		return err_set(
		    e, ERR_MALFORMED, "not a distinguished name in DER");
	*out = arena_array(a, *n, sizeof(**out));
	for (; tlv_take(&name.contents, &rdn); rdns++) {
		while (i < *n && tlv_take(&rdn.contents, &attr) &&
		       tlv_take(&attr.contents, &t)) {
			(*out)[i].rdn = rdns;
			(*out)[i].oid = t.contents;
			if (!tlv_take(&attr.contents, &t))
				return err_set(
				    e, ERR_MALFORMED, "name without a value");
			(*out)[i].tag = t.tag;
			(*out)[i].value = t.contents;
			i++;
		}
	}
	return 0;
}

int
tosign_name_parse(struct arena *a, struct span der, struct tosign_attr **out,
    size_t *n, struct err *e)
{
	if (!tosign_judge(ASN1_ITEM_rptr(NAME_TMPL), der))
		return err_set(
		    e, ERR_MALFORMED, "not a distinguished name in DER");
	return tosign_name_read(a, der, out, n, e);
}

/* The parts of one GeneralName that the template has accepted. */
static bool
take_general_name(struct span *s, struct tosign_general_name *out)
{
	struct tlv gn, t;

	if (!tlv_take(s, &gn))
		return false;
	out->tag = (enum tosign_gn)(gn.tag & 0x1f);
	out->value = gn.contents;
	if (out->tag != TOSIGN_GN_OTHER)
		return true;
	if (!tlv_take(&gn.contents, &t))
		return false;
	out->oid = t.contents;
	if (!tlv_take(&gn.contents, &t) || !tlv_take(&t.contents, &gn))
		return false;
	out->other_tag = gn.tag;
	out->value = gn.contents;
	return true;
}

/* The GeneralNames that follow each other in 's'. */
static int
take_general_names(struct arena *a, struct span s,
    struct tosign_general_name **out, size_t *n, struct err *e)
{
	size_t i;

	if (!tlv_count(s, n) || *n == 0 || *n > TOSIGN_NAMES_MAX)
		return err_set(e, ERR_MALFORMED, "no names, or more than %d",
		    TOSIGN_NAMES_MAX);
	*out = arena_array(a, *n, sizeof(**out));
	for (i = 0; i < *n; i++) {
		if (!take_general_name(&s, &(*out)[i]))
			return err_set(e, ERR_MALFORMED, "malformed name");
	}
	return 0;
}

int
tosign_general_names_read(struct arena *a, struct span der,
    struct tosign_general_name **out, size_t *n, struct err *e)
{
	struct tlv t;

	if (!tlv_take(&der, &t))
		return err_set(e, ERR_MALFORMED, "not GeneralNames in DER");
	return take_general_names(a, t.contents, out, n, e);
}

int
tosign_general_names_parse(struct arena *a, struct span der,
    struct tosign_general_name **out, size_t *n, struct err *e)
{
	if (!tosign_judge(ASN1_ITEM_rptr(GNS_TMPL), der))
		return err_set(e, ERR_MALFORMED, "not GeneralNames in DER");
	return tosign_general_names_read(a, der, out, n, e);
}

int
tosign_eku_parse(struct arena *a, struct span der, struct span **out, size_t *n,
    struct err *e)
{
	struct tlv list, t;
	size_t i;

	if (!tosign_judge(ASN1_ITEM_rptr(EKU_TMPL), der) ||
	    !tlv_take(&der, &list) || !tlv_count(list.contents, n) || *n == 0)
		return err_set(
		    e, ERR_MALFORMED, "not an extendedKeyUsage in DER");
	*out = arena_array(a, *n, sizeof(**out));
	for (i = 0; i < *n && tlv_take(&list.contents, &t); i++)
		(*out)[i] = t.contents;
	return 0;
}

int
tosign_key_usage_parse(struct span der, uint32_t *bits, struct err *e)
{
	struct tlv t;
	size_t i;

	/* X.690 11.2.2: the last bit of a named bit list is a one */
	if (!tosign_judge(ASN1_ITEM_rptr(ASN1_BIT_STRING), der) ||
	    !tlv_take(&der, &t) || t.contents.n < 2 || t.contents.n > 3 ||
	    (t.contents.p[t.contents.n - 1] >> t.contents.p[0] & 1) == 0)
		return err_set(e, ERR_MALFORMED, "not a keyUsage in DER");
	*bits = 0;
	for (i = 0; i < (t.contents.n - 1) * 8; i++) {
		if ((t.contents.p[1 + i / 8] & 0x80 >> i % 8) != 0)
			*bits |= (uint32_t)1 << i;
	}
	return 0;
}

int
tosign_basic_constraints_parse(
    struct span der, bool *ca, int64_t *path_len, struct err *e)
{
	struct tlv list, t;
	size_t i;

	if (!tosign_judge(ASN1_ITEM_rptr(BC_TMPL), der) ||
	    !tlv_take(&der, &list))
		return err_set(
		    e, ERR_MALFORMED, "not a basicConstraints in DER");
	*ca = tlv_expect(&list.contents, DER_BOOLEAN, &t);
	*path_len = -1;
	if (!tlv_expect(&list.contents, DER_INTEGER, &t))
		return 0;
	if (t.contents.n > 4 || t.contents.p[0] >= 0x80)
		return err_set(
		    e, ERR_MALFORMED, "pathLenConstraint out of range");
	*path_len = 0;
	for (i = 0; i < t.contents.n; i++)
		*path_len = *path_len << 8 | t.contents.p[i];
	return 0;
}

int
tosign_aia_parse(struct arena *a, struct span der, struct tosign_access **out,
    size_t *n, struct err *e)
{
	struct tlv list, ad, t;
	size_t i;

	if (!tosign_judge(ASN1_ITEM_rptr(AIA_TMPL), der) ||
	    !tlv_take(&der, &list) || !tlv_count(list.contents, n) || *n == 0)
		return err_set(
		    e, ERR_MALFORMED, "not an authorityInfoAccess in DER");
	*out = arena_array(a, *n, sizeof(**out));
	for (i = 0; i < *n; i++) {
		if (!tlv_take(&list.contents, &ad) ||
		    !tlv_take(&ad.contents, &t) ||
		    !take_general_name(&ad.contents, &(*out)[i].location))
			return err_set(
			    e, ERR_MALFORMED, "malformed AccessDescription");
		(*out)[i].method = t.contents;
	}
	return 0;
}

/* One DistributionPoint whose types the template has seen. */
static int
take_dp(struct arena *a, struct span s, struct tosign_dp *out, struct err *e)
{
	struct tlv t, choice;

	while (tlv_take(&s, &t)) {
		if (t.tag == DER_CONTEXT(1))
			out->has_reasons = true;
		if (t.tag == DER_CONTEXT_CONSTRUCTED(2))
			out->has_crl_issuer = true;
		if (t.tag != DER_CONTEXT_CONSTRUCTED(0))
			continue;
		if (!tlv_take(&t.contents, &choice))
			return err_set(
			    e, ERR_MALFORMED, "malformed DistributionPoint");
		if (choice.tag == DER_CONTEXT_CONSTRUCTED(1)) {
			out->has_relative = true;
			continue;
		}
		if (take_general_names(
			a, choice.contents, &out->names, &out->n_names, e) != 0)
			return -1;
	}
	return 0;
}

int
tosign_crldp_parse(struct arena *a, struct span der, struct tosign_dp **out,
    size_t *n, struct err *e)
{
	struct tlv list, dp;
	size_t i;

	if (!tosign_judge(ASN1_ITEM_rptr(CRLDP_TMPL), der) ||
	    !tlv_take(&der, &list) || !tlv_count(list.contents, n) || *n == 0)
		return err_set(
		    e, ERR_MALFORMED, "not CRLDistributionPoints in DER");
	*out = arena_array(a, *n, sizeof(**out));
	for (i = 0; i < *n && tlv_take(&list.contents, &dp); i++) {
		if (take_dp(a, dp.contents, &(*out)[i], e) != 0)
			return -1;
	}
	return 0;
}
