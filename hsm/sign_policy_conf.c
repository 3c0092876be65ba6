/* The schema of keys.yaml, as keys.yaml(5) describes it. */
#include "hsm/sign_policy_conf.h"

#include <cyaml/cyaml.h>

#include "hsm/sign_client.h"

#define OPT (CYAML_FLAG_POINTER | CYAML_FLAG_OPTIONAL)

#define STR(name, type, member)                                                \
	CYAML_FIELD_STRING_PTR(                                                \
	    name, CYAML_FLAG_POINTER, type, member, 1, CYAML_UNLIMITED)
#define STR_OPT(name, type, member)                                            \
	CYAML_FIELD_STRING_PTR(name, OPT, type, member, 1, CYAML_UNLIMITED)
#define STRS_OPT(name, type, member)                                           \
	CYAML_FIELD_SEQUENCE(                                                  \
	    name, OPT, type, member, &string_value, 0, CYAML_UNLIMITED)

static const cyaml_schema_value_t string_value = {
	CYAML_VALUE_STRING(CYAML_FLAG_POINTER, char *, 1, CYAML_UNLIMITED),
};

static const cyaml_strval_t roles[] = {
	{ "enroll", SIGN_ROLE_ENROLL },
	{ "oper", SIGN_ROLE_OPER },
	{ "pub", SIGN_ROLE_PUB },
};

static const cyaml_strval_t kinds[] = {
	{ "certificate", SIGN_CERT },
	{ "crl", SIGN_CRL },
	{ "responder", SIGN_RESPONDER },
};

static const cyaml_schema_field_t callers_fields[] = {
	STRS_OPT("enroll", struct yaml_callers, enroll),
	STRS_OPT("oper", struct yaml_callers, oper),
	STRS_OPT("pub", struct yaml_callers, pub),
	CYAML_FIELD_END,
};

static const cyaml_schema_field_t token_fields[] = {
	STR("name", struct yaml_token, name),
	STR("module", struct yaml_token, module),
	STR_OPT("pin-file", struct yaml_token, pin.file),
	STR_OPT("pin-credential", struct yaml_token, pin.credential),
	CYAML_FIELD_BOOL(
	    "pin-prompt", CYAML_FLAG_OPTIONAL, struct yaml_token, pin.prompt),
	CYAML_FIELD_END,
};

static const cyaml_schema_value_t token_value = {
	CYAML_VALUE_MAPPING(
	    CYAML_FLAG_DEFAULT, struct yaml_token, token_fields),
};

static const cyaml_schema_field_t key_fields[] = {
	STR("name", struct yaml_key, name),
	STR("certificate", struct yaml_key, certificate),
	STR_OPT("token", struct yaml_key, token),
	STR_OPT("uri", struct yaml_key, uri),
	STR_OPT("keyfile", struct yaml_key, keyfile),
	STR_OPT("passphrase-file", struct yaml_key, passphrase.file),
	STR_OPT(
	    "passphrase-credential", struct yaml_key, passphrase.credential),
	CYAML_FIELD_BOOL("passphrase-prompt", CYAML_FLAG_OPTIONAL,
	    struct yaml_key, passphrase.prompt),
	CYAML_FIELD_END,
};

static const cyaml_schema_value_t key_value = {
	CYAML_VALUE_MAPPING(CYAML_FLAG_DEFAULT, struct yaml_key, key_fields),
};

static const cyaml_schema_field_t attribute_fields[] = {
	STR("attribute", struct yaml_attribute, attribute),
	CYAML_FIELD_SEQUENCE("values", CYAML_FLAG_POINTER,
	    struct yaml_attribute, values, &string_value, 1, CYAML_UNLIMITED),
	CYAML_FIELD_UINT(
	    "max", CYAML_FLAG_OPTIONAL, struct yaml_attribute, max),
	CYAML_FIELD_BOOL(
	    "from-san", CYAML_FLAG_OPTIONAL, struct yaml_attribute, from_san),
	CYAML_FIELD_END,
};

static const cyaml_schema_value_t attribute_value = {
	CYAML_VALUE_MAPPING(
	    CYAML_FLAG_DEFAULT, struct yaml_attribute, attribute_fields),
};

static const cyaml_schema_field_t san_fields[] = {
	STRS_OPT("dns", struct yaml_san, dns),
	STRS_OPT("ip", struct yaml_san, ip),
	STRS_OPT("email", struct yaml_san, email),
	STRS_OPT("uri", struct yaml_san, uri),
	STRS_OPT("upn", struct yaml_san, upn),
	CYAML_FIELD_UINT("max", CYAML_FLAG_OPTIONAL, struct yaml_san, max),
	CYAML_FIELD_BOOL(
	    "wildcard", CYAML_FLAG_OPTIONAL, struct yaml_san, wildcard),
	CYAML_FIELD_END,
};

static const cyaml_schema_field_t class_fields[] = {
	STR("name", struct yaml_class, name),
	STR("key", struct yaml_class, key),
	CYAML_FIELD_ENUM("caller", CYAML_FLAG_STRICT, struct yaml_class, caller,
	    roles, CYAML_ARRAY_LEN(roles)),
	CYAML_FIELD_ENUM("kind", CYAML_FLAG_STRICT, struct yaml_class, kind,
	    kinds, CYAML_ARRAY_LEN(kinds)),
	/* which of these a kind needs, sign_policy_class says */
	STRS_OPT("eku", struct yaml_class, eku),
	STRS_OPT("key-usage", struct yaml_class, key_usage),
	STRS_OPT("extensions", struct yaml_class, extensions),
	STRS_OPT("aia", struct yaml_class, aia),
	STRS_OPT("crl-distribution-points", struct yaml_class, crldp),
	STRS_OPT("freshest-crl", struct yaml_class, freshest),
	CYAML_FIELD_UINT("crl-partitions", CYAML_FLAG_OPTIONAL,
	    struct yaml_class, crl_partitions),
	CYAML_FIELD_BOOL("ca", CYAML_FLAG_OPTIONAL, struct yaml_class, ca),
	CYAML_FIELD_UINT(
	    "path-len", CYAML_FLAG_OPTIONAL, struct yaml_class, path_len),
	CYAML_FIELD_SEQUENCE("subject", OPT, struct yaml_class, subject,
	    &attribute_value, 0, CYAML_UNLIMITED),
	CYAML_FIELD_MAPPING_PTR("san", OPT, struct yaml_class, san, san_fields),
	STR("max-validity", struct yaml_class, max_validity),
	STR_OPT("backdate", struct yaml_class, backdate),
	STRS_OPT("approvers", struct yaml_class, approvers),
	CYAML_FIELD_UINT(
	    "approvals", CYAML_FLAG_OPTIONAL, struct yaml_class, approvals),
	CYAML_FIELD_UINT(
	    "crl-loss-allowance", CYAML_FLAG_OPTIONAL, struct yaml_class, loss),
	CYAML_FIELD_END,
};

static const cyaml_schema_value_t class_value = {
	CYAML_VALUE_MAPPING(
	    CYAML_FLAG_DEFAULT, struct yaml_class, class_fields),
};

static const cyaml_schema_field_t approver_fields[] = {
	STR("name", struct yaml_approver, name),
	STR("public-key", struct yaml_approver, public_key),
	CYAML_FIELD_END,
};

static const cyaml_schema_value_t approver_value = {
	CYAML_VALUE_MAPPING(
	    CYAML_FLAG_DEFAULT, struct yaml_approver, approver_fields),
};

static const cyaml_schema_field_t responder_fields[] = {
	STR("name", struct yaml_responder, name),
	STR("key", struct yaml_responder, key),
	CYAML_FIELD_SEQUENCE("issuers", CYAML_FLAG_POINTER,
	    struct yaml_responder, issuers, &string_value, 1, 256),
	STR_OPT("max-validity", struct yaml_responder, max_validity),
	CYAML_FIELD_UINT(
	    "per-hour", CYAML_FLAG_OPTIONAL, struct yaml_responder, per_hour),
	CYAML_FIELD_END,
};

static const cyaml_schema_value_t responder_value = {
	CYAML_VALUE_MAPPING(
	    CYAML_FLAG_DEFAULT, struct yaml_responder, responder_fields),
};

static const cyaml_schema_field_t top_fields[] = {
	CYAML_FIELD_UINT("node", CYAML_FLAG_DEFAULT, struct yaml_keys, node),
	CYAML_FIELD_UINT("slots", CYAML_FLAG_DEFAULT, struct yaml_keys, slots),
	CYAML_FIELD_MAPPING_PTR(
	    "callers", OPT, struct yaml_keys, callers, callers_fields),
	CYAML_FIELD_SEQUENCE(
	    "tokens", OPT, struct yaml_keys, tokens, &token_value, 0, 64),
	CYAML_FIELD_SEQUENCE("keys", CYAML_FLAG_POINTER, struct yaml_keys, keys,
	    &key_value, 1, 256),
	CYAML_FIELD_SEQUENCE("classes", CYAML_FLAG_POINTER, struct yaml_keys,
	    classes, &class_value, 0, 1024),
	CYAML_FIELD_SEQUENCE("approvers", OPT, struct yaml_keys, approvers,
	    &approver_value, 0, 256),
	CYAML_FIELD_SEQUENCE("responders", OPT, struct yaml_keys, responders,
	    &responder_value, 0, 256),
	CYAML_FIELD_END,
};

const cyaml_schema_value_t sign_policy_schema = {
	CYAML_VALUE_MAPPING(CYAML_FLAG_POINTER, struct yaml_keys, top_fields),
};
