/* chancery-vald's loop against PostgreSQL and a host; and its section. */
#include <sys/types.h>
#include <sys/wait.h>

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>
#include <curl/curl.h>
#include <cyaml/cyaml.h>
#include <pthread.h>

#include "base/arena.h"
#include "base/b64.h"
#include "base/clock.h"
#include "base/http.h"
#include "db/store_acme.h"
#include "db/store_vald.h"
#include "db/writer.h"
#include "protocols/vald/vald_run.h"
#include "protocols/vald/vald_serve.h"
#include "tests/db/sample.h"

static struct pg *pg;
static struct db *db;
static struct writer *w;
static struct http_server *host;
static atomic_int asked;

static const struct store_account alice = { .id = "alice",
	.thumbprint = { 1, 2, 3 },
	.jwk = "{\"kty\":\"EC\"}",
	.contact = "[]",
	.tos_agreed = true };

/* Answers the token "good" with alice's key authorization. */
static void
handle(void *worker, const struct http_request *req, struct http_reply *reply)
{
	const char *token = strrchr(req->path, '/') + 1;

	(void)worker;
	atomic_fetch_add(&asked, 1);
	reply->status = 200;
	reply->body = span_str(arena_printf(req->arena, "%s.%s",
	    strncmp(token, "good", 4) == 0 ? token : "other",
	    b64url_encode(req->arena, span_of(alice.thumbprint, 32))));
}

static int
set_up(void **state)
{
	struct http_listener l = { "127.0.0.1", 0, false };
	struct http_conf conf = { .listeners = &l,
		.n_listeners = 1,
		.workers = 2,
		.queue = 50,
		.body_max = 100,
		.connections = 50,
		.per_address = 50,
		.timeout_s = 5,
		.handle = handle };
	struct err e;

	(void)state;
	pg = pg_new();
	db = db_new(pg_conninfo(pg, "chancery_enroll"), "test");
	return curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK ||
	       writer_new(pg_conninfo(pg, "chancery_enroll"), "enroll", "t", &w,
		   &e) != 0 ||
	       store_account_new(w, &alice, &e) != 0 ||
	       http_server_new(&conf, &host, &e) != 0;
}

static int
tear_down(void **state)
{
	(void)state;
	http_server_free(host);
	writer_free(w);
	db_free(db);
	pg_free(pg);
	curl_global_cleanup();
	return 0;
}

/* A running vald. */
struct running {
	struct vald_run run;
	struct vald_conf conf;
	struct vald_name name;
	char *allow;
	atomic_bool stop;
	pthread_t thread;
	int rc;
};

static void *
run(void *arg)
{
	struct running *r = arg;
	struct err e;

	r->rc = vald_run(&r->run, &e);
	return NULL;
}

static void
set_conf(struct running *r, uint16_t port)
{
	static char loopback[] = "127.0.0.0/8", test[] = "test",
		    address[] = "127.0.0.1";

	memset(r, 0, sizeof(*r));
	r->allow = loopback;
	r->name = (struct vald_name){ test, address };
	r->conf = (struct vald_conf){ .allow = &r->allow,
		.allow_count = 1,
		.http_port = port,
		.tls_port = 443,
		.names = &r->name,
		.names_count = 1,
		.timeout_s = 2,
		.workers = 3,
		.attempts = 2 };
	r->run = (struct vald_run){ &r->conf, pg_conninfo(pg, "chancery_vald"),
		"node", &r->stop };
}

static void
start(struct running *r, uint16_t port)
{
	set_conf(r, port);
	assert_int_equal(pthread_create(&r->thread, NULL, run, r), 0);
}

static void
stop(struct running *r)
{
	atomic_store(&r->stop, true);
	pthread_join(r->thread, NULL);
	assert_int_equal(r->rc, 0);
}

/* An order for 'name' whose challenge "c-NAME" has this token; responds. */
static void
ask(const char *name, const char *type, const char *token)
{
	AUTO(arena_auto) a = arena_new();
	int64_t now = clock_now();
	struct store_challenge_new ch = { arena_printf(a, "c-%s", name), type,
		token };
	struct store_authz_new az = { { "dns", name, false },
		arena_printf(a, "z-%s", name), &ch, 1, false };
	struct store_order_new o = { arena_printf(a, "o-%s", name), "alice",
		"tls-server", now + 3600, 0, 0, now + 600, 1000, 0, &az, 1 };
	struct err e = { 0 };

	/* a writer says once that the database had been away */
	while (store_order_new(w, NULL, a, &o, &e) != 0)
		if (e.kind != ERR_UNAVAILABLE)
			fail_msg("%s", e.text);
	if (store_challenge_respond(w, ch.id, &e) != 0)
		fail_msg("%s", e.text);
}

/* Waits until the challenge of 'name' has this status and this error. */
static void
expect(const char *name, enum store_challenge_status status, const char *error)
{
	AUTO(arena_auto) a = arena_new();
	struct timespec pause = { 0, 20000000 };
	const char *id = arena_printf(a, "c-%s", name), *got = NULL;
	struct store_authz z = { 0 };
	struct err e;
	int i;

	for (i = 0; i < 1000; i++) {
		if (store_authz_by_challenge(db, a, id, &z, &e) != 0)
			fail_msg("%s", e.text);
		got = z.challenges[0].error_type;
		if (z.challenges[0].status == status &&
		    (error == NULL) == (got == NULL))
			break;
		(void)nanosleep(&pause, NULL);
	}
	assert_int_equal(z.challenges[0].status, status);
	if (error != NULL)
		assert_string_equal(got, error);
}

static void
test_results(void **state)
{
	struct running r;
	char name[32];
	int i;

	(void)state;
	start(&r, http_server_port(host, 0));
	ask("a.test", "http-01", "good");
	expect("a.test", STORE_CHALLENGE_VALID, NULL);
	ask("b.test", "http-01", "bad");
	expect("b.test", STORE_CHALLENGE_INVALID, "incorrectResponse");
	ask("c.test", "dns-01", "good");
	expect("c.test", STORE_CHALLENGE_INVALID, "unauthorized");
	for (i = 0; i < 20; i++) {
		(void)snprintf(name, sizeof(name), "n%d.test", i);
		ask(name, "http-01", "good");
	}
	for (i = 0; i < 20; i++) {
		(void)snprintf(name, sizeof(name), "n%d.test", i);
		expect(name, STORE_CHALLENGE_VALID, NULL);
	}
	assert_int_equal(asked, 22);
	stop(&r);
}

static void
test_host_comes_late(void **state)
{
	struct running r;

	(void)state;
	start(&r, 1);
	ask("late.test", "http-01", "good");
	expect("late.test", STORE_CHALLENGE_PROCESSING, "connection");
	stop(&r);
	start(&r, http_server_port(host, 0));
	expect("late.test", STORE_CHALLENGE_VALID, NULL);
	stop(&r);
}

static void
test_host_never_comes(void **state)
{
	struct running r;

	(void)state;
	start(&r, 1);
	ask("never.test", "http-01", "good");
	expect("never.test", STORE_CHALLENGE_PROCESSING, "connection");
	expect("never.test", STORE_CHALLENGE_INVALID, "connection");
	stop(&r);
}

/* The whole daemon in a process of its own, sandbox included. */
static void
test_daemon(void **state)
{
	const char *const read[] = { "/etc", "/dev/urandom", pg_dir(pg) };
	struct running r = { .allow = NULL };
	struct vald_serve serve = { .read = read, .n_read = 3 };
	int status = -1;
	pid_t pid;

	(void)state;
	set_conf(&r, http_server_port(host, 0));
	serve.run = r.run;
	pid = fork();
	if (pid == 0)
		_exit(vald_serve(&serve));
	assert_true(pid > 0);
	ask("daemon.test", "http-01", "good");
	expect("daemon.test", STORE_CHALLENGE_VALID, NULL);
	assert_int_equal(kill(pid, SIGTERM), 0);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
	serve.user = "no-such-user-here";
	pid = fork();
	if (pid == 0)
		_exit(vald_serve(&serve));
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 1);
}

static void
test_crash_and_database_restart(void **state)
{
	AUTO(arena_auto) a = arena_new();
	struct db *other = db_new(pg_conninfo(pg, "chancery_vald"), "test");
	struct store_vald_job *jobs;
	struct running r;
	struct err e;
	size_t n;

	(void)state;
	ask("crash.test", "http-01", "good");
	/* somebody leases it and is never heard of again */
	assert_int_equal(
	    store_vald_take(other, a, "dead", 10, 2, &jobs, &n, &e), 0);
	assert_int_equal(n, 1);
	db_free(other);
	start(&r, http_server_port(host, 0));
	expect("crash.test", STORE_CHALLENGE_VALID, NULL);
	pg_stop(pg, true);
	pg_start(pg);
	while (db_ready(db, &e) != 0)
		continue;
	ask("again.test", "http-01", "good");
	expect("again.test", STORE_CHALLENGE_VALID, NULL);
	stop(&r);
}

struct top {
	struct vald_conf vald;
};

static const cyaml_schema_field_t top_fields[] = {
	CYAML_FIELD_MAPPING(
	    "vald", CYAML_FLAG_DEFAULT, struct top, vald, vald_conf_fields),
	CYAML_FIELD_END,
};

static const cyaml_schema_value_t schema = {
	CYAML_VALUE_MAPPING(CYAML_FLAG_POINTER, struct top, top_fields),
};

/* Loads and checks the section; the error's text, or "". */
static const char *
load(const char *yaml, struct vald_conf *out)
{
	static struct err e;
	struct conf *c = NULL;
	struct top *t;

	e.text[0] = '\0';
	if (conf_load_bytes("f", span_str(yaml), &schema, &c, &e) == 0) {
		t = conf_data(c);
		if (vald_conf_check(c, "vald", &t->vald, &e) == 0)
			*out = t->vald;
		conf_free(c);
	}
	return e.text;
}

static void
test_section(void **state)
{
	struct vald_conf c = { 0 };

	(void)state;
	assert_string_equal(load("vald: {}\n", &c), "");
	assert_int_equal(c.http_port, 80);
	assert_int_equal(c.tls_port, 443);
	assert_int_equal(c.workers, 8);
	assert_int_equal(c.attempts, 3);
	assert_int_equal(c.timeout_s, 10);
	assert_string_equal(load("vald:\n  allow: [10.0.0.0/8]\n  deny:\n"
				 "    - fd00::/8\n  http_port: 5002\n"
				 "  timeout: 3s\n  names:\n"
				 "    - suffix: test\n"
				 "      address: 127.0.0.1\n",
				&c),
	    "");
	assert_int_equal(c.http_port, 5002);
	assert_int_equal(c.timeout_s, 3);
	assert_int_equal(c.names_count, 1);
	assert_string_equal(load("vald:\n  allow:\n   - ::/0\n   - x\n", &c),
	    "f:4: vald.allow[1]: \"x\" is not a network such as 10.0.0.0/8");
	assert_string_equal(load("vald:\n  names:\n   - suffix: test\n"
				 "     address: localhost\n",
				&c),
	    "f:4: vald.names[0].address: \"localhost\" is not an address");
	assert_string_equal(load("vald:\n\n  timeout: 2m\n", &c),
	    "f:3: vald.timeout: duration 2m is outside 1s to 60s");
	assert_string_equal(load("vald:\n  workers: 101\n", &c),
	    "f:2: vald.workers: 101 is more than 100");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_section),
		cmocka_unit_test(test_results),
		cmocka_unit_test(test_host_comes_late),
		cmocka_unit_test(test_host_never_comes),
		cmocka_unit_test(test_daemon),
		cmocka_unit_test(test_crash_and_database_restart),
	};

	return cmocka_run_group_tests_name("vald", tests, set_up, tear_down);
}
