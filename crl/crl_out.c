#include "crl/crl_out.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/file.h"
#include "base/log.h"
#include "base/workq.h"

struct crl_out {
	const char *dir;
	struct hook *hook;
	struct workq *thread;
	pthread_mutex_t lock;
	pthread_cond_t idle;
	bool busy;           /* the thread has a job */
	struct arena *arena; /* what 'job' points to */
	struct crl_out_job job;
	void *failed; /* whose file failed, and why */
	struct err why;
};

/* A list is not copied together for its file. */
static int
write_parts(void *arg, int fd)
{
	const struct crl_out_job *job = arg;
	void *p = mmap(NULL, job->size, PROT_READ, MAP_SHARED, job->fd, 0);
	int r;

	if (p == MAP_FAILED)
		return -1;
	r = file_write_all(fd, job->front) == 0 &&
		    file_write_all(fd, span_of(p, job->size)) == 0 &&
		    file_write_all(fd, job->tail) == 0
		? 0
		: -1;
	(void)munmap(p, job->size);
	return r;
}

static int
run(struct crl_out *o, struct err *e)
{
	struct crl_out_job *job = &o->job;
	const char *path = arena_printf(
	    o->arena, "%s/%s.%s.crl", o->dir, job->issuer, job->scope);
	struct err why;

	if (file_replace_by(path, 0644, write_parts, job, e) == -1)
		return -1;
	if (hook_run(o->hook, path, job->issuer, job->scope, &why) == -1)
		log_event(LOG_ERROR, "hook", "msg", why.text, NULL);
	return 0;
}

/* In the thread. */
static void
work(void *worker, void *arg)
{
	struct crl_out *o = arg;
	struct err e;
	int r = run(o, &e);

	(void)worker;
	(void)close(o->job.fd);
	(void)pthread_mutex_lock(&o->lock);
	if (r == -1) {
		o->failed = o->job.owner;
		o->why = e;
	}
	o->busy = false;
	(void)pthread_cond_signal(&o->idle);
	(void)pthread_mutex_unlock(&o->lock);
}

int
crl_out_new(
    const char *dir, struct hook *hook, struct crl_out **out, struct err *e)
{
	const struct workq_conf conf = {
		.workers = 1, .capacity = 1, .work = work
	};
	struct crl_out *o = calloc(1, sizeof(*o));

	if (o == NULL)
		return err_set(e, ERR_UNAVAILABLE, "out of memory");
	o->dir = dir;
	o->hook = hook;
	if (workq_new(&conf, &o->thread, e) == -1) {
		free(o);
		return -1;
	}
	o->arena = arena_new();
	(void)pthread_mutex_init(&o->lock, NULL);
	(void)pthread_cond_init(&o->idle, NULL);
	*out = o;
	return 0;
}

void
crl_out_free(struct crl_out *o)
{
	if (o == NULL)
		return;
	workq_free(o->thread);
	arena_free(o->arena);
	(void)pthread_cond_destroy(&o->idle);
	(void)pthread_mutex_destroy(&o->lock);
	free(o);
}

static void
wait_idle(struct crl_out *o)
{
	(void)pthread_mutex_lock(&o->lock);
	while (o->busy)
		(void)pthread_cond_wait(&o->idle, &o->lock);
	(void)pthread_mutex_unlock(&o->lock);
}

int
crl_out_put(struct crl_out *o, const struct crl_out_job *job, struct err *e)
{
	int fd;

	wait_idle(o);
	fd = fcntl(job->fd, F_DUPFD_CLOEXEC, 0);
	if (fd < 0)
		return err_set(
		    e, ERR_UNAVAILABLE, "file of a CRL: %s", strerror(errno));
	arena_reset(o->arena);
	o->job = *job;
	o->job.fd = fd;
	o->job.issuer = arena_strdup(o->arena, job->issuer);
	o->job.scope = arena_strdup(o->arena, job->scope);
	o->job.front = span_dup(o->arena, job->front);
	o->job.tail = span_dup(o->arena, job->tail);
	o->busy = true;
	if (workq_push(o->thread, o))
		return 0;
	o->busy = false;
	(void)close(fd);
	return err_set(e, ERR_UNAVAILABLE, "file of a CRL: no thread");
}

void *
crl_out_failed(struct crl_out *o, struct err *why)
{
	void *owner;

	(void)pthread_mutex_lock(&o->lock);
	owner = o->failed;
	*why = o->why;
	o->failed = NULL;
	(void)pthread_mutex_unlock(&o->lock);
	return owner;
}
