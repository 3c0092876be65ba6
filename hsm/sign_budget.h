/*
 * How many responder certificates a host had within the last hour, counted
 * on disk and so for all slots together.
 */
#ifndef HSM_SIGN_BUDGET_H
#define HSM_SIGN_BUDGET_H

#include <stdint.h>

#include "base/err.h"

struct sign_budget {
	const char *state_dir;
	const char *host, *key; /* names in keys.yaml */
	unsigned per_hour;
};

/* Takes one at 'now_s'; REFUSED: the hour's are used up. */
int sign_budget_take(
    const struct sign_budget *b, int64_t now_s, struct err *e) MUST_USE;

#endif
