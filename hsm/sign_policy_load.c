/* Turns a loaded keys.yaml into the rules that sign_policy_check reads. */
#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

#include "base/auto.h"
#include "base/b64.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/conf.h"
#include "base/der.h"
#include "hsm/sign_policy.h"
#include "hsm/sign_policy_conf.h"
#include "hsm/tosign.h"

#define DAY_S ((int64_t)86400)
#define VALIDITY_MAX_S (100 * 365 * DAY_S)
#define BACKDATE_MAX_S DAY_S
#define BACKDATE_DEFAULT_S ((int64_t)3600)
#define SAN_MAX_DEFAULT 100

AUTO_DEFINE(X509, X509_free);
AUTO_DEFINE(ASN1_OBJECT, ASN1_OBJECT_free);
AUTO_DEFINE(FILE, fclose);

/* The policy with what it borrows from. */
struct owner {
	struct sign_policy policy;
	struct conf *conf;
	struct arena *a;
};

/* Where in the file something stands: "classes[2]" and so on. */
struct at {
	const struct owner *o;
	char path[64];
};

static struct at
at_item(const struct owner *o, const char *list, size_t i)
{
	struct at at = { .o = o };

	(void)snprintf(at.path, sizeof(at.path), "%s[%zu]", list, i);
	return at;
}

static int wrong(const struct at *at, const char *key, struct err *e,
    const char *fmt, ...) PRINTF_LIKE(4, 5);

/* MALFORMED at 'key' of the item. */
static int
wrong(const struct at *at, const char *key, struct err *e, const char *fmt, ...)
{
	char path[128], text[ERR_TEXT_MAX];
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	(void)snprintf(path, sizeof(path), "%s%s%s", at->path,
	    at->path[0] == '\0' ? "" : ".", key);
	return conf_error(at->o->conf, path, e, "%s", text);
}

static struct sign_strings
strings(char **s, uint32_t n)
{
	return (struct sign_strings){ (const char *const *)s, n };
}

static int
load_callers(struct owner *o, enum sign_role role, char **names, uint32_t n,
    struct err *e)
{
	uid_t *uids = arena_array(o->a, n, sizeof(*uids));
	struct at at = { .o = o };
	struct passwd *pw;
	uint32_t i;

	(void)snprintf(at.path, sizeof(at.path), "callers");
	for (i = 0; i < n; i++) {
		pw = getpwnam(names[i]);
		if (pw == NULL)
			return wrong(&at, sign_role_name(role), e,
			    "no user \"%s\"", names[i]);
		uids[i] = pw->pw_uid;
	}
	o->policy.callers[role] = uids;
	o->policy.n_callers[role] = n;
	return 0;
}

static int
load_secret(const struct at *at, const char *key, const struct yaml_secret *y,
    struct sign_secret *out, struct err *e)
{
	if ((y->file != NULL) + (y->credential != NULL) + y->prompt != 1)
		return wrong(
		    at, key, e, "one of file, credential and prompt is needed");
	out->file = y->file;
	out->credential = y->credential;
	out->prompt = y->prompt;
	return 0;
}

static int
load_tokens(struct owner *o, const struct yaml_keys *y, struct err *e)
{
	struct sign_token *t = arena_array(o->a, y->tokens_count, sizeof(*t));
	struct at at;
	uint32_t i;

	for (i = 0; i < y->tokens_count; i++) {
		at = at_item(o, "tokens", i);
		t[i].name = y->tokens[i].name;
		t[i].module = y->tokens[i].module;
		if (load_secret(
			&at, "pin-file", &y->tokens[i].pin, &t[i].pin, e) != 0)
			return -1;
	}
	o->policy.tokens = t;
	o->policy.n_tokens = y->tokens_count;
	return 0;
}

static X509 *
read_cert(const char *file)
{
	AUTO(FILE) f = fopen(file, "re");

	return f == NULL ? NULL : PEM_read_X509(f, NULL, NULL, NULL);
}

static int64_t
time_of(const ASN1_TIME *t)
{
	struct clock_civil c;
	struct tm tm;

	if (ASN1_TIME_to_tm(t, &tm) != 1)
		return 0;
	c = (struct clock_civil){ .year = tm.tm_year + 1900,
		.month = tm.tm_mon + 1,
		.day = tm.tm_mday,
		.hour = tm.tm_hour,
		.minute = tm.tm_min,
		.second = tm.tm_sec };
	return clock_from_civil(&c);
}

/* AuthorityKeyIdentifier with the CA's key identifier, RFC 5280 4.2.1.1. */
static struct span
aki_of(struct arena *a, X509 *x)
{
	const ASN1_OCTET_STRING *id = X509_get0_subject_key_id(x);
	size_t begun;
	AUTO_BUF b;

	buf_init(&b, 256);
	if (id == NULL)
		return span_of(NULL, 0);
	begun = der_begin(&b, DER_SEQUENCE);
	der_put(&b, DER_CONTEXT(0),
	    span_of(ASN1_STRING_get0_data(id), (size_t)ASN1_STRING_length(id)));
	der_end(&b, begun);
	return span_dup(a, buf_get(&b));
}

/* What the key's certificate says about it. */
static int
load_cert(struct owner *o, const struct at *at, const char *file,
    struct sign_key *k, struct err *e)
{
	AUTO(X509) x = read_cert(file);
	unsigned char *der = NULL;
	struct err why;
	int n;

	if (x == NULL) {
		ERR_clear_error();
		return wrong(
		    at, "certificate", e, "cannot read \"%s\" as PEM", file);
	}
	n = i2d_X509_NAME(X509_get_subject_name(x), &der);
	k->subject = span_dup(o->a, span_of(der, n < 0 ? 0 : (size_t)n));
	OPENSSL_free(der);
	der = NULL;
	n = i2d_X509_PUBKEY(X509_get_X509_PUBKEY(x), &der);
	k->spki = span_dup(o->a, span_of(der, n < 0 ? 0 : (size_t)n));
	OPENSSL_free(der);
	k->aki = aki_of(o->a, x);
	if (k->subject.n == 0 || k->spki.n == 0 || k->aki.n == 0)
		return wrong(at, "certificate", e,
		    "has no subjectKeyIdentifier: not a CA certificate");
	k->not_after = time_of(X509_get0_notAfter(x));
	k->public = X509_get_pubkey(x);
	if (k->public == NULL || sign_alg_of(k->public, &k->alg, &why) != 0)
		return wrong(at, "certificate", e, "key is not served");
	return 0;
}

static const struct sign_token *
find_token(const struct owner *o, const char *name)
{
	size_t i;

	for (i = 0; i < o->policy.n_tokens; i++) {
		if (strcmp(o->policy.tokens[i].name, name) == 0)
			return &o->policy.tokens[i];
	}
	return NULL;
}

static int
load_key(struct owner *o, const struct yaml_key *y, size_t i, struct err *e)
{
	struct sign_key *k = &o->policy.keys[i];
	struct at at = at_item(o, "keys", i);
	size_t j;

	k->name = y->name;
	for (j = 0; j < i; j++) {
		if (strcmp(o->policy.keys[j].name, y->name) == 0)
			return wrong(&at, "name", e, "stands there twice");
	}
	if ((y->token == NULL) == (y->keyfile == NULL) ||
	    (y->token == NULL) != (y->uri == NULL))
		return wrong(&at, "name", e,
		    "either token and uri or keyfile is needed");
	k->uri = y->uri;
	k->keyfile = y->keyfile;
	if (y->token != NULL) {
		k->token = find_token(o, y->token);
		if (k->token == NULL)
			return wrong(
			    &at, "token", e, "no token \"%s\"", y->token);
	} else if (load_secret(&at, "passphrase-file", &y->passphrase,
		       &k->passphrase, e) != 0) {
		return -1;
	}
	return load_cert(o, &at, y->certificate, k, e);
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
			return wrong(
			    at, "eku", e, "\"%s\" is not a usage", word);
		for (i = 0; i < out->n; i++) {
			if (span_eq(oids[i], oids[out->n]))
				return wrong(
				    at, "eku", e, "\"%s\" twice", word);
		}
		out->n++;
	}
	if (out->n == 0 || *text != '\0')
		return wrong(at, "eku", e, "not a set");
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
			return wrong(
			    at, "key-usage", e, "\"%s\" is not a usage", word);
		*out |= (uint32_t)1 << i;
	}
	if (*out == 0 || *text != '\0')
		return wrong(at, "key-usage", e, "not a set");
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
		return wrong(
		    at, "extensions", e, "\"%s\" is not an extension", name);
	out->fixed = eq != NULL;
	if (eq != NULL &&
	    hex_decode(o->a, span_str(eq + 1), &out->value, e) != 0)
		return wrong(at, "extensions", e, "%s: value is not hex", name);
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
				return wrong(at, y->key, e, "not hex");
		} else if (!y->methods) {
			issuers[out->ca_issuers.n++] = y->s[i];
		} else if (strncmp(y->s[i], "ocsp ", 5) == 0) {
			ocsp[out->ocsp.n++] = y->s[i] + 5;
		} else if (strncmp(y->s[i], "caIssuers ", 10) == 0) {
			issuers[out->ca_issuers.n++] = y->s[i] + 10;
		} else {
			return wrong(at, y->key, e,
			    "neither \"ocsp URL\" nor \"caIssuers URL\" nor "
			    "\"der HEX\"");
		}
	}
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
	return load_urls(at, o, &fresh, &k->freshest, e);
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
			return wrong(at, "subject", e,
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
	k->san_max = y->max == 0 ? SAN_MAX_DEFAULT : y->max;
	for (t = 0; t < SIGN_NAME_TEXT; t++) {
		for (i = 0; i < k->san[t].n; i++) {
			if (sign_names_pattern_check((enum sign_name_type)t,
				k->san[t].s[i], &why) != 0)
				return wrong(at, "san", e, "%s", why.text);
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
		return wrong(
		    at, "ca", e, "only a class of the oper role may say true");
	if (conf_duration(y->max_validity, 60, VALIDITY_MAX_S,
		&k->max_validity_s, &why) != 0)
		return wrong(at, "max-validity", e, "%s", why.text);
	k->backdate_s = BACKDATE_DEFAULT_S;
	if (y->backdate != NULL && conf_duration(y->backdate, 0, BACKDATE_MAX_S,
				       &k->backdate_s, &why) != 0)
		return wrong(at, "backdate", e, "%s", why.text);
	k->approvers = strings(y->approvers, y->approvers_count);
	k->approvals = y->approvals;
	if (y->approvals > y->approvers_count ||
	    y->approvals > SIGN_APPROVALS_MAX)
		return wrong(at, "approvals", e,
		    "more than there are approvers, or than %d",
		    SIGN_APPROVALS_MAX);
	if (y->approvals == 0 && y->approvers_count > 0)
		return wrong(at, "approvers", e, "approvals says none");
	return 0;
}

static int
load_class(struct owner *o, const struct yaml_class *y, size_t i,
    struct sign_class *k, struct err *e)
{
	struct at at = at_item(o, "classes", i);
	size_t j;

	k->name = y->name;
	k->role = y->caller;
	k->kind = y->kind;
	for (j = 0; j < o->policy.n_keys; j++) {
		if (strcmp(o->policy.keys[j].name, y->key) == 0)
			k->key = &o->policy.keys[j];
	}
	if (k->key == NULL)
		return wrong(&at, "key", e, "no key \"%s\"", y->key);
	if (load_lists(&at, o, y, k, e) != 0 ||
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
			return wrong(&at, "approvers", e, "no approver \"%s\"",
			    k->approvers.s[j]);
	}
	return 0;
}

static int
load_approver(
    struct owner *o, const struct yaml_approver *y, size_t i, struct err *e)
{
	struct sign_approver *ap = &o->policy.approvers[i];
	struct at at = at_item(o, "approvers", i);
	AUTO(FILE) f = fopen(y->public_key, "re");
	struct err why;

	ap->name = y->name;
	if (f != NULL)
		ap->key = PEM_read_PUBKEY(f, NULL, NULL, NULL);
	if (ap->key == NULL || sign_alg_of(ap->key, &ap->alg, &why) != 0) {
		ERR_clear_error();
		return wrong(&at, "public-key", e,
		    "cannot read \"%s\" as an RSA, P-256 or P-384 key in PEM",
		    y->public_key);
	}
	return 0;
}

static int
load_head(struct owner *o, const struct yaml_keys *y, struct err *e)
{
	struct at at = { .o = o };

	if (y->node > 31)
		return wrong(&at, "node", e, "not within 0 to 31");
	if (y->slots < 1 || y->slots > 8)
		return wrong(&at, "slots", e, "not within 1 to 8");
	o->policy.node = (uint8_t)y->node;
	o->policy.slots = (uint8_t)y->slots;
	if (y->callers == NULL)
		return 0;
	if (load_callers(o, SIGN_ROLE_ENROLL, y->callers->enroll,
		y->callers->enroll_count, e) != 0 ||
	    load_callers(o, SIGN_ROLE_OPER, y->callers->oper,
		y->callers->oper_count, e) != 0)
		return -1;
	return load_callers(
	    o, SIGN_ROLE_PUB, y->callers->pub, y->callers->pub_count, e);
}

static int
load_all(struct owner *o, const struct yaml_keys *y, struct err *e)
{
	struct sign_policy *p = &o->policy;
	struct sign_class *classes =
	    arena_array(o->a, y->classes_count, sizeof(*classes));
	uint32_t i;

	p->keys = arena_array(o->a, y->keys_count, sizeof(*p->keys));
	p->approvers =
	    arena_array(o->a, y->approvers_count, sizeof(*p->approvers));
	p->classes = classes;
	if (load_head(o, y, e) != 0 || load_tokens(o, y, e) != 0)
		return -1;
	for (i = 0; i < y->approvers_count; i++) {
		p->n_approvers++;
		if (load_approver(o, &y->approvers[i], i, e) != 0)
			return -1;
	}
	for (i = 0; i < y->keys_count; i++) {
		p->n_keys++;
		if (load_key(o, &y->keys[i], i, e) != 0)
			return -1;
	}
	for (i = 0; i < y->classes_count; i++) {
		p->n_classes++;
		if (load_class(o, &y->classes[i], i, &classes[i], e) != 0)
			return -1;
	}
	return 0;
}

int
sign_policy_load(const char *file, struct sign_policy **out, struct err *e)
{
	struct owner *o = calloc(1, sizeof(*o));

	if (o == NULL)
		return err_set(e, ERR_INTERNAL, "no memory");
	o->a = arena_new();
	if (conf_load(file, &sign_policy_schema, &o->conf, e) != 0 ||
	    load_all(o, conf_data(o->conf), e) != 0) {
		sign_policy_free(&o->policy);
		return -1;
	}
	*out = &o->policy;
	return 0;
}

void
sign_policy_free(struct sign_policy *p)
{
	struct owner *o = (struct owner *)p;
	size_t i;

	if (p == NULL)
		return;
	for (i = 0; i < p->n_keys; i++)
		EVP_PKEY_free(p->keys[i].public);
	for (i = 0; i < p->n_approvers; i++)
		EVP_PKEY_free(p->approvers[i].key);
	if (o->conf != NULL)
		conf_free(o->conf);
	arena_free(o->a);
	free(o);
}
