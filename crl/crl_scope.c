#include "crl/crl_scope.h"

#include <inttypes.h>
#include <stdio.h>

#include "base/crl_partition.h"

/* The URLs with, or without, the mark; with: of this partition. */
static struct profile_strings
choose(struct arena *a, const struct profile_strings *urls, bool marked,
    uint32_t partition)
{
	const char **list = arena_array(a, urls->n, sizeof(*list));
	size_t i, n = 0;

	for (i = 0; i < urls->n; i++) {
		if (crl_partition_marked(urls->list[i]) == marked)
			list[n++] =
			    crl_partition_url(a, urls->list[i], partition);
	}
	return (struct profile_strings){ list, n };
}

static void
fill_full(struct arena *a, const struct issuer *i, struct crl_scope *s)
{
	*s = (struct crl_scope){ .name = "full",
		.delta = "delta",
		.full = true,
		.freshest_urls = choose(a, &i->freshest_urls, false, 0) };
}

static void
fill_part(
    struct arena *a, const struct issuer *i, uint32_t k, struct crl_scope *s)
{
	*s = (struct crl_scope){ .partition = k,
		.point_urls = choose(a, &i->crl_urls, true, k),
		.freshest_urls = choose(a, &i->freshest_urls, true, k) };
	(void)snprintf(s->name, sizeof(s->name), "part-%" PRIu32, k);
	(void)snprintf(s->delta, sizeof(s->delta), "delta-%" PRIu32, k);
}

struct crl_scope *
crl_scopes(struct arena *a, const struct issuer *i, size_t *n)
{
	struct crl_scope *list =
	    arena_array(a, i->crl_partitions + 1, sizeof(*list));
	uint32_t k;

	*n = 0;
	if (i->crl_partitions == 0 || choose(a, &i->crl_urls, false, 0).n > 0)
		fill_full(a, i, &list[(*n)++]);
	for (k = 0; k < i->crl_partitions; k++)
		fill_part(a, i, k, &list[(*n)++]);
	return list;
}

bool
crl_scope_has(
    const struct crl_scope *s, const struct issuer *i, struct span serial)
{
	return s->full ||
	       crl_partition_of(serial, i->crl_partitions) == s->partition;
}
