/*
 * A bounded queue and its worker threads.  Code below it needs no locks: each
 * worker has a context of its own.
 */
#ifndef BASE_WORKQ_H
#define BASE_WORKQ_H

#include <stdbool.h>
#include <stddef.h>

#include "base/err.h"

struct workq;

struct workq_conf {
	size_t workers;
	size_t capacity; /* waiting jobs; beyond it workq_push says no */
	/* Makes and frees a worker's context, in the worker's thread; both
	 * may be NULL: no context. */
	void *(*worker_new)(void *arg);
	void (*worker_free)(void *worker);
	/* Does one job. */
	void (*work)(void *worker, void *job);
	void *arg; /* for worker_new */
};

/*
 * Starts the workers, with all signals blocked: they belong to the main
 * thread.  UNAVAILABLE when threads or memory are short.
 */
int workq_new(
    const struct workq_conf *conf, struct workq **out, struct err *e) MUST_USE;

/* Queues a job (not NULL); false when the queue is full or ending. */
bool workq_push(struct workq *q, void *job);

/* Jobs waiting now. */
size_t workq_depth(struct workq *q);

/* Lets the queued jobs finish, ends the workers and frees the queue. */
void workq_free(struct workq *q);

#endif
