/* chancery-ocspd: answers OCSP requests from memory, serves CRLs. */
#include <libgen.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/daemon.h"
#include "base/file.h"
#include "base/log.h"
#include "base/notify.h"
#include "base/sandbox.h"
#include "base/settings.h"
#include "ocsp/crls.h"
#include "ocsp/feed.h"
#include "ocsp/responder.h"
#include "ocsp/service.h"
#include "ocsp/setup.h"

#define CONNINFO_SIZE 5000
#define HOST_SIZE 256
#define IDLE_TIMEOUT_S 15
#define TICK_MS 1000
/* How long the end waits for who may be waiting for the database. */
#define PATIENCE_US ((int64_t)3 * 1000 * 1000)
#define END_TICK_MS 20
#define SPARE_FILES 64

struct ocspd {
	struct arena *arena;
	const struct settings *settings;
	char read_db[CONNINFO_SIZE], write_db[CONNINFO_SIZE];
	char host[HOST_SIZE];
	const char *dir, *accept; /* of the snapshot */
	struct answer_world world;
	struct feed *feed;
	struct responder *responder;
	struct statics *statics;
	struct service *service;
	struct crls *crls;
	struct http_server *http;
	bool require_sandbox;
	atomic_bool idle; /* nobody waits for the database any more */
};

static void
set_names(struct ocspd *d)
{
	const struct settings *s = d->settings;

	if (s->ocsp.host != NULL)
		(void)snprintf(d->host, sizeof(d->host), "%s", s->ocsp.host);
	else
		(void)gethostname(d->host, sizeof(d->host) - 1);
	d->dir = dirname(arena_strdup(d->arena, s->ocsp.snapshot));
	d->accept = arena_printf(d->arena, "%s/accept", d->dir);
}

/* All that is read before the sandbox closes. */
static int
prepare(struct ocspd *d, struct err *e)
{
	const struct settings *s = d->settings;
	struct responder_conf conf = { .world = &d->world,
		.host = d->host,
		.host_key = s->ocsp.host_key,
		.conninfo = d->write_db,
		.lifetime_s = s->ocsp.certificate_lifetime_s };

	d->world.epoch = epoch_new();
	d->world.validity_s = s->ocsp.validity_s;
	d->world.stale_s = s->ocsp.stale_s;
	d->world.extended_revoked = strcmp(s->ocsp.unknown, "revoked") == 0;
	if (settings_conninfo(s, "chancery_ocsp", d->write_db,
		sizeof(d->write_db), e) == -1 ||
	    settings_read_conninfo(
		s, "chancery_ocsp", d->read_db, sizeof(d->read_db), e) == -1 ||
	    setup_authorities(d->arena, s, &d->world.authorities,
		&d->world.n_authorities, e) == -1)
		return -1;
	if (crls_new(s, d->read_db, &d->crls, e) == -1)
		return -1;
	d->statics = statics_new(s->ocsp.files);
	if (setup_certificates(d->statics, s, e) == -1)
		return -1;
	return responder_new(&conf, &d->responder, e);
}

/* Every connection is a descriptor; more than we have would be refused. */
static void
raise_limit(const struct settings *s)
{
	struct rlimit r;

	if (getrlimit(RLIMIT_NOFILE, &r) == -1 ||
	    r.rlim_cur >= s->ocsp.connections + SPARE_FILES)
		return;
	r.rlim_cur = s->ocsp.connections + SPARE_FILES;
	if (r.rlim_cur > r.rlim_max)
		r.rlim_cur = r.rlim_max;
	if (setrlimit(RLIMIT_NOFILE, &r) == -1 ||
	    r.rlim_cur < s->ocsp.connections + SPARE_FILES)
		log_event(
		    LOG_WARN, "few descriptors for these connections", NULL);
}

static int
confine(const struct ocspd *d, struct err *e)
{
	const struct settings *s = d->settings;
	const char *const read[] = { "/etc", "/usr", "/lib", "/dev/urandom",
		"/proc/self", s->run_dir };
	const char *const write[] = { d->dir, s->ocsp.files };
	struct sandbox_conf conf = { .read = read,
		.n_read = sizeof(read) / sizeof(read[0]),
		.write = write,
		.n_write = 2,
		.seccomp = true };
	bool partial;

	raise_limit(s);
	(void)mkdir(d->dir, 0700);
	(void)mkdir(s->ocsp.files, 0755);
	if (sandbox_enter(&conf, &partial, e) == -1)
		return -1;
	if (partial && d->require_sandbox)
		return err_set(e, ERR_REFUSED, "the kernel has no landlock");
	if (partial)
		log_event(LOG_WARN, "sandbox", "msg",
		    "the kernel has no landlock: files are not fenced off",
		    NULL);
	return 0;
}

static int
open_http(struct ocspd *d, struct err *e)
{
	const struct settings *s = d->settings;
	struct service_conf service = { .world = &d->world,
		.feed = d->feed,
		.statics = d->statics,
		.cache = s->ocsp.cache };
	struct http_listener l = { s->ocsp.address, s->ocsp.port, false };
	struct http_conf conf = { .listeners = &l,
		.n_listeners = 1,
		.body_max = OCSP_REQ_SIZE_MAX,
		.connections = s->ocsp.connections,
		.per_address = s->per_address,
		.timeout_s = IDLE_TIMEOUT_S,
		.worker_new = service_thread_new,
		.worker_free = service_thread_free,
		.handle_now = service_handle,
		.threads = s->ocsp.threads };

	setup_prefixes(d->arena, s, &service.prefixes, &service.n_prefixes);
	d->service = service_new(&service);
	conf.arg = d->service;
	return http_server_new(&conf, &d->http, e);
}

static void
pause_ms(long ms)
{
	struct timespec t = { ms / 1000, ms % 1000 * 1000000 };

	(void)nanosleep(&t, NULL);
}

static void
save(struct ocspd *d)
{
	struct err e;

	if (feed_save(d->feed, &e) == -1)
		log_event(LOG_ERROR, "snapshot", "msg", e.text, NULL);
}

/*
 * CRLs are fetched from a database that is believed; before that, those of
 * old are what it is compared with.
 */
static void
step_crls(struct ocspd *d)
{
	struct feed_health h;

	feed_health(d->feed, &h);
	if (h.trust == ANSWER_CURRENT && h.bounded)
		crls_step(d->crls);
}

/* What may wait for the database, beside the feed. */
static void *
keep_house(void *arg)
{
	struct ocspd *d = arg;

	while (!daemon_stopping()) {
		responder_step(d->responder);
		step_crls(d);
		pause_ms(TICK_MS);
	}
	return NULL;
}

/*
 * Snapshots need no database, and neither does the end: libpq waits for a
 * server that has frozen as long as it takes, and nobody may interrupt it.
 */
static void *
keep_snapshots(void *arg)
{
	struct ocspd *d = arg;
	int64_t interval = d->settings->ocsp.snapshot_interval_s * 1000000;
	int64_t next = clock_mono_us() + interval;

	while (!daemon_stopping()) {
		if (clock_mono_us() >= next) {
			save(d);
			next = clock_mono_us() + interval;
		}
		pause_ms(TICK_MS);
	}
	next = clock_mono_us() + PATIENCE_US;
	while (!atomic_load(&d->idle) && clock_mono_us() < next)
		pause_ms(END_TICK_MS);
	save(d);
	if (!atomic_load(&d->idle)) {
		log_event(LOG_WARN, "ended", "msg",
		    "the database does not answer: not waited for", NULL);
		_exit(0);
	}
	return NULL;
}

/* Follows the feed; tells the supervisor when there is something to serve. */
static void
run(struct ocspd *d)
{
	bool told = false;

	while (!daemon_stopping()) {
		feed_step(d->feed);
		if (told || atomic_load(&d->world.trust) == ANSWER_EMPTY)
			continue;
		told = true;
		log_event(LOG_INFO, "ready", "host", d->host, NULL);
		notify_ready();
	}
}

static int
start_thread(
    struct ocspd *d, void *(*body)(void *), pthread_t *thread, struct err *e)
{
	sigset_t all, before;
	int rc;

	/* signals belong to the main thread */
	(void)sigfillset(&all);
	(void)pthread_sigmask(SIG_SETMASK, &all, &before);
	rc = pthread_create(thread, NULL, body, d);
	(void)pthread_sigmask(SIG_SETMASK, &before, NULL);
	return rc == 0 ? 0 : err_set(e, ERR_UNAVAILABLE, "no thread");
}

static int
run_all(struct ocspd *d)
{
	const struct feed_conf feed = { &d->world, d->read_db,
		d->settings->ocsp.snapshot, d->accept,
		d->settings->ocsp.files };
	pthread_t house, snapshots;
	struct err e;

	if (confine(d, &e) == -1)
		return daemon_fail("sandbox", &e);
	d->feed = feed_new(&feed);
	if (open_http(d, &e) == -1 ||
	    start_thread(d, keep_house, &house, &e) == -1)
		return daemon_fail("start", &e);
	if (start_thread(d, keep_snapshots, &snapshots, &e) == -1) {
		(void)daemon_fail("start", &e);
		_exit(1); /* the other thread uses all of it */
	}
	run(d);
	(void)pthread_join(house, NULL);
	atomic_store(&d->idle, true);
	(void)pthread_join(snapshots, NULL);
	return 0;
}

static void
clear(struct ocspd *d)
{
	http_server_free(d->http);
	service_free(d->service);
	statics_free(d->statics);
	crls_free(d->crls);
	feed_free(d->feed);
	responder_free(d->responder);
	epoch_free(d->world.epoch);
}

static int
start(struct ocspd *d)
{
	struct err e;
	int rc;

	set_names(d);
	/* a supervisor has changed to the user already */
	if (geteuid() == 0 && sandbox_drop(d->settings->users.ocsp, &e) == -1)
		return daemon_fail("user", &e);
	rc = prepare(d, &e) == -1 ? daemon_fail("configuration", &e)
				  : run_all(d);
	clear(d);
	return rc;
}

static struct ocspd *
new_ocspd(const struct settings_file *file)
{
	static struct ocspd d;

	d.settings = settings_get(file);
	d.arena = arena_new();
	return &d;
}

static int
serve(const struct settings_file *file, bool require_sandbox)
{
	struct ocspd *d = new_ocspd(file);
	int rc;

	d->require_sandbox = require_sandbox;
	rc = start(d);
	arena_free(d->arena);
	return rc;
}

static int
make_key(const struct settings_file *file)
{
	struct ocspd *d = new_ocspd(file);
	const char *pem;
	struct err e;
	int rc;

	if (responder_make_host_key(
		d->arena, d->settings->ocsp.host_key, &pem, &e) == -1)
		rc = daemon_fail("host key", &e);
	else
		rc = fputs(pem, stdout) < 0 ? -1 : 0;
	arena_free(d->arena);
	return rc;
}

static int
accept_database(const struct settings_file *file)
{
	struct ocspd *d = new_ocspd(file);
	struct err e;
	int rc;

	set_names(d);
	rc = file_replace(d->accept, span_str("accept\n"), 0600, &e);
	if (rc == -1)
		(void)daemon_fail("accept", &e);
	arena_free(d->arena);
	return rc;
}

int
main(int argc, char **argv)
{
	static const struct daemon_act acts[] = {
		{ "make-host-key", make_key },
		{ "accept-database", accept_database },
		{ NULL, NULL },
	};
	static const struct daemon ocspd = { "ocspd", serve, acts };

	return daemon_main(&ocspd, argc, argv);
}
