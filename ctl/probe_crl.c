/* Whether the published and the imported CRLs are in time. */
#include <string.h>

#include "base/clock.h"
#include "ctl/crl_state.h"
#include "ctl/probe.h"

/* What is wrong with a list, and who is to do what. */
static void
bad_crl(struct ctl *c, struct probe *p, const struct crl_state *x)
{
	char at[CLOCK_RFC3339_SIZE];
	const char *text = "there is none yet";

	if (x->row != NULL && x->row->next_update < clock_now()) {
		clock_rfc3339(x->row->next_update, at);
		text = arena_printf(c->a, "has ended at %s", at);
	} else if (x->row != NULL) {
		clock_rfc3339(x->due, at);
		text = arena_printf(c->a, "late: the next was due at %s", at);
	}
	probe_add(c, p, "crl", false,
	    arena_printf(c->a, "%s, %s: %s", x->ca, x->scope, text),
	    x->imported
		? "make the next with chancery init --root-crl (--previous, "
		  "if there is one), and chancery crl import it"
		: "is chancery-pubd running? its log says \"CRL not "
		  "published\" and why");
}

/* The lists of one CA: how many there are of the 'n' from 's' on. */
static size_t
probe_ca(struct ctl *c, struct probe *p, const struct crl_state *s, size_t n)
{
	char due[CLOCK_RFC3339_SIZE];
	int64_t next = INT64_MAX;
	bool bad = false;
	size_t k;

	for (k = 0; k < n && strcmp(s[k].ca, s[0].ca) == 0; k++) {
		if (s[k].late)
			bad_crl(c, p, &s[k]);
		else if (s[k].wanted && s[k].due < next)
			next = s[k].due;
		bad = bad || s[k].late;
	}
	if (bad || next == INT64_MAX)
		return k;
	clock_rfc3339(next, due);
	probe_add(c, p, "crl", true,
	    arena_printf(c->a, "%s: %zu, the next due at %s", s[0].ca, k, due),
	    NULL);
	return k;
}

void
probe_crls(struct ctl *c, struct probe *p, struct db *db)
{
	struct crl_state *s;
	struct err e;
	size_t i, n;

	if (crl_states(c, db, &s, &n, &e) == -1) {
		probe_add(c, p, "crl", false, e.text, "correct what it names");
		return;
	}
	for (i = 0; i < n;)
		i += probe_ca(c, p, &s[i], n - i);
}
