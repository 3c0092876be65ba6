#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <jansson.h>

#include "protocols/acme/problem.h"
#include "tests/unit/arena_fixture.h"

#define URN "urn:ietf:params:acme:error:"

/* What each kind becomes. */
static void
kinds(void **state)
{
	static const struct {
		enum err_kind kind;
		int status;
		const char *name;
		bool own_text;
	} rows[] = {
		{ ERR_MALFORMED, 400, "malformed", true },
		{ ERR_UNAUTHENTICATED, 403, "unauthorized", false },
		{ ERR_REFUSED, 403, "rejectedIdentifier", true },
		{ ERR_BAD_POP, 400, "badCSR", true },
		{ ERR_BAD_KEY, 400, "badCSR", true },
		{ ERR_CONFLICT, 403, "orderNotReady", true },
		{ ERR_NOT_FOUND, 404, "malformed", true },
		{ ERR_LIMITED, 429, "rateLimited", true },
		{ ERR_UNAVAILABLE, 503, "serverInternal", false },
		{ ERR_INTERNAL, 500, "serverInternal", false },
	};
	enum problem_type t;
	struct err e;
	size_t i;

	(void)state;
	assert_int_equal(sizeof(rows) / sizeof(rows[0]), ERR__COUNT - 1);
	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		t = problem_of_kind(rows[i].kind);
		assert_int_equal(problem_status(t), rows[i].status);
		assert_string_equal(
		    problem_urn(t), arena_printf(a, URN "%s", rows[i].name));
		(void)err_set(&e, rows[i].kind, "the secret reason");
		assert_int_equal(
		    strcmp(problem_text(&e), "the secret reason") == 0,
		    rows[i].own_text);
	}
}

/* Every type is one that the RFC registers, with an HTTP error. */
static void
types(void **state)
{
	static const char registered[] =
	    " accountDoesNotExist alreadyRevoked badCSR badNonce badPublicKey "
	    "badRevocationReason badSignatureAlgorithm caa compound connection "
	    "dns externalAccountRequired incorrectResponse invalidContact "
	    "malformed orderNotReady rateLimited rejectedIdentifier "
	    "serverInternal tls unauthorized unsupportedContact "
	    "unsupportedIdentifier userActionRequired ";
	const char *urn;
	int i;

	(void)state;
	for (i = 0; i < PROBLEM__COUNT; i++) {
		urn = problem_urn((enum problem_type)i);
		assert_non_null(urn);
		assert_memory_equal(urn, URN, strlen(URN));
		if (strstr(registered,
			arena_printf(a, " %s ", urn + strlen(URN))) == NULL)
			fail_msg("%s is not registered", urn);
		assert_true(problem_status((enum problem_type)i) >= 400);
	}
}

static json_t *
encode(const struct problem *p)
{
	struct span text = problem_encode(a, p);
	json_t *doc = json_loadb((const char *)text.p, text.n, 0, NULL);

	if (doc == NULL)
		fail_msg("no JSON: %.*s", (int)text.n, (const char *)text.p);
	return doc;
}

static const char *
member(const json_t *doc, const char *key)
{
	const char *s = json_string_value(json_object_get(doc, key));

	assert_non_null(s);
	return s;
}

static void
documents(void **state)
{
	const struct problem_sub subs[] = {
		{ PROBLEM_REJECTED_IDENTIFIER, "no", "dns", "a.example" },
		{ PROBLEM_MALFORMED, "bad", "dns", "b\xff" },
	};
	struct problem p = { .type = PROBLEM_BAD_NONCE, .detail = "used" };
	json_t *doc = encode(&p), *sub;

	(void)state;
	assert_string_equal(member(doc, "type"), URN "badNonce");
	assert_string_equal(member(doc, "detail"), "used");
	assert_int_equal(
	    json_integer_value(json_object_get(doc, "status")), 400);
	assert_null(json_object_get(doc, "instance"));
	assert_null(json_object_get(doc, "algorithms"));
	assert_null(json_object_get(doc, "subproblems"));
	json_decref(doc);
	p = (struct problem){ .type = PROBLEM_BAD_SIGNATURE_ALGORITHM,
		.detail = "no",
		.with_algorithms = true };
	doc = encode(&p);
	assert_string_equal(json_string_value(json_array_get(
				json_object_get(doc, "algorithms"), 0)),
	    "ES256");
	json_decref(doc);
	p = (struct problem){ .type = PROBLEM_USER_ACTION_REQUIRED,
		.detail = "cut within \xc3",
		.instance = "https://ca.test/terms",
		.subs = subs,
		.n_subs = 2 };
	doc = encode(&p);
	assert_string_equal(member(doc, "detail"), "cut within ?");
	assert_string_equal(member(doc, "instance"), "https://ca.test/terms");
	sub = json_array_get(json_object_get(doc, "subproblems"), 0);
	assert_string_equal(member(sub, "type"), URN "rejectedIdentifier");
	sub = json_object_get(sub, "identifier");
	assert_string_equal(member(sub, "value"), "a.example");
	sub = json_array_get(json_object_get(doc, "subproblems"), 1);
	assert_string_equal(
	    member(json_object_get(sub, "identifier"), "value"), "b?");
	assert_null(json_object_get(doc, "identifier"));
	json_decref(doc);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(kinds),
		cmocka_unit_test(types),
		cmocka_unit_test(documents),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
