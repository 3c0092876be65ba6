/*
 * Which addresses validation may talk to.  A client names the hosts that we
 * connect to, so without this the CA is a way into the networks around it
 * (RFC 8555 section 10.4).  Nothing here resolves or connects.
 */
#ifndef PROTOCOLS_VALD_NETPOLICY_H
#define PROTOCOLS_VALD_NETPOLICY_H

#include <sys/socket.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

/* Bytes that an address needs as text, with its NUL. */
#define NETADDR_TEXT_SIZE 46

struct netaddr {
	uint8_t bytes[16];
	uint8_t n; /* 4 or 16 */
};

/* Networks as text, such as "10.0.0.0/8", "fd00::/8" or "192.0.2.1". */
struct netpolicy_conf {
	const char *const *allow; /* private networks that may be asked */
	size_t n_allow;
	const char *const *deny; /* ours: database, HSM, management */
	size_t n_deny;
};

struct netpolicy;

/* Reads the lists; MALFORMED names the entry that is no network. */
int netpolicy_new(const struct netpolicy_conf *conf, struct netpolicy **out,
    struct err *e) MUST_USE;

/* NULL is allowed. */
void netpolicy_free(struct netpolicy *p);

/*
 * REFUSED, with address and reason in the text, when it may not be asked.
 * Denied whatever 'allow' says: 'deny', 0/8, link-local, multicast, broadcast
 * and reserved networks.  Denied unless 'allow' has them: loopback, private
 * (RFC 1918, RFC 4193), shared (RFC 6598) and benchmark networks.  An IPv6
 * address that carries an IPv4 address (mapped, compatible, 6to4, Teredo,
 * NAT64, ISATAP) must pass for that one, too.
 */
int netpolicy_check(
    const struct netpolicy *p, const struct netaddr *a, struct err *e) MUST_USE;

/* Reads an address without prefix; false when the text is none. */
bool netaddr_parse(const char *text, struct netaddr *out);

/* From a socket address; false when it is neither IPv4 nor IPv6. */
bool netaddr_from(const struct sockaddr *sa, struct netaddr *out);

/* Writes the address as text. */
void netaddr_text(const struct netaddr *a, char out[NETADDR_TEXT_SIZE]);

#endif
