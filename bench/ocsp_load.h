/*
 * An HTTP client that asks as fast as it is answered: keep-alive connections,
 * one request at a time on each, by epoll.
 */
#ifndef BENCH_OCSP_LOAD_H
#define BENCH_OCSP_LOAD_H

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

#include "base/span.h"

struct load {
	uint16_t port; /* on 127.0.0.1 */
	const struct span *requests;
	size_t n_requests; /* asked in turn */
	size_t threads, connections;
	int seconds;
	unsigned pause_us;       /* of a thread, after each round of answers */
	const atomic_bool *stop; /* NULL, or ends it before that */
	/* out */
	size_t n, failed; /* answers; those that were not 200 or cut off */
	double wall_s, p50_ms, p99_ms;
	size_t body; /* octets of the last answer's body */
};

/* Runs it; ends the process when there is no server. */
void load_run(struct load *l);

#endif
