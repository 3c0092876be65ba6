#include "ca/lint.h"

#include <string.h>

#include "base/clock.h"
#include "ca/lint_int.h"
#include "ca/oid.h"

#define SERIAL_MAX 20
#define SERIAL_MIN 8

static const struct rule {
	const char *name, *section;
	int (*check)(const struct lint *, struct err *);
} rules[] = {
	{ "version", "RFC 5280 4.1.2.1", lint_version },
	{ "serial", "RFC 5280 4.1.2.2", lint_serial },
	{ "signature-algorithm", "RFC 5280 4.1.2.3", lint_sig_alg },
	{ "issuer-name", "RFC 5280 4.1.2.4", lint_issuer_name },
	{ "time-form", "RFC 5280 4.1.2.5", lint_time_form },
	{ "validity", "RFC 5280 4.1.2.5", lint_validity },
	{ "subject-types", "RFC 5280 4.1.2.6", lint_subject_types },
	{ "subject-empty", "RFC 5280 4.1.2.6", lint_subject_empty },
	{ "key", "RFC 5280 4.1.2.7", lint_key },
	{ "unique-ids", "RFC 5280 4.1.2.8", lint_unique_ids },
	{ "extension-once", "RFC 5280 4.2", lint_ext_once },
	{ "extension-known", "RFC 5280 4.2", lint_ext_known },
	{ "authority-key-id", "RFC 5280 4.2.1.1", lint_authority_key_id },
	{ "subject-key-id", "RFC 5280 4.2.1.2", lint_subject_key_id },
	{ "key-usage", "RFC 5280 4.2.1.3", lint_key_usage },
	{ "key-usage-key", "RFC 8813 3", lint_key_usage_key },
	{ "certificate-policies", "RFC 5280 4.2.1.4", lint_policies },
	{ "policy-mappings", "RFC 5280 4.2.1.5", lint_policy_mappings },
	{ "san-syntax", "RFC 5280 4.2.1.6", lint_san_syntax },
	{ "san-critical", "RFC 5280 4.2.1.6", lint_san_critical },
	{ "common-name", "RFC 9525 2", lint_common_name },
	{ "basic-constraints", "RFC 5280 4.2.1.9", lint_basic_constraints },
	{ "path-length", "RFC 5280 4.2.1.9", lint_path_length },
	{ "name-constraints", "RFC 5280 4.2.1.10", lint_constraints },
	{ "name-constrained", "RFC 5280 4.2.1.10", lint_constrained },
	{ "policy-constraints", "RFC 5280 4.2.1.11", lint_policy_constraints },
	{ "extended-key-usage", "RFC 5280 4.2.1.12", lint_eku },
	{ "eku-key-usage", "RFC 5280 4.2.1.12", lint_eku_usage },
	{ "crl-distribution-points", "RFC 5280 4.2.1.13", lint_crldp },
	{ "inhibit-any-policy", "RFC 5280 4.2.1.14", lint_inhibit_any },
	{ "freshest-crl", "RFC 5280 4.2.1.15", lint_freshest },
	{ "authority-info-access", "RFC 5280 4.2.2.1", lint_aia },
	{ "tls-feature", "RFC 7633 4.1", lint_tls_feature },
	{ "ocsp-signing", "RFC 6960 4.2.2.2", lint_ocsp_signing },
	{ "profile", "the profile", lint_profile },
};
#define N_RULES (sizeof(rules) / sizeof(rules[0]))

size_t
lint_rule_count(void)
{
	return N_RULES;
}

const char *
lint_rule_name(size_t i)
{
	return rules[i].name;
}

const char *
lint_rule_section(size_t i)
{
	return rules[i].section;
}

int
lint_version(const struct lint *l, struct err *e)
{
	if (l->cert.version != 2)
		return err_set(e, ERR_REFUSED, "version is not v3");
	return 0;
}

int
lint_serial(const struct lint *l, struct err *e)
{
	struct span s = l->cert.serial;

	if (s.n == 0 || s.p[0] >= 0x80)
		return err_set(e, ERR_REFUSED, "serial is not positive");
	if (s.n > SERIAL_MAX)
		return err_set(
		    e, ERR_REFUSED, "serial has more than 20 octets");
	if (s.n < SERIAL_MIN)
		return err_set(e, ERR_REFUSED, "serial has less than 64 bits");
	return 0;
}

int
lint_sig_alg(const struct lint *l, struct err *e)
{
	struct span want;
	struct pubkey key;
	int rc;

	if (l->in->issuer != NULL) {
		want = l->in->issuer->sig_alg;
	} else {
		if (pubkey_open(l->cert.spki, &key, e) == -1)
			return -1;
		rc = issuer_sig_alg(l->arena, &key, &want, e);
		pubkey_clear(&key);
		if (rc == -1)
			return -1;
	}
	if (!span_eq(l->cert.sig_alg, want))
		return err_set(e, ERR_REFUSED,
		    "signature algorithm is not what the issuer's key signs "
		    "with");
	return 0;
}

int
lint_issuer_name(const struct lint *l, struct err *e)
{
	struct span want =
	    l->in->issuer == NULL ? l->cert.subject : l->in->issuer->subject;

	if (l->cert.issuer.n <= 2)
		return err_set(e, ERR_REFUSED, "issuer is empty");
	if (!span_eq(l->cert.issuer, want))
		return err_set(e, ERR_REFUSED,
		    "issuer is not the subject of the issuer's certificate");
	return 0;
}

static int
check_form(int64_t t, bool utc, const char *what, struct err *e)
{
	struct clock_civil c;

	clock_to_civil(t, &c);
	if (utc != (c.year <= 2049))
		return err_set(e, ERR_REFUSED,
		    "%s in %d has the wrong form of time", what, c.year);
	return 0;
}

int
lint_time_form(const struct lint *l, struct err *e)
{
	const struct tosign_cert *c = &l->cert;

	if (check_form(c->not_before, c->not_before_utc, "notBefore", e) == -1)
		return -1;
	return check_form(c->not_after, c->not_after_utc, "notAfter", e);
}

int
lint_validity(const struct lint *l, struct err *e)
{
	const struct tosign_cert *c = &l->cert;

	if (c->not_after < c->not_before)
		return err_set(
		    e, ERR_REFUSED, "notAfter lies before notBefore");
	if (l->in->issuer == NULL)
		return 0;
	if (c->not_after > l->in->issuer->not_after)
		return err_set(
		    e, ERR_REFUSED, "notAfter lies beyond the issuer's");
	if (c->not_before < l->in->issuer->not_before)
		return err_set(
		    e, ERR_REFUSED, "notBefore lies before the issuer's");
	return 0;
}

int
lint_unique_ids(const struct lint *l, struct err *e)
{
	if (l->cert.has_uids)
		return err_set(e, ERR_REFUSED, "has a unique identifier");
	return 0;
}

int
lint_key(const struct lint *l, struct err *e)
{
	struct pubkey key;

	if (!span_eq(l->cert.spki, l->in->sound_spki)) {
		if (pubkey_open(l->cert.spki, &key, e) == -1) {
			e->kind = ERR_REFUSED;
			return -1;
		}
		pubkey_clear(&key);
	}
	if (l->in->issuer != NULL &&
	    span_eq(l->cert.spki, l->in->issuer->spki) && !l->ca)
		return err_set(e, ERR_REFUSED, "key is the issuer's own");
	return 0;
}

bool
lint_has_eku(const struct lint *l, const char *oid)
{
	size_t i;

	for (i = 0; i < l->n_ekus; i++) {
		if (tosign_oid_is(l->ekus[i], oid))
			return true;
	}
	return false;
}

/* The extensions that a profile turns on and off. */
static int
check_options(const struct lint *l, const struct profile *p, struct err *e)
{
	bool staple = tosign_ext_find(&l->cert, OID_TLS_FEATURE) != NULL;
	bool nocheck = tosign_ext_find(&l->cert, OID_OCSP_NOCHECK) != NULL;

	if ((staple && p->tls_feature == FEATURE_NEVER) ||
	    (!staple && p->tls_feature == FEATURE_ALWAYS))
		return err_set(
		    e, ERR_REFUSED, "TLS feature is not the profile's");
	if (nocheck != p->ocsp_nocheck)
		return err_set(
		    e, ERR_REFUSED, "ocsp-nocheck is not the profile's");
	if ((l->policies != NULL) != (p->n_policies > 0))
		return err_set(e, ERR_REFUSED,
		    "certificatePolicies are not the profile's");
	if ((l->constraints != NULL) != p->has_constraints)
		return err_set(
		    e, ERR_REFUSED, "nameConstraints are not the profile's");
	return 0;
}

int
lint_profile(const struct lint *l, struct err *e)
{
	const struct profile *p = l->in->profile;
	size_t i;

	if (p == NULL)
		return 0;
	if (l->ca != p->ca || (l->ca && l->path_len != p->path_len))
		return err_set(
		    e, ERR_REFUSED, "basicConstraints are not the profile's");
	if (l->usage_bits != p->key_usage && l->usage_bits != p->key_usage_rsa)
		return err_set(e, ERR_REFUSED, "keyUsage is not the profile's");
	if (l->n_ekus != p->eku.n)
		return err_set(
		    e, ERR_REFUSED, "extKeyUsage is not the profile's");
	for (i = 0; i < p->eku.n; i++) {
		if (!lint_has_eku(l, p->eku.list[i]))
			return err_set(
			    e, ERR_REFUSED, "extKeyUsage is not the profile's");
	}
	if (l->cert.not_after - l->cert.not_before + 1 > p->validity_max_s)
		return err_set(e, ERR_REFUSED,
		    "validity is longer than the profile's maximum");
	if (p->san_required && l->n_names == 0)
		return err_set(
		    e, ERR_REFUSED, "has no subject alternative name");
	return check_options(l, p, e);
}

static int
parse_parts(struct lint *l, struct err *e)
{
	struct arena *a = l->arena;

	if (l->usage != NULL &&
	    tosign_key_usage_parse(l->usage->value, &l->usage_bits, e) == -1)
		return -1;
	if (l->basic != NULL && tosign_basic_constraints_parse(l->basic->value,
				    &l->ca, &l->path_len, e) == -1)
		return -1;
	if (l->san != NULL && tosign_general_names_parse(a, l->san->value,
				  &l->names, &l->n_names, e) == -1)
		return err_prefix(e, "subjectAltName");
	if (l->eku != NULL &&
	    tosign_eku_parse(a, l->eku->value, &l->ekus, &l->n_ekus, e) == -1)
		return -1;
	return tosign_name_parse(a, l->cert.subject, &l->attrs, &l->n_attrs, e);
}

/* The rule "der": everything that can be decoded is DER. */
static int
parse(struct lint *l, struct err *e)
{
	const struct tosign_cert *c = &l->cert;

	if (tosign_cert_parse(l->arena, l->in->tbs, &l->cert, e) == -1)
		return -1;
	l->aki = tosign_ext_find(c, OID_AUTHORITY_KEY_ID);
	l->ski = tosign_ext_find(c, OID_SUBJECT_KEY_ID);
	l->usage = tosign_ext_find(c, OID_KEY_USAGE);
	l->san = tosign_ext_find(c, OID_SUBJECT_ALT_NAME);
	l->basic = tosign_ext_find(c, OID_BASIC_CONSTRAINTS);
	l->eku = tosign_ext_find(c, OID_EXT_KEY_USAGE);
	l->policies = tosign_ext_find(c, OID_CERTIFICATE_POLICIES);
	l->constraints = tosign_ext_find(c, OID_NAME_CONSTRAINTS);
	l->crldp = tosign_ext_find(c, OID_CRL_DISTRIBUTION_POINTS);
	l->aia = tosign_ext_find(c, OID_AUTHORITY_INFO_ACCESS);
	l->path_len = -1;
	return parse_parts(l, e);
}

static int
refuse(struct arena *a, const struct lint_input *in, const char *name,
    const char *section, struct err *e)
{
	if (e->kind != ERR_INTERNAL)
		e->kind = ERR_REFUSED;
	policy_note(
	    a, in->trail, arena_printf(a, "lint %s", name), false, e->text);
	return err_prefix(e, "lint %s (%s)", name, section);
}

size_t
lint_broken(struct arena *a, const struct lint_input *in, const char **names)
{
	struct lint l = { .arena = a, .in = in };
	struct err ignored;
	size_t i, n = 0;

	if (parse(&l, &ignored) == -1) {
		names[0] = "der";
		return 1;
	}
	for (i = 0; i < N_RULES; i++) {
		if (rules[i].check(&l, &ignored) == -1)
			names[n++] = rules[i].name;
	}
	return n;
}

int
lint_check(struct arena *a, const struct lint_input *in, struct err *e)
{
	struct lint l = { .arena = a, .in = in };
	size_t i;

	if (parse(&l, e) == -1)
		return refuse(a, in, "der", "RFC 5280 4.1", e);
	for (i = 0; i < N_RULES; i++) {
		if (rules[i].check(&l, e) == -1)
			return refuse(
			    a, in, rules[i].name, rules[i].section, e);
	}
	policy_note(a, in->trail, "lint", true,
	    arena_printf(a, "%zu rules hold", N_RULES + 1));
	return 0;
}
