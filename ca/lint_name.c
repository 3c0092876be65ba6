/* Lint rules about subjects, alternative names and name constraints. */
#include <string.h>

#include <openssl/x509v3.h>

#include "base/auto.h"
#include "base/der.h"
#include "ca/lint_int.h"
#include "ca/oid.h"

AUTO_DEFINE(NAME_CONSTRAINTS, NAME_CONSTRAINTS_free);

static bool
tag_fits(const struct dn_type *type, uint8_t tag)
{
	if (type->tag == DER_UTF8_STRING)
		return tag == DER_UTF8_STRING || tag == DER_PRINTABLE_STRING;
	return tag == type->tag;
}

int
lint_subject_types(const struct lint *l, struct err *e)
{
	const struct tosign_attr *attr;
	const struct dn_type *type;
	struct dn_type as;
	struct dn ignored;
	size_t i;

	for (i = 0; i < l->n_attrs; i++) {
		attr = &l->attrs[i];
		type = dn_type_of(attr->oid);
		if (type == NULL)
			continue;
		if (!tag_fits(type, attr->tag))
			return err_set(e, ERR_REFUSED,
			    "%s has the wrong string type", type->name);
		/* a PrintableString has fewer characters than a UTF8String */
		as = *type;
		as.tag = attr->tag;
		if (dn_value_check(&as,
			arena_memdup(l->arena, attr->value.p, attr->value.n),
			e) == -1)
			return -1;
	}
	/* character sets and upper bounds, RFC 5280 appendix A.1 */
	return dn_from_attrs(l->arena, l->attrs, l->n_attrs, &ignored, e);
}

int
lint_subject_empty(const struct lint *l, struct err *e)
{
	if (l->n_attrs > 0)
		return 0;
	if (l->ca || (l->usage_bits & 1U << 6) != 0)
		return err_set(
		    e, ERR_REFUSED, "subject of a CA or CRL issuer is empty");
	if (l->n_names == 0)
		return err_set(e, ERR_REFUSED,
		    "subject is empty and there is no alternative name");
	return 0;
}

static int
check_name(
    const struct lint *l, const struct tosign_general_name *n, struct err *e)
{
	struct request_san san = { .type = n->tag };
	char *text;

	if (n->tag == TOSIGN_GN_IP) {
		san.ip = n->value;
		return request_san_check(l->arena, &san, e);
	}
	if (n->tag == TOSIGN_GN_DIRNAME || n->tag == TOSIGN_GN_RID)
		return err_set(e, ERR_REFUSED,
		    "alternative names of this type are not supported");
	if (n->tag == TOSIGN_GN_OTHER && (!tosign_oid_is(n->oid, OID_UPN) ||
					     n->other_tag != DER_UTF8_STRING))
		return err_set(
		    e, ERR_REFUSED, "otherName is not a UPN as UTF8String");
	if (n->value.n == 0 || memchr(n->value.p, 0, n->value.n) != NULL)
		return err_set(
		    e, ERR_REFUSED, "alternative name is empty or has a NUL");
	text = arena_memdup(l->arena, n->value.p, n->value.n);
	san.text = text;
	if (request_san_check(l->arena, &san, e) == -1)
		return -1;
	if (strcmp(san.text, text) != 0)
		return err_set(e, ERR_REFUSED,
		    "alternative name \"%.253s\" is not in lower case", text);
	return 0;
}

int
lint_san_syntax(const struct lint *l, struct err *e)
{
	size_t i;

	if (l->san != NULL && l->n_names == 0)
		return err_set(e, ERR_REFUSED, "subjectAltName is empty");
	for (i = 0; i < l->n_names; i++) {
		if (check_name(l, &l->names[i], e) == -1)
			return -1;
	}
	return 0;
}

int
lint_san_critical(const struct lint *l, struct err *e)
{
	if (l->san == NULL)
		return 0;
	if (l->n_attrs == 0 && !l->san->critical)
		return err_set(e, ERR_REFUSED,
		    "subject is empty but subjectAltName is not critical");
	if (l->n_attrs > 0 && l->san->critical)
		return err_set(e, ERR_REFUSED,
		    "subject is not empty but subjectAltName is critical");
	return 0;
}

static bool
is_a_name(const struct lint *l, const char *cn)
{
	struct request_san want, have;
	size_t i;

	if (request_san_parse(l->arena, cn, &want, NULL) == -1)
		return false;
	for (i = 0; i < l->n_names; i++) {
		have = (struct request_san){ .type = l->names[i].tag };
		if (have.type != want.type)
			continue;
		have.ip = l->names[i].value;
		have.text = arena_memdup(
		    l->arena, l->names[i].value.p, l->names[i].value.n);
		if (request_san_eq(&want, &have))
			return true;
	}
	return false;
}

int
lint_common_name(const struct lint *l, struct err *e)
{
	const struct dn_type *type;
	size_t i;

	if (l->ca || !lint_has_eku(l, OID_EKU_SERVER_AUTH))
		return 0;
	for (i = 0; i < l->n_attrs; i++) {
		type = dn_type_of(l->attrs[i].oid);
		if (type == NULL || strcmp(type->name, "CN") != 0)
			continue;
		if (!is_a_name(l, arena_memdup(l->arena, l->attrs[i].value.p,
				      l->attrs[i].value.n)))
			return err_set(e, ERR_REFUSED,
			    "CN of a TLS server is not among its alternative "
			    "names");
	}
	return 0;
}

static NAME_CONSTRAINTS *
decode_constraints(struct span value)
{
	const uint8_t *p = value.p;
	AUTO(NAME_CONSTRAINTS) nc = NULL;
	NAME_CONSTRAINTS *out;

	nc = (NAME_CONSTRAINTS *)ASN1_item_d2i(
	    NULL, &p, (long)value.n, ASN1_ITEM_rptr(NAME_CONSTRAINTS));
	if (nc == NULL || p != value.p + value.n)
		return NULL;
	out = nc;
	nc = NULL;
	return out;
}

static int
check_subtree(const GENERAL_SUBTREE *t, struct err *e)
{
	const GENERAL_NAME *g = t->base;
	int n;

	if (t->minimum != NULL || t->maximum != NULL)
		return err_set(
		    e, ERR_REFUSED, "a subtree has a minimum or maximum");
	switch (g->type) {
	case GEN_DNS:
		n = ASN1_STRING_length(g->d.dNSName);
		if (n > 0 && ASN1_STRING_get0_data(g->d.dNSName)[0] == '.')
			return err_set(
			    e, ERR_REFUSED, "a DNS subtree starts with a dot");
		return 0;
	case GEN_IPADD:
		n = ASN1_STRING_length(g->d.iPAddress);
		if (n != 8 && n != 32)
			return err_set(e, ERR_REFUSED,
			    "an address subtree is not 8 or 32 octets");
		return 0;
	case GEN_EMAIL:
	case GEN_URI:
	case GEN_DIRNAME:
	case GEN_OTHERNAME:
		return 0;
	default:
		return err_set(e, ERR_REFUSED,
		    "a subtree has a type of name that may not be constrained");
	}
}

static int
check_subtrees(const STACK_OF(GENERAL_SUBTREE) * list, struct err *e)
{
	int i;

	if (list == NULL)
		return 0;
	if (sk_GENERAL_SUBTREE_num(list) == 0)
		return err_set(e, ERR_REFUSED, "a list of subtrees is empty");
	for (i = 0; i < sk_GENERAL_SUBTREE_num(list); i++) {
		if (check_subtree(sk_GENERAL_SUBTREE_value(list, i), e) == -1)
			return -1;
	}
	return 0;
}

int
lint_constraints(const struct lint *l, struct err *e)
{
	AUTO(NAME_CONSTRAINTS) nc = NULL;

	if (l->constraints == NULL)
		return 0;
	if (!l->ca || !l->constraints->critical)
		return err_set(e, ERR_REFUSED,
		    "nameConstraints are not critical or not in a CA "
		    "certificate");
	nc = decode_constraints(l->constraints->value);
	if (nc == NULL ||
	    (nc->permittedSubtrees == NULL && nc->excludedSubtrees == NULL))
		return err_set(
		    e, ERR_REFUSED, "nameConstraints are empty or malformed");
	if (check_subtrees(nc->permittedSubtrees, e) == -1)
		return -1;
	return check_subtrees(nc->excludedSubtrees, e);
}

/* As a certificate, for libcrypto's own check (RFC 5280 6.1.3). */
static X509 *
as_certificate(const struct lint *l)
{
	static const uint8_t no_signature = 0;
	struct span der = tosign_wrap(
	    l->arena, l->in->tbs, l->cert.sig_alg, span_of(&no_signature, 1));
	const uint8_t *p = der.p;
	X509 *x = d2i_X509(NULL, &p, (long)der.n);

	/* only this makes it look at the alternative names */
	if (x != NULL)
		(void)X509_check_purpose(x, -1, 0);
	return x;
}

int
lint_constrained(const struct lint *l, struct err *e)
{
	const struct issuer *issuer = l->in->issuer;
	NAME_CONSTRAINTS *nc;
	X509 *names;
	int verdict;

	if (issuer == NULL || issuer->constraints.n == 0)
		return 0;
	nc = decode_constraints(issuer->constraints);
	names = as_certificate(l);
	if (nc == NULL || names == NULL) {
		NAME_CONSTRAINTS_free(nc);
		X509_free(names);
		return err_set(e, ERR_REFUSED, "names cannot be checked");
	}
	verdict = NAME_CONSTRAINTS_check(names, nc);
	if (verdict == X509_V_OK)
		verdict = NAME_CONSTRAINTS_check_CN(names, nc);
	NAME_CONSTRAINTS_free(nc);
	X509_free(names);
	if (verdict != X509_V_OK)
		return err_set(e, ERR_REFUSED,
		    "a name lies outside the issuer's name constraints: %s",
		    X509_verify_cert_error_string(verdict));
	return 0;
}
