#include "base/metrics.h"

#include <inttypes.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define US_PER_S 1000000

static const int64_t bounds_us[] = { 100, 250, 500, 1000, 2500, 5000, 10000,
	25000, 50000, 100000, 250000, 500000, 1000000, 2500000, 5000000,
	10000000 };
#define N_BOUNDS (sizeof(bounds_us) / sizeof(bounds_us[0]))

enum metric_type {
	COUNTER,
	GAUGE,
	HISTOGRAM
};
static const char *const type_names[] = { "counter", "gauge", "histogram" };

struct metric {
	struct metric *next;
	char *name, *help, *labels;
	enum metric_type type;
	atomic_uint_fast64_t count;
	atomic_uint_fast64_t sum_us;
	atomic_uint_fast64_t buckets[N_BOUNDS];
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct metric *first, **last = &first;

static char *
copy(const char *s)
{
	char *c = strdup(s == NULL ? "" : s);

	if (c == NULL)
		abort();
	return c;
}

static struct metric *
find(const char *name, const char *labels)
{
	struct metric *m;

	for (m = first; m != NULL; m = m->next)
		if (strcmp(m->name, name) == 0 &&
		    strcmp(m->labels, labels == NULL ? "" : labels) == 0)
			return m;
	return NULL;
}

static struct metric *
make(const char *name, const char *help, const char *labels,
    enum metric_type type)
{
	struct metric *m;

	(void)pthread_mutex_lock(&lock);
	m = find(name, labels);
	if (m == NULL) {
		m = calloc(1, sizeof(*m));
		if (m == NULL)
			abort();
		m->name = copy(name);
		m->help = copy(help);
		m->labels = copy(labels);
		m->type = type;
		*last = m;
		last = &m->next;
	}
	(void)pthread_mutex_unlock(&lock);
	return m;
}

struct metric *
metrics_counter(const char *name, const char *help, const char *labels)
{
	return make(name, help, labels, COUNTER);
}

struct metric *
metrics_histogram(const char *name, const char *help, const char *labels)
{
	return make(name, help, labels, HISTOGRAM);
}

struct metric *
metrics_gauge(const char *name, const char *help, const char *labels)
{
	return make(name, help, labels, GAUGE);
}

void
metric_set(struct metric *m, uint64_t value)
{
	atomic_store_explicit(&m->count, value, memory_order_relaxed);
}

void
metric_add(struct metric *m, uint64_t n)
{
	atomic_fetch_add_explicit(&m->count, n, memory_order_relaxed);
}

void
metric_observe_us(struct metric *m, int64_t us)
{
	uint64_t value = us < 0 ? 0 : (uint64_t)us;
	size_t i;

	for (i = 0; i < N_BOUNDS; i++)
		if (us <= bounds_us[i])
			break;
	if (i < N_BOUNDS)
		atomic_fetch_add_explicit(
		    &m->buckets[i], 1, memory_order_relaxed);
	atomic_fetch_add_explicit(&m->sum_us, value, memory_order_relaxed);
	atomic_fetch_add_explicit(&m->count, 1, memory_order_relaxed);
}

static void
put_line(struct buf *b, const struct metric *m, const char *suffix,
    const char *more, const char *value)
{
	bool both = m->labels[0] != '\0' && more[0] != '\0';
	bool any = m->labels[0] != '\0' || more[0] != '\0';

	buf_printf(b, "%s%s%s%s%s%s%s %s\n", m->name, suffix, any ? "{" : "",
	    m->labels, both ? "," : "", more, any ? "}" : "", value);
}

static void
put_count(struct buf *b, const struct metric *m, const char *suffix,
    const char *more, uint64_t n)
{
	char value[24];

	(void)snprintf(value, sizeof(value), "%" PRIu64, n);
	put_line(b, m, suffix, more, value);
}

static void
put_histogram(struct buf *b, struct metric *m)
{
	uint64_t below = 0, n, sum;
	char more[32], value[40];
	size_t i;

	/* the total is read first so that no bucket can exceed it by much;
	 * what arrived since then is folded into it below */
	n = atomic_load(&m->count);
	for (i = 0; i < N_BOUNDS; i++) {
		below += atomic_load(&m->buckets[i]);
		(void)snprintf(more, sizeof(more), "le=\"%g\"",
		    (double)bounds_us[i] / US_PER_S);
		put_count(b, m, "_bucket", more, below);
	}
	if (n < below)
		n = below;
	put_count(b, m, "_bucket", "le=\"+Inf\"", n);
	sum = atomic_load(&m->sum_us);
	(void)snprintf(value, sizeof(value), "%" PRIu64 ".%06" PRIu64,
	    sum / US_PER_S, sum % US_PER_S);
	put_line(b, m, "_sum", "", value);
	put_count(b, m, "_count", "", n);
}

static void
put_family(struct buf *b, struct metric *head)
{
	struct metric *m;

	buf_printf(b, "# HELP %s %s\n# TYPE %s %s\n", head->name, head->help,
	    head->name, type_names[head->type]);
	for (m = head; m != NULL; m = m->next) {
		if (strcmp(m->name, head->name) != 0)
			continue;
		if (m->type == HISTOGRAM)
			put_histogram(b, m);
		else
			put_count(b, m, "", "", atomic_load(&m->count));
	}
}

static bool
is_head(const struct metric *m)
{
	const struct metric *p;

	for (p = first; p != m; p = p->next)
		if (strcmp(p->name, m->name) == 0)
			return false;
	return true;
}

void
metrics_render(struct buf *b)
{
	struct metric *m;

	(void)pthread_mutex_lock(&lock);
	for (m = first; m != NULL; m = m->next)
		if (is_head(m))
			put_family(b, m);
	(void)pthread_mutex_unlock(&lock);
}
