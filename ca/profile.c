#include "ca/profile.h"

#include <dirent.h>
#include <stdlib.h>
#include <string.h>

#include "base/auto.h"
#include "base/conf.h"
#include "base/der.h"
#include "ca/oid.h"
#include "ca/profile_conf.h"

AUTO_DEFINE(DIR, closedir);
typedef struct conf conf_auto;
AUTO_DEFINE(conf_auto, conf_free);

struct profile_set {
	struct arena *arena;
	struct profile *list;
	size_t n;
};

/* RFC 5280 4.2.1.12 and the usual private ones. */
static const struct {
	const char *name, *oid;
} ekus[] = {
	{ "serverAuth", OID_EKU_SERVER_AUTH },
	{ "clientAuth", OID_EKU_CLIENT_AUTH },
	{ "codeSigning", OID_EKU_CODE_SIGNING },
	{ "emailProtection", OID_EKU_EMAIL },
	{ "timeStamping", OID_EKU_TIME_STAMPING },
	{ "OCSPSigning", OID_EKU_OCSP_SIGNING },
	{ "ipsecIKE", "1.3.6.1.5.5.7.3.17" },
	{ "cmcCA", "1.3.6.1.5.5.7.3.27" },
	{ "cmcRA", "1.3.6.1.5.5.7.3.28" },
	{ "cmKGA", "1.3.6.1.5.5.7.3.32" },
	{ "msSmartcardLogon", "1.3.6.1.4.1.311.20.2.2" },
};
#define N_EKUS (sizeof(ekus) / sizeof(ekus[0]))

const char *
profile_eku_oid(const char *name)
{
	uint8_t contents[64];
	size_t i, n;

	for (i = 0; i < N_EKUS; i++) {
		if (strcmp(ekus[i].name, name) == 0)
			return ekus[i].oid;
	}
	return der_oid_contents(name, contents, &n, sizeof(contents)) ? name
								      : NULL;
}

const char *
profile_usage_text(struct arena *a, uint32_t usage)
{
	const char *text = "";
	unsigned bit;

	for (bit = 0; bit < 9; bit++) {
		if ((usage >> bit & 1) != 0)
			text = arena_printf(a, "%s%s%s", text,
			    *text == '\0' ? "" : ",",
			    profile_conf_usage_name(bit));
	}
	return text;
}

int
profile_parse(struct arena *a, const char *file, struct span text,
    struct profile *out, struct err *e)
{
	AUTO(conf_auto) conf = NULL;

	*out = (struct profile){ .file = arena_strdup(a, file) };
	if (conf_load_bytes(file, text, profile_conf_schema(), &conf, e) == -1)
		return -1;
	return profile_build(a, conf, out, e);
}

static bool
is_profile_file(const char *name)
{
	size_t n = strlen(name);

	return n > 5 && name[0] != '.' && strcmp(name + n - 5, ".yaml") == 0 &&
	       strcmp(name, "keys.yaml") != 0;
}

static int
load_file(struct profile_set *s, const char *dir, const char *name,
    struct profile *out, struct err *e)
{
	char *path = arena_printf(s->arena, "%s/%s", dir, name);
	AUTO(conf_auto) conf = NULL;
	char *stem = arena_memdup(s->arena, name, strlen(name) - 5);

	if (conf_load(path, profile_conf_schema(), &conf, e) == -1)
		return -1;
	*out = (struct profile){ .file = path };
	if (profile_build(s->arena, conf, out, e) == -1)
		return -1;
	if (strcmp(out->name, stem) != 0)
		return conf_error(conf, "name", e,
		    "profile \"%s\" must be in a file of that name", out->name);
	return 0;
}

static int
by_name(const void *x, const void *y)
{
	const struct profile *a = x, *b = y;

	return strcmp(a->name, b->name);
}

static int
load_all(struct profile_set *s, const char *dir, struct err *e)
{
	AUTO(DIR) d = opendir(dir);
	struct profile *grown;
	struct dirent *entry;
	size_t max = 0;

	if (d == NULL)
		return err_set(e, ERR_NOT_FOUND,
		    "policies directory \"%s\" cannot be read", dir);
	while ((entry = readdir(d)) != NULL) {
		if (!is_profile_file(entry->d_name))
			continue;
		if (s->n == max) {
			max = max == 0 ? 16 : max * 2;
			grown = arena_array(s->arena, max, sizeof(*grown));
			if (s->n > 0)
				memcpy(grown, s->list, s->n * sizeof(*grown));
			s->list = grown;
		}
		if (load_file(s, dir, entry->d_name, &s->list[s->n], e) == -1)
			return -1;
		s->n++;
	}
	if (s->n == 0)
		return err_set(e, ERR_NOT_FOUND, "no profile in \"%s\"", dir);
	qsort(s->list, s->n, sizeof(*s->list), by_name);
	return 0;
}

int
profile_set_load(const char *dir, struct profile_set **out, struct err *e)
{
	struct arena *a = arena_new();
	struct profile_set *s = arena_alloc(a, sizeof(*s));

	s->arena = a;
	if (load_all(s, dir, e) == -1) {
		arena_free(a);
		return -1;
	}
	*out = s;
	return 0;
}

void
profile_set_free(struct profile_set *s)
{
	if (s != NULL)
		arena_free(s->arena);
}

const struct profile *
profile_get(const struct profile_set *s, const char *name)
{
	struct profile key = { .name = name };

	return bsearch(&key, s->list, s->n, sizeof(*s->list), by_name);
}

size_t
profile_count(const struct profile_set *s)
{
	return s->n;
}

const struct profile *
profile_at(const struct profile_set *s, size_t i)
{
	return &s->list[i];
}
