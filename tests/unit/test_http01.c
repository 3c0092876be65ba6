#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>
#include <curl/curl.h>
#include <stdatomic.h>

#include "base/arena.h"
#include "base/clock.h"
#include "base/http.h"
#include "dns_stub.h"
#include "protocols/vald/http01.h"
#include "selfsigned.h"

#define PREFIX "/.well-known/acme-challenge/"
#define TIMEOUT_MS 1500

static struct http_server *server;
static uint16_t port, tls_port;
static struct netpolicy *policy;
static struct resolver *resolver;
static struct http01 *http01;
static atomic_int asked;
static char dns_server[32];

/* What the token /NAME redirects to; %u is the plain port. */
struct redirect {
	const char *token, *to;
	int status;
};

static const struct redirect redirects[] = {
	{ "r301", "http://b.test:%u" PREFIX "good", 301 },
	{ "r302", PREFIX "good", 302 },
	{ "r303", "good", 303 },
	{ "r307", "http://b.test:%u" PREFIX "r301", 307 },
	{ "r308", "http://B.TEST.:%u/" PREFIX "good", 308 },
	{ "loop", "loop", 302 },
	{ "literal", "http://127.0.0.1:%u" PREFIX "good", 302 },
	{ "literal6", "http://[::1]:%u" PREFIX "good", 302 },
	{ "decimal", "http://2130706433:%u" PREFIX "good", 302 },
	{ "hex", "http://0x7f000001:%u" PREFIX "good", 302 },
	{ "short", "http://127.1:%u" PREFIX "good", 302 },
	{ "port", "http://b.test:22/", 302 },
	{ "ftp", "ftp://b.test/x", 302 },
	{ "file", "file:///etc/passwd", 302 },
	{ "user", "http://u:p@b.test:%u" PREFIX "good", 302 },
	{ "private", "http://private.test:%u" PREFIX "good", 302 },
	{ "unknown", "http://unknown.example:%u/", 302 },
	{ "r304", "good", 304 },
	{ "octets", "http://b.test:%u" PREFIX "good?\xff\x80", 302 },
};

static void
redirect(const struct redirect *r, const struct http_request *req,
    struct http_reply *reply)
{
	char *to = arena_strdup(req->arena, r->to);
	char *at = strstr(to, "%u");

	if (at != NULL) {
		*at = '\0';
		to = arena_printf(req->arena, "%s%u%s", to, port, at + 2);
	}
	reply->status = r->status;
	http_header_add(reply, "Location", to);
}

static void
handle(void *worker, const struct http_request *req, struct http_reply *reply)
{
	const char *token = req->path;
	char *big;
	size_t i;

	(void)worker;
	atomic_fetch_add(&asked, 1);
	while (*token == '/')
		token++;
	reply->status = 200;
	reply->body = span_str("token.thumbprint");
	token = strrchr(req->path, '/') + 1;
	for (i = 0; i < sizeof(redirects) / sizeof(redirects[0]); i++)
		if (strcmp(token, redirects[i].token) == 0)
			redirect(&redirects[i], req, reply);
	if (strcmp(token, "https") == 0) {
		reply->status = 302;
		http_header_add(reply, "Location",
		    arena_printf(req->arena, "https://b.test:%u" PREFIX "good",
			tls_port));
	}
	if (strcmp(token, "plaintls") == 0) {
		reply->status = 302;
		http_header_add(reply, "Location",
		    arena_printf(req->arena, "https://b.test:%u/", port));
	}
	if (strcmp(token, "white") == 0)
		reply->body = span_str("token.thumbprint \t\r\n\n");
	if (strcmp(token, "leading") == 0)
		reply->body = span_str(" token.thumbprint");
	if (strcmp(token, "wrong") == 0)
		reply->body = span_str("token.thumbprinx");
	if (strcmp(token, "prefix") == 0)
		reply->body = span_str("token.thumbprint2");
	if (strcmp(token, "empty") == 0)
		reply->body = span_of(NULL, 0);
	if (strcmp(token, "none") == 0)
		reply->status = 404;
	if (strcmp(token, "slow") == 0)
		(void)sleep(3);
	if (strncmp(token, "big", 3) == 0) {
		big = arena_alloc(req->arena, 2000);
		memset(big, ' ', 2000);
		memcpy(big, "token.thumbprint", 16);
		reply->body = span_of(big, strtoul(token + 3, NULL, 10));
	}
}

struct expected {
	const char *name, *token;
	enum outcome_kind kind;
	const char *detail; /* part of it */
};

static void
expect(const struct expected *x)
{
	struct http01_request req = { x->name, x->token, "token.thumbprint" };
	struct outcome o;

	http01_check(http01, &req, &o);
	if (o.kind != x->kind)
		fail_msg("%s %s: %s (%s)", x->name, x->token,
		    outcome_name(o.kind), o.detail);
	if (x->detail != NULL && strstr(o.detail, x->detail) == NULL)
		fail_msg(
		    "%s %s: detail is \"%s\"", x->name, x->token, o.detail);
	if (strstr(o.detail, "thumbprin") != NULL)
		fail_msg("the answer shows in \"%s\"", o.detail);
}

static const struct expected answers[] = {
	{ "a.test", "good", OUTCOME_VALID, "" },
	{ "A.sub.TEST", "white", OUTCOME_VALID, "" },
	{ "a.test", "leading", OUTCOME_INCORRECT, "another key" },
	{ "a.test", "wrong", OUTCOME_INCORRECT, "another key" },
	{ "a.test", "prefix", OUTCOME_INCORRECT, "another key" },
	{ "a.test", "empty", OUTCOME_INCORRECT, "another key" },
	{ "a.test", "none", OUTCOME_UNAUTHORIZED, "status 404" },
	{ "a.test", "big1024", OUTCOME_VALID, "" },
	{ "a.test", "big1025", OUTCOME_INCORRECT, "more than 1024 bytes" },
	{ "a.test", "r304", OUTCOME_UNAUTHORIZED, "status 304" },
	{ "127.0.0.1", "good", OUTCOME_DNS, "no DNS name" },
	{ "2130706433", "good", OUTCOME_DNS, "no DNS name" },
	{ "a.test/x", "good", OUTCOME_DNS, "no DNS name" },
	{ "a.test:80", "good", OUTCOME_DNS, "no DNS name" },
	{ "u@a.test", "good", OUTCOME_DNS, "no DNS name" },
	{ "*.test", "good", OUTCOME_DNS, "no DNS name" },
	{ "", "good", OUTCOME_DNS, "no DNS name" },
};

static const struct expected redirected[] = {
	{ "a.test", "r301", OUTCOME_VALID, "" },
	{ "a.test", "r302", OUTCOME_VALID, "" },
	{ "a.test", "r303", OUTCOME_VALID, "" },
	{ "a.test", "r307", OUTCOME_VALID, "" },
	{ "a.test", "https", OUTCOME_VALID, "" },
	{ "a.test", "plaintls", OUTCOME_TLS, "b.test" },
	{ "a.test", "loop", OUTCOME_CONNECTION, "more than 10 redirects" },
	{ "a.test", "literal", OUTCOME_CONNECTION, "not lead to a DNS name" },
	{ "a.test", "literal6", OUTCOME_CONNECTION, "not lead to a DNS name" },
	{ "a.test", "decimal", OUTCOME_CONNECTION, "not lead to a DNS name" },
	{ "a.test", "hex", OUTCOME_CONNECTION, "not lead to a DNS name" },
	{ "a.test", "short", OUTCOME_CONNECTION, "not lead to a DNS name" },
	{ "a.test", "port", OUTCOME_CONNECTION, "leads to port 22" },
	{ "a.test", "ftp", OUTCOME_CONNECTION, "scheme \"ftp\"" },
	{ "a.test", "file", OUTCOME_CONNECTION, "redirect" },
	{ "a.test", "user", OUTCOME_CONNECTION, "user name" },
	{ "a.test", "private", OUTCOME_CONNECTION, "10.0.0.1" },
	{ "a.test", "unknown", OUTCOME_DNS, "has no address" },
};

static const struct expected resolved[] = {
	{ "private.test", "good", OUTCOME_CONNECTION, "10.0.0.1 may not" },
	{ "sub.private.test", "good", OUTCOME_CONNECTION, "10.0.0.1 may not" },
	{ "linklocal.test", "good", OUTCOME_CONNECTION, "169.254.169.254" },
	{ "a.example", "good", OUTCOME_VALID, "" },
	{ "aaaa.example", "good", OUTCOME_CONNECTION, "::1 may not" },
	{ "mixed.example", "good", OUTCOME_CONNECTION, "10.0.0.1 may not" },
	{ "none.example", "good", OUTCOME_DNS, "has no address" },
	{ "fail.example", "good", OUTCOME_DNS, "no usable answer" },
	{ "silent.example", "good", OUTCOME_DNS, "no usable answer" },
};

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

static void
test_answers(void **state)
{
	size_t i;

	(void)state;
	for (i = 0; i < COUNT(answers); i++)
		expect(&answers[i]);
}

static void
test_redirects(void **state)
{
	size_t i;

	(void)state;
	for (i = 0; i < COUNT(redirected); i++)
		expect(&redirected[i]);
	atomic_store(&asked, 0);
	expect(&redirected[6]);
	assert_int_equal(asked, 11);
}

/* What is not UTF-8 could not be recorded: the result would be lost. */
static void
test_evidence(void **state)
{
	struct http01_request req = { "a.test", "octets", "token.thumbprint" };
	struct outcome o;
	const char *p;

	(void)state;
	http01_check(http01, &req, &o);
	assert_int_equal(o.kind, OUTCOME_VALID);
	assert_non_null(strstr(o.evidence, "/good?"));
	for (p = o.evidence; *p != '\0'; p++)
		assert_true(*p >= ' ' && *p <= '~');
}

static void
test_names(void **state)
{
	size_t i;

	(void)state;
	for (i = 0; i < COUNT(resolved); i++)
		expect(&resolved[i]);
}

static void
test_slow_host(void **state)
{
	struct expected x = { "a.test", "slow", OUTCOME_CONNECTION, "imeout" };
	int64_t start = clock_mono_us();

	(void)state;
	expect(&x);
	assert_true(clock_mono_us() - start < (int64_t)2500 * 1000);
}

static void
test_no_proxy(void **state)
{
	struct expected x = { "a.test", "good", OUTCOME_VALID, "" };

	(void)state;
	assert_int_equal(setenv("http_proxy", "http://127.0.0.1:1", 1), 0);
	assert_int_equal(setenv("ALL_PROXY", "http://127.0.0.1:1", 1), 0);
	expect(&x);
	assert_int_equal(unsetenv("http_proxy"), 0);
	assert_int_equal(unsetenv("ALL_PROXY"), 0);
}

static void
test_nobody_listens(void **state)
{
	struct http01_conf conf = { policy, 1, 443, TIMEOUT_MS };
	struct http01_request req = { "a.test", "good", "x" };
	struct outcome o;
	struct http01 *h;
	struct err e;

	(void)state;
	assert_int_equal(http01_new(&conf, resolver, &h, &e), 0);
	http01_check(h, &req, &o);
	assert_int_equal(o.kind, OUTCOME_CONNECTION);
	http01_free(h);
	http01_free(NULL);
}

static void
test_wrong_resolver_conf(void **state)
{
	struct resolve_override o = { "test", "localhost" };
	struct resolve_conf conf = { &o, 1, NULL };
	struct resolver *r = NULL;
	struct err e;

	(void)state;
	assert_int_equal(resolver_new(&conf, &r, &e), -1);
	assert_int_equal(e.kind, ERR_MALFORMED);
	conf = (struct resolve_conf){ .server = "no server" };
	assert_int_equal(resolver_new(&conf, &r, &e), -1);
	assert_int_equal(e.kind, ERR_MALFORMED);
	assert_null(r);
	resolver_free(NULL);
}

static void
start_server(void)
{
	static struct selfsigned cert;
	struct http_listener l[] = { { "127.0.0.1", 0, false },
		{ "127.0.0.1", 0, true } };
	struct http_conf conf = { .listeners = l,
		.n_listeners = 2,
		.workers = 4,
		.queue = 10,
		.body_max = 100,
		.connections = 50,
		.per_address = 50,
		.timeout_s = 5,
		.handle = handle };
	struct err e;

	selfsigned_make(&cert, "elsewhere.test");
	if (http_server_new(&conf, &server, &e) != 0 ||
	    http_server_set_cert(server, cert.cert, cert.key, &e) != 0)
		fail_msg("%s", e.text);
	port = http_server_port(server, 0);
	tls_port = http_server_port(server, 1);
}

static int
set_up(void **state)
{
	static const char *const allow[] = { "127.0.0.0/8" };
	struct netpolicy_conf nets = { allow, 1, NULL, 0 };
	static const struct resolve_override overrides[] = {
		{ "private.test", "10.0.0.1" },
		{ "linklocal.test", "169.254.169.254" },
		{ "test", "127.0.0.1" },
	};
	struct resolve_conf names = { overrides, 3, dns_server };
	struct http01_conf conf = { .timeout_ms = TIMEOUT_MS };
	struct err e;

	(void)state;
	if (curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK)
		return 1;
	dns_stub_start(dns_server);
	start_server();
	conf.port = port;
	conf.tls_port = tls_port;
	if (netpolicy_new(&nets, &policy, &e) != 0 ||
	    resolver_new(&names, &resolver, &e) != 0)
		fail_msg("%s", e.text);
	conf.policy = policy;
	return http01_new(&conf, resolver, &http01, &e);
}

static int
tear_down(void **state)
{
	(void)state;
	http01_free(http01);
	resolver_free(resolver);
	netpolicy_free(policy);
	http_server_free(server);
	dns_stub_stop();
	curl_global_cleanup();
	return 0;
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_answers),
		cmocka_unit_test(test_redirects),
		cmocka_unit_test(test_evidence),
		cmocka_unit_test(test_names),
		cmocka_unit_test(test_slow_host),
		cmocka_unit_test(test_no_proxy),
		cmocka_unit_test(test_nobody_listens),
		cmocka_unit_test(test_wrong_resolver_conf),
	};

	return cmocka_run_group_tests_name("http01", tests, set_up, tear_down);
}
