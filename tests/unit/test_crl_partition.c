/* Partitioned CRLs: the partition of a serial, its URL, issuing and lint. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/crl_partition.h"
#include "base/der.h"
#include "ca/ext.h"
#include "ca/lint.h"
#include "ca/oid.h"
#include "ca/tbs.h"
#include "tests/unit/ca_fixture.h"

#define PARTS 7

static struct ca_fixture fx;
static struct span spki;

static int
setup(void **state)
{
	EVP_PKEY *key = maker_key("P-256");

	(void)state;
	ca_fixture_init(&fx);
	spki = maker_spki(fx.a, key);
	EVP_PKEY_free(key);
	return 0;
}

static int
teardown(void **state)
{
	(void)state;
	ca_fixture_clear(&fx);
	return 0;
}

/* Certificates carry it for years: these values are for ever. */
static void
test_of(void **state)
{
	static const struct {
		const char *serial;
		uint32_t n, want;
	} v[] = {
		{ "4003000102030405060708090a0b0c0d", 0, 0 },
		{ "4003000102030405060708090a0b0c0d", 1, 0 },
		{ "4003000102030405060708090a0b0c0d", 16, 13 },
		{ "4003000102030405060708090a0b0c0d", 4096, 0xc0d },
		{ "4003000102030405060708090a0b0c0d", 1000, 221 },
		{ "ff", 10, 5 },
		{ "00ff", 10, 5 },
		{ "ffffffffffffffff", 4095, 15 },
		{ "7fffffffffffffffff", 4095, 15 },
		{ "", 10, 0 },
	};
	uint32_t seen[PARTS] = { 0 };
	uint8_t serial[TBS_SERIAL_SIZE];
	struct err e;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(v) / sizeof(v[0]); i++) {
		if (crl_partition_of(maker_hex(fx.a, v[i].serial), v[i].n) !=
		    v[i].want)
			fail_msg("%s mod %u is %u", v[i].serial, v[i].n,
			    crl_partition_of(
				maker_hex(fx.a, v[i].serial), v[i].n));
	}
	/* of one size: 1000 each, and 30 is the standard deviation */
	for (i = 0; i < PARTS * 1000; i++) {
		assert_int_equal(tbs_serial(3, serial, &e), 0);
		seen[crl_partition_of(
		    span_of(serial, sizeof(serial)), PARTS)]++;
	}
	for (i = 0; i < PARTS; i++)
		assert_in_range(seen[i], 800, 1200);
}

static void
test_url(void **state)
{
	static const struct {
		const char *url;
		uint32_t part;
		const char *want;
	} v[] = {
		{ "http://a/{partition}.crl", 12, "http://a/12.crl" },
		{ "http://a/{partition}", 0, "http://a/0" },
		{ "{partition}", 4095, "4095" },
		{ "http://a/b.crl", 12, "http://a/b.crl" },
		{ "http://a/{partition", 12, "http://a/{partition" },
	};
	static const char *const others[] = { "http://a/1.crl",
		"http://a/012.crl", "http://a/12.crlx", "http://a/12",
		"http://a/123.crl", "http://a/{partition}.crl", "",
		"http://b/12.crl", "http://a/ 12.crl" };
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(v) / sizeof(v[0]); i++) {
		assert_string_equal(
		    crl_partition_url(fx.a, v[i].url, v[i].part), v[i].want);
		assert_true(crl_partition_url_is(
		    v[i].url, v[i].part, span_str(v[i].want)));
		assert_int_equal(crl_partition_marked(v[i].url), i < 3);
	}
	for (i = 0; i < sizeof(others) / sizeof(others[0]); i++)
		assert_false(crl_partition_url_is(
		    v[0].url, v[0].part, span_str(others[i])));
}

static const char *const crl_list[] = { "http://a.test/p{partition}.crl",
	"http://a.test/all.crl" };
static const char *const delta_list[] = { "http://a.test/d{partition}.crl" };

static struct issuer
partitioned(void)
{
	struct issuer i = *issuer_get(fx.issuers, "tls");

	i.crl_partitions = PARTS;
	i.crl_urls = (struct profile_strings){ crl_list, 2 };
	i.freshest_urls = (struct profile_strings){ delta_list, 1 };
	return i;
}

static void
test_issuer(void **state)
{
	struct issuer i = partitioned();
	struct span serial = maker_hex(fx.a, "ff"); /* 255 mod 7 is 3 */
	struct profile_strings got;

	(void)state;
	got = issuer_crl_urls(fx.a, &i, &i.crl_urls, serial);
	assert_int_equal(got.n, 2);
	assert_string_equal(got.list[0], "http://a.test/p3.crl");
	assert_string_equal(got.list[1], "http://a.test/all.crl");
	got = issuer_crl_urls(fx.a, &i, &i.freshest_urls, serial);
	assert_int_equal(got.n, 1);
	assert_string_equal(got.list[0], "http://a.test/d3.crl");
	i.crl_partitions = 0;
	got = issuer_crl_urls(fx.a, &i, &i.crl_urls, serial);
	assert_string_equal(got.list[0], crl_list[0]);
}

/* The value of a short Extension: 30 LEN 06 03 OID 04 LEN value. */
static struct span
value_of(struct span ext)
{
	assert_true(ext.n > 9 && ext.p[1] == ext.n - 2);
	return span_dup(fx.a, span_of(ext.p + 9, ext.n - 9));
}

/* The rules that a certificate with these points breaks, as text. */
static const char *
broken(const struct issuer *i, const char *crl, const char *delta)
{
	struct profile_strings crls = { &crl, 1 }, deltas = { &delta, 1 };
	const char *names[64], *out = "";
	struct lint_input in = { .issuer = i };
	struct tbs_maker m;
	size_t n, k;
	AUTO_BUF(b, 4096);

	ca_fixture_leaf(&fx, "tls", spki, &m);
	ext_crl_distribution_points(&b, &crls);
	maker_set(
	    &m, OID_CRL_DISTRIBUTION_POINTS, false, value_of(buf_get(&b)));
	buf_reset(&b);
	if (delta != NULL) {
		ext_freshest_crl(&b, &deltas);
		maker_set(&m, OID_FRESHEST_CRL, false, value_of(buf_get(&b)));
	}
	in.tbs = maker_tbs(&m);
	n = lint_broken(fx.a, &in, names);
	for (k = 0; k < n; k++)
		out = arena_printf(fx.a, "%s%s ", out, names[k]);
	return out;
}

static void
test_lint(void **state)
{
	struct issuer i = partitioned();
	uint32_t p = crl_partition_of(
	    maker_hex(fx.a, "4003000102030405060708090a0b0c0d"), PARTS);
	const char *crl = crl_partition_url(fx.a, crl_list[0], p);
	const char *delta = crl_partition_url(fx.a, delta_list[0], p);
	const char *other =
	    crl_partition_url(fx.a, crl_list[0], (p + 1) % PARTS);
	const char *other_delta =
	    crl_partition_url(fx.a, delta_list[0], (p + 1) % PARTS);

	(void)state;
	assert_string_equal(broken(&i, crl, delta), "");
	assert_string_equal(broken(&i, crl, NULL), "");
	assert_string_equal(broken(&i, crl_list[1], NULL), "");
	assert_string_equal(
	    broken(&i, other, delta), "crl-distribution-points ");
	assert_string_equal(broken(&i, crl, other_delta), "freshest-crl ");
	assert_string_equal(
	    broken(&i, crl_list[0], delta), "crl-distribution-points ");
	i.crl_partitions = 0;
	assert_string_equal(broken(&i, other, other_delta), "");
	assert_string_equal(broken(&i, crl_list[0], delta_list[0]),
	    "crl-distribution-points freshest-crl ");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_of),
		cmocka_unit_test(test_url),
		cmocka_unit_test(test_issuer),
		cmocka_unit_test(test_lint),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
