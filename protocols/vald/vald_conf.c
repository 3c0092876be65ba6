#include "protocols/vald/vald_conf.h"

#include <stddef.h>
#include <stdio.h>

#include <cyaml/cyaml.h>

#include "protocols/vald/netpolicy.h"

#define PATH_SIZE 200

static const cyaml_schema_value_t text = {
	CYAML_VALUE_STRING(CYAML_FLAG_POINTER, char *, 1, 300),
};

static const cyaml_schema_field_t name_fields[] = {
	CYAML_FIELD_STRING_PTR(
	    "suffix", CYAML_FLAG_POINTER, struct vald_name, suffix, 1, 253),
	CYAML_FIELD_STRING_PTR(
	    "address", CYAML_FLAG_POINTER, struct vald_name, address, 1, 45),
	CYAML_FIELD_END,
};

static const cyaml_schema_value_t name = {
	CYAML_VALUE_MAPPING(CYAML_FLAG_DEFAULT, struct vald_name, name_fields),
};

#define OPTIONAL_PTR (CYAML_FLAG_POINTER | CYAML_FLAG_OPTIONAL)

const cyaml_schema_field_t vald_conf_fields[] = {
	CYAML_FIELD_SEQUENCE(
	    "allow", OPTIONAL_PTR, struct vald_conf, allow, &text, 0, 1000),
	CYAML_FIELD_SEQUENCE(
	    "deny", OPTIONAL_PTR, struct vald_conf, deny, &text, 0, 1000),
	CYAML_FIELD_UINT(
	    "http_port", CYAML_FLAG_OPTIONAL, struct vald_conf, http_port),
	CYAML_FIELD_UINT(
	    "tls_port", CYAML_FLAG_OPTIONAL, struct vald_conf, tls_port),
	CYAML_FIELD_SEQUENCE(
	    "names", OPTIONAL_PTR, struct vald_conf, names, &name, 0, 1000),
	CYAML_FIELD_STRING_PTR(
	    "dns_server", OPTIONAL_PTR, struct vald_conf, dns_server, 1, 100),
	CYAML_FIELD_STRING_PTR(
	    "timeout", OPTIONAL_PTR, struct vald_conf, timeout, 1, 20),
	CYAML_FIELD_UINT(
	    "workers", CYAML_FLAG_OPTIONAL, struct vald_conf, workers),
	CYAML_FIELD_UINT(
	    "attempts", CYAML_FLAG_OPTIONAL, struct vald_conf, attempts),
	CYAML_FIELD_END,
};

static void
set_defaults(struct vald_conf *c)
{
	if (c->http_port == 0)
		c->http_port = 80;
	if (c->tls_port == 0)
		c->tls_port = 443;
	if (c->workers == 0)
		c->workers = 8;
	if (c->attempts == 0)
		c->attempts = 3;
}

static int
check_list(const struct conf *file, const char *path, char *const *list,
    uint32_t n, struct err *e)
{
	struct netpolicy_conf one = { .n_allow = 1 };
	struct netpolicy *p = NULL;
	char at[PATH_SIZE];
	struct err why;
	uint32_t i;

	for (i = 0; i < n; i++) {
		one.allow = (const char *const *)&list[i];
		if (netpolicy_new(&one, &p, &why) != 0) {
			(void)snprintf(at, sizeof(at), "%s[%u]", path, i);
			return conf_error(file, at, e, "%s", why.text);
		}
		netpolicy_free(p);
	}
	return 0;
}

static int
check_names(const struct conf *file, const char *path,
    const struct vald_conf *c, struct err *e)
{
	struct netaddr addr;
	char at[PATH_SIZE];
	uint32_t i;

	for (i = 0; i < c->names_count; i++) {
		if (netaddr_parse(c->names[i].address, &addr))
			continue;
		(void)snprintf(at, sizeof(at), "%s.names[%u].address", path, i);
		return conf_error(file, at, e, "\"%s\" is not an address",
		    c->names[i].address);
	}
	return 0;
}

static int
check_range(const struct conf *file, const char *path, const char *key,
    uint32_t value, struct err *e)
{
	char at[PATH_SIZE];

	if (value <= 100)
		return 0;
	(void)snprintf(at, sizeof(at), "%s.%s", path, key);
	return conf_error(file, at, e, "%u is more than 100", value);
}

int
vald_conf_check(const struct conf *file, const char *path, struct vald_conf *c,
    struct err *e)
{
	char at[PATH_SIZE];
	struct err why;

	set_defaults(c);
	(void)snprintf(at, sizeof(at), "%s.allow", path);
	if (check_list(file, at, c->allow, c->allow_count, e) != 0)
		return -1;
	(void)snprintf(at, sizeof(at), "%s.deny", path);
	if (check_list(file, at, c->deny, c->deny_count, e) != 0)
		return -1;
	(void)snprintf(at, sizeof(at), "%s.timeout", path);
	if (conf_duration(c->timeout == NULL ? "10s" : c->timeout, 1, 60,
		&c->timeout_s, &why) != 0)
		return conf_error(file, at, e, "%s", why.text);
	if (check_names(file, path, c, e) != 0 ||
	    check_range(file, path, "workers", c->workers, e) != 0)
		return -1;
	return check_range(file, path, "attempts", c->attempts, e);
}
