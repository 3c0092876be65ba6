#include "base/settings.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cyaml/cyaml.h>

#include "base/arena.h"
#include "base/auto.h"
#include "base/conf.h"

#define OPT CYAML_FLAG_OPTIONAL
#define PTR CYAML_FLAG_POINTER
#define STR(key, flags, type, member)                                          \
	CYAML_FIELD_STRING_PTR(                                                \
	    key, CYAML_FLAG_POINTER | (flags), type, member, 1, 4096)
#define STRINGS(key, type, member)                                             \
	CYAML_FIELD_SEQUENCE(key, CYAML_FLAG_POINTER | OPT, type, member,      \
	    &string_entry, 0, 1024)
#define UINT(key, type, member) CYAML_FIELD_UINT(key, OPT, type, member)

#define DAY_S ((int64_t)86400)

struct settings_file {
	struct arena *arena;
	struct conf *conf;
	struct settings *s; /* a copy: what is filled in is not libcyaml's */
};

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

static const cyaml_schema_field_t issuer_fields[] = {
	STR("name", 0, struct settings_issuer, name),
	STR("certificate", 0, struct settings_issuer, certificate),
	STR("chain", 0, struct settings_issuer, chain),
	STRINGS("crl-urls", struct settings_issuer, crl_urls),
	STRINGS("ocsp-urls", struct settings_issuer, ocsp_urls),
	STRINGS("ca-issuers-urls", struct settings_issuer, ca_issuers_urls),
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
	STRINGS("dns-servers", struct settings_vald, dns_servers),
	CYAML_FIELD_SEQUENCE("resolve", PTR | OPT, struct settings_vald,
	    resolve, &resolve_entry, 0, 64),
	UINT("workers", struct settings_vald, workers),
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

static const cyaml_schema_field_t users_fields[] = {
	STR("enroll", OPT, struct settings_users, enroll),
	STR("vald", OPT, struct settings_users, vald),
	STR("signd", OPT, struct settings_users, signd),
	STR("postgres", OPT, struct settings_users, postgres),
	STR("oper", OPT, struct settings_users, oper),
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
	STRINGS("https-names", struct settings, https_names),
	CYAML_FIELD_SEQUENCE(
	    "listen", PTR, struct settings, listen, &listen_entry, 1, 16),
	CYAML_FIELD_SEQUENCE(
	    "issuers", PTR, struct settings, issuers, &issuer_entry, 1, 64),
	CYAML_FIELD_MAPPING(
	    "acme", CYAML_FLAG_DEFAULT, struct settings, acme, acme_fields),
	CYAML_FIELD_MAPPING("vald", OPT, struct settings, vald, vald_fields),
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

/* "path", made absolute below the file's directory; 'def' when absent. */
static const char *
absolute(struct settings_file *f, const char *path, const char *def)
{
	if (path == NULL)
		path = def;
	if (path == NULL || path[0] == '/')
		return path;
	return arena_printf(f->arena, "%s/%s", f->s->dir, path);
}

static void
set_default(unsigned *value, unsigned def)
{
	if (*value == 0)
		*value = def;
}

static void
fill_in(struct settings_file *f)
{
	struct settings *s = f->s;
	unsigned i;

	s->policies = absolute(f, s->policies, "policies");
	s->keys = absolute(f, s->keys, "keys.yaml");
	s->run_dir = absolute(f, s->run_dir, "run");
	s->state_dir = absolute(f, s->state_dir, ".");
	s->cluster_secret = absolute(f, s->cluster_secret, "secrets/cluster");
	if (s->https_profile == NULL)
		s->https_profile = "tls-server";
	for (i = 0; i < s->issuers_count; i++) {
		s->issuers[i].certificate =
		    absolute(f, s->issuers[i].certificate, NULL);
		s->issuers[i].chain = absolute(f, s->issuers[i].chain, NULL);
	}
	set_default(&s->workers, 16);
	set_default(&s->connections, 4096);
	set_default(&s->per_address, 256);
	set_default(&s->acme.names_max, 100);
	set_default(&s->vald.workers, 8);
	if (s->vald.http_port == 0)
		s->vald.http_port = 80;
	if (s->vald.https_port == 0)
		s->vald.https_port = 443;
	if (s->vald.tls_alpn_port == 0)
		s->vald.tls_alpn_port = 443;
}

static int
duration(struct settings_file *f, const char *path, const char *text,
    int64_t *out, struct err *e)
{
	struct err why;

	if (text == NULL)
		return 0;
	if (conf_duration(text, 60, 365 * DAY_S, out, &why) == -1)
		return conf_error(f->conf, path, e, "%s", why.text);
	return 0;
}

static int
check_issuers(struct settings_file *f, struct err *e)
{
	const struct settings *s = f->s;
	unsigned i, j;

	for (i = 0; i < s->issuers_count; i++) {
		for (j = 0; j < i; j++) {
			if (strcmp(s->issuers[i].name, s->issuers[j].name) == 0)
				return conf_error(f->conf, "issuers", e,
				    "issuer \"%s\" is there twice",
				    s->issuers[i].name);
		}
	}
	return 0;
}

static int
check(struct settings_file *f, struct err *e)
{
	struct settings *s = f->s;
	size_t n = strlen(s->public_url);
	unsigned i;

	if (strncmp(s->public_url, "https://", 8) != 0 || n < 9 ||
	    strpbrk(s->public_url + 8, "/?# ") != NULL)
		return conf_error(f->conf, "public-url", e,
		    "must be https://HOST or https://HOST:PORT "
		    "(RFC 8555 6.1)");
	for (i = 0; i < s->listen_count; i++) {
		if (s->listen[i].port == 0)
			return conf_error(
			    f->conf, "listen", e, "port must be 1 to 65535");
	}
	if (s->workers > 256)
		return conf_error(f->conf, "workers", e, "must be at most 256");
	if (s->acme.names_max > 256)
		return conf_error(
		    f->conf, "acme.names-max", e, "must be at most 256");
	s->acme.order_lifetime_s = 7 * DAY_S;
	s->acme.authz_lifetime_s = 30 * DAY_S;
	if (duration(f, "acme.order-lifetime", s->acme.order_lifetime,
		&s->acme.order_lifetime_s, e) == -1 ||
	    duration(f, "acme.authorization-lifetime", s->acme.authz_lifetime,
		&s->acme.authz_lifetime_s, e) == -1)
		return -1;
	return check_issuers(f, e);
}

static void
copy_settings(struct settings_file *f)
{
	struct settings *s =
	    arena_memdup(f->arena, conf_data(f->conf), sizeof(*s));

	s->issuers = arena_memdup(
	    f->arena, s->issuers, s->issuers_count * sizeof(*s->issuers));
	f->s = s;
}

int
settings_load(const char *file, struct settings_file **out, struct err *e)
{
	struct settings_file *f;
	struct arena *a;
	struct conf *conf;
	char path[PATH_MAX], *slash;

	if (conf_load(file, &settings_schema, &conf, e) == -1)
		return -1;
	a = arena_new();
	f = arena_alloc(a, sizeof(*f));
	f->arena = a;
	f->conf = conf;
	copy_settings(f);
	if (realpath(file, path) == NULL) {
		settings_free(f);
		return err_set(e, ERR_NOT_FOUND, "no file \"%s\"", file);
	}
	slash = strrchr(path, '/');
	if (slash == path)
		slash++;
	*slash = '\0';
	f->s->dir = arena_strdup(a, path);
	fill_in(f);
	if (check(f, e) == -1) {
		settings_free(f);
		return -1;
	}
	*out = f;
	return 0;
}

void
settings_free(struct settings_file *f)
{
	struct arena *a;

	if (f == NULL)
		return;
	conf_free(f->conf);
	a = f->arena;
	arena_free(a);
}

const struct settings *
settings_get(const struct settings_file *f)
{
	return f->s;
}

int
settings_conninfo(const struct settings *s, const char *role, char *out,
    size_t size, struct err *e)
{
	bool uri = s->database != NULL &&
		   (strncmp(s->database, "postgres://", 11) == 0 ||
		       strncmp(s->database, "postgresql://", 13) == 0);
	int n;

	if (s->database == NULL)
		n = snprintf(out, size, "host='%s' dbname=chancery user=%s",
		    s->run_dir, role);
	else if (uri)
		n = snprintf(out, size, "%s%cuser=%s", s->database,
		    strchr(s->database, '?') == NULL ? '?' : '&', role);
	else
		n = snprintf(out, size, "%s user=%s", s->database, role);
	if (n < 0 || (size_t)n >= size)
		return err_set(
		    e, ERR_REFUSED, "database connection string is too long");
	return 0;
}
