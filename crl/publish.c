#include "crl/publish.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/metrics.h"
#include "crl/crl_emit.h"
#include "crl/crl_plan.h"
#include "crl/outer.h"

#define LEASE_S 6
#define LEASE_EVERY_US ((int64_t)1500 * 1000)
#define LATE_EVERY_US ((int64_t)60 * 1000 * 1000)
#define OUTER_FIRST_US ((int64_t)20 * 1000 * 1000)

/* What is known of one issuer. */
struct plan {
	struct crl_plan crl;
	struct crl_wait wait; /* after a failure that is not of one list */
	int64_t late_us;      /* when lateness was last said */
};

struct publisher {
	struct publish_conf conf;
	struct plan *plans;
	size_t n;
	struct store_crl_feed feed;
	int64_t epoch, lease_us;
	struct crl_out *out;
	int64_t outer_us; /* when the lists of the CAs above are looked at */
	struct metric *published, *failed, *late, *outer;
	/* seconds: all rows read and lists built of them, lists built of the
	 * ones before, signed and verified, recorded */
	struct metric *reading, *copying, *signing, *recording;
};

/* One turn. */
struct turn {
	struct publisher *p;
	struct crl_moment m;
	int64_t epoch; /* under which 'm' was read */
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

static struct metric *
stage(const char *label)
{
	return metrics_histogram("chancery_crl_seconds",
	    "Time that the parts of making CRLs take.", label);
}

static void
make_metrics(struct publisher *p)
{
	p->reading = stage("stage=\"read\"");
	p->copying = stage("stage=\"copy\"");
	p->signing = stage("stage=\"sign\"");
	p->recording = stage("stage=\"record\"");
	p->published = metrics_counter("chancery_crl_published_total",
	    "CRLs that were made public.", NULL);
	p->failed = metrics_counter("chancery_crl_failures_total",
	    "CRLs that could not be made.", NULL);
	p->late = metrics_counter("chancery_crl_late_minutes_total",
	    "Minutes in which an issuer's CRL was late.", NULL);
	p->outer = metrics_gauge("chancery_crl_import_late",
	    "CRLs of CAs above the issuers that are late or missing.", NULL);
}

int
publisher_new(
    const struct publish_conf *conf, struct publisher **out, struct err *e)
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
		crl_plan_init(&p->plans[i].crl, issuer_at(set, i));
	publisher_reload(p, conf->settings);
	make_metrics(p);
	/* a first start imports them as soon as all else runs */
	p->outer_us = clock_mono_us() + OUTER_FIRST_US;
	if (conf->hook != NULL &&
	    crl_out_new(conf->dir, conf->hook, &p->out, e) == -1) {
		publisher_free(p);
		return -1;
	}
	*out = p;
	return 0;
}

void
publisher_reload(struct publisher *p, const struct settings *settings)
{
	const struct settings_crl *s;
	size_t i;

	p->conf.settings = settings;
	for (i = 0; i < p->n; i++) {
		s = schedule(settings, p->plans[i].crl.issuer->name);
		if (s != NULL)
			p->plans[i].crl.conf = s;
		crl_plan_forget(&p->plans[i].crl);
	}
}

void
publisher_free(struct publisher *p)
{
	size_t i;

	if (p == NULL)
		return;
	if (p->epoch != 0)
		store_crl_release(p->conf.ctx->db, p->epoch);
	crl_out_free(p->out);
	store_crl_feed_clear(&p->feed);
	for (i = 0; i < p->n; i++)
		crl_plan_clear(&p->plans[i].crl);
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
		crl_plan_note(&p->plans[i].crl, span_of(NULL, 0));
	return 0;
}

static int
hear_news(struct turn *t, struct err *e)
{
	struct publisher *p = t->p;
	struct store_crl_changes news;
	size_t i, k;

	if (store_crl_news(t->m.db, t->m.a, &p->feed, &news, e) == -1)
		return -1;
	for (i = 0; i < p->n; i++) {
		if (news.back)
			crl_plan_note(&p->plans[i].crl, span_of(NULL, 0));
		for (k = 0; k < news.n; k++) {
			if (p->plans[i].crl.issuer->id == news.list[k].issuer)
				crl_plan_note(
				    &p->plans[i].crl, news.list[k].serial);
		}
	}
	return 0;
}

static void
tell(const struct turn *t, const struct crl_list *l, const struct plan *plan)
{
	char number[24], entries[24];

	(void)snprintf(number, sizeof(number), "%" PRId64, l->row.number);
	(void)snprintf(entries, sizeof(entries), "%" PRIu64, l->row.entries);
	log_event(LOG_INFO, "CRL published", "issuer", plan->crl.issuer->name,
	    "scope", l->row.scope, "number", number, "entries", entries, NULL);
	metric_add(t->p->published, 1);
}

static void
say_failed(struct turn *t, const struct plan *plan, const struct err *why)
{
	metric_add(t->p->failed, 1);
	log_event(LOG_ERROR, "CRL not published", "issuer",
	    plan->crl.issuer->name, "kind", err_kind_name(why->kind), "msg",
	    why->text, NULL);
}

/* What was read counts only while nobody else has published. */
static int
still_ours(struct turn *t, struct err *e)
{
	if (keep_lease(t->p, e) == -1)
		return -1;
	if (t->p->epoch != t->epoch)
		return err_set(
		    e, ERR_UNAVAILABLE, "another publisher has the lease");
	return 0;
}

static int
emit(struct turn *t, struct plan *plan, struct crl_emit *x, struct crl_list *l,
    struct err *e)
{
	if (crl_emit(x, l, e) == -1) {
		crl_plan_refused(&plan->crl, l);
		return err_prefix(e, "%s", l->row.scope);
	}
	crl_plan_published(&plan->crl, l);
	tell(t, l, plan);
	return 0;
}

/*
 * A list that fails keeps no other one from being made, unless a part is away
 * that all need.
 */
static int
emit_all(struct turn *t, struct plan *plan, struct crl_round *r, struct err *e)
{
	struct crl_emit x = { .ctx = t->p->conf.ctx,
		.issuer = plan->crl.issuer,
		.out = t->p->out,
		.owner = plan,
		.epoch = t->epoch,
		.holder = t->p->conf.holder,
		.signing = t->p->signing,
		.recording = t->p->recording };
	size_t i;

	for (i = 0; i < r->n; i++) {
		if (still_ours(t, e) == -1)
			return -1;
		if (emit(t, plan, &x, &r->lists[i], e) == 0)
			continue;
		if (e->kind == ERR_UNAVAILABLE)
			return -1;
		say_failed(t, plan, e);
	}
	return 0;
}

/* From what is kept, if that does: the time counts for what was revoked. */
static int
copy_lists(struct turn *t, struct crl_round *r, struct err *e)
{
	int64_t from = clock_mono_us();

	if (crl_round_patch(t->m.db, r, e) == -1)
		return -1;
	metric_observe_us(t->p->copying, clock_mono_us() - from);
	return 0;
}

/* From all rows, and what was revoked while these were read. */
static int
read_lists(struct turn *t, struct plan *plan, struct crl_round *r,
    const struct store_crl_mark *mark, struct err *e)
{
	int64_t from = clock_mono_us();

	if (crl_round_build(t->m.db, r, mark, e) == -1)
		return -1;
	metric_observe_us(t->p->reading, clock_mono_us() - from);
	if (hear_news(t, e) == -1)
		return -1;
	crl_plan_told(&plan->crl, r);
	return copy_lists(t, r, e);
}

/* Builds and publishes the lists of a round. */
static int
run_round(struct turn *t, struct plan *plan, struct crl_round *r, struct err *e)
{
	struct store_crl_mark mark;
	int rc;

	if (crl_plan_prepare(&t->m, &plan->crl, r, &mark, e) == -1)
		return -1;
	rc = r->read ? read_lists(t, plan, r, &mark, e) : copy_lists(t, r, e);
	if (r->skipped > 0)
		log_msg(LOG_ERROR, "serials that are none are on no CRL", "%zu",
		    r->skipped);
	if (rc == 0)
		rc = emit_all(t, plan, r, e);
	crl_round_clear(r);
	return rc;
}

static int
publish_due(
    struct turn *t, struct plan *plan, enum crl_which which, struct err *e)
{
	struct crl_round r;
	int rc;

	crl_plan_due(&t->m, &plan->crl, which, &r);
	if (r.n == 0)
		return 0;
	rc = run_round(t, plan, &r, e);
	crl_plan_done(&plan->crl, &r);
	return rc == 0 ? store_crl_current(t->m.db, t->m.a, &t->m.all, e) : -1;
}

static void
failed(struct turn *t, struct plan *plan, const struct err *why)
{
	crl_wait_longer(&plan->wait);
	say_failed(t, plan, why);
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
	const struct crl_scope *s = plan->crl.scopes;
	const struct store_crl *c;

	if (plan->late_us != 0 &&
	    clock_mono_us() < plan->late_us + LATE_EVERY_US)
		return;
	for (; s < plan->crl.scopes + plan->crl.n; s++) {
		c = crl_plan_find(&t->m, &plan->crl, s->name);
		if (!publish_is_late(plan->crl.conf, c, t->m.now))
			continue;
		plan->late_us = clock_mono_us();
		/* the very first one is being made */
		if (c == NULL && plan->wait.backoff_us == 0 &&
		    !crl_plan_waits(&plan->crl, s))
			continue;
		metric_add(t->p->late, 1);
		log_event(LOG_ERROR, "CRL is late", "issuer",
		    plan->crl.issuer->name, "scope", s->name, NULL);
	}
}

/* The lists of the CAs above, which somebody has to import. */
static int
alarm_outer(struct turn *t, struct err *e)
{
	struct publisher *p = t->p;
	struct outers outer;
	uint64_t late = 0;
	size_t i;

	if (clock_mono_us() < p->outer_us)
		return 0;
	p->outer_us = clock_mono_us() + LATE_EVERY_US;
	if (outer_list(t->m.a, t->m.db, engine_issuers(p->conf.engine),
		&t->m.all, &outer, e) == -1)
		return -1;
	for (i = 0; i < outer.n; i++) {
		if (!outer.list[i].late)
			continue;
		late++;
		log_event(LOG_ERROR,
		    outer.list[i].row == NULL ? "CRL is missing"
					      : "CRL is late",
		    "ca", outer.list[i].name, "msg",
		    "to be imported by chancery crl import", NULL);
	}
	metric_set(p->outer, late);
	return 0;
}

static void
serve_issuer(struct turn *t, struct plan *plan)
{
	enum crl_which which;
	struct err e;

	alarm_late(t, plan);
	if (clock_mono_us() < plan->wait.until_us)
		return;
	for (which = 0; which < CRL__WHICH; which++) {
		if (publish_due(t, plan, which, &e) == -1) {
			failed(t, plan, &e);
			return;
		}
	}
	plan->wait = (struct crl_wait){ .backoff_us = 0 };
}

/* A file that could not be written: with another list, as for any failure. */
static void
hear_of_files(struct turn *t)
{
	struct plan *plan;
	struct err why;

	if (t->p->out == NULL)
		return;
	plan = crl_out_failed(t->p->out, &why);
	if (plan == NULL)
		return;
	crl_plan_note(&plan->crl, span_of(NULL, 0));
	failed(t, plan, &why);
}

int
publisher_turn(struct publisher *p, struct err *e)
{
	AUTO(arena_auto) a = arena_new();
	struct turn t = { .p = p,
		.m = { .db = p->conf.ctx->db, .a = a, .now = clock_now() } };
	size_t i;

	if (keep_lease(p, e) == -1)
		return -1;
	t.epoch = p->epoch;
	engine_begin(p->conf.engine, p->conf.ctx, a, "publish");
	if (p->epoch == 0)
		return 0;
	hear_of_files(&t);
	if (hear_news(&t, e) == -1 ||
	    store_crl_current(t.m.db, a, &t.m.all, e) == -1)
		return -1;
	for (i = 0; i < p->n && p->epoch == t.epoch; i++)
		serve_issuer(&t, &p->plans[i]);
	return alarm_outer(&t, e);
}
