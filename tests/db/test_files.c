/* The copies of CRLs that a responder serves. */
#include <dirent.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include <openssl/sha.h>

#include "base/arena.h"
#include "base/clock.h"
#include "base/file.h"
#include "db/store_crl.h"
#include "ocsp/files.h"
#include "tests/db/sample.h"

#define SIZE ((size_t)STORE_CRL_PIECE_MAX + 5000)

static const char *crl_urls[] = { "http://c.test/ca/one.crl",
	"http://d.test/other.crl", "http://c.test/p/{partition}.crl" };
static const char *fresh_urls[] = { "http://c.test/ca/delta.crl",
	"http://c.test/p/d{partition}.crl" };
static struct settings_issuer one = { .name = "one",
	.crl_urls = crl_urls,
	.crl_urls_count = 3,
	.freshest_crl_urls = fresh_urls,
	.freshest_crl_urls_count = 2 };
static const struct settings settings = { .issuers = &one, .issuers_count = 1 };

static struct pg *pg;
static struct db *pub, *ocsp;
static struct arena *a;
static struct files *f;
static int issuer;
static bool refuse;
static char *dir;

static void
good(int rc, const struct err *e)
{
	if (rc != 0)
		fail_msg("%s", e->text);
}

/* Publishes a list whose octets are all 'fill', with a wrong hash if told. */
static void
publish(const char *scope, int64_t number, uint8_t fill, bool damaged)
{
	struct store_crl c = { .issuer = issuer,
		.number = number,
		.base_number = strncmp(scope, "delta", 5) == 0,
		.this_update = 1700000000 + number,
		.next_update = 1800000000,
		.size = SIZE,
		.mark = { .at = STORE_CRL_NO_TIME } };
	uint8_t *p = arena_alloc(a, SIZE);
	struct err e;

	(void)snprintf(c.scope, sizeof(c.scope), "%s", scope);
	memset(p, fill, SIZE);
	(void)SHA256(p, SIZE, c.sha256);
	c.sha256[0] ^= damaged;
	good(store_crl_begin(pub, &c, &e), &e);
	good(
	    store_crl_put(pub, &c, 0, span_of(p, STORE_CRL_PIECE_MAX), &e), &e);
	good(store_crl_put(
		 pub, &c, 1, span_of(p, SIZE - STORE_CRL_PIECE_MAX), &e),
	    &e);
	good(store_crl_commit(pub, 0, &e), &e);
}

/* What a file is filled with; -1: there is none. */
static int
filled(const char *path)
{
	const char *full = arena_printf(a, "%s/%s", dir, path);
	struct span s;
	struct err e;

	if (file_read(a, full, SIZE + 1, &s, &e) == -1)
		return -1;
	assert_int_equal(s.n, SIZE);
	assert_int_equal(s.p[0], s.p[SIZE - 1]);
	return s.p[0];
}

static size_t
sync_all(int want)
{
	struct err e;
	size_t n;

	assert_int_equal(files_sync(f, ocsp, &n, &e), want);
	return n;
}

static void
test_paths(void **state)
{
	static const char *const bad[] = { "http://h", "http://h/",
		"http://h/../x", "http://h/a/./b", "http://h/.x",
		"http://h/a//b", "http://h/a/", "http://h/a?b", "a.crl",
		"http://h/a%2fb" };
	struct settings_issuer s = { .crl_urls_count = 1 };
	char out[64];
	size_t i;

	(void)state;
	assert_string_equal(
	    files_path(&one, "full", 0, out, sizeof(out)), "ca/one.crl");
	assert_string_equal(
	    files_path(&one, "full", 1, out, sizeof(out)), "other.crl");
	assert_null(files_path(&one, "full", 2, out, sizeof(out)));
	assert_string_equal(
	    files_path(&one, "part-17", 0, out, sizeof(out)), "p/17.crl");
	assert_string_equal(
	    files_path(&one, "delta", 0, out, sizeof(out)), "ca/delta.crl");
	assert_string_equal(
	    files_path(&one, "delta-3", 0, out, sizeof(out)), "p/d3.crl");
	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		s.crl_urls = (const char **)(uintptr_t)&bad[i];
		assert_null(files_path(&s, "full", 0, out, sizeof(out)));
	}
	assert_null(files_path(&one, "full", 0, out, 5));
}

static void
test_sync(void **state)
{
	struct stat st;

	(void)state;
	assert_int_equal(sync_all(0), 0);
	publish("full", 1, 'a', false);
	publish("part-1", 1, 'b', false);
	publish("delta", 2, 'c', false);
	assert_int_equal(sync_all(0), 3);
	assert_int_equal(filled("ca/one.crl"), 'a');
	assert_int_equal(filled("other.crl"), 'a');
	assert_int_equal(filled("p/1.crl"), 'b');
	assert_int_equal(filled("ca/delta.crl"), 'c');
	assert_int_equal(stat(arena_printf(a, "%s/ca/one.crl", dir), &st), 0);
	assert_int_equal(st.st_mtime, 1700000001);
	assert_int_equal(st.st_mode & 0777, 0644);
	assert_int_equal(sync_all(0), 0);
	publish("full", 3, 'd', false);
	assert_int_equal(sync_all(0), 1);
	assert_int_equal(filled("ca/one.crl"), 'd');
}

/* Temporary files that were left behind. */
static int
left_over(void)
{
	DIR *d = opendir(arena_printf(a, "%s/ca", dir));
	struct dirent *entry;
	int n = 0;

	assert_non_null(d);
	while ((entry = readdir(d)) != NULL)
		n += strncmp(entry->d_name, ".new", 4) == 0;
	assert_int_equal(closedir(d), 0);
	return n;
}

/* The list before stays when the new one is not what it should be. */
static void
test_damaged(void **state)
{
	(void)state;
	publish("full", 4, 'e', true);
	publish("part-1", 4, 'f', false);
	assert_int_equal(sync_all(-1), 1);
	assert_int_equal(filled("ca/one.crl"), 'd');
	assert_int_equal(filled("p/1.crl"), 'f');
	refuse = true;
	publish("full", 5, 'g', false);
	assert_int_equal(sync_all(-1), 0);
	assert_int_equal(filled("ca/one.crl"), 'd');
	refuse = false;
	assert_int_equal(sync_all(0), 1);
	assert_int_equal(filled("ca/one.crl"), 'g');
	assert_int_equal(left_over(), 0);
}

static bool
check(void *arg, unsigned which, struct span crl)
{
	(void)arg;
	assert_int_equal(which, 0);
	assert_int_equal(crl.n, SIZE);
	return !refuse;
}

static int
setup(void **state)
{
	struct files_conf conf = { .check = check };
	struct db *oper;

	(void)state;
	a = arena_new();
	pg = pg_new();
	oper = db_new(pg_conninfo(pg, "chancery_oper"), "t");
	pub = db_new(pg_conninfo(pg, "chancery_pub"), "t");
	ocsp = db_new(pg_conninfo(pg, "chancery_ocsp"), "t");
	issuer = sample_issuer(oper, "one");
	db_free(oper);
	dir = arena_printf(a, "%s/files", pg_dir(pg));
	conf.dir = dir;
	f = files_new(&settings, &conf);
	return 0;
}

static int
teardown(void **state)
{
	(void)state;
	files_free(f);
	db_free(pub);
	db_free(ocsp);
	pg_free(pg);
	arena_free(a);
	return 0;
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_paths),
		cmocka_unit_test(test_sync),
		cmocka_unit_test(test_damaged),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
