#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/b64.h"
#include "base/clock.h"
#include "ctl/crl_import.h"
#include "ctl/crl_state.h"
#include "ctl/ctl.h"

static const struct option options[] = {
	{ "name", required_argument, NULL, 'n' },
	{ "json", no_argument, NULL, 'j' },
	{ NULL, 0, NULL, 0 },
};

static int
usage(void)
{
	return ctl_usage("crl import [--name ca] file\n"
			 "       chancery crl list");
}

static void
tell_import(struct ctl *c, const struct crl_import *x)
{
	char until[CLOCK_RFC3339_SIZE];
	json_t *paths = json_array();
	size_t i;

	clock_rfc3339(x->file.next_update, until);
	for (i = 0; i < x->row.n_paths; i++)
		(void)json_array_append_new(
		    paths, json_string(x->row.paths[i]));
	if (c->json) {
		ctl_print_json(json_pack("{s:s, s:I, s:I, s:s, s:b, s:o}",
		    "issuer", x->row.name, "number", (json_int_t)x->number,
		    "entries", (json_int_t)x->file.n, "nextUpdate", until,
		    "already", (int)x->already, "paths", paths));
		return;
	}
	json_decref(paths);
	(void)printf("%s: CRL %" PRId64 " (%zu revoked, until %s) is %s\n",
	    x->row.name, x->number, x->file.n, until,
	    x->already ? "there already" : "recorded");
	for (i = 0; i < x->row.n_paths; i++)
		(void)printf("  served as %s\n", x->row.paths[i]);
}

static int
import(struct ctl *c, int argc, char **argv)
{
	struct crl_import x = { .name = NULL };
	struct err e;
	int opt, rc;

	while ((opt = getopt_long(argc, argv, "", options, NULL)) != -1) {
		if (opt == 'n')
			x.name = optarg;
		else if (opt == 'j')
			c->json = true;
		else
			return CTL_USAGE;
	}
	if (optind + 1 != argc)
		return usage();
	x.path = argv[optind];
	rc = ctl_engine(c);
	if (rc != CTL_OK)
		return rc;
	if (crl_import(c, &x, &e) == -1)
		return ctl_fail(c, &e);
	tell_import(c, &x);
	return CTL_OK;
}

static const char *
state_name(const struct crl_state *x)
{
	if (x->row == NULL)
		return "missing";
	if (x->late)
		return x->row->next_update < clock_now() ? "ended" : "late";
	return x->wanted ? "ok" : "unused";
}

static void
print_state(const struct crl_state *x)
{
	char from[CLOCK_RFC3339_SIZE], until[CLOCK_RFC3339_SIZE];

	if (x->row == NULL) {
		(void)printf("%-12s %-9s %s\n", x->ca, x->scope, state_name(x));
		return;
	}
	clock_rfc3339(x->row->this_update, from);
	clock_rfc3339(x->row->next_update, until);
	(void)printf("%-12s %-9s %-7s %" PRId64 "  %s  %s  %" PRIu64
		     " revoked  %" PRIu64 " bytes\n",
	    x->ca, x->scope, state_name(x), x->row->number, from, until,
	    x->row->entries, x->row->size);
}

static void
print_json(struct ctl *c, const struct crl_state *x)
{
	char from[CLOCK_RFC3339_SIZE], until[CLOCK_RFC3339_SIZE],
	    due[CLOCK_RFC3339_SIZE];
	json_t *v = json_pack("{s:s, s:s, s:s, s:b}", "issuer", x->ca, "scope",
	    x->scope, "state", state_name(x), "imported", (int)x->imported);

	if (x->row != NULL) {
		clock_rfc3339(x->row->this_update, from);
		clock_rfc3339(x->row->next_update, until);
		(void)json_object_update_new(
		    v, json_pack("{s:I, s:s, s:s, s:I, s:I, s:s}", "number",
			   (json_int_t)x->row->number, "thisUpdate", from,
			   "nextUpdate", until, "entries",
			   (json_int_t)x->row->entries, "size",
			   (json_int_t)x->row->size, "sha256",
			   hex_encode(c->a, span_of(x->row->sha256, 32))));
	}
	if (x->row != NULL && x->wanted) {
		clock_rfc3339(x->due, due);
		(void)json_object_set_new(v, "due", json_string(due));
	}
	if (x->row != NULL && x->row->base_number != 0)
		(void)json_object_set_new(v, "baseNumber",
		    json_integer((json_int_t)x->row->base_number));
	ctl_print_json(v);
}

static int
list(struct ctl *c, int argc, char **argv)
{
	struct crl_state *states;
	struct err e;
	size_t i, n;
	int opt, rc;

	while ((opt = getopt_long(argc, argv, "", options, NULL)) != -1) {
		if (opt != 'j')
			return opt == '?' ? CTL_USAGE : usage();
		c->json = true;
	}
	if (optind != argc)
		return usage();
	rc = ctl_engine(c);
	if (rc != CTL_OK)
		return rc;
	if (crl_states(c, c->ctx->db, &states, &n, &e) == -1)
		return ctl_fail(c, &e);
	for (i = 0; i < n; i++) {
		if (c->json)
			print_json(c, &states[i]);
		else
			print_state(&states[i]);
	}
	return CTL_OK;
}

int
cmd_crl(struct ctl *c, int argc, char **argv)
{
	if (argc > 1 && strcmp(argv[1], "import") == 0)
		return import(c, argc - 1, argv + 1);
	if (argc > 1 && strcmp(argv[1], "list") == 0)
		return list(c, argc - 1, argv + 1);
	return usage();
}
