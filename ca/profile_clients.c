/* Whose certificates count, and EST: the parts of a profile for clients. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/b64.h"
#include "base/conf.h"
#include "base/file.h"
#include "ca/profile_conf.h"
#include "hsm/tosign.h"

#define ANCHOR_MAX ((size_t)64 * 1024)
#define GRACE_MAX_S ((int64_t)365 * 86400)

/* The file's name without directory and ".pem". */
static const char *
anchor_name(struct arena *a, const char *file)
{
	const char *slash = strrchr(file, '/');
	size_t n;

	file = slash == NULL ? file : slash + 1;
	n = strlen(file);
	if (n > 4 && strcmp(file + n - 4, ".pem") == 0)
		n -= 4;
	return arena_printf(a, "%.*s", (int)n, file);
}

/* Relative names are relative to the profile's directory. */
static const char *
anchor_path(struct arena *a, const char *profile, const char *file)
{
	const char *slash = strrchr(profile, '/');

	if (file[0] == '/' || slash == NULL)
		return file;
	return arena_printf(
	    a, "%.*s/%s", (int)(slash - profile), profile, file);
}

static int
load_anchor(struct arena *a, const char *profile, const char *file,
    struct profile_anchor *out, struct err *e)
{
	struct span pem, tbs, alg, signature;
	struct tosign_cert c;

	if (file_read(a, anchor_path(a, profile, file), ANCHOR_MAX, &pem, e) ==
		-1 ||
	    pem_decode(a, "CERTIFICATE", pem, &out->der, e) == -1 ||
	    tosign_unwrap(out->der, &tbs, &alg, &signature, e) == -1 ||
	    tosign_cert_parse(a, tbs, &c, e) == -1)
		return -1;
	out->name = anchor_name(a, file);
	return 0;
}

/* The principals of two makers must not have one name. */
static int
check_anchor_names(struct arena *a, const struct conf *conf,
    const struct profile_conf_clients *in, struct err *e)
{
	unsigned i, k;

	for (i = 1; i < in->anchors_count; i++) {
		for (k = 0; k < i; k++) {
			if (strcmp(anchor_name(a, in->anchors[i]),
				anchor_name(a, in->anchors[k])) == 0)
				return conf_error(conf,
				    arena_printf(
					a, "clients.trust-anchors[%u]", i),
				    e, "two trust anchors are called \"%s\"",
				    anchor_name(a, in->anchors[i]));
		}
	}
	return 0;
}

/* What an anchor is belongs to the profile's effective text. */
static int
build_anchors(struct arena *a, const struct conf *conf,
    const struct profile_conf_clients *in, struct profile *out, struct err *e)
{
	struct profile_anchor *anchors =
	    arena_array(a, in->anchors_count, sizeof(*anchors));
	struct err why;
	unsigned i;

	if (check_anchor_names(a, conf, in, e) == -1)
		return -1;
	for (i = 0; i < in->anchors_count; i++) {
		if (load_anchor(
			a, out->file, in->anchors[i], &anchors[i], &why) == -1)
			return conf_error(conf,
			    arena_printf(a, "clients.trust-anchors[%u]", i), e,
			    "%s", why.text);
		out->text = arena_printf(a, "%s# trust anchor %s\n%s",
		    out->text, anchors[i].name,
		    pem_encode(a, "CERTIFICATE", anchors[i].der));
	}
	out->clients.anchors = anchors;
	out->clients.n_anchors = in->anchors_count;
	return 0;
}

int
profile_build_clients(struct arena *a, const struct conf *conf,
    struct profile *out, struct err *e)
{
	const struct profile_conf *all = conf_data(conf);
	const struct profile_conf_clients *in = all->clients;
	struct err why;

	out->clients.issuers = out->issuers;
	if (in == NULL)
		return 0;
	out->clients.any_name = in->any_name;
	if (in->issuers_count > 0)
		out->clients.issuers =
		    profile_copy_strings(a, in->issuers, in->issuers_count);
	if (in->expired != NULL && conf_duration(in->expired, 0, GRACE_MAX_S,
				       &out->clients.expired_s, &why) == -1)
		return conf_error(conf, "clients.expired", e, "%s", why.text);
	return build_anchors(a, conf, in, out, e);
}

static bool
key_is_allowed(const struct profile *p, const char *type)
{
	unsigned long bits;
	char *end;
	size_t i;

	if (strcmp(type, "Ed25519") == 0)
		return p->ed25519;
	if (strncmp(type, "rsa:", 4) == 0) {
		bits = strtoul(type + 4, &end, 10);
		return *end == '\0' && p->rsa_max != 0 && bits >= p->rsa_min &&
		       bits <= p->rsa_max;
	}
	for (i = 0; i < p->curves.n; i++) {
		if (strcmp(p->curves.list[i], type) == 0)
			return true;
	}
	return false;
}

int
profile_build_est(struct arena *a, const struct conf *conf, struct profile *out,
    struct err *e)
{
	const struct profile_conf *all = conf_data(conf);
	const struct profile_conf_est *in = all->est;

	if (in == NULL)
		return 0;
	out->est.binding_required = in->binding;
	out->est.wrap = in->wrap;
	out->est.server_key = arena_strdup(a, in->server_key);
	if (in->server_key != NULL && !key_is_allowed(out, in->server_key))
		return conf_error(conf, "est.server-keygen", e,
		    "\"%s\" is not a key that the profile allows, such as"
		    " P-256, rsa:3072 or Ed25519",
		    in->server_key);
	return 0;
}

bool
profile_has_protocol(const struct profile *p, const char *protocol)
{
	size_t i, k;

	for (i = 0; i < p->n_allow; i++) {
		for (k = 0; k < p->allow[i].protocols.n; k++) {
			if (strcmp(p->allow[i].protocols.list[k], protocol) ==
			    0)
				return true;
		}
	}
	return false;
}
