#include "hsm/sign_policy.h"

#include <string.h>

#include "base/crl_partition.h"
#include "base/der.h"
#include "hsm/sign_approve.h"
#include "hsm/sign_facts.h"
#include "hsm/sign_policy_int.h"
#include "hsm/tosign.h"

#define SERIAL_MIN 16
#define SERIAL_MAX 20

/* Bits of keyUsage, RFC 5280 4.2.1.3. */
#define KU_KEY_CERT_SIGN ((uint32_t)1 << 5)
#define KU_CRL_SIGN ((uint32_t)1 << 6)

/* 2049-12-31T23:59:59Z, the last UTCTime (RFC 5280 4.1.2.5). */
#define UTC_LAST ((int64_t)2524607999)

#define OID(...)                                                               \
	{                                                                      \
		(const uint8_t[]){ __VA_ARGS__ },                              \
		    sizeof((const uint8_t[]){ __VA_ARGS__ })                   \
	}

static const struct span oid_upn = OID(0x2b, 6, 1, 4, 1, 0x82, 0x37, 20, 2, 3);
static const struct span oid_ocsp_signing = OID(0x2b, 6, 1, 5, 5, 7, 3, 9);
static const struct span oid_access_ocsp = OID(0x2b, 6, 1, 5, 5, 7, 48, 1);
static const struct span oid_ca_issuers = OID(0x2b, 6, 1, 5, 5, 7, 48, 2);

/* What no enroll role gets: these act for the CA. */
static const struct {
	struct span oid;
	const char *name;
} guarded_eku[] = {
	{ OID(0x55, 0x1d, 37, 0), "anyExtendedKeyUsage" },
	{ OID(0x2b, 6, 1, 5, 5, 7, 3, 9), "OCSPSigning" },
	{ OID(0x2b, 6, 1, 5, 5, 7, 3, 28), "cmcRA" },
	{ OID(0x2b, 6, 1, 5, 5, 7, 3, 32), "cmKGA" },
};

/* Everything a check works with. */
struct check {
	const struct sign_policy *policy;
	struct arena *a;
	const struct sign_request *req;
	const struct sign_asker *asker;
	struct sign_facts f;
};

const char *
sign_role_name(enum sign_role role)
{
	static const char *const names[] = {
		[SIGN_ROLE_ENROLL] = "enroll",
		[SIGN_ROLE_OPER] = "oper",
		[SIGN_ROLE_PUB] = "pub",
	};
	_Static_assert(sizeof(names) / sizeof(names[0]) == SIGN_ROLE__COUNT,
	    "every role has a name");

	return names[role];
}

uint8_t
sign_policy_slot(const struct sign_policy *p, size_t index)
{
	return (uint8_t)(p->node << 3 | index);
}

bool
sign_policy_serves(
    const struct sign_policy *p, size_t index, enum sign_role role)
{
	bool last = index + 1 == p->slots;

	return role == SIGN_ROLE_OPER || last == (role == SIGN_ROLE_PUB);
}

/* The serial is positive, of full length, and of this slot. */
static int
check_serial(struct span serial, uint8_t slot, struct err *e)
{
	if (serial.n < SERIAL_MIN || serial.n > SERIAL_MAX ||
	    serial.p[0] == 0 || serial.p[0] >= 0x80)
		return err_set(e, ERR_REFUSED,
		    "serial: not positive with 16 to 20 octets");
	if (serial.p[1] != slot)
		return err_set(e, ERR_REFUSED,
		    "serial: names slot %02x, this is slot %02x", serial.p[1],
		    slot);
	return 0;
}

/* What holds for every certificate of this key. */
static int
check_fixed(
    const struct sign_facts *f, const struct sign_key *key, struct err *e)
{
	const struct tosign_cert *c = &f->cert;
	struct tosign_spki spki;

	if (c->version != 2 || c->has_uids)
		return err_set(
		    e, ERR_REFUSED, "version: not v3, or with unique ids");
	if (!span_eq(c->sig_alg, key->alg.sig_alg))
		return err_set(e, ERR_REFUSED,
		    "signature: the algorithm does not fit key \"%s\"",
		    key->name);
	if (!span_eq(c->issuer, key->subject))
		return err_set(e, ERR_REFUSED,
		    "issuer: not the subject of the certificate of key \"%s\"",
		    key->name);
	if (f->has_aki && !span_eq(f->aki, key->aki))
		return err_set(e, ERR_REFUSED,
		    "authorityKeyIdentifier: not that of key \"%s\"",
		    key->name);
	if (tosign_spki_parse(c->spki, &spki, e) != 0)
		return -1;
	if (span_eq(c->spki, key->spki))
		return err_set(
		    e, ERR_REFUSED, "subjectPublicKeyInfo: is the CA's own");
	if (c->not_after > key->not_after)
		return err_set(e, ERR_REFUSED,
		    "notAfter: later than that of the CA certificate");
	if (c->not_before_utc != (c->not_before <= UTC_LAST) ||
	    c->not_after_utc != (c->not_after <= UTC_LAST))
		return err_set(e, ERR_REFUSED,
		    "validity: UTCTime until 2049, GeneralizedTime after");
	return 0;
}

/* The certificates of responders are pub's, and of a kind of their own. */
static int
check_responder_kind(const struct check *ck, struct err *e)
{
	enum sign_role role = ck->asker->role;
	size_t i;

	if (ck->req->kind == SIGN_RESPONDER)
		return role == SIGN_ROLE_PUB
			   ? 0
			   : err_set(e, ERR_REFUSED,
				 "compiled in: responder certificates are for "
				 "the pub role");
	if (role == SIGN_ROLE_PUB && ck->f.nocheck)
		return err_set(e, ERR_REFUSED,
		    "compiled in: ocsp-nocheck without a responder's claim");
	for (i = 0; role == SIGN_ROLE_PUB && i < ck->f.n_eku; i++) {
		if (span_eq(ck->f.eku[i], oid_ocsp_signing))
			return err_set(e, ERR_REFUSED,
			    "compiled in: OCSPSigning without a responder's "
			    "claim");
	}
	return 0;
}

/* The rules that keys.yaml cannot lift. */
static int
check_compiled_in(const struct check *ck, struct err *e)
{
	enum sign_role role = ck->asker->role;
	const struct sign_facts *f = &ck->f;
	size_t i, j;

	if (role != SIGN_ROLE_OPER &&
	    (f->ca || (f->key_usage & (KU_KEY_CERT_SIGN | KU_CRL_SIGN)) != 0))
		return err_set(e, ERR_REFUSED,
		    "compiled in: CA:TRUE, keyCertSign and cRLSign are for "
		    "the oper role");
	if (check_responder_kind(ck, e) != 0)
		return -1;
	if (role != SIGN_ROLE_ENROLL)
		return 0;
	if (f->nocheck)
		return err_set(e, ERR_REFUSED,
		    "compiled in: the enroll role never gets ocsp-nocheck");
	for (i = 0; i < f->n_eku; i++) {
		for (j = 0; j < sizeof(guarded_eku) / sizeof(guarded_eku[0]);
		     j++) {
			if (span_eq(f->eku[i], guarded_eku[j].oid))
				return err_set(e, ERR_REFUSED,
				    "compiled in: the enroll role never gets "
				    "%s",
				    guarded_eku[j].name);
		}
	}
	return 0;
}

static bool
in_oids(struct span oid, const struct span *list, size_t n)
{
	size_t i;

	for (i = 0; i < n; i++) {
		if (span_eq(list[i], oid))
			return true;
	}
	return false;
}

/* Both hold the same OIDs; 'set' names none twice. */
static bool
same_set(const struct sign_oids *set, const struct sign_facts *f)
{
	size_t i;

	if (set->n != f->n_eku)
		return false;
	for (i = 0; i < set->n; i++) {
		if (!in_oids(set->oid[i], f->eku, f->n_eku))
			return false;
	}
	return true;
}

static int
check_usage(
    const struct sign_class *k, const struct sign_facts *f, struct err *e)
{
	size_t i;

	for (i = 0; i < k->n_eku && !same_set(&k->eku[i], f); i++)
		continue;
	if (i == k->n_eku)
		return err_set(
		    e, ERR_REFUSED, "eku: the set is not one of the class");
	for (i = 0; i < k->n_key_usage; i++) {
		if (k->key_usage[i] == f->key_usage)
			break;
	}
	if (i == k->n_key_usage)
		return err_set(e, ERR_REFUSED,
		    "key-usage: the set is not one of the class");
	if (f->ca != k->ca)
		return err_set(
		    e, ERR_REFUSED, "ca: must be %s", k->ca ? "true" : "false");
	if (k->ca && (f->path_len < 0 || f->path_len > k->path_len))
		return err_set(
		    e, ERR_REFUSED, "path-len: absent or above the class's");
	return 0;
}

static int
check_ext_list(struct arena *a, const struct sign_class *k,
    const struct sign_facts *f, struct err *e)
{
	const struct tosign_ext *x;
	size_t i, j;

	for (i = 0; i < f->cert.n_exts; i++) {
		x = &f->cert.exts[i];
		for (j = 0; j < k->n_exts; j++) {
			if (span_eq(k->exts[j].oid, x->oid))
				break;
		}
		if (j == k->n_exts)
			return err_set(e, ERR_REFUSED,
			    "extensions: %s is not in the list",
			    tosign_oid_text(a, x->oid));
		if (k->exts[j].fixed && !span_eq(k->exts[j].value, x->value))
			return err_set(e, ERR_REFUSED,
			    "extensions: %s has another value",
			    tosign_oid_text(a, x->oid));
	}
	return 0;
}

bool
sign_policy_listed(const struct sign_strings *list, struct span s)
{
	size_t i;

	for (i = 0; i < list->n; i++) {
		if (span_is(s, list->s[i]))
			return true;
	}
	return false;
}

static bool
in_ders(const struct sign_urls *u, struct span der)
{
	return in_oids(der, u->der, u->n_der);
}

static int
check_aia(const struct sign_class *k, const struct sign_facts *f, struct err *e)
{
	const struct sign_strings *allowed;
	const struct tosign_access *ad;
	size_t i;

	if (f->n_aia == 0 || in_ders(&k->aia, f->aia_der))
		return 0;
	for (i = 0; i < f->n_aia; i++) {
		ad = &f->aia[i];
		if (span_eq(ad->method, oid_access_ocsp))
			allowed = &k->aia.ocsp;
		else if (span_eq(ad->method, oid_ca_issuers))
			allowed = &k->aia.ca_issuers;
		else
			return err_set(
			    e, ERR_REFUSED, "aia: unknown access method");
		if (ad->location.tag != TOSIGN_GN_URI ||
		    !sign_policy_listed(allowed, ad->location.value))
			return err_set(
			    e, ERR_REFUSED, "aia: location is not in the list");
	}
	return 0;
}

/* Whether a URL is in the list, as the serial's partition fills it in. */
static bool
in_urls(const struct sign_strings *list, uint32_t partition, struct span url)
{
	size_t i;

	for (i = 0; i < list->n; i++) {
		if (crl_partition_url_is(list->s[i], partition, url))
			return true;
	}
	return false;
}

static int
check_dps(const struct sign_class *k, const struct sign_facts *f, int which,
    struct err *e)
{
	const struct sign_urls *u = which == 0 ? &k->crldp : &k->freshest;
	const uint32_t partition =
	    crl_partition_of(f->cert.serial, k->crl_partitions);
	static const char *const rule[] = { "crl-distribution-points",
		"freshest-crl" };
	const struct tosign_dp *dp;
	size_t i, j;

	if (f->n_dps[which] == 0 || in_ders(u, f->dp_der[which]))
		return 0;
	for (i = 0; i < f->n_dps[which]; i++) {
		dp = &f->dps[which][i];
		if (dp->n_names == 0 || dp->has_reasons || dp->has_crl_issuer)
			return err_set(e, ERR_REFUSED,
			    "%s: not a plain full name", rule[which]);
		for (j = 0; j < dp->n_names; j++) {
			if (dp->names[j].tag != TOSIGN_GN_URI ||
			    !in_urls(
				&u->ca_issuers, partition, dp->names[j].value))
				return err_set(e, ERR_REFUSED,
				    "%s: location is not in the list",
				    rule[which]);
		}
	}
	return 0;
}

static bool
match_any(
    const struct sign_strings *list, enum sign_name_type type, struct span s)
{
	size_t i;

	for (i = 0; i < list->n; i++) {
		if (sign_names_match(type, list->s[i], s))
			return true;
	}
	return false;
}

static bool
is_san(const struct sign_facts *f, struct span value)
{
	size_t i;

	for (i = 0; i < f->n_san; i++) {
		if (f->san[i].tag != TOSIGN_GN_IP &&
		    span_eq(f->san[i].value, value))
			return true;
	}
	return false;
}

static int
check_attr(struct arena *a, const struct sign_class *k,
    const struct sign_facts *f, const struct tosign_attr *attr, struct err *e)
{
	const struct sign_attribute *rule = NULL;
	size_t i, seen = 0;

	for (i = 0; i < k->n_subject; i++) {
		if (span_eq(k->subject[i].oid, attr->oid))
			rule = &k->subject[i];
	}
	if (rule == NULL)
		return err_set(e, ERR_REFUSED,
		    "subject: attribute %s is not allowed",
		    tosign_oid_text(a, attr->oid));
	for (i = 0; i < f->n_subject; i++)
		seen += span_eq(f->subject[i].oid, attr->oid);
	if (seen > rule->max)
		return err_set(e, ERR_REFUSED,
		    "subject: more than %zu of attribute %s", rule->max,
		    tosign_oid_text(a, attr->oid));
	if (attr->tag != DER_UTF8_STRING && attr->tag != DER_PRINTABLE_STRING &&
	    attr->tag != DER_IA5_STRING)
		return err_set(e, ERR_REFUSED,
		    "subject: string type of attribute %s",
		    tosign_oid_text(a, attr->oid));
	if (!match_any(&rule->values, SIGN_NAME_TEXT, attr->value) ||
	    (rule->from_san && !is_san(f, attr->value)))
		return err_set(e, ERR_REFUSED,
		    "subject: value of attribute %s is not allowed",
		    tosign_oid_text(a, attr->oid));
	return 0;
}

/* The type whose patterns judge 'gn'; COUNT when it is never allowed. */
static enum sign_name_type
san_type(const struct tosign_general_name *gn)
{
	switch (gn->tag) {
	case TOSIGN_GN_DNS:
		return SIGN_NAME_DNS;
	case TOSIGN_GN_IP:
		return SIGN_NAME_IP;
	case TOSIGN_GN_EMAIL:
		return SIGN_NAME_EMAIL;
	case TOSIGN_GN_URI:
		return SIGN_NAME_URI;
	case TOSIGN_GN_OTHER:
		if (span_eq(gn->oid, oid_upn) &&
		    gn->other_tag == DER_UTF8_STRING)
			return SIGN_NAME_UPN;
		return SIGN_NAME__COUNT;
	default:
		return SIGN_NAME__COUNT;
	}
}

static int
check_san(const struct sign_class *k, const struct tosign_general_name *gn,
    struct err *e)
{
	enum sign_name_type type = san_type(gn);

	if (type == SIGN_NAME_DNS && !k->san_wildcard &&
	    sign_names_wildcard(gn->value))
		return err_set(e, ERR_REFUSED, "is a wildcard");
	if (type == SIGN_NAME__COUNT ||
	    !match_any(&k->san[type], type, gn->value))
		return err_set(e, ERR_REFUSED, "matches no pattern");
	return 0;
}

static int
check_names(struct arena *a, const struct sign_class *k,
    const struct sign_facts *f, struct err *e)
{
	struct err why;
	size_t i;

	for (i = 0; i < f->n_subject; i++) {
		if (check_attr(a, k, f, &f->subject[i], e) != 0)
			return -1;
	}
	if (f->n_subject == 0 && f->n_san == 0)
		return err_set(e, ERR_REFUSED, "subject: names nobody");
	if (f->n_san > k->san_max)
		return err_set(
		    e, ERR_REFUSED, "san: more than %zu names", k->san_max);
	for (i = 0; i < f->n_san; i++) {
		if (check_san(k, &f->san[i], &why) != 0)
			return err_set(e, ERR_REFUSED, "san: name %zu %s",
			    i + 1, why.text);
	}
	return 0;
}

static int
check_validity(const struct sign_class *k, const struct tosign_cert *c,
    int64_t now, struct err *e)
{
	if (c->not_before < now - k->backdate_s ||
	    c->not_before > now + SIGN_POLICY_AHEAD_S)
		return err_set(e, ERR_REFUSED,
		    "notBefore: not within [now - backdate, now + %d s]",
		    SIGN_POLICY_AHEAD_S);
	if (c->not_after <= c->not_before ||
	    c->not_after - c->not_before > k->max_validity_s)
		return err_set(e, ERR_REFUSED,
		    "max-validity: longer than %lld s, or none",
		    (long long)k->max_validity_s);
	return 0;
}

static int
check_class(const struct check *ck, const struct sign_class *k, struct err *e)
{
	const struct sign_facts *f = &ck->f;

	if (check_usage(k, f, e) != 0 || check_ext_list(ck->a, k, f, e) != 0 ||
	    check_aia(k, f, e) != 0 || check_dps(k, f, 0, e) != 0 ||
	    check_dps(k, f, 1, e) != 0 || check_names(ck->a, k, f, e) != 0)
		return -1;
	return check_validity(k, &f->cert, ck->asker->now, e);
}

/* The first class that allows it; otherwise what each had against it. */
static int
find_class(const struct check *ck, const struct sign_key *key,
    const struct sign_class **out, struct err *e)
{
	const struct sign_class *k;
	struct err why;
	AUTO_BUF(text, ERR_TEXT_MAX);
	size_t i;

	for (i = 0; i < ck->policy->n_classes; i++) {
		k = &ck->policy->classes[i];
		if (k->key != key || k->role != ck->asker->role ||
		    k->kind != ck->req->kind)
			continue;
		if (check_class(ck, k, &why) == 0) {
			*out = k;
			return 0;
		}
		buf_printf(&text, "%sclass \"%s\": %s", text.n == 0 ? "" : "; ",
		    k->name, why.text);
	}
	if (text.n == 0)
		return err_set(e, ERR_REFUSED,
		    "no class for key \"%s\", caller \"%s\" and this kind",
		    key->name, sign_role_name(ck->asker->role));
	return err_set(
	    e, ERR_REFUSED, "%.*s", (int)text.n, (const char *)text.p);
}

const struct sign_key *
sign_policy_key(const struct sign_policy *p, const char *name)
{
	size_t i;

	for (i = 0; i < p->n_keys; i++) {
		if (strcmp(p->keys[i].name, name) == 0)
			return &p->keys[i];
	}
	return NULL;
}

/* The approvals, when the class demands some. */
static int
approve(const struct check *ck, struct sign_verdict *out, struct err *e)
{
	const struct tosign_cert *c = &ck->f.cert;

	if (out->class->approvals == 0)
		return 0;
	if (c->not_after - c->not_before > ck->req->max_validity_s)
		return err_set(e, ERR_REFUSED,
		    "approvals: validity is longer than what was approved");
	if (sign_approve_statement(ck->req, c, out->statement, e) != 0)
		return -1;
	out->approved = true;
	return sign_approve_check(
	    ck->policy, out->class, ck->req, out->statement, ck->asker->now, e);
}

int
sign_policy_check(const struct sign_policy *p, struct arena *a,
    const struct sign_asker *asker, const struct sign_request *req,
    struct sign_verdict *out, struct err *e)
{
	const struct sign_key *key = sign_policy_key(p, req->key);
	struct check ck = { .policy = p, .a = a, .asker = asker, .req = req };

	memset(out, 0, sizeof(*out));
	if (key == NULL)
		return err_set(
		    e, ERR_REFUSED, "key \"%s\" is not served", req->key);
	if (req->kind != SIGN_CERT && req->kind != SIGN_RESPONDER)
		return err_set(e, ERR_REFUSED, "this kind is not signed");
	if (sign_facts_read(a, req->tbs, &ck.f, e) != 0)
		return -1;
	if (check_compiled_in(&ck, e) != 0 || check_fixed(&ck.f, key, e) != 0 ||
	    check_serial(ck.f.cert.serial, asker->slot, e) != 0 ||
	    find_class(&ck, key, &out->class, e) != 0)
		return -1;
	out->serial = ck.f.cert.serial;
	out->ca = ck.f.ca || ck.f.nocheck;
	if (req->kind == SIGN_RESPONDER &&
	    sign_policy_responder(p, key, req, &ck.f, &out->responder, e) != 0)
		return err_prefix(e, "class \"%s\"", out->class->name);
	if (approve(&ck, out, e) != 0)
		return err_prefix(e, "class \"%s\"", out->class->name);
	return 0;
}
