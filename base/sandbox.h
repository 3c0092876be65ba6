/*
 * What a daemon gives up after its start: root, new privileges, the file
 * system beyond its own directories (landlock), and system calls it never
 * makes (seccomp).  Everything it needs open is opened before, or lies below
 * the paths it names.  Called once, before the first thread starts: landlock
 * and seccomp bind the calling thread and those it creates.
 */
#ifndef BASE_SANDBOX_H
#define BASE_SANDBOX_H

#include <stdbool.h>
#include <stddef.h>

#include "base/err.h"

struct sandbox_conf {
	/* Files and directories (with all below them); absent ones are no
	 * error: they stay out of reach. */
	const char *const *read;
	size_t n_read;
	const char *const *write; /* also read, made and removed */
	size_t n_write;
	bool seccomp;
	bool no_tcp_listen; /* no TCP bind (Linux 6.7 and later) */
};

/*
 * Becomes 'user' with its own groups, for good; a process that already runs
 * as that user (or a NULL user) stays as it is.  NOT_FOUND: no such user;
 * REFUSED: not permitted.
 */
int sandbox_drop(const char *user, struct err *e) MUST_USE;

/*
 * Sets no_new_privs, then landlock, then seccomp.  '*partial' tells that the
 * kernel has no landlock (or too old a one for 'no_tcp_listen'): the caller
 * warns, or ends when --require-sandbox was given.  INTERNAL when a call that
 * should work fails.
 */
int sandbox_enter(
    const struct sandbox_conf *conf, bool *partial, struct err *e) MUST_USE;

#endif
