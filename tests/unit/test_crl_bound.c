/* CRLs from before: whose they are. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/file.h"
#include "ocsp/crl_bound.h"
#include "tests/unit/arena_fixture.h"
#include "tests/unit/ocsp_ca.h"

static void
note(void *arg, const struct crl_bound_entry *entry)
{
	*(const struct authority **)arg = entry->issuer;
}

/* An issuer with a new key keeps its name: the list tells by its signature. */
static void
test_same_name(void **state)
{
	static const uint8_t octets[] = { 0x41, 2, 3 };
	char dir[] = "/tmp/crl-bound-XXXXXX";
	const struct authority *found = NULL;
	struct authority list[2] = { 0 };
	struct ocsp_ca ca[2] = { 0 };
	const char *path;
	struct err e;
	int i;

	(void)state;
	assert_non_null(mkdtemp(dir));
	path = arena_printf(a, "%s/a.crl", dir);
	for (i = 0; i < 2; i++) {
		ocsp_ca_init(&ca[i], "same");
		assert_int_equal(authority_init(a, "same",
				     ocsp_ca_der(a, ca[i].cert), &list[i], &e),
		    0);
	}
	for (i = 0; i < 2; i++) {
		assert_int_equal(file_replace(path,
				     ocsp_ca_crl(&ca[i], a, 1,
					 span_of(octets, sizeof(octets))),
				     0600, &e),
		    0);
		assert_int_equal(crl_bound_each(dir, list, 2, note, &found), 1);
		assert_ptr_equal(found, &list[i]);
	}
	assert_int_equal(crl_bound_each(dir, list, 1, note, &found), 0);
	assert_int_equal(unlink(path), 0);
	assert_int_equal(rmdir(dir), 0);
	for (i = 0; i < 2; i++)
		ocsp_ca_clear(&ca[i]);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_same_name),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
