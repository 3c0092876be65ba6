/*
 * What the lint rules share; only lint*.c include this.
 */
#ifndef CA_LINT_INT_H
#define CA_LINT_INT_H

#include "ca/lint.h"
#include "hsm/tosign.h"

/* A TBSCertificate taken apart once; members that are absent are NULL or 0. */
struct lint {
	struct arena *arena;
	const struct lint_input *in;
	struct tosign_cert cert;
	const struct tosign_ext *aki, *ski, *usage, *san, *basic, *eku;
	const struct tosign_ext *policies, *constraints, *crldp, *aia;
	uint32_t usage_bits;
	bool ca;
	int64_t path_len;
	struct tosign_attr *attrs; /* of the subject */
	size_t n_attrs;
	struct tosign_general_name *names; /* of the SAN */
	size_t n_names;
	struct span *ekus;
	size_t n_ekus;
};

/* Whether the certificate has this extended key usage. */
bool lint_has_eku(const struct lint *l, const char *oid);

/* A rule: 0 when it holds or does not apply, else -1 with the text. */
int lint_version(const struct lint *l, struct err *e) MUST_USE;
int lint_serial(const struct lint *l, struct err *e) MUST_USE;
int lint_sig_alg(const struct lint *l, struct err *e) MUST_USE;
int lint_issuer_name(const struct lint *l, struct err *e) MUST_USE;
int lint_time_form(const struct lint *l, struct err *e) MUST_USE;
int lint_validity(const struct lint *l, struct err *e) MUST_USE;
int lint_unique_ids(const struct lint *l, struct err *e) MUST_USE;
int lint_key(const struct lint *l, struct err *e) MUST_USE;

/* Names: lint_name.c */
int lint_subject_types(const struct lint *l, struct err *e) MUST_USE;
int lint_subject_empty(const struct lint *l, struct err *e) MUST_USE;
int lint_san_syntax(const struct lint *l, struct err *e) MUST_USE;
int lint_san_critical(const struct lint *l, struct err *e) MUST_USE;
int lint_common_name(const struct lint *l, struct err *e) MUST_USE;
int lint_constraints(const struct lint *l, struct err *e) MUST_USE;
int lint_constrained(const struct lint *l, struct err *e) MUST_USE;

/* Extensions: lint_ext.c */
int lint_ext_once(const struct lint *l, struct err *e) MUST_USE;
int lint_ext_known(const struct lint *l, struct err *e) MUST_USE;
int lint_authority_key_id(const struct lint *l, struct err *e) MUST_USE;
int lint_subject_key_id(const struct lint *l, struct err *e) MUST_USE;
int lint_key_usage(const struct lint *l, struct err *e) MUST_USE;
int lint_key_usage_key(const struct lint *l, struct err *e) MUST_USE;
int lint_basic_constraints(const struct lint *l, struct err *e) MUST_USE;
int lint_path_length(const struct lint *l, struct err *e) MUST_USE;
int lint_eku(const struct lint *l, struct err *e) MUST_USE;
int lint_eku_usage(const struct lint *l, struct err *e) MUST_USE;
int lint_ocsp_signing(const struct lint *l, struct err *e) MUST_USE;
int lint_tls_feature(const struct lint *l, struct err *e) MUST_USE;

/* Extensions about policies and places: lint_info.c */
int lint_policies(const struct lint *l, struct err *e) MUST_USE;
int lint_policy_mappings(const struct lint *l, struct err *e) MUST_USE;
int lint_policy_constraints(const struct lint *l, struct err *e) MUST_USE;
int lint_inhibit_any(const struct lint *l, struct err *e) MUST_USE;
int lint_crldp(const struct lint *l, struct err *e) MUST_USE;
int lint_freshest(const struct lint *l, struct err *e) MUST_USE;
int lint_aia(const struct lint *l, struct err *e) MUST_USE;

/* The profile's own rules: lint.c */
int lint_profile(const struct lint *l, struct err *e) MUST_USE;

#endif
