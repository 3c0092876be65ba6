#include "crl/publish.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/metrics.h"
#include "crl/crl_emit.h"

#define LEASE_S 6
#define LEASE_EVERY_US ((int64_t)1500 * 1000)
#define RETRY_MIN_US ((int64_t)2 * 1000 * 1000)
#define RETRY_MAX_US ((int64_t)60 * 1000 * 1000)
#define LATE_EVERY_US ((int64_t)60 * 1000 * 1000)

/* A revocation counts as on the list before when it is this much older. */
#define SETTLED_S 600

/* The mark of what has left moves at most this often. */
#define LEAVE_EVERY_S 3600
#define DAY_S ((int64_t)86400)

/* Below what signd allows to be lost in a day, so that a release still fits. */
#define LEAVE_FREE 80
#define LEAVE_PERCENT 4

/* What is known of one issuer. */
struct plan {
	const struct issuer *issuer;
	const struct settings_crl *conf;
	bool changed; /* something was revoked or released */
	int64_t last_number;
	int64_t retry_us, backoff_us; /* after a failure */
	int64_t late_us;              /* when lateness was last said */
};

struct publisher {
	struct publish_conf conf;
	struct plan *plans;
	size_t n;
	struct store_crl_feed feed;
	int64_t epoch, lease_us;
	struct metric *published, *failed, *late;
};

/* One turn. */
struct turn {
	struct publisher *p;
	struct arena *a;
	struct store_crls all;
	int64_t now;
};

static const struct settings_crl *
schedule(const struct settings *s, const char *issuer)
{
	unsigned i;

	for (i = 0; i < s->issuers_count; i++) {
		if (strcmp(s->issuers[i].name, issuer) == 0)
			return &s->issuers[i].crl;
	}
	return NULL;
}

struct publisher *
publisher_new(const struct publish_conf *conf)
{
	const struct issuer_set *set = engine_issuers(conf->engine);
	struct publisher *p = calloc(1, sizeof(*p));
	size_t i;

	if (p == NULL)
		abort();
	p->conf = *conf;
	p->n = issuer_count(set);
	p->plans = calloc(p->n, sizeof(*p->plans));
	if (p->plans == NULL)
		abort();
	for (i = 0; i < p->n; i++)
		p->plans[i].issuer = issuer_at(set, i);
	publisher_reload(p, conf->settings);
	p->published = metrics_counter("chancery_crl_published_total",
	    "CRLs that were made public.", NULL);
	p->failed = metrics_counter("chancery_crl_failures_total",
	    "CRLs that could not be made.", NULL);
	p->late = metrics_counter("chancery_crl_late_minutes_total",
	    "Minutes in which an issuer's CRL was late.", NULL);
	return p;
}

void
publisher_reload(struct publisher *p, const struct settings *settings)
{
	const struct settings_crl *s;
	size_t i;

	p->conf.settings = settings;
	for (i = 0; i < p->n; i++) {
		s = schedule(settings, p->plans[i].issuer->name);
		if (s != NULL)
			p->plans[i].conf = s;
	}
}

void
publisher_free(struct publisher *p)
{
	if (p == NULL)
		return;
	if (p->epoch != 0)
		store_crl_release(p->conf.ctx->db, p->epoch);
	store_crl_feed_clear(&p->feed);
	free(p->plans);
	free(p);
}

bool
publisher_active(const struct publisher *p)
{
	return p->epoch != 0;
}

/* Keeps or takes the lease; who takes it knows nothing of what was. */
static int
keep_lease(struct publisher *p, struct err *e)
{
	int64_t now = clock_mono_us(), before = p->epoch;
	size_t i;

	if (p->lease_us != 0 && now < p->lease_us + LEASE_EVERY_US)
		return 0;
	if (store_crl_lease(
		p->conf.ctx->db, p->conf.holder, LEASE_S, &p->epoch, e) == -1) {
		p->epoch = 0;
		return -1;
	}
	p->lease_us = now;
	if (p->epoch == before)
		return 0;
	log_event(LOG_INFO,
	    p->epoch != 0 ? "publishing" : "another process publishes", NULL);
	for (i = 0; i < p->n; i++)
		p->plans[i].changed = true;
	return 0;
}

static int
hear_news(struct turn *t, struct err *e)
{
	struct publisher *p = t->p;
	int *issuers;
	size_t i, k, n;

	if (store_crl_news(p->conf.ctx->db, t->a, &p->feed, &issuers, &n, e) ==
	    -1)
		return -1;
	for (i = 0; i < p->n; i++) {
		for (k = 0; k < n; k++) {
			if (p->plans[i].issuer->id == issuers[k])
				p->plans[i].changed = true;
		}
	}
	return 0;
}

static const struct store_crl *
find(const struct turn *t, const struct plan *plan, const char *scope)
{
	const struct store_crl *c = t->all.list;

	for (; c < t->all.list + t->all.n; c++) {
		if (c->issuer == plan->issuer->id &&
		    strcmp(c->scope, scope) == 0)
			return c;
	}
	return NULL;
}

static bool
on_revocation(const struct plan *plan)
{
	return plan->changed && (plan->conf->on_revocation == NULL ||
				    *plan->conf->on_revocation);
}

static bool
complete_due(
    const struct turn *t, const struct plan *plan, const struct crl_scope *s)
{
	const struct store_crl *c = find(t, plan, s->name);

	if (c == NULL || t->now >= c->this_update + plan->conf->interval_s ||
	    t->now >= c->next_update - plan->conf->overlap_s / 2)
		return true;
	/* where there are deltas, these say it */
	return on_revocation(plan) && s->freshest_urls.n == 0 &&
	       t->now >= c->this_update + plan->conf->min_gap_s;
}

static bool
delta_due(
    const struct turn *t, const struct plan *plan, const struct crl_scope *s)
{
	const struct store_crl *c = find(t, plan, s->name);
	const struct store_crl *d = find(t, plan, s->delta);

	/* at the same time both would need one number, RFC 5280 5.2.3 */
	if (s->freshest_urls.n == 0 || c == NULL || t->now <= c->this_update)
		return false;
	if (d == NULL || d->base_number != c->number ||
	    t->now >= d->this_update + plan->conf->delta_interval_s)
		return true;
	return on_revocation(plan) &&
	       t->now >= d->this_update + plan->conf->min_gap_s;
}

/* One sequence for a scope and its deltas; not below the clock. */
static int64_t
next_number(
    const struct turn *t, const struct plan *plan, const struct crl_scope *s)
{
	const struct store_crl *c = find(t, plan, s->name);
	const struct store_crl *d = find(t, plan, s->delta);
	int64_t n = t->now;

	if (n <= plan->last_number)
		n = plan->last_number + 1;
	if (c != NULL && n <= c->number)
		n = c->number + 1;
	if (d != NULL && n <= d->number)
		n = d->number + 1;
	return n;
}

static void
fill_complete(const struct turn *t, const struct plan *plan,
    const struct crl_scope *s, struct crl_list *l)
{
	l->scope = s;
	l->row = (struct store_crl){ .issuer = plan->issuer->id,
		.this_update = t->now,
		.next_update =
		    t->now + plan->conf->interval_s + plan->conf->overlap_s };
	l->expired_since =
	    plan->conf->keep_expired ? plan->issuer->not_before : CRL_NO_TIME;
	(void)snprintf(l->row.scope, sizeof(l->row.scope), "%s", s->name);
}

static void
fill_delta(const struct turn *t, const struct plan *plan,
    const struct crl_scope *s, struct crl_list *l)
{
	const struct store_crl *c = find(t, plan, s->name);
	const struct store_crl *d = find(t, plan, s->delta);

	fill_complete(t, plan, s, l);
	l->row.base_number = c->number;
	l->row.mark = c->mark;
	l->base_id = c->id;
	l->before_id = d != NULL && d->base_number == c->number ? d->id : 0;
	l->row.next_update = t->now + 2 * plan->conf->delta_interval_s;
	if (l->row.next_update > c->next_update)
		l->row.next_update = c->next_update;
	(void)snprintf(l->row.scope, sizeof(l->row.scope), "%s", s->delta);
}

/*
 * Lets expired entries leave that were on a list since they expired, but not
 * more of them in a day than signd takes for an ordinary loss.
 */
static int
let_leave(const struct turn *t, const struct plan *plan,
    const struct store_crl *last, struct store_crl_query *q, uint64_t *gone,
    struct err *e)
{
	struct db *db = t->p->conf.ctx->db;
	struct store_crl_leave leave = { .until =
					     last->this_update - SETTLED_S };
	uint64_t today;

	*gone = 0;
	if (plan->conf->keep_expired ||
	    (q->mark.at != STORE_CRL_NO_TIME &&
		leave.until < q->mark.at + LEAVE_EVERY_S))
		return 0;
	if (store_crl_gone(db, last, t->now - DAY_S, &today, e) == -1)
		return -1;
	leave.max = last->entries * LEAVE_PERCENT / 100;
	if (leave.max < LEAVE_FREE)
		leave.max = LEAVE_FREE;
	if (leave.max <= today)
		return 0;
	leave.max -= today;
	if (store_crl_advance(db, t->a, q, &leave, e) == -1)
		return -1;
	*gone = leave.gone;
	return 0;
}

/* The mark of a round, the same for all its lists. */
static int
choose_mark(const struct turn *t, const struct plan *plan, struct crl_round *r,
    struct store_crl_mark *mark, struct err *e)
{
	struct store_crl_query q = { .issuer = plan->issuer->id,
		.mark = { .at = STORE_CRL_NO_TIME } };
	const struct store_crl *last = find(t, plan, r->lists[0].scope->name);
	uint64_t gone = 0;
	size_t i;

	if (last != NULL && !plan->conf->keep_expired)
		q.mark = last->mark;
	if (last != NULL && r->lists[0].row.base_number == 0 &&
	    let_leave(t, plan, last, &q, &gone, e) == -1)
		return -1;
	for (i = 0; i < r->n; i++) {
		r->lists[i].row.mark = q.mark;
		r->lists[i].row.gone = gone;
	}
	*mark = q.mark;
	return 0;
}

static void
tell(const struct turn *t, const struct crl_list *l, const char *path,
    const struct plan *plan)
{
	char number[24], entries[24];
	struct err e;

	(void)snprintf(number, sizeof(number), "%" PRId64, l->row.number);
	(void)snprintf(entries, sizeof(entries), "%" PRIu64, l->row.entries);
	log_event(LOG_INFO, "CRL published", "issuer", plan->issuer->name,
	    "scope", l->row.scope, "number", number, "entries", entries, NULL);
	metric_add(t->p->published, 1);
	if (t->p->conf.hook != NULL &&
	    hook_run(t->p->conf.hook, path, plan->issuer->name, l->row.scope,
		&e) == -1)
		log_event(LOG_ERROR, "hook", "msg", e.text, NULL);
}

static int
emit_all(struct turn *t, struct plan *plan, struct crl_round *r, struct err *e)
{
	struct crl_emit x = { .ctx = t->p->conf.ctx,
		.issuer = plan->issuer,
		.dir = t->p->conf.hook == NULL ? NULL : t->p->conf.dir };
	size_t i;

	for (i = 0; i < r->n; i++) {
		if (keep_lease(t->p, e) == -1)
			return -1;
		if (t->p->epoch == 0)
			return err_set(e, ERR_UNAVAILABLE,
			    "another publisher has the lease");
		x.epoch = t->p->epoch;
		if (crl_emit(&x, &r->lists[i], e) == -1)
			return err_prefix(e, "%s", r->lists[i].row.scope);
		tell(t, &r->lists[i], x.path, plan);
	}
	return 0;
}

/* Builds and publishes the lists of a round. */
static int
run_round(struct turn *t, struct plan *plan, struct crl_round *r, struct err *e)
{
	struct store_crl_mark mark;
	size_t i;
	int rc;

	for (i = 0; i < r->n; i++) {
		r->lists[i].row.number =
		    next_number(t, plan, r->lists[i].scope);
		if (r->lists[i].row.number > plan->last_number)
			plan->last_number = r->lists[i].row.number;
	}
	if (choose_mark(t, plan, r, &mark, e) == -1)
		return -1;
	rc = crl_round_build(t->p->conf.ctx->db, r, &mark, e);
	if (r->skipped > 0)
		log_msg(LOG_ERROR, "serials that are none are on no CRL", "%zu",
		    r->skipped);
	if (rc == 0)
		rc = emit_all(t, plan, r, e);
	crl_round_clear(r);
	return rc;
}

/* What is due of an issuer: complete lists first. */
static int
publish_due(struct turn *t, struct plan *plan, struct err *e)
{
	struct crl_round r = { .issuer = plan->issuer };
	struct crl_scope *scopes;
	size_t i, n;

	scopes = crl_scopes(t->a, plan->issuer, &n);
	r.lists = arena_array(t->a, n, sizeof(*r.lists));
	for (i = 0; i < n; i++) {
		if (complete_due(t, plan, &scopes[i]))
			fill_complete(t, plan, &scopes[i], &r.lists[r.n++]);
	}
	for (i = 0; r.n == 0 && i < n; i++) {
		if (delta_due(t, plan, &scopes[i]))
			fill_delta(t, plan, &scopes[i], &r.lists[r.n++]);
	}
	if (r.n == 0)
		return 0;
	/* what changes from here on may be on the lists or not */
	plan->changed = false;
	if (run_round(t, plan, &r, e) == 0)
		return 0;
	plan->changed = true;
	return -1;
}

static void
failed(struct turn *t, struct plan *plan, const struct err *why)
{
	plan->backoff_us =
	    plan->backoff_us == 0 ? RETRY_MIN_US : plan->backoff_us * 2;
	if (plan->backoff_us > RETRY_MAX_US)
		plan->backoff_us = RETRY_MAX_US;
	plan->retry_us = clock_mono_us() + plan->backoff_us;
	metric_add(t->p->failed, 1);
	log_event(LOG_ERROR, "CRL not published", "issuer", plan->issuer->name,
	    "kind", err_kind_name(why->kind), "msg", why->text, NULL);
}

bool
publish_is_late(
    const struct settings_crl *conf, const struct store_crl *row, int64_t now_s)
{
	return row == NULL ||
	       now_s >
		   row->this_update + conf->interval_s + conf->overlap_s / 4 ||
	       now_s > row->next_update;
}

static void
alarm_late(struct turn *t, struct plan *plan)
{
	struct crl_scope *scopes;
	const struct store_crl *c;
	size_t i, n;

	if (plan->late_us != 0 &&
	    clock_mono_us() < plan->late_us + LATE_EVERY_US)
		return;
	scopes = crl_scopes(t->a, plan->issuer, &n);
	for (i = 0; i < n; i++) {
		c = find(t, plan, scopes[i].name);
		if (!publish_is_late(plan->conf, c, t->now))
			continue;
		plan->late_us = clock_mono_us();
		/* the very first one is being made */
		if (c == NULL && plan->backoff_us == 0)
			continue;
		metric_add(t->p->late, 1);
		log_event(LOG_ERROR, "CRL is late", "issuer",
		    plan->issuer->name, "scope", scopes[i].name, NULL);
	}
}

static void
serve_issuer(struct turn *t, struct plan *plan)
{
	struct err e;

	alarm_late(t, plan);
	if (clock_mono_us() < plan->retry_us)
		return;
	if (publish_due(t, plan, &e) == -1) {
		failed(t, plan, &e);
	} else {
		plan->backoff_us = 0;
		plan->retry_us = 0;
	}
}

int
publisher_turn(struct publisher *p, struct err *e)
{
	AUTO(arena_auto) a = arena_new();
	struct turn t = { .p = p, .a = a, .now = clock_now() };
	size_t i;

	if (keep_lease(p, e) == -1)
		return -1;
	engine_begin(p->conf.engine, p->conf.ctx, a, "publish");
	if (p->epoch == 0)
		return 0;
	if (hear_news(&t, e) == -1 ||
	    store_crl_current(p->conf.ctx->db, a, &t.all, e) == -1)
		return -1;
	for (i = 0; i < p->n && p->epoch != 0; i++)
		serve_issuer(&t, &p->plans[i]);
	return 0;
}
