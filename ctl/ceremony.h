/*
 * The key ceremony: roots and issuing CAs from one declarative file, through
 * the signer's offline mode, with a transcript.
 */
#ifndef CTL_CEREMONY_H
#define CTL_CEREMONY_H

#include "ctl/ctl.h"

/*
 * Makes what the file names and is not there yet.  Paths in it are relative
 * to its directory.  An authority whose certificate file exists is checked,
 * not made again; one whose issuer is "external" gets its request written
 * and waits for its certificate.
 */
int ceremony_run(struct ctl *c, const char *file, struct err *e) MUST_USE;

#endif
