/*
 * What the rules of ca/policy*.c share; nobody else includes this.
 */
#ifndef CA_POLICY_INT_H
#define CA_POLICY_INT_H

#include "ca/policy.h"

/* What the rules share while one request is judged. */
struct judge {
	struct arena *arena;
	const struct policy_input *in;
	const struct profile *profile;
	struct request_want want; /* a copy: the CN may join the SANs */
	struct policy_plan *plan;
	struct err *err;
	const char *text; /* what a rule that agrees has to say */
};

/* Whether a glob of the list matches. */
bool policy_glob_listed(const struct profile_strings *globs, const char *what);

/* Whether the profile wants this attribute among the alternative names. */
bool policy_from_san(const struct profile *p, const struct dn_type *type);

/* Whether the profile fixes this attribute to this very value. */
bool policy_is_fixed(const struct profile *p, const struct dn_attr *attr);

/* A rule: 0, or -1 with the judge's 'err' set. */
int policy_control(struct judge *j);

#endif
