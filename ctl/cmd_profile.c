#include <stdio.h>
#include <string.h>

#include "base/b64.h"
#include "base/clock.h"
#include "ctl/csr_opts.h"
#include "ctl/ctl.h"

/* Issuers and profiles without database or signer. */
static int
open_offline(struct ctl *c)
{
	struct err e;
	int rc = ctl_settings(c);

	if (rc != CTL_OK)
		return rc;
	if (engine_new(c->s, "oper", "profile-test", &c->engine, &e) == -1)
		return ctl_fail(c, &e);
	return CTL_OK;
}

static int
list_profiles(struct ctl *c)
{
	const struct profile_set *set = engine_profiles(c->engine);
	json_t *list = json_array();
	size_t i;

	for (i = 0; i < profile_count(set); i++) {
		const struct profile *p = profile_at(set, i);

		if (c->json)
			(void)json_array_append_new(
			    list, json_pack("{s:s, s:s}", "name", p->name,
				      "description", p->description));
		else
			(void)printf("%-16s %s\n", p->name, p->description);
	}
	if (c->json)
		ctl_print_json(list);
	else
		json_decref(list);
	return CTL_OK;
}

static json_t *
trail_json(const struct policy_trail *trail)
{
	json_t *steps = json_array();
	size_t i;

	for (i = 0; i < trail->n; i++)
		(void)json_array_append_new(steps,
		    json_pack("{s:s, s:b, s:s}", "rule", trail->steps[i].rule,
			"ok", (int)trail->steps[i].ok, "text",
			trail->steps[i].text));
	return steps;
}

static void
print_trail(const struct policy_trail *trail)
{
	size_t i;

	for (i = 0; i < trail->n; i++)
		(void)printf("%-4s %-14s %s\n",
		    trail->steps[i].ok ? "ok" : "NO", trail->steps[i].rule,
		    trail->steps[i].text);
}

static void
print_plan(struct ctl *c, const struct policy_plan *plan, struct span tbs)
{
	char from[CLOCK_RFC3339_SIZE], until[CLOCK_RFC3339_SIZE];

	clock_rfc3339(plan->not_before, from);
	clock_rfc3339(plan->not_after, until);
	(void)printf("would issue:\n"
		     "  issuer     %s\n  subject    %s\n"
		     "  key        %s, %s\n  validity   %s to %s\n"
		     "  approval   %s\n  size       %zu bytes to be signed\n",
	    plan->issuer->name, dn_text(c->a, &plan->subject), plan->key_name,
	    profile_usage_text(c->a, plan->key_usage), from, until,
	    plan->profile->approval ? "required" : "not required", tbs.n);
}

static int
test_profile(struct ctl *c, int argc, char **argv)
{
	struct policy_trail trail = { .n = 0 };
	struct policy_plan plan;
	struct csr_opts o;
	struct request req;
	struct ctx ctx = { .arena = c->a };
	struct span tbs;
	struct err e;
	int rc;

	if (argc < 3 || csr_opts_parse(c, argc - 1, argv + 1, &o) != CTL_OK)
		return ctl_usage(
		    "profile test [--san name] [--valid-for duration] profile request.csr");
	ctx.profiles = engine_profiles(c->engine);
	ctx.issuers = engine_issuers(c->engine);
	o.profile = argv[1];
	if (csr_opts_request(c, &o, &req, &e) == -1)
		return ctl_fail(c, &e);
	rc = enroll_explain(&ctx, &req, &trail, &plan, &tbs, &e);
	if (c->json)
		ctl_print_json(
		    json_pack("{s:b, s:s, s:o}", "ok", rc == 0, "text",
			rc == 0 ? "" : e.text, "rules", trail_json(&trail)));
	else
		print_trail(&trail);
	if (rc == -1) {
		if (!c->json)
			(void)printf("refused: %s\n", e.text);
		return CTL_REFUSED;
	}
	if (!c->json)
		print_plan(c, &plan, tbs);
	return CTL_OK;
}

int
cmd_profile(struct ctl *c, int argc, char **argv)
{
	int rc;

	if (argc < 2 ||
	    (strcmp(argv[1], "list") != 0 && strcmp(argv[1], "test") != 0))
		return ctl_usage("profile list | profile test ...");
	rc = open_offline(c);
	if (rc != CTL_OK)
		return rc;
	if (strcmp(argv[1], "list") == 0)
		return list_profiles(c);
	return test_profile(c, argc - 1, argv + 1);
}
