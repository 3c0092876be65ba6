/* The schema of chancery.yaml, as chancery.yaml(5) describes it. */
#include "base/settings_conf.h"

#include <cyaml/cyaml.h>

#define OPT CYAML_FLAG_OPTIONAL
#define PTR CYAML_FLAG_POINTER
#define STR(key, flags, type, member)                                          \
	CYAML_FIELD_STRING_PTR(                                                \
	    key, CYAML_FLAG_POINTER | (flags), type, member, 1, 4096)
#define STRINGS(key, type, member)                                             \
	CYAML_FIELD_SEQUENCE(key, CYAML_FLAG_POINTER | OPT, type, member,      \
	    &string_entry, 0, 1024)
#define UINT(key, type, member) CYAML_FIELD_UINT(key, OPT, type, member)

static const cyaml_schema_value_t string_entry = {
	CYAML_VALUE_STRING(CYAML_FLAG_POINTER, char *, 1, 4096),
};

static const cyaml_schema_field_t listen_fields[] = {
	STR("address", 0, struct settings_listen, address),
	CYAML_FIELD_UINT(
	    "port", CYAML_FLAG_DEFAULT, struct settings_listen, port),
	CYAML_FIELD_BOOL("tls", OPT, struct settings_listen, tls),
	CYAML_FIELD_END,
};
static const cyaml_schema_value_t listen_entry = {
	CYAML_VALUE_MAPPING(
	    CYAML_FLAG_DEFAULT, struct settings_listen, listen_fields),
};

static const cyaml_schema_field_t crl_fields[] = {
	STR("interval", OPT, struct settings_crl, interval),
	STR("overlap", OPT, struct settings_crl, overlap),
	STR("min-gap", OPT, struct settings_crl, min_gap),
	STR("delta-interval", OPT, struct settings_crl, delta_interval),
	CYAML_FIELD_BOOL_PTR(
	    "on-revocation", PTR | OPT, struct settings_crl, on_revocation),
	CYAML_FIELD_BOOL(
	    "keep-expired", OPT, struct settings_crl, keep_expired),
	CYAML_FIELD_END,
};

static const cyaml_schema_field_t issuer_fields[] = {
	STR("name", 0, struct settings_issuer, name),
	STR("certificate", 0, struct settings_issuer, certificate),
	STR("chain", 0, struct settings_issuer, chain),
	STRINGS("crl-urls", struct settings_issuer, crl_urls),
	STRINGS("ocsp-urls", struct settings_issuer, ocsp_urls),
	STRINGS("ca-issuers-urls", struct settings_issuer, ca_issuers_urls),
	STRINGS("freshest-crl-urls", struct settings_issuer, freshest_crl_urls),
	UINT("crl-partitions", struct settings_issuer, crl_partitions),
	CYAML_FIELD_MAPPING(
	    "crl", OPT, struct settings_issuer, crl, crl_fields),
	CYAML_FIELD_END,
};
static const cyaml_schema_value_t issuer_entry = {
	CYAML_VALUE_MAPPING(
	    CYAML_FLAG_DEFAULT, struct settings_issuer, issuer_fields),
};

static const cyaml_schema_field_t resolve_fields[] = {
	STR("suffix", 0, struct settings_resolve, suffix),
	STR("address", 0, struct settings_resolve, address),
	CYAML_FIELD_END,
};
static const cyaml_schema_value_t resolve_entry = {
	CYAML_VALUE_MAPPING(
	    CYAML_FLAG_DEFAULT, struct settings_resolve, resolve_fields),
};

static const cyaml_schema_field_t vald_fields[] = {
	UINT("http-port", struct settings_vald, http_port),
	UINT("https-port", struct settings_vald, https_port),
	UINT("tls-alpn-port", struct settings_vald, tls_alpn_port),
	STRINGS("allow-networks", struct settings_vald, allow_networks),
	STRINGS("deny-networks", struct settings_vald, deny_networks),
	STR("dns-server", OPT, struct settings_vald, dns_server),
	STR("timeout", OPT, struct settings_vald, timeout),
	CYAML_FIELD_SEQUENCE("resolve", PTR | OPT, struct settings_vald,
	    resolve, &resolve_entry, 0, 64),
	UINT("workers", struct settings_vald, workers),
	UINT("attempts", struct settings_vald, attempts),
	CYAML_FIELD_END,
};

static const cyaml_schema_field_t ocsp_fields[] = {
	STR("address", OPT, struct settings_ocsp, address),
	UINT("port", struct settings_ocsp, port),
	STR("host", OPT, struct settings_ocsp, host),
	STR("host-key", OPT, struct settings_ocsp, host_key),
	STR("read-database", OPT, struct settings_ocsp, read_database),
	STR("files", OPT, struct settings_ocsp, files),
	STR("snapshot", OPT, struct settings_ocsp, snapshot),
	STR("unknown", OPT, struct settings_ocsp, unknown),
	STR("validity", OPT, struct settings_ocsp, validity),
	STR("stale", OPT, struct settings_ocsp, stale),
	STR("certificate-lifetime", OPT, struct settings_ocsp,
	    certificate_lifetime),
	STR("snapshot-interval", OPT, struct settings_ocsp, snapshot_interval),
	UINT("cache", struct settings_ocsp, cache),
	UINT("threads", struct settings_ocsp, threads),
	UINT("connections", struct settings_ocsp, connections),
	CYAML_FIELD_END,
};

static const cyaml_schema_field_t acme_fields[] = {
	STR("profile", 0, struct settings_acme, profile),
	STR("terms-of-service", OPT, struct settings_acme, terms_of_service),
	STR("website", OPT, struct settings_acme, website),
	STRINGS("caa-identities", struct settings_acme, caa_identities),
	UINT("names-max", struct settings_acme, names_max),
	STR("order-lifetime", OPT, struct settings_acme, order_lifetime),
	STR("authorization-lifetime", OPT, struct settings_acme,
	    authz_lifetime),
	CYAML_FIELD_END,
};

static const cyaml_schema_field_t est_fields[] = {
	STR("profile", OPT, struct settings_est, profile),
	STR("repeat", OPT, struct settings_est, repeat),
	STR("retry-after", OPT, struct settings_est, retry_after),
	CYAML_FIELD_END,
};

static const cyaml_schema_field_t users_fields[] = {
	STR("enroll", OPT, struct settings_users, enroll),
	STR("vald", OPT, struct settings_users, vald),
	STR("signd", OPT, struct settings_users, signd),
	STR("postgres", OPT, struct settings_users, postgres),
	STR("oper", OPT, struct settings_users, oper),
	STR("pub", OPT, struct settings_users, pub),
	STR("ocsp", OPT, struct settings_users, ocsp),
	CYAML_FIELD_END,
};

static const cyaml_schema_field_t settings_fields[] = {
	STR("public-url", 0, struct settings, public_url),
	STR("database", OPT, struct settings, database),
	STR("policies", OPT, struct settings, policies),
	STR("keys", OPT, struct settings, keys),
	STR("run-dir", OPT, struct settings, run_dir),
	STR("state-dir", OPT, struct settings, state_dir),
	STR("cluster-secret", OPT, struct settings, cluster_secret),
	STR("https-profile", OPT, struct settings, https_profile),
	STR("crl-hook", OPT, struct settings, crl_hook),
	STRINGS("https-names", struct settings, https_names),
	STRINGS("environment", struct settings, environment),
	STRINGS("operators", struct settings, operators),
	CYAML_FIELD_SEQUENCE(
	    "listen", PTR, struct settings, listen, &listen_entry, 1, 16),
	CYAML_FIELD_SEQUENCE(
	    "issuers", PTR, struct settings, issuers, &issuer_entry, 1, 64),
	CYAML_FIELD_MAPPING(
	    "acme", CYAML_FLAG_DEFAULT, struct settings, acme, acme_fields),
	CYAML_FIELD_MAPPING("est", OPT, struct settings, est, est_fields),
	STR("approval-lifetime", OPT, struct settings, approval_lifetime),
	CYAML_FIELD_MAPPING("vald", OPT, struct settings, vald, vald_fields),
	CYAML_FIELD_MAPPING("ocsp", OPT, struct settings, ocsp, ocsp_fields),
	CYAML_FIELD_MAPPING("users", OPT, struct settings, users, users_fields),
	UINT("workers", struct settings, workers),
	UINT("connections", struct settings, connections),
	UINT("connections-per-address", struct settings, per_address),
	CYAML_FIELD_BOOL("verify-leaves", OPT, struct settings, verify_leaves),
	CYAML_FIELD_END,
};

static const cyaml_schema_value_t settings_schema = {
	CYAML_VALUE_MAPPING(
	    CYAML_FLAG_POINTER, struct settings, settings_fields),
};

const struct cyaml_schema_value *
settings_conf_schema(void)
{
	return &settings_schema;
}
