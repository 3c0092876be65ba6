/* Lint rules about extensions that identify and limit keys. */
#include <string.h>

#include "base/der.h"
#include "ca/lint_int.h"
#include "ca/oid.h"
#include "ca/tbs.h"

#define KU_DIGITAL_SIGNATURE (1U << 0)
#define KU_CONTENT_COMMITMENT (1U << 1)
#define KU_KEY_ENCIPHERMENT (1U << 2)
#define KU_DATA_ENCIPHERMENT (1U << 3)
#define KU_KEY_AGREEMENT (1U << 4)
#define KU_KEY_CERT_SIGN (1U << 5)

/* What we issue, and whether it must be critical (1), must not (0), or
 * either way is checked by a rule of its own (-1). */
static const struct {
	const char *oid;
	int critical;
} known[] = {
	{ OID_SUBJECT_KEY_ID, 0 },
	{ OID_KEY_USAGE, 1 },
	{ OID_SUBJECT_ALT_NAME, -1 },
	{ OID_BASIC_CONSTRAINTS, -1 },
	{ OID_NAME_CONSTRAINTS, 1 },
	{ OID_CRL_DISTRIBUTION_POINTS, 0 },
	{ OID_CERTIFICATE_POLICIES, 0 },
	{ OID_POLICY_MAPPINGS, 1 },
	{ OID_AUTHORITY_KEY_ID, 0 },
	{ OID_POLICY_CONSTRAINTS, 1 },
	{ OID_EXT_KEY_USAGE, -1 },
	{ OID_FRESHEST_CRL, 0 },
	{ OID_INHIBIT_ANY_POLICY, 1 },
	{ OID_AUTHORITY_INFO_ACCESS, 0 },
	{ OID_TLS_FEATURE, 0 },
	{ OID_OCSP_NOCHECK, 0 },
};
#define N_KNOWN (sizeof(known) / sizeof(known[0]))

int
lint_ext_once(const struct lint *l, struct err *e)
{
	size_t i, j;

	for (i = 0; i < l->cert.n_exts; i++) {
		for (j = 0; j < i; j++) {
			if (span_eq(l->cert.exts[i].oid, l->cert.exts[j].oid))
				return err_set(e, ERR_REFUSED,
				    "extension %s is there twice",
				    tosign_oid_text(
					l->arena, l->cert.exts[i].oid));
		}
	}
	return 0;
}

int
lint_ext_known(const struct lint *l, struct err *e)
{
	const struct tosign_ext *x;
	size_t i, k;

	for (i = 0; i < l->cert.n_exts; i++) {
		x = &l->cert.exts[i];
		for (k = 0; k < N_KNOWN; k++) {
			if (tosign_oid_is(x->oid, known[k].oid))
				break;
		}
		if (k == N_KNOWN)
			return err_set(e, ERR_REFUSED,
			    "extension %s is not one that we issue",
			    tosign_oid_text(l->arena, x->oid));
		if (known[k].critical >= 0 &&
		    x->critical != (known[k].critical == 1))
			return err_set(e, ERR_REFUSED,
			    "extension %s must %sbe critical", known[k].oid,
			    known[k].critical == 1 ? "" : "not ");
	}
	return 0;
}

/* SEQUENCE { [0] keyIdentifier } and nothing else. */
int
lint_authority_key_id(const struct lint *l, struct err *e)
{
	struct span want;
	AUTO_BUF(b, 256);
	size_t seq;

	if (l->in->issuer == NULL)
		return 0;
	if (l->aki == NULL)
		return err_set(
		    e, ERR_REFUSED, "authorityKeyIdentifier is missing");
	seq = der_begin(&b, DER_SEQUENCE);
	der_put(&b, DER_CONTEXT(0), l->in->issuer->key_id);
	der_end(&b, seq);
	want = buf_get(&b);
	if (!span_eq(l->aki->value, want))
		return err_set(e, ERR_REFUSED,
		    "authorityKeyIdentifier is not the issuer's key identifier "
		    "alone");
	return 0;
}

int
lint_subject_key_id(const struct lint *l, struct err *e)
{
	uint8_t want[TBS_KEY_ID_SIZE];

	if (l->ski == NULL) {
		if (l->ca)
			return err_set(e, ERR_REFUSED,
			    "CA certificate has no subjectKeyIdentifier");
		return 0;
	}
	if (tbs_key_id(l->cert.spki, want, e) == -1)
		return -1;
	if (l->ski->value.n != 2 + TBS_KEY_ID_SIZE ||
	    l->ski->value.p[0] != DER_OCTET_STRING ||
	    l->ski->value.p[1] != TBS_KEY_ID_SIZE ||
	    memcmp(l->ski->value.p + 2, want, TBS_KEY_ID_SIZE) != 0)
		return err_set(e, ERR_REFUSED,
		    "subjectKeyIdentifier is not that of the key "
		    "(RFC 7093 2, method 1)");
	return 0;
}

int
lint_key_usage(const struct lint *l, struct err *e)
{
	bool signs = (l->usage_bits & KU_KEY_CERT_SIGN) != 0;

	if (l->usage == NULL)
		return err_set(e, ERR_REFUSED, "keyUsage is missing");
	if (l->usage_bits == 0)
		return err_set(e, ERR_REFUSED, "keyUsage has no bit set");
	if (signs != l->ca)
		return err_set(
		    e, ERR_REFUSED, "keyCertSign and cA do not agree");
	return 0;
}

int
lint_key_usage_key(const struct lint *l, struct err *e)
{
	struct tosign_spki spki;

	if (tosign_spki_read(l->cert.spki, &spki, e) == -1)
		return -1;
	if (tosign_oid_is(spki.alg_oid, OID_RSA)) {
		if ((l->usage_bits & KU_KEY_AGREEMENT) != 0)
			return err_set(e, ERR_REFUSED,
			    "keyUsage keyAgreement with an RSA key "
			    "(RFC 3279 2.3.1)");
		return 0;
	}
	if ((l->usage_bits & (KU_KEY_ENCIPHERMENT | KU_DATA_ENCIPHERMENT)) != 0)
		return err_set(e, ERR_REFUSED,
		    "keyUsage keyEncipherment or dataEncipherment with an "
		    "elliptic curve key");
	if (tosign_oid_is(spki.alg_oid, OID_ED25519) &&
	    (l->usage_bits & KU_KEY_AGREEMENT) != 0)
		return err_set(e, ERR_REFUSED,
		    "keyUsage keyAgreement with an Ed25519 key (RFC 8410 5)");
	return 0;
}

int
lint_basic_constraints(const struct lint *l, struct err *e)
{
	if (l->basic == NULL)
		return 0; /* then cA is false, and key-usage has its say */
	if (l->ca && !l->basic->critical)
		return err_set(e, ERR_REFUSED,
		    "basicConstraints of a CA are not critical");
	if (!l->ca && l->path_len >= 0)
		return err_set(e, ERR_REFUSED, "pathLenConstraint without cA");
	return 0;
}

int
lint_path_length(const struct lint *l, struct err *e)
{
	if (l->ca && l->in->issuer != NULL && l->in->issuer->path_len == 0)
		return err_set(e, ERR_REFUSED,
		    "the issuer's path length allows no CA below it");
	return 0;
}

int
lint_eku(const struct lint *l, struct err *e)
{
	bool stamping = lint_has_eku(l, OID_EKU_TIME_STAMPING);
	size_t i, j;

	if (l->eku == NULL)
		return 0;
	if (lint_has_eku(l, OID_ANY_EKU))
		return err_set(
		    e, ERR_REFUSED, "extKeyUsage has anyExtendedKeyUsage");
	for (i = 0; i < l->n_ekus; i++) {
		for (j = 0; j < i; j++) {
			if (span_eq(l->ekus[i], l->ekus[j]))
				return err_set(e, ERR_REFUSED,
				    "extKeyUsage has a purpose twice");
		}
	}
	if (stamping && (l->n_ekus != 1 || !l->eku->critical) && !l->ca)
		return err_set(e, ERR_REFUSED,
		    "timeStamping is not alone and critical (RFC 3161 2.3)");
	if (!stamping && l->eku->critical)
		return err_set(e, ERR_REFUSED, "extKeyUsage is critical");
	return 0;
}

int
lint_eku_usage(const struct lint *l, struct err *e)
{
	static const uint32_t sign_or_commit =
	    KU_DIGITAL_SIGNATURE | KU_CONTENT_COMMITMENT;
	static const struct {
		const char *oid;
		uint32_t one_of;
	} rules[] = {
		{ OID_EKU_SERVER_AUTH, KU_DIGITAL_SIGNATURE |
					   KU_KEY_ENCIPHERMENT |
					   KU_KEY_AGREEMENT },
		{ OID_EKU_CLIENT_AUTH,
		    KU_DIGITAL_SIGNATURE | KU_KEY_AGREEMENT },
		{ OID_EKU_CODE_SIGNING, KU_DIGITAL_SIGNATURE },
		{ OID_EKU_EMAIL, KU_DIGITAL_SIGNATURE | KU_CONTENT_COMMITMENT |
				     KU_KEY_ENCIPHERMENT | KU_KEY_AGREEMENT },
		{ OID_EKU_TIME_STAMPING, sign_or_commit },
		{ OID_EKU_OCSP_SIGNING, sign_or_commit },
	};
	size_t i;

	for (i = 0; !l->ca && i < sizeof(rules) / sizeof(rules[0]); i++) {
		if (lint_has_eku(l, rules[i].oid) &&
		    (l->usage_bits & rules[i].one_of) == 0)
			return err_set(e, ERR_REFUSED,
			    "keyUsage does not fit extended key usage %s",
			    rules[i].oid);
	}
	return 0;
}

int
lint_ocsp_signing(const struct lint *l, struct err *e)
{
	static const uint8_t null[] = { 5, 0 };
	const struct tosign_ext *nocheck =
	    tosign_ext_find(&l->cert, OID_OCSP_NOCHECK);
	bool ocsp = lint_has_eku(l, OID_EKU_OCSP_SIGNING);

	if (nocheck != NULL &&
	    !span_eq(nocheck->value, span_of(null, sizeof(null))))
		return err_set(e, ERR_REFUSED, "ocsp-nocheck is not NULL");
	if (nocheck != NULL && !ocsp)
		return err_set(
		    e, ERR_REFUSED, "ocsp-nocheck without OCSPSigning");
	if (ocsp && !l->ca && l->n_ekus != 1)
		return err_set(e, ERR_REFUSED, "OCSPSigning is not alone");
	if (ocsp && !l->ca && nocheck == NULL)
		return err_set(e, ERR_REFUSED,
		    "responder certificate has no ocsp-nocheck");
	return 0;
}

int
lint_tls_feature(const struct lint *l, struct err *e)
{
	static const uint8_t staple[] = { 0x30, 3, 2, 1, 5 };
	const struct tosign_ext *x = tosign_ext_find(&l->cert, OID_TLS_FEATURE);

	if (x != NULL && !span_eq(x->value, span_of(staple, sizeof(staple))))
		return err_set(
		    e, ERR_REFUSED, "TLS feature is not status_request alone");
	return 0;
}
