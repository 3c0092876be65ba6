/*
 * Drives the offline mode of chancery-signd (hsm/provision.h): one request in,
 * its answer out.
 */
#ifndef CTL_OFFLINE_H
#define CTL_OFFLINE_H

#include "base/arena.h"
#include "base/err.h"

/*
 * Runs 'signd --ceremony -' with this request on its standard input and the
 * "NAME=value" strings in its environment.  'answer' is what it printed, in
 * the arena.  REFUSED carries the signer's own error text.
 */
struct offline {
	const char *signd; /* path of the program */
	const char *dir;   /* where it may put its lock */
	const char *const *environment;
	size_t n_environment;
};
int offline_call(struct arena *a, const struct offline *o, const char *request,
    const char **answer, struct err *e) MUST_USE;

#endif
