/*
 * May this principal have this certificate?  Applies a profile's rules in a
 * fixed order, the same for real issuance and for `chancery profile test`,
 * and plans the certificate.
 */
#ifndef CA_POLICY_H
#define CA_POLICY_H

#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/err.h"
#include "ca/authn.h"
#include "ca/issuer.h"
#include "ca/profile.h"
#include "ca/request.h"

#define POLICY_STEPS_MAX 64

/* What each rule decided, in order, for people. */
struct policy_trail {
	struct {
		const char *rule, *text;
		bool ok;
	} steps[POLICY_STEPS_MAX];
	size_t n;
};

/* What is going to be issued. */
struct policy_plan {
	const struct profile *profile;
	const struct issuer *issuer;
	struct dn subject;
	const struct request_san *sans;
	size_t n_sans;
	struct span spki;
	uint32_t key_usage;
	const char *key_name;
	int64_t not_before, not_after; /* inclusive, RFC 5280 4.1.2.5 */
	bool must_staple;
};

struct policy_input {
	const struct principal *principal;
	const struct request *request;
	const struct profile *profile;
	const struct issuer_set *issuers;
	struct policy_trail *trail; /* NULL: nobody reads it */
};

/*
 * Fails with the first rule that refuses: REFUSED, BAD_KEY or MALFORMED; the
 * text names the rule and the profile.
 */
int policy_check(struct arena *a, const struct policy_input *in,
    struct policy_plan *out, struct err *e) MUST_USE;

/* Adds a line to a trail (which may be NULL); the text lives in the arena. */
void policy_note(struct arena *a, struct policy_trail *trail, const char *rule,
    bool ok, const char *text);

/*
 * Whether the profile allows this alternative name at all: type, wildcard,
 * pattern or range.  REFUSED otherwise.
 */
int policy_san_check(const struct profile *p, const struct request_san *san,
    struct err *e) MUST_USE;

/*
 * Whether a DNS name (or wildcard name) matches: "a.test" itself, "*.test"
 * one label below, "**.test" any number below, "**" everything.
 */
bool policy_dns_match(const char *pattern, const char *name);

#endif
