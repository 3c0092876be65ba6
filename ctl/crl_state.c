#include "ctl/crl_state.h"

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "ca/issuer.h"
#include "crl/crl_scope.h"
#include "crl/outer.h"
#include "crl/publish.h"
#include "db/store_authority.h"

/* What is gathered; 'list' has room for all. */
struct gathering {
	struct ctl *c;
	struct store_crls rows;
	struct store_authority *cas;
	size_t n_cas;
	struct crl_state *list;
	size_t n;
	int64_t now;
};

static const struct store_crl *
find_row(const struct gathering *g, int ca, const char *scope)
{
	size_t i;

	for (i = 0; i < g->rows.n; i++) {
		if (g->rows.list[i].issuer == ca &&
		    strcmp(g->rows.list[i].scope, scope) == 0)
			return &g->rows.list[i];
	}
	return NULL;
}

static const struct store_authority *
find_ca(const struct gathering *g, const char *name)
{
	size_t i;

	for (i = 0; i < g->n_cas; i++) {
		if (strcmp(g->cas[i].name, name) == 0)
			return &g->cas[i];
	}
	return NULL;
}

static const struct settings_issuer *
settings_of(const struct settings *s, const char *name)
{
	unsigned i;

	for (i = 0; i < s->issuers_count; i++) {
		if (strcmp(s->issuers[i].name, name) == 0)
			return &s->issuers[i];
	}
	return NULL;
}

static void
add(struct gathering *g, const struct crl_state *x)
{
	g->list[g->n++] = *x;
}

/* A complete list that an issuer has to have. */
static void
add_complete(
    struct gathering *g, const struct settings_issuer *in, const char *scope)
{
	const struct store_authority *ca = find_ca(g, in->name);
	const struct store_crl *row =
	    ca == NULL ? NULL : find_row(g, ca->id, scope);
	const struct crl_state x = { .ca = in->name,
		.scope = arena_strdup(g->c->a, scope),
		.row = row,
		.wanted = true,
		.late = publish_is_late(&in->crl, row, g->now),
		.due =
		    row == NULL ? 0 : row->this_update + in->crl.interval_s };

	add(g, &x);
}

static void
add_delta(
    struct gathering *g, const struct settings_issuer *in, const char *scope)
{
	const struct store_authority *ca = find_ca(g, in->name);
	const struct store_crl *row =
	    ca == NULL ? NULL : find_row(g, ca->id, scope);
	struct crl_state x = { .ca = in->name,
		.scope = arena_strdup(g->c->a, scope),
		.row = row,
		.wanted = true };

	/* the first one follows the complete list */
	if (row == NULL)
		return;
	x.due = row->this_update + in->crl.delta_interval_s;
	x.late = g->now > row->next_update;
	add(g, &x);
}

static void
add_issuer(struct gathering *g, const struct issuer *i)
{
	const struct settings_issuer *in = settings_of(g->c->s, i->name);
	const struct crl_scope *s;
	size_t k, n;

	s = crl_scopes(g->c->a, i, &n);
	for (k = 0; k < n; k++) {
		add_complete(g, in, s[k].name);
		if (s[k].freshest_urls.n > 0)
			add_delta(g, in, s[k].delta);
	}
}

/* An imported list, or one of an issuer that has gone. */
static void
add_other(struct gathering *g, const struct store_authority *ca,
    const struct store_crl *row)
{
	struct crl_state x = { .ca = ca->name,
		.scope = row->scope,
		.row = row,
		.imported = ca->n_paths > 0,
		.wanted = ca->n_paths > 0 };

	x.due = outer_due(row);
	x.late = x.wanted && g->now > x.due;
	add(g, &x);
}

static bool
has(const struct gathering *g, const struct store_crl *row)
{
	size_t i;

	for (i = 0; i < g->n; i++) {
		if (g->list[i].row == row)
			return true;
	}
	return false;
}

static void
add_others(struct gathering *g)
{
	size_t i, k;

	for (i = 0; i < g->rows.n; i++) {
		if (has(g, &g->rows.list[i]))
			continue;
		for (k = 0; k < g->n_cas; k++) {
			if (g->cas[k].id == g->rows.list[i].issuer)
				add_other(g, &g->cas[k], &g->rows.list[i]);
		}
	}
}

/* Lists that certificates name and nobody has imported. */
static void
add_missing(struct gathering *g, const struct outers *outer)
{
	size_t i;

	for (i = 0; i < outer->n; i++) {
		const struct crl_state x = { .ca = outer->list[i].name,
			.scope = "full",
			.imported = true,
			.wanted = true,
			.late = true };

		if (outer->list[i].row == NULL)
			add(g, &x);
	}
}

/* "part-2" before "part-10". */
static int
order(const void *va, const void *vb)
{
	const struct crl_state *x = va, *y = vb;
	int r = strcmp(x->ca, y->ca);

	if (r == 0 && strncmp(x->scope, y->scope, 4) == 0 &&
	    strlen(x->scope) != strlen(y->scope))
		return strlen(x->scope) < strlen(y->scope) ? -1 : 1;
	return r != 0 ? r : strcmp(x->scope, y->scope);
}

static size_t
room(const struct gathering *g, const struct issuer_set *set)
{
	size_t n = g->rows.n, i;

	for (i = 0; i < issuer_count(set); i++)
		n += 2 * ((size_t)issuer_at(set, i)->crl_partitions + 1);
	return n;
}

int
crl_states(struct ctl *c, struct db *db, struct crl_state **out, size_t *n,
    struct err *e)
{
	struct gathering g = { .c = c, .now = clock_now() };
	struct issuer_set *set;
	struct outers outer;
	size_t i;
	int rc;

	if (store_crl_current(db, c->a, &g.rows, e) == -1 ||
	    store_authority_list(db, c->a, &g.cas, &g.n_cas, e) == -1 ||
	    issuer_set_load(c->s, &set, e) == -1)
		return -1;
	rc = outer_list(c->a, db, set, &g.rows, &outer, e);
	if (rc == 0) {
		g.list =
		    arena_array(c->a, room(&g, set) + outer.n, sizeof(*g.list));
		for (i = 0; i < issuer_count(set); i++)
			add_issuer(&g, issuer_at(set, i));
	}
	issuer_set_free(set);
	if (rc == -1)
		return -1;
	add_others(&g);
	add_missing(&g, &outer);
	if (g.n > 1)
		qsort(g.list, g.n, sizeof(*g.list), order);
	*out = g.list;
	*n = g.n;
	return 0;
}
