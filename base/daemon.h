/*
 * What the main functions of the daemons that read chancery.yaml share:
 * options, log, signals.  One per process.
 */
#ifndef BASE_DAEMON_H
#define BASE_DAEMON_H

#include <stdbool.h>

#include "base/err.h"
#include "base/settings.h"

/* A daemon; 'serve' returns 0, or -1 after it has logged why. */
struct daemon {
	const char *name; /* in the log, such as "enrolld" */
	int (*serve)(const struct settings_file *file, bool require_sandbox);
};

/*
 * Reads the options -c FILE, -d and --require-sandbox, starts the log, forbids
 * core files, catches SIGTERM, SIGINT and SIGHUP, loads the settings and
 * serves.  The exit status of the process: 0, 1, or 2 for wrong usage.
 */
int daemon_main(const struct daemon *d, int argc, char **argv);

/* Whether SIGTERM or SIGINT has come. */
bool daemon_stopping(void);

/* Whether SIGHUP has come since the last call. */
bool daemon_reload_asked(void);

/* Logs 'what' and why; returns -1. */
int daemon_fail(const char *what, const struct err *e);

#endif
