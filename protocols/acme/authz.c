/* Authorizations and challenges (RFC 8555 7.1.4, 7.5, 8). */
#include <stdlib.h>
#include <string.h>

#include "protocols/acme/acme_int.h"

#define RETRY_AFTER_S "3"

static const char *const authz_words[] = {
	[STORE_AUTHZ_PENDING] = "pending",
	[STORE_AUTHZ_VALID] = "valid",
	[STORE_AUTHZ_INVALID] = "invalid",
	[STORE_AUTHZ_EXPIRED] = "expired",
	[STORE_AUTHZ_DEACTIVATED] = "deactivated",
};

static const char *const challenge_words[] = {
	[STORE_CHALLENGE_PENDING] = "pending",
	[STORE_CHALLENGE_PROCESSING] = "processing",
	[STORE_CHALLENGE_VALID] = "valid",
	[STORE_CHALLENGE_INVALID] = "invalid",
};

static json_t *
challenge_json(struct acme_req *r, const struct store_challenge *c)
{
	json_t *o = json_pack("{s:s, s:s, s:s, s:s}", "type", c->type, "url",
	    acme_url(r, "challenge", c->id), "status",
	    challenge_words[c->status], "token", c->token);

	if (c->status == STORE_CHALLENGE_VALID)
		(void)json_object_set_new(
		    o, "validated", json_string(acme_time(r, c->validated_at)));
	if (c->error_type != NULL)
		(void)json_object_set_new(o, "error",
		    json_pack("{s:s, s:s}", "type",
			arena_printf(r->a, "urn:ietf:params:acme:error:%s",
			    c->error_type),
			"detail", c->error_detail));
	return o;
}

static int
check_owner(struct acme_req *r, const struct store_authz *az)
{
	if (strcmp(az->account, r->account.id) != 0)
		return acme_fail(
		    r, PROBLEM_FORBIDDEN, "this belongs to another account");
	return 0;
}

static bool
is_processing(const struct store_authz *az)
{
	size_t i;

	for (i = 0; i < az->n_challenges; i++) {
		if (az->challenges[i].status == STORE_CHALLENGE_PROCESSING)
			return true;
	}
	return false;
}

static int
reply_authz(struct acme_req *r, const struct store_authz *az)
{
	json_t *list = json_array(), *o;
	size_t i;

	for (i = 0; i < az->n_challenges; i++)
		(void)json_array_append_new(
		    list, challenge_json(r, &az->challenges[i]));
	o = json_pack("{s:{s:s, s:s}, s:s, s:s, s:o}", "identifier", "type",
	    az->identifier.type, "value", az->identifier.value, "status",
	    authz_words[az->status], "expires", acme_time(r, az->expires_at),
	    "challenges", list);
	if (az->identifier.wildcard)
		(void)json_object_set_new(o, "wildcard", json_true());
	if (az->status == STORE_AUTHZ_PENDING && is_processing(az))
		http_header_add(r->reply, "Retry-After", RETRY_AFTER_S);
	acme_reply_json(r, 200, o);
	return 0;
}

int
acme_authz(struct acme_req *r)
{
	struct store_authz az;
	const char *status;
	struct err e;

	if (store_authz_get(r->w->ctx->db, r->a, r->id, &az, &e) == -1)
		return acme_fail_err(r, &e);
	if (check_owner(r, &az) == -1)
		return -1;
	if (r->payload == NULL)
		return reply_authz(r, &az);
	if (jsonio_required(r->a, r->payload, "status", &status, &e) == -1)
		return acme_fail_err(r, &e);
	if (strcmp(status, "deactivated") != 0)
		return acme_fail(r, PROBLEM_MALFORMED,
		    "an authorization's status can only become deactivated");
	if (store_authz_deactivate(r->w->ctx->writer, az.id, &e) == -1)
		return acme_fail_err(r, &e);
	az.status = STORE_AUTHZ_DEACTIVATED;
	return reply_authz(r, &az);
}

static const struct store_challenge *
find_challenge(const struct store_authz *az, const char *id)
{
	size_t i;

	for (i = 0; i < az->n_challenges; i++) {
		if (strcmp(az->challenges[i].id, id) == 0)
			return &az->challenges[i];
	}
	return NULL;
}

static int
respond(
    struct acme_req *r, const struct store_authz *az, struct store_challenge *c)
{
	struct err e;

	/* said twice, or too late: the state is the answer */
	if (az->status != STORE_AUTHZ_PENDING)
		return 0;
	if (store_challenge_respond(r->w->ctx->writer, c->id, &e) == -1) {
		if (e.kind == ERR_CONFLICT)
			return 0;
		return acme_fail_err(r, &e);
	}
	if (c->status == STORE_CHALLENGE_PENDING)
		c->status = STORE_CHALLENGE_PROCESSING;
	return 0;
}

int
acme_challenge(struct acme_req *r)
{
	const struct store_challenge *found;
	struct store_challenge c;
	struct store_authz az;
	struct err e;

	if (store_authz_by_challenge(r->w->ctx->db, r->a, r->id, &az, &e) == -1)
		return acme_fail_err(r, &e);
	if (check_owner(r, &az) == -1)
		return -1;
	found = find_challenge(&az, r->id);
	if (found == NULL)
		return acme_fail(r, PROBLEM_NOT_FOUND, "no such challenge");
	c = *found;
	if (az.status == STORE_AUTHZ_EXPIRED && r->payload != NULL)
		return acme_fail(
		    r, PROBLEM_MALFORMED, "the authorization has expired");
	if (r->payload != NULL && respond(r, &az, &c) == -1)
		return -1;
	/* certbot refuses an answer without this link */
	acme_link(r, acme_url(r, "authz", az.id), "up");
	if (c.status == STORE_CHALLENGE_PROCESSING)
		http_header_add(r->reply, "Retry-After", RETRY_AFTER_S);
	acme_reply_json(r, 200, challenge_json(r, &c));
	return 0;
}
