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
#include <openssl/x509.h>

#include "base/arena.h"
#include "base/b64.h"
#include "base/clock.h"
#include "base/file.h"
#include "db/store_authority.h"
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

static struct sample_roles roles;
static struct arena *a;
static struct files *f;
static int issuer;
static bool refuse;
static char *dir;
static EVP_PKEY *root_key;
static X509 *root_cert;

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
	good(store_crl_begin(roles.pub, &c, &e), &e);
	good(store_crl_put(
		 roles.pub, &c, 0, span_of(p, STORE_CRL_PIECE_MAX), &e),
	    &e);
	good(store_crl_put(
		 roles.pub, &c, 1, span_of(p, SIZE - STORE_CRL_PIECE_MAX), &e),
	    &e);
	good(store_crl_commit(roles.pub, 0, &e), &e);
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

	assert_int_equal(files_sync(f, roles.ocsp, &n, &e), want);
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
	uint8_t hash[32], *fill = arena_alloc(a, SIZE);
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
	/* time and hash of the list: every node gives it the same ETag */
	assert_int_equal(st.st_mtime, 1700000001);
	memset(fill, 'a', SIZE);
	(void)SHA256(fill, SIZE, hash);
	assert_int_equal(
	    st.st_mtim.tv_nsec, hash[0] << 16 | hash[1] << 8 | hash[2]);
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

/* What was killed in mid-write leaves nothing behind; all else stays. */
static void
test_killed(void **state)
{
	static const char *const names[] = { "ca/.new-aZ09xy", ".new-000000",
		".new-aZ09x", ".new-aZ09xyz", ".new-aZ09x.", ".old-aZ09xy",
		"new-aZ09xy" };
	const struct files_conf conf = { .dir = dir };
	const char *path;
	struct files *again;
	struct err e;
	size_t i;

	(void)state;
	for (i = 0; i < 7; i++) {
		path = arena_printf(a, "%s/%s", dir, names[i]);
		assert_int_equal(
		    file_replace(path, span_str("x"), 0600, &e), 0);
	}
	again = files_new(&settings, &conf);
	for (i = 0; i < 7; i++) {
		path = arena_printf(a, "%s/%s", dir, names[i]);
		assert_int_equal(unlink(path), i < 2 ? -1 : 0);
	}
	files_free(again);
	assert_int_equal(filled("ca/one.crl"), 'g');
}

/* One that cannot be written stops no other. */
static void
test_blocked(void **state)
{
	const char *path = arena_printf(a, "%s/ca/one.crl", dir);

	(void)state;
	assert_int_equal(unlink(path), 0);
	assert_int_equal(mkdir(path, 0755), 0);
	publish("full", 6, 'h', false);
	publish("part-1", 6, 'i', false);
	assert_int_equal(sync_all(-1), 1);
	assert_int_equal(filled("p/1.crl"), 'i');
	assert_int_equal(left_over(), 0);
	assert_int_equal(rmdir(path), 0);
	assert_int_equal(sync_all(0), 1);
	assert_int_equal(filled("ca/one.crl"), 'h');
}

static bool
check(void *arg, unsigned which, const struct store_crl *row, struct span crl)
{
	(void)arg;
	(void)row;
	assert_int_equal(which, 0);
	assert_int_equal(crl.n, SIZE);
	return !refuse;
}

static X509_NAME *
root_name(void)
{
	X509_NAME *name = X509_NAME_new();

	assert_int_equal(X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC,
			     (const unsigned char *)"Root", -1, -1, 0),
	    1);
	return name;
}

/* A root, and the chain file that has it. */
static void
make_root(void)
{
	const char *path = arena_printf(a, "%s/chain.pem", pg_dir(roles.pg)),
		   *pem;
	X509_NAME *name = root_name();
	unsigned char *der = NULL;
	struct err e;
	int n;

	root_key = EVP_EC_gen("P-256");
	root_cert = X509_new();
	assert_int_equal(X509_set_issuer_name(root_cert, name), 1);
	assert_int_equal(X509_set_subject_name(root_cert, name), 1);
	X509_NAME_free(name);
	assert_int_equal(X509_set_pubkey(root_cert, root_key), 1);
	(void)X509_gmtime_adj(X509_getm_notBefore(root_cert), 0);
	(void)X509_gmtime_adj(X509_getm_notAfter(root_cert), 86400);
	assert_true(X509_sign(root_cert, root_key, EVP_sha256()) > 0);
	n = i2d_X509(root_cert, &der);
	pem = pem_encode(a, "CERTIFICATE", span_of(der, (size_t)n));
	OPENSSL_free(der);
	good(file_replace(path, span_str(pem), 0644, &e), &e);
	one.chain = path;
}

/* A CRL of "Root" by this key. */
static struct span
root_crl(EVP_PKEY *key)
{
	X509_CRL *crl = X509_CRL_new();
	X509_NAME *name = root_name();
	ASN1_TIME *now = X509_gmtime_adj(NULL, 0);
	unsigned char *der = NULL;
	struct span out;
	int n;

	assert_int_equal(X509_CRL_set_version(crl, 1), 1);
	assert_int_equal(X509_CRL_set_issuer_name(crl, name), 1);
	assert_int_equal(X509_CRL_set1_lastUpdate(crl, now), 1);
	assert_int_equal(X509_CRL_set1_nextUpdate(crl, now), 1);
	assert_true(X509_CRL_sign(crl, key, EVP_sha256()) > 0);
	n = i2d_X509_CRL(crl, &der);
	out = span_dup(a, span_of(der, (size_t)n));
	OPENSSL_free(der);
	ASN1_TIME_free(now);
	X509_NAME_free(name);
	X509_CRL_free(crl);
	return out;
}

static void
import(int ca, int64_t number, struct span der)
{
	struct store_crl c = { .issuer = ca,
		.scope = "full",
		.number = number,
		.this_update = 1700000000 + number,
		.next_update = 1800000000,
		.size = der.n,
		.mark = { .at = STORE_CRL_NO_TIME } };
	struct err e;

	(void)SHA256(der.p, der.n, c.sha256);
	good(store_crl_begin(roles.oper, &c, &e), &e);
	good(store_crl_put(roles.oper, &c, 0, der, &e), &e);
	good(store_crl_commit(roles.oper, 0, &e), &e);
}

/* What a file below the directory has; empty when it is not there. */
static struct span
bytes_of(const char *path)
{
	struct span s;
	struct err e;

	if (file_read(a, arena_printf(a, "%s/%s", dir, path), SIZE, &s, &e) ==
	    -1)
		return span_of(NULL, 0);
	return s;
}

/* A root's list: at its paths, never at an issuer's, never a forged one. */
static void
test_imported(void **state)
{
	const char *paths[] = { "/crl/root.crl", "/ca/one.crl", "/p/1.crl",
		"/../out.crl", "/old/root.crl" };
	struct store_authority ca = { .name = "root",
		.cert = span_of("x", 1),
		.paths = paths,
		.n_paths = 5 };
	EVP_PKEY *other = EVP_EC_gen("P-256");
	struct span first = root_crl(root_key), next = root_crl(root_key);
	unsigned char *spki = NULL;
	int n = i2d_X509_PUBKEY(X509_get_X509_PUBKEY(root_cert), &spki);
	struct err e;

	(void)state;
	(void)SHA256(spki, (size_t)n, ca.spki_sha256);
	OPENSSL_free(spki);
	good(store_authority_put(roles.oper, &ca, &e), &e);
	import(ca.id, 7, first);
	assert_int_equal(sync_all(0), 1);
	assert_true(span_eq(bytes_of("crl/root.crl"), first));
	assert_true(span_eq(bytes_of("old/root.crl"), first));
	assert_int_equal(filled("ca/one.crl"), 'h');
	assert_int_equal(filled("p/1.crl"), 'i');
	assert_int_equal(bytes_of("../out.crl").n, 0);
	import(ca.id, 8, root_crl(other));
	assert_int_equal(sync_all(-1), 0);
	assert_true(span_eq(bytes_of("crl/root.crl"), first));
	import(ca.id, 9, next);
	assert_int_equal(sync_all(0), 1);
	assert_true(span_eq(bytes_of("crl/root.crl"), next));
	EVP_PKEY_free(other);
}

static int
setup(void **state)
{
	struct files_conf conf = { .check = check };
	(void)state;
	a = arena_new();
	sample_open(&roles);
	issuer = sample_issuer(roles.oper, "one");
	make_root();
	dir = arena_printf(a, "%s/files", pg_dir(roles.pg));
	conf.dir = dir;
	f = files_new(&settings, &conf);
	return 0;
}

static int
teardown(void **state)
{
	(void)state;
	files_free(f);
	EVP_PKEY_free(root_key);
	X509_free(root_cert);
	sample_close(&roles);
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
		cmocka_unit_test(test_killed),
		cmocka_unit_test(test_blocked),
		cmocka_unit_test(test_imported),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
