/*
 * Keys and certificates that the protocol servers use for themselves: here
 * the HTTPS key.  Never a CA key.  Files are 0400 and owned by the daemon.
 */
#ifndef PROTOCOLS_PROTOKEY_H
#define PROTOCOLS_PROTOKEY_H

#include <stdbool.h>

#include "base/arena.h"
#include "base/err.h"
#include "base/settings.h"
#include "ca/enroll.h"

struct protokey {
	const char *chain_pem; /* leaf first, without the root */
	const char *key_pem;   /* PKCS#8; secret: protokey_clear */
	int64_t renew_at;      /* two thirds of the lifetime */
};

/*
 * The HTTPS certificate for the names of the settings: the stored one while
 * it is good, else a new P-256 key and a certificate through the pipeline
 * (protocol "internal"), stored before it is returned.  '*fresh' tells which.
 * 'out' lives in the arena of 'ctx'.
 */
int protokey_https(struct ctx *ctx, const struct settings *s,
    struct protokey *out, bool *fresh, struct err *e) MUST_USE;

/* Cleanses the private key's text. */
void protokey_clear(struct protokey *k);

#endif
