/*
 * The work of chancery-vald: leases challenges that wait, asks the hosts, and
 * records what came out.  A lease that a crash leaves behind ends by itself.
 */
#ifndef PROTOCOLS_VALD_VALD_RUN_H
#define PROTOCOLS_VALD_VALD_RUN_H

#include <stdatomic.h>

#include "base/err.h"
#include "protocols/vald/vald_conf.h"

struct vald_run {
	const struct vald_conf *conf; /* after vald_conf_check */
	const char *conninfo;         /* of the role vald */
	const char *node;             /* this machine, in lease rows */
	const atomic_bool *stop;      /* set to end */
};

/*
 * Works until '*stop' (looked at every second or so), then lets running
 * validations finish.  The process has called curl_global_init.  A database
 * that is down is waited for; MALFORMED or UNAVAILABLE only at the start.
 */
int vald_run(const struct vald_run *run, struct err *e) MUST_USE;

#endif
