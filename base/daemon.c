#include "base/daemon.h"

#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>

#include "base/log.h"

static volatile sig_atomic_t stopping, reloading;

static void
on_signal(int sig)
{
	if (sig == SIGHUP)
		reloading = 1;
	else
		stopping = 1;
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
}

bool
daemon_stopping(void)
{
	return stopping != 0;
}

bool
daemon_reload_asked(void)
{
	bool asked = reloading != 0;

	reloading = 0;
	return asked;
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
	(void)fprintf(stderr,
	    "usage: chancery-%s [-d] [--require-sandbox] -c chancery.yaml\n",
	    d->name);
	return 2;
}

int
daemon_main(const struct daemon *d, int argc, char **argv)
{
	static const struct option options[] = {
		{ "require-sandbox", no_argument, NULL, 'S' },
		{ NULL, 0, NULL, 0 },
	};
	enum log_level level = LOG_INFO;
	struct settings_file *settings;
	const char *file = NULL;
	bool require = false;
	struct err e;
	int c, rc;

	while ((c = getopt_long(argc, argv, "c:d", options, NULL)) != -1) {
		if (c == 'c')
			file = optarg;
		else if (c == 'd')
			level = LOG_DEBUG;
		else if (c == 'S')
			require = true;
		else
			return usage(d);
	}
	if (file == NULL || optind != argc)
		return usage(d);
	log_init(d->name, level);
	(void)prctl(PR_SET_DUMPABLE, 0);
	catch_signals();
	if (settings_load(file, &settings, &e) == -1) {
		(void)daemon_fail("configuration", &e);
		return 1;
	}
	rc = d->serve(settings, require);
	settings_free(settings);
	return rc == -1 ? 1 : 0;
}
