/* CAs whose CRLs are imported, against PostgreSQL. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/arena.h"
#include "base/clock.h"
#include "db/store_authority.h"
#include "db/store_crl.h"
#include "tests/db/sample.h"

static struct sample_roles roles;
static struct arena *a;
static struct err e;
static const char *one[] = { "/crl/root.crl" };
static const char *two[] = { "/crl/root.crl", "/old/r.crl" };

static struct store_authority
root(uint8_t fill)
{
	struct store_authority x = { .name = "root",
		.cert = span_of("cert", 4),
		.paths = one,
		.n_paths = 1 };

	memset(x.spki_sha256, fill, sizeof(x.spki_sha256));
	return x;
}

static int
insert(struct db *db, int issuer, int64_t number, int64_t this_update)
{
	struct store_crl c = { .issuer = issuer,
		.scope = "full",
		.number = number,
		.this_update = this_update,
		.next_update = this_update + 3600,
		.size = 4,
		.mark = { .at = STORE_CRL_NO_TIME } };

	if (store_crl_begin(db, &c, &e) == -1)
		return -1;
	if (store_crl_put(db, &c, 0, span_of("list", 4), &e) == -1) {
		store_crl_abort(db);
		return -1;
	}
	return store_crl_commit(db, 0, &e);
}

static void
test_put(void **state)
{
	struct store_authority x = root(1), other = root(2), *list;
	size_t n;
	int id;

	(void)state;
	assert_int_equal(store_authority_put(roles.oper, &x, &e), 0);
	id = x.id;
	x.paths = two;
	x.n_paths = 2;
	x.cert = span_of("newer", 5);
	assert_int_equal(store_authority_put(roles.oper, &x, &e), 0);
	assert_int_equal(x.id, id);
	assert_int_equal(store_authority_put(roles.oper, &other, &e), -1);
	assert_int_equal(e.kind, ERR_CONFLICT);
	x.name = "again";
	assert_int_equal(store_authority_put(roles.oper, &x, &e), -1);
	assert_int_equal(e.kind, ERR_CONFLICT);
	x.n_paths = 0;
	x.name = "root";
	assert_int_equal(store_authority_put(roles.oper, &x, &e), -1);
	assert_int_equal(store_authority_put(roles.pub, &x, &e), -1);
	assert_int_equal(e.kind, ERR_REFUSED);
	assert_int_equal(store_authority_list(roles.ocsp, a, &list, &n, &e), 0);
	assert_int_equal(n, 2);
	assert_string_equal(list[0].name, "issuing");
	assert_int_equal(list[0].n_paths, 0);
	assert_string_equal(list[1].name, "root");
	assert_int_equal(list[1].id, id);
	assert_int_equal(list[1].n_paths, 2);
	assert_string_equal(list[1].paths[1], "/old/r.crl");
	assert_int_equal(list[1].spki_sha256[31], 1);
	assert_int_equal(list[1].cert.n, 5);
}

/* What is imported rises, and is the operator's. */
static void
test_rises(void **state)
{
	struct store_authority x = root(1), *list;
	int64_t now = clock_now();
	size_t n;

	(void)state;
	assert_int_equal(store_authority_put(roles.oper, &x, &e), 0);
	assert_int_equal(insert(roles.oper, x.id, 10, now), 0);
	assert_int_equal(insert(roles.oper, x.id, 10, now), -1);
	assert_int_equal(e.kind, ERR_CONFLICT);
	assert_int_equal(insert(roles.oper, x.id, 9, now), -1);
	assert_int_equal(e.kind, ERR_CONFLICT);
	assert_int_equal(insert(roles.oper, x.id, 11, now - 1), -1);
	assert_int_equal(insert(roles.pub, x.id, 12, now), -1);
	assert_int_equal(e.kind, ERR_REFUSED);
	assert_int_equal(insert(roles.oper, x.id, 12, now), 0);
	/* issuers' lists are the publisher's as before */
	assert_int_equal(store_authority_list(roles.oper, a, &list, &n, &e), 0);
	assert_int_equal(insert(roles.pub, list[0].id, 10, now), 0);
	assert_int_equal(insert(roles.pub, list[0].id, 9, now), 0);
}

static int
setup(void **state)
{
	(void)state;
	a = arena_new();
	sample_open(&roles);
	(void)sample_issuer(roles.oper, "issuing");
	return 0;
}

static int
teardown(void **state)
{
	(void)state;
	sample_close(&roles);
	arena_free(a);
	return 0;
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_put),
		cmocka_unit_test(test_rises),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
