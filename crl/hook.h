/*
 * The command that takes new CRLs elsewhere (rsync, S3, LDAP): run with the
 * file's path, the issuer's name and the scope, by a helper process that is
 * forked before the sandbox closes.  A failure is tried again a few times.
 */
#ifndef CRL_HOOK_H
#define CRL_HOOK_H

#include "base/err.h"

struct hook;

/* Forks the helper; 'command' is a program's absolute path. */
int hook_start(const char *command, struct hook **out, struct err *e) MUST_USE;

/* Ends the helper, with the command if it runs. */
void hook_stop(struct hook *h);

/*
 * Has the command run, without waiting for it.  UNAVAILABLE: the helper is
 * gone, or has too much to do already.
 */
int hook_run(struct hook *h, const char *path, const char *issuer,
    const char *scope, struct err *e) MUST_USE;

#endif
