/* Whether the published CRLs are as new as the settings want them. */
#include "base/clock.h"
#include "crl/crl_scope.h"
#include "crl/publish.h"
#include "ctl/probe.h"
#include "db/db.h"

#include <stdio.h>
#include <string.h>

#define CONNINFO_MAX 1024

static const struct store_crl *
find(const struct store_crls *all, int issuer, const char *scope)
{
	size_t i;

	for (i = 0; i < all->n; i++) {
		if (all->list[i].issuer == issuer &&
		    strcmp(all->list[i].scope, scope) == 0)
			return &all->list[i];
	}
	return NULL;
}

/* The lists of one issuer: a line for the worst of them. */
static void
probe_issuer(struct ctl *c, struct probe *p, const struct issuer *i,
    const struct settings_crl *conf, const struct store_crls *all)
{
	const struct store_crl *row = NULL, *late = NULL;
	const char *missing = NULL;
	char until[CLOCK_RFC3339_SIZE];
	struct crl_scope *scopes;
	size_t k, n;

	scopes = crl_scopes(c->a, i, &n);
	for (k = 0; k < n; k++) {
		row = find(all, i->id, scopes[k].name);
		if (row == NULL)
			missing = scopes[k].name;
		else if (publish_is_late(conf, row, clock_now()))
			late = row;
	}
	if (late != NULL)
		row = late;
	clock_rfc3339(row == NULL ? 0 : row->next_update, until);
	probe_add(c, p, "crl", missing == NULL && late == NULL,
	    missing != NULL
		? arena_printf(c->a, "%s: no list %s", i->name, missing)
		: arena_printf(c->a, "%s: %s, next update by %s", i->name,
		      late == NULL ? "in time" : "late", until),
	    "is chancery-pubd running, and what does its log say?");
}

static int
probe_all(struct ctl *c, struct probe *p, struct db *db, struct err *e)
{
	struct issuer_set *set;
	struct store_crls all;
	size_t i;

	if (issuer_set_load(c->s, &set, e) == -1)
		return -1;
	if (issuer_set_lookup(set, db, e) == -1 ||
	    store_crl_current(db, c->a, &all, e) == -1) {
		issuer_set_free(set);
		return -1;
	}
	for (i = 0; i < issuer_count(set); i++)
		probe_issuer(
		    c, p, issuer_at(set, i), &c->s->issuers[i].crl, &all);
	issuer_set_free(set);
	return 0;
}

void
probe_crls(struct ctl *c, struct probe *out)
{
	char conninfo[CONNINFO_MAX];
	struct db *db;
	struct err e;

	if (settings_conninfo(
		c->s, "chancery_oper", conninfo, sizeof(conninfo), &e) == -1)
		return;
	db = db_new(conninfo, "chancery status");
	if (probe_all(c, out, db, &e) == -1)
		probe_add(
		    c, out, "crl", false, e.text, "does the database answer?");
	db_free(db);
}
