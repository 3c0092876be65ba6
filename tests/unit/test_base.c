#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <openssl/asn1.h>
#include <openssl/objects.h>

#include "base/b64.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/der.h"

static void
test_err(void **state)
{
	struct err e;

	(void)state;
	assert_int_equal(err_set(&e, ERR_REFUSED, "rule %d", 7), -1);
	assert_int_equal(e.kind, ERR_REFUSED);
	assert_string_equal(e.text, "rule 7");
	assert_int_equal(err_prefix(&e, "profile \"%s\"", "p"), -1);
	assert_string_equal(e.text, "profile \"p\": rule 7");
	assert_int_equal(err_set(NULL, ERR_REFUSED, "nobody asks"), -1);
	assert_string_equal(err_kind_name(ERR_BAD_KEY), "badKey");
	assert_string_equal(err_kind_name(ERR__COUNT), "unknown");
}

static void
test_arena(void **state)
{
	AUTO(arena_auto) a = arena_new();
	char *big, *s;
	int i;

	(void)state;
	for (i = 0; i < 2000; i++) {
		s = arena_printf(a, "%d", i);
		assert_int_equal((uintptr_t)s % _Alignof(max_align_t), 0);
		assert_int_equal(strtol(s, NULL, 10), i);
	}
	big = arena_alloc(a, 1 << 20);
	assert_int_equal(big[(1 << 20) - 1], 0);
	arena_reset(a);
	assert_string_equal(arena_strdup(a, "again"), "again");
	assert_null(arena_strdup(a, NULL));
}

static void
test_span_underrun(void **state)
{
	static const uint8_t bytes[] = { 0, 0, 0, 5, 1, 2 };
	struct span s = span_of(bytes, sizeof(bytes)), out;
	uint64_t v64;
	uint32_t v32;

	(void)state;
	assert_false(span_block(&s, &out));
	assert_int_equal(s.n, sizeof(bytes));
	assert_false(span_u64(&s, &v64));
	assert_true(span_u32(&s, &v32));
	assert_int_equal(v32, 5);
	assert_true(span_take(&s, 2, &out));
	assert_false(span_take(&s, 1, &out));
	assert_true(span_cmp(span_str("a"), span_str("ab")) < 0);
	assert_true(span_cmp(span_str("b"), span_str("ab")) > 0);
}

static void
test_buf_cap(void **state)
{
	AUTO_BUF(b, 8);

	(void)state;
	buf_str(&b, "12345678");
	assert_true(buf_ok(&b));
	buf_u8(&b, 9);
	assert_false(buf_ok(&b));
	assert_int_equal(b.n, 8);
	buf_reset(&b);
	buf_u16(&b, 0x0102);
	buf_insert(&b, 1, "x", 1);
	assert_memory_equal(b.p, "\001x\002", 3);
}

static void
test_b64(void **state)
{
	AUTO(arena_auto) a = arena_new();
	static const char *const bad[] = { "A",
		"AB==", "AA=", "A===", "AA\n=", "Zm9=", "Zm9v Zm9" };
	/* RFC 4648 section 10 */
	static const char *const vec[][2] = { { "", "" }, { "f", "Zg==" },
		{ "fo", "Zm8=" }, { "foo", "Zm9v" }, { "foob", "Zm9vYg==" },
		{ "fooba", "Zm9vYmE=" }, { "foobar", "Zm9vYmFy" } };
	struct span out;
	struct err e;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(vec) / sizeof(vec[0]); i++) {
		assert_string_equal(
		    b64_encode(a, span_str(vec[i][0])), vec[i][1]);
		assert_int_equal(
		    b64_decode(a, span_str(vec[i][1]), &out, &e), 0);
		assert_true(span_is(out, vec[i][0]));
	}
	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_int_equal(b64_decode(a, span_str(bad[i]), &out, &e), -1);
	assert_int_equal(b64url_decode(a, span_str("Zg=="), &out, &e), -1);
	assert_int_equal(b64url_decode(a, span_str("-_8"), &out, &e), 0);
	assert_int_equal(b64url_decode(a, span_str("+/8"), &out, &e), -1);
	assert_int_equal(hex_decode(a, span_str("0aFF"), &out, &e), 0);
	assert_string_equal(hex_encode(a, out), "0aff");
	assert_int_equal(hex_decode(a, span_str("0aF"), &out, &e), -1);
	assert_int_equal(hex_decode(a, span_str("0g"), &out, &e), -1);
}

static void
test_pem(void **state)
{
	AUTO(arena_auto) a = arena_new();
	uint8_t bytes[100];
	struct span der = span_of(bytes, sizeof(bytes)), out;
	char *pem;
	struct err e;

	(void)state;
	memset(bytes, 0xa5, sizeof(bytes));
	pem = pem_encode(a, "THING", der);
	assert_non_null(strstr(pem, "-----BEGIN THING-----\n"));
	pem = arena_printf(a, "noise\n%s", pem);
	assert_int_equal(pem_decode(a, "THING", span_str(pem), &out, &e), 0);
	assert_true(span_eq(der, out));
	assert_int_equal(pem_decode(a, "OTHER", span_str(pem), &out, &e), -1);
	assert_int_equal(e.kind, ERR_MALFORMED);
	pem[strlen(pem) - 10] = '!';
	assert_int_equal(pem_decode(a, "THING", span_str(pem), &out, &e), -1);
}

static void
test_clock(void **state)
{
	static const char *const bad[] = { "", "2026-02-29T00:00:00Z",
		"2026-13-01T00:00:00Z", "2026-01-01 00:00:00Z",
		"2026-01-01T00:00:00", "2026-01-01T24:00:00Z",
		"2026-01-01T00:00:00.Z", "2026-01-01T00:00:00ZZ" };
	char text[CLOCK_RFC3339_SIZE];
	struct err e;
	int64_t t;
	size_t i;

	(void)state;
	assert_int_equal(
	    clock_parse(span_str("2024-02-29T23:59:59.5+01:00"), &t, &e), 0);
	clock_rfc3339(t, text);
	assert_string_equal(text, "2024-02-29T22:59:59Z");
	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_int_equal(clock_parse(span_str(bad[i]), &t, &e), -1);
	clock_set_fake(1700000000);
	assert_int_equal(clock_now(), 1700000000);
	clock_set_fake(-1);
	assert_true(clock_now() > 1700000000);
}

/* libcrypto writes the expected bytes. */
static void
test_der_against_libcrypto(void **state)
{
	static const int64_t ints[] = { 0, 1, 127, 128, 255, 256, 65537, -1,
		-128, -129, INT64_MAX, INT64_MIN };
	static const char *const oids[] = { "2.5.29.15",
		"1.3.6.1.4.1.311.20.2.3", "2.999.1",
		"0.9.2342.19200300.100.1.25" };
	static const int64_t times[] = { 0, 951782400, 2524607999, 2524608000,
		253402300799 };
	uint8_t want[64], *p;
	AUTO_BUF(b, 4096);
	size_t i;
	int n;

	(void)state;
	for (i = 0; i < sizeof(ints) / sizeof(ints[0]); i++) {
		ASN1_INTEGER *v = ASN1_INTEGER_new();

		buf_reset(&b);
		der_int(&b, ints[i]);
		ASN1_INTEGER_set_int64(v, ints[i]);
		p = want;
		n = i2d_ASN1_INTEGER(v, &p);
		ASN1_INTEGER_free(v);
		assert_int_equal(b.n, n);
		assert_memory_equal(b.p, want, b.n);
	}
	for (i = 0; i < sizeof(oids) / sizeof(oids[0]); i++) {
		ASN1_OBJECT *o = OBJ_txt2obj(oids[i], 1);

		buf_reset(&b);
		der_oid(&b, oids[i]);
		p = want;
		n = i2d_ASN1_OBJECT(o, &p);
		ASN1_OBJECT_free(o);
		assert_int_equal(b.n, n);
		assert_memory_equal(b.p, want, b.n);
	}
	for (i = 0; i < sizeof(times) / sizeof(times[0]); i++) {
		ASN1_TIME *t = ASN1_TIME_set(NULL, (time_t)times[i]);

		buf_reset(&b);
		der_time(&b, times[i]);
		p = want;
		n = i2d_ASN1_TIME(t, &p);
		ASN1_TIME_free(t);
		assert_int_equal(b.n, n);
		assert_memory_equal(b.p, want, b.n);
	}
}

static void
test_der_limits(void **state)
{
	static const char *const bad_oids[] = { "", "1", "3.1", "1.40", "1..2",
		"1.2.", "1.02", "1.2.x" };
	/* keyUsage digitalSignature | keyCertSign | cRLSign: 03 02 01 86 */
	static const uint8_t usage[] = { 3, 2, 1, 0x86 };
	static const uint8_t no_bits[] = { 3, 1, 0 };
	AUTO_BUF(b, 70000);
	size_t i, outer;

	(void)state;
	for (i = 0; i < sizeof(bad_oids) / sizeof(bad_oids[0]); i++) {
		buf_reset(&b);
		der_oid(&b, bad_oids[i]);
		assert_false(buf_ok(&b));
	}
	buf_reset(&b);
	der_named_bits(&b, 1U | 1U << 5 | 1U << 6);
	assert_memory_equal(b.p, usage, sizeof(usage));
	buf_reset(&b);
	der_named_bits(&b, 0);
	assert_memory_equal(b.p, no_bits, sizeof(no_bits));
	buf_reset(&b);
	outer = der_begin(&b, DER_SEQUENCE);
	for (i = 0; i < 65536; i++)
		buf_u8(&b, 0);
	der_end(&b, outer);
	assert_memory_equal(b.p, "\x30\x83\x01\x00\x00", 5);
	assert_int_equal(b.n, 5 + 65536);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_err),
		cmocka_unit_test(test_arena),
		cmocka_unit_test(test_span_underrun),
		cmocka_unit_test(test_buf_cap),
		cmocka_unit_test(test_b64),
		cmocka_unit_test(test_pem),
		cmocka_unit_test(test_clock),
		cmocka_unit_test(test_der_against_libcrypto),
		cmocka_unit_test(test_der_limits),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
