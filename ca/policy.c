#include "ca/policy.h"

#include <fnmatch.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "ca/policy_int.h"

void
policy_note(struct arena *a, struct policy_trail *trail, const char *rule,
    bool ok, const char *text)
{
	if (trail == NULL || trail->n == POLICY_STEPS_MAX)
		return;
	trail->steps[trail->n].rule = rule;
	trail->steps[trail->n].text = arena_strdup(a, text == NULL ? "" : text);
	trail->steps[trail->n].ok = ok;
	trail->n++;
}

bool
policy_dns_match(const char *pattern, const char *name)
{
	size_t np, nn = strlen(name);
	const char *dot;

	if (strcmp(pattern, "**") == 0)
		return true;
	if (strncmp(pattern, "**.", 3) == 0) {
		np = strlen(pattern + 2);
		return nn > np && strcmp(name + nn - np, pattern + 2) == 0;
	}
	if (strncmp(pattern, "*.", 2) == 0) {
		dot = strchr(name, '.');
		return dot != NULL && dot != name &&
		       strcmp(dot, pattern + 1) == 0;
	}
	return strcmp(pattern, name) == 0;
}

static bool
listed(const struct profile_strings *list, const char *what)
{
	size_t i;

	for (i = 0; i < list->n; i++) {
		if (strcmp(list->list[i], what) == 0)
			return true;
	}
	return false;
}

bool
policy_glob_listed(const struct profile_strings *globs, const char *what)
{
	size_t i;

	for (i = 0; i < globs->n; i++) {
		if (fnmatch(globs->list[i], what, 0) == 0)
			return true;
	}
	return false;
}

static int
rule_allow(struct judge *j)
{
	const struct profile_allow *allow = j->profile->allow;
	const char *protocol = j->in->request->protocol;
	const char *who = j->in->principal->name;
	bool protocol_ok = false;
	size_t i;

	for (i = 0; i < j->profile->n_allow; i++) {
		if (!listed(&allow[i].protocols, protocol))
			continue;
		protocol_ok = true;
		if (allow[i].principals.n == 0 ||
		    policy_glob_listed(&allow[i].principals, who)) {
			j->text =
			    arena_printf(j->arena, "%s over %s", who, protocol);
			return 0;
		}
	}
	if (!protocol_ok)
		return err_set(
		    j->err, ERR_REFUSED, "may not be used over %s", protocol);
	return err_set(j->err, ERR_REFUSED, "may not be used by %s over %s",
	    who, protocol);
}

static int
rule_issuer(struct judge *j)
{
	const char *name = j->in->request->issuer;

	if (name == NULL && j->profile->issuers.n > 0)
		name = j->profile->issuers.list[0];
	if (name == NULL || !listed(&j->profile->issuers, name))
		return err_set(j->err, ERR_REFUSED, "is not for issuer \"%s\"",
		    name == NULL ? "" : name);
	j->plan->issuer = issuer_get(j->in->issuers, name);
	if (j->plan->issuer == NULL)
		return err_set(j->err, ERR_REFUSED,
		    "names issuer \"%s\", which is not configured", name);
	j->text = name;
	return 0;
}

static bool
key_allowed(const struct profile *p, const struct pubkey *k)
{
	switch (k->type) {
	case PUBKEY_RSA:
		return p->rsa_max != 0 && k->bits >= p->rsa_min &&
		       k->bits <= p->rsa_max;
	case PUBKEY_EC:
		return listed(&p->curves, k->name);
	case PUBKEY_ED25519:
		return p->ed25519;
	}
	return false;
}

/* Opening a key costs 10 us: not again when the adapter has done it. */
static int
look_at_key(const struct request_want *w, struct pubkey *out, struct err *e)
{
	if (w->key != NULL) {
		*out = *w->key;
		return 0;
	}
	if (pubkey_open(w->spki, out, e) == -1)
		return -1;
	pubkey_clear(out);
	return 0;
}

static int
rule_key(struct judge *j)
{
	struct pubkey key;
	bool ok;

	if (look_at_key(&j->want, &key, j->err) == -1)
		return -1;
	ok = key_allowed(j->profile, &key);
	j->plan->key_name = key.name;
	j->plan->key_usage = key.type == PUBKEY_RSA ? j->profile->key_usage_rsa
						    : j->profile->key_usage;
	if (!ok)
		return err_set(j->err, ERR_BAD_KEY,
		    "does not allow keys of type %s with %u bits", key.name,
		    key.bits);
	if (issuer_owns_key(j->in->issuers, j->want.spki))
		return err_set(j->err, ERR_BAD_KEY,
		    "the key is that of one of our own CAs");
	j->plan->spki = j->want.spki;
	j->text = key.name;
	return 0;
}

bool
policy_from_san(const struct profile *p, const struct dn_type *type)
{
	size_t i;

	for (i = 0; i < p->n_attrs; i++) {
		if (p->attrs[i].type == type && p->attrs[i].from_san)
			return true;
	}
	return false;
}

/*
 * A CN that counts as a name (RFC 8555 7.4) joins the alternative names, so
 * that it is judged like them.
 */
static int
rule_common_name(struct judge *j)
{
	struct request_want *w = &j->want;
	const struct dn *asked = &w->subject;
	struct request_san *all;
	size_t i;

	all = arena_array(j->arena, w->n_sans + asked->n, sizeof(*all));
	if (w->n_sans > 0)
		memcpy(all, w->sans, w->n_sans * sizeof(*all));
	w->sans = all;
	for (i = 0; i < asked->n; i++) {
		if (!policy_from_san(j->profile, asked->attrs[i].type))
			continue;
		if (request_san_parse(j->arena, asked->attrs[i].value,
			&all[w->n_sans], j->err) == -1)
			return err_prefix(j->err, "common name");
		w->n_sans++;
		j->text = asked->attrs[i].value;
	}
	request_sans_dedup(w);
	return 0;
}

/*
 * An attribute that counts as an alternative name is written as that name is:
 * not in upper case, and without "dns:" before it.
 */
static int
write_as_name(struct judge *j, struct dn_attr *attr)
{
	struct request_san san;

	if (!policy_from_san(j->profile, attr->type))
		return 0;
	if (request_san_parse(j->arena, attr->value, &san, j->err) == -1)
		return -1;
	attr->value = san.text;
	return 0;
}

static int
check_attr(struct judge *j, const struct dn_attr *attr, unsigned *seen)
{
	const struct profile_attr *rule;
	size_t i;

	for (i = 0; i < j->profile->n_attrs; i++) {
		rule = &j->profile->attrs[i];
		if (rule->type != attr->type)
			continue;
		if (++seen[i] > rule->max)
			return err_set(j->err, ERR_REFUSED,
			    "allows %s at most %u times", attr->type->name,
			    rule->max);
		if (rule->pattern != NULL &&
		    fnmatch(rule->pattern, attr->value, 0) != 0)
			return err_set(j->err, ERR_REFUSED,
			    "%s \"%s\" does not match \"%s\"", attr->type->name,
			    attr->value, rule->pattern);
		return 0;
	}
	return err_set(j->err, ERR_REFUSED,
	    "does not allow the subject attribute %s", attr->type->name);
}

bool
policy_is_fixed(const struct profile *p, const struct dn_attr *attr)
{
	size_t i;

	for (i = 0; i < p->n_fixed; i++) {
		if (p->fixed[i].type == attr->type &&
		    strcmp(p->fixed[i].value, attr->value) == 0)
			return true;
	}
	return false;
}

static int
rule_subject(struct judge *j)
{
	const struct profile *p = j->profile;
	const struct dn *asked = &j->want.subject;
	unsigned seen[DN_ATTRS_MAX] = { 0 };
	struct dn *out = &j->plan->subject;
	size_t i;

	out->attrs =
	    arena_array(j->arena, p->n_fixed + asked->n, sizeof(*out->attrs));
	for (i = 0; i < p->n_fixed; i++) {
		out->attrs[out->n].type = p->fixed[i].type;
		out->attrs[out->n++].value = p->fixed[i].value;
	}
	for (i = 0; i < asked->n; i++) {
		struct dn_attr *attr = &out->attrs[out->n];

		*attr = asked->attrs[i];
		if (policy_is_fixed(p, attr))
			continue;
		if (write_as_name(j, attr) == -1 ||
		    check_attr(j, attr, seen) == -1)
			return -1;
		out->n++;
	}
	for (i = 0; i < p->n_attrs; i++) {
		if (p->attrs[i].required && seen[i] == 0)
			return err_set(j->err, ERR_REFUSED,
			    "requires the subject attribute %s",
			    p->attrs[i].type->name);
	}
	if (j->in->trail != NULL)
		j->text = dn_text(j->arena, out);
	return 0;
}

static bool
in_range(const struct profile_range *r, struct span ip)
{
	unsigned i;

	if (ip.n != r->octets)
		return false;
	for (i = 0; i < r->bits; i++) {
		if (((ip.p[i / 8] ^ r->net[i / 8]) >> (7 - i % 8) & 1) != 0)
			return false;
	}
	return true;
}

static bool
san_matches(const struct profile_san *rule, const struct request_san *san)
{
	size_t i;

	if (san->type == TOSIGN_GN_IP) {
		for (i = 0; i < rule->n_ranges; i++) {
			if (in_range(&rule->ranges[i], san->ip))
				return true;
		}
		return false;
	}
	if (san->type != TOSIGN_GN_DNS)
		return policy_glob_listed(&rule->patterns, san->text);
	for (i = 0; i < rule->patterns.n; i++) {
		if (policy_dns_match(rule->patterns.list[i], san->text))
			return true;
	}
	return false;
}

static int
san_index(enum tosign_gn type)
{
	switch (type) {
	case TOSIGN_GN_DNS:
		return PROFILE_SAN_DNS;
	case TOSIGN_GN_IP:
		return PROFILE_SAN_IP;
	case TOSIGN_GN_EMAIL:
		return PROFILE_SAN_EMAIL;
	case TOSIGN_GN_URI:
		return PROFILE_SAN_URI;
	default:
		return PROFILE_SAN_UPN;
	}
}

int
policy_san_check(
    const struct profile *p, const struct request_san *san, struct err *e)
{
	const struct profile_san *rule = &p->san[san_index(san->type)];
	const char *word = request_san_word(san->type);

	if (!rule->allowed)
		return err_set(e, ERR_REFUSED,
		    "does not allow alternative names of type %s", word);
	if (san->type == TOSIGN_GN_DNS && san->text[0] == '*' &&
	    !rule->wildcard)
		return err_set(e, ERR_REFUSED,
		    "does not allow the wildcard name \"%s\"", san->text);
	if (!san_matches(rule, san))
		return err_set(e, ERR_REFUSED,
		    "does not allow the %s name \"%s\"", word, san->text);
	return 0;
}

static int
check_san(struct judge *j, const struct request_san *san, unsigned *seen)
{
	int index = san_index(san->type);
	unsigned max = j->profile->san[index].max;

	if (policy_san_check(j->profile, san, j->err) == -1)
		return -1;
	if (++seen[index] > max)
		return err_set(j->err, ERR_REFUSED,
		    "allows at most %u alternative names of type %s", max,
		    request_san_word(san->type));
	return 0;
}

static int
rule_san(struct judge *j)
{
	unsigned seen[PROFILE_SAN__COUNT] = { 0 };
	const struct request_want *w = &j->want;
	size_t i;

	if (w->n_sans == 0 && j->profile->san_required)
		return err_set(
		    j->err, ERR_REFUSED, "requires an alternative name");
	if (w->n_sans > j->profile->san_max && w->n_sans > 0)
		return err_set(j->err, ERR_REFUSED,
		    "allows at most %u alternative names", j->profile->san_max);
	for (i = 0; i < w->n_sans; i++) {
		if (check_san(j, &w->sans[i], seen) == -1)
			return -1;
	}
	j->plan->sans = w->sans;
	j->plan->n_sans = w->n_sans;
	for (i = 0; j->in->trail != NULL && i < w->n_sans; i++)
		j->text = arena_printf(j->arena, "%s%s%s:%s",
		    j->text == NULL ? "" : j->text, i == 0 ? "" : ", ",
		    request_san_word(w->sans[i].type), w->sans[i].text);
	return 0;
}

static int
rule_tls_feature(struct judge *j)
{
	enum profile_feature f = j->profile->tls_feature;

	if (j->want.must_staple && f == FEATURE_NEVER)
		return err_set(j->err, ERR_REFUSED,
		    "does not allow the TLS feature status_request");
	j->plan->must_staple = j->want.must_staple || f == FEATURE_ALWAYS;
	j->text = j->plan->must_staple ? "status_request" : "none";
	return 0;
}

static int
rule_validity(struct judge *j)
{
	const struct request_want *w = &j->want;
	const struct profile *p = j->profile;
	int64_t now = clock_now(), from, until;

	from = w->not_before == 0 ? now - p->backdate_s : w->not_before;
	if (from < now - PROFILE_BACKDATE_MAX_S || from > now + 60)
		return err_set(j->err, ERR_REFUSED,
		    "does not allow notBefore other than the present");
	if (from < j->plan->issuer->not_before)
		from = j->plan->issuer->not_before;
	if (from > now + 60)
		return err_set(
		    j->err, ERR_REFUSED, "the issuer is not valid yet");
	/* the last second counts (RFC 5280 4.1.2.5) */
	until =
	    w->not_after == 0 ? from + p->validity_default_s - 1 : w->not_after;
	/* who asks for the longest validity gets less backdate instead */
	if (w->not_before == 0 && until - p->validity_max_s < now)
		from = until - p->validity_max_s + 1 > from
			   ? until - p->validity_max_s + 1
			   : from;
	if (until - from + 1 > p->validity_max_s)
		return err_set(j->err, ERR_REFUSED,
		    "allows at most %lld seconds of validity",
		    (long long)p->validity_max_s);
	if (w->not_after != 0 && until > j->plan->issuer->not_after)
		return err_set(
		    j->err, ERR_REFUSED, "notAfter lies beyond the issuer's");
	if (until > j->plan->issuer->not_after)
		until = j->plan->issuer->not_after;
	if (until <= now)
		return err_set(
		    j->err, ERR_REFUSED, "notAfter lies in the past");
	j->plan->not_before = from;
	j->plan->not_after = until;
	return 0;
}

static const struct rule {
	const char *name;
	int (*check)(struct judge *);
} rules[] = {
	{ "allow", rule_allow },
	{ "issuer", rule_issuer },
	{ "key", rule_key },
	{ "common-name", rule_common_name },
	{ "subject", rule_subject },
	{ "san", rule_san },
	{ "control", policy_control },
	{ "tls-feature", rule_tls_feature },
	{ "validity", rule_validity },
};

int
policy_check(struct arena *a, const struct policy_input *in,
    struct policy_plan *out, struct err *e)
{
	struct judge j = { a, in, in->profile, in->request->want, out, e,
		NULL };
	size_t i;

	*out = (struct policy_plan){ .profile = in->profile };
	for (i = 0; i < sizeof(rules) / sizeof(rules[0]); i++) {
		j.text = NULL;
		if (rules[i].check(&j) == -1) {
			policy_note(
			    a, in->trail, rules[i].name, false, e->text);
			return err_prefix(e, "profile \"%s\", rule %s",
			    in->profile->name, rules[i].name);
		}
		policy_note(a, in->trail, rules[i].name, true, j.text);
	}
	return 0;
}
