/* chancery-vald's loop against PostgreSQL and a host. */
#include <sys/socket.h>
#include <sys/types.h>
#include <sys/un.h>
#include <sys/wait.h>

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>
#include <curl/curl.h>
#include <pthread.h>

#include "base/arena.h"
#include "base/b64.h"
#include "base/clock.h"
#include "base/http.h"
#include "db/db.h"
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
	struct settings_vald conf;
	struct settings_resolve name;
	const char *allow;
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
	memset(r, 0, sizeof(*r));
	r->allow = "127.0.0.0/8";
	r->name = (struct settings_resolve){ ".test", "127.0.0.1" };
	r->conf = (struct settings_vald){ .allow_networks = &r->allow,
		.allow_networks_count = 1,
		.http_port = port,
		.https_port = 443,
		.resolve = &r->name,
		.resolve_count = 1,
		.timeout_s = 2,
		.workers = 3,
		.attempts = 2 };
	r->run = (struct vald_run){ .conf = &r->conf,
		.conninfo = pg_conninfo(pg, "chancery_vald"),
		.node = "node",
		.stop = &r->stop };
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

/* A socket as a supervisor has it. */
static int
open_notify(void)
{
	struct sockaddr_un sun = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0), n;

	n = snprintf(sun.sun_path + 1, sizeof(sun.sun_path) - 1,
	    "chancery-test-%ld", (long)getpid());
	assert_int_equal(
	    bind(fd, (struct sockaddr *)&sun,
		(socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 +
			    (size_t)n)),
	    0);
	sun.sun_path[0] = '@';
	assert_int_equal(setenv("NOTIFY_SOCKET", sun.sun_path, 1), 0);
	return fd;
}

static void
expect_ready(int fd)
{
	char text[16] = "";

	assert_int_equal(recv(fd, text, sizeof(text) - 1, 0), 7);
	assert_string_equal(text, "READY=1");
}

/* The whole daemon in a process of its own, sandbox included. */
static void
test_daemon(void **state)
{
	const char *const read[] = { "/etc", "/dev/urandom", pg_dir(pg) };
	struct running r = { .allow = NULL };
	struct vald_serve serve = { .read = read, .n_read = 3 };
	AUTO_FD int notify = open_notify();
	int status = -1;
	pid_t pid;

	(void)state;
	set_conf(&r, http_server_port(host, 0));
	serve.run = r.run;
	pid = fork();
	if (pid == 0)
		_exit(vald_serve(&serve));
	assert_true(pid > 0);
	expect_ready(notify);
	(void)unsetenv("NOTIFY_SOCKET");
	assert_int_equal(kill(pid, SIGHUP), 0);
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
	    store_vald_take(other, a,
		&(struct store_vald_lease){ "dead", 10, 2 }, &jobs, &n, &e),
	    0);
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

/* Where a name answers matters not if that is where the database is. */
static void
test_own_addresses(void **state)
{
	static const char *const deny[] = { "192.0.2.1", "127.0.0.1" };
	struct running r;

	(void)state;
	set_conf(&r, http_server_port(host, 0));
	r.run.deny = deny;
	r.run.n_deny = 2;
	r.conf.attempts = 1;
	atomic_store(&asked, 0);
	assert_int_equal(pthread_create(&r.thread, NULL, run, &r), 0);
	ask("own.test", "http-01", "good");
	expect("own.test", STORE_CHALLENGE_INVALID, "connection");
	assert_int_equal(asked, 0);
	stop(&r);
}

/* The hosts of a connection string with blanks between them, or an error. */
static const char *
hosts(struct arena *a, const char *conninfo)
{
	const char *const *v = NULL, *all = "";
	struct err e = { 0 };
	size_t n = 0, i;

	if (db_hosts(conninfo, a, &v, &n, &e) == -1)
		return err_kind_name(e.kind);
	for (i = 0; i < n; i++)
		all = arena_printf(a, "%s%s ", all, v[i]);
	return all;
}

static void
test_hosts(void **state)
{
	AUTO(arena_auto) a = arena_new();

	(void)state;
	assert_string_equal(hosts(a, "host=/run/pg dbname=x"), "");
	assert_string_equal(hosts(a, "dbname=x host=@abstract"), "");
	assert_string_equal(hosts(a, "host=192.0.2.7 user=x"), "192.0.2.7 ");
	assert_string_equal(
	    hosts(a, "postgresql://[2001:db8::7]:5433,192.0.2.8/x?user=y"),
	    "2001:db8::7 192.0.2.8 ");
	assert_string_equal(hosts(a, "host=db.invalid,/run/pg,192.0.2.3 "
				     "hostaddr=192.0.2.1,,"),
	    "192.0.2.1 192.0.2.3 ");
	assert_string_equal(hosts(a, "host=fe80::1%lo"), "fe80::1 ");
	assert_non_null(strstr(hosts(a, "host=localhost"), "1 "));
	assert_string_equal(
	    hosts(a, "host=db.invalid"), err_kind_name(ERR_UNAVAILABLE));
	assert_string_equal(hosts(a, "host='x"), err_kind_name(ERR_MALFORMED));
	assert_string_equal(
	    hosts(a, "colour=red"), err_kind_name(ERR_MALFORMED));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_hosts),
		cmocka_unit_test(test_results),
		cmocka_unit_test(test_host_comes_late),
		cmocka_unit_test(test_host_never_comes),
		cmocka_unit_test(test_daemon),
		cmocka_unit_test(test_own_addresses),
		cmocka_unit_test(test_crash_and_database_restart),
	};

	return cmocka_run_group_tests_name("vald", tests, set_up, tear_down);
}
