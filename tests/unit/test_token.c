/* Keys in a real SoftHSM token, and in encrypted files. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "hsm/keyfile.h"
#include "hsm/sign_alg.h"
#include "hsm/token.h"
#include "tests/attack/signd_fixture.h"

AUTO_DEFINE(EVP_PKEY, EVP_PKEY_free);

static struct fixture fx;

static void
test_uri(void **state)
{
	static const char *const bad[] = { "pkcs11:", "http:x",
		"pkcs11:token=a", "pkcs11:id=%01", "pkcs11:token=a;id=%0",
		"pkcs11:token=a;id=%01?pin-value=1", "pkcs11:token=a;;id=%01",
		"pkcs11:token=a;id=%01;type=public", "pkcs11:token=a%00;id=a",
		"pkcs11:token=a;id=%01;colour=red" };
	struct token_uri u;
	struct err e;
	size_t i;

	(void)state;
	assert_int_equal(
	    token_uri_parse("pkcs11:token=my%20token;object=o;id=%00%ffa;"
			    "type=private;serial=12",
		&u, &e),
	    0);
	assert_string_equal(u.token, "my token");
	assert_string_equal(u.serial, "12");
	assert_int_equal(u.id_n, 3);
	assert_memory_equal(u.id,
	    "\0\xff"
	    "a",
	    3);
	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		if (token_uri_parse(bad[i], &u, &e) == 0)
			fail_msg("%s", bad[i]);
		assert_int_equal(e.kind, ERR_MALFORMED);
	}
}

static struct token_conf
conf_for(const struct token_uri *u)
{
	return (struct token_conf){ .module = fixture_module(),
		.uri = u,
		.pin = FIXTURE_PIN,
		.lock_path = arena_printf(fx.a, "%s/lock", fx.dir),
		.write = true };
}

static void
check_algorithm(struct token *t, const char *algorithm, const char *id)
{
	struct token_uri u;
	AUTO(EVP_PKEY) public = NULL;
	struct token_key *k;
	struct sign_alg alg;
	struct span sig;
	const char *text;
	struct err e;
	bool lost;

	assert_int_equal(token_uri_parse(id, &u, &e), 0);
	if (token_make(t, &u, algorithm, &e) != 0)
		fail_msg("%s: %s", algorithm, e.text);
	assert_int_equal(token_make(t, &u, algorithm, &e), -1);
	assert_int_equal(e.kind, ERR_CONFLICT);
	assert_int_equal(token_public(t, &u, &public, &e), 0);
	assert_int_equal(sign_alg_of(public, &alg, &e), 0);
	assert_string_equal(alg.name, algorithm);
	if (token_find(t, &u, public, &k, &e) != 0)
		fail_msg("%s: %s", algorithm, e.text);
	assert_int_equal(
	    token_sign(k, fx.a, span_str("text"), &sig, &lost, &e), 0);
	assert_int_equal(
	    sign_alg_verify(&alg, public, span_str("text"), sig, &e), 0);
	assert_int_equal(
	    sign_alg_verify(&alg, public, span_str("texT"), sig, &e), -1);
	assert_int_equal(token_attributes(t, &u, fx.a, &text, &e), 0);
	assert_non_null(strstr(text, "extractable=false\n"));
	assert_non_null(strstr(text, "sensitive=true\n"));
	assert_non_null(strstr(text, "decrypt=false\n"));
	assert_non_null(strstr(text, "sign=true\n"));
	token_key_free(k);
}

static void
test_keys(void **state)
{
	struct token_uri u;
	AUTO(EVP_PKEY) public = NULL;
	struct token_conf conf;
	struct token_key *k;
	struct token *t;
	struct err e;

	(void)state;
	assert_int_equal(token_uri_parse(FIXTURE_URI, &u, &e), 0);
	conf = conf_for(&u);
	conf.pin = "00000000";
	assert_int_equal(token_open(&conf, &t, &e), -1);
	assert_int_equal(e.kind, ERR_UNAUTHENTICATED);
	conf.pin = FIXTURE_PIN;
	if (token_open(&conf, &t, &e) != 0)
		fail_msg("%s", e.text);
	check_algorithm(t, "P-256", "pkcs11:token=ca;object=a;id=%01");
	check_algorithm(t, "P-384", "pkcs11:token=ca;object=b;id=%02");
	check_algorithm(t, "RSA-2048", "pkcs11:token=ca;object=c;id=%03");
	/* the key of one id is not that of another certificate */
	assert_int_equal(token_public(t, &u, &public, &e), 0);
	u.id[0] = 2;
	assert_int_equal(token_find(t, &u, public, &k, &e), -1);
	u.id[0] = 9;
	assert_int_equal(token_find(t, &u, public, &k, &e), -1);
	assert_int_equal(e.kind, ERR_NOT_FOUND);
	assert_int_equal(token_make(t, &u, "RSA-1024", &e), -1);
	assert_int_equal(e.kind, ERR_BAD_KEY);
	token_close(t);
}

static void
test_absent(void **state)
{
	struct token_uri u;
	struct token_conf conf;
	struct token *t;
	struct err e;

	(void)state;
	assert_int_equal(
	    token_uri_parse("pkcs11:token=nobody;id=%01", &u, &e), 0);
	conf = conf_for(&u);
	assert_int_equal(token_open(&conf, &t, &e), -1);
	assert_int_equal(e.kind, ERR_UNAVAILABLE);
	conf.module = "/nonexistent.so";
	assert_int_equal(token_open(&conf, &t, &e), -1);
	assert_int_equal(e.kind, ERR_UNAVAILABLE);
}

static void
test_keyfile(void **state)
{
	static const char *const algorithms[] = { "P-256", "P-384",
		"RSA-2048" };
	struct keyfile *k;
	struct sign_alg alg;
	struct span sig;
	const char *path;
	struct err e;
	size_t i;

	(void)state;
	for (i = 0; i < 3; i++) {
		AUTO(EVP_PKEY) public = NULL;

		path = arena_printf(fx.a, "%s/key%zu", fx.dir, i);
		assert_int_equal(
		    keyfile_make(path, "phrase", algorithms[i], &e), 0);
		assert_int_equal(
		    keyfile_make(path, "phrase", algorithms[i], &e), -1);
		assert_int_equal(keyfile_open(path, "wrong", &k, &e), -1);
		assert_int_equal(e.kind, ERR_UNAVAILABLE);
		assert_int_equal(keyfile_open(path, "phrase", &k, &e), 0);
		public = keyfile_public(k);
		assert_int_equal(sign_alg_of(public, &alg, &e), 0);
		assert_string_equal(alg.name, algorithms[i]);
		assert_int_equal(
		    keyfile_sign(k, fx.a, span_str("x"), &sig, &e), 0);
		assert_int_equal(
		    sign_alg_verify(&alg, public, span_str("x"), sig, &e), 0);
		keyfile_free(k);
	}
	assert_int_equal(keyfile_make("/tmp/x", "p", "DSA", &e), -1);
	assert_int_equal(e.kind, ERR_BAD_KEY);
}

static int
setup(void **state)
{
	(void)state;
	fixture_token(&fx);
	return 0;
}

static int
teardown(void **state)
{
	(void)state;
	fixture_clear(&fx);
	return 0;
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_uri),
		cmocka_unit_test(test_keys),
		cmocka_unit_test(test_absent),
		cmocka_unit_test(test_keyfile),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
