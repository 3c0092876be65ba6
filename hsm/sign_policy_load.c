/* Turns a loaded keys.yaml into the rules that sign_policy_check reads. */
#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

#include "base/auto.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/conf.h"
#include "base/der.h"
#include "hsm/responder.h"
#include "hsm/sign_policy.h"
#include "hsm/sign_policy_conf.h"
#include "hsm/sign_policy_int.h"
#include "hsm/tosign.h"

AUTO_DEFINE(X509, X509_free);
AUTO_DEFINE(FILE, fclose);

struct at
sign_policy_at(const struct owner *o, const char *list, size_t i)
{
	struct at at = { .o = o };

	(void)snprintf(at.path, sizeof(at.path), "%s[%zu]", list, i);
	return at;
}

int
sign_policy_wrong(
    const struct at *at, const char *key, struct err *e, const char *fmt, ...)
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
			return sign_policy_wrong(&at, sign_role_name(role), e,
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
		return sign_policy_wrong(
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
		at = sign_policy_at(o, "tokens", i);
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
	AUTO_BUF(b, 256);

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
		return sign_policy_wrong(
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
		return sign_policy_wrong(at, "certificate", e,
		    "has no subjectKeyIdentifier: not a CA certificate");
	k->not_after = time_of(X509_get0_notAfter(x));
	k->public = X509_get_pubkey(x);
	if (k->public == NULL || sign_alg_of(k->public, &k->alg, &why) != 0)
		return sign_policy_wrong(
		    at, "certificate", e, "key is not served");
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
	struct at at = sign_policy_at(o, "keys", i);
	size_t j;

	k->name = y->name;
	for (j = 0; j < i; j++) {
		if (strcmp(o->policy.keys[j].name, y->name) == 0)
			return sign_policy_wrong(
			    &at, "name", e, "stands there twice");
	}
	if ((y->token == NULL) == (y->keyfile == NULL) ||
	    (y->token == NULL) != (y->uri == NULL))
		return sign_policy_wrong(&at, "name", e,
		    "either token and uri or keyfile is needed");
	k->uri = y->uri;
	k->keyfile = y->keyfile;
	if (y->token != NULL) {
		k->token = find_token(o, y->token);
		if (k->token == NULL)
			return sign_policy_wrong(
			    &at, "token", e, "no token \"%s\"", y->token);
	} else if (load_secret(&at, "passphrase-file", &y->passphrase,
		       &k->passphrase, e) != 0) {
		return -1;
	}
	return load_cert(o, &at, y->certificate, k, e);
}

static int
load_approver(
    struct owner *o, const struct yaml_approver *y, size_t i, struct err *e)
{
	struct sign_approver *ap = &o->policy.approvers[i];
	struct at at = sign_policy_at(o, "approvers", i);
	AUTO(FILE) f = fopen(y->public_key, "re");
	struct err why;

	ap->name = y->name;
	if (f != NULL)
		ap->key = PEM_read_PUBKEY(f, NULL, NULL, NULL);
	if (ap->key == NULL || sign_alg_of(ap->key, &ap->alg, &why) != 0) {
		ERR_clear_error();
		return sign_policy_wrong(&at, "public-key", e,
		    "cannot read \"%s\" as an RSA, P-256 or P-384 key in PEM",
		    y->public_key);
	}
	return 0;
}

#define PER_HOUR_DEFAULT 6

static int
load_responder(
    struct owner *o, const struct yaml_responder *y, size_t i, struct err *e)
{
	struct sign_responder *r = &o->policy.responders[i];
	struct at at = sign_policy_at(o, "responders", i);
	AUTO(FILE) f = fopen(y->key, "re");
	struct err why;

	r->name = y->name;
	r->issuers = (struct sign_strings){ (const char *const *)y->issuers,
		y->issuers_count };
	r->per_hour = y->per_hour == 0 ? PER_HOUR_DEFAULT : y->per_hour;
	r->max_validity_s = RESPONDER_VALIDITY_MAX_S;
	if (y->max_validity != NULL &&
	    conf_duration(y->max_validity, 60, RESPONDER_VALIDITY_MAX_S,
		&r->max_validity_s, &why) != 0)
		return sign_policy_wrong(
		    &at, "max-validity", e, "%s", why.text);
	if (f != NULL)
		r->key = PEM_read_PUBKEY(f, NULL, NULL, NULL);
	if (r->key == NULL || sign_alg_of(r->key, &r->alg, &why) != 0 ||
	    strcmp(r->alg.name, "P-256") != 0) {
		ERR_clear_error();
		return sign_policy_wrong(&at, "key", e,
		    "cannot read \"%s\" as a P-256 key in PEM", y->key);
	}
	for (i = 0; i < r->issuers.n; i++) {
		if (sign_policy_key(&o->policy, r->issuers.s[i]) == NULL)
			return sign_policy_wrong(&at, "issuers", e,
			    "no key \"%s\"", r->issuers.s[i]);
	}
	return 0;
}

static int
load_responders(struct owner *o, const struct yaml_keys *y, struct err *e)
{
	uint32_t i;

	o->policy.responders = arena_array(
	    o->a, y->responders_count, sizeof(*o->policy.responders));
	for (i = 0; i < y->responders_count; i++) {
		o->policy.n_responders++;
		if (load_responder(o, &y->responders[i], i, e) != 0)
			return -1;
	}
	return 0;
}

static int
load_head(struct owner *o, const struct yaml_keys *y, struct err *e)
{
	struct at at = { .o = o };

	if (y->node > 31)
		return sign_policy_wrong(&at, "node", e, "not within 0 to 31");
	if (y->slots < 1 || y->slots > 7)
		return sign_policy_wrong(&at, "slots", e, "not within 1 to 7");
	o->policy.node = (uint8_t)y->node;
	o->policy.slots = (uint8_t)(y->slots + 1);
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
	if (load_responders(o, y, e) != 0)
		return -1;
	for (i = 0; i < y->classes_count; i++) {
		p->n_classes++;
		if (sign_policy_class(o, &y->classes[i], i, &classes[i], e) !=
		    0)
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
	for (i = 0; i < p->n_responders; i++)
		EVP_PKEY_free(p->responders[i].key);
	if (o->conf != NULL)
		conf_free(o->conf);
	arena_free(o->a);
	free(o);
}
