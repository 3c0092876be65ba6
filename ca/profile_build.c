/* From the YAML form of a profile to the immutable one, step by step. */
#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>

#include "base/conf.h"
#include "base/der.h"
#include "base/sha256.h"
#include "ca/oid.h"
#include "ca/profile_conf.h"
#include "ca/request.h"

/* What a look for the limit may have to read. */
#define PER_HOUR_MAX 10000
#define YEAR_S ((int64_t)365 * 86400)

/* What a step of building one profile needs. */
struct builder {
	struct arena *arena;
	const struct conf *conf;
	const struct profile_conf *in;
	struct profile *out;
	struct err *err;
};

static const char *const curve_names[] = { "P-256", "P-384", "P-521" };

struct profile_strings
profile_copy_strings(struct arena *a, const char *const *list, size_t n)
{
	const char **copy = arena_array(a, n, sizeof(*copy));
	size_t i;

	for (i = 0; i < n; i++)
		copy[i] = arena_strdup(a, list[i]);
	return (struct profile_strings){ copy, n };
}

/* The protocols that ca/authn knows. */
static bool
is_protocol(const char *name)
{
	static const char *const known[] = { "acme", "cli", "est", "internal",
		"pub" };
	size_t i;

	for (i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
		if (strcmp(known[i], name) == 0)
			return true;
	}
	return false;
}

static int
check_protocols(
    struct builder *b, size_t i, const struct profile_conf_allow *in)
{
	size_t k;

	for (k = 0; k < in->protocols_count; k++) {
		if (!is_protocol(in->protocols[k]))
			return conf_error(b->conf,
			    arena_printf(
				b->arena, "allow[%zu].protocols[%zu]", i, k),
			    b->err,
			    "\"%s\" is not acme, cli, est, internal or pub",
			    in->protocols[k]);
	}
	return 0;
}

static int
build_allow(struct builder *b)
{
	size_t n = b->in->allow_count, i;
	struct profile_allow *allow = arena_array(b->arena, n, sizeof(*allow));

	for (i = 0; i < n; i++) {
		const struct profile_conf_allow *in = &b->in->allow[i];

		if (check_protocols(b, i, in) == -1)
			return -1;
		allow[i].protocols = profile_copy_strings(
		    b->arena, in->protocols, in->protocols_count);
		allow[i].principals = profile_copy_strings(
		    b->arena, in->principals, in->principals_count);
	}
	b->out->allow = allow;
	b->out->n_allow = n;
	return 0;
}

static const struct dn_type *
type_at(struct builder *b, const char *list, size_t i, const char *name)
{
	const struct dn_type *type = dn_type_named(name);
	const char *path =
	    arena_printf(b->arena, "subject.%s[%zu].type", list, i);

	if (type == NULL)
		(void)conf_error(b->conf, path, b->err,
		    "unknown name attribute \"%s\"", name);
	return type;
}

static int
build_fixed(struct builder *b, const struct profile_conf_subject *s)
{
	struct profile_fixed *fixed =
	    arena_array(b->arena, s->fixed_count, sizeof(*fixed));
	struct err why;
	size_t i;

	for (i = 0; i < s->fixed_count; i++) {
		fixed[i].type = type_at(b, "fixed", i, s->fixed[i].type);
		if (fixed[i].type == NULL)
			return -1;
		fixed[i].value = arena_strdup(b->arena, s->fixed[i].value);
		if (dn_value_check(fixed[i].type, fixed[i].value, &why) == -1)
			return conf_error(b->conf,
			    arena_printf(
				b->arena, "subject.fixed[%zu].value", i),
			    b->err, "%s", why.text);
	}
	b->out->fixed = fixed;
	b->out->n_fixed = s->fixed_count;
	return 0;
}

static int
build_subject(struct builder *b)
{
	const struct profile_conf_subject *s = b->in->subject;
	struct profile_attr *attrs;
	size_t i;

	if (s == NULL)
		return 0;
	if (build_fixed(b, s) == -1)
		return -1;
	attrs = arena_array(b->arena, s->allowed_count, sizeof(*attrs));
	for (i = 0; i < s->allowed_count; i++) {
		attrs[i].type = type_at(b, "allowed", i, s->allowed[i].type);
		if (attrs[i].type == NULL)
			return -1;
		attrs[i].pattern =
		    arena_strdup(b->arena, s->allowed[i].pattern);
		attrs[i].from_san = s->allowed[i].from_san;
		attrs[i].required = s->allowed[i].required;
		attrs[i].max = s->allowed[i].max == 0 ? 1 : s->allowed[i].max;
	}
	b->out->attrs = attrs;
	b->out->n_attrs = s->allowed_count;
	return 0;
}

/* Reads "10.0.0.0/8", "fd00::/8" or an address. */
static bool
parse_range(const char *text, struct profile_range *out)
{
	char address[INET6_ADDRSTRLEN];
	const char *slash = strchr(text, '/');
	size_t n = slash == NULL ? strlen(text) : (size_t)(slash - text);
	unsigned long bits;
	char *end;
	unsigned i;

	if (n >= sizeof(address))
		return false;
	memcpy(address, text, n);
	address[n] = '\0';
	*out = (struct profile_range){ 0 };
	if (inet_pton(AF_INET, address, out->net) == 1)
		out->octets = 4;
	else if (inet_pton(AF_INET6, address, out->net) == 1)
		out->octets = 16;
	else
		return false;
	out->bits = (unsigned)out->octets * 8;
	if (slash == NULL)
		return true;
	bits = strtoul(slash + 1, &end, 10);
	if (slash[1] < '0' || slash[1] > '9' || *end != '\0' ||
	    bits > out->bits)
		return false;
	out->bits = (unsigned)bits;
	for (i = out->bits; i < out->octets * 8; i++) {
		if ((out->net[i / 8] >> (7 - i % 8) & 1) != 0)
			return false;
	}
	return true;
}

static int
build_ranges(struct builder *b, const char *path, const char *const *list,
    size_t n, const struct profile_range **out)
{
	struct profile_range *ranges =
	    arena_array(b->arena, n, sizeof(*ranges));
	size_t i;

	for (i = 0; i < n; i++) {
		if (!parse_range(list[i], &ranges[i]))
			return conf_error(b->conf,
			    arena_printf(b->arena, "%s[%zu]", path, i), b->err,
			    "\"%s\" is not an address range such as 10.0.0.0/8",
			    list[i]);
	}
	*out = ranges;
	return 0;
}

/* A pattern that no name can match is a mistake. */
static int
check_patterns(struct builder *b, const struct profile_conf_san_type *t)
{
	const char *name;
	struct err why;
	size_t i;

	for (i = 0; i < t->patterns_count; i++) {
		name = t->patterns[i];
		if (strcmp(name, "**") == 0)
			continue;
		if (strncmp(name, "**.", 3) == 0)
			name += 3;
		if (request_dns_check(name, true, &why) == -1)
			return conf_error(b->conf,
			    arena_printf(b->arena, "san.dns.patterns[%zu]", i),
			    b->err,
			    "\"%s\" is not a name, *.name, **.name or **",
			    t->patterns[i]);
	}
	return 0;
}

static int
build_san(struct builder *b)
{
	const struct profile_conf_san *s = b->in->san;
	const struct profile_conf_san_type *t;
	struct profile_san *out;
	size_t i;

	if (s == NULL)
		return 0;
	b->out->san_required = s->required;
	b->out->san_max = s->max == 0 ? 100 : s->max;
	for (i = 0; i < PROFILE_SAN__COUNT; i++) {
		t = s->types[i];
		if (t == NULL)
			continue;
		out = &b->out->san[i];
		if (i == PROFILE_SAN_DNS && check_patterns(b, t) == -1)
			return -1;
		out->allowed = true;
		out->wildcard = t->wildcard;
		out->max = t->max == 0 ? b->out->san_max : t->max;
		out->patterns = profile_copy_strings(
		    b->arena, t->patterns, t->patterns_count);
		out->n_ranges = t->ranges_count;
		if (build_ranges(b, "san.ip.ranges", t->ranges, t->ranges_count,
			&out->ranges) == -1)
			return -1;
	}
	return 0;
}

static int
build_keys(struct builder *b)
{
	const struct profile_conf_keys *k = &b->in->keys;
	size_t i, j;

	if (k->rsa != NULL) {
		if (k->rsa->min < 2048 || k->rsa->max > 8192 ||
		    k->rsa->min > k->rsa->max)
			return conf_error(b->conf, "keys.rsa", b->err,
			    "sizes must lie between 2048 and 8192");
		b->out->rsa_min = k->rsa->min;
		b->out->rsa_max = k->rsa->max;
	}
	for (i = 0; i < k->ec_count; i++) {
		for (j = 0; j < 3; j++) {
			if (strcmp(k->ec[i], curve_names[j]) == 0)
				break;
		}
		if (j == 3)
			return conf_error(b->conf,
			    arena_printf(b->arena, "keys.ec[%zu]", i), b->err,
			    "\"%s\" is not P-256, P-384 or P-521", k->ec[i]);
	}
	b->out->curves = profile_copy_strings(b->arena, k->ec, k->ec_count);
	b->out->ed25519 = k->ed25519;
	if (k->rsa == NULL && k->ec_count == 0 && !k->ed25519)
		return conf_error(
		    b->conf, "keys", b->err, "no key algorithm is allowed");
	return 0;
}

static int
duration_at(struct builder *b, const char *path, const char *text,
    int64_t max_s, int64_t *out)
{
	struct err why;

	if (conf_duration(text, 0, max_s, out, &why) == -1)
		return conf_error(b->conf, path, b->err, "%s", why.text);
	return 0;
}

static int
build_validity(struct builder *b)
{
	const struct profile_conf_validity *v = &b->in->validity;
	struct profile *out = b->out;

	if (duration_at(b, "validity.default", v->def, 100 * YEAR_S,
		&out->validity_default_s) == -1 ||
	    duration_at(b, "validity.max", v->max, 100 * YEAR_S,
		&out->validity_max_s) == -1)
		return -1;
	if (v->backdate != NULL &&
	    duration_at(b, "validity.backdate", v->backdate,
		PROFILE_BACKDATE_MAX_S, &out->backdate_s) == -1)
		return -1;
	if (out->validity_default_s < 60)
		return conf_error(b->conf, "validity.default", b->err,
		    "is less than a minute");
	if (out->validity_default_s > out->validity_max_s)
		return conf_error(b->conf, "validity.default", b->err,
		    "is more than the maximum");
	return 0;
}

static int
build_usage(struct builder *b)
{
	const struct profile_conf *in = b->in;
	const char **oids = arena_array(b->arena, in->eku_count, sizeof(*oids));
	bool signs = (in->key_usage & 1U << 5) != 0;
	size_t i, k;

	b->out->key_usage = in->key_usage;
	b->out->key_usage_rsa =
	    in->key_usage_rsa == 0 ? in->key_usage : in->key_usage_rsa;
	for (i = 0; i < in->eku_count; i++) {
		const char *oid = profile_eku_oid(in->eku[i]);

		if (oid == NULL || strcmp(oid, OID_ANY_EKU) == 0)
			return conf_error(b->conf,
			    arena_printf(
				b->arena, "extended-key-usage[%zu]", i),
			    b->err,
			    "\"%s\" is not an extended key usage that "
			    "a profile may have",
			    in->eku[i]);
		for (k = 0; k < i && strcmp(oids[k], oid) != 0; k++)
			continue;
		if (k < i)
			return conf_error(b->conf,
			    arena_printf(
				b->arena, "extended-key-usage[%zu]", i),
			    b->err, "\"%s\" is there twice", in->eku[i]);
		oids[i] = arena_strdup(b->arena, oid);
	}
	b->out->eku = (struct profile_strings){ oids, in->eku_count };
	b->out->path_len = -1;
	if (in->basic != NULL) {
		b->out->ca = in->basic->ca;
		b->out->path_len = in->basic->path_len;
	}
	if (signs != b->out->ca)
		return conf_error(b->conf, "key-usage", b->err,
		    "keyCertSign and basic-constraints ca go together "
		    "(RFC 5280 4.2.1.9)");
	if (b->out->path_len < -1 || b->out->path_len > 10 ||
	    (!b->out->ca && b->out->path_len != -1))
		return conf_error(b->conf, "basic-constraints.path-length",
		    b->err, "must be 0 to 10, or -1 for none");
	return 0;
}

static int
build_policies(struct builder *b)
{
	size_t n = b->in->policies_count, i;
	struct profile_policy *out = arena_array(b->arena, n, sizeof(*out));
	uint8_t contents[64];
	size_t len;

	for (i = 0; i < n; i++) {
		const struct profile_conf_policy *in = &b->in->policies[i];

		if (!der_oid_contents(
			in->oid, contents, &len, sizeof(contents)))
			return conf_error(b->conf,
			    arena_printf(b->arena, "policies[%zu].oid", i),
			    b->err, "\"%s\" is not an OID", in->oid);
		out[i].oid = arena_strdup(b->arena, in->oid);
		out[i].cps = arena_strdup(b->arena, in->cps);
		out[i].notice = arena_strdup(b->arena, in->notice);
	}
	b->out->policies = out;
	b->out->n_policies = n;
	return 0;
}

static int
build_subtrees(struct builder *b, const char *path,
    const struct profile_conf_subtrees *in, bool permitted)
{
	struct profile_constraints *c = &b->out->constraints;
	struct profile_strings dns, email;
	const struct profile_range *ip = NULL;

	if (in == NULL)
		return 0;
	dns = profile_copy_strings(b->arena, in->dns, in->dns_count);
	email = profile_copy_strings(b->arena, in->email, in->email_count);
	if (build_ranges(b, arena_printf(b->arena, "%s.ip", path), in->ip,
		in->ip_count, &ip) == -1)
		return -1;
	if (permitted) {
		c->permitted_dns = dns;
		c->permitted_email = email;
		c->permitted_ip = ip;
		c->n_permitted_ip = in->ip_count;
	} else {
		c->excluded_dns = dns;
		c->excluded_email = email;
		c->excluded_ip = ip;
		c->n_excluded_ip = in->ip_count;
	}
	b->out->has_constraints =
	    b->out->has_constraints ||
	    in->dns_count + in->email_count + in->ip_count > 0;
	return 0;
}

static int
build_constraints(struct builder *b)
{
	const struct profile_conf_constraints *c = b->in->constraints;

	if (c == NULL)
		return 0;
	if (!b->out->ca)
		return conf_error(b->conf, "name-constraints", b->err,
		    "only a CA certificate has them (RFC 5280 4.2.1.10)");
	if (build_subtrees(
		b, "name-constraints.permitted", c->permitted, true) == -1)
		return -1;
	return build_subtrees(
	    b, "name-constraints.excluded", c->excluded, false);
}

static int (*const steps[])(struct builder *) = {
	build_allow,
	build_subject,
	build_san,
	build_keys,
	build_validity,
	build_usage,
	build_policies,
	build_constraints,
};

int
profile_build(struct arena *a, const struct conf *conf, struct profile *out,
    struct err *e)
{
	const struct profile_conf *in = conf_data(conf);
	struct builder b = { a, conf, in, out, e };
	struct span text = conf_text(conf);
	size_t i;

	/* principals of other CAs' certificates begin with it */
	if (in->name[0] == '@')
		return conf_error(conf, "name", e, "begins with \"@\"");
	out->name = arena_strdup(a, in->name);
	out->description =
	    arena_strdup(a, in->description == NULL ? "" : in->description);
	out->issuers = profile_copy_strings(a, in->issuers, in->issuers_count);
	out->tls_feature = in->tls_feature;
	out->ocsp_nocheck = in->ocsp_nocheck;
	out->crldp = in->crldp;
	out->aia = in->aia;
	out->approval = in->approval;
	out->per_hour = in->per_hour;
	if (in->per_hour > PER_HOUR_MAX)
		return conf_error(
		    conf, "per-hour", e, "is more than %d", PER_HOUR_MAX);
	out->text = arena_memdup(a, text.p, text.n);
	for (i = 0; i < sizeof(steps) / sizeof(steps[0]); i++) {
		if (steps[i](&b) == -1)
			return -1;
	}
	if (profile_build_clients(a, conf, out, e) == -1 ||
	    profile_build_est(a, conf, out, e) == -1)
		return -1;
	sha256(span_str(out->text), out->hash);
	return 0;
}
