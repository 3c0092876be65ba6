#include "crl/crl_plan.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"

/* A revocation counts as on the list before when it is this much older. */
#define SETTLED_S 600

/* The mark of what has left moves at most this often. */
#define LEAVE_EVERY_S 3600
#define DAY_S ((int64_t)86400)

#define RETRY_MIN_US ((int64_t)2 * 1000 * 1000)
#define RETRY_MAX_US ((int64_t)60 * 1000 * 1000)

/* Below what signd allows to be lost in a day, so that a release still fits. */
#define LEAVE_FREE 80
#define LEAVE_PERCENT 4

/* So often lists are made of all rows again, whatever the feed says. */
#define READ_EVERY_S 3600

void
crl_plan_init(struct crl_plan *p, const struct issuer *issuer)
{
	size_t k;

	*p = (struct crl_plan){ .issuer = issuer, .arena = arena_new() };
	p->scopes = crl_scopes(p->arena, issuer, &p->n);
	p->kept = arena_array(p->arena, p->n, sizeof(*p->kept));
	for (k = 0; k < 2; k++)
		p->waits[k] = arena_array(p->arena, p->n, sizeof(*p->waits[k]));
}

void
crl_plan_clear(struct crl_plan *p)
{
	crl_plan_forget(p);
	arena_free(p->arena);
}

void
crl_plan_forget(struct crl_plan *p)
{
	size_t i;

	for (i = 0; i < p->n; i++)
		crl_kept_drop(&p->kept[i]);
}

void
crl_plan_note(struct crl_plan *p, struct span serial)
{
	size_t i;

	for (i = 0; i < p->n; i++) {
		if (serial.n == 0 ||
		    crl_scope_has(&p->scopes[i], p->issuer, serial))
			crl_kept_note(&p->kept[i], serial);
	}
}

const struct store_crl *
crl_plan_find(
    const struct crl_moment *m, const struct crl_plan *p, const char *scope)
{
	const struct store_crl *c = m->all.list;

	for (; c < m->all.list + m->all.n; c++) {
		if (c->issuer == p->issuer->id && strcmp(c->scope, scope) == 0)
			return c;
	}
	return NULL;
}

static bool
on_revocation(const struct crl_plan *p)
{
	return p->conf->on_revocation == NULL || *p->conf->on_revocation;
}

/*
 * Lists are kept where revocations are to show soon, on complete lists; where
 * there are deltas, these say it.
 */
static bool
keeps(const struct crl_plan *p, size_t i)
{
	return on_revocation(p) && p->scopes[i].freshest_urls.n == 0;
}

/* Whether the rows were read 'times' reading intervals ago. */
static bool
is_old(const struct crl_plan *p, const struct crl_kept *k, int times)
{
	int64_t every_s = p->conf->interval_s < READ_EVERY_S
			      ? p->conf->interval_s
			      : READ_EVERY_S;

	return clock_mono_us() >= k->read_at + times * every_s * 1000000;
}

static bool
complete_due(const struct crl_moment *m, const struct crl_plan *p, size_t i)
{
	const struct store_crl *c = crl_plan_find(m, p, p->scopes[i].name);
	const struct crl_kept *k = &p->kept[i];

	if (c == NULL || m->now >= c->this_update + p->conf->interval_s ||
	    m->now >= c->next_update - p->conf->overlap_s / 2)
		return true;
	if (!keeps(p, i) || m->now < c->this_update + p->conf->min_gap_s)
		return false;
	return k->changed || (k->has && k->patched && is_old(p, k, 1));
}

static bool
delta_due(const struct crl_moment *m, const struct crl_plan *p, size_t i)
{
	const struct crl_scope *s = &p->scopes[i];
	const struct store_crl *c = crl_plan_find(m, p, s->name);
	const struct store_crl *d = crl_plan_find(m, p, s->delta);

	/* at the same time both would need one number, RFC 5280 5.2.3 */
	if (s->freshest_urls.n == 0 || c == NULL || m->now <= c->this_update)
		return false;
	if (d == NULL || d->base_number != c->number ||
	    m->now >= d->this_update + p->conf->delta_interval_s)
		return true;
	return on_revocation(p) && p->kept[i].changed &&
	       m->now >= d->this_update + p->conf->min_gap_s;
}

/* Whether the kept list does not do; a revocation does not wait for rows. */
static bool
must_read(const struct crl_moment *m, const struct crl_plan *p, size_t i)
{
	const struct store_crl *c = crl_plan_find(m, p, p->scopes[i].name);
	const struct crl_kept *k = &p->kept[i];

	return !keeps(p, i) || !k->has || k->stale || c == NULL ||
	       c->number != k->number || is_old(p, k, k->changed ? 2 : 1);
}

static void
fill_complete(const struct crl_moment *m, struct crl_plan *p, size_t i,
    struct crl_list *l)
{
	l->scope = &p->scopes[i];
	l->row = (struct store_crl){ .issuer = p->issuer->id,
		.this_update = m->now,
		.next_update =
		    m->now + p->conf->interval_s + p->conf->overlap_s };
	l->expired_since =
	    p->conf->keep_expired ? p->issuer->not_before : CRL_NO_TIME;
	l->kept = keeps(p, i) ? &p->kept[i] : NULL;
	l->built.fd = -1;
	(void)snprintf(
	    l->row.scope, sizeof(l->row.scope), "%s", l->scope->name);
}

static void
fill_delta(const struct crl_moment *m, struct crl_plan *p, size_t i,
    struct crl_list *l)
{
	const struct crl_scope *s = &p->scopes[i];
	const struct store_crl *c = crl_plan_find(m, p, s->name);
	const struct store_crl *d = crl_plan_find(m, p, s->delta);

	fill_complete(m, p, i, l);
	l->kept = NULL;
	l->row.base_number = c->number;
	l->row.mark = c->mark;
	l->base_id = c->id;
	l->before_id = d != NULL && d->base_number == c->number ? d->id : 0;
	l->row.next_update = m->now + 2 * p->conf->delta_interval_s;
	if (l->row.next_update > c->next_update)
		l->row.next_update = c->next_update;
	(void)snprintf(l->row.scope, sizeof(l->row.scope), "%s", s->delta);
}

void
crl_wait_longer(struct crl_wait *w)
{
	w->backoff_us = w->backoff_us == 0 ? RETRY_MIN_US : w->backoff_us * 2;
	if (w->backoff_us > RETRY_MAX_US)
		w->backoff_us = RETRY_MAX_US;
	w->until_us = clock_mono_us() + w->backoff_us;
}

static struct crl_wait *
wait_of(const struct crl_plan *p, const struct crl_list *l)
{
	return &p->waits[l->row.base_number == 0 ? CRL_COMPLETE : CRL_DELTA]
			[l->scope - p->scopes];
}

bool
crl_plan_waits(const struct crl_plan *p, const struct crl_scope *s)
{
	return p->waits[CRL_COMPLETE][s - p->scopes].backoff_us != 0;
}

/* Whether a list belongs to this round, if it is due. */
static bool
takes(const struct crl_wait *w, enum crl_which which)
{
	if (which == CRL_COMPLETE || which == CRL_DELTA)
		return w->backoff_us == 0;
	return w->backoff_us != 0 && clock_mono_us() >= w->until_us;
}

/*
 * Complete lists.  When one is made of all rows, all are, so that the mark of
 * what has left is the same for all and moves in small steps; but not for one
 * that failed before.
 */
static void
due_complete(const struct crl_moment *m, struct crl_plan *p,
    enum crl_which which, struct crl_round *out)
{
	const struct crl_wait *w = p->waits[CRL_COMPLETE];
	bool any = false, all;
	size_t i;

	out->read = false;
	for (i = 0; i < p->n; i++) {
		if (!takes(&w[i], which) || !complete_due(m, p, i))
			continue;
		any = true;
		out->read = out->read || must_read(m, p, i);
	}
	all = out->read && which == CRL_COMPLETE;
	for (i = 0; any && i < p->n; i++) {
		if (takes(&w[i], which) && (all || complete_due(m, p, i)))
			fill_complete(m, p, i, &out->lists[out->n++]);
	}
}

static int
mark_cmp(const struct store_crl_mark *a, const struct store_crl_mark *b)
{
	if (a->at != b->at)
		return a->at < b->at ? -1 : 1;
	return span_cmp(a->serial, b->serial);
}

/* Deltas, of bases with one mark: others have a round of their own later. */
static void
due_deltas(const struct crl_moment *m, struct crl_plan *p, enum crl_which which,
    struct crl_round *out)
{
	struct crl_list *l;
	size_t i;

	out->read = true;
	for (i = 0; i < p->n; i++) {
		if (!takes(&p->waits[CRL_DELTA][i], which) ||
		    !delta_due(m, p, i))
			continue;
		l = &out->lists[out->n];
		fill_delta(m, p, i, l);
		if (mark_cmp(&l->row.mark, &out->lists[0].row.mark) == 0)
			out->n++;
	}
}

void
crl_plan_due(const struct crl_moment *m, struct crl_plan *p,
    enum crl_which which, struct crl_round *out)
{
	size_t i;

	*out = (struct crl_round){ .issuer = p->issuer,
		.lists = arena_array(m->a, p->n, sizeof(*out->lists)) };
	if (which == CRL_COMPLETE || which == CRL_COMPLETE_AGAIN)
		due_complete(m, p, which, out);
	else
		due_deltas(m, p, which, out);
	/* what changes from here on may be on the lists or not */
	for (i = 0; i < out->n; i++)
		p->kept[out->lists[i].scope - p->scopes].changed = false;
}

/* One sequence for a scope and its deltas; not below the clock. */
static int64_t
next_number(
    const struct crl_moment *m, struct crl_plan *p, const struct crl_scope *s)
{
	const struct store_crl *c = crl_plan_find(m, p, s->name);
	const struct store_crl *d = crl_plan_find(m, p, s->delta);
	int64_t n = m->now;

	if (n <= p->last_number)
		n = p->last_number + 1;
	if (c != NULL && n <= c->number)
		n = c->number + 1;
	if (d != NULL && n <= d->number)
		n = d->number + 1;
	p->last_number = n;
	return n;
}

/*
 * Lets expired entries leave that were on a list since they expired, but not
 * more of them in a day than signd takes for an ordinary loss, which it
 * measures by what was there a day ago, or on the first list, by its own clock.
 */
static int
let_leave(const struct crl_moment *m, const struct crl_plan *p,
    const struct store_crl *last, struct store_crl_query *q, uint64_t *gone,
    struct err *e)
{
	struct store_crl_leave leave = { .until =
					     last->this_update - SETTLED_S };
	const int64_t day_ago = m->now - DAY_S - SETTLED_S;
	uint64_t today, before;

	*gone = 0;
	if (p->conf->keep_expired ||
	    (q->mark.at != STORE_CRL_NO_TIME &&
		leave.until < q->mark.at + LEAVE_EVERY_S))
		return 0;
	if (store_crl_gone(m->db, last, day_ago, &today, e) == -1 ||
	    store_crl_entries_at(m->db, last, day_ago, &before, e) == -1)
		return -1;
	leave.max = before * LEAVE_PERCENT / 100;
	if (leave.max < LEAVE_FREE)
		leave.max = LEAVE_FREE;
	if (leave.max <= today)
		return 0;
	leave.max -= today;
	if (store_crl_advance(m->db, m->a, q, &leave, e) == -1)
		return -1;
	*gone = leave.gone;
	return 0;
}

/*
 * Of the lists before these the one of which the least has left: after a list
 * was refused for a while the marks may differ, and none may lose much at once.
 */
static const struct store_crl *
least_left(const struct crl_moment *m, const struct crl_plan *p,
    const struct crl_round *r)
{
	const struct store_crl *c, *least = NULL;
	size_t i;

	for (i = 0; i < r->n; i++) {
		c = crl_plan_find(m, p, r->lists[i].scope->name);
		if (c != NULL &&
		    (least == NULL || mark_cmp(&c->mark, &least->mark) < 0))
			least = c;
	}
	return least;
}

/* The mark of a round that reads all rows, the same for all its lists. */
static int
choose_mark(const struct crl_moment *m, const struct crl_plan *p,
    struct crl_round *r, struct store_crl_mark *mark, struct err *e)
{
	struct store_crl_query q = { .issuer = p->issuer->id,
		.mark = { .at = STORE_CRL_NO_TIME } };
	const struct store_crl *last = least_left(m, p, r);
	uint64_t gone = 0;
	size_t i;

	if (last != NULL && !p->conf->keep_expired)
		q.mark = last->mark;
	if (last != NULL && r->lists[0].row.base_number == 0 &&
	    let_leave(m, p, last, &q, &gone, e) == -1)
		return -1;
	for (i = 0; i < r->n; i++) {
		r->lists[i].row.mark = q.mark;
		r->lists[i].row.gone = gone;
	}
	*mark = q.mark;
	return 0;
}

int
crl_plan_prepare(const struct crl_moment *m, struct crl_plan *p,
    struct crl_round *r, struct store_crl_mark *mark, struct err *e)
{
	struct crl_list *l;

	for (l = r->lists; l < r->lists + r->n; l++)
		l->row.number = next_number(m, p, l->scope);
	if (r->read)
		return choose_mark(m, p, r, mark, e);
	/* what is kept was made with it */
	for (l = r->lists; l < r->lists + r->n; l++)
		l->row.mark = crl_plan_find(m, p, l->scope->name)->mark;
	return 0;
}

void
crl_plan_told(struct crl_plan *p, const struct crl_round *r)
{
	const struct crl_list *l;

	for (l = r->lists; l < r->lists + r->n; l++) {
		if (l->kept != NULL && !l->kept->stale)
			p->kept[l->scope - p->scopes].changed = false;
	}
}

void
crl_plan_published(struct crl_plan *p, struct crl_list *l)
{
	l->published = true;
	*wait_of(p, l) = (struct crl_wait){ .backoff_us = 0 };
	if (l->kept != NULL)
		l->kept->number = l->row.number;
}

void
crl_plan_refused(struct crl_plan *p, const struct crl_list *l)
{
	crl_wait_longer(wait_of(p, l));
}

void
crl_plan_done(struct crl_plan *p, const struct crl_round *r)
{
	const struct crl_list *l;

	for (l = r->lists; l < r->lists + r->n; l++) {
		if (l->published)
			continue;
		p->kept[l->scope - p->scopes].changed = true;
		crl_kept_drop(&p->kept[l->scope - p->scopes]);
	}
}
