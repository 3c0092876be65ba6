/* Shared by the files that turn keys.yaml into struct sign_policy. */
#ifndef HSM_SIGN_POLICY_INT_H
#define HSM_SIGN_POLICY_INT_H

#include "base/arena.h"
#include "base/err.h"
#include "hsm/sign_policy.h"

struct conf;
struct yaml_class;

/* The policy with what it borrows from. */
struct owner {
	struct sign_policy policy;
	struct conf *conf;
	struct arena *a;
};

/* Where in the file something stands: "classes[2]" and so on. */
struct at {
	const struct owner *o;
	char path[64];
};

/* The item 'i' of a list. */
struct at sign_policy_at(const struct owner *o, const char *list, size_t i);

/* MALFORMED with the place of 'key' of the item. */
int sign_policy_wrong(const struct at *at, const char *key, struct err *e,
    const char *fmt, ...) PRINTF_LIKE(4, 5);

/* Reads class 'i', whose key and approvers are loaded already. */
int sign_policy_class(struct owner *o, const struct yaml_class *y, size_t i,
    struct sign_class *k, struct err *e) MUST_USE;

/* The key of that name, or NULL. */
const struct sign_key *sign_policy_key(
    const struct sign_policy *p, const char *name);

/* Whether 's' is one of the strings. */
bool sign_policy_listed(const struct sign_strings *list, struct span s);

struct sign_facts;

/*
 * What a responder certificate has to fulfil beyond its class: a pinned host
 * has signed the claim to this key, and it lives no longer than was asked,
 * than the host may have and than a week.  '*out' is the host.
 */
int sign_policy_responder(const struct sign_policy *p,
    const struct sign_key *key, const struct sign_request *req,
    const struct sign_facts *f, const struct sign_responder **out,
    struct err *e) MUST_USE;

#endif
