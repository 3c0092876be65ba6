#include <getopt.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <termios.h>
#include <unistd.h>

#include <openssl/crypto.h>

#include "base/clock.h"
#include "base/conf.h"
#include "ca/secret.h"
#include "ctl/ctl.h"

#define LIFETIME "7d"
#define LIFETIME_MAX_S ((int64_t)10 * 365 * 86400)
#define NAMES_MAX 64
#define PAGE 1000

static const struct option options[] = {
	{ "profile", required_argument, NULL, 'p' },
	{ "name", required_argument, NULL, 'n' },
	{ "valid-for", required_argument, NULL, 'v' },
	{ "multi-use", no_argument, NULL, 'm' },
	{ "chosen", no_argument, NULL, 'c' },
	{ "all", no_argument, NULL, 'a' },
	{ "json", no_argument, NULL, 'j' },
	{ NULL, 0, NULL, 0 },
};

struct opts {
	const char *profile, *lifetime, *names[NAMES_MAX];
	size_t n_names;
	bool multi_use, chosen, all;
};

static int
usage(void)
{
	return ctl_usage("secret add -p profile [--name type:pattern] "
			 "[--valid-for duration] [--multi-use] [--chosen] "
			 "name\n"
			 "       chancery secret list [--all]\n"
			 "       chancery secret revoke name");
}

static int
read_opts(struct ctl *c, int argc, char **argv, struct opts *o)
{
	int opt;

	*o = (struct opts){ .lifetime = LIFETIME };
	while ((opt = getopt_long(argc, argv, "p:", options, NULL)) != -1) {
		if (opt == '?')
			return CTL_USAGE;
		if (opt == 'n' && o->n_names == NAMES_MAX)
			return usage();
		if (opt == 'n')
			o->names[o->n_names++] = optarg;
		else if (opt == 'p')
			o->profile = optarg;
		else if (opt == 'v')
			o->lifetime = optarg;
		else if (opt == 'm')
			o->multi_use = true;
		else if (opt == 'c')
			o->chosen = true;
		else if (opt == 'a')
			o->all = true;
		else
			c->json = true;
	}
	return CTL_OK;
}

/* A line of standard input, without echo on a terminal. */
static int
read_line(char *out, size_t size, struct err *e)
{
	bool terminal = isatty(STDIN_FILENO) != 0;
	struct termios old, quiet;
	char *got;

	if (terminal && tcgetattr(STDIN_FILENO, &old) == 0) {
		(void)fprintf(stderr, "Secret: ");
		quiet = old;
		quiet.c_lflag &= ~(tcflag_t)ECHO;
		(void)tcsetattr(STDIN_FILENO, TCSAFLUSH, &quiet);
	}
	got = fgets(out, (int)size, stdin);
	if (terminal) {
		(void)tcsetattr(STDIN_FILENO, TCSAFLUSH, &old);
		(void)fprintf(stderr, "\n");
	}
	if (got == NULL)
		return err_set(
		    e, ERR_MALFORMED, "there is no secret on standard input");
	out[strcspn(out, "\n")] = '\0';
	return 0;
}

static int
check_name(const char *name, struct err *e)
{
	if (secret_name_ok(name))
		return 0;
	return err_set(e, ERR_MALFORMED,
	    "a secret's name has 1 to %d visible ASCII characters and no "
	    "colon",
	    SECRET_NAME_MAX);
}

/* The words before the colon that ca/policy compares. */
static int
check_pattern(const char *text, struct err *e)
{
	static const char *const words[] = { "dns", "ip", "email", "uri",
		"upn" };
	const char *colon = strchr(text, ':');
	char word[32] = "";
	size_t i;

	if (colon != NULL && colon != text && colon[1] != '\0' &&
	    strchr(text, '\n') == NULL &&
	    (size_t)(colon - text) < sizeof(word)) {
		(void)memcpy(word, text, (size_t)(colon - text));
		for (i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
			if (strcmp(words[i], word) == 0)
				return 0;
		}
		if (dn_type_named(word) != NULL &&
		    strcmp(dn_type_named(word)->name, word) == 0)
			return 0;
	}
	return err_set(e, ERR_MALFORMED,
	    "\"%s\" is not like dns:*.a.test or CN:printer-*", text);
}

static int
check_add(
    struct ctl *c, const struct opts *o, struct store_secret *s, struct err *e)
{
	const struct profile *p;
	int64_t lifetime_s;
	size_t i;

	if (check_name(s->name, e) == -1 ||
	    conf_duration(o->lifetime, 60, LIFETIME_MAX_S, &lifetime_s, e) ==
		-1)
		return -1;
	for (i = 0; i < o->n_names; i++) {
		if (check_pattern(o->names[i], e) == -1)
			return -1;
	}
	p = profile_get(c->ctx->profiles, o->profile);
	if (p == NULL)
		return err_set(
		    e, ERR_NOT_FOUND, "there is no profile \"%s\"", o->profile);
	if (!profile_has_protocol(p, "est"))
		return err_set(e, ERR_REFUSED,
		    "profile \"%s\" allows no protocol that takes secrets",
		    o->profile);
	s->expires_at = clock_now() + lifetime_s;
	return 0;
}

static void
tell_added(struct ctl *c, const struct store_secret *s, const char *text)
{
	char until[CLOCK_RFC3339_SIZE];

	clock_rfc3339(s->expires_at, until);
	if (c->json)
		ctl_print_json(json_pack("{s:s, s:s, s:s, s:b, s:s*}", "name",
		    s->name, "profile", s->profile, "expires", until, "oneTime",
		    (int)s->one_time, "secret", text));
	else if (text != NULL)
		(void)printf("%s\n", text);
	if (!c->json)
		(void)fprintf(stderr,
		    "%s is good for %s of profile %s until %s%s\n", s->name,
		    s->one_time ? "one certificate" : "certificates",
		    s->profile, until,
		    text == NULL ? "" : "; it is shown only now");
}

static int
add_secret(struct ctl *c, const struct opts *o, const char *name)
{
	struct store_secret s = { .name = name,
		.kind =
		    o->chosen ? STORE_SECRET_CHOSEN : STORE_SECRET_GENERATED,
		.one_time = !o->multi_use,
		.profile = o->profile,
		.names = (const char **)(uintptr_t)o->names,
		.n_names = o->n_names,
		.operator= c->user };
	char text[SECRET_MAX + 2];
	struct err e;
	int rc = ctl_engine(c);

	(void)prctl(PR_SET_DUMPABLE, 0); /* 'text' stays out of core files */
	if (rc != CTL_OK)
		return rc;
	if (check_add(c, o, &s, &e) == -1)
		return ctl_fail(c, &e);
	rc = o->chosen ? read_line(text, sizeof(text), &e)
		       : secret_generate(text, &e);
	if (rc == 0)
		rc = secret_hash(s.kind, span_str(text), &s, &e);
	if (rc == 0)
		rc = store_secret_add(
		    c->ctx->writer, &s, c->ctx->request_id, &e);
	if (rc == 0)
		tell_added(c, &s, o->chosen ? NULL : text);
	OPENSSL_cleanse(text, sizeof(text));
	return rc == 0 ? CTL_OK : ctl_fail(c, &e);
}

static const char *
state_of(const struct store_secret *s)
{
	if (s->revoked_at != 0)
		return "revoked";
	if (s->one_time && s->used_at != 0)
		return "used";
	return s->expires_at <= clock_now() ? "expired" : "good";
}

static void
print_one(struct ctl *c, const struct store_secret *s)
{
	char until[CLOCK_RFC3339_SIZE];
	json_t *names = json_array();
	size_t i;

	clock_rfc3339(s->expires_at, until);
	for (i = 0; i < s->n_names; i++)
		(void)json_array_append_new(names, json_string(s->names[i]));
	if (c->json) {
		ctl_print_json(
		    json_pack("{s:s, s:s, s:s, s:b, s:b, s:s, s:s, s:o, s:s*}",
			"name", s->name, "state", state_of(s), "profile",
			s->profile, "oneTime", (int)s->one_time, "chosen",
			(int)(s->kind == STORE_SECRET_CHOSEN), "expires", until,
			"operator", s->operator, "names", names, "usedBy",
			s->used_by));
		return;
	}
	json_decref(names);
	(void)printf("%-16s %-8s %-12s %-9s until %s by %s", s->name,
	    state_of(s), s->profile, s->one_time ? "one-time" : "multi-use",
	    until, s->operator);
	for (i = 0; i < s->n_names; i++)
		(void)printf("%s%s", i == 0 ? "  " : ", ", s->names[i]);
	(void)printf("\n");
}

static int
list_secrets(struct ctl *c, bool all)
{
	struct store_secret_query q = { 0, PAGE, all };
	struct store_secret *s;
	struct err e;
	size_t i, n;
	int rc = ctl_engine(c);

	if (rc != CTL_OK)
		return rc;
	do {
		if (store_secret_list(c->ctx->db, c->a, &q, &s, &n, &e) == -1)
			return ctl_fail(c, &e);
		for (i = 0; i < n; i++)
			print_one(c, &s[i]);
		if (n > 0)
			q.after = s[n - 1].id;
	} while (n == PAGE);
	return CTL_OK;
}

static int
revoke_secret(struct ctl *c, const char *name)
{
	struct err e;
	int rc = ctl_engine(c);

	if (rc != CTL_OK)
		return rc;
	if (store_secret_revoke(
		c->ctx->writer, name, c->user, c->ctx->request_id, &e) == -1)
		return ctl_fail(c, &e);
	if (c->json)
		ctl_print_json(
		    json_pack("{s:s, s:s}", "name", name, "state", "revoked"));
	else
		(void)printf("%s is revoked\n", name);
	return CTL_OK;
}

int
cmd_secret(struct ctl *c, int argc, char **argv)
{
	const char *what = argc > 1 ? argv[1] : "";
	struct opts o;
	int rc = read_opts(c, argc - 1, argv + 1, &o), left;

	if (rc != CTL_OK)
		return argc > 1 ? rc : usage();
	argc--;
	argv++;
	left = argc - optind;
	if (strcmp(what, "add") == 0 && left == 1 && o.profile != NULL)
		return add_secret(c, &o, argv[optind]);
	if (strcmp(what, "list") == 0 && left == 0)
		return list_secrets(c, o.all);
	if (strcmp(what, "revoke") == 0 && left == 1)
		return revoke_secret(c, argv[optind]);
	return usage();
}
