/*
 * The YAML form of a profile, as libcyaml loads it, and the way from there to
 * the immutable form.  Only profile*.c include this.
 */
#ifndef CA_PROFILE_CONF_H
#define CA_PROFILE_CONF_H

#include <stdbool.h>
#include <stdint.h>

#include "ca/profile.h"

struct conf;
struct cyaml_schema_value;

struct profile_conf_strings {
	const char **list;
	unsigned list_count;
};

struct profile_conf_allow {
	const char **protocols, **principals;
	unsigned protocols_count, principals_count;
};

struct profile_conf_fixed {
	const char *type, *value;
};

struct profile_conf_attr {
	const char *type, *pattern;
	bool from_san, required;
	unsigned max;
};

struct profile_conf_subject {
	struct profile_conf_fixed *fixed;
	struct profile_conf_attr *allowed;
	unsigned fixed_count, allowed_count;
};

struct profile_conf_san_type {
	const char **patterns, **ranges;
	unsigned patterns_count, ranges_count, max;
	bool wildcard;
};

struct profile_conf_san {
	bool required;
	unsigned max;
	struct profile_conf_san_type *types[PROFILE_SAN__COUNT];
};

struct profile_conf_rsa {
	unsigned min, max;
};

struct profile_conf_keys {
	struct profile_conf_rsa *rsa;
	const char **ec;
	unsigned ec_count;
	bool ed25519;
};

struct profile_conf_validity {
	const char *def, *max, *backdate;
};

struct profile_conf_policy {
	const char *oid, *cps, *notice;
};

struct profile_conf_basic {
	bool ca;
	int path_len;
};

struct profile_conf_subtrees {
	const char **dns, **email, **ip;
	unsigned dns_count, email_count, ip_count;
};

struct profile_conf_constraints {
	struct profile_conf_subtrees *permitted, *excluded;
};

struct profile_conf_clients {
	const char **issuers, **anchors;
	unsigned issuers_count, anchors_count;
	const char *expired;
	bool any_name;
};

struct profile_conf_est {
	bool binding, wrap;
	const char *server_key;
};

struct profile_conf {
	const char *name, *description;
	const char **issuers, **eku;
	unsigned issuers_count, eku_count;
	struct profile_conf_allow *allow;
	unsigned allow_count;
	struct profile_conf_subject *subject;
	struct profile_conf_san *san;
	struct profile_conf_keys keys;
	struct profile_conf_validity validity;
	uint32_t key_usage, key_usage_rsa;
	struct profile_conf_policy *policies;
	unsigned policies_count;
	enum profile_feature tls_feature;
	struct profile_conf_basic *basic;
	struct profile_conf_constraints *constraints;
	bool ocsp_nocheck, crldp, aia, approval;
	unsigned per_hour;
	struct profile_conf_clients *clients;
	struct profile_conf_est *est;
};

/* The schema of struct profile_conf. */
const struct cyaml_schema_value *profile_conf_schema(void);

/*
 * Makes the immutable form in the arena; MALFORMED with file and line when the
 * values do not make sense together.
 */
int profile_build(struct arena *a, const struct conf *conf, struct profile *out,
    struct err *e) MUST_USE;

/* Steps of profile_build, in a file of their own. */
int profile_build_clients(struct arena *a, const struct conf *conf,
    struct profile *out, struct err *e) MUST_USE;
int profile_build_est(struct arena *a, const struct conf *conf,
    struct profile *out, struct err *e) MUST_USE;

/* A copy of the list in the arena. */
struct profile_strings profile_copy_strings(
    struct arena *a, const char *const *list, size_t n);

/* The name of key usage bit 'bit' (0 to 8). */
const char *profile_conf_usage_name(unsigned bit);

#endif
