/*
 * The work of chancery-vald: leases challenges that wait, asks the hosts, and
 * records what came out.  A lease that a crash leaves behind ends by itself.
 */
#ifndef PROTOCOLS_VALD_VALD_RUN_H
#define PROTOCOLS_VALD_VALD_RUN_H

#include <stdatomic.h>
#include <stddef.h>

#include "base/err.h"
#include "base/settings.h"

struct vald_run {
	const struct settings_vald *conf; /* after vald_check */
	const char *conninfo;             /* of the role vald */
	const char *node;                 /* this machine, in lease rows */
	const atomic_bool *stop;          /* set to end */
	/* Addresses denied whatever 'conf' allows: the database's. */
	const char *const *deny;
	size_t n_deny;
};

/*
 * Works until '*stop' (looked at every second or so), then lets running
 * validations finish.  The process has called curl_global_init.  A database
 * that is down is waited for; notify_ready is called when it answers.
 * MALFORMED or UNAVAILABLE only at the start.
 */
int vald_run(const struct vald_run *run, struct err *e) MUST_USE;

#endif
