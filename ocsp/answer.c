#include "ocsp/answer.h"

#include <stdlib.h>

/* An answer that ends sooner is not worth making. */
#define VALIDITY_MIN_S 60

struct answerer {
	const struct answer_world *world;
	struct epoch_reader *reader;
	struct signer *signer;
	struct buf body;
};

struct answerer *
answerer_new(const struct answer_world *w)
{
	struct answerer *t = calloc(1, sizeof(*t));

	if (t == NULL)
		abort();
	t->world = w;
	t->reader = epoch_reader_new(w->epoch);
	t->signer = signer_new();
	buf_init(&t->body, RESPONSE_SIZE_MAX);
	return t;
}

void
answerer_free(struct answerer *t)
{
	if (t == NULL)
		return;
	epoch_reader_free(t->reader);
	signer_free(t->signer);
	buf_clear(&t->body);
	free(t);
}

static enum answer_kind
kind_of(enum response_status s)
{
	static const enum answer_kind kinds[] = {
		[RESPONSE_GOOD] = ANSWER_GOOD,
		[RESPONSE_REVOKED] = ANSWER_REVOKED,
		[RESPONSE_UNKNOWN] = ANSWER_UNKNOWN,
		[RESPONSE_NOT_ISSUED] = ANSWER_UNKNOWN,
	};

	return kinds[s];
}

/* A hold may have ended in a history that we do not know. */
static bool
is_final(const struct status *s)
{
	return s->revoked && s->reason != STATUS_REASON_HOLD;
}

static void
plan_known(const struct answer_world *w, const struct status *s,
    struct answer_plan *plan, struct response_single *out)
{
	out->status = s->revoked ? RESPONSE_REVOKED : RESPONSE_GOOD;
	out->reason = s->reason;
	out->revoked_at = s->revoked_at;
	if (s->not_after < plan->now)
		/* RFC 6960 4.4.4: we keep them all, from the first one on */
		out->archive_cutoff =
		    w->authorities[plan->authority].not_before;
	else if (s->not_after < plan->changes_at)
		plan->changes_at = s->not_after + 1;
}

/*
 * One CertID.  Only a delegate of its own issuer can speak for a certificate
 * (RFC 6960 4.2.2.2): those of another issuer than the first are unknown here.
 * False: the table cannot tell.
 */
static bool
plan_single(const struct answerer *t, const struct ocsp_certid *id,
    struct answer_plan *plan)
{
	const struct answer_world *w = t->world;
	struct response_single *out = &plan->list[plan->n++];
	int found = authority_find(w->authorities, w->n_authorities, id);
	struct status_table *table = atomic_load(&w->table);
	bool trusted = atomic_load(&w->trust) == ANSWER_CURRENT;
	struct status s;

	*out = (struct response_single){ .certid = id->der,
		.status = RESPONSE_UNKNOWN };
	plan->cacheable = false;
	if (found < 0 || (plan->authority >= 0 && found != plan->authority))
		return true;
	plan->authority = found;
	if (table == NULL || w->authorities[found].id == 0)
		return false;
	if (!status_table_find(
		table, w->authorities[found].id, id->serial, &s, &plan->word)) {
		if (w->extended_revoked)
			out->status = RESPONSE_NOT_ISSUED;
		return trusted;
	}
	plan->cacheable = true;
	plan_known(w, &s, plan, out);
	return trusted || is_final(&s);
}

static bool
is_stale(const struct answer_world *w, int64_t now)
{
	return atomic_load(&w->trust) == ANSWER_EMPTY ||
	       now - atomic_load(&w->synced_at) > w->stale_s;
}

static void
plan_list(
    struct answerer *t, const struct ocsp_req *req, struct answer_plan *plan)
{
	bool known = true;
	size_t i;

	epoch_enter(t->reader);
	for (i = 0; i < req->n; i++)
		known &= plan_single(t, &req->ids[i], plan);
	epoch_leave(t->reader);
	plan->kind = kind_of(plan->list[0].status);
	plan->is_signed = true;
	if (plan->authority < 0)
		plan->kind = ANSWER_UNAUTHORIZED;
	else if (!known)
		plan->kind = ANSWER_TRY_LATER;
	if (plan->kind >= ANSWER_MALFORMED)
		plan->is_signed = false;
	plan->cacheable = plan->cacheable && plan->is_signed && req->n == 1 &&
			  req->nonce.n == 0;
}

void
answer_plan(
    struct answerer *t, struct span der, int64_t now, struct answer_plan *plan)
{
	const struct answer_world *w = t->world;
	struct ocsp_req req;
	struct err e;

	plan->is_signed = plan->cacheable = false;
	plan->n = 0;
	plan->authority = -1;
	plan->now = now;
	plan->changes_at = INT64_MAX;
	if (ocsp_req_parse(der, &req, &e) == -1) {
		plan->kind = ANSWER_MALFORMED;
		return;
	}
	plan->nonce = req.nonce;
	plan->key = req.ids[0].der;
	plan_list(t, &req, plan);
	if (plan->is_signed && is_stale(w, now) &&
	    atomic_load(&w->trust) != ANSWER_DISPUTED) {
		plan->kind = ANSWER_TRY_LATER;
		plan->is_signed = plan->cacheable = false;
	}
}

static void
make_error(enum answer_kind kind, struct answer *out)
{
	static const enum response_error errors[ANSWER__COUNT] = {
		[ANSWER_GOOD] = RESPONSE_INTERNAL,
		[ANSWER_REVOKED] = RESPONSE_INTERNAL,
		[ANSWER_UNKNOWN] = RESPONSE_INTERNAL,
		[ANSWER_MALFORMED] = RESPONSE_MALFORMED,
		[ANSWER_INTERNAL] = RESPONSE_INTERNAL,
		[ANSWER_TRY_LATER] = RESPONSE_TRY_LATER,
		[ANSWER_UNAUTHORIZED] = RESPONSE_UNAUTHORIZED,
	};

	*out = (struct answer){ .kind = kind,
		.body = response_error(errors[kind]) };
}

/*
 * Known as of the last look at the database; for revocations that never end
 * that is now.
 */
static void
set_times(const struct answer_world *w, const struct answer_plan *plan,
    const struct delegate *d, struct response *r)
{
	int64_t synced = atomic_load(&w->synced_at);

	r->produced_at = plan->now;
	r->this_update = synced;
	if (synced > plan->now || plan->now - synced <= 1 ||
	    atomic_load(&w->trust) == ANSWER_DISPUTED)
		r->this_update = plan->now;
	r->next_update = r->this_update + w->validity_s;
	if (r->next_update > d->not_after)
		r->next_update = d->not_after;
}

static bool
sign_plan(struct answerer *t, const struct answer_plan *plan,
    const struct delegate *d, struct answer *out)
{
	struct response r = {
		.list = plan->list, .n = plan->n, .nonce = plan->nonce
	};
	struct err e;

	set_times(t->world, plan, d, &r);
	if (r.next_update - plan->now < VALIDITY_MIN_S ||
	    d->not_before > plan->now) {
		make_error(ANSWER_TRY_LATER, out);
		return false;
	}
	buf_reset(&t->body);
	if (response_sign(t->signer, d, &r, &t->body, &e) == -1) {
		make_error(ANSWER_INTERNAL, out);
		return false;
	}
	*out = (struct answer){ .body = buf_get(&t->body),
		.kind = plan->kind,
		.is_signed = true,
		.this_update = r.this_update,
		.next_update = r.next_update,
		.fresh_until = plan->now + (r.next_update - plan->now) / 2 };
	if (out->fresh_until > plan->changes_at)
		out->fresh_until = plan->changes_at;
	return true;
}

void
answer_make(
    struct answerer *t, const struct answer_plan *plan, struct answer *out)
{
	const struct delegate *d;

	if (!plan->is_signed) {
		make_error(plan->kind, out);
		return;
	}
	epoch_enter(t->reader);
	d = atomic_load(&t->world->delegates[plan->authority]);
	if (d == NULL)
		make_error(ANSWER_TRY_LATER, out);
	else
		(void)sign_plan(t, plan, d, out);
	epoch_leave(t->reader);
}
