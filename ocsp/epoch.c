#include "ocsp/epoch.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>

#define CACHE_LINE 64

struct epoch_reader {
	_Alignas(CACHE_LINE) _Atomic uint64_t at; /* 0: not looking */
	struct epoch *epoch;
	struct epoch_reader *next;
};

struct retired {
	void *p;
	void (*fn)(void *p);
	uint64_t since;
	struct retired *next;
};

struct epoch {
	_Alignas(CACHE_LINE) _Atomic uint64_t now;
	pthread_mutex_t lock; /* of the lists */
	struct epoch_reader *readers;
	struct retired *retired;
};

struct epoch *
epoch_new(void)
{
	struct epoch *ep = aligned_alloc(CACHE_LINE, sizeof(*ep));

	if (ep == NULL)
		abort();
	atomic_init(&ep->now, 1);
	(void)pthread_mutex_init(&ep->lock, NULL);
	ep->readers = NULL;
	ep->retired = NULL;
	return ep;
}

struct epoch_reader *
epoch_reader_new(struct epoch *ep)
{
	struct epoch_reader *r = aligned_alloc(CACHE_LINE, sizeof(*r));

	if (r == NULL)
		abort();
	atomic_init(&r->at, 0);
	r->epoch = ep;
	(void)pthread_mutex_lock(&ep->lock);
	r->next = ep->readers;
	ep->readers = r;
	(void)pthread_mutex_unlock(&ep->lock);
	return r;
}

void
epoch_reader_free(struct epoch_reader *r)
{
	struct epoch *ep;
	struct epoch_reader **at;

	if (r == NULL)
		return;
	ep = r->epoch;
	(void)pthread_mutex_lock(&ep->lock);
	for (at = &ep->readers; *at != r; at = &(*at)->next)
		;
	*at = r->next;
	(void)pthread_mutex_unlock(&ep->lock);
	free(r);
}

/*
 * The mark is globally visible before anything is looked at, and what a
 * writer hides is hidden before it looks for marks: one of the two sees the
 * other (both are sequentially consistent).
 */
void
epoch_enter(struct epoch_reader *r)
{
	atomic_store(
	    &r->at, atomic_load_explicit(&r->epoch->now, memory_order_acquire));
}

void
epoch_leave(struct epoch_reader *r)
{
	atomic_store_explicit(&r->at, 0, memory_order_release);
}

/* Whether a reader may still see what was retired at 'since'. */
static bool
is_seen(const struct epoch *ep, uint64_t since)
{
	const struct epoch_reader *r;
	uint64_t at;

	for (r = ep->readers; r != NULL; r = r->next) {
		at = atomic_load(&r->at);
		if (at != 0 && at < since)
			return true;
	}
	return false;
}

/* Takes what is due off the list. */
static struct retired *
take_due(struct epoch *ep)
{
	struct retired **at = &ep->retired, *due = NULL, *x;

	while ((x = *at) != NULL) {
		if (is_seen(ep, x->since)) {
			at = &x->next;
			continue;
		}
		*at = x->next;
		x->next = due;
		due = x;
	}
	return due;
}

static void
free_all(struct retired *list)
{
	struct retired *x;

	while ((x = list) != NULL) {
		list = x->next;
		x->fn(x->p);
		free(x);
	}
}

void
epoch_collect(struct epoch *ep)
{
	struct retired *due;

	(void)pthread_mutex_lock(&ep->lock);
	due = take_due(ep);
	(void)pthread_mutex_unlock(&ep->lock);
	free_all(due);
}

void
epoch_retire(struct epoch *ep, void *p, void (*fn)(void *p))
{
	struct retired *x = malloc(sizeof(*x));

	if (x == NULL)
		abort();
	x->p = p;
	x->fn = fn;
	x->since = atomic_fetch_add(&ep->now, 1) + 1;
	(void)pthread_mutex_lock(&ep->lock);
	x->next = ep->retired;
	ep->retired = x;
	(void)pthread_mutex_unlock(&ep->lock);
	epoch_collect(ep);
}

void
epoch_free(struct epoch *ep)
{
	if (ep == NULL)
		return;
	free_all(ep->retired);
	(void)pthread_mutex_destroy(&ep->lock);
	free(ep);
}
