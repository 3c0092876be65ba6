/* chancery-vald: what chancery.yaml says; the rest is vald_serve's. */
#include <unistd.h>

#include "base/daemon.h"
#include "protocols/vald/vald_check.h"
#include "protocols/vald/vald_serve.h"

#define CONNINFO_SIZE 5000
#define NODE_SIZE 65

static int
run(const struct settings *s, bool require_sandbox)
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
		return daemon_fail("configuration", &e);
	return vald_serve(&v) == 0 ? 0 : -1;
}

static int
serve(const struct settings_file *file, bool require_sandbox)
{
	struct err e;

	if (vald_check(file, &e) == -1)
		return daemon_fail("configuration", &e);
	return run(settings_get(file), require_sandbox);
}

int
main(int argc, char **argv)
{
	static const struct daemon vald = { .name = "vald", .serve = serve };

	return daemon_main(&vald, argc, argv);
}
