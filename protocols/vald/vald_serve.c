#include "protocols/vald/vald_serve.h"

#include <signal.h>

#include <curl/curl.h>

#include "base/arena.h"
#include "base/log.h"
#include "base/sandbox.h"
#include "db/db.h"

static atomic_bool stopping;

static void
on_stop(int number)
{
	(void)number;
	atomic_store(&stopping, true);
}

static void
set_signals(void)
{
	struct sigaction stop = { .sa_handler = on_stop };
	struct sigaction ignore = { .sa_handler = SIG_IGN };

	(void)sigaction(SIGTERM, &stop, NULL);
	(void)sigaction(SIGINT, &stop, NULL);
	(void)sigaction(SIGPIPE, &ignore, NULL);
	/* a supervisor tells every daemon to read its files again */
	(void)sigaction(SIGHUP, &ignore, NULL);
}

static int
confine(const struct vald_serve *s, struct err *e)
{
	struct sandbox_conf conf = { .read = s->read,
		.n_read = s->n_read,
		.seccomp = true,
		.no_tcp_listen = true };
	bool partial;

	if (sandbox_drop(s->user, e) != 0 ||
	    sandbox_enter(&conf, &partial, e) != 0)
		return -1;
	if (partial && s->require_sandbox)
		return err_set(e, ERR_REFUSED,
		    "this kernel has no landlock that can do what is required");
	if (partial)
		log_event(LOG_WARN, "sandbox is partial", "msg",
		    "the kernel's landlock is absent or old", NULL);
	return 0;
}

static int
serve(const struct vald_serve *s, struct err *e)
{
	AUTO(arena_auto) a = arena_new();
	struct vald_run run = s->run;

	run.stop = &stopping;
	set_signals();
	if (db_hosts(run.conninfo, a, &run.deny, &run.n_deny, e) != 0)
		return -1;
	/* libcurl and its TLS library read their files before the sandbox */
	if (curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK)
		return err_set(e, ERR_UNAVAILABLE, "libcurl does not start");
	if (confine(s, e) != 0)
		return -1;
	log_event(LOG_INFO, "started", NULL);
	return vald_run(&run, e);
}

int
vald_serve(const struct vald_serve *s)
{
	struct err e;
	int rc = serve(s, &e);

	if (rc != 0)
		log_event(LOG_ERROR, "ended", "msg", e.text, NULL);
	else
		log_event(LOG_INFO, "ended", NULL);
	curl_global_cleanup();
	return rc == 0 ? 0 : 1;
}
