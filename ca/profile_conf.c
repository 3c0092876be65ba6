#include "ca/profile_conf.h"

#include <cyaml/cyaml.h>

#define OPT CYAML_FLAG_OPTIONAL
#define PTR CYAML_FLAG_POINTER
#define STR(key, flags, type, member)                                          \
	CYAML_FIELD_STRING_PTR(                                                \
	    key, CYAML_FLAG_POINTER | (flags), type, member, 1, 4096)
#define STRINGS(key, flags, type, member)                                      \
	CYAML_FIELD_SEQUENCE(key, CYAML_FLAG_POINTER | (flags), type, member,  \
	    &string_entry, 0, 1024)

static const cyaml_schema_value_t string_entry = {
	CYAML_VALUE_STRING(CYAML_FLAG_POINTER, char *, 1, 1024),
};

static const cyaml_schema_field_t allow_fields[] = {
	STRINGS("protocols", 0, struct profile_conf_allow, protocols),
	STRINGS("principals", OPT, struct profile_conf_allow, principals),
	CYAML_FIELD_END,
};
static const cyaml_schema_value_t allow_entry = {
	CYAML_VALUE_MAPPING(
	    CYAML_FLAG_DEFAULT, struct profile_conf_allow, allow_fields),
};

static const cyaml_schema_field_t fixed_fields[] = {
	STR("type", 0, struct profile_conf_fixed, type),
	STR("value", 0, struct profile_conf_fixed, value),
	CYAML_FIELD_END,
};
static const cyaml_schema_value_t fixed_entry = {
	CYAML_VALUE_MAPPING(
	    CYAML_FLAG_DEFAULT, struct profile_conf_fixed, fixed_fields),
};

static const cyaml_schema_field_t attr_fields[] = {
	STR("type", 0, struct profile_conf_attr, type),
	STR("pattern", OPT, struct profile_conf_attr, pattern),
	CYAML_FIELD_BOOL("from-san", OPT, struct profile_conf_attr, from_san),
	CYAML_FIELD_BOOL("required", OPT, struct profile_conf_attr, required),
	CYAML_FIELD_UINT("max", OPT, struct profile_conf_attr, max),
	CYAML_FIELD_END,
};
static const cyaml_schema_value_t attr_entry = {
	CYAML_VALUE_MAPPING(
	    CYAML_FLAG_DEFAULT, struct profile_conf_attr, attr_fields),
};

static const cyaml_schema_field_t subject_fields[] = {
	CYAML_FIELD_SEQUENCE("fixed", PTR | OPT, struct profile_conf_subject,
	    fixed, &fixed_entry, 0, DN_ATTRS_MAX),
	CYAML_FIELD_SEQUENCE("allowed", PTR | OPT, struct profile_conf_subject,
	    allowed, &attr_entry, 0, DN_ATTRS_MAX),
	CYAML_FIELD_END,
};

static const cyaml_schema_field_t san_pattern_fields[] = {
	STRINGS("patterns", 0, struct profile_conf_san_type, patterns),
	CYAML_FIELD_UINT("max", OPT, struct profile_conf_san_type, max),
	CYAML_FIELD_END,
};
static const cyaml_schema_field_t san_dns_fields[] = {
	STRINGS("patterns", 0, struct profile_conf_san_type, patterns),
	CYAML_FIELD_UINT("max", OPT, struct profile_conf_san_type, max),
	CYAML_FIELD_BOOL(
	    "wildcard", OPT, struct profile_conf_san_type, wildcard),
	CYAML_FIELD_END,
};
static const cyaml_schema_field_t san_ip_fields[] = {
	STRINGS("ranges", 0, struct profile_conf_san_type, ranges),
	CYAML_FIELD_UINT("max", OPT, struct profile_conf_san_type, max),
	CYAML_FIELD_END,
};

#define SAN_TYPE(key, index, fields)                                           \
	CYAML_FIELD_MAPPING_PTR(                                               \
	    key, PTR | OPT, struct profile_conf_san, types[index], fields)
static const cyaml_schema_field_t san_fields[] = {
	CYAML_FIELD_BOOL("required", OPT, struct profile_conf_san, required),
	CYAML_FIELD_UINT("max", OPT, struct profile_conf_san, max),
	SAN_TYPE("dns", PROFILE_SAN_DNS, san_dns_fields),
	SAN_TYPE("ip", PROFILE_SAN_IP, san_ip_fields),
	SAN_TYPE("email", PROFILE_SAN_EMAIL, san_pattern_fields),
	SAN_TYPE("uri", PROFILE_SAN_URI, san_pattern_fields),
	SAN_TYPE("upn", PROFILE_SAN_UPN, san_pattern_fields),
	CYAML_FIELD_END,
};

static const cyaml_schema_field_t rsa_fields[] = {
	CYAML_FIELD_UINT(
	    "min", CYAML_FLAG_DEFAULT, struct profile_conf_rsa, min),
	CYAML_FIELD_UINT(
	    "max", CYAML_FLAG_DEFAULT, struct profile_conf_rsa, max),
	CYAML_FIELD_END,
};
static const cyaml_schema_field_t keys_fields[] = {
	CYAML_FIELD_MAPPING_PTR(
	    "rsa", PTR | OPT, struct profile_conf_keys, rsa, rsa_fields),
	STRINGS("ec", OPT, struct profile_conf_keys, ec),
	CYAML_FIELD_BOOL("ed25519", OPT, struct profile_conf_keys, ed25519),
	CYAML_FIELD_END,
};

static const cyaml_schema_field_t validity_fields[] = {
	STR("default", 0, struct profile_conf_validity, def),
	STR("max", 0, struct profile_conf_validity, max),
	STR("backdate", OPT, struct profile_conf_validity, backdate),
	CYAML_FIELD_END,
};

static const cyaml_schema_field_t policy_fields[] = {
	STR("oid", 0, struct profile_conf_policy, oid),
	STR("cps", OPT, struct profile_conf_policy, cps),
	STR("notice", OPT, struct profile_conf_policy, notice),
	CYAML_FIELD_END,
};
static const cyaml_schema_value_t policy_entry = {
	CYAML_VALUE_MAPPING(
	    CYAML_FLAG_DEFAULT, struct profile_conf_policy, policy_fields),
};

static const cyaml_schema_field_t basic_fields[] = {
	CYAML_FIELD_BOOL(
	    "ca", CYAML_FLAG_DEFAULT, struct profile_conf_basic, ca),
	CYAML_FIELD_INT("path-length", CYAML_FLAG_DEFAULT,
	    struct profile_conf_basic, path_len),
	CYAML_FIELD_END,
};

static const cyaml_schema_field_t subtrees_fields[] = {
	STRINGS("dns", OPT, struct profile_conf_subtrees, dns),
	STRINGS("email", OPT, struct profile_conf_subtrees, email),
	STRINGS("ip", OPT, struct profile_conf_subtrees, ip),
	CYAML_FIELD_END,
};
static const cyaml_schema_field_t constraints_fields[] = {
	CYAML_FIELD_MAPPING_PTR("permitted", PTR | OPT,
	    struct profile_conf_constraints, permitted, subtrees_fields),
	CYAML_FIELD_MAPPING_PTR("excluded", PTR | OPT,
	    struct profile_conf_constraints, excluded, subtrees_fields),
	CYAML_FIELD_END,
};

/* RFC 5280 4.2.1.3 */
static const cyaml_strval_t usages[] = {
	{ "digitalSignature", 1 << 0 },
	{ "contentCommitment", 1 << 1 },
	{ "keyEncipherment", 1 << 2 },
	{ "dataEncipherment", 1 << 3 },
	{ "keyAgreement", 1 << 4 },
	{ "keyCertSign", 1 << 5 },
	{ "cRLSign", 1 << 6 },
	{ "encipherOnly", 1 << 7 },
	{ "decipherOnly", 1 << 8 },
};

static const cyaml_strval_t features[] = {
	{ "never", FEATURE_NEVER },
	{ "optional", FEATURE_OPTIONAL },
	{ "always", FEATURE_ALWAYS },
};

static const cyaml_schema_field_t clients_fields[] = {
	STRINGS("issuers", OPT, struct profile_conf_clients, issuers),
	STRINGS("trust-anchors", OPT, struct profile_conf_clients, anchors),
	STR("expired", OPT, struct profile_conf_clients, expired),
	CYAML_FIELD_BOOL(
	    "any-name", OPT, struct profile_conf_clients, any_name),
	CYAML_FIELD_END,
};

static const cyaml_schema_field_t est_fields[] = {
	CYAML_FIELD_BOOL(
	    "channel-binding", OPT, struct profile_conf_est, binding),
	CYAML_FIELD_BOOL("wrap-lines", OPT, struct profile_conf_est, wrap),
	STR("server-keygen", OPT, struct profile_conf_est, server_key),
	CYAML_FIELD_END,
};

static const cyaml_schema_field_t profile_fields[] = {
	STR("name", 0, struct profile_conf, name),
	STR("description", OPT, struct profile_conf, description),
	STRINGS("issuers", 0, struct profile_conf, issuers),
	CYAML_FIELD_SEQUENCE(
	    "allow", PTR, struct profile_conf, allow, &allow_entry, 1, 64),
	CYAML_FIELD_MAPPING_PTR(
	    "subject", PTR | OPT, struct profile_conf, subject, subject_fields),
	CYAML_FIELD_MAPPING_PTR(
	    "san", PTR | OPT, struct profile_conf, san, san_fields),
	CYAML_FIELD_MAPPING(
	    "keys", CYAML_FLAG_DEFAULT, struct profile_conf, keys, keys_fields),
	CYAML_FIELD_MAPPING("validity", CYAML_FLAG_DEFAULT, struct profile_conf,
	    validity, validity_fields),
	CYAML_FIELD_FLAGS("key-usage", CYAML_FLAG_STRICT, struct profile_conf,
	    key_usage, usages, CYAML_ARRAY_LEN(usages)),
	CYAML_FIELD_FLAGS("key-usage-rsa", CYAML_FLAG_STRICT | OPT,
	    struct profile_conf, key_usage_rsa, usages,
	    CYAML_ARRAY_LEN(usages)),
	STRINGS("extended-key-usage", OPT, struct profile_conf, eku),
	CYAML_FIELD_SEQUENCE("policies", PTR | OPT, struct profile_conf,
	    policies, &policy_entry, 0, 16),
	CYAML_FIELD_ENUM("tls-feature", CYAML_FLAG_STRICT | OPT,
	    struct profile_conf, tls_feature, features,
	    CYAML_ARRAY_LEN(features)),
	CYAML_FIELD_MAPPING_PTR("basic-constraints", PTR | OPT,
	    struct profile_conf, basic, basic_fields),
	CYAML_FIELD_MAPPING_PTR("name-constraints", PTR | OPT,
	    struct profile_conf, constraints, constraints_fields),
	CYAML_FIELD_BOOL(
	    "ocsp-nocheck", OPT, struct profile_conf, ocsp_nocheck),
	CYAML_FIELD_BOOL(
	    "crl-distribution-points", OPT, struct profile_conf, crldp),
	CYAML_FIELD_BOOL(
	    "authority-info-access", OPT, struct profile_conf, aia),
	CYAML_FIELD_BOOL("approval", OPT, struct profile_conf, approval),
	CYAML_FIELD_UINT("per-hour", OPT, struct profile_conf, per_hour),
	CYAML_FIELD_MAPPING_PTR(
	    "clients", PTR | OPT, struct profile_conf, clients, clients_fields),
	CYAML_FIELD_MAPPING_PTR(
	    "est", PTR | OPT, struct profile_conf, est, est_fields),
	CYAML_FIELD_END,
};

static const cyaml_schema_value_t profile_schema = {
	CYAML_VALUE_MAPPING(
	    CYAML_FLAG_POINTER, struct profile_conf, profile_fields),
};

const struct cyaml_schema_value *
profile_conf_schema(void)
{
	return &profile_schema;
}

const char *
profile_conf_usage_name(unsigned bit)
{
	return bit < CYAML_ARRAY_LEN(usages) ? usages[bit].str : "unknown";
}
