/*
 * chancery-pubd: publishes CRLs, has the certificates of OCSP responders
 * made, and keeps house in the database.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/daemon.h"
#include "base/file.h"
#include "base/log.h"
#include "base/metrics.h"
#include "base/notify.h"
#include "base/sandbox.h"
#include "crl/publish.h"
#include "crl/responder.h"
#include "db/db.h"
#include "db/store_cert.h"
#include "db/store_crl.h"

#define CONNINFO_SIZE 5000
#define NODE_SIZE 128
#define METRICS_MAX ((size_t)1 << 20)

/* A notification wakes up at once; without one this is how late we are. */
#define POLL_MS 500
#define WAIT_MS 200

#define KEEP_CRLS_S ((int64_t)30 * 86400)
#define REQUESTS_A_TURN 10000
#define MONTHS_AHEAD 24

struct pubd {
	const struct settings *settings; /* what the engine was made with */
	struct settings_file *fresh;     /* what was read since, or NULL */
	bool require_sandbox;
	char node[NODE_SIZE], conninfo[CONNINFO_SIZE];
	const char *dir; /* for files: state directory, pub */
	struct arena *arena;
	struct engine *engine;
	struct ctx *ctx;
	struct db *wait; /* listens, and does nothing else */
	struct publisher *publisher;
	struct hook *hook;
	bool announced, down;
};

/* Settles what earlier runs left open. */
static int
keep_house(struct pubd *d, struct err *e)
{
	AUTO(arena_auto) a = arena_new();

	engine_begin(d->engine, d->ctx, a, "housekeeping");
	return engine_housekeep(d->ctx, e);
}

/* What piles up in the database, if this process is the one to do it. */
static int
clean(struct pubd *d, struct err *e)
{
	int64_t now = clock_now();
	size_t n = 0;

	if (!publisher_active(d->publisher))
		return 0;
	if (store_crl_clean(d->ctx->db, now - KEEP_CRLS_S, e) == -1 ||
	    store_cert_partitions(d->ctx->db, MONTHS_AHEAD, e) == -1 ||
	    store_request_clean(d->ctx->db, now - SETTINGS_KEEP_REQUESTS_S,
		REQUESTS_A_TURN, &n, e) == -1)
		return -1;
	if (n > 0)
		log_msg(LOG_INFO, "requests forgotten", "%zu", n);
	return 0;
}

static int
answer_new(struct pubd *d, struct err *e)
{
	return publisher_active(d->publisher)
		   ? responder_turn(d->engine, d->ctx, false, e)
		   : 0;
}

static int
answer_again(struct pubd *d, struct err *e)
{
	return publisher_active(d->publisher)
		   ? responder_turn(d->engine, d->ctx, true, e)
		   : 0;
}

static int
publish(struct pubd *d, struct err *e)
{
	return publisher_turn(d->publisher, e);
}

static int
write_metrics(struct pubd *d, struct err *e)
{
	AUTO_BUF(b, METRICS_MAX);

	metrics_render(&b);
	return file_replace(arena_printf(d->arena, "%s/pubd.prom", d->dir),
	    buf_get(&b), 0644, e);
}

/* What is done now and then; order counts. */
struct timer {
	const char *what;
	int (*run)(struct pubd *d, struct err *e);
	int64_t every_us, due_us;
};

static struct timer timers[] = {
	{ "publish", publish, 0, 0 },
	{ "responders", answer_new, 1000000, 0 },
	{ "responders", answer_again, (int64_t)30 * 1000000, 0 },
	{ "housekeeping", keep_house, (int64_t)10 * 1000000, 0 },
	{ "cleaning", clean, (int64_t)600 * 1000000, 0 },
	{ "metrics", write_metrics, (int64_t)15 * 1000000, 0 },
};

/* Whether the database answered; what else fails is said by who did it. */
static void
run_timers(struct pubd *d)
{
	bool down = false;
	struct timer *t;
	struct err e;
	size_t i;

	for (i = 0; i < sizeof(timers) / sizeof(timers[0]); i++) {
		t = &timers[i];
		if (clock_mono_us() < t->due_us)
			continue;
		t->due_us = clock_mono_us() + t->every_us;
		if (t->run(d, &e) == 0)
			continue;
		down = true;
		if (!d->down)
			log_event(LOG_ERROR, "cannot go on", "what", t->what,
			    "msg", e.text, NULL);
	}
	if (d->down && !down)
		log_event(LOG_INFO, "goes on", NULL);
	d->down = down;
}

/* Schedules and profiles change at once, issuers and files at a restart. */
static void
reload(struct pubd *d)
{
	struct settings_file *fresh;
	struct err e;

	if (settings_load(daemon_file(), &fresh, &e) == -1) {
		(void)daemon_fail("configuration kept", &e);
		return;
	}
	publisher_reload(d->publisher, settings_get(fresh));
	settings_free(d->fresh);
	d->fresh = fresh;
	if (engine_reload(d->engine, &e) == -1)
		(void)daemon_fail("profiles kept", &e);
	log_event(LOG_INFO, "configuration read", NULL);
}

/* Until something may have happened. */
static void
wait_for_news(struct pubd *d)
{
	struct err e;

	if (store_crl_wait(d->wait, POLL_MS, &e) == -1)
		(void)usleep(WAIT_MS * 1000);
}

static int
loop(struct pubd *d)
{
	struct publish_conf conf = { .settings = d->settings,
		.engine = d->engine,
		.ctx = d->ctx,
		.holder = d->node,
		.dir = d->dir,
		.hook = d->hook };
	struct err e;

	/* the database may come later than we */
	while (engine_start(d->engine, &e) == -1 && !daemon_stopping()) {
		if (e.kind != ERR_UNAVAILABLE && e.kind != ERR_NOT_FOUND)
			return daemon_fail("cannot start", &e);
		if (!d->down)
			(void)daemon_fail("waiting", &e);
		d->down = true;
		(void)usleep(WAIT_MS * 1000);
	}
	if (publisher_new(&conf, &d->publisher, &e) == -1)
		return daemon_fail("cannot start", &e);
	while (!daemon_stopping()) {
		if (daemon_reload_asked())
			reload(d);
		run_timers(d);
		/* a list that cannot be made is an alarm, no reason to hide */
		if (!d->announced) {
			d->announced = true;
			log_event(LOG_INFO, "ready", NULL);
			notify_ready();
		}
		if (!daemon_stopping())
			wait_for_news(d);
	}
	publisher_free(d->publisher);
	return 0;
}

static int
enter_sandbox(const struct pubd *d, const struct settings *s)
{
	const char *read[] = { "/etc", "/usr", "/lib", "/dev/urandom",
		"/proc/self", s->policies, s->run_dir, daemon_file(), s->dir };
	const char *write[] = { d->dir };
	struct sandbox_conf conf = { .read = read,
		.n_read = sizeof(read) / sizeof(read[0]),
		.write = write,
		.n_write = 1,
		.no_tcp_listen = true };
	bool partial;
	struct err e;

	if (sandbox_enter(&conf, &partial, &e) == -1)
		return daemon_fail("sandbox", &e);
	if (!partial)
		return 0;
	log_event(d->require_sandbox ? LOG_ERROR : LOG_WARN, "sandbox", "msg",
	    "the kernel has no landlock: files are not fenced off", NULL);
	return d->require_sandbox ? -1 : 0;
}

static int
prepare(struct pubd *d, const struct settings *s, struct err *e)
{
	char host[NODE_SIZE / 2] = "";

	(void)gethostname(host, sizeof(host) - 1);
	(void)snprintf(
	    d->node, sizeof(d->node), "%s/pubd/%d", host, (int)getpid());
	d->dir = arena_printf(d->arena, "%s/pub", s->state_dir);
	/* a supervisor has changed to the user already */
	if (sandbox_drop(geteuid() == 0 ? s->users.pub : NULL, e) == -1)
		return -1;
	(void)mkdir(d->dir, 0755);
	if (s->crl_hook != NULL && hook_start(s->crl_hook, &d->hook, e) == -1)
		return -1;
	return settings_conninfo(
	    s, "chancery_pub", d->conninfo, sizeof(d->conninfo), e);
}

static int
run(struct pubd *d)
{
	const struct settings *s = d->settings;
	struct err e;
	int rc;

	if (prepare(d, s, &e) == -1)
		return daemon_fail("cannot start", &e);
	if (enter_sandbox(d, s) == -1)
		return -1;
	if (engine_new(s, "pub", d->node, &d->engine, &e) == -1)
		return daemon_fail("cannot start", &e);
	d->ctx = engine_ctx_new(d->engine);
	d->wait = db_new(d->conninfo, "chancery-pubd news");
	rc = loop(d);
	db_free(d->wait);
	engine_ctx_free(d->ctx);
	engine_free(d->engine);
	return rc;
}

static int
serve(const struct settings_file *file, bool require_sandbox)
{
	struct pubd d = { .settings = settings_get(file),
		.require_sandbox = require_sandbox,
		.arena = arena_new() };
	int rc = run(&d);

	hook_stop(d.hook);
	settings_free(d.fresh);
	arena_free(d.arena);
	if (rc == 0)
		log_event(LOG_INFO, "ended", NULL);
	return rc;
}

int
main(int argc, char **argv)
{
	static const struct daemon pubd = { .name = "pubd", .serve = serve };

	return daemon_main(&pubd, argc, argv);
}
