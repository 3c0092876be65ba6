/*
 * The chancery command: one file per command, this one for what they share.
 */
#ifndef CTL_CTL_H
#define CTL_CTL_H

#include <stdbool.h>

#include <jansson.h>

#include "base/arena.h"
#include "base/auto.h"
#include "base/err.h"
#include "base/settings.h"
#include "ca/engine.h"

/* Where things are installed; the Makefile says better. */
#ifndef CHANCERY_LIBEXECDIR
#define CHANCERY_LIBEXECDIR "/usr/local/sbin"
#endif
#ifndef CHANCERY_DATADIR
#define CHANCERY_DATADIR "/usr/local/share/chancery"
#endif

/* Exit statuses, as chancery(1) documents them. */
enum ctl_exit {
	CTL_OK = 0,
	CTL_FAILED = 1,      /* something that must not be, or a bug */
	CTL_USAGE = 2,       /* the command line is wrong */
	CTL_REFUSED = 3,     /* input or request refused by a rule */
	CTL_NOT_FOUND = 4,   /* no such object */
	CTL_UNAVAILABLE = 5, /* database, signer or file: try again */
};

struct ctl {
	struct arena *a;
	const char *config; /* path of chancery.yaml */
	bool json;
	struct settings_file *file;
	const struct settings *s; /* after ctl_settings */
	struct engine *engine;    /* after ctl_engine */
	struct ctx *ctx;          /* after ctl_engine */
	const char *user;         /* OS user, for audit */
};

AUTO_DEFINE(json_t, json_decref);

/* Loads chancery.yaml; prints what is wrong and returns an exit status. */
int ctl_settings(struct ctl *c);

/* As ctl_settings, and opens the pipeline under role "oper". */
int ctl_engine(struct ctl *c);

/* Prints an error for a person (or as JSON) and gives the exit status. */
int ctl_fail(const struct ctl *c, const struct err *e);

/* Prints a usage line and gives CTL_USAGE. */
int ctl_usage(const char *text);

/* Prints a JSON value on a line of its own; takes the reference. */
void ctl_print_json(json_t *v);

/* The directory of this program: where the daemons are, too. */
const char *ctl_program_dir(struct ctl *c);

/* The path of daemon "chancery-NAME". */
const char *ctl_daemon(struct ctl *c, const char *name);

/* The commands; argv[0] is the command's name. */
int cmd_approve(struct ctl *c, int argc, char **argv);
int cmd_check(struct ctl *c, int argc, char **argv);
int cmd_crl(struct ctl *c, int argc, char **argv);
int cmd_init(struct ctl *c, int argc, char **argv);
int cmd_issue(struct ctl *c, int argc, char **argv);
int cmd_list(struct ctl *c, int argc, char **argv);
int cmd_profile(struct ctl *c, int argc, char **argv);
int cmd_reject(struct ctl *c, int argc, char **argv);
int cmd_requests(struct ctl *c, int argc, char **argv);
int cmd_revoke(struct ctl *c, int argc, char **argv);
int cmd_secret(struct ctl *c, int argc, char **argv);
int cmd_show(struct ctl *c, int argc, char **argv);
int cmd_status(struct ctl *c, int argc, char **argv);
int cmd_up(struct ctl *c, int argc, char **argv);

#endif
