/*
 * A chancery-enrolld with EST over HTTPS beside the CA of bench/world.h, and
 * a secret for it.
 */
#ifndef BENCH_EST_WORLD_H
#define BENCH_EST_WORLD_H

#include <stdint.h>
#include <sys/types.h>

#include "bench/world.h"

#define EST_WORLD_HOST "est.bench.test"
#define EST_WORLD_USER "bench"

struct est_world {
	const struct world *ca;
	pid_t enrolld;
	uint16_t port;      /* on 127.0.0.1; the host's name is above */
	const char *root;   /* PEM file of the CA */
	const char *secret; /* of EST_WORLD_USER, for many certificates */
};

/*
 * Makes it; a failure ends the process with a line on stderr.  Everything is
 * taken down again when the process exits.
 */
const struct est_world *est_world_new(void);

#endif
