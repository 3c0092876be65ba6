#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <openssl/ecdsa.h>
#include <openssl/evp.h>

#include "base/b64.h"
#include "base/buf.h"
#include "protocols/acme/jws.h"

/* RFC 7515 A.2 and RFC 7638 3.1 have RSA keys of 2048 bits. */
#define RSA_7515                                                                 \
	"{\"kty\":\"RSA\",\"e\":\"AQAB\",\"n\":\""                               \
	"ofgWCuLjybRlzo0tZWJjNiuSfb4p4fAkd_wWJcyQoTbji9k0l8W26mPddxHmfHQp-Vaw"   \
	"-4qPCJrcS2mJPMEzP1Pt0Bm4d4QlL-yRT-SFd2lZS-pCgNMsD1W_YpRPEwOWvG6b32690"  \
	"r2jZ47soMZo9wGzjb_7OMg0LOL-bSf63kpaSHSXndS5z5rexMdbBYUsLA9e-KXBdQOS-UT" \
	"o7WTBEMa2R2CapHg665xsmtdVMTBQY4uDZlxvb3qCo5ZwKh9kG4LT6_I5IhlJH7aGhyxX"  \
	"FvUK-DWNmoudF8NAco9_h9iaGNj8q2ethFkMLs91kzk2PAcDTW9gb54h4FRWyuXpoQ\"}"
#define RSA_7638                                                                 \
	"{\"kty\":\"RSA\",\"alg\":\"RS256\",\"kid\":\"2011-04-29\","             \
	"\"e\":\"AQAB\",\"n\":\""                                                \
	"0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK"  \
	"7aPFFxuhDR1L6tSoc_BJECPebWKRXjBZCiFV4n3oknjhMstn64tZ_2W-5JsGY4Hc5n9yBX" \
	"Arwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_FDW2QvzqY368QQMicAtaSqzs8KJZgnYb9c" \
	"7d0zgdAZHzu6qMQvRL5hajrn1n91CbOpbISD08qNLyrdkt-bFTWhAI4vMQFh6WeZu0fM4l" \
	"Fd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur-kEgU8awapJzKnqDKgw\"}"
#define EC_X "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU"
#define EC_Y "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"
#define EC_7515                                                                \
	"{\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":\"" EC_X "\",\"y\":\"" EC_Y   \
	"\"}"
#define OKP_8037                                                               \
	"{\"kty\":\"OKP\",\"crv\":\"Ed25519\",\"x\":\""                        \
	"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo\"}"
#define PAYLOAD_7515                                                           \
	"eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxl" \
	"LmNvbS9pc19yb290Ijp0cnVlfQ"

static struct arena *a;
static EVP_PKEY *account;
static const char *account_jwk;

static int
setup(void **state)
{
	uint8_t point[65];
	size_t n;

	(void)state;
	a = arena_new();
	account = EVP_EC_gen("P-256");
	assert_int_equal(EVP_PKEY_get_octet_string_param(
			     account, "pub", point, sizeof(point), &n),
	    1);
	assert_int_equal(n, sizeof(point));
	account_jwk = arena_printf(a,
	    "{\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":\"%s\",\"y\":\"%s\"}",
	    b64url_encode(a, span_of(point + 1, 32)),
	    b64url_encode(a, span_of(point + 33, 32)));
	return 0;
}

static int
teardown(void **state)
{
	(void)state;
	EVP_PKEY_free(account);
	arena_free(a);
	return 0;
}

static struct jws
vector(const char *alg, const char *header, const char *signature)
{
	struct jws j = { .alg = alg };
	struct err e;

	j.signing_input = span_str(arena_printf(a, "%s." PAYLOAD_7515, header));
	assert_int_equal(
	    b64url_decode(a, span_str(signature), &j.signature, &e), 0);
	return j;
}

static struct jwk
key_of(const char *text)
{
	struct jwk k;
	struct err e;

	if (jwk_parse_text(a, text, &k, &e) == -1)
		fail_msg("%s", e.text);
	return k;
}

static void
rfc7515_a2(void **state)
{
	struct jwk rsa = key_of(RSA_7515), ec = key_of(EC_7515);
	struct jws j = vector("RS256", "eyJhbGciOiJSUzI1NiJ9",
	    "cC4hiUPoj9Eetdgtv3hF80EGrhuB__dzERat0XF9g2VtQgr9PJbu3XOiZj5RZmh7"
	    "AAuHIm4Bh-0Qc_lF5YKt_O8W2Fp5jujGbds9uJdbF9CUAr7t1dnZcAcQjbKBYNX4"
	    "BAynRFdiuB--f_nZLgrnbyTyWzO75vRK5h6xBArLIARNPvkSjtQBMHlb1L07Qe7K"
	    "0GarZRmB_eSN9383LcOLn6_dO--xi12jzDwusC-eOkHWEsqtFZESc6BfI7noOPqv"
	    "hJ1phCnvWh6IeYI2w9QOYEUipUTI8np6LbgGY9Fs98rqVt5AXLIhWkWywlVmtVrB"
	    "p0igcN_IoypGlUPQGe77Rw");
	struct err e;

	(void)state;
	if (jws_verify(a, &j, &rsa, &e) == -1)
		fail_msg("%s", e.text);
	assert_int_equal(jws_verify(a, &j, &ec, &e), -1);
	assert_int_equal(e.kind, ERR_BAD_KEY);
	((uint8_t *)(uintptr_t)j.signature.p)[100] ^= 1;
	assert_int_equal(jws_verify(a, &j, &rsa, &e), -1);
	assert_int_equal(e.kind, ERR_BAD_POP);
}

static void
rfc7515_a3(void **state)
{
	struct jwk ec = key_of(EC_7515), rsa = key_of(RSA_7515);
	struct jws j = vector("ES256", "eyJhbGciOiJFUzI1NiJ9",
	    "DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSA"
	    "pmWQxfKTUJqPP3-Kg6NU1Q");
	struct err e;

	(void)state;
	if (jws_verify(a, &j, &ec, &e) == -1)
		fail_msg("%s", e.text);
	assert_int_equal(jws_verify(a, &j, &rsa, &e), -1);
	assert_int_equal(e.kind, ERR_BAD_KEY);
	/* a signature that is short, long or in DER */
	j.signature.n--;
	assert_int_equal(jws_verify(a, &j, &ec, &e), -1);
	assert_int_equal(e.kind, ERR_BAD_POP);
	j.signature.n = 0;
	assert_int_equal(jws_verify(a, &j, &ec, &e), -1);
	assert_int_equal(e.kind, ERR_BAD_POP);
	j.signature = span_of(arena_alloc(a, 64), 64);
	assert_int_equal(jws_verify(a, &j, &ec, &e), -1);
	assert_int_equal(e.kind, ERR_BAD_POP);
	j.alg = "ES384";
	assert_int_equal(jws_verify(a, &j, &ec, &e), -1);
	j.alg = "HS256";
	assert_int_equal(jws_verify(a, &j, &ec, &e), -1);
	assert_int_equal(e.kind, ERR_BAD_KEY);
}

/* RFC 7638 3.1, RFC 8037 A.3; an own one for EC. */
static void
thumbprints(void **state)
{
	struct jwk k = key_of(RSA_7638), again;
	struct err e;

	(void)state;
	assert_string_equal(
	    k.thumbprint, "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs");
	assert_int_equal(jwk_from_spki(a, k.spki, &again, &e), 0);
	assert_string_equal(again.json, k.json);
	assert_string_equal(again.thumbprint, k.thumbprint);
	k = key_of(OKP_8037);
	assert_string_equal(
	    k.thumbprint, "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k");
	assert_int_equal(jwk_from_spki(a, k.spki, &again, &e), 0);
	assert_string_equal(again.json, k.json);
	k = key_of(EC_7515);
	assert_string_equal(k.json,
	    "{\"crv\":\"P-256\",\"kty\":\"EC\",\"x\":\"" EC_X "\",\"y\":\"" EC_Y
	    "\"}");
	assert_int_equal(jwk_from_spki(a, k.spki, &again, &e), 0);
	assert_string_equal(again.json, k.json);
}

/* RFC 8037 A.4 */
static void
rfc8037(void **state)
{
	struct jwk k = key_of(OKP_8037);
	struct jws j = { .alg = "EdDSA" };
	struct err e;

	(void)state;
	j.signing_input = span_str("eyJhbGciOiJFZERTQSJ9."
				   "RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc");
	assert_int_equal(
	    b64url_decode(a,
		span_str("hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijcNR4"
			 "ki4iylGjg5BhVsPt9g7sVvpAr_MuM0KAg"),
		&j.signature, &e),
	    0);
	if (jws_verify(a, &j, &k, &e) == -1)
		fail_msg("%s", e.text);
	j.signing_input.n--;
	assert_int_equal(jws_verify(a, &j, &k, &e), -1);
	assert_int_equal(e.kind, ERR_BAD_POP);
}

static void
keys(void **state)
{
	static const struct {
		const char *text;
		enum err_kind kind;
	} bad[] = {
		{ "{}", ERR_MALFORMED },
		{ "[]", ERR_MALFORMED },
		{ "{\"kty\":1}", ERR_MALFORMED },
		{ "{\"kty\":\"oct\",\"k\":\"AAAA\"}", ERR_BAD_KEY },
		{ "{\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":\"" EC_X "\"}",
		    ERR_MALFORMED },
		{ "{\"kty\":\"EC\",\"crv\":\"P-224\",\"x\":\"" EC_X
		  "\",\"y\":\"" EC_Y "\"}",
		    ERR_BAD_KEY },
		{ "{\"kty\":\"EC\",\"crv\":\"P-384\",\"x\":\"" EC_X
		  "\",\"y\":\"" EC_Y "\"}",
		    ERR_MALFORMED },
		/* not on the curve */
		{ "{\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":\"" EC_X
		  "\",\"y\":\"" EC_X "\"}",
		    ERR_BAD_KEY },
		/* padding, a short coordinate, standard base64 */
		{ "{\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":\"" EC_X
		  "=\",\"y\":\"" EC_Y "\"}",
		    ERR_MALFORMED },
		{ "{\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":\"AAAA\",\"y\":\"" EC_Y
		  "\"}",
		    ERR_MALFORMED },
		{ "{\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":\"" EC_X
		  "\",\"y\":\"x/FEzRu9m36HLN/tue659LNpXW6pCyStikYjKIWI5a0\"}",
		    ERR_MALFORMED },
		{ "{\"kty\":\"RSA\",\"e\":\"AQAB\"}", ERR_MALFORMED },
		{ "{\"kty\":\"RSA\",\"e\":\"AQAB\",\"n\":\"\"}",
		    ERR_MALFORMED },
		{ "{\"kty\":\"RSA\",\"e\":\"AQAB\",\"n\":\"AP__\"}",
		    ERR_MALFORMED },
		{ "{\"kty\":\"RSA\",\"e\":\"AQAB\",\"n\":\"_____w\"}",
		    ERR_BAD_KEY },
		{ "{\"kty\":\"OKP\",\"crv\":\"X25519\",\"x\":\"" EC_X "\"}",
		    ERR_BAD_KEY },
		{ "{\"kty\":\"OKP\",\"crv\":\"Ed25519\",\"x\":\"AAAA\"}",
		    ERR_BAD_KEY },
		{ "{\"kty\":\"EC\",\"kty\":\"RSA\"}", ERR_MALFORMED },
	};
	struct jwk k;
	struct err e;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		e.kind = ERR_NONE;
		if (jwk_parse_text(a, bad[i].text, &k, &e) == 0 ||
		    e.kind != bad[i].kind)
			fail_msg("%s: %s", bad[i].text, err_kind_name(e.kind));
	}
}

/* A whole flattened JWS, signed by the account. */
static struct span
body(const char *header, const char *payload, const char *extra)
{
	const char *protected = b64url_encode(a, span_str(header));
	const char *text = b64url_encode(a, span_str(payload)), *input;
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	const uint8_t *p;
	uint8_t der[128], raw[64];
	size_t n = sizeof(der);
	ECDSA_SIG *sig;

	input = arena_printf(a, "%s.%s", protected, text);
	assert_int_equal(
	    EVP_DigestSignInit(ctx, NULL, EVP_sha256(), NULL, account), 1);
	assert_int_equal(
	    EVP_DigestSign(ctx, der, &n, (const uint8_t *)input, strlen(input)),
	    1);
	EVP_MD_CTX_free(ctx);
	p = der;
	sig = d2i_ECDSA_SIG(NULL, &p, (long)n);
	assert_int_equal(BN_bn2binpad(ECDSA_SIG_get0_r(sig), raw, 32), 32);
	assert_int_equal(BN_bn2binpad(ECDSA_SIG_get0_s(sig), raw + 32, 32), 32);
	ECDSA_SIG_free(sig);
	return span_str(arena_printf(a,
	    "{\"protected\":\"%s\",\"payload\":\"%s\",\"signature\":\"%s\"%s}",
	    protected, text, b64url_encode(a, span_of(raw, 64)), extra));
}

static const char *
header(const char *members)
{
	return arena_printf(a, "{\"jwk\":%s,%s}", account_jwk, members);
}

#define GOOD "\"alg\":\"ES256\",\"nonce\":\"AAAA\",\"url\":\"https://a/b\""

static void
good_bodies(void **state)
{
	static const char *const payloads[] = { "", "{}", "{\"a\":[1,2]}" };
	struct jws j;
	struct err e;
	size_t i;

	(void)state;
	for (i = 0; i < 3; i++) {
		if (jws_parse(a, body(header(GOOD), payloads[i], ""), &j, &e) ==
		    -1)
			fail_msg("%s", e.text);
		assert_string_equal(j.alg, "ES256");
		assert_string_equal(j.nonce, "AAAA");
		assert_string_equal(j.url, "https://a/b");
		assert_null(j.kid);
		assert_true(span_is(j.payload, payloads[i]));
		if (jws_verify(a, &j, &j.jwk, &e) == -1)
			fail_msg("%s", e.text);
	}
	/* unknown members are ignored, a missing nonce is for the caller */
	assert_int_equal(jws_parse(a,
			     body("{\"kid\":\"https://a/1\",\"alg\":\"ES256\","
				  "\"url\":\"https://a/b\",\"x\":1}",
				 "{}", ",\"resource\":\"new-reg\""),
			     &j, &e),
	    0);
	assert_string_equal(j.kid, "https://a/1");
	assert_null(j.nonce);
	/* an unknown algorithm is for the caller, too, whatever the key */
	assert_int_equal(
	    jws_parse(a,
		body("{\"jwk\":{\"kty\":\"oct\",\"k\":\"AA\"},\"alg\":"
		     "\"HS256\",\"nonce\":\"A\",\"url\":\"u\"}",
		    "{}", ""),
		&j, &e),
	    0);
	assert_false(jws_alg_known(j.alg));
	assert_false(jws_alg_known("none"));
	assert_true(jws_alg_known("RS256"));
}

static void
malformed(struct span text, const char *says)
{
	struct jws j;
	struct err e = { 0 };

	if (jws_parse(a, text, &j, &e) == 0)
		fail_msg("taken: %.*s", (int)text.n, (const char *)text.p);
	if (e.kind != ERR_MALFORMED || strstr(e.text, says) == NULL)
		fail_msg("\"%s\" has no \"%s\"", e.text, says);
}

static void
bad_bodies(void **state)
{
	static const char kid[] = "{\"kid\":\"https://a/1\",%s}";
	char *nested = arena_alloc(a, 100001);

	(void)state;
	malformed(span_str(""), "JSON");
	malformed(span_str("[]"), "object");
	malformed(span_str("\"x\""), "JSON");
	malformed(span_str("{\"protected\":\"\xff\"}"), "JSON");
	malformed(span_str("{} {}"), "JSON");
	malformed(span_of("{}\0", 3), "JSON");
	malformed(span_str("{\"payload\":\"\",\"payload\":\"\"}"), "JSON");
	/* compact serialization */
	malformed(span_str("eyJhbGciOiJFUzI1NiJ9.e30.AAAA"), "JSON");
	/* general form, unprotected header */
	malformed(span_str("{\"payload\":\"\",\"signatures\":[{}]}"), "flat");
	malformed(body(header(GOOD), "", ",\"signatures\":[]"), "flattened");
	malformed(body(header(GOOD), "", ",\"header\":{}"), "flattened");
	/* detached payload, missing and mistyped members */
	malformed(span_str("{\"protected\":\"e30\",\"signature\":\"AA\"}"),
	    "\"payload\" is missing");
	malformed(span_str("{\"payload\":\"e30\",\"signature\":\"AA\"}"),
	    "\"protected\" is missing");
	malformed(span_str("{\"protected\":\"e30\",\"payload\":\"\"}"),
	    "\"signature\" is missing");
	malformed(span_str("{\"protected\":\"e30\",\"payload\":{},"
			   "\"signature\":\"AA\"}"),
	    "not a string");
	malformed(span_str("{\"protected\":{},\"payload\":\"\","
			   "\"signature\":\"AA\"}"),
	    "not a string");
	/* base64url with padding, white space or the other alphabet */
	malformed(span_str("{\"protected\":\"e30=\",\"payload\":\"\","
			   "\"signature\":\"AA\"}"),
	    "protected header");
	malformed(span_str("{\"protected\":\"e30\",\"payload\":\"e30=\","
			   "\"signature\":\"AA\"}"),
	    "payload");
	malformed(span_str("{\"protected\":\"e30\",\"payload\":\"\","
			   "\"signature\":\"AA==\"}"),
	    "signature");
	malformed(span_str("{\"protected\":\"e30\",\"payload\":\"e3 0\","
			   "\"signature\":\"AA\"}"),
	    "payload");
	malformed(span_str("{\"protected\":\"e30\",\"payload\":\"//\","
			   "\"signature\":\"AA\"}"),
	    "payload");
	/* the protected header */
	malformed(body("", "", ""), "protected header");
	malformed(body("[]", "", ""), "protected header");
	malformed(body("{\"alg\":\"ES256\",\"alg\":\"none\"}", "", ""),
	    "protected header");
	malformed(body(header(GOOD ",\"b64\":false"), "", ""), "b64");
	malformed(body(header(GOOD ",\"crit\":[\"b64\"]"), "", ""), "crit");
	malformed(
	    body(header(GOOD ",\"kid\":\"https://a/1\""), "", ""), "one of");
	malformed(body("{" GOOD "}", "", ""), "one of");
	malformed(body(arena_printf(a, kid, "\"url\":\"u\""), "", ""), "alg");
	malformed(
	    body(arena_printf(a, kid, "\"alg\":\"ES256\""), "", ""), "url");
	malformed(body(arena_printf(a, kid,
			   "\"alg\":\"ES256\",\"url\":\"u\",\"nonce\":1"),
		      "", ""),
	    "nonce");
	malformed(body("{\"jwk\":\"x\"," GOOD "}", "", ""), "jwk");
	malformed(body("{\"jwk\":null," GOOD "}", "", ""), "jwk");
	malformed(body("{\"kid\":1," GOOD "}", "", ""), "kid");
	/* a short coordinate in the header's key */
	malformed(body("{\"jwk\":{\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":"
		       "\"AAAA\",\"y\":\"AAAA\"}," GOOD "}",
		      "", ""),
	    "32 octets");
	memset(nested, '[', 100000);
	malformed(span_str(nested), "JSON");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(rfc7515_a2),
		cmocka_unit_test(rfc7515_a3),
		cmocka_unit_test(thumbprints),
		cmocka_unit_test(rfc8037),
		cmocka_unit_test(keys),
		cmocka_unit_test(good_bodies),
		cmocka_unit_test(bad_bodies),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
