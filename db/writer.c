#include "db/writer.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/metrics.h"
#include "db/writer_int.h"

#define LEASE_TTL_S 30
#define LEASE_RENEW_US (10 * INT64_C(1000000))
#define IDLE_US 500000

/*
 * How long a batch waits for callers who wrote a moment ago and will be back:
 * a transaction costs as much CPU as ten rows (docs/adr/0003).  A caller who
 * is alone never waits.
 */
#define GATHER_US 2000

struct writer {
	struct db *db;
	struct batch *batch;
	char *role, *node; /* role NULL: asynchronous, no number */
	struct batch_writer lease;
	int64_t renewed_us;
	struct metric *batches, *rows;
	pthread_t thread;
	pthread_mutex_t lock; /* protects what follows */
	pthread_cond_t work;
	struct writer_job *head, **tail;
	size_t waiting, expected;
	int32_t number;
	bool stop;
};

static const struct db_stmt take_stmt = { "writer_take",
	"SELECT taken, taken_epoch FROM writer_take($1, $2, $3)", false };
static const struct db_stmt renew_stmt = { "writer_renew",
	"SELECT writer_renew($1, $2, $3)", false };

static void
publish_number(struct writer *w)
{
	(void)pthread_mutex_lock(&w->lock);
	w->number = w->lease.number;
	(void)pthread_mutex_unlock(&w->lock);
}

static int
take_lease(struct writer *w, struct err *e)
{
	AUTO(PGresult) r = NULL;
	struct db_args a = { .n = 0 };

	db_arg_text(&a, w->role);
	db_arg_text(&a, w->node);
	db_arg_i4(&a, LEASE_TTL_S);
	if (db_one(w->db, &take_stmt, &a, &r, "writer number", e) == -1)
		return -1;
	w->lease.number = db_i4(r, 0, 0);
	w->lease.epoch = db_i8(r, 0, 1);
	w->renewed_us = clock_mono_us();
	publish_number(w);
	return 0;
}

static void
lose_lease(struct writer *w)
{
	w->lease.number = 0;
	publish_number(w);
}

/* Extends the lease to 'ttl_s' from now; 0 gives it back. */
static int
renew_lease(struct writer *w, int ttl_s, struct err *e)
{
	AUTO(PGresult) r = NULL;
	struct db_args a = { .n = 0 };

	db_arg_i4(&a, w->lease.number);
	db_arg_i8(&a, w->lease.epoch);
	db_arg_i4(&a, ttl_s);
	if (db_exec(w->db, &renew_stmt, &a, &r, e) == -1)
		return -1;
	w->renewed_us = clock_mono_us();
	if (!db_bool(r, 0, 0))
		lose_lease(w);
	return 0;
}

/* A working connection and a lease that is fresh. */
static int
be_ready(struct writer *w, struct err *e)
{
	if (db_ready(w->db, e) == -1)
		return -1;
	if (w->role == NULL)
		return 0;
	if (w->lease.number != 0 &&
	    clock_mono_us() - w->renewed_us > LEASE_RENEW_US &&
	    renew_lease(w, LEASE_TTL_S, e) == -1)
		return -1;
	if (w->lease.number == 0)
		return take_lease(w, e);
	return 0;
}

static int
run_once(struct writer *w, struct batch_work *work, struct err *e)
{
	work->lost = false;
	if (be_ready(w, e) == -1)
		return -1;
	return batch_run(w->batch, work, e);
}

/* As run_once, but once more under a new number when the old one is lost. */
static int
run_jobs(struct writer *w, struct writer_job *const *jobs, size_t n,
    bool careful, struct err *e)
{
	struct batch_work work = { .db = w->db,
		.writer = &w->lease,
		.jobs = jobs,
		.n = n,
		.careful = careful };

	if (run_once(w, &work, e) == 0)
		return 0;
	if (!work.lost)
		return -1;
	lose_lease(w);
	return run_once(w, &work, e);
}

static void
settle(struct writer_job *j, int rc, const struct err *e)
{
	j->rc = rc;
	if (rc == -1)
		j->err = *e;
}

/*
 * One transaction for all.  When a row makes it fail, the careful forms say
 * which; when they fail too, each is tried alone, so that only the guilty one
 * gets the error.
 */
static void
write_jobs(struct writer *w, struct writer_job *const *jobs, size_t n)
{
	struct err e = { .kind = ERR_NONE };
	int64_t from = clock_mono_us();
	size_t i;
	int rc;

	rc = run_jobs(w, jobs, n, false, &e);
	metric_observe_us(w->batches, clock_mono_us() - from);
	metric_add(w->rows, n);
	if (rc == -1 && e.kind != ERR_UNAVAILABLE)
		rc = run_jobs(w, jobs, n, true, &e);
	if (rc == 0 || e.kind == ERR_UNAVAILABLE || n == 1) {
		for (i = 0; i < n; i++)
			settle(jobs[i], rc, &e);
		return;
	}
	for (i = 0; i < n; i++) {
		rc = run_jobs(w, &jobs[i], 1, true, &e);
		settle(jobs[i], rc, &e);
	}
}

/* Waits for a signal, at most 'us'; false when the time is over. */
static bool
wait_us(struct writer *w, int64_t us)
{
	struct timespec until;

	(void)clock_gettime(CLOCK_MONOTONIC, &until);
	until.tv_nsec += us * 1000;
	until.tv_sec += until.tv_nsec / 1000000000;
	until.tv_nsec %= 1000000000;
	return pthread_cond_timedwait(&w->work, &w->lock, &until) == 0;
}

/* Until as many callers wait as lately did, or the time is over. */
static void
gather(struct writer *w)
{
	int64_t end = clock_mono_us() + GATHER_US, now = end - GATHER_US;

	while (w->waiting < w->expected && !w->stop && now < end) {
		(void)wait_us(w, end - now);
		now = clock_mono_us();
	}
	if (w->waiting >= w->expected)
		w->expected = w->waiting;
	else
		w->expected -= (w->expected - w->waiting + 3) / 4;
}

/* Takes what waits; waits a little when nothing does.  0: nothing came. */
static size_t
next_jobs(struct writer *w, struct writer_job **jobs, bool *stop)
{
	size_t n = 0;

	(void)pthread_mutex_lock(&w->lock);
	if (w->head == NULL && !w->stop)
		(void)wait_us(w, IDLE_US);
	if (w->head != NULL)
		gather(w);
	while (w->head != NULL && n < BATCH_MAX) {
		jobs[n++] = w->head;
		w->head = w->head->next;
	}
	if (w->head == NULL)
		w->tail = &w->head;
	w->waiting -= n;
	*stop = w->stop;
	(void)pthread_mutex_unlock(&w->lock);
	return n;
}

static bool
is_done(const struct writer_job *j)
{
	return j->rc == 0 && j->answered && j->code == WRITER_OK;
}

/* A job that was woken may be gone. */
static void
wake(struct writer_job *const *jobs, size_t n)
{
	const struct writer_wait *how;
	size_t i;

	for (i = 0; i < n; i++) {
		how = jobs[i]->how;
		if (how != NULL)
			how->wake(how->arg, is_done(jobs[i]));
		else
			(void)sem_post(&jobs[i]->done);
	}
}

static void *
writer_main(void *arg)
{
	struct writer *w = arg;
	struct writer_job *jobs[BATCH_MAX];
	struct err e;
	bool stop;
	size_t n;

	do {
		n = next_jobs(w, jobs, &stop);
		if (n > 0) {
			write_jobs(w, jobs, n);
			wake(jobs, n);
		} else if (!stop) {
			(void)be_ready(w, &e); /* the next call says why */
		}
	} while (n > 0 || !stop);
	if (w->lease.number != 0 && db_pg(w->db) != NULL)
		(void)renew_lease(w, 0, &e);
	return NULL;
}

static void
init_sync(struct writer *w)
{
	pthread_condattr_t attr;

	(void)pthread_mutex_init(&w->lock, NULL);
	(void)pthread_condattr_init(&attr);
	(void)pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	(void)pthread_cond_init(&w->work, &attr);
	(void)pthread_condattr_destroy(&attr);
}

static void
release(struct writer *w)
{
	(void)pthread_cond_destroy(&w->work);
	(void)pthread_mutex_destroy(&w->lock);
	batch_free(w->batch);
	db_free(w->db);
	free(w->role);
	free(w->node);
	free(w);
}

static int
start(const char *conninfo, const char *role, const char *node,
    struct writer **out, struct err *e)
{
	struct writer *w = calloc(1, sizeof(*w));

	if (w == NULL)
		abort();
	w->db = db_new(conninfo, role == NULL ? "async writer" : node);
	w->batch = batch_new();
	w->tail = &w->head;
	if (role == NULL) {
		db_session(w->db, "SET synchronous_commit = off");
	} else {
		w->role = strdup(role);
		w->node = strdup(node);
	}
	w->batches = metrics_histogram("chancery_writer_batch_seconds",
	    "Time that a transaction of the grouping writer takes.", NULL);
	w->rows = metrics_counter("chancery_writer_acts_total",
	    "Acts that the grouping writer was given.", NULL);
	init_sync(w);
	if (pthread_create(&w->thread, NULL, writer_main, w) != 0) {
		release(w);
		return err_set(e, ERR_INTERNAL, "no thread for the writer");
	}
	*out = w;
	return 0;
}

int
writer_new(const char *conninfo, const char *role, const char *node,
    struct writer **out, struct err *e)
{
	return start(conninfo, role, node, out, e);
}

int
writer_new_async(const char *conninfo, struct writer **out, struct err *e)
{
	return start(conninfo, NULL, NULL, out, e);
}

void
writer_free(struct writer *w)
{
	if (w == NULL)
		return;
	(void)pthread_mutex_lock(&w->lock);
	w->stop = true;
	(void)pthread_cond_signal(&w->work);
	(void)pthread_mutex_unlock(&w->lock);
	(void)pthread_join(w->thread, NULL);
	release(w);
}

int
writer_number(struct writer *w, uint16_t *number, struct err *e)
{
	int32_t held;

	(void)pthread_mutex_lock(&w->lock);
	held = w->number;
	(void)pthread_mutex_unlock(&w->lock);
	if (held == 0)
		return err_set(e, ERR_UNAVAILABLE, "no writer number is held");
	*number = (uint16_t)held;
	return 0;
}

static struct writer_val *
next_col(struct writer_row *r)
{
	if (r->n == WRITER_COLS_MAX)
		abort();
	return &r->cols[r->n++];
}

void
writer_int(struct writer_row *r, int64_t v)
{
	next_col(r)->i = v;
}

void
writer_bytes(struct writer_row *r, struct span v)
{
	next_col(r)->s = v;
}

void
writer_text(struct writer_row *r, const char *v)
{
	struct writer_val *col = next_col(r);

	col->null = v == NULL;
	col->s = span_str(v);
}

void
writer_null(struct writer_row *r)
{
	next_col(r)->null = true;
}

/* Queues the jobs and wakes the writer's thread. */
static void
submit(struct writer *w, struct writer_job *jobs, size_t n)
{
	size_t i;

	for (i = 0; i < n; i++)
		(void)sem_init(&jobs[i].done, 0, 0);
	(void)pthread_mutex_lock(&w->lock);
	for (i = 0; i < n; i++) {
		*w->tail = &jobs[i];
		w->tail = &jobs[i].next;
	}
	w->waiting += n;
	if (w->waiting == n || w->waiting >= w->expected)
		(void)pthread_cond_signal(&w->work);
	(void)pthread_mutex_unlock(&w->lock);
}

static void
await(struct writer_job *j)
{
	if (j->how != NULL)
		j->how->wait(j->how->arg);
	while (j->how == NULL && sem_wait(&j->done) == -1 && errno == EINTR)
		continue;
	(void)sem_destroy(&j->done);
}

static int
check_row(const struct writer *w, const struct writer_row *r, struct err *e)
{
	if ((size_t)r->n != strlen(r->stmt->cols))
		return err_set(e, ERR_INTERNAL,
		    "statement \"%s\" has %zu columns, not %d",
		    r->stmt->db.name, strlen(r->stmt->cols), r->n);
	if (w->role == NULL && !r->stmt->unnumbered)
		return err_set(e, ERR_INTERNAL,
		    "statement \"%s\" needs a writer number", r->stmt->db.name);
	return 0;
}

static const struct {
	enum err_kind kind;
	const char *text;
} answers[] = {
	[WRITER_OK] = { ERR_CONFLICT, "the row exists already" },
	[WRITER_CONFLICT] = { ERR_CONFLICT, "the row exists already" },
	[WRITER_NOT_FOUND] = { ERR_NOT_FOUND, "no such row" },
	[WRITER_BAD_KEY] = { ERR_BAD_KEY, "the key is unacceptable" },
	[WRITER_UNAUTHENTICATED] = { ERR_UNAUTHENTICATED,
	    "the proof was used already" },
	[WRITER_REFUSED] = { ERR_REFUSED, "this may not be" },
};

static int
outcome(const struct writer_job *j, struct err *e)
{
	enum writer_code code;

	if (j->rc == -1)
		return err_set(e, j->err.kind, "%s", j->err.text);
	if (is_done(j))
		return 0;
	code = j->answered ? j->code : WRITER_CONFLICT;
	return err_set(e, answers[code].kind, "%s", answers[code].text);
}

int
writer_do(
    struct writer *w, const struct writer_row *r, int64_t *value, struct err *e)
{
	return writer_do_with(w, r, NULL, value, e);
}

int
writer_do_with(struct writer *w, const struct writer_row *r,
    const struct writer_wait *how, int64_t *value, struct err *e)
{
	struct writer_job j = { .row = r, .how = how };

	if (check_row(w, r, e) == -1)
		return -1;
	submit(w, &j, 1);
	await(&j);
	if (value != NULL && j.rc == 0)
		*value = j.value;
	return outcome(&j, e);
}

void
writer_do_all(
    struct writer *w, const struct writer_row *rows, size_t n, struct err *errs)
{
	struct writer_job *jobs = calloc(n, sizeof(*jobs));
	size_t i;

	if (n == 0) {
		free(jobs);
		return;
	}
	if (jobs == NULL)
		abort();
	for (i = 0; i < n; i++) {
		jobs[i].row = &rows[i];
		if (check_row(w, &rows[i], &errs[i]) == -1)
			abort();
	}
	submit(w, jobs, n);
	for (i = 0; i < n; i++) {
		await(&jobs[i]);
		if (outcome(&jobs[i], &errs[i]) == 0)
			errs[i].kind = ERR_NONE;
	}
	free(jobs);
}
