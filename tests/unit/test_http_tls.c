#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <curl/curl.h>

#include "base/http.h"
#include "http_fixture.h"
#include "selfsigned.h"

static struct curl_blob
blob(const char *pem)
{
	return (struct curl_blob){ (void *)(uintptr_t)pem, strlen(pem),
		CURL_BLOB_NOCOPY };
}

static CURLcode
get_tls(struct http_server *s, const struct selfsigned *ca,
    const struct selfsigned *own, struct answer *a)
{
	struct curl_blob trust = blob(ca->cert), cert, key;
	CURL *c = fixture_client(s, true, "/t", a);

	curl_easy_setopt(c, CURLOPT_CAINFO_BLOB, &trust);
	if (own != NULL) {
		cert = blob(own->cert);
		key = blob(own->key);
		curl_easy_setopt(c, CURLOPT_SSLCERT_BLOB, &cert);
		curl_easy_setopt(c, CURLOPT_SSLCERTTYPE, "PEM");
		curl_easy_setopt(c, CURLOPT_SSLKEY_BLOB, &key);
		curl_easy_setopt(c, CURLOPT_SSLKEYTYPE, "PEM");
	}
	fixture_run(c, a);
	return a->rc;
}

static void
test_tls_swap(void **state)
{
	static struct selfsigned first, second;
	struct http_server *s = fixture_server(true, 1, 4, 50);
	struct answer a;
	struct err e;

	(void)state;
	selfsigned_make(&first, "first.test");
	selfsigned_make(&second, "second.test");
	assert_int_not_equal(get_tls(s, &first, NULL, &a), CURLE_OK);
	assert_int_equal(http_server_set_cert(s, first.cert, first.key, &e), 0);
	assert_int_equal(get_tls(s, &first, NULL, &a), CURLE_OK);
	fixture_starts(a.body, "GET|/t|-|-|-|-|127.0.0.1|1|0|0|");
	assert_int_equal(
	    http_server_set_cert(s, first.cert, second.key, &e), -1);
	assert_int_equal(e.kind, ERR_MALFORMED);
	assert_int_equal(http_server_set_cert(s, "x", second.key, &e), -1);
	assert_int_equal(http_server_set_cert(s, first.cert, "x", &e), -1);
	assert_int_equal(get_tls(s, &first, NULL, &a), CURLE_OK);
	assert_int_equal(
	    http_server_set_cert(s, second.cert, second.key, &e), 0);
	assert_int_equal(get_tls(s, &second, NULL, &a), CURLE_OK);
	assert_int_not_equal(get_tls(s, &first, NULL, &a), CURLE_OK);
	http_server_free(s);
}

static void
test_tls_client_cert(void **state)
{
	static struct selfsigned server, own;
	struct http_server *s = fixture_server(true, 1, 4, 50);
	struct answer a;
	struct err e;
	char *n;
	int i;

	(void)state;
	selfsigned_make(&server, "server.test");
	selfsigned_make(&own, "client.test");
	assert_int_equal(
	    http_server_set_cert(s, server.cert, server.key, &e), 0);
	assert_int_equal(get_tls(s, &server, &own, &a), CURLE_OK);
	for (n = a.body, i = 0; i < 9; i++)
		n = strchr(n, '|') + 1;
	assert_true(strtoul(n, NULL, 10) > 300);
	http_server_free(s);
}

static void
test_tls_version(void **state)
{
	static struct selfsigned server;
	static const long versions[] = { CURL_SSLVERSION_MAX_TLSv1_1,
		CURL_SSLVERSION_MAX_TLSv1_2, CURL_SSLVERSION_MAX_TLSv1_3 };
	struct http_server *s = fixture_server(true, 1, 4, 50);
	struct answer a;
	struct err e;
	size_t i;

	(void)state;
	selfsigned_make(&server, "server.test");
	assert_int_equal(
	    http_server_set_cert(s, server.cert, server.key, &e), 0);
	for (i = 0; i < 3; i++) {
		CURL *c = fixture_client(s, true, "/", &a);

		curl_easy_setopt(c, CURLOPT_SSL_VERIFYPEER, 0L);
		curl_easy_setopt(
		    c, CURLOPT_SSL_CIPHER_LIST, "DEFAULT@SECLEVEL=0");
		curl_easy_setopt(c, CURLOPT_SSLVERSION,
		    (long)CURL_SSLVERSION_TLSv1_0 | versions[i]);
		fixture_run(c, &a);
		assert_int_equal(a.status, i == 0 ? 0 : 200);
	}
	http_server_free(s);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_tls_swap),
		cmocka_unit_test(test_tls_client_cert),
		cmocka_unit_test(test_tls_version),
	};

	return cmocka_run_group_tests_name(
	    "http_tls", tests, fixture_set_up, fixture_tear_down);
}
