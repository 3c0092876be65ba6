#include "base/workq.h"

#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

struct workq {
	struct workq_conf conf;
	pthread_mutex_t lock;
	pthread_cond_t wake;
	void **ring;
	size_t head, n;
	bool ending;
	pthread_t *threads;
	size_t n_threads;
};

/* Waits for a job; NULL when the queue is empty and ending. */
static void *
next_job(struct workq *q)
{
	void *job = NULL;

	(void)pthread_mutex_lock(&q->lock);
	while (q->n == 0 && !q->ending)
		(void)pthread_cond_wait(&q->wake, &q->lock);
	if (q->n > 0) {
		job = q->ring[q->head];
		q->head = (q->head + 1) % q->conf.capacity;
		q->n--;
	}
	(void)pthread_mutex_unlock(&q->lock);
	return job;
}

static void *
run_worker(void *arg)
{
	struct workq *q = arg;
	void *worker = NULL, *job;

	if (q->conf.worker_new != NULL)
		worker = q->conf.worker_new(q->conf.arg);
	while ((job = next_job(q)) != NULL)
		q->conf.work(worker, job);
	if (q->conf.worker_free != NULL)
		q->conf.worker_free(worker);
	return NULL;
}

/* Signals belong to the main thread: workers start with all of them blocked. */
static int
start_workers(struct workq *q)
{
	sigset_t all, before;
	int rc = 0;

	(void)sigfillset(&all);
	(void)pthread_sigmask(SIG_SETMASK, &all, &before);
	while (rc == 0 && q->n_threads < q->conf.workers) {
		rc = pthread_create(
		    &q->threads[q->n_threads], NULL, run_worker, q);
		if (rc == 0)
			q->n_threads++;
	}
	(void)pthread_sigmask(SIG_SETMASK, &before, NULL);
	return rc;
}

int
workq_new(const struct workq_conf *conf, struct workq **out, struct err *e)
{
	struct workq *q;
	int rc;

	if (conf->workers == 0 || conf->capacity == 0)
		return err_set(
		    e, ERR_INTERNAL, "a queue needs workers and room");
	q = calloc(1, sizeof(*q));
	if (q == NULL)
		return err_set(e, ERR_UNAVAILABLE, "out of memory");
	q->conf = *conf;
	(void)pthread_mutex_init(&q->lock, NULL);
	(void)pthread_cond_init(&q->wake, NULL);
	q->ring = calloc(conf->capacity, sizeof(*q->ring));
	q->threads = calloc(conf->workers, sizeof(*q->threads));
	if (q->ring == NULL || q->threads == NULL) {
		workq_free(q);
		return err_set(e, ERR_UNAVAILABLE, "out of memory");
	}
	rc = start_workers(q);
	if (rc != 0) {
		workq_free(q);
		return err_set(e, ERR_UNAVAILABLE, "cannot start a thread: %s",
		    strerror(rc));
	}
	*out = q;
	return 0;
}

bool
workq_push(struct workq *q, void *job)
{
	bool ok;

	(void)pthread_mutex_lock(&q->lock);
	ok = !q->ending && q->n < q->conf.capacity;
	if (ok) {
		q->ring[(q->head + q->n) % q->conf.capacity] = job;
		q->n++;
		(void)pthread_cond_signal(&q->wake);
	}
	(void)pthread_mutex_unlock(&q->lock);
	return ok;
}

size_t
workq_depth(struct workq *q)
{
	size_t n;

	(void)pthread_mutex_lock(&q->lock);
	n = q->n;
	(void)pthread_mutex_unlock(&q->lock);
	return n;
}

void
workq_free(struct workq *q)
{
	size_t i;

	if (q == NULL)
		return;
	(void)pthread_mutex_lock(&q->lock);
	q->ending = true;
	(void)pthread_cond_broadcast(&q->wake);
	(void)pthread_mutex_unlock(&q->lock);
	for (i = 0; i < q->n_threads; i++)
		(void)pthread_join(q->threads[i], NULL);
	(void)pthread_cond_destroy(&q->wake);
	(void)pthread_mutex_destroy(&q->lock);
	free(q->threads);
	free(q->ring);
	free(q);
}
