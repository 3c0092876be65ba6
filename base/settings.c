#include "base/settings.h"

#include <limits.h>
#include <pwd.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/auto.h"
#include "base/conf.h"
#include "base/crl_partition.h"
#include "base/settings_conf.h"

#define DAY_S ((int64_t)86400)
#define PATH_SIZE 80

struct settings_file {
	struct arena *arena;
	struct conf *conf;
	struct settings *s; /* a copy: what is filled in is not libcyaml's */
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
fill_in_ocsp(struct settings_file *f)
{
	struct settings_ocsp *o = &f->s->ocsp;

	if (o->address == NULL)
		o->address = "0.0.0.0";
	if (o->port == 0)
		o->port = 8081;
	if (o->unknown == NULL)
		o->unknown = "unknown";
	o->host_key = absolute(f, o->host_key, "secrets/ocsp-host.pem");
	o->files = absolute(f, o->files,
	    arena_printf(f->arena, "%s/ocsp/files", f->s->state_dir));
	o->snapshot = absolute(f, o->snapshot,
	    arena_printf(f->arena, "%s/ocsp/status", f->s->state_dir));
	set_default(&o->cache, 65536);
	set_default(&o->threads, 2);
	set_default(&o->connections, 16384);
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
	s->crl_hook = absolute(f, s->crl_hook, NULL);
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
	set_default(&s->vald.attempts, 3);
	if (s->vald.http_port == 0)
		s->vald.http_port = 80;
	if (s->vald.https_port == 0)
		s->vald.https_port = 443;
	if (s->vald.tls_alpn_port == 0)
		s->vald.tls_alpn_port = 443;
	fill_in_ocsp(f);
}

/* A duration and what it may be. */
struct duration {
	const char *path, *text, *def;
	int64_t min_s, max_s, *out_s;
};

static int
check_durations(struct settings_file *f, struct err *e)
{
	struct settings *s = f->s;
	const struct duration all[] = {
		{ "vald.timeout", s->vald.timeout, "10s", 1, 60,
		    &s->vald.timeout_s },
		{ "acme.order-lifetime", s->acme.order_lifetime, "7d", 60,
		    365 * DAY_S, &s->acme.order_lifetime_s },
		{ "acme.authorization-lifetime", s->acme.authz_lifetime, "30d",
		    60, 365 * DAY_S, &s->acme.authz_lifetime_s },
		{ "approval-lifetime", s->approval_lifetime, "7d", 60,
		    365 * DAY_S, &s->approval_lifetime_s },
		{ "est.repeat", s->est.repeat, "24h", 1,
		    SETTINGS_KEEP_REQUESTS_S, &s->est.repeat_s },
		{ "est.retry-after", s->est.retry_after, "60s", 1, DAY_S,
		    &s->est.retry_after_s },
		{ "ocsp.validity", s->ocsp.validity, "1h", 120, 7 * DAY_S,
		    &s->ocsp.validity_s },
		{ "ocsp.stale", s->ocsp.stale, "10m", 1, DAY_S,
		    &s->ocsp.stale_s },
		{ "ocsp.certificate-lifetime", s->ocsp.certificate_lifetime,
		    "3d", 600, 7 * DAY_S, &s->ocsp.certificate_lifetime_s },
		{ "ocsp.snapshot-interval", s->ocsp.snapshot_interval, "15m", 1,
		    DAY_S, &s->ocsp.snapshot_interval_s },
	};
	struct err why;
	size_t i;

	for (i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
		if (conf_duration(
			all[i].text == NULL ? all[i].def : all[i].text,
			all[i].min_s, all[i].max_s, all[i].out_s, &why) == -1)
			return conf_error(
			    f->conf, all[i].path, e, "%s", why.text);
	}
	return 0;
}

/* Names that are also good as PostgreSQL role and connection parameter. */
static int
check_operators(struct settings_file *f, struct err *e)
{
	static const char good[] = "abcdefghijklmnopqrstuvwxyz0123456789_-";
	char path[32];
	unsigned i;

	if (f->s->operators_count > SETTINGS_OPERATORS_MAX)
		return conf_error(f->conf, "operators", e,
		    "there are more than %d", SETTINGS_OPERATORS_MAX);
	for (i = 0; i < f->s->operators_count; i++) {
		const char *name = f->s->operators[i];

		if (strlen(name) <= 32 && name[strspn(name, good)] == '\0')
			continue;
		(void)snprintf(path, sizeof(path), "operators[%u]", i);
		return conf_error(f->conf, path, e,
		    "\"%s\" is not a user name of up to 32 lower-case letters,"
		    " digits, \"_\" and \"-\"",
		    name);
	}
	return 0;
}

static int
check_numbers(struct settings_file *f, struct err *e)
{
	const struct settings *s = f->s;
	const struct {
		const char *path;
		unsigned value, max;
	} all[] = {
		{ "workers", s->workers, 256 },
		{ "acme.names-max", s->acme.names_max, 256 },
		{ "vald.workers", s->vald.workers, 100 },
		{ "vald.attempts", s->vald.attempts, 100 },
		{ "ocsp.cache", s->ocsp.cache, 10000000 },
		{ "ocsp.threads", s->ocsp.threads, 256 },
	};
	size_t i;

	for (i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
		if (all[i].value > all[i].max)
			return conf_error(f->conf, all[i].path, e,
			    "must be at most %u", all[i].max);
	}
	return 0;
}

static int
check_ocsp(struct settings_file *f, struct err *e)
{
	const struct settings_ocsp *o = &f->s->ocsp;

	if (strcmp(o->unknown, "unknown") != 0 &&
	    strcmp(o->unknown, "revoked") != 0)
		return conf_error(f->conf, "ocsp.unknown", e,
		    "must be \"unknown\" or \"revoked\"");
	/* an answer about what was known then must not be over now */
	if (o->validity_s < 2 * o->stale_s)
		return conf_error(f->conf, "ocsp.validity", e,
		    "must be at least twice \"ocsp.stale\"");
	return 0;
}

static int
check_listen(struct settings_file *f, struct err *e)
{
	const struct settings *s = f->s;
	char at[PATH_SIZE];
	unsigned i;

	for (i = 0; i < s->listen_count; i++) {
		if (s->listen[i].port != 0)
			continue;
		(void)snprintf(at, sizeof(at), "listen[%u].port", i);
		return conf_error(f->conf, at, e, "must be 1 to 65535");
	}
	return 0;
}

/* How many of the URLs stand for partitions; -1: one is wrong. */
static int
count_marked(struct settings_file *f, const char *list, const char **urls,
    unsigned n, struct err *e)
{
	const char *mark;
	char at[PATH_SIZE];
	unsigned i;
	int marked = 0;

	for (i = 0; i < n; i++) {
		mark = strstr(urls[i], CRL_PARTITION_MARK);
		if (mark != NULL)
			marked++;
		if (mark != NULL && strstr(mark + 1, CRL_PARTITION_MARK)) {
			(void)snprintf(at, sizeof(at), "%s[%u]", list, i);
			return conf_error(
			    f->conf, at, e, "has " CRL_PARTITION_MARK " twice");
		}
	}
	return marked;
}

static int
check_partitions(struct settings_file *f, unsigned i, struct err *e)
{
	const struct settings_issuer *s = &f->s->issuers[i];
	char crl[PATH_SIZE], fresh[PATH_SIZE], at[PATH_SIZE];
	int marked, fresh_marked;

	(void)snprintf(crl, sizeof(crl), "issuers[%u].crl-urls", i);
	(void)snprintf(
	    fresh, sizeof(fresh), "issuers[%u].freshest-crl-urls", i);
	(void)snprintf(at, sizeof(at), "issuers[%u].crl-partitions", i);
	marked = count_marked(f, crl, s->crl_urls, s->crl_urls_count, e);
	fresh_marked = count_marked(
	    f, fresh, s->freshest_crl_urls, s->freshest_crl_urls_count, e);
	if (marked == -1 || fresh_marked == -1)
		return -1;
	if (s->crl_partitions > CRL_PARTITIONS_MAX)
		return conf_error(
		    f->conf, at, e, "must be at most %d", CRL_PARTITIONS_MAX);
	if (s->crl_partitions > 0 && marked == 0)
		return conf_error(f->conf, at, e,
		    "needs a URL with " CRL_PARTITION_MARK " in crl-urls");
	if (s->crl_partitions == 0 && marked > 0)
		return conf_error(f->conf, crl, e,
		    CRL_PARTITION_MARK " needs crl-partitions");
	if (s->crl_partitions == 0 && fresh_marked > 0)
		return conf_error(f->conf, fresh, e,
		    CRL_PARTITION_MARK " needs crl-partitions");
	if (s->freshest_crl_urls_count > 0 && s->crl_urls_count == 0)
		return conf_error(f->conf, fresh, e,
		    "a delta CRL needs crl-urls for the complete one");
	return 0;
}

static int
check_crl(struct settings_file *f, unsigned i, struct err *e)
{
	struct settings_crl *s = &f->s->issuers[i].crl;
	const struct duration all[] = {
		{ "interval", s->interval, "1d", 10, 365 * DAY_S,
		    &s->interval_s },
		{ "overlap", s->overlap, "6d", 10, 365 * DAY_S, &s->overlap_s },
		{ "min-gap", s->min_gap, "1m", 1, DAY_S, &s->min_gap_s },
		{ "delta-interval", s->delta_interval, "1h", 10, 30 * DAY_S,
		    &s->delta_interval_s },
	};
	char at[PATH_SIZE];
	struct err why;
	size_t k;

	for (k = 0; k < sizeof(all) / sizeof(all[0]); k++) {
		(void)snprintf(
		    at, sizeof(at), "issuers[%u].crl.%s", i, all[k].path);
		if (conf_duration(
			all[k].text == NULL ? all[k].def : all[k].text,
			all[k].min_s, all[k].max_s, all[k].out_s, &why) == -1)
			return conf_error(f->conf, at, e, "%s", why.text);
	}
	return 0;
}

static int
check_issuers(struct settings_file *f, struct err *e)
{
	const struct settings *s = f->s;
	char at[PATH_SIZE];
	unsigned i, j;

	for (i = 0; i < s->issuers_count; i++) {
		for (j = 0; j < i; j++) {
			if (strcmp(s->issuers[i].name, s->issuers[j].name) != 0)
				continue;
			(void)snprintf(at, sizeof(at), "issuers[%u].name", i);
			return conf_error(f->conf, at, e,
			    "issuer \"%s\" is there twice", s->issuers[i].name);
		}
		if (check_partitions(f, i, e) == -1 || check_crl(f, i, e) == -1)
			return -1;
	}
	return 0;
}

static int
check(struct settings_file *f, struct err *e)
{
	const struct settings *s = f->s;
	size_t n = strlen(s->public_url);

	if (strncmp(s->public_url, "https://", 8) != 0 || n < 9 ||
	    strpbrk(s->public_url + 8, "/?# ") != NULL)
		return conf_error(f->conf, "public-url", e,
		    "must be https://HOST or https://HOST:PORT "
		    "(RFC 8555 6.1)");
	if (check_listen(f, e) == -1 || check_numbers(f, e) == -1 ||
	    check_operators(f, e) == -1 || check_durations(f, e) == -1 ||
	    check_ocsp(f, e) == -1)
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

	if (conf_load(file, settings_conf_schema(), &conf, e) == -1)
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
settings_error(const struct settings_file *f, const char *path, struct err *e,
    const char *fmt, ...)
{
	char text[ERR_TEXT_MAX];
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	return conf_error(f->conf, path, e, "%s", text);
}

static bool
is_uri(const char *conninfo)
{
	return strncmp(conninfo, "postgres://", 11) == 0 ||
	       strncmp(conninfo, "postgresql://", 13) == 0;
}

/* Appends "key=value" as the string's form has it. */
static int
add_param(char *conninfo, size_t size, const char *param, struct err *e)
{
	size_t n = strlen(conninfo);
	const char *between = " ";
	int k;

	if (is_uri(conninfo))
		between = strchr(conninfo, '?') == NULL ? "?" : "&";
	k = snprintf(conninfo + n, size - n, "%s%s", between, param);
	if (k < 0 || (size_t)k >= size - n)
		return err_set(
		    e, ERR_REFUSED, "database connection string is too long");
	return 0;
}

static int
make_conninfo(
    const char *base, const char *role, char *out, size_t size, struct err *e)
{
	char user[80];
	int n = snprintf(out, size, "%s", base);

	if (n < 0 || (size_t)n >= size)
		return err_set(
		    e, ERR_REFUSED, "database connection string is too long");
	(void)snprintf(user, sizeof(user), "user=%s", role);
	return add_param(out, size, user, e);
}

/* The operator's own login, if this OS user is one of the operators. */
static const char *
own_login(const struct settings *s, const char *role, char *out, size_t size)
{
	const struct passwd *pw;
	unsigned i;

	if (s->operators_count == 0 || strcmp(role, "chancery_oper") != 0)
		return role;
	pw = getpwuid(geteuid());
	for (i = 0; pw != NULL && i < s->operators_count; i++) {
		if (strcmp(s->operators[i], pw->pw_name) != 0)
			continue;
		(void)snprintf(out, size, "oper_%s", pw->pw_name);
		return out;
	}
	return role;
}

int
settings_conninfo(const struct settings *s, const char *role, char *out,
    size_t size, struct err *e)
{
	char embedded[PATH_MAX + 80], login[48];

	role = own_login(s, role, login, sizeof(login));

	(void)snprintf(embedded, sizeof(embedded),
	    "host='%s/pg' dbname=chancery", s->run_dir);
	return make_conninfo(
	    s->database == NULL ? embedded : s->database, role, out, size, e);
}

int
settings_read_conninfo(const struct settings *s, const char *role, char *out,
    size_t size, struct err *e)
{
	if (s->ocsp.read_database == NULL)
		return settings_conninfo(s, role, out, size, e);
	if (make_conninfo(s->ocsp.read_database, role, out, size, e) == -1)
		return -1;
	if (strstr(out, "target_session_attrs") != NULL)
		return 0;
	return add_param(out, size, "target_session_attrs=any", e);
}
