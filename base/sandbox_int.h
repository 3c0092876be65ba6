/*
 * What the files of base/sandbox share; nobody else includes this.
 */
#ifndef BASE_SANDBOX_INT_H
#define BASE_SANDBOX_INT_H

#include "base/err.h"

/*
 * Refuses, for this thread and those it creates, the system calls that no
 * daemon of ours makes after its start: new programs, other processes'
 * memory, mounts, modules, kernel interfaces.  They fail with EPERM; calls
 * through a foreign ABI end the process.  The caller has set no_new_privs.
 */
int sandbox_seccomp(struct err *e) MUST_USE;

#endif
