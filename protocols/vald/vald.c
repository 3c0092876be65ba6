/* chancery-vald: options and chancery.yaml; the rest is vald_serve's. */
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "base/log.h"
#include "base/settings.h"
#include "protocols/vald/vald_check.h"
#include "protocols/vald/vald_serve.h"

#define CONNINFO_SIZE 5000
#define NODE_SIZE 65

static void
usage(void)
{
	(void)fprintf(stderr,
	    "usage: chancery-vald [-d] [--require-sandbox] -c chancery.yaml\n");
	exit(2);
}

static int
fail(const char *what, const struct err *e)
{
	log_event(LOG_ERROR, what, "msg", e->text, NULL);
	return 1;
}

static int
serve(const struct settings *s, bool require_sandbox)
{
	const char *const read[] = { "/etc", "/usr", "/lib", "/dev/urandom",
		s->run_dir };
	char conninfo[CONNINFO_SIZE], node[NODE_SIZE] = "";
	struct vald_serve v = {
		.run = { .conf = &s->vald, .conninfo = conninfo, .node = node },
		/* a supervisor has changed to the user already */
		.user = geteuid() == 0 ? s->users.vald : NULL,
		.read = read,
		.n_read = sizeof(read) / sizeof(read[0]),
		.require_sandbox = require_sandbox
	};
	struct err e;

	(void)gethostname(node, sizeof(node) - 1);
	if (settings_conninfo(
		s, "chancery_vald", conninfo, sizeof(conninfo), &e) == -1)
		return fail("configuration", &e);
	return vald_serve(&v);
}

int
main(int argc, char **argv)
{
	static const struct option options[] = {
		{ "require-sandbox", no_argument, NULL, 'S' },
		{ NULL, 0, NULL, 0 },
	};
	enum log_level level = LOG_INFO;
	struct settings_file *settings;
	const char *file = NULL;
	bool require = false;
	struct err e;
	int c, rc;

	while ((c = getopt_long(argc, argv, "c:d", options, NULL)) != -1) {
		if (c == 'c')
			file = optarg;
		else if (c == 'd')
			level = LOG_DEBUG;
		else if (c == 'S')
			require = true;
		else
			usage();
	}
	if (file == NULL || optind != argc)
		usage();
	log_init("vald", level);
	(void)prctl(PR_SET_DUMPABLE, 0);
	if (settings_load(file, &settings, &e) == -1)
		return fail("configuration", &e);
	rc = vald_check(settings, &e) == -1
		 ? fail("configuration", &e)
		 : serve(settings_get(settings), require);
	settings_free(settings);
	return rc;
}
