/*
 * The act of signing in a slot process: judge, look into the log, sign,
 * record, hand out; in this order for every kind of object.
 */
#ifndef HSM_SLOT_SIGN_H
#define HSM_SLOT_SIGN_H

#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/err.h"
#include "hsm/sign_log.h"
#include "hsm/sign_policy.h"
#include "hsm/slot_keys.h"

/* What a slot signs with. */
struct slot_means {
	const struct sign_policy *policy;
	const char *state_dir;
	uint8_t octet;
	struct sign_log *log;
	struct slot_keys *keys;
	struct arena *arena;
	uint64_t signatures; /* counted up */
	bool lost;           /* out: the process has to go */
};

/*
 * Signs what 'role' asks for.  REFUSED and MALFORMED as sign_policy_check
 * and crlcheck; UNAVAILABLE and INTERNAL: token, log or state directory.
 */
int slot_sign(struct slot_means *m, enum sign_role role,
    const struct sign_request *req, struct sign_reply *out,
    struct err *e) MUST_USE;

#endif
