#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/clock.h"
#include "hsm/crlcheck.h"
#include "tests/unit/arena_fixture.h"
#include "tests/unit/crl_sample.h"

static const char *const url[] = { CRL_SAMPLE_URL, "http://b.test/" };

static struct span
built(const struct crl_head *head, size_t n)
{
	struct crl_built list = crl_sample_build(head, n);
	struct span der = crl_sample_bytes(a, &list);

	assert_int_equal(close(list.fd), 0);
	return der;
}

/* What the builder writes, the reader accepts, and says the same of it. */
static void
test_good(void **state)
{
	static const size_t counts[] = { 0, 1, 9, 5000 };
	int64_t now = clock_now();
	struct crl_head head = crl_sample_head(now);
	struct crlcheck c;
	struct err e;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(counts) / sizeof(counts[0]); i++) {
		if (crlcheck_read(built(&head, counts[i]), &c, &e) != 0)
			fail_msg("%s", e.text);
		assert_int_equal(c.entries, counts[i]);
		assert_int_equal(c.this_update, now);
		assert_int_equal(c.next_update, now + 86400);
		assert_true(span_eq(c.issuer, head.issuer));
		assert_true(span_eq(c.sig_alg, head.sig_alg));
		assert_true(span_eq(c.number, head.number));
		assert_true(span_eq(
		    c.aki, span_of("\x30\x06\x80\x04\x01\x02\x03\x04", 8)));
		assert_false(c.delta || c.has_idp || c.keeps_expired);
	}
	head.point_urls = head.freshest_urls =
	    (struct profile_strings){ url, 2 };
	head.expired_since = 5;
	assert_int_equal(crlcheck_read(built(&head, 1), &c, &e), 0);
	assert_int_equal(c.point.n, 2);
	assert_int_equal(c.freshest.n, 2);
	assert_true(span_is(c.point.url[0], url[0]));
	assert_true(span_is(c.freshest.url[1], url[1]));
	assert_true(c.has_idp && c.keeps_expired);
	head.base = span_of("\x01", 1);
	assert_int_equal(crlcheck_read(built(&head, 1), &c, &e), 0);
	assert_true(c.delta);
	assert_true(span_eq(c.base, head.base));
}

static void
test_entries(void **state)
{
	struct crl_head head = crl_sample_head(clock_now());
	struct crl_entry x = { .serial = span_of("\x41", 1),
		.revoked_at = 2600000000,
		.reason = 8,
		.invalidity_at = 7 };
	struct crlcheck_entry got;
	struct span quick, serial;
	struct crl_built list;
	struct crl_build *b;
	struct crlcheck c;
	struct err e;

	(void)state;
	head.base = span_of("\x01", 1);
	assert_int_equal(crl_build_new(&head, &b, &e), 0);
	assert_int_equal(crl_build_add(b, &x, &e), 0);
	x.serial = span_of("\x41\x01", 2);
	x.reason = 1;
	assert_int_equal(crl_build_add(b, &x, &e), 0);
	assert_int_equal(crl_build_end(b, &list, &e), 0);
	crl_build_free(b);
	assert_int_equal(crlcheck_read(crl_sample_bytes(a, &list), &c, &e), 0);
	assert_int_equal(close(list.fd), 0);
	assert_int_equal(c.entries, 2);
	assert_int_equal(c.removed, 1);
	quick = c.list;
	assert_true(crlcheck_next_serial(&quick, &serial));
	assert_true(span_is(serial, "\x41"));
	assert_true(crlcheck_next_serial(&quick, &serial));
	assert_true(span_is(serial, "\x41\x01"));
	assert_false(crlcheck_next_serial(&quick, &serial));
	assert_true(crlcheck_next(&c.list, &got));
	assert_true(span_is(got.serial, "\x41"));
	assert_int_equal(got.reason, 8);
	assert_true(crlcheck_next(&c.list, &got));
	assert_int_equal(got.reason, 1);
	assert_false(crlcheck_next(&c.list, &got));
}

/* CRLReason is 1 to 6 or 8 to 10, and 8 in deltas alone. */
static void
test_reasons(void **state)
{
	static const uint8_t ext[] = { 0x55, 0x1d, 0x15, 0x04, 3, 0x0a, 1 };
	struct crl_head head = crl_sample_head(clock_now());
	struct crl_entry x = { .serial = span_of("\x41", 1),
		.revoked_at = 1,
		.reason = 1,
		.invalidity_at = CRL_NO_TIME };
	struct crlcheck_entry got;
	struct crl_built list;
	struct crl_build *b;
	struct span der;
	struct crlcheck c;
	struct err e;
	uint8_t *at;
	int r, good;

	(void)state;
	assert_int_equal(crl_build_new(&head, &b, &e), 0);
	assert_int_equal(crl_build_add(b, &x, &e), 0);
	assert_int_equal(crl_build_end(b, &list, &e), 0);
	crl_build_free(b);
	der = crl_sample_bytes(a, &list);
	assert_int_equal(close(list.fd), 0);
	at = (uint8_t *)memmem(der.p, der.n, ext, sizeof(ext)) + sizeof(ext);
	for (r = 0; r < 256; r++) {
		*at = (uint8_t)r;
		good = r >= 1 && r <= 10 && r != 7 && r != 8;
		assert_int_equal(crlcheck_read(der, &c, &e), good ? 0 : -1);
		if (good)
			assert_true(
			    crlcheck_next(&c.list, &got) && got.reason == r);
	}
}

/* No part of a list is a list. */
static void
test_cut(void **state)
{
	struct crl_head head = crl_sample_head(clock_now());
	struct crlcheck c;
	struct span der;
	struct err e;
	size_t i;

	(void)state;
	head.point_urls = (struct profile_strings){ url, 1 };
	der = built(&head, 8);
	for (i = 0; i < der.n; i++) {
		uint8_t *copy = arena_memdup(a, der.p, i);

		assert_int_equal(crlcheck_read(span_of(copy, i), &c, &e), -1);
		assert_int_equal(e.kind, ERR_MALFORMED);
	}
}

static const uint8_t *
find(struct span in, const char *what, size_t n)
{
	const uint8_t *p = memmem(in.p, in.n, what, n);

	assert_non_null(p);
	return p;
}

/* One octet changed. */
static void
test_changed(void **state)
{
	static const struct {
		const char *at; /* octets before the one that changes */
		size_t n;
		uint8_t to;
	} v[] = {
		{ "\x02\x01", 2, 0 },            /* version */
		{ "\x17\x0d", 2, 'x' },          /* thisUpdate */
		{ "\x30\x19\x02\x08", 4, 0x81 }, /* serial negative */
		{ "\x30\x19\x02", 3, 0 },        /* serial of no octets */
		{ "\x06\x03\x55\x1d", 4, 0x11 }, /* AKI becomes SAN */
		{ "\x06\x03\x55\x1d\x14\x04\x05\x02", 8, 0 },
	};
	struct crl_head head = crl_sample_head(clock_now());
	struct crlcheck c;
	struct span der = built(&head, 8), copy;
	struct err e;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(v) / sizeof(v[0]); i++) {
		copy = span_dup(a, der);
		*(uint8_t *)(uintptr_t)(find(copy, v[i].at, v[i].n) + v[i].n) =
		    v[i].to;
		if (crlcheck_read(copy, &c, &e) != -1)
			fail_msg("change %zu is accepted", i);
	}
	/* two serials change places */
	copy = span_dup(a, der);
	*(uint8_t *)(uintptr_t)(find(copy, "\x01\0\0\0\0\0\0\x01", 8) + 7) = 2;
	assert_int_equal(crlcheck_read(copy, &c, &e), -1);
	assert_non_null(strstr(e.text, "entry 2 is out of order"));
	/* whatever else changes: no crash */
	for (i = 0; i < der.n; i++) {
		copy = span_dup(a, der);
		*(uint8_t *)(uintptr_t)(copy.p + i) ^= 0x81;
		(void)!crlcheck_read(copy, &c, &e);
	}
}

static int
memory(int seals, off_t size)
{
	int fd = memfd_create("t", MFD_CLOEXEC | MFD_ALLOW_SEALING);

	assert_true(fd >= 0);
	assert_int_equal(ftruncate(fd, size), 0);
	assert_int_equal(fcntl(fd, F_ADD_SEALS, seals), 0);
	return fd;
}

static void
test_map(void **state)
{
	const int all = F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE;
	const int bad[] = { memory(0, 10),
		memory(F_SEAL_SHRINK | F_SEAL_GROW, 10),
		memory(F_SEAL_SHRINK | F_SEAL_WRITE, 10),
		memory(F_SEAL_GROW | F_SEAL_WRITE, 10), memory(all, 0),
		memory(all, (off_t)CRLCHECK_MAX + 1),
		open("/dev/null", O_RDONLY), open("/proc/self/exe", O_RDONLY),
		-1 };
	struct span bytes;
	struct err e;
	size_t i;
	int fd;

	(void)state;
	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		assert_int_equal(crlcheck_map(bad[i], &bytes, &e), -1);
		assert_int_equal(e.kind, ERR_MALFORMED);
		if (bad[i] >= 0)
			assert_int_equal(close(bad[i]), 0);
	}
	fd = memory(all, 10);
	assert_int_equal(crlcheck_map(fd, &bytes, &e), 0);
	assert_int_equal(bytes.n, 10);
	crlcheck_unmap(bytes);
	assert_int_equal(close(fd), 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_good),
		cmocka_unit_test(test_entries),
		cmocka_unit_test(test_reasons),
		cmocka_unit_test(test_cut),
		cmocka_unit_test(test_changed),
		cmocka_unit_test(test_map),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
