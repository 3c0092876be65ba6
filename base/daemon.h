/*
 * What the main functions of the daemons that read chancery.yaml share:
 * options, log, signals.  One per process.
 */
#ifndef BASE_DAEMON_H
#define BASE_DAEMON_H

#include <stdbool.h>

#include "base/err.h"
#include "base/settings.h"

#define DAEMON_ACTS_MAX 6

/* Something else than serving that the program does, asked for by --NAME. */
struct daemon_act {
	const char *name;
	int (*run)(const struct settings_file *file);
};

/* A daemon; functions return 0, or -1 after they have logged why. */
struct daemon {
	const char *name; /* in the log, such as "enrolld" */
	int (*serve)(const struct settings_file *file, bool require_sandbox);
	const struct daemon_act *acts; /* a name of NULL ends them; or NULL */
};

/*
 * Reads the options -c FILE, -d and --require-sandbox, starts the log, forbids
 * core files, catches SIGTERM, SIGINT and SIGHUP, loads the settings and
 * serves, or does the act that is asked for.  The exit status of the process:
 * 0, 1, or 2 for wrong usage.
 */
int daemon_main(const struct daemon *d, int argc, char **argv);

/* The name of the settings file, for reading it again. */
const char *daemon_file(void);

/* Whether SIGTERM or SIGINT has come; from any thread. */
bool daemon_stopping(void);

/* Whether SIGHUP has come since the last call. */
bool daemon_reload_asked(void);

/* Logs 'what' and why; returns -1. */
int daemon_fail(const char *what, const struct err *e);

#endif
