/* Reads one class of keys.yaml. */
#include <stdio.h>
#include <string.h>

#include <openssl/err.h>
#include <openssl/objects.h>

#include "base/auto.h"
#include "base/b64.h"
#include "base/conf.h"
#include "base/crl_partition.h"
#include "hsm/crlfloor.h"
#include "hsm/sign_policy.h"
#include "hsm/sign_policy_conf.h"
#include "hsm/sign_policy_int.h"

#define DAY_S ((int64_t)86400)
#define VALIDITY_MAX_S (100 * 365 * DAY_S)
#define BACKDATE_MAX_S DAY_S
#define BACKDATE_DEFAULT_S ((int64_t)3600)
#define SAN_MAX_DEFAULT 100

AUTO_DEFINE(ASN1_OBJECT, ASN1_OBJECT_free);

static struct sign_strings
strings(char **s, uint32_t n)
{
	return (struct sign_strings){ (const char *const *)s, n };
}

/* Contents octets from a name that libcrypto knows, or from dotted text. */
static int
oid_of(struct owner *o, const char *name, struct span *out)
{
	AUTO(ASN1_OBJECT) obj = OBJ_txt2obj(name, 0);

	ERR_clear_error();
	if (obj == NULL || OBJ_length(obj) == 0)
		return -1;
	*out = span_dup(o->a, span_of(OBJ_get0_data(obj), OBJ_length(obj)));
	return 0;
}

/* Takes the next word of 's' into 'word'; false at the end. */
static bool
next_word(const char **s, char *word, size_t size)
{
	size_t n;

	*s += strspn(*s, " ");
	n = strcspn(*s, " ");
	if (n == 0 || n >= size)
		return false;
	memcpy(word, *s, n);
	word[n] = '\0';
	*s += n;
	return true;
}

static int
load_eku_set(const struct at *at, struct owner *o, const char *text,
    struct sign_oids *out, struct err *e)
{
	struct span *oids = arena_array(o->a, strlen(text), sizeof(*oids));
	char word[128];
	size_t i;

	out->oid = oids;
	out->n = 0;
	if (strcmp(text, "absent") == 0)
		return 0;
	while (next_word(&text, word, sizeof(word))) {
		if (oid_of(o, word, &oids[out->n]) != 0)
			return sign_policy_wrong(
			    at, "eku", e, "\"%s\" is not a usage", word);
		for (i = 0; i < out->n; i++) {
			if (span_eq(oids[i], oids[out->n]))
				return sign_policy_wrong(
				    at, "eku", e, "\"%s\" twice", word);
		}
		out->n++;
	}
	if (out->n == 0 || *text != '\0')
		return sign_policy_wrong(at, "eku", e, "not a set");
	return 0;
}

static int
load_key_usage_set(
    const struct at *at, const char *text, uint32_t *out, struct err *e)
{
	static const char *const names[] = { "digitalSignature",
		"nonRepudiation", "keyEncipherment", "dataEncipherment",
		"keyAgreement", "keyCertSign", "cRLSign", "encipherOnly",
		"decipherOnly" };
	const size_t n = sizeof(names) / sizeof(names[0]);
	char word[64];
	size_t i;

	*out = 0;
	if (strcmp(text, "absent") == 0)
		return 0;
	while (next_word(&text, word, sizeof(word))) {
		for (i = 0; i < n && strcmp(names[i], word) != 0; i++)
			continue;
		if (i == n)
			return sign_policy_wrong(
			    at, "key-usage", e, "\"%s\" is not a usage", word);
		*out |= (uint32_t)1 << i;
	}
	if (*out == 0 || *text != '\0')
		return sign_policy_wrong(at, "key-usage", e, "not a set");
	return 0;
}

/* "name" or "name=hex of the value". */
static int
load_extension(const struct at *at, struct owner *o, const char *text,
    struct sign_extension *out, struct err *e)
{
	const char *eq = strchr(text, '=');
	char name[128];

	(void)snprintf(name, sizeof(name), "%.*s",
	    (int)(eq == NULL ? strlen(text) : (size_t)(eq - text)), text);
	if (oid_of(o, name, &out->oid) != 0)
		return sign_policy_wrong(
		    at, "extensions", e, "\"%s\" is not an extension", name);
	out->fixed = eq != NULL;
	if (eq != NULL &&
	    hex_decode(o->a, span_str(eq + 1), &out->value, e) != 0)
		return sign_policy_wrong(
		    at, "extensions", e, "%s: value is not hex", name);
	return 0;
}

struct url_list {
	const char *key;
	char **s;
	uint32_t n;
	bool methods; /* "ocsp URL" and "caIssuers URL" */
};

static int
load_urls(const struct at *at, struct owner *o, const struct url_list *y,
    struct sign_urls *out, struct err *e)
{
	const char **ocsp = arena_array(o->a, y->n, sizeof(*ocsp));
	const char **issuers = arena_array(o->a, y->n, sizeof(*issuers));
	struct span *der = arena_array(o->a, y->n, sizeof(*der));
	uint32_t i;

	out->ocsp.s = ocsp;
	out->ca_issuers.s = issuers;
	out->der = der;
	for (i = 0; i < y->n; i++) {
		if (strncmp(y->s[i], "der ", 4) == 0) {
			if (hex_decode(o->a, span_str(y->s[i] + 4),
				&der[out->n_der++], e) != 0)
				return sign_policy_wrong(
				    at, y->key, e, "not hex");
		} else if (!y->methods) {
			issuers[out->ca_issuers.n++] = y->s[i];
		} else if (strncmp(y->s[i], "ocsp ", 5) == 0) {
			ocsp[out->ocsp.n++] = y->s[i] + 5;
		} else if (strncmp(y->s[i], "caIssuers ", 10) == 0) {
			issuers[out->ca_issuers.n++] = y->s[i] + 10;
		} else {
			return sign_policy_wrong(at, y->key, e,
			    "neither \"ocsp URL\" nor \"caIssuers URL\" nor "
			    "\"der HEX\"");
		}
	}
	return 0;
}

static bool
any_marked(const struct sign_strings *urls)
{
	size_t i;

	for (i = 0; i < urls->n; i++) {
		if (crl_partition_marked(urls->s[i]))
			return true;
	}
	return false;
}

static int
load_partitions(const struct at *at, const struct yaml_class *y,
    struct sign_class *k, struct err *e)
{
	bool marked = any_marked(&k->crldp.ca_issuers) ||
		      any_marked(&k->freshest.ca_issuers);

	k->crl_partitions = y->crl_partitions;
	if (y->crl_partitions > CRL_PARTITIONS_MAX)
		return sign_policy_wrong(at, "crl-partitions", e,
		    "must be at most %d", CRL_PARTITIONS_MAX);
	if (marked == (y->crl_partitions == 0))
		return sign_policy_wrong(at, "crl-partitions", e,
		    "goes with URLs that have " CRL_PARTITION_MARK);
	return 0;
}

static int
load_lists(const struct at *at, struct owner *o, const struct yaml_class *y,
    struct sign_class *k, struct err *e)
{
	struct sign_oids *eku = arena_array(o->a, y->eku_count, sizeof(*eku));
	uint32_t *ku = arena_array(o->a, y->key_usage_count, sizeof(*ku)), i;
	struct sign_extension *x =
	    arena_array(o->a, y->extensions_count, sizeof(*x));
	struct url_list aia = { "aia", y->aia, y->aia_count, true };
	struct url_list dp = { "crl-distribution-points", y->crldp,
		y->crldp_count, false };
	struct url_list fresh = { "freshest-crl", y->freshest,
		y->freshest_count, false };

	for (i = 0; i < y->eku_count; i++) {
		if (load_eku_set(at, o, y->eku[i], &eku[i], e) != 0)
			return -1;
	}
	for (i = 0; i < y->key_usage_count; i++) {
		if (load_key_usage_set(at, y->key_usage[i], &ku[i], e) != 0)
			return -1;
	}
	for (i = 0; i < y->extensions_count; i++) {
		if (load_extension(at, o, y->extensions[i], &x[i], e) != 0)
			return -1;
	}
	k->eku = eku;
	k->n_eku = y->eku_count;
	k->key_usage = ku;
	k->n_key_usage = y->key_usage_count;
	k->exts = x;
	k->n_exts = y->extensions_count;
	if (load_urls(at, o, &aia, &k->aia, e) != 0 ||
	    load_urls(at, o, &dp, &k->crldp, e) != 0)
		return -1;
	if (load_urls(at, o, &fresh, &k->freshest, e) != 0)
		return -1;
	return load_partitions(at, y, k, e);
}

static int
load_subject(const struct at *at, struct owner *o, const struct yaml_class *y,
    struct sign_class *k, struct err *e)
{
	struct sign_attribute *attrs =
	    arena_array(o->a, y->subject_count, sizeof(*attrs));
	const struct yaml_attribute *ya;
	uint32_t i;

	for (i = 0; i < y->subject_count; i++) {
		ya = &y->subject[i];
		if (oid_of(o, ya->attribute, &attrs[i].oid) != 0)
			return sign_policy_wrong(at, "subject", e,
			    "\"%s\" is not an attribute", ya->attribute);
		attrs[i].values = strings(ya->values, ya->values_count);
		attrs[i].max = ya->max == 0 ? 1 : ya->max;
		attrs[i].from_san = ya->from_san;
	}
	k->subject = attrs;
	k->n_subject = y->subject_count;
	return 0;
}

static int
load_san(const struct at *at, const struct yaml_san *y, struct sign_class *k,
    struct err *e)
{
	struct err why;
	size_t t, i;

	if (y == NULL)
		return 0;
	k->san[SIGN_NAME_DNS] = strings(y->dns, y->dns_count);
	k->san[SIGN_NAME_IP] = strings(y->ip, y->ip_count);
	k->san[SIGN_NAME_EMAIL] = strings(y->email, y->email_count);
	k->san[SIGN_NAME_URI] = strings(y->uri, y->uri_count);
	k->san[SIGN_NAME_UPN] = strings(y->upn, y->upn_count);
	k->san_wildcard = y->wildcard;
	k->san_max = y->max == 0 ? SAN_MAX_DEFAULT : y->max;
	for (t = 0; t < SIGN_NAME_TEXT; t++) {
		for (i = 0; i < k->san[t].n; i++) {
			if (sign_names_pattern_check((enum sign_name_type)t,
				k->san[t].s[i], &why) != 0)
				return sign_policy_wrong(
				    at, "san", e, "%s", why.text);
		}
	}
	return 0;
}

static int
load_limits(const struct at *at, const struct yaml_class *y,
    struct sign_class *k, struct err *e)
{
	struct err why;

	k->ca = y->ca;
	k->path_len = y->path_len;
	if (y->ca && y->caller != SIGN_ROLE_OPER)
		return sign_policy_wrong(
		    at, "ca", e, "only a class of the oper role may say true");
	if (conf_duration(y->max_validity, 60, VALIDITY_MAX_S,
		&k->max_validity_s, &why) != 0)
		return sign_policy_wrong(at, "max-validity", e, "%s", why.text);
	k->backdate_s = BACKDATE_DEFAULT_S;
	if (y->backdate != NULL && conf_duration(y->backdate, 0, BACKDATE_MAX_S,
				       &k->backdate_s, &why) != 0)
		return sign_policy_wrong(at, "backdate", e, "%s", why.text);
	k->approvers = strings(y->approvers, y->approvers_count);
	k->approvals = y->approvals;
	if (y->approvals > y->approvers_count ||
	    y->approvals > SIGN_APPROVALS_MAX)
		return sign_policy_wrong(at, "approvals", e,
		    "more than there are approvers, or than %d",
		    SIGN_APPROVALS_MAX);
	if (y->approvals == 0 && y->approvers_count > 0)
		return sign_policy_wrong(
		    at, "approvers", e, "approvals says none");
	return 0;
}

/* What a responder certificate is for, RFC 6960 4.2.2.2: nothing else. */
static int
fix_usage(
    const struct at *at, struct owner *o, struct sign_class *k, struct err *e)
{
	struct sign_oids *eku = arena_array(o->a, 1, sizeof(*eku));
	uint32_t *ku = arena_array(o->a, 1, sizeof(*ku));

	k->eku = eku;
	k->key_usage = ku;
	k->n_eku = k->n_key_usage = 1;
	if (load_eku_set(at, o, "OCSPSigning", eku, e) != 0)
		return -1;
	return load_key_usage_set(at, "digitalSignature", ku, e);
}

/* Which members a class of its kind has. */
static int
check_kind(const struct at *at, const struct yaml_class *y, struct err *e)
{
	bool usage = y->eku_count > 0 || y->key_usage_count > 0;

	if (y->kind != SIGN_CERT && y->caller != SIGN_ROLE_PUB)
		return sign_policy_wrong(at, "caller", e,
		    "only a class of the pub role may be of this kind");
	if (y->kind == SIGN_CERT &&
	    (y->eku_count == 0 || y->key_usage_count == 0))
		return sign_policy_wrong(at,
		    y->eku_count == 0 ? "eku" : "key-usage", e,
		    "is needed for kind certificate");
	if (y->kind != SIGN_CERT && (usage || y->ca || y->approvals > 0))
		return sign_policy_wrong(at, "kind", e,
		    "eku, key-usage, ca and approvals are for certificates");
	if (y->kind == SIGN_CRL &&
	    (y->extensions_count > 0 || y->subject_count > 0 || y->san != NULL))
		return sign_policy_wrong(
		    at, "kind", e, "a CRL has no such members");
	if (y->loss != 0 && (y->kind != SIGN_CRL || y->loss > 100 ||
				y->loss < CRLFLOOR_LOSS_PERCENT))
		return sign_policy_wrong(at, "crl-loss-allowance", e,
		    "is %d to 100 (percent) of a class of kind crl",
		    CRLFLOOR_LOSS_PERCENT);
	return 0;
}

int
sign_policy_class(struct owner *o, const struct yaml_class *y, size_t i,
    struct sign_class *k, struct err *e)
{
	struct at at = sign_policy_at(o, "classes", i);
	size_t j;

	k->name = y->name;
	k->role = y->caller;
	k->kind = y->kind;
	for (j = 0; j < o->policy.n_keys; j++) {
		if (strcmp(o->policy.keys[j].name, y->key) == 0)
			k->key = &o->policy.keys[j];
	}
	if (k->key == NULL)
		return sign_policy_wrong(
		    &at, "key", e, "no key \"%s\"", y->key);
	k->loss_percent = y->loss == 0 ? CRLFLOOR_LOSS_PERCENT : (int)y->loss;
	if (check_kind(&at, y, e) != 0 || load_lists(&at, o, y, k, e) != 0 ||
	    (y->kind == SIGN_RESPONDER && fix_usage(&at, o, k, e) != 0) ||
	    load_subject(&at, o, y, k, e) != 0 ||
	    load_san(&at, y->san, k, e) != 0 || load_limits(&at, y, k, e) != 0)
		return -1;
	if (k->backdate_s > o->policy.horizon_s)
		o->policy.horizon_s = k->backdate_s;
	for (j = 0; j < k->approvers.n; j++) {
		size_t n = 0;

		while (
		    n < o->policy.n_approvers &&
		    strcmp(o->policy.approvers[n].name, k->approvers.s[j]) != 0)
			n++;
		if (n == o->policy.n_approvers)
			return sign_policy_wrong(&at, "approvers", e,
			    "no approver \"%s\"", k->approvers.s[j]);
	}
	return 0;
}
