#include "ctl/revoke_opts.h"

#include <getopt.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"

#define DATE_LEN 10

int
revoke_opts_time(struct arena *a, const char *text, int64_t *out, struct err *e)
{
	const char *full = text;

	if (strlen(text) == DATE_LEN)
		full = arena_printf(a, "%sT00:00:00Z", text);
	if (clock_parse(span_str(full), out, e) == -1)
		return err_set(e, ERR_MALFORMED,
		    "\"%.100s\" is neither a date such as 2026-01-31 nor an "
		    "RFC 3339 time",
		    text);
	return 0;
}

static int
set_expired(const char *value, int *out, struct err *e)
{
	static const char *const words[] = { "any", "no", "yes" };
	int i;

	for (i = 0; i < 3; i++) {
		if (strcmp(value, words[i]) == 0) {
			*out = i - 1;
			return 0;
		}
	}
	return err_set(
	    e, ERR_MALFORMED, "expired is \"no\", \"yes\" or \"any\"");
}

static int
set_text(const char *key, const char *value, const char **out, struct err *e)
{
	if (*out != NULL)
		return err_set(e, ERR_MALFORMED, "%s is there twice", key);
	*out = value;
	return 0;
}

static int
condition(struct arena *a, const char *key, const char *value,
    struct store_revoke_query *q, struct err *e)
{
	const struct {
		const char *key, **out;
	} texts[] = {
		{ "profile", &q->profile },
		{ "issuer", &q->issuer },
		{ "principal", &q->principal },
		{ "name", &q->name },
	};
	size_t i;

	if (*value == '\0')
		return err_set(e, ERR_MALFORMED, "%s= is empty", key);
	for (i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		if (strcmp(key, texts[i].key) == 0)
			return set_text(key, value, texts[i].out, e);
	}
	if (strcmp(key, "after") == 0)
		return revoke_opts_time(a, value, &q->issued_after, e);
	if (strcmp(key, "before") == 0)
		return revoke_opts_time(a, value, &q->issued_before, e);
	if (strcmp(key, "expired") == 0)
		return set_expired(value, &q->expired, e);
	return err_set(e, ERR_MALFORMED,
	    "\"%.40s\" is not profile, issuer, principal, name, after, before "
	    "or expired",
	    key);
}

int
revoke_opts_where(struct arena *a, const char *text,
    struct store_revoke_query *q, struct err *e)
{
	char *word = arena_strdup(a, text), *next, *eq;

	for (; word != NULL; word = next) {
		word += strspn(word, " \t\n");
		if (*word == '\0')
			break;
		next = strpbrk(word, " \t\n");
		if (next != NULL)
			*next++ = '\0';
		eq = strchr(word, '=');
		if (eq == NULL)
			return err_set(e, ERR_MALFORMED,
			    "\"%.40s\" is no condition KEY=VALUE", word);
		*eq = '\0';
		if (condition(a, word, eq + 1, q, e) == -1)
			return -1;
	}
	return 0;
}

static int
usage(void)
{
	return ctl_usage(
	    "revoke [-r reason] [--invalidity-date time] [-i issuer] "
	    "certificate\n"
	    "       chancery revoke --release [-i issuer] certificate\n"
	    "       chancery revoke --key file|hash [-r reason] "
	    "[--invalidity-date time] [--yes]\n"
	    "       chancery revoke --where 'key=value ...' [-r reason] "
	    "[--invalidity-date time] [--yes]\n"
	    "       (certificate: serial, id, fingerprint or file.pem)");
}

/* What is still said of the options while they are read. */
struct reading {
	struct revoke_opts *o;
	bool release, where, reason;
};

static int
set_option(
    struct ctl *c, struct reading *r, int opt, const char *value, struct err *e)
{
	struct revoke_opts *o = r->o;

	switch (opt) {
	case 'r':
		r->reason = true;
		o->query.reason = revoke_reason_named(value);
		if (o->query.reason != -2)
			return 0;
		return err_set(e, ERR_MALFORMED,
		    "\"%.40s\" is no reason (RFC 5280 5.3.1)", value);
	case 'i':
		o->issuer = value;
		return 0;
	case 'd':
		return revoke_opts_time(c->a, value, &o->invalidity_at, e);
	case 'R':
		r->release = true;
		return 0;
	case 'k':
		o->key = value;
		return 0;
	case 'w':
		r->where = true;
		return revoke_opts_where(c->a, value, &o->query, e);
	case 'y':
		o->yes = true;
		return 0;
	case 'j':
		c->json = true;
		return 0;
	default:
		return err_set(e, ERR_MALFORMED, "unknown option");
	}
}

/* Which form of the command it is; false when it is none. */
static bool
choose(struct reading *r, int n_args)
{
	struct revoke_opts *o = r->o;
	bool many = o->key != NULL || r->where;

	if (n_args != (many ? 0 : 1) || (o->key != NULL && r->where))
		return false;
	if (many && (r->release || o->issuer != NULL))
		return false;
	if (r->release && (r->reason || o->invalidity_at != 0))
		return false;
	o->what = r->release       ? REVOKE_RELEASE
		  : o->key != NULL ? REVOKE_KEY
		  : r->where       ? REVOKE_SEARCH
				   : REVOKE_ONE;
	/* a key is given away because it is not secret any more */
	if (o->key != NULL && !r->reason)
		o->query.reason = STORE_KEY_COMPROMISE;
	if (o->key != NULL)
		o->query.expired = -1;
	return true;
}

int
revoke_opts_parse(struct ctl *c, int argc, char **argv, struct revoke_opts *out)
{
	static const struct option options[] = {
		{ "reason", required_argument, NULL, 'r' },
		{ "issuer", required_argument, NULL, 'i' },
		{ "invalidity-date", required_argument, NULL, 'd' },
		{ "release", no_argument, NULL, 'R' },
		{ "key", required_argument, NULL, 'k' },
		{ "where", required_argument, NULL, 'w' },
		{ "yes", no_argument, NULL, 'y' },
		{ "json", no_argument, NULL, 'j' },
		{ NULL, 0, NULL, 0 },
	};
	struct reading r = { .o = out };
	struct err e;
	int opt;

	*out = (struct revoke_opts){ .query = { .reason = REVOKE_REASON_NONE,
					 .expired = 0 } };
	while ((opt = getopt_long(argc, argv, "r:i:y", options, NULL)) != -1) {
		if (opt == '?')
			return CTL_USAGE;
		if (set_option(c, &r, opt, optarg, &e) == -1) {
			(void)fprintf(stderr, "chancery: %s\n", e.text);
			return CTL_USAGE;
		}
	}
	if (!choose(&r, argc - optind))
		return usage();
	out->cert = argv[optind];
	return CTL_OK;
}
