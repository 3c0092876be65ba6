#include "ctl/ctl.h"

#include <getopt.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "base/log.h"

#define DEFAULT_CONFIG "/etc/chancery/chancery.yaml"

static const struct command {
	const char *name;
	int (*run)(struct ctl *, int, char **);
	const char *help;
} commands[] = {
	{ "up", cmd_up, "run everything on this machine" },
	{ "init", cmd_init, "make or import certification authorities" },
	{ "check", cmd_check, "say what is wrong and what to do" },
	{ "status", cmd_status, "say what is running" },
	{ "issue", cmd_issue, "issue a certificate for a PKCS#10 request" },
	{ "requests", cmd_requests, "list requests that wait" },
	{ "approve", cmd_approve, "let a request that waits go on" },
	{ "reject", cmd_reject, "refuse a request that waits" },
	{ "secret", cmd_secret, "make, list, revoke enrollment secrets" },
	{ "revoke", cmd_revoke, "revoke certificates, release a hold" },
	{ "crl", cmd_crl, "list CRLs, or import that of a root" },
	{ "show", cmd_show, "show a certificate and its history" },
	{ "list", cmd_list, "search certificates" },
	{ "profile", cmd_profile, "list profiles, or test a request" },
};
#define N_COMMANDS (sizeof(commands) / sizeof(commands[0]))

static const int exits[] = {
	[ERR_NONE] = CTL_FAILED,
	[ERR_MALFORMED] = CTL_REFUSED,
	[ERR_UNAUTHENTICATED] = CTL_REFUSED,
	[ERR_REFUSED] = CTL_REFUSED,
	[ERR_BAD_POP] = CTL_REFUSED,
	[ERR_BAD_KEY] = CTL_REFUSED,
	[ERR_CONFLICT] = CTL_REFUSED,
	[ERR_NOT_FOUND] = CTL_NOT_FOUND,
	[ERR_LIMITED] = CTL_UNAVAILABLE,
	[ERR_UNAVAILABLE] = CTL_UNAVAILABLE,
	[ERR_INTERNAL] = CTL_FAILED,
};
_Static_assert(sizeof(exits) / sizeof(exits[0]) == ERR__COUNT,
    "every kind has an exit status");

void
ctl_print_json(json_t *v)
{
	(void)json_dumpf(v, stdout, JSON_COMPACT);
	(void)putchar('\n');
	json_decref(v);
}

int
ctl_fail(const struct ctl *c, const struct err *e)
{
	if (c->json)
		ctl_print_json(json_pack("{s:{s:s, s:s}}", "error", "kind",
		    err_kind_name(e->kind), "text", e->text));
	else
		(void)fprintf(stderr, "chancery: %s\n", e->text);
	return exits[e->kind];
}

int
ctl_usage(const char *text)
{
	(void)fprintf(stderr, "usage: chancery %s\n", text);
	return CTL_USAGE;
}

int
ctl_settings(struct ctl *c)
{
	struct err e;

	if (settings_load(c->config, &c->file, &e) == -1) {
		if (e.kind == ERR_NOT_FOUND)
			(void)err_prefix(&e,
			    "no configuration (name it with -c, or run "
			    "./quickstart)");
		return ctl_fail(c, &e);
	}
	c->s = settings_get(c->file);
	return CTL_OK;
}

int
ctl_engine(struct ctl *c)
{
	char node[64];
	struct err e;
	int rc = ctl_settings(c);

	if (rc != CTL_OK)
		return rc;
	(void)snprintf(node, sizeof(node), "cli-%d", (int)getpid());
	if (engine_new(c->s, "oper", node, &c->engine, &e) == -1)
		return ctl_fail(c, &e);
	if (engine_start(c->engine, &e) == -1)
		return ctl_fail(c, &e);
	c->ctx = engine_ctx_new(c->engine);
	engine_begin(c->engine, c->ctx, c->a, arena_strdup(c->a, node));
	return CTL_OK;
}

const char *
ctl_program_dir(struct ctl *c)
{
	char path[4096], *slash;
	ssize_t n = readlink("/proc/self/exe", path, sizeof(path) - 1);

	if (n <= 0)
		return CHANCERY_LIBEXECDIR;
	path[n] = '\0';
	slash = strrchr(path, '/');
	*slash = '\0';
	return arena_strdup(c->a, path);
}

const char *
ctl_daemon(struct ctl *c, const char *name)
{
	const char *path =
	    arena_printf(c->a, "%s/chancery-%s", ctl_program_dir(c), name);

	if (access(path, X_OK) == 0)
		return path;
	return arena_printf(c->a, CHANCERY_LIBEXECDIR "/chancery-%s", name);
}

static int
usage(void)
{
	size_t i;

	(void)fprintf(stderr,
	    "usage: chancery [-c chancery.yaml] [--json] command ...\n\n");
	for (i = 0; i < N_COMMANDS; i++)
		(void)fprintf(
		    stderr, "  %-9s %s\n", commands[i].name, commands[i].help);
	return CTL_USAGE;
}

static int
dispatch(struct ctl *c, int argc, char **argv)
{
	size_t i;

	for (i = 0; i < N_COMMANDS; i++) {
		if (strcmp(commands[i].name, argv[0]) == 0) {
			optind = 0;
			return commands[i].run(c, argc, argv);
		}
	}
	return usage();
}

static const char *
user_name(struct ctl *c)
{
	const struct passwd *pw = getpwuid(getuid());

	if (pw == NULL)
		return arena_printf(c->a, "uid%u", (unsigned)getuid());
	return arena_strdup(c->a, pw->pw_name);
}

int
main(int argc, char **argv)
{
	static const struct option options[] = {
		{ "json", no_argument, NULL, 'j' },
		{ "config", required_argument, NULL, 'c' },
		{ NULL, 0, NULL, 0 },
	};
	struct ctl c = { .config = getenv("CHANCERY_CONFIG") };
	int opt, rc;

	log_init("chancery", LOG_INFO);
	if (c.config == NULL)
		c.config = DEFAULT_CONFIG;
	while ((opt = getopt_long(argc, argv, "+c:j", options, NULL)) != -1) {
		if (opt == 'c')
			c.config = optarg;
		else if (opt == 'j')
			c.json = true;
		else
			return usage();
	}
	if (optind == argc)
		return usage();
	c.a = arena_new();
	c.user = user_name(&c);
	rc = dispatch(&c, argc - optind, argv + optind);
	engine_ctx_free(c.ctx);
	engine_free(c.engine);
	settings_free(c.file);
	arena_free(c.a);
	return rc;
}
