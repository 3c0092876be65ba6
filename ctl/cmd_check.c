#include <stdio.h>

#include "ctl/ctl.h"
#include "ctl/probe.h"

static void
print(const struct probe *p)
{
	size_t i;

	for (i = 0; i < p->n; i++) {
		(void)printf("%-4s %-11s %s\n", p->lines[i].ok ? "ok" : "BAD",
		    p->lines[i].what, p->lines[i].text);
		if (!p->lines[i].ok && p->lines[i].advice != NULL)
			(void)printf(
			    "     to do:      %s\n", p->lines[i].advice);
	}
}

static void
add_json(json_t *list, const struct probe *p)
{
	size_t i;

	for (i = 0; i < p->n; i++)
		(void)json_array_append_new(list,
		    json_pack("{s:s, s:b, s:s, s:s*}", "part", p->lines[i].what,
			"ok", (int)p->lines[i].ok, "text", p->lines[i].text,
			"advice", p->lines[i].ok ? NULL : p->lines[i].advice));
}

int
cmd_check(struct ctl *c, int argc, char **argv)
{
	struct probe files, running;
	json_t *list;
	bool ok;
	int rc;

	(void)argv;
	if (argc != 1)
		return ctl_usage("check");
	rc = ctl_settings(c);
	if (rc != CTL_OK)
		return rc;
	probe_files(c, &files);
	probe_running(c, &running);
	ok = files.ok && running.ok;
	if (c->json) {
		list = json_array();
		add_json(list, &files);
		add_json(list, &running);
		ctl_print_json(
		    json_pack("{s:b, s:o}", "ok", (int)ok, "parts", list));
	} else {
		print(&files);
		print(&running);
	}
	if (!files.ok)
		return CTL_REFUSED;
	return ok ? CTL_OK : CTL_UNAVAILABLE;
}
