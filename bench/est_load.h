/*
 * EST clients that ask as fast as they are answered: a keep-alive connection
 * and a thread each.
 */
#ifndef BENCH_EST_LOAD_H
#define BENCH_EST_LOAD_H

#include <pthread.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

#include <openssl/types.h>

#include "base/span.h"
#include "bench/latency.h"

struct est_load;

struct est_client {
	const struct span *csrs; /* DER, each sent once */
	size_t n_csrs;
	EVP_PKEY *key;    /* of 'cert', for the renewal */
	struct span cert; /* DER */
	/* of the thread */
	pthread_t thread;
	struct est_load *load;
	struct latency latency;
	size_t done;
};

struct est_load {
	uint16_t port;
	const char *host, *root; /* PEM file */
	const char *user, *secret;
	bool renew; /* /simplereenroll with the certificates, or by secret */
	struct est_client *clients;
	size_t n_clients;
	/* what is running now */
	atomic_bool measuring, stop;
	atomic_size_t at_work; /* clients that have requests left */
};

/* One enrollment by secret, not measured; fills in the client's 'cert'. */
void est_load_first(struct est_load *l, struct est_client *c, struct span csr);

/* Starts the clients; failures end the process. */
void est_load_start(struct est_load *l);

/* Ends them and sums up what they did while 'measuring' was true. */
void est_load_stop(struct est_load *l, struct latency_sum *out);

#endif
