/*
 * Patterns for what a certificate may be called, deny by default.  A name
 * that is not well formed matches nothing, so that a NUL or an odd character
 * cannot carry a foreign name past a suffix.
 *
 *   dns    "a.test" that name, "*.a.test" one label below it, "**.a.test" any
 *          number below, "**" every name; the '*' of a wildcard name is a
 *          label like any other (as in profiles: ca/policy.h)
 *   ip     "10.0.0.0/8", "2001:db8::/32" or one address
 *   email, upn  "user@a.test", "@a.test" its mailboxes, "@.a.test" those below
 *   uri    a glob: '*' is a run without '/', '@', '?' and '#'; "**" any run
 *   text   a glob (subject attributes): '*' is any run
 */
#ifndef HSM_SIGN_NAMES_H
#define HSM_SIGN_NAMES_H

#include <stdbool.h>
#include <stddef.h>

#include "base/err.h"
#include "base/span.h"

enum sign_name_type {
	SIGN_NAME_DNS,
	SIGN_NAME_IP,
	SIGN_NAME_EMAIL,
	SIGN_NAME_URI,
	SIGN_NAME_UPN,
	SIGN_NAME_TEXT,
	SIGN_NAME__COUNT
};

/* Whether 'pattern' is one; MALFORMED says why not. */
int sign_names_pattern_check(
    enum sign_name_type type, const char *pattern, struct err *e) MUST_USE;

/* Whether a DNS name is a wildcard, which patterns do not tell apart. */
bool sign_names_wildcard(struct span name);

/* Whether 'name' (for IP: 4 or 16 octets) is well formed and matches. */
bool sign_names_match(
    enum sign_name_type type, const char *pattern, struct span name);

#endif
