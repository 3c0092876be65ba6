/*
 * chancery-vald as a process: signals, user, sandbox, then the work.  What
 * main() adds is the reading of options and of chancery.yaml.
 */
#ifndef PROTOCOLS_VALD_VALD_SERVE_H
#define PROTOCOLS_VALD_VALD_SERVE_H

#include <stdbool.h>
#include <stddef.h>

#include "protocols/vald/vald_run.h"

struct vald_serve {
	struct vald_run run; /* 'stop' and 'deny' are filled in here */
	const char *user;    /* to become; NULL: stay */
	/* What may be read: /etc for the resolver, a directory with the
	 * database's socket; nothing may be written. */
	const char *const *read;
	size_t n_read;
	bool require_sandbox; /* end when the kernel has no landlock */
};

/*
 * Works until SIGTERM or SIGINT; SIGHUP and SIGPIPE are ignored.  Logs why it
 * ends and returns the exit status, 0 or 1.  Called by the main thread before
 * any other thread exists.
 */
int vald_serve(const struct vald_serve *s);

#endif
