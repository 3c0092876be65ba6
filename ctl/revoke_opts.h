/*
 * The command line of `chancery revoke`.
 */
#ifndef CTL_REVOKE_OPTS_H
#define CTL_REVOKE_OPTS_H

#include <stdbool.h>
#include <stdint.h>

#include "ca/revoke.h"
#include "ctl/ctl.h"

enum revoke_what {
	REVOKE_ONE,
	REVOKE_RELEASE,
	REVOKE_KEY,
	REVOKE_SEARCH
};

struct revoke_opts {
	enum revoke_what what;
	const char *cert;   /* ONE, RELEASE: what names the certificate */
	const char *issuer; /* of that */
	const char *key;    /* KEY: file or hash */
	bool yes;           /* do not ask */
	int64_t invalidity_at;
	struct store_revoke_query query; /* SEARCH; with the reason of all */
};

/*
 * Reads the command line.  CTL_USAGE after a line that says what is wrong.
 */
int revoke_opts_parse(
    struct ctl *c, int argc, char **argv, struct revoke_opts *out);

/*
 * Adds "key=value ..." to a search: profile, issuer, principal, name, after,
 * before, expired.  MALFORMED: another key, an empty value, one twice, or no
 * date.
 */
int revoke_opts_where(struct arena *a, const char *text,
    struct store_revoke_query *q, struct err *e) MUST_USE;

/* A date (its first second in UTC) or an RFC 3339 time.  MALFORMED. */
int revoke_opts_time(
    struct arena *a, const char *text, int64_t *out, struct err *e) MUST_USE;

#endif
