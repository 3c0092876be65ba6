#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/clock.h"
#include "ctl/ctl.h"
#include "ctl/layout.h"
#include "ctl/probe.h"

#define POLL_US 200000

static void
print_probe(const struct probe *p)
{
	size_t i;

	for (i = 0; i < p->n; i++) {
		(void)printf("%-11s %-5s %s\n", p->lines[i].what,
		    p->lines[i].ok ? "ok" : "BAD", p->lines[i].text);
		if (!p->lines[i].ok && p->lines[i].advice != NULL)
			(void)printf(
			    "            to do: %s\n", p->lines[i].advice);
	}
}

static void
print_probe_json(const struct probe *p, bool separated, const char *why)
{
	json_t *list = json_array();
	size_t i;

	for (i = 0; i < p->n; i++)
		(void)json_array_append_new(list,
		    json_pack("{s:s, s:b, s:s, s:s*}", "part", p->lines[i].what,
			"ok", (int)p->lines[i].ok, "text", p->lines[i].text,
			"advice", p->lines[i].ok ? NULL : p->lines[i].advice));
	ctl_print_json(json_pack("{s:b, s:o, s:b, s:s*}", "ok", (int)p->ok,
	    "parts", list, "separated", (int)separated, "why", why));
}

int
cmd_status(struct ctl *c, int argc, char **argv)
{
	static const struct option options[] = {
		{ "wait", required_argument, NULL, 'w' },
		{ "json", no_argument, NULL, 'j' },
		{ NULL, 0, NULL, 0 },
	};
	int64_t until = clock_mono_us();
	const char *why = NULL;
	struct probe p;
	bool separated;
	int opt, rc;

	while ((opt = getopt_long(argc, argv, "", options, NULL)) != -1) {
		if (opt == 'w')
			until += strtoll(optarg, NULL, 10) * 1000000;
		else if (opt == 'j')
			c->json = true;
		else
			return CTL_USAGE;
	}
	if (optind != argc)
		return ctl_usage("status [--wait seconds]");
	rc = ctl_settings(c);
	if (rc != CTL_OK)
		return rc;
	for (;;) {
		probe_running(c, &p);
		if (p.ok || clock_mono_us() >= until)
			break;
		(void)usleep(POLL_US);
	}
	separated = layout_separated(c->a, c->s, &why);
	if (c->json) {
		print_probe_json(&p, separated, why);
	} else {
		print_probe(&p);
		(void)printf("separation  %s%s%s\n", separated ? "on" : "off",
		    separated ? "" : ": ", separated ? "" : why);
	}
	return p.ok ? CTL_OK : CTL_UNAVAILABLE;
}
