/*
 * Pre-issuance lint: a table of RFC 5280 and profile rules, each with its
 * section, applied to the TBSCertificate before anything is signed.  It reads
 * the DER only, not the plan that made it.
 */
#ifndef CA_LINT_H
#define CA_LINT_H

#include "base/arena.h"
#include "base/err.h"
#include "base/span.h"
#include "ca/issuer.h"
#include "ca/policy.h"
#include "ca/profile.h"

struct lint_input {
	struct span tbs;
	const struct issuer *issuer;   /* NULL: self-signed */
	const struct profile *profile; /* NULL: RFC rules only */
	struct policy_trail *trail;    /* NULL: nobody reads it */
	/* a public key that pubkey_open found sound before, or empty */
	struct span sound_spki;
};

/*
 * REFUSED names the first rule that is broken and its section; INTERNAL is
 * never a verdict.
 */
int lint_check(
    struct arena *a, const struct lint_input *in, struct err *e) MUST_USE;

/*
 * The names of all rules that are broken, not only the first, into 'names'
 * (room for lint_rule_count of them); returns how many.  What cannot be
 * decoded breaks "der" alone.
 */
size_t lint_broken(
    struct arena *a, const struct lint_input *in, const char **names);

/* The rules, for documentation and tests. */
size_t lint_rule_count(void);
const char *lint_rule_name(size_t i);
const char *lint_rule_section(size_t i);

#endif
