#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <curl/curl.h>
#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>

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
need(int ok)
{
	if (ok <= 0)
		fail_msg("libssl: %s", ERR_error_string(ERR_get_error(), NULL));
}

static X509 *
read_cert(const char *pem)
{
	BIO *bio = BIO_new_mem_buf(pem, -1);
	X509 *x = PEM_read_bio_X509(bio, NULL, NULL, NULL);

	BIO_free(bio);
	assert_non_null(x);
	return x;
}

static uint64_t ssl_options; /* SSL_OP_* of the next connections */

/* A connection of libssl, which shows 'own' and then 'more' copies of it. */
static SSL *
connect_ssl(struct http_server *s, int version, const struct selfsigned *own,
    size_t more, SSL_SESSION *again)
{
	SSL_CTX *ctx = SSL_CTX_new(TLS_client_method());
	char to[32];
	BIO *net, *bio;
	EVP_PKEY *key;
	SSL *ssl;
	X509 *x;

	need(SSL_CTX_set_min_proto_version(ctx, version));
	need(SSL_CTX_set_max_proto_version(ctx, version));
	(void)SSL_CTX_set_options(ctx, ssl_options);
	if (own != NULL) {
		x = read_cert(own->cert);
		bio = BIO_new_mem_buf(own->key, -1);
		key = PEM_read_bio_PrivateKey(bio, NULL, NULL, NULL);
		need(SSL_CTX_use_certificate(ctx, x));
		need(SSL_CTX_use_PrivateKey(ctx, key));
		EVP_PKEY_free(key);
		BIO_free(bio);
		X509_free(x);
	}
	for (; more > 0; more--)
		need((int)SSL_CTX_add_extra_chain_cert(
		    ctx, read_cert(own->cert)));
	(void)snprintf(to, sizeof(to), "127.0.0.1:%u", http_server_port(s, 0));
	net = BIO_new_connect(to);
	need((int)BIO_do_connect(net));
	ssl = SSL_new(ctx);
	SSL_set_bio(ssl, net, net);
	if (again != NULL)
		need(SSL_set_session(ssl, again));
	need(SSL_connect(ssl));
	assert_int_equal(SSL_session_reused(ssl), again != NULL);
	SSL_CTX_free(ctx);
	return ssl;
}

/* The body of the answer to a GET; the connection is done. */
static void
get_ssl(SSL *ssl, const char *path, char *body, size_t size)
{
	char request[128], answer[2000];
	size_t n = 0, got;
	const char *p;

	(void)snprintf(request, sizeof(request),
	    "GET %s HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", path);
	need(SSL_write(ssl, request, (int)strlen(request)));
	while (n < sizeof(answer) - 1 &&
	       SSL_read_ex(ssl, answer + n, sizeof(answer) - 1 - n, &got) == 1)
		n += got;
	answer[n] = '\0';
	p = strstr(answer, "\r\n\r\n");
	assert_non_null(p);
	(void)snprintf(body, size, "%s", p + 4);
	/* else libssl forgets the session */
	SSL_set_shutdown(ssl, SSL_SENT_SHUTDOWN | SSL_RECEIVED_SHUTDOWN);
	SSL_free(ssl);
}

static void
as_binding(int kind, const uint8_t *p, size_t n, char *out, size_t size)
{
	size_t i, o = (size_t)snprintf(out, size, "%d:", kind);

	for (i = 0; i < n; i++)
		o += (size_t)snprintf(out + o, size - o, "%02x", p[i]);
}

/* RFC 5929 3: the client's Finished of a full handshake. */
static void
test_tls_unique(void **state)
{
	struct http_server *s = fixture_server(true, 2, 4, 50);
	static struct selfsigned server;
	char want[200], body[200];
	uint8_t finished[64];
	struct err e;
	size_t n;
	SSL *ssl;

	(void)state;
	selfsigned_make(&server, "server.test");
	assert_int_equal(
	    http_server_set_cert(s, server.cert, server.key, &e), 0);
	ssl = connect_ssl(s, TLS1_2_VERSION, NULL, 0, NULL);
	n = SSL_get_finished(ssl, finished, sizeof(finished));
	assert_int_equal(n, 12);
	as_binding(HTTP_BINDING_TLS_UNIQUE, finished, n, want, sizeof(want));
	get_ssl(ssl, "/binding", body, sizeof(body));
	assert_string_equal(body, want);
	http_server_free(s);
}

/* RFC 9266 2 */
static void
test_tls_exporter(void **state)
{
	struct http_server *s = fixture_server(true, 2, 4, 50);
	static const char label[] = "EXPORTER-Channel-Binding";
	static struct selfsigned server;
	char want[200], body[200];
	uint8_t value[32];
	struct err e;
	SSL *ssl;

	(void)state;
	selfsigned_make(&server, "server.test");
	assert_int_equal(
	    http_server_set_cert(s, server.cert, server.key, &e), 0);
	ssl = connect_ssl(s, TLS1_3_VERSION, &server, 0, NULL);
	need(SSL_export_keying_material(ssl, value, sizeof(value), label,
	    strlen(label), (const uint8_t *)"", 0, 1));
	as_binding(HTTP_BINDING_TLS_EXPORTER, value, sizeof(value), want,
	    sizeof(want));
	get_ssl(ssl, "/binding", body, sizeof(body));
	assert_string_equal(body, want);
	http_server_free(s);
}

/*
 * A resumed session (RFC 5077, RFC 8446 2.2) still has the client's
 * certificate, and a binding of its own: the server's Finished comes first
 * then (RFC 5929 3).
 */
static void
test_tls_resumed(void **state)
{
	static const int versions[] = { TLS1_2_VERSION, TLS1_3_VERSION };
	struct http_server *s = fixture_server(true, 2, 4, 50);
	static struct selfsigned server, own;
	char chain[200], body[200], want[200];
	SSL_SESSION *session;
	uint8_t finished[64];
	struct err e;
	size_t i, n;
	SSL *ssl;

	(void)state;
	selfsigned_make(&server, "server.test");
	selfsigned_make(&own, "client.test");
	assert_int_equal(
	    http_server_set_cert(s, server.cert, server.key, &e), 0);
	for (i = 0; i < 2; i++) {
		ssl = connect_ssl(s, versions[i], &own, 0, NULL);
		SSL_up_ref(ssl);
		get_ssl(ssl, "/chain", chain, sizeof(chain));
		assert_true(chain[0] != '\0');
		session = SSL_get1_session(ssl);
		SSL_free(ssl);
		get_ssl(connect_ssl(s, versions[i], NULL, 0, session), "/chain",
		    body, sizeof(body));
		assert_string_equal(body, chain);
		if (versions[i] == TLS1_2_VERSION) {
			ssl = connect_ssl(s, versions[i], NULL, 0, session);
			n = SSL_get_peer_finished(
			    ssl, finished, sizeof(finished));
			as_binding(HTTP_BINDING_TLS_UNIQUE, finished, n, want,
			    sizeof(want));
			get_ssl(ssl, "/binding", body, sizeof(body));
			assert_string_equal(body, want);
		}
		SSL_SESSION_free(session);
	}
	http_server_free(s);
}

/*
 * Without extended master secret somebody in between can make two resumed
 * sessions that look alike (RFC 7627 1): they bind nothing.
 */
static void
test_tls_unbound(void **state)
{
	struct http_server *s = fixture_server(true, 2, 4, 50);
	static struct selfsigned server;
	SSL_SESSION *session;
	char body[200];
	struct err e;
	SSL *ssl;

	(void)state;
	selfsigned_make(&server, "server.test");
	assert_int_equal(
	    http_server_set_cert(s, server.cert, server.key, &e), 0);
	ssl_options = SSL_OP_NO_EXTENDED_MASTER_SECRET;
	ssl = connect_ssl(s, TLS1_2_VERSION, NULL, 0, NULL);
	session = SSL_get1_session(ssl);
	get_ssl(ssl, "/binding", body, sizeof(body));
	assert_int_equal(body[0], '0' + HTTP_BINDING_TLS_UNIQUE);
	ssl = connect_ssl(s, TLS1_2_VERSION, NULL, 0, session);
	get_ssl(ssl, "/binding", body, sizeof(body));
	assert_int_equal(body[0], '0' + HTTP_BINDING_NONE);
	ssl_options = 0;
	SSL_SESSION_free(session);
	http_server_free(s);
}

static void
test_tls_chain(void **state)
{
	struct http_server *s = fixture_server(true, 2, 4, 50);
	static struct selfsigned server, own;
	char body[200], *p;
	struct err e;
	size_t n, count;

	(void)state;
	selfsigned_make(&server, "server.test");
	selfsigned_make(&own, "client.test");
	assert_int_equal(
	    http_server_set_cert(s, server.cert, server.key, &e), 0);
	get_ssl(connect_ssl(s, TLS1_3_VERSION, NULL, 0, NULL), "/chain", body,
	    sizeof(body));
	assert_string_equal(body, "");
	for (n = 0; n < 10; n += 3) {
		get_ssl(connect_ssl(s, TLS1_2_VERSION, &own, n, NULL), "/chain",
		    body, sizeof(body));
		for (count = 0, p = body; *p != '\0'; p++)
			count += *p == ' ';
		assert_int_equal(count, n < 7 ? n + 1 : HTTP_CHAIN_MAX);
	}
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
		cmocka_unit_test(test_tls_unique),
		cmocka_unit_test(test_tls_exporter),
		cmocka_unit_test(test_tls_resumed),
		cmocka_unit_test(test_tls_unbound),
		cmocka_unit_test(test_tls_chain),
	};

	return cmocka_run_group_tests_name(
	    "http_tls", tests, fixture_set_up, fixture_tear_down);
}
