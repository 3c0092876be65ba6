/*
 * Child processes that are kept running: started under their own OS user,
 * told to end by process id, started again with back-off when they die.
 */
#ifndef CTL_SERVICE_H
#define CTL_SERVICE_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/err.h"

#define SERVICES_MAX 8
#define SERVICE_ARGS_MAX 12

struct service {
	const char *name;
	const char *argv[SERVICE_ARGS_MAX]; /* NULL at the end */
	const char *user;                   /* NULL: as we are */
	const char *const *environment;     /* "NAME=value", added to ours */
	size_t n_environment;
	int stop_signal; /* SIGTERM, or SIGINT for PostgreSQL's fast stop */
	bool notifies;   /* sends READY=1; others are ready when started */
	/* state */
	pid_t pid; /* 0: not running */
	bool ready;
	int64_t started_us, restart_us;
	unsigned failures;
};

/* Forks and executes; the child's stderr is ours. */
int service_start(struct service *s, struct err *e) MUST_USE;

/* Notes that the child ended with 'status' and when to start it again. */
void service_ended(struct service *s, int status);

/* Signals the child, waits up to 'timeout_ms', then kills it. */
void service_stop(struct service *s, int timeout_ms);

/*
 * Runs 'work' in a child under 'user' and waits: -1 with the child's error
 * text when it fails.
 */
int service_run_as(const char *user, int (*work)(void *arg, struct err *e),
    void *arg, struct err *e) MUST_USE;

#endif
