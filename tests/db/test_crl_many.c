/* CRLs by the thousand. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/arena.h"
#include "db/db_int.h"
#include "db/store_crl.h"
#include "tests/db/sample.h"

static void
good(int rc, const struct err *e)
{
	if (rc != 0)
		fail_msg("%s", e->text);
}

/* What a statement reads, in pages. */
static long
pages_of(struct db *db, const char *sql)
{
	AUTO(PGresult) r = PQexec(db_pg(db), sql);
	const char *text, *p;
	int i;

	assert_int_equal(PQresultStatus(r), PGRES_TUPLES_OK);
	for (i = 0; i < PQntuples(r); i++) {
		text = PQgetvalue(r, i, 0);
		p = strstr(text, "shared hit=");
		if (p != NULL)
			return strtol(p + 11, NULL, 10);
	}
	fail_msg("no pages");
	return 0;
}

/* The newest lists are found without a look at all that are kept. */
static void
test_many_kept(void **state)
{
	AUTO(arena_auto) a = arena_new();
	struct sample_roles *roles = *state;
	int issuer = sample_issuer(roles->oper, "two");
	struct store_crls all;
	struct db *super;
	struct err e;
	size_t i;

	super = db_new_bare(pg_conninfo(roles->pg, "postgres"), "test");
	good(
	    db_script(super,
		"SET search_path = chancery; INSERT INTO crl (issuer, scope,"
		" number, this_update, next_update, entries, gone, size, sha256)"
		" SELECT i.id, 'part-' || k, n, now(), now() + interval '1 d', 0, 0,"
		" 1, sha256('x') FROM issuer i, generate_series(0, 3) k,"
		" generate_series(1, 5000) n WHERE i.name = 'two';"
		" ANALYZE crl",
		&e),
	    &e);
	good(store_crl_current(roles->ocsp, a, &all, &e), &e);
	assert_int_equal(all.n, 4);
	for (i = 0; i < 4; i++) {
		assert_int_equal(all.list[i].issuer, issuer);
		assert_int_equal(all.list[i].number, 5000);
	}
	assert_in_range(
	    pages_of(super,
		"EXPLAIN (ANALYZE, BUFFERS, TIMING OFF, SUMMARY OFF)"
		" SELECT * FROM crl_current"),
	    1, 100);
	db_free(super);
}

static struct sample_roles all_roles;

static int
setup(void **state)
{
	sample_open(&all_roles);
	*state = &all_roles;
	return 0;
}

static int
teardown(void **state)
{
	sample_close(*state);
	return 0;
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_many_kept),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
