#include "crl/crl_kept.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "hsm/crlcheck.h"

#define FIRST_CHANGES 64

void
crl_kept_drop(struct crl_kept *k)
{
	if (k->has)
		(void)close(k->built.fd);
	free(k->changes);
	*k = (struct crl_kept){ .changed = k->changed };
}

void
crl_kept_take(struct crl_kept *k, const struct crl_built *built)
{
	crl_kept_drop(k);
	k->has = true;
	k->built = *built;
}

static void
add_change(struct crl_kept *k, struct span serial)
{
	size_t max = k->max == 0 ? FIRST_CHANGES : 2 * k->max;
	struct crl_kept_serial *more;

	if (k->n == k->max) {
		more = realloc(k->changes, max * sizeof(*more));
		if (more == NULL)
			abort();
		k->changes = more;
		k->max = max;
	}
	k->changes[k->n].n = (uint8_t)serial.n;
	memcpy(k->changes[k->n++].bytes, serial.p, serial.n);
}

void
crl_kept_note(struct crl_kept *k, struct span serial)
{
	k->changed = true;
	if (!k->has || k->stale)
		return;
	if (serial.n == 0 || k->n == CRL_KEPT_CHANGES_MAX)
		k->stale = true;
	else if (crl_build_is_serial(serial)) /* others are on no list */
		add_change(k, serial);
}

static int
by_serial(const void *a, const void *b)
{
	return span_cmp(*(const struct span *)a, *(const struct span *)b);
}

struct span *
crl_kept_changes(struct crl_kept *k, struct arena *a, size_t *n)
{
	struct span *list = arena_array(a, k->n, sizeof(*list));
	size_t i;

	for (i = 0; i < k->n; i++)
		list[i] =
		    span_dup(a, span_of(k->changes[i].bytes, k->changes[i].n));
	if (k->n > 0)
		qsort(list, k->n, sizeof(*list), by_serial);
	*n = 0;
	for (i = 0; i < k->n; i++) {
		if (*n == 0 || !span_eq(list[*n - 1], list[i]))
			list[(*n)++] = list[i];
	}
	return list;
}

/* Where the copy stands in the kept list. */
struct place {
	struct span rest;
	size_t left; /* entries in it */
};

/* Copies what stands before 'serial', and skips what stands there of it. */
static int
copy_below(
    struct place *p, struct span serial, struct crl_build *to, struct err *e)
{
	struct crl_run run = { .der = p->rest };
	struct span next = p->rest, is;

	while (crlcheck_next_serial(&next, &is) && span_cmp(is, serial) < 0) {
		run.last = is;
		run.entries++;
		p->rest = next;
	}
	run.der.n -= p->rest.n;
	p->left -= run.entries;
	next = p->rest;
	if (crlcheck_next_serial(&next, &is) && span_eq(is, serial)) {
		p->rest = next;
		p->left--;
	}
	return crl_build_copy(to, &run, e);
}

static int
copy(struct place *p, const struct crl_kept_patch *patch, struct crl_build *to,
    struct err *e)
{
	size_t i, k = 0;
	struct crl_run end;

	for (i = 0; i < patch->n_changes; i++) {
		if (copy_below(p, patch->changes[i], to, e) == -1)
			return -1;
		if (k < patch->n_now &&
		    span_eq(patch->now[k].serial, patch->changes[i]) &&
		    crl_build_add(to, &patch->now[k++], e) == -1)
			return -1;
	}
	end = (struct crl_run){ .der = p->rest, .entries = p->left };
	return crl_build_copy(to, &end, e);
}

int
crl_kept_copy(const struct crl_kept *k, const struct crl_kept_patch *patch,
    struct crl_build *to, struct err *e)
{
	struct place at = { .left = k->built.entries };
	uint8_t *p =
	    mmap(NULL, k->built.size, PROT_READ, MAP_SHARED, k->built.fd, 0);
	int r;

	if (p == MAP_FAILED)
		return err_set(e, ERR_UNAVAILABLE, "mmap: %s", strerror(errno));
	at.rest = span_of(p + k->built.at, k->built.bytes);
	r = copy(&at, patch, to, e);
	(void)munmap(p, k->built.size);
	return r;
}
