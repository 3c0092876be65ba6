#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <openssl/x509.h>

#include "ca/dn.h"
#include "tests/unit/arena_fixture.h"
#include "tests/unit/tbs_maker.h"

#define A32 "abcdefghijklmnopqrstuvwxyzabcdef"

/* Text in, text out; NULL: MALFORMED. */
static const struct {
	const char *in, *out;
} texts[] = {
	{ "", "" },
	{ "CN=a", "CN=a" },
	{ "cn=a,o=b", "CN=a,O=b" },
	{ " CN = a , O = b ", "CN=a,O=b" },
	{ "2.5.4.3=a", "CN=a" },
	{ "CN=a\\,b", "CN=a\\,b" },
	{ "CN=\\ a\\ ", "CN=\\ a\\ " },
	{ "CN=\\#a", "CN=\\#a" },
	{ "CN=a#b", "CN=a#b" },
	{ "CN=a\\+\\\"\\<\\>\\;\\\\", "CN=a\\+\\\"\\<\\>\\;\\\\" },
	{ "CN=L\\c3\\bc", "CN=L\xc3\xbc" },
	{ "CN=L\xc3\xbc", "CN=L\xc3\xbc" },
	{ "C=DE,O=x", "C=DE,O=x" },
	{ "CN=" A32 A32, "CN=" A32 A32 },
	{ "CN=" A32 A32 "a", NULL },
	{ "C=DEU", NULL },
	{ "C=D", NULL },
	{ "C=D*", NULL },
	{ "CN=", NULL },
	{ "CN", NULL },
	{ "=a", NULL },
	{ "XX=a", NULL },
	{ "1.2.3=a", NULL },
	{ "CN=a,", NULL },
	{ ",CN=a", NULL },
	{ "CN=a+O=b", NULL },
	{ "CN=\"a\"", NULL },
	{ "CN=a\\", NULL },
	{ "CN=a\\4", NULL },
	{ "CN=a\\00b", NULL },
	{ "CN=a\\zz", NULL },
	{ "CN=a\\0a", NULL },
	{ "CN=a\x7f", NULL },
	{ "CN=\xc3", NULL },
	{ "CN=\xc0\x80", NULL },
	{ "CN=\xed\xa0\x80", NULL },
	{ "CN=\xf4\x90\x80\x80", NULL },
	{ "CN=\xe0\x80\x80", NULL },
	{ "DC=b\xc3\xbc", NULL },
	{ "serialNumber=a_b", NULL },
};

static void
text(void **state)
{
	struct err e;
	struct dn dn;
	size_t i;
	int rc;

	(void)state;
	for (i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		rc = dn_parse(a, texts[i].in, &dn, &e);
		if ((rc == 0) != (texts[i].out != NULL))
			fail_msg("\"%s\": %s", texts[i].in,
			    rc == 0 ? dn_text(a, &dn) : e.text);
		if (rc == 0)
			assert_string_equal(dn_text(a, &dn), texts[i].out);
		else
			assert_int_equal(e.kind, ERR_MALFORMED);
	}
}

/* What we encode libcrypto reads, and says the same in RFC 2253 form. */
static void
encoding(void **state)
{
	static const char in[] = "CN=a\\,b,OU=c,O=d,C=DE";
	const unsigned char *p;
	X509_NAME *name;
	char line[256];
	struct dn dn, again;
	struct err e;
	AUTO_BUF(b, 4096);

	(void)state;
	assert_int_equal(dn_parse(a, in, &dn, &e), 0);
	assert_string_equal(dn.attrs[0].type->name, "C");
	assert_string_equal(dn_value(&dn, "CN"), "a,b");
	assert_null(dn_value(&dn, "L"));
	dn_encode(&b, &dn);
	assert_true(buf_ok(&b));
	p = b.p;
	name = d2i_X509_NAME(NULL, &p, (long)b.n);
	assert_non_null(name);
	{
		BIO *out = BIO_new(BIO_s_mem());
		int n;

		X509_NAME_print_ex(out, name, 0, XN_FLAG_RFC2253);
		n = BIO_read(out, line, sizeof(line) - 1);
		assert_true(n > 0);
		line[n] = '\0';
		BIO_free(out);
	}
	assert_string_equal(line, in);
	X509_NAME_free(name);
	assert_int_equal(dn_decode(a, buf_get(&b), &again, &e), 0);
	assert_string_equal(dn_text(a, &again), in);
}

static void
decoding(void **state)
{
	static const struct {
		const char *hex;
		enum err_kind kind;
	} cases[] = {
		{ "3000", ERR_NONE },
		{ "300c310a300806035504030c0161", ERR_NONE },
		{ "300c310a3008060355040313 0161", ERR_NONE },
		{ "300c310a300806035504031e0161", ERR_MALFORMED },
		{ "300c310a300806035504030c0100", ERR_MALFORMED },
		{ "300b3109300706035504030c00", ERR_MALFORMED },
		{ "300c310a300806035504ff0c0161", ERR_MALFORMED },
		{ "300b3109300706022a030c0261", ERR_MALFORMED },
		{ "300b 3109 3007 06022a03 0c0161", ERR_REFUSED },
		{ "3016 3114 3008 0603550403 0c0161 3008 060355040a 0c0162",
		    ERR_REFUSED },
		{ "30023100", ERR_MALFORMED },
		{ "3100", ERR_MALFORMED },
		{ "300000", ERR_MALFORMED },
		{ "", ERR_MALFORMED },
	};
	struct err e;
	struct dn dn;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		e.kind = ERR_NONE;
		(void)(dn_decode(a, maker_hex(a, cases[i].hex), &dn, &e) == 0);
		if (e.kind != cases[i].kind)
			fail_msg("%s: %s", cases[i].hex, err_kind_name(e.kind));
	}
}

static void
too_many(void **state)
{
	const char *in = "CN=a";
	struct err e;
	struct dn dn;
	int i;

	(void)state;
	for (i = 1; i < DN_ATTRS_MAX; i++)
		in = arena_printf(a, "%s,OU=b", in);
	assert_int_equal(dn_parse(a, in, &dn, &e), 0);
	assert_int_equal(dn.n, DN_ATTRS_MAX);
	in = arena_printf(a, "%s,OU=b", in);
	assert_int_equal(dn_parse(a, in, &dn, &e), -1);
	assert_int_equal(e.kind, ERR_MALFORMED);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(text),
		cmocka_unit_test(encoding),
		cmocka_unit_test(decoding),
		cmocka_unit_test(too_many),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
