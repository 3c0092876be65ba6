#include <getopt.h>
#include <stdio.h>

#include "base/conf.h"
#include "ctl/ceremony.h"
#include "ctl/ceremony_crl.h"
#include "ctl/ctl.h"

#define DAY_S ((int64_t)86400)
#define YEAR_S (365 * DAY_S)

struct init_opts {
	const char *ceremony;
	struct ceremony_crl crl; /* 'file' is set when one is wanted */
	bool crl_option;         /* something that only a CRL has */
};

static int
set_option(struct ctl *c, struct init_opts *o, int opt, struct err *e)
{
	o->crl_option = o->crl_option || (opt != 'c' && opt != 'C');
	switch (opt) {
	case 'c':
		o->ceremony = optarg;
		return 0;
	case 'C':
		o->crl.file = optarg;
		return 0;
	case 'o':
		o->crl.out = optarg;
		return 0;
	case 'p':
		o->crl.previous = optarg;
		return 0;
	case 'r':
		return ceremony_crl_revoke(c->a, &o->crl, optarg, e);
	case 'v':
		return conf_duration(
		    optarg, 1, 100 * YEAR_S, &o->crl.valid_for_s, e);
	default:
		return err_set(e, ERR_MALFORMED, "unknown option");
	}
}

static int
usage(void)
{
	return ctl_usage(
	    "init --ceremony file.yaml\n"
	    "       chancery init --root-crl file.yaml -o file.crl "
	    "[--previous file.crl]\n"
	    "                [--revoke serial|file.pem[=reason]] ... "
	    "[--valid-for duration] authority");
}

int
cmd_init(struct ctl *c, int argc, char **argv)
{
	static const struct option options[] = {
		{ "ceremony", required_argument, NULL, 'c' },
		{ "root-crl", required_argument, NULL, 'C' },
		{ "out", required_argument, NULL, 'o' },
		{ "previous", required_argument, NULL, 'p' },
		{ "revoke", required_argument, NULL, 'r' },
		{ "valid-for", required_argument, NULL, 'v' },
		{ NULL, 0, NULL, 0 },
	};
	struct init_opts o = { .crl = { .valid_for_s = YEAR_S } };
	struct err e;
	int opt, rc;

	while ((opt = getopt_long(argc, argv, "o:", options, NULL)) != -1) {
		if (opt == '?')
			return CTL_USAGE;
		if (set_option(c, &o, opt, &e) == -1) {
			(void)fprintf(stderr, "chancery: %s\n", e.text);
			return CTL_USAGE;
		}
	}
	if ((o.ceremony == NULL) == (o.crl.file == NULL) ||
	    (o.crl.file == NULL && (o.crl_option || optind != argc)) ||
	    (o.crl.file != NULL && (o.crl.out == NULL || optind + 1 != argc)))
		return usage();
	o.crl.name = argv[optind];
	rc = o.ceremony != NULL ? ceremony_run(c, o.ceremony, &e)
				: ceremony_crl(c, &o.crl, &e);
	return rc == -1 ? ctl_fail(c, &e) : CTL_OK;
}
