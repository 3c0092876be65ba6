#include "base/daemon.h"

#include <getopt.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/prctl.h>

#include "base/log.h"

/* What getopt returns for the first act. */
#define FIRST_ACT 1000

static atomic_bool stopping, reloading;
static const char *settings_name;

static void
on_signal(int sig)
{
	if (sig == SIGHUP)
		atomic_store(&reloading, true);
	else
		atomic_store(&stopping, true);
}

static void
catch_signals(void)
{
	struct sigaction sa = { .sa_handler = on_signal };

	(void)sigaction(SIGTERM, &sa, NULL);
	(void)sigaction(SIGINT, &sa, NULL);
	(void)sigaction(SIGHUP, &sa, NULL);
	sa.sa_handler = SIG_IGN;
	(void)sigaction(SIGPIPE, &sa, NULL);
	(void)sigaction(SIGXFSZ, &sa, NULL);
}

const char *
daemon_file(void)
{
	return settings_name;
}

bool
daemon_stopping(void)
{
	return atomic_load(&stopping);
}

bool
daemon_reload_asked(void)
{
	return atomic_exchange(&reloading, false);
}

int
daemon_fail(const char *what, const struct err *e)
{
	log_event(LOG_ERROR, what, "msg", e->text, NULL);
	return -1;
}

static int
usage(const struct daemon *d)
{
	const struct daemon_act *act;

	(void)fprintf(stderr,
	    "usage: chancery-%s [-d] [--require-sandbox] -c chancery.yaml\n",
	    d->name);
	for (act = d->acts; act != NULL && act->name != NULL; act++)
		(void)fprintf(stderr,
		    "       chancery-%s --%s -c chancery.yaml\n", d->name,
		    act->name);
	return 2;
}

/* What the command line says. */
struct asked {
	enum log_level level;
	bool require_sandbox;
	const struct daemon_act *act; /* NULL: to serve */
};

static bool
read_options(const struct daemon *d, int argc, char **argv, struct asked *asked)
{
	struct option options[DAEMON_ACTS_MAX + 2] = { { "require-sandbox",
	    no_argument, NULL, 'S' } };
	int c, i;

	for (i = 0; d->acts != NULL && d->acts[i].name != NULL; i++)
		options[i + 1] = (struct option){ d->acts[i].name, no_argument,
			NULL, FIRST_ACT + i };
	while ((c = getopt_long(argc, argv, "c:d", options, NULL)) != -1) {
		if (c == 'c')
			settings_name = optarg;
		else if (c == 'd')
			asked->level = LOG_DEBUG;
		else if (c == 'S')
			asked->require_sandbox = true;
		else if (c >= FIRST_ACT)
			asked->act = &d->acts[c - FIRST_ACT];
		else
			return false;
	}
	return settings_name != NULL && optind == argc;
}

int
daemon_main(const struct daemon *d, int argc, char **argv)
{
	struct asked asked = { .level = LOG_INFO };
	struct settings_file *settings;
	struct err e;
	int rc;

	if (!read_options(d, argc, argv, &asked))
		return usage(d);
	log_init(d->name, asked.level);
	(void)prctl(PR_SET_DUMPABLE, 0);
	catch_signals();
	if (settings_load(settings_name, &settings, &e) == -1) {
		(void)daemon_fail("configuration", &e);
		return 1;
	}
	rc = asked.act != NULL ? asked.act->run(settings)
			       : d->serve(settings, asked.require_sandbox);
	settings_free(settings);
	return rc == -1 ? 1 : 0;
}
