/*
 * Names to addresses through libunbound, with overrides for names that DNS
 * does not know (".test" in a quickstart).  A resolver is used by one thread.
 */
#ifndef PROTOCOLS_VALD_RESOLVE_H
#define PROTOCOLS_VALD_RESOLVE_H

#include <stddef.h>
#include <stdint.h>

#include "base/auto.h"
#include "base/err.h"
#include "protocols/vald/netpolicy.h"

#define RESOLVE_ADDRESSES_MAX 16

/* Names that are or end in 'suffix' (without a dot in front) have 'address'. */
struct resolve_override {
	const char *suffix, *address;
};

struct resolve_conf {
	const struct resolve_override *overrides;
	size_t n_overrides;
	/* "address" or "address@port" of a DNS server; NULL: resolv.conf. */
	const char *server;
};

struct resolver;

/* MALFORMED: an override's address or the server's is none. */
int resolver_new(const struct resolve_conf *conf, struct resolver **out,
    struct err *e) MUST_USE;

/* NULL is allowed. */
void resolver_free(struct resolver *r);

/*
 * The IPv4 and IPv6 addresses of 'name', at most RESOLVE_ADDRESSES_MAX.
 * NOT_FOUND: no such name or no address; UNAVAILABLE: no answer before
 * 'deadline_us' of clock_mono_us, a server failure, or a bogus answer.
 */
int resolver_lookup(struct resolver *r, const char *name, int64_t deadline_us,
    struct netaddr out[RESOLVE_ADDRESSES_MAX], size_t *n,
    struct err *e) MUST_USE;

#endif
