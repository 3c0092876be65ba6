/* OCSP requests: what is taken, what is refused, and the path of a GET. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/b64.h"
#include "base/buf.h"
#include "base/der.h"
#include "base/file.h"
#include "ocsp/ocsp_req.h"

static struct ocsp_req req;
static struct err err;

static struct span
corpus(struct arena *a, const char *name)
{
	const char *top = getenv("top_srcdir");
	struct span out;

	if (file_read(a,
		arena_printf(a, "%s/tests/fuzz/corpus/fuzz_ocsp/%s",
		    top == NULL ? "." : top, name),
		10000, &out, &err) == -1)
		fail_msg("%s", err.text);
	return out;
}

static void
refused(struct span der, const char *why)
{
	assert_int_equal(ocsp_req_parse(der, &req, &err), -1);
	assert_int_equal(err.kind, ERR_MALFORMED);
	if (strstr(err.text, why) == NULL)
		fail_msg("\"%s\" is not \"%s\"", err.text, why);
}

static void
test_hashes(void **state)
{
	static const char *const names[] = { "sha1", "sha256", "sha384",
		"sha512", "md5" };
	AUTO(arena_auto) a = arena_new();
	enum ocsp_hash h;

	(void)state;
	for (h = 0; h <= OCSP_HASH_OTHER; h++) {
		assert_int_equal(
		    ocsp_req_parse(corpus(a, names[h]), &req, &err), 0);
		assert_int_equal(req.n, 1);
		assert_int_equal(req.ids[0].hash, h);
		if (h != OCSP_HASH_OTHER)
			assert_int_equal(
			    req.ids[0].key_hash.n, ocsp_hash_size(h));
		assert_int_equal(req.ids[0].serial.n, 16);
		assert_int_equal(req.ids[0].serial.p[15], 0xdd);
		assert_int_equal(req.ids[0].der.p[0], DER_SEQUENCE);
		assert_int_equal(req.nonce.n, 0);
		assert_false(req.ignored);
	}
}

static void
test_lists(void **state)
{
	AUTO(arena_auto) a = arena_new();
	static const uint8_t negative[] = { 0x80 }, zero[] = { 0 };

	(void)state;
	assert_int_equal(ocsp_req_parse(corpus(a, "full"), &req, &err), 0);
	assert_int_equal(req.n, OCSP_REQ_CERTIDS_MAX);
	refused(corpus(a, "over"), "more than 32");
	assert_int_equal(ocsp_req_parse(corpus(a, "serials"), &req, &err), 0);
	assert_int_equal(req.n, 4);
	assert_true(span_eq(req.ids[0].serial, span_of(zero, 1)));
	assert_int_equal(req.ids[1].serial.n, 2);
	assert_true(span_eq(req.ids[3].serial, span_of(negative, 1)));
	assert_int_equal(ocsp_req_parse(corpus(a, "signed"), &req, &err), 0);
	assert_true(req.ignored);
	refused(span_of(NULL, 0), "not an OCSPRequest");
	refused(corpus(a, "indefinite"), "not an OCSPRequest");
	refused(corpus(a, "version"), "version");
	refused(corpus(a, "crit-unknown"), "critical");
	assert_int_equal(ocsp_req_parse(corpus(a, "crit-algs"), &req, &err), 0);
	assert_int_equal(ocsp_req_parse(corpus(a, "false"), &req, &err), 0);
}

/* A request for serial 1 with this extension list. */
static struct span
with_exts(struct buf *b, struct span exts)
{
	static const uint8_t list[] = { 0x30, 0x18, 0x30, 0x16, 0x30, 0x14,
		0x30, 0x07, 0x06, 0x05, 0x2b, 0x0e, 0x03, 0x02, 0x1a, 0x04,
		0x02, 1, 2, 0x04, 0x02, 3, 4, 0x02, 0x01, 0x01 };
	size_t req_at, tbs, outer;

	buf_reset(b);
	req_at = der_begin(b, DER_SEQUENCE);
	tbs = der_begin(b, DER_SEQUENCE);
	buf_add(b, list, sizeof(list));
	if (exts.n > 0) {
		outer = der_begin(b, DER_CONTEXT_CONSTRUCTED(2));
		der_put(b, DER_SEQUENCE, exts);
		der_end(b, outer);
	}
	der_end(b, tbs);
	der_end(b, req_at);
	return buf_get(b);
}

static struct span
with_nonce(struct buf *b, size_t n, bool inner, int times)
{
	static const uint8_t octets[200] = { 9 };
	AUTO_BUF(exts, 1000);
	size_t ext, value;

	for (; times > 0; times--) {
		ext = der_begin(&exts, DER_SEQUENCE);
		der_oid(&exts, "1.3.6.1.5.5.7.48.1.2");
		value = der_begin(&exts, DER_OCTET_STRING);
		if (inner)
			der_put(&exts, DER_OCTET_STRING, span_of(octets, n));
		else
			buf_add(&exts, octets, n);
		der_end(&exts, value);
		der_end(&exts, ext);
	}
	return with_exts(b, buf_get(&exts));
}

static void
nonce_is(size_t n, bool inner, size_t repeated)
{
	AUTO_BUF(b, 1000);

	if (ocsp_req_parse(with_nonce(&b, n, inner, 1), &req, &err) == -1)
		fail_msg("%zu: %s", n, err.text);
	assert_int_equal(req.nonce.n, repeated);
	assert_non_null(req.nonce.p);
}

static void
test_nonce(void **state)
{
	AUTO_BUF(b, 1000);

	(void)state;
	nonce_is(1, true, 0);
	nonce_is(15, true, 0);
	nonce_is(16, true, 18);
	nonce_is(32, true, 34);
	nonce_is(33, true, 0);
	nonce_is(128, true, 0);
	nonce_is(16, false, 16);
	nonce_is(15, false, 0);
	refused(with_nonce(&b, 0, true, 1), "nonce");
	refused(with_nonce(&b, 129, true, 1), "nonce");
	refused(with_nonce(&b, 0, false, 1), "nonce");
	refused(with_nonce(&b, 129, false, 1), "nonce");
	refused(with_nonce(&b, 16, true, 2), "two nonces");
}

/*
 * What a client would like (RFC 6960 4.4.3, 4.4.7) is understood, critical or
 * not: we have one type of answer and one key.  Another one is not.
 */
static void
test_wishes(void **state)
{
	static const char *const oids[] = { "1.3.6.1.5.5.7.48.1.4",
		"1.3.6.1.5.5.7.48.1.8", "1.3.6.1.5.5.7.48.1.7" };
	int i, critical;
	size_t ext;

	(void)state;
	for (i = 0; i < 3; i++) {
		for (critical = 0; critical < 2; critical++) {
			AUTO_BUF(exts, 100);
			AUTO_BUF(b, 1000);

			ext = der_begin(&exts, DER_SEQUENCE);
			der_oid(&exts, oids[i]);
			der_true(&exts, critical);
			der_put(&exts, DER_OCTET_STRING, span_str("x"));
			der_end(&exts, ext);
			assert_int_equal(
			    ocsp_req_parse(
				with_exts(&b, buf_get(&exts)), &req, &err),
			    i == 2 && critical ? -1 : 0);
		}
	}
}

/* Every proper prefix and every request with a tail is refused. */
static void
test_ends(void **state)
{
	AUTO_BUF(b, 1000);
	struct span der = with_nonce(&b, 16, true, 1), cut;
	uint8_t *copy;

	(void)state;
	for (cut = der; cut.n > 0;) {
		cut.n--;
		copy = malloc(cut.n + 1); /* for tools that find overreads */
		assert_non_null(copy);
		memcpy(copy, cut.p, cut.n);
		assert_int_equal(
		    ocsp_req_parse(span_of(copy, cut.n), &req, &err), -1);
		free(copy);
	}
	buf_u8(&b, 0);
	refused(buf_get(&b), "not an OCSPRequest");
}

/* What is longer than it has to be is not DER. */
static void
test_lengths(void **state)
{
	static const uint8_t prefixes[][5] = { { 3, 0x30, 0x81, 0x1a },
		{ 4, 0x30, 0x82, 0x00, 0x1a }, { 2, 0x30, 0x80 },
		{ 2, 0x30, 0xff }, { 1, 0x3f } };
	AUTO_BUF(plain, 1000);
	struct span der = with_exts(&plain, span_of(NULL, 0));
	size_t i;

	(void)state;
	assert_int_equal(ocsp_req_parse(der, &req, &err), 0);
	for (i = 0; i < sizeof(prefixes) / sizeof(prefixes[0]); i++) {
		AUTO_BUF(b, 1000);

		buf_add(&b, prefixes[i] + 1, prefixes[i][0]);
		buf_add(&b, der.p + 2, der.n - 2);
		assert_int_equal(ocsp_req_parse(buf_get(&b), &req, &err), -1);
	}
}

static void
path_is(const char *text, struct span want)
{
	uint8_t out[OCSP_REQ_SIZE_MAX];
	size_t n;

	if (ocsp_req_decode_path(text, out, sizeof(out), &n, &err) == -1)
		fail_msg("%s: %s", text, err.text);
	assert_true(span_eq(span_of(out, n), want));
}

static void
path_refused(const char *text, size_t size)
{
	uint8_t out[64];
	size_t n;

	assert_int_equal(ocsp_req_decode_path(text, out, size, &n, &err), -1);
	assert_int_equal(err.kind, ERR_MALFORMED);
}

static void
test_path(void **state)
{
	static const uint8_t slashes[] = { 0x33, 0xff, 0xff, 0xff, 0xfb, 0xef,
		0xbe, 0x00 };

	(void)state;
	path_is("M/////vvvgA=", span_of(slashes, 8));
	path_is("/M/////vvvgA=", span_of(slashes, 8));
	path_is("//M/////vvvgA", span_of(slashes, 8));
	path_is("M%2F%2f/%2F/vvvgA%3D", span_of(slashes, 8));
	path_is("++++", span_of("\xfb\xef\xbe", 3));
	path_is("%2B%2b++", span_of("\xfb\xef\xbe", 3));
	path_is("QQ==", span_str("A"));
	path_is("QQ=", span_str("A"));
	path_is("QQ", span_str("A"));
	path_is("", span_str(""));
	path_refused("Q", 64);
	path_refused("QQ===", 64);
	path_refused("QQ=Q", 64);
	path_refused("Q Q", 64);
	path_refused("QQ?", 64);
	path_refused("QQ%", 64);
	path_refused("QQ%3", 64);
	path_refused("QQ%3g", 64);
	path_refused("QQ%00", 64);
	path_refused("Q-Q_", 64);
	path_refused("QUJD", 2);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_hashes),
		cmocka_unit_test(test_lists),
		cmocka_unit_test(test_nonce),
		cmocka_unit_test(test_wishes),
		cmocka_unit_test(test_ends),
		cmocka_unit_test(test_lengths),
		cmocka_unit_test(test_path),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
