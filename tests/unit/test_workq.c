#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>

#include "base/workq.h"

#define JOBS 5000
#define PUSHERS 4

struct tally {
	atomic_int made, freed, done, signals_open;
	sem_t started, gate;
};

struct worker {
	struct tally *tally;
	unsigned jobs; /* no lock: one thread only */
};

static void *
worker_new(void *arg)
{
	struct worker *w = calloc(1, sizeof(*w));
	sigset_t mask;

	if (w == NULL)
		abort();
	w->tally = arg;
	atomic_fetch_add(&w->tally->made, 1);
	pthread_sigmask(SIG_SETMASK, NULL, &mask);
	if (!sigismember(&mask, SIGTERM))
		atomic_fetch_add(&w->tally->signals_open, 1);
	return w;
}

static void
worker_free(void *arg)
{
	struct worker *w = arg;

	atomic_fetch_add(&w->tally->freed, 1);
	free(w);
}

static void
count(void *arg, void *job)
{
	struct worker *w = arg;
	int *hits = job;

	w->jobs++;
	++*hits;
	atomic_fetch_add(&w->tally->done, 1);
}

static void
wait_at_gate(void *arg, void *job)
{
	struct worker *w = arg;

	(void)job;
	sem_post(&w->tally->started);
	sem_wait(&w->tally->gate);
	atomic_fetch_add(&w->tally->done, 1);
}

struct pusher {
	struct workq *q;
	int *hits;
	int n;
};

static void *
push_all(void *arg)
{
	struct pusher *p = arg;
	int i;

	for (i = 0; i < p->n;)
		if (workq_push(p->q, &p->hits[i]))
			i++;
		else
			sched_yield();
	return NULL;
}

static void
test_every_job_once(void **state)
{
	static int hits[PUSHERS][JOBS];
	struct tally t = { 0 };
	struct workq_conf conf = { .workers = 3,
		.capacity = 16,
		.worker_new = worker_new,
		.worker_free = worker_free,
		.work = count,
		.arg = &t };
	struct pusher p[PUSHERS];
	pthread_t threads[PUSHERS];
	struct workq *q;
	struct err e;
	int i, j;

	(void)state;
	assert_int_equal(workq_new(&conf, &q, &e), 0);
	for (i = 0; i < PUSHERS; i++) {
		p[i] = (struct pusher){ q, hits[i], JOBS };
		pthread_create(&threads[i], NULL, push_all, &p[i]);
	}
	for (i = 0; i < PUSHERS; i++)
		pthread_join(threads[i], NULL);
	workq_free(q);
	assert_int_equal(t.made, 3);
	assert_int_equal(t.freed, 3);
	assert_int_equal(t.signals_open, 0);
	assert_int_equal(t.done, PUSHERS * JOBS);
	for (i = 0; i < PUSHERS; i++)
		for (j = 0; j < JOBS; j++)
			assert_int_equal(hits[i][j], 1);
}

static void
test_full_then_drained(void **state)
{
	struct tally t = { 0 };
	struct workq_conf conf = { .workers = 1,
		.capacity = 2,
		.worker_new = worker_new,
		.worker_free = worker_free,
		.work = wait_at_gate,
		.arg = &t };
	struct workq *q;
	struct err e;
	int job, i;

	(void)state;
	sem_init(&t.started, 0, 0);
	sem_init(&t.gate, 0, 0);
	assert_int_equal(workq_new(&conf, &q, &e), 0);
	assert_true(workq_push(q, &job));
	sem_wait(&t.started);
	assert_true(workq_push(q, &job));
	assert_true(workq_push(q, &job));
	assert_false(workq_push(q, &job));
	assert_int_equal(workq_depth(q), 2);
	for (i = 0; i < 3; i++)
		sem_post(&t.gate);
	workq_free(q); /* lets the queued two finish */
	assert_int_equal(t.done, 3);
	sem_destroy(&t.started);
	sem_destroy(&t.gate);
}

static void
test_wrong_conf(void **state)
{
	struct workq_conf conf = { .workers = 0, .capacity = 2, .work = count };
	struct workq *q = NULL;
	struct err e;

	(void)state;
	assert_int_equal(workq_new(&conf, &q, &e), -1);
	assert_int_equal(e.kind, ERR_INTERNAL);
	conf = (struct workq_conf){ .workers = 1, .work = count };
	assert_int_equal(workq_new(&conf, &q, &e), -1);
	assert_null(q);
	workq_free(NULL);
}

static void
nothing(void *worker, void *job)
{
	int *seen = job;

	*seen = worker == NULL;
}

static void
test_no_context(void **state)
{
	struct workq_conf conf = {
		.workers = 1, .capacity = 1, .work = nothing
	};
	struct workq *q;
	struct err e;
	int seen = 0;

	(void)state;
	assert_int_equal(workq_new(&conf, &q, &e), 0);
	assert_true(workq_push(q, &seen));
	workq_free(q);
	assert_int_equal(seen, 1);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_every_job_once),
		cmocka_unit_test(test_full_then_drained),
		cmocka_unit_test(test_wrong_conf),
		cmocka_unit_test(test_no_context),
	};

	return cmocka_run_group_tests_name("workq", tests, NULL, NULL);
}
