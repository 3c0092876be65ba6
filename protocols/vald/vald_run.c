#include "protocols/vald/vald_run.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/b64.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/notify.h"
#include "base/workq.h"
#include "db/db.h"
#include "db/store_vald.h"
#include "db/writer.h"
#include "protocols/vald/http01.h"

#define WAIT_MS 1000
#define RETRY_S 5
#define SAVE_TRIES 10
#define SAVE_PAUSE_MS 500
/* A lease lasts longer than any validation by this. */
#define LEASE_MARGIN_S 10

struct vald {
	const struct vald_run *run;
	char holder[128];
	struct netpolicy *policy;
	struct db *db;      /* leases */
	struct db *wait_db; /* listens */
	struct writer *writer;
	struct workq *queue;
	atomic_size_t busy;
	bool down;  /* the database, as logged last */
	bool ready; /* and the supervisor knows */
};

/* What one worker thread has for itself. */
struct worker {
	struct vald *vald;
	struct resolver *resolver;
	struct http01 *http01;
};

/* Jobs that were leased together share an arena; the last one frees it. */
struct batch {
	struct arena *arena;
	atomic_size_t left;
};

struct task {
	struct batch *batch;
	const struct store_vald_job *job;
};

static void
worker_free(void *arg)
{
	struct worker *w = arg;

	http01_free(w->http01);
	resolver_free(w->resolver);
	free(w);
}

static int
open_resolver(
    const struct settings_vald *c, struct resolver **out, struct err *e)
{
	AUTO(arena_auto) a = arena_new();
	struct resolve_override *o =
	    arena_array(a, c->resolve_count, sizeof(*o));
	struct resolve_conf conf = { o, c->resolve_count, c->dns_server };
	unsigned i;

	for (i = 0; i < c->resolve_count; i++) {
		const struct settings_resolve *r = &c->resolve[i];

		/* ".test" is the name itself, too */
		o[i] = (struct resolve_override){
			r->suffix + (r->suffix[0] == '.'), r->address
		};
	}
	return resolver_new(&conf, out, e);
}

static void *
worker_new(void *arg)
{
	struct vald *v = arg;
	const struct settings_vald *c = v->run->conf;
	struct http01_conf conf = { v->policy, c->http_port, c->https_port,
		(long)c->timeout_s * 1000 };
	struct worker *w = calloc(1, sizeof(*w));
	struct err e;

	if (w == NULL)
		abort();
	w->vald = v;
	if (open_resolver(c, &w->resolver, &e) == 0 &&
	    http01_new(&conf, w->resolver, &w->http01, &e) == 0)
		return w;
	/* the configuration was tried in start(): this is lack of memory */
	log_event(LOG_ERROR, "no worker", "msg", e.text, NULL);
	abort();
}

static void
check(struct worker *w, struct arena *a, const struct store_vald_job *job,
    struct outcome *out)
{
	struct http01_request req = { job->ident_value, job->token,
		arena_printf(a, "%s.%s", job->token,
		    b64url_encode(a,
			span_of(job->thumbprint, sizeof(job->thumbprint)))) };

	if (strcmp(job->type, "http-01") != 0 ||
	    strcmp(job->ident_type, "dns") != 0 || job->wildcard)
		(void)outcome_set(out, OUTCOME_UNAUTHORIZED,
		    "%s does not prove control of this identifier", job->type);
	else
		http01_check(w->http01, &req, out);
}

/* A host that does not answer may do so later; a wrong answer stays wrong. */
static bool
may_change(enum outcome_kind kind)
{
	return kind == OUTCOME_CONNECTION || kind == OUTCOME_DNS ||
	       kind == OUTCOME_TLS;
}

static void
pause_ms(long ms)
{
	struct timespec t = { ms / 1000, ms % 1000 * 1000000 };

	(void)nanosleep(&t, NULL);
}

/* The writer says UNAVAILABLE once when its connection was lost. */
static int
save(struct vald *v, const struct store_vald_result *res, struct err *e)
{
	int tries;

	for (tries = 0; tries < SAVE_TRIES; tries++) {
		if (store_vald_result(v->writer, res, e) == 0)
			return 0;
		if (e->kind != ERR_UNAVAILABLE)
			return -1;
		pause_ms(SAVE_PAUSE_MS);
	}
	return -1;
}

static void
record(
    struct vald *v, const struct store_vald_job *job, const struct outcome *o)
{
	bool ok = o->kind == OUTCOME_VALID;
	struct store_vald_result res = {
		.challenge = job->challenge,
		.authz = job->authz,
		.holder = v->holder,
		.ok = ok,
		.evidence = o->evidence[0] == '\0' ? NULL : o->evidence,
		.error_type = ok ? NULL : outcome_name(o->kind),
		.error_detail = ok ? NULL : o->detail,
	};
	struct err e;

	if (may_change(o->kind) && job->attempts >= 0 &&
	    (unsigned)job->attempts < v->run->conf->attempts)
		res.retry_s = RETRY_S;
	if (save(v, &res, &e) != 0) {
		/* the lease ends by itself, and somebody tries again */
		log_event(LOG_WARN, "validation not recorded", "challenge",
		    job->challenge, "msg", e.text, NULL);
		return;
	}
	log_event(LOG_INFO, "validation", "challenge", job->challenge, "type",
	    job->type, "name", job->ident_value, "result",
	    outcome_name(o->kind), "detail", ok ? NULL : o->detail, "again",
	    res.retry_s > 0 ? "yes" : NULL, NULL);
}

static void
batch_drop(struct batch *b)
{
	if (atomic_fetch_sub(&b->left, 1) != 1)
		return;
	arena_free(b->arena);
	free(b);
}

static void
work(void *arg, void *task)
{
	AUTO(arena_auto) a = arena_new();
	struct worker *w = arg;
	struct task *t = task;
	struct batch *b = t->batch;
	struct outcome o = { .kind = OUTCOME_VALID };

	check(w, a, t->job, &o);
	record(w->vald, t->job, &o);
	atomic_fetch_sub(&w->vald->busy, 1);
	batch_drop(b);
}

/* Leases at most 'room' challenges into a batch of their own. */
static int
take(struct vald *v, size_t room, struct batch *b, struct store_vald_job **jobs,
    size_t *n, struct err *e)
{
	const struct store_vald_lease lease = { v->holder, (int)room,
		(int)v->run->conf->timeout_s * 2 + LEASE_MARGIN_S };

	return store_vald_take(v->db, b->arena, &lease, jobs, n, e);
}

static void
hand_out(struct vald *v, struct batch *b, struct store_vald_job *jobs, size_t n)
{
	struct task *tasks = arena_array(b->arena, n, sizeof(*tasks));
	size_t i;

	/* one share is ours until all are handed out */
	atomic_store(&b->left, n + 1);
	for (i = 0; i < n; i++) {
		tasks[i] = (struct task){ b, &jobs[i] };
		atomic_fetch_add(&v->busy, 1);
		if (!workq_push(v->queue, &tasks[i])) {
			atomic_fetch_sub(&v->busy, 1);
			batch_drop(b);
		}
	}
	batch_drop(b);
}

/* Leases what fits; '*n' is how many that were. */
static int
step(struct vald *v, size_t *n, struct err *e)
{
	size_t room = v->run->conf->workers, busy = atomic_load(&v->busy);
	struct store_vald_job *jobs;
	struct batch *b;

	*n = 0;
	if (busy >= room)
		return 0;
	b = calloc(1, sizeof(*b));
	if (b == NULL)
		return err_set(e, ERR_UNAVAILABLE, "out of memory");
	b->arena = arena_new();
	atomic_store(&b->left, 1);
	if (take(v, room - busy, b, &jobs, n, e) != 0) {
		batch_drop(b);
		return -1;
	}
	hand_out(v, b, jobs, *n);
	return 0;
}

/* Logs that the database went or came back, once. */
static void
note_database(struct vald *v, const struct err *why)
{
	if (why != NULL && !v->down)
		log_event(LOG_ERROR, "no database", "msg", why->text, NULL);
	if (why == NULL && v->down)
		log_event(LOG_INFO, "database is back", NULL);
	v->down = why != NULL;
}

/* The first lease query that works: challenges will be taken up. */
static void
note_ready(struct vald *v)
{
	if (v->ready)
		return;
	v->ready = true;
	log_event(LOG_INFO, "ready", NULL);
	notify_ready();
}

static void
loop(struct vald *v)
{
	struct err e;
	size_t n;
	int rc;

	while (!atomic_load(v->run->stop)) {
		rc = step(v, &n, &e);
		if (rc == 0)
			note_ready(v);
		if (rc == 0 && n > 0)
			continue;
		if (rc == 0 && atomic_load(&v->busy) < v->run->conf->workers)
			rc = store_vald_wait(v->wait_db, WAIT_MS, &e);
		else if (rc == 0)
			pause_ms(20); /* all workers are busy */
		note_database(v, rc == 0 ? NULL : &e);
		if (rc != 0)
			pause_ms(500);
	}
}

/* The configured networks, and the database whatever they say. */
static int
open_policy(struct vald *v, struct err *e)
{
	const struct settings_vald *c = v->run->conf;
	AUTO(arena_auto) a = arena_new();
	size_t n = c->deny_networks_count + v->run->n_deny, i;
	const char **deny = arena_array(a, n, sizeof(*deny));
	struct netpolicy_conf conf = { c->allow_networks,
		c->allow_networks_count, deny, n };

	for (i = 0; i < n; i++)
		deny[i] = i < v->run->n_deny
			      ? v->run->deny[i]
			      : c->deny_networks[i - v->run->n_deny];
	return netpolicy_new(&conf, &v->policy, e);
}

static int
start(struct vald *v, struct err *e)
{
	const struct settings_vald *c = v->run->conf;
	struct workq_conf q = { .workers = c->workers,
		.capacity = c->workers,
		.worker_new = worker_new,
		.worker_free = worker_free,
		.work = work,
		.arg = v };

	struct resolver *probe = NULL;

	if (open_resolver(c, &probe, e) != 0)
		return -1;
	resolver_free(probe);
	(void)snprintf(v->holder, sizeof(v->holder), "%s/%ld/%" PRId64,
	    v->run->node, (long)getpid(), clock_now_us());
	if (open_policy(v, e) != 0)
		return -1;
	v->db = db_new(v->run->conninfo, "chancery-vald");
	v->wait_db = db_new(v->run->conninfo, "chancery-vald wait");
	if (writer_new(v->run->conninfo, "vald", v->run->node, &v->writer, e) !=
	    0)
		return -1;
	return workq_new(&q, &v->queue, e);
}

static void
end(struct vald *v)
{
	workq_free(v->queue);
	writer_free(v->writer);
	db_free(v->db);
	db_free(v->wait_db);
	netpolicy_free(v->policy);
}

int
vald_run(const struct vald_run *run, struct err *e)
{
	struct vald v = { .run = run };
	int rc;

	rc = start(&v, e);
	if (rc == 0)
		loop(&v);
	end(&v);
	return rc;
}
