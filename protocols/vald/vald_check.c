#include "protocols/vald/vald_check.h"

#include <stdio.h>

#include "protocols/vald/netpolicy.h"

#define PATH_SIZE 80

static int
check_networks(const struct settings_file *file, const char *key,
    const char *const *list, unsigned n, struct err *e)
{
	struct netpolicy_conf one = { .n_allow = 1 };
	struct netpolicy *p = NULL;
	char at[PATH_SIZE];
	struct err why;
	unsigned i;

	for (i = 0; i < n; i++) {
		one.allow = &list[i];
		if (netpolicy_new(&one, &p, &why) == -1) {
			(void)snprintf(at, sizeof(at), "vald.%s[%u]", key, i);
			return settings_error(file, at, e, "%s", why.text);
		}
		netpolicy_free(p);
	}
	return 0;
}

static int
check_resolve(const struct settings_file *file, struct err *e)
{
	const struct settings_vald *s = &settings_get(file)->vald;
	struct netaddr addr;
	char at[PATH_SIZE];
	unsigned i;

	for (i = 0; i < s->resolve_count; i++) {
		if (netaddr_parse(s->resolve[i].address, &addr))
			continue;
		(void)snprintf(at, sizeof(at), "vald.resolve[%u].address", i);
		return settings_error(file, at, e, "\"%s\" is not an address",
		    s->resolve[i].address);
	}
	return 0;
}

int
vald_check(const struct settings_file *file, struct err *e)
{
	const struct settings_vald *s = &settings_get(file)->vald;

	if (check_networks(file, "allow-networks", s->allow_networks,
		s->allow_networks_count, e) == -1 ||
	    check_networks(file, "deny-networks", s->deny_networks,
		s->deny_networks_count, e) == -1)
		return -1;
	return check_resolve(file, e);
}
