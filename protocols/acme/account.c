/* Accounts (RFC 8555 7.1.2, 7.3). */
#include <stdlib.h>
#include <string.h>

#include "base/b64.h"
#include "ca/request.h"
#include "protocols/acme/acme_int.h"

#define CONTACTS_MAX 10
#define ORDERS_PAGE 100

static int
reply_account(struct acme_req *r, int status, const struct store_account *acc)
{
	static const char *const words[] = {
		[STORE_ACCOUNT_VALID] = "valid",
		[STORE_ACCOUNT_DEACTIVATED] = "deactivated",
		[STORE_ACCOUNT_REVOKED] = "revoked",
	};
	const char *url = acme_url(r, "account", acc->id);
	json_t *contact =
	    json_loads(acc->contact == NULL ? "[]" : acc->contact, 0, NULL);

	acme_location(r, url);
	acme_reply_json(r, status,
	    json_pack("{s:s, s:o, s:b, s:s}", "status", words[acc->status],
		"contact", contact == NULL ? json_array() : contact,
		"termsOfServiceAgreed", (int)acc->tos_agreed, "orders",
		arena_printf(r->a, "%s/orders", url)));
	return 0;
}

/* RFC 8555 7.3: mailto with one address and no header fields. */
static int
check_contact(struct acme_req *r, const char *uri)
{
	struct request_san mail = { .type = TOSIGN_GN_EMAIL };
	struct err e;

	if (strncmp(uri, "mailto:", 7) != 0)
		return acme_fail(r, PROBLEM_UNSUPPORTED_CONTACT,
		    "contact is not a mailto URI");
	if (strpbrk(uri, "?,") != NULL)
		return acme_fail(r, PROBLEM_INVALID_CONTACT,
		    "contact has header fields or several addresses");
	mail.text = uri + 7;
	if (request_san_check(r->a, &mail, &e) == -1)
		return acme_fail(r, PROBLEM_INVALID_CONTACT, "%s", e.text);
	return 0;
}

/* The payload's contacts as JSON text; "[]" when there are none. */
static int
read_contact(struct acme_req *r, const char **out)
{
	const json_t *list = json_object_get(r->payload, "contact");
	size_t i;

	*out = "[]";
	if (list == NULL)
		return 0;
	if (!json_is_array(list) || json_array_size(list) > CONTACTS_MAX)
		return acme_fail(r, PROBLEM_MALFORMED,
		    "\"contact\" is not an array of at most %d URIs",
		    CONTACTS_MAX);
	for (i = 0; i < json_array_size(list); i++) {
		const char *uri = json_string_value(json_array_get(list, i));

		if (uri == NULL)
			return acme_fail(r, PROBLEM_MALFORMED,
			    "\"contact\" has other than strings");
		if (check_contact(r, uri) == -1)
			return -1;
	}
	*out = (const char *)jsonio_encode(r->a, list).p;
	return 0;
}

static int
check_terms(struct acme_req *r)
{
	const char *terms = r->w->conf->settings->acme.terms_of_service;

	if (terms == NULL ||
	    json_is_true(json_object_get(r->payload, "termsOfServiceAgreed")))
		return 0;
	acme_link(r, terms, "terms-of-service");
	r->problem.instance = terms;
	return acme_fail(r, PROBLEM_USER_ACTION_REQUIRED,
	    "the terms of service must be agreed to");
}

static int
make_account(struct acme_req *r, struct store_account *acc)
{
	struct err e;

	if (check_terms(r) == -1 || read_contact(r, &acc->contact) == -1 ||
	    acme_new_id(r, &acc->id) == -1)
		return -1;
	if (issuer_owns_key(r->w->ctx->issuers, r->key.spki))
		return acme_fail(r, PROBLEM_BAD_PUBLIC_KEY,
		    "the key is that of one of our own CAs");
	acc->jwk = r->key.json;
	acc->tos_agreed =
	    json_is_true(json_object_get(r->payload, "termsOfServiceAgreed"));
	if (store_account_new(r->w->ctx->writer, acc, &e) == 0)
		return reply_account(r, 201, acc);
	/* the same key at the same time: the other one made it */
	if (e.kind == ERR_CONFLICT && store_account_by_key(r->w->ctx->db, r->a,
					  acc->thumbprint, acc, &e) == 0)
		return reply_account(r, 200, acc);
	return acme_fail_err(r, &e);
}

int
acme_new_account(struct acme_req *r)
{
	struct store_account acc = { 0 };
	struct span thumb;
	struct err e;

	if (r->payload == NULL)
		return acme_fail(r, PROBLEM_MALFORMED, "payload is empty");
	if (b64url_decode(r->a, span_str(r->key.thumbprint), &thumb, &e) == -1)
		return acme_fail_err(r, &e);
	memcpy(acc.thumbprint, thumb.p, STORE_THUMBPRINT_SIZE);
	if (store_account_by_key(
		r->w->ctx->db, r->a, acc.thumbprint, &acc, &e) == 0) {
		if (acc.status != STORE_ACCOUNT_VALID)
			return acme_fail(
			    r, PROBLEM_UNAUTHORIZED, "account is deactivated");
		return reply_account(r, 200, &acc);
	}
	if (e.kind != ERR_NOT_FOUND)
		return acme_fail_err(r, &e);
	if (json_is_true(json_object_get(r->payload, "onlyReturnExisting")))
		return acme_fail(r, PROBLEM_ACCOUNT_DOES_NOT_EXIST,
		    "there is no account with this key");
	memcpy(acc.thumbprint, thumb.p, STORE_THUMBPRINT_SIZE);
	return make_account(r, &acc);
}

static int
own_account(struct acme_req *r)
{
	if (strcmp(r->id, r->account.id) != 0)
		return acme_fail(
		    r, PROBLEM_FORBIDDEN, "this is another account");
	return 0;
}

int
acme_account(struct acme_req *r)
{
	struct store_account *acc = &r->account;
	const char *status;
	struct err e;

	if (own_account(r) == -1)
		return -1;
	if (r->payload == NULL)
		return reply_account(r, 200, acc);
	if (jsonio_string(r->a, r->payload, "status", &status, &e) == -1)
		return acme_fail_err(r, &e);
	if (status != NULL && strcmp(status, "deactivated") == 0) {
		if (store_account_deactivate(r->w->ctx->writer, acc->id, &e) ==
		    -1)
			return acme_fail_err(r, &e);
		acc->status = STORE_ACCOUNT_DEACTIVATED;
		return reply_account(r, 200, acc);
	}
	if (json_object_get(r->payload, "contact") != NULL) {
		if (read_contact(r, &acc->contact) == -1)
			return -1;
		if (store_account_contact(
			r->w->ctx->writer, acc->id, acc->contact, &e) == -1)
			return acme_fail_err(r, &e);
	}
	return reply_account(r, 200, acc);
}

/* The page's cursor, "?before=MICROSECONDS". */
static int64_t
cursor(const struct acme_req *r)
{
	static const char key[] = "before=";
	const char *q = r->http->query;
	int64_t before;

	if (q == NULL || strncmp(q, key, sizeof(key) - 1) != 0)
		return 0;
	before = strtoll(q + sizeof(key) - 1, NULL, 10);
	return before < 0 ? 0 : before;
}

int
acme_orders(struct acme_req *r)
{
	const struct store_order_query query = { r->account.id, cursor(r),
		ORDERS_PAGE };
	json_t *list = json_array();
	struct store_order *orders;
	struct err e;
	size_t n, i;

	if (own_account(r) == -1 || store_order_list(r->w->ctx->db, r->a,
					&query, &orders, &n, &e) == -1) {
		json_decref(list);
		return r->problem.detail != NULL ? -1 : acme_fail_err(r, &e);
	}
	for (i = 0; i < n; i++) {
		if (orders[i].status != STORE_ORDER_INVALID)
			(void)json_array_append_new(list,
			    json_string(acme_url(r, "order", orders[i].id)));
	}
	if (n == ORDERS_PAGE)
		acme_link(r,
		    arena_printf(r->a, "%s/orders?before=%lld",
			acme_url(r, "account", r->account.id),
			(long long)orders[n - 1].created_us),
		    "next");
	acme_reply_json(r, 200, json_pack("{s:o}", "orders", list));
	return 0;
}
