/*
 * keys.yaml as base/conf loads it, before sign_policy_load has checked it and
 * resolved its references.
 */
#ifndef HSM_SIGN_POLICY_CONF_H
#define HSM_SIGN_POLICY_CONF_H

#include <stdbool.h>
#include <stdint.h>

#include "hsm/sign_policy.h"

struct cyaml_schema_value;

struct yaml_secret {
	char *file, *credential;
	bool prompt;
};

struct yaml_callers {
	char **enroll, **oper, **pub;
	uint32_t enroll_count, oper_count, pub_count;
};

struct yaml_token {
	char *name, *module;
	struct yaml_secret pin;
};

struct yaml_key {
	char *name, *certificate, *token, *uri, *keyfile;
	struct yaml_secret passphrase;
};

struct yaml_attribute {
	char *attribute;
	char **values;
	uint32_t values_count;
	uint32_t max;
	bool from_san;
};

struct yaml_san {
	char **dns, **ip, **email, **uri, **upn;
	uint32_t dns_count, ip_count, email_count, uri_count, upn_count;
	uint32_t max;
	bool wildcard;
};

struct yaml_class {
	char *name, *key;
	enum sign_role caller;
	enum sign_kind kind;
	char **eku, **key_usage, **extensions, **aia, **crldp, **freshest;
	uint32_t eku_count, key_usage_count, extensions_count, aia_count;
	uint32_t crldp_count, freshest_count, crl_partitions;
	bool ca;
	uint32_t path_len;
	struct yaml_attribute *subject;
	uint32_t subject_count;
	struct yaml_san *san;
	char *max_validity, *backdate;
	char **approvers;
	uint32_t approvers_count;
	uint32_t approvals;
	uint32_t loss; /* crl-loss-allowance, percent */
};

struct yaml_approver {
	char *name, *public_key;
};

struct yaml_responder {
	char *name, *key, *max_validity;
	char **issuers;
	uint32_t issuers_count;
	uint32_t per_hour;
};

struct yaml_keys {
	uint32_t node, slots;
	struct yaml_callers *callers;
	struct yaml_token *tokens;
	uint32_t tokens_count;
	struct yaml_key *keys;
	uint32_t keys_count;
	struct yaml_class *classes;
	uint32_t classes_count;
	struct yaml_approver *approvers;
	uint32_t approvers_count;
	struct yaml_responder *responders;
	uint32_t responders_count;
};

/* The schema; its data is a struct yaml_keys. */
extern const struct cyaml_schema_value sign_policy_schema;

#endif
