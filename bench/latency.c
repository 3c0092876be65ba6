#include "bench/latency.h"

#include <stdlib.h>

void
latency_note(struct latency *l, int64_t us)
{
	if (l->n == l->max) {
		l->max = l->max == 0 ? 4096 : 2 * l->max;
		l->us = realloc(l->us, l->max * sizeof(*l->us));
		if (l->us == NULL)
			abort();
	}
	l->us[l->n++] = (int32_t)us;
}

void
latency_take(struct latency *to, struct latency *from)
{
	size_t i;

	for (i = 0; i < from->n; i++)
		latency_note(to, from->us[i]);
	free(from->us);
	*from = (struct latency){ 0 };
}

static int
by_value(const void *a, const void *b)
{
	const int32_t *x = a, *y = b;

	return (*x > *y) - (*x < *y);
}

void
latency_sum(struct latency *l, struct latency_sum *out)
{
	size_t i;

	*out = (struct latency_sum){ .n = l->n };
	if (l->n == 0)
		return;
	qsort(l->us, l->n, sizeof(*l->us), by_value);
	i = l->n / 2;
	out->p50_ms = (double)l->us[i] / 1e3;
	i = l->n * 99 / 100;
	out->p99_ms = (double)l->us[i] / 1e3;
	free(l->us);
	*l = (struct latency){ 0 };
}
