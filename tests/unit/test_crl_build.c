/* What crl_build writes, as OpenSSL and GnuTLS read it. */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include <openssl/ec.h>
#include <openssl/x509v3.h>

#include "base/auto.h"
#include "base/clock.h"
#include "base/file.h"
#include "tests/unit/crl_sample.h"

AUTO_DEFINE(X509_CRL, X509_CRL_free);
AUTO_DEFINE(ISSUING_DIST_POINT, ISSUING_DIST_POINT_free);
AUTO_DEFINE(ASN1_INTEGER, ASN1_INTEGER_free);
AUTO_DEFINE(ASN1_ENUMERATED, ASN1_ENUMERATED_free);

static EVP_PKEY *key;
static struct arena *arena;
static const char *const url[] = { CRL_SAMPLE_URL };

static X509_CRL *
parse(const struct crl_built *built)
{
	struct span der = crl_sample_sign(arena, key, built);
	const uint8_t *p = der.p;
	X509_CRL *crl = d2i_X509_CRL(NULL, &p, (long)der.n);

	assert_non_null(crl);
	assert_ptr_equal(p, der.p + der.n);
	assert_int_equal(X509_CRL_verify(crl, key), 1);
	(void)close(built->fd);
	return crl;
}

/* Every step of the lengths' octets, among them none at all. */
static void
test_sizes(void **state)
{
	static const size_t counts[] = { 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11,
		2200, 2250, 2300, 630000 };
	struct crl_head head = crl_sample_head(clock_now());
	STACK_OF(X509_REVOKED) * list;
	struct crl_built built;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(counts) / sizeof(counts[0]); i++) {
		AUTO(X509_CRL) crl = NULL;

		built = crl_sample_build(&head, counts[i]);
		assert_int_equal(built.entries, counts[i]);
		crl = parse(&built);
		list = X509_CRL_get_REVOKED(crl);
		assert_int_equal(X509_CRL_get_version(crl), 1);
		if (counts[i] == 0)
			assert_null(list);
		else
			assert_int_equal(
			    sk_X509_REVOKED_num(list), (int)counts[i]);
	}
}

static void
test_sealed(void **state)
{
	struct crl_head head = crl_sample_head(clock_now());
	struct crl_built built = crl_sample_build(&head, 3);

	(void)state;
	assert_int_equal(pwrite(built.fd, "x", 1, 0), -1);
	assert_int_equal(ftruncate(built.fd, 1), -1);
	assert_ptr_equal(mmap(NULL, built.size, PROT_READ | PROT_WRITE,
			     MAP_SHARED, built.fd, 0),
	    MAP_FAILED);
	assert_int_equal(close(built.fd), 0);
}

/* The head's fields, and no extension beyond those asked for. */
static void
test_head(void **state)
{
	int64_t now = clock_now();
	struct crl_head head = crl_sample_head(now);
	struct crl_built built = crl_sample_build(&head, 1);
	AUTO(X509_CRL) crl = parse(&built);
	AUTO(ASN1_INTEGER) number =
	    X509_CRL_get_ext_d2i(crl, NID_crl_number, NULL, NULL);
	int64_t v;

	(void)state;
	assert_int_equal(X509_CRL_get_ext_count(crl), 2);
	assert_int_equal(
	    X509_CRL_get_ext_by_NID(crl, NID_authority_key_identifier, -1), 0);
	assert_int_equal(ASN1_INTEGER_get_int64(&v, number), 1);
	assert_int_equal(v, 0x8001);
	assert_int_equal(
	    ASN1_TIME_cmp_time_t(X509_CRL_get0_lastUpdate(crl), now), 0);
	assert_int_equal(
	    ASN1_TIME_cmp_time_t(X509_CRL_get0_nextUpdate(crl), now + 86400),
	    0);
}

static void
test_point(void **state)
{
	struct crl_head head = crl_sample_head(clock_now());
	struct crl_built built;
	int critical = 0, i;

	(void)state;
	head.point_urls = (struct profile_strings){ url, 1 };
	head.freshest_urls = head.point_urls;
	head.expired_since = 1;
	built = crl_sample_build(&head, 1);
	{
		AUTO(X509_CRL) crl = parse(&built);
		AUTO(ISSUING_DIST_POINT)
		idp = X509_CRL_get_ext_d2i(
		    crl, NID_issuing_distribution_point, &critical, NULL);

		assert_non_null(idp);
		assert_int_equal(critical, 1);
		assert_int_equal(idp->onlyuser, 0);
		i = X509_CRL_get_ext_by_NID(crl, NID_freshest_crl, -1);
		assert_true(i >= 0);
		assert_int_equal(
		    X509_EXTENSION_get_critical(X509_CRL_get_ext(crl, i)), 0);
		assert_int_equal(X509_CRL_get_ext_count(crl), 5);
	}
}

/* A delta has its base, and no freshestCRL (RFC 5280 5.2.6). */
static void
test_delta(void **state)
{
	struct crl_head head = crl_sample_head(clock_now());
	struct crl_built built;
	int critical = 0;

	(void)state;
	head.base = span_of("\x7f", 1);
	head.freshest_urls = (struct profile_strings){ url, 1 };
	built = crl_sample_build(&head, 1);
	{
		AUTO(X509_CRL) crl = parse(&built);
		AUTO(ASN1_INTEGER)
		base =
		    X509_CRL_get_ext_d2i(crl, NID_delta_crl, &critical, NULL);

		assert_non_null(base);
		assert_int_equal(critical, 1);
		assert_int_equal(ASN1_INTEGER_get(base), 0x7f);
		assert_int_equal(
		    X509_CRL_get_ext_by_NID(crl, NID_freshest_crl, -1), -1);
	}
}

static long
reason_of(const X509_REVOKED *r)
{
	AUTO(ASN1_ENUMERATED)
	v = X509_REVOKED_get_ext_d2i(r, NID_crl_reason, NULL, NULL);

	return v == NULL ? -1 : ASN1_ENUMERATED_get(v);
}

static void
test_entries(void **state)
{
	static const struct {
		int reason;
		int64_t invalidity;
		int exts;
	} v[] = {
		{ -1, CRL_NO_TIME, 0 },
		{ 0, CRL_NO_TIME, 0 },
		{ 1, 0, 2 },
		{ 10, 2630000000, 2 },
		{ 0, 1000, 1 },
		{ 6, CRL_NO_TIME, 1 },
	};
	struct crl_head head = crl_sample_head(clock_now());
	struct crl_entry x = { .revoked_at = 2630000000 };
	STACK_OF(X509_REVOKED) * list;
	AUTO(X509_CRL) crl = NULL;
	const X509_REVOKED *r;
	struct crl_built built;
	struct crl_build *b;
	struct err e;
	size_t i;

	(void)state;
	assert_int_equal(crl_build_new(&head, &b, &e), 0);
	for (i = 0; i < sizeof(v) / sizeof(v[0]); i++) {
		const uint8_t serial[] = { 0x40, (uint8_t)i };

		x.serial = span_of(serial, 2);
		x.reason = v[i].reason;
		x.invalidity_at = v[i].invalidity;
		assert_int_equal(crl_build_add(b, &x, &e), 0);
	}
	assert_int_equal(crl_build_end(b, &built, &e), 0);
	crl_build_free(b);
	crl = parse(&built);
	list = X509_CRL_get_REVOKED(crl);
	for (i = 0; i < sizeof(v) / sizeof(v[0]); i++) {
		r = sk_X509_REVOKED_value(list, (int)i);
		assert_int_equal(X509_REVOKED_get_ext_count(r), v[i].exts);
		assert_int_equal(
		    reason_of(r), v[i].reason <= 0 ? -1 : v[i].reason);
		assert_int_equal(X509_REVOKED_get0_revocationDate(r)->type,
		    V_ASN1_GENERALIZEDTIME);
	}
}

static void
test_bad_entries(void **state)
{
	static const struct {
		const char *serial;
		size_t n;
		int reason;
		int64_t at;
	} v[] = {
		{ "", 0, -1, 0 },
		{ "\x80", 1, -1, 0 },
		{ "\x40\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0", 21, -1, 0 },
		{ "\x40", 1, 7, 0 },
		{ "\x40", 1, 8, 0 },
		{ "\x40", 1, 11, 0 },
		{ "\x40", 1, -1, -1 },
		{ "\x40", 1, -1, (int64_t)1 << 60 },
		{ "\x30", 1, -1, 0 },
		{ "\x2f", 1, -1, 0 },
	};
	struct crl_head head = crl_sample_head(clock_now());
	struct crl_entry x = { .serial = span_of("\x30", 1),
		.reason = -1,
		.invalidity_at = CRL_NO_TIME };
	struct crl_build *b;
	struct err e;
	size_t i;

	(void)state;
	assert_int_equal(crl_build_new(&head, &b, &e), 0);
	assert_int_equal(crl_build_add(b, &x, &e), 0);
	for (i = 0; i < sizeof(v) / sizeof(v[0]); i++) {
		x.serial = span_of(v[i].serial, v[i].n);
		x.reason = v[i].reason;
		x.revoked_at = v[i].at;
		assert_int_equal(crl_build_add(b, &x, &e), -1);
		assert_int_equal(e.kind, ERR_MALFORMED);
	}
	crl_build_free(b);
	head.number =
	    span_of("\x40\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0", 21);
	assert_int_equal(crl_build_new(&head, &b, &e), 0);
	{
		struct crl_built built;

		assert_int_equal(crl_build_end(b, &built, &e), -1);
	}
	crl_build_free(b);
}

static int
run(char *const argv[])
{
	int status, null;
	pid_t pid = fork();

	if (pid == 0) {
		null = open("/dev/null", O_RDWR);
		(void)dup2(null, STDOUT_FILENO);
		(void)dup2(null, STDERR_FILENO);
		execvp(argv[0], argv);
		_exit(127);
	}
	assert_true(pid > 0);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128;
}

/* Two programs of other hands read a list with everything in it. */
static void
test_tools(void **state)
{
	char path[] = "/tmp/crlbuild-XXXXXX";
	char *const openssl[] = { (char *)"openssl", (char *)"crl",
		(char *)"-inform", (char *)"DER", (char *)"-in", path,
		(char *)"-noout", (char *)"-text", NULL };
	char *const certtool[] = { (char *)"certtool", (char *)"--crl-info",
		(char *)"--inder", (char *)"--infile", path, NULL };
	struct crl_head head = crl_sample_head(clock_now());
	AUTO_FD int fd = mkstemp(path);
	struct crl_built built;
	struct err e;

	(void)state;
	assert_true(fd >= 0);
	head.point_urls = (struct profile_strings){ url, 1 };
	head.freshest_urls = head.point_urls;
	built = crl_sample_build(&head, 20);
	assert_int_equal(
	    file_replace(path, crl_sample_sign(arena, key, &built), 0600, &e),
	    0);
	(void)close(built.fd);
	assert_int_equal(run(openssl), 0);
	if (run((char *const[]){
		(char *)"certtool", (char *)"--version", NULL }) == 0)
		assert_int_equal(run(certtool), 0);
	assert_int_equal(unlink(path), 0);
}

static int
setup(void **state)
{
	(void)state;
	arena = arena_new();
	key = EVP_EC_gen("P-256");
	return key == NULL;
}

static int
teardown(void **state)
{
	(void)state;
	EVP_PKEY_free(key);
	arena_free(arena);
	return 0;
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_sizes),
		cmocka_unit_test(test_sealed),
		cmocka_unit_test(test_head),
		cmocka_unit_test(test_point),
		cmocka_unit_test(test_delta),
		cmocka_unit_test(test_entries),
		cmocka_unit_test(test_bad_entries),
		cmocka_unit_test(test_tools),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
