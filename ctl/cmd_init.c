#include <getopt.h>

#include "ctl/ceremony.h"
#include "ctl/ctl.h"

int
cmd_init(struct ctl *c, int argc, char **argv)
{
	static const struct option options[] = {
		{ "ceremony", required_argument, NULL, 'c' },
		{ NULL, 0, NULL, 0 },
	};
	const char *file = NULL;
	struct err e;
	int opt;

	while ((opt = getopt_long(argc, argv, "", options, NULL)) != -1) {
		if (opt != 'c')
			return CTL_USAGE;
		file = optarg;
	}
	if (file == NULL || optind != argc)
		return ctl_usage("init --ceremony file.yaml");
	if (ceremony_run(c, file, &e) == -1)
		return ctl_fail(c, &e);
	return CTL_OK;
}
