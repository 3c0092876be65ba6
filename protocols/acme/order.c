/* Orders (RFC 8555 7.1.3, 7.4). */
#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/rand.h>

#include "base/b64.h"
#include "base/clock.h"
#include "ca/policy.h"
#include "protocols/acme/acme_int.h"

#define TOKEN_SIZE 32 /* RFC 8555 8: at least 128 bits */
#define REUSE_S 3600  /* a reused authorization lasts at least that long */
#define RETRY_AFTER_S "3"

static const char *const order_words[] = {
	[STORE_ORDER_PENDING] = "pending",
	[STORE_ORDER_READY] = "ready",
	[STORE_ORDER_PROCESSING] = "processing",
	[STORE_ORDER_VALID] = "valid",
	[STORE_ORDER_INVALID] = "invalid",
};

static json_t *
identifier_json(struct acme_req *r, const struct store_identifier *id)
{
	const char *value =
	    id->wildcard ? arena_printf(r->a, "*.%s", id->value) : id->value;

	return json_pack("{s:s, s:s}", "type", id->type, "value", value);
}

static json_t *
order_json(struct acme_req *r, const struct store_order *o)
{
	json_t *idents = json_array(), *authz = json_array(), *v;
	size_t i;

	for (i = 0; i < o->n_identifiers; i++)
		(void)json_array_append_new(
		    idents, identifier_json(r, &o->identifiers[i]));
	for (i = 0; i < o->n_authz; i++)
		(void)json_array_append_new(
		    authz, json_string(acme_url(r, "authz", o->authz[i])));
	v = json_pack("{s:s, s:s, s:o, s:o, s:s}", "status",
	    order_words[o->status], "expires", acme_time(r, o->expires_at),
	    "identifiers", idents, "authorizations", authz, "finalize",
	    arena_printf(r->a, "%s/finalize", acme_url(r, "order", o->id)));
	if (o->not_before != 0)
		(void)json_object_set_new(
		    v, "notBefore", json_string(acme_time(r, o->not_before)));
	if (o->not_after != 0)
		(void)json_object_set_new(
		    v, "notAfter", json_string(acme_time(r, o->not_after)));
	if (o->status == STORE_ORDER_VALID)
		(void)json_object_set_new(
		    v, "certificate", json_string(acme_url(r, "cert", o->id)));
	return v;
}

/* 'why' an order is invalid that was not the client's to lose, or NULL. */
static void
reply_order(struct acme_req *r, int status, const struct store_order *o,
    const struct err *why)
{
	json_t *v = order_json(r, o);

	acme_location(r, acme_url(r, "order", o->id));
	if (o->status == STORE_ORDER_PROCESSING)
		http_header_add(r->reply, "Retry-After", RETRY_AFTER_S);
	if (why != NULL)
		(void)json_object_set_new(v, "error",
		    json_pack("{s:s, s:s}", "type",
			problem_urn(problem_of_kind(why->kind)), "detail",
			problem_text(why)));
	acme_reply_json(r, status, v);
}

void
acme_reply_order(struct acme_req *r, int status, const struct store_order *o)
{
	reply_order(r, status, o, NULL);
}

int
acme_load_order(struct acme_req *r, const char *id, struct store_order *out)
{
	struct err e;

	if (store_order_get(r->w->ctx->db, r->a, id, out, &e) == -1)
		return acme_fail_err(r, &e);
	if (strcmp(out->account, r->account.id) != 0)
		return acme_fail(r, PROBLEM_FORBIDDEN,
		    "this order belongs to another account");
	return 0;
}

/*
 * An order that was approved meanwhile is issued now; true: an operator said
 * no, or nobody said anything in time.
 */
static bool
go_on(struct acme_req *r, struct store_order *o, struct err *why)
{
	struct enroll_result res;

	if (enroll_poll(r->w->ctx, "acme", o->id, &res, why) == -1)
		return why->kind == ERR_REFUSED;
	if (res.status == ENROLL_ISSUED) {
		o->status = STORE_ORDER_VALID;
		o->cert_id = res.cert_id;
	}
	return false;
}

int
acme_order(struct acme_req *r)
{
	struct store_order o;
	struct err why;

	if (acme_load_order(r, r->id, &o) == -1)
		return -1;
	if (r->payload != NULL)
		return acme_fail(r, PROBLEM_MALFORMED,
		    "an order is read with an empty payload");
	if ((o.status == STORE_ORDER_PROCESSING ||
		o.status == STORE_ORDER_INVALID) &&
	    go_on(r, &o, &why)) {
		o.status = STORE_ORDER_INVALID;
		reply_order(r, 200, &o, &why);
	} else {
		acme_reply_order(r, 200, &o);
	}
	return 0;
}

const struct request_san *
acme_order_sans(struct acme_req *r, const struct store_order *o)
{
	struct request_san *sans =
	    arena_array(r->a, o->n_identifiers, sizeof(*sans));
	size_t i;

	for (i = 0; i < o->n_identifiers; i++) {
		sans[i].type = TOSIGN_GN_DNS;
		sans[i].text =
		    o->identifiers[i].wildcard
			? arena_printf(r->a, "*.%s", o->identifiers[i].value)
			: o->identifiers[i].value;
	}
	return sans;
}

/* What a newOrder is made of while it is judged. */
struct draft {
	struct request_san *names;
	size_t n;
	struct problem_sub *refused;
	size_t n_refused;
	const struct profile *profile;
};

static void
refuse(struct draft *d, enum problem_type type, const char *detail,
    const char *id_type, const char *value)
{
	d->refused[d->n_refused++] =
	    (struct problem_sub){ type, detail, id_type, value };
}

static int
judge_name(
    struct acme_req *r, struct draft *d, const char *type, const char *value)
{
	struct request_san *name = &d->names[d->n];
	struct err e;
	char *p;

	if (strcmp(type, "dns") != 0) {
		refuse(d, PROBLEM_UNSUPPORTED_IDENTIFIER,
		    "only identifiers of type dns are supported", type, value);
		return 0;
	}
	*name = (struct request_san){ .type = TOSIGN_GN_DNS };
	p = arena_strdup(r->a, value);
	name->text = p;
	for (; *p != '\0'; p++)
		*p = (char)tolower((unsigned char)*p);
	if (request_dns_check(name->text, true, &e) == -1)
		return acme_fail(r, PROBLEM_MALFORMED, "%s", e.text);
	if (policy_san_check(d->profile, name, &e) == -1)
		refuse(d, PROBLEM_REJECTED_IDENTIFIER,
		    arena_strdup(r->a, e.text), type, value);
	else if (name->text[0] == '*')
		refuse(d, PROBLEM_REJECTED_IDENTIFIER,
		    "wildcard names need a dns-01 challenge, which is not "
		    "offered",
		    type, value);
	d->n++;
	return 0;
}

static int
read_identifiers(struct acme_req *r, struct draft *d)
{
	const json_t *list = json_object_get(r->payload, "identifiers"), *v;
	unsigned max = r->w->conf->settings->acme.names_max;
	size_t n = json_array_size(list), i;
	const char *type, *value;
	struct request_want w;
	struct err e;

	if (n == 0 || n > max)
		return acme_fail(r, PROBLEM_MALFORMED,
		    "\"identifiers\" is not an array of 1 to %u", max);
	d->names = arena_array(r->a, n, sizeof(*d->names));
	d->refused = arena_array(r->a, n, sizeof(*d->refused));
	for (i = 0; i < n; i++) {
		v = json_array_get(list, i);
		if (jsonio_required(r->a, v, "type", &type, &e) == -1 ||
		    jsonio_required(r->a, v, "value", &value, &e) == -1)
			return acme_fail_err(r, &e);
		if (judge_name(r, d, type, value) == -1)
			return -1;
	}
	w = (struct request_want){ .sans = d->names, .n_sans = d->n };
	request_sans_dedup(&w);
	d->n = w.n_sans;
	return 0;
}

/* One refused name is the answer, several are its subproblems. */
static int
check_refused(struct acme_req *r, const struct draft *d)
{
	if (d->n_refused == 0)
		return 0;
	if (d->n_refused > 1) {
		r->problem.subs = d->refused;
		r->problem.n_subs = d->n_refused;
	}
	return acme_fail(r, d->refused[0].type, "\"%.253s\": %s",
	    d->refused[0].id_value, d->refused[0].detail);
}

static int
read_time(struct acme_req *r, const char *key, int64_t *out)
{
	const char *text;
	struct err e;

	*out = 0;
	if (jsonio_string(r->a, r->payload, key, &text, &e) == -1)
		return acme_fail_err(r, &e);
	if (text == NULL)
		return 0;
	if (clock_parse(span_str(text), out, &e) == -1)
		return acme_fail(
		    r, PROBLEM_MALFORMED, "\"%s\": %s", key, e.text);
	return 0;
}

/* Nothing else than asked is issued (RFC 8555 7.4): say no early. */
static int
read_times(
    struct acme_req *r, const struct profile *p, struct store_order_new *o)
{
	int64_t now = clock_now();

	if (read_time(r, "notBefore", &o->not_before) == -1 ||
	    read_time(r, "notAfter", &o->not_after) == -1)
		return -1;
	if (o->not_before != 0)
		return acme_fail(
		    r, PROBLEM_MALFORMED, "\"notBefore\" is not supported");
	if (o->not_after != 0 &&
	    (o->not_after <= now || o->not_after > now + p->validity_max_s))
		return acme_fail(r, PROBLEM_MALFORMED,
		    "\"notAfter\" is in the past or beyond the profile's "
		    "maximum");
	return 0;
}

static int
new_challenges(struct acme_req *r, struct store_authz_new *az)
{
	struct store_challenge_new *c = arena_alloc(r->a, sizeof(*c));
	uint8_t token[TOKEN_SIZE];

	if (acme_new_id(r, &c->id) == -1)
		return -1;
	if (RAND_bytes(token, sizeof(token)) != 1)
		return acme_fail(r, PROBLEM_SERVER_INTERNAL, "no random bytes");
	c->type = "http-01";
	c->token = b64url_encode(r->a, span_of(token, sizeof(token)));
	az->challenges = c;
	az->n_challenges = 1;
	return 0;
}

static int
fill_authz(struct acme_req *r, const struct draft *d, struct store_order_new *o)
{
	size_t i;

	o->authz = arena_array(r->a, d->n, sizeof(*o->authz));
	o->n_authz = d->n;
	for (i = 0; i < d->n; i++) {
		o->authz[i].identifier.type = "dns";
		o->authz[i].identifier.value = d->names[i].text;
		if (acme_new_id(r, &o->authz[i].id) == -1 ||
		    new_challenges(r, &o->authz[i]) == -1)
			return -1;
	}
	return acme_new_id(r, &o->id);
}

static int
save_order(struct acme_req *r, struct store_order_new *o)
{
	const struct settings_acme *s = &r->w->conf->settings->acme;
	int64_t now = clock_now();
	struct store_order made;
	struct err e;

	o->account = r->account.id;
	o->profile = s->profile;
	o->expires_at = now + s->order_lifetime_s;
	o->pending_until = o->expires_at;
	o->valid_s = (int)s->authz_lifetime_s;
	o->reuse_until = now + REUSE_S;
	if (store_order_new(r->w->ctx->writer, r->w->ctx->db, r->a, o, &e) ==
	    -1)
		return acme_fail_err(r, &e);
	if (acme_load_order(r, o->id, &made) == -1)
		return -1;
	acme_reply_order(r, 201, &made);
	return 0;
}

int
acme_new_order(struct acme_req *r)
{
	struct store_order_new o = { 0 };
	struct draft d = { .profile = profile_get(r->w->ctx->profiles,
			       r->w->conf->settings->acme.profile) };

	if (r->payload == NULL)
		return acme_fail(r, PROBLEM_MALFORMED, "payload is empty");
	if (d.profile == NULL)
		return acme_fail(r, PROBLEM_SERVER_INTERNAL,
		    "the profile of ACME orders is not configured");
	if (read_identifiers(r, &d) == -1 || check_refused(r, &d) == -1 ||
	    read_times(r, d.profile, &o) == -1 || fill_authz(r, &d, &o) == -1)
		return -1;
	return save_order(r, &o);
}
