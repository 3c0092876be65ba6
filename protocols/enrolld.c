#include "protocols/enrolld.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <openssl/crypto.h>

#include "base/clock.h"
#include "base/daemon.h"
#include "base/file.h"
#include "base/log.h"
#include "base/notify.h"
#include "base/sandbox.h"
#include "protocols/est/keygen.h"
#include "protocols/protokey.h"

#define ACME_BODY_MAX ((size_t)128 * 1024)
#define SECRET_SIZE 32
#define QUEUE_PER_WORKER 16
#define IDLE_TIMEOUT_S 30
#define TICK_S 5
/* A renewal that could not be kept is not issued anew at every tick. */
#define RENEW_AGAIN_S 60

static int
read_secret(struct enrolld *d, struct err *e)
{
	AUTO(arena_auto) a = arena_new();
	struct span secret;
	int rc;

	if (file_read(
		a, d->settings->cluster_secret, SECRET_SIZE, &secret, e) == -1)
		return -1;
	if (secret.n != SECRET_SIZE)
		return err_set(e, ERR_MALFORMED,
		    "\"%s\" does not have %d bytes",
		    d->settings->cluster_secret, SECRET_SIZE);
	rc = nonce_key_derive(secret, &d->acme.nonce_key, e);
	OPENSSL_cleanse((void *)(uintptr_t)secret.p, secret.n);
	return rc;
}

/* What enrolld reads after it has started. */
static void
readable(struct arena *a, const struct settings *s, struct sandbox_conf *conf)
{
	static const char *const system[] = { "/etc", "/usr", "/lib",
		"/dev/urandom", "/proc/self" };
	const size_t n_system = sizeof(system) / sizeof(system[0]);
	const char **list =
	    arena_array(a, n_system + 2 + 2 * s->issuers_count, sizeof(*list));
	size_t n = 0;
	unsigned i;

	memcpy(list, system, sizeof(system));
	n = n_system;
	list[n++] = s->policies;
	list[n++] = s->run_dir;
	for (i = 0; i < s->issuers_count; i++) {
		list[n++] = s->issuers[i].certificate;
		list[n++] = s->issuers[i].chain;
	}
	conf->read = list;
	conf->n_read = n;
}

static int
enter_sandbox(const struct enrolld *d, bool require)
{
	const struct settings *s = d->settings;
	AUTO(arena_auto) a = arena_new();
	const char *write[] = { arena_printf(a, "%s/enroll", s->state_dir) };
	struct sandbox_conf conf = {
		.write = write, .n_write = 1, .seccomp = true
	};
	bool partial;
	struct err e;

	readable(a, s, &conf);
	if (sandbox_enter(&conf, &partial, &e) == -1)
		return daemon_fail("sandbox", &e);
	if (!partial)
		return 0;
	log_event(require ? LOG_ERROR : LOG_WARN, "sandbox", "msg",
	    "the kernel has no landlock: files are not fenced off", NULL);
	return require ? -1 : 0;
}

/* The HTTPS certificate, through the pipeline when there is none. */
static int
certify(struct enrolld *d, struct ctx *ctx, struct err *e)
{
	AUTO(arena_auto) a = arena_new();
	struct protokey key;
	bool fresh;
	int rc = 0;

	engine_begin(d->engine, ctx, a, "https");
	if (protokey_https(ctx, d->settings, &key, &fresh, e) == -1)
		return -1;
	if (d->http != NULL && (fresh || d->renew_at == 0)) {
		rc = http_server_set_cert(
		    d->http, key.chain_pem, key.key_pem, e);
		d->renew_at = key.renew_at;
	}
	protokey_clear(&key);
	if (rc == 0 && fresh)
		log_event(LOG_INFO, "https certificate issued", NULL);
	return rc;
}

/*
 * Database and signer may come up after us: tries until they answer.  There
 * is a certificate before anybody can connect.
 */
static int
start(struct enrolld *d, struct ctx *ctx)
{
	char last[ERR_TEXT_MAX] = "";
	struct err e;

	while (!daemon_stopping()) {
		if (engine_start(d->engine, &e) == 0 &&
		    certify(d, ctx, &e) == 0)
			return 0;
		if (e.kind != ERR_UNAVAILABLE && e.kind != ERR_NOT_FOUND)
			return daemon_fail("start", &e);
		if (strcmp(last, e.text) != 0)
			log_event(LOG_WARN, "waiting", "msg", e.text, NULL);
		(void)snprintf(last, sizeof(last), "%s", e.text);
		(void)usleep(200 * 1000);
	}
	return -1;
}

static int
open_http(struct enrolld *d, struct ctx *ctx)
{
	const struct settings *s = d->settings;
	struct http_listener *l = calloc(s->listen_count, sizeof(*l));
	struct http_conf conf = { .n_listeners = s->listen_count,
		.workers = s->workers,
		.queue = (size_t)s->workers * QUEUE_PER_WORKER,
		.body_max = ACME_BODY_MAX,
		.connections = s->connections,
		.per_address = s->per_address,
		.timeout_s = IDLE_TIMEOUT_S,
		.worker_new = enrolld_worker_new,
		.worker_free = enrolld_worker_free,
		.handle = enrolld_handle,
		.shape = enrolld_shape,
		.arg = d };
	struct err e;
	unsigned i;
	int rc;

	if (l == NULL)
		abort();
	for (i = 0; i < s->listen_count; i++)
		l[i] = (struct http_listener){ s->listen[i].address,
			s->listen[i].port, s->listen[i].tls };
	conf.listeners = l;
	rc = http_server_new(&conf, &d->http, &e);
	free(l);
	if (rc == -1 || certify(d, ctx, &e) == -1)
		return daemon_fail("listen", &e);
	return 0;
}

static void
reload(struct enrolld *d)
{
	struct err e;

	if (engine_reload(d->engine, &e) == -1)
		log_event(LOG_ERROR, "reload refused, the old profiles stay",
		    "msg", e.text, NULL);
	else
		log_event(LOG_INFO, "profiles reloaded", NULL);
}

static void
tick(struct enrolld *d, struct ctx *ctx)
{
	AUTO(arena_auto) a = arena_new();
	struct err e;

	engine_begin(d->engine, ctx, a, "housekeeping");
	if (engine_housekeep(ctx, &e) == -1)
		log_event(LOG_WARN, "housekeeping", "msg", e.text, NULL);
	if (clock_now() >= d->renew_at && certify(d, ctx, &e) == -1) {
		d->renew_at = clock_now() + RENEW_AGAIN_S;
		log_event(LOG_WARN, "https renewal", "msg", e.text, NULL);
	}
}

static void
loop(struct enrolld *d, struct ctx *ctx)
{
	int64_t next = 0;

	log_event(LOG_INFO, "ready", "url", d->settings->public_url, NULL);
	notify_ready();
	while (!daemon_stopping()) {
		if (daemon_reload_asked())
			reload(d);
		if (clock_mono_us() >= next) {
			tick(d, ctx);
			next = clock_mono_us() + TICK_S * 1000000;
		}
		(void)usleep(100 * 1000);
	}
}

static int
run(struct enrolld *d, bool require_sandbox)
{
	char node[64];
	struct ctx *ctx;
	struct err e;
	int rc = -1;

	(void)snprintf(node, sizeof(node), "enrolld-%d", (int)getpid());
	d->acme.settings = d->settings;
	if (read_secret(d, &e) == -1)
		return daemon_fail("cluster secret", &e);
	if (!keygen_init())
		log_event(LOG_WARN, "no locked memory", "msg",
		    "keys made for EST clients may be swapped out", NULL);
	if (enter_sandbox(d, require_sandbox) == -1)
		return -1;
	if (engine_new(d->settings, "enroll", node, &d->engine, &e) == -1)
		return daemon_fail("configuration", &e);
	ctx = engine_ctx_new(d->engine);
	if (start(d, ctx) == 0 && open_http(d, ctx) == 0) {
		loop(d, ctx);
		rc = 0;
	}
	http_server_free(d->http);
	engine_ctx_free(ctx);
	engine_free(d->engine);
	return daemon_stopping() ? 0 : rc;
}

static int
serve(const struct settings_file *file, bool require_sandbox)
{
	struct enrolld d = { .settings = settings_get(file) };

	return run(&d, require_sandbox);
}

int
main(int argc, char **argv)
{
	static const struct daemon enrolld = { .name = "enrolld",
		.serve = serve };

	return daemon_main(&enrolld, argc, argv);
}
