#include "ctl/ceremony_conf.h"

#include <cyaml/cyaml.h>

#define OPT CYAML_FLAG_OPTIONAL
#define STR(key, flags, type, member)                                          \
	CYAML_FIELD_STRING_PTR(                                                \
	    key, CYAML_FLAG_POINTER | (flags), type, member, 1, 4096)
#define STRINGS(key, type, member)                                             \
	CYAML_FIELD_SEQUENCE(                                                  \
	    key, CYAML_FLAG_POINTER | OPT, type, member, &string_entry, 0, 64)

static const cyaml_schema_value_t string_entry = {
	CYAML_VALUE_STRING(CYAML_FLAG_POINTER, char *, 1, 4096),
};

static const cyaml_schema_field_t key_fields[] = {
	STR("module", OPT, struct ceremony_key, module),
	STR("uri", OPT, struct ceremony_key, uri),
	STR("pin-file", OPT, struct ceremony_key, pin_file),
	STR("pin-credential", OPT, struct ceremony_key, pin_credential),
	STR("keyfile", OPT, struct ceremony_key, keyfile),
	STR("passphrase-file", OPT, struct ceremony_key, passphrase_file),
	STR("passphrase-credential", OPT, struct ceremony_key,
	    passphrase_credential),
	STRINGS("environment", struct ceremony_key, environment),
	CYAML_FIELD_END,
};

static const cyaml_schema_field_t token_fields[] = {
	STR("module", 0, struct ceremony_token, module),
	STR("label", 0, struct ceremony_token, label),
	STR("so-pin-file", 0, struct ceremony_token, so_pin_file),
	STR("pin-file", 0, struct ceremony_token, pin_file),
	STRINGS("environment", struct ceremony_token, environment),
	CYAML_FIELD_END,
};

static const cyaml_schema_value_t token_entry = {
	CYAML_VALUE_MAPPING(
	    CYAML_FLAG_DEFAULT, struct ceremony_token, token_fields),
};

static const cyaml_schema_field_t authority_fields[] = {
	STR("name", 0, struct ceremony_authority, name),
	STR("subject", 0, struct ceremony_authority, subject),
	STR("algorithm", OPT, struct ceremony_authority, algorithm),
	STR("validity", 0, struct ceremony_authority, validity),
	STR("issuer", 0, struct ceremony_authority, issuer),
	CYAML_FIELD_MAPPING_PTR("key", CYAML_FLAG_POINTER | OPT,
	    struct ceremony_authority, key, key_fields),
	STR("certificate", 0, struct ceremony_authority, certificate),
	STR("chain", OPT, struct ceremony_authority, chain),
	STR("csr", OPT, struct ceremony_authority, csr),
	CYAML_FIELD_INT(
	    "path-length", OPT, struct ceremony_authority, path_length),
	STRINGS("extended-key-usage", struct ceremony_authority, eku),
	STRINGS("crl-urls", struct ceremony_authority, crl_urls),
	STRINGS("ca-issuers-urls", struct ceremony_authority, ca_issuers_urls),
	CYAML_FIELD_END,
};

static const cyaml_schema_value_t authority_entry = {
	CYAML_VALUE_MAPPING(
	    CYAML_FLAG_DEFAULT, struct ceremony_authority, authority_fields),
};

static const cyaml_schema_field_t ceremony_fields[] = {
	STR("transcript", 0, struct ceremony_conf, transcript),
	CYAML_FIELD_SEQUENCE("tokens", CYAML_FLAG_POINTER | OPT,
	    struct ceremony_conf, tokens, &token_entry, 0, 16),
	CYAML_FIELD_SEQUENCE("authorities", CYAML_FLAG_POINTER,
	    struct ceremony_conf, authorities, &authority_entry, 1, 64),
	CYAML_FIELD_END,
};

static const cyaml_schema_value_t ceremony_schema = {
	CYAML_VALUE_MAPPING(
	    CYAML_FLAG_POINTER, struct ceremony_conf, ceremony_fields),
};

const struct cyaml_schema_value *
ceremony_conf_schema(void)
{
	return &ceremony_schema;
}
