#include "protocols/vald/netpolicy.h"

#include <arpa/inet.h>
#include <netinet/in.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/auto.h"

struct network {
	struct netaddr addr;
	unsigned prefix;
};

struct netpolicy {
	struct network *allow, *deny;
	size_t n_allow, n_deny;
};

typedef struct netpolicy netpolicy_auto;
AUTO_DEFINE(netpolicy_auto, netpolicy_free);

/* IANA's special-purpose registries (RFC 6890 and later). */
struct special {
	const char *network;
	bool allowable; /* by the configuration */
	const char *reason;
};

static const struct special specials[] = {
	{ "0.0.0.0/8", false, "\"this network\"" },
	{ "169.254.0.0/16", false, "link-local" },
	{ "192.0.0.0/24", false, "protocol assignments" },
	{ "192.0.2.0/24", false, "documentation" },
	{ "192.88.99.0/24", false, "6to4 relays" },
	{ "198.51.100.0/24", false, "documentation" },
	{ "203.0.113.0/24", false, "documentation" },
	{ "224.0.0.0/4", false, "multicast" },
	{ "240.0.0.0/4", false, "reserved or broadcast" },
	{ "10.0.0.0/8", true, "private" },
	{ "100.64.0.0/10", true, "shared" },
	{ "127.0.0.0/8", true, "loopback" },
	{ "172.16.0.0/12", true, "private" },
	{ "192.168.0.0/16", true, "private" },
	{ "198.18.0.0/15", true, "benchmarks" },
	{ "::/128", false, "unspecified" },
	{ "64:ff9b:1::/48", false, "local translation" },
	{ "100::/64", false, "discard" },
	{ "2001:db8::/32", false, "documentation" },
	{ "fe80::/10", false, "link-local" },
	{ "fec0::/10", false, "site-local" },
	{ "ff00::/8", false, "multicast" },
	{ "::1/128", true, "loopback" },
	{ "fc00::/7", true, "private" },
};

/* IPv6 networks whose addresses carry an IPv4 address at this octet. */
struct carrier {
	const char *network;
	size_t at;
	uint8_t mask; /* Teredo inverts the client's address */
};

static const struct carrier carriers[] = {
	{ "::ffff:0:0/96", 12, 0x00 },   /* mapped, RFC 4291 2.5.5.2 */
	{ "::ffff:0:0:0/96", 12, 0x00 }, /* translated, RFC 2765 */
	{ "64:ff9b::/96", 12, 0x00 },    /* NAT64, RFC 6052 */
	{ "2002::/16", 2, 0x00 },        /* 6to4, RFC 3056 */
	{ "2001::/32", 4, 0x00 },        /* Teredo's server, RFC 4380 */
	{ "2001::/32", 12, 0xff },       /* and its client */
};

bool
netaddr_parse(const char *text, struct netaddr *out)
{
	memset(out, 0, sizeof(*out));
	out->n = strchr(text, ':') == NULL ? 4 : 16;
	return inet_pton(out->n == 4 ? AF_INET : AF_INET6, text, out->bytes) ==
	       1;
}

bool
netaddr_from(const struct sockaddr *sa, struct netaddr *out)
{
	memset(out, 0, sizeof(*out));
	if (sa->sa_family == AF_INET) {
		struct sockaddr_in in;

		memcpy(&in, sa, sizeof(in));
		out->n = 4;
		memcpy(out->bytes, &in.sin_addr, 4);
		return true;
	}
	if (sa->sa_family == AF_INET6) {
		struct sockaddr_in6 in6;

		memcpy(&in6, sa, sizeof(in6));
		out->n = 16;
		memcpy(out->bytes, &in6.sin6_addr, 16);
		return true;
	}
	return false;
}

void
netaddr_text(const struct netaddr *a, char out[NETADDR_TEXT_SIZE])
{
	if (inet_ntop(a->n == 4 ? AF_INET : AF_INET6, a->bytes, out,
		NETADDR_TEXT_SIZE) == NULL)
		out[0] = '\0';
}

static bool
covers(const struct network *n, const struct netaddr *a)
{
	unsigned whole = n->prefix / 8, rest = n->prefix % 8;
	uint8_t mask = (uint8_t)(0xff << (8 - rest));

	if (n->addr.n != a->n || memcmp(n->addr.bytes, a->bytes, whole) != 0)
		return false;
	return rest == 0 ||
	       ((n->addr.bytes[whole] ^ a->bytes[whole]) & mask) == 0;
}

static bool
parse_prefix(const char *text, unsigned max, unsigned *out)
{
	char *end;
	unsigned long v;

	if (text[0] < '0' || text[0] > '9')
		return false;
	v = strtoul(text, &end, 10);
	*out = (unsigned)v;
	return *end == '\0' && v <= max;
}

/* Bits below the prefix must be zero: "10.1.0.0/8" is likely a mistake. */
static bool
is_exact(const struct network *n)
{
	unsigned bit;

	for (bit = n->prefix; bit < n->addr.n * 8U; bit++)
		if (n->addr.bytes[bit / 8] & (0x80 >> bit % 8))
			return false;
	return true;
}

static bool
network_parse(const char *text, struct network *out)
{
	const char *slash = strchr(text, '/');
	char addr[NETADDR_TEXT_SIZE];
	size_t n = slash == NULL ? strlen(text) : (size_t)(slash - text);

	if (n >= sizeof(addr))
		return false;
	memcpy(addr, text, n);
	addr[n] = '\0';
	if (!netaddr_parse(addr, &out->addr))
		return false;
	out->prefix = out->addr.n * 8U;
	if (slash != NULL &&
	    !parse_prefix(slash + 1, out->addr.n * 8U, &out->prefix))
		return false;
	return is_exact(out);
}

static int
parse_list(const char *const *texts, size_t n, struct network **out,
    size_t *n_out, struct err *e)
{
	size_t i;

	*out = calloc(n + 1, sizeof(**out));
	if (*out == NULL)
		return err_set(e, ERR_UNAVAILABLE, "out of memory");
	for (i = 0; i < n; i++)
		if (!network_parse(texts[i], &(*out)[i]))
			return err_set(e, ERR_MALFORMED,
			    "\"%s\" is not a network such as 10.0.0.0/8",
			    texts[i]);
	*n_out = n;
	return 0;
}

int
netpolicy_new(
    const struct netpolicy_conf *conf, struct netpolicy **out, struct err *e)
{
	AUTO(netpolicy_auto) p = calloc(1, sizeof(*p));

	if (p == NULL)
		return err_set(e, ERR_UNAVAILABLE, "out of memory");
	if (parse_list(conf->allow, conf->n_allow, &p->allow, &p->n_allow, e) !=
		0 ||
	    parse_list(conf->deny, conf->n_deny, &p->deny, &p->n_deny, e) != 0)
		return -1;
	*out = p;
	p = NULL; /* ownership moves to the caller */
	return 0;
}

void
netpolicy_free(struct netpolicy *p)
{
	if (p == NULL)
		return;
	free(p->allow);
	free(p->deny);
	free(p);
}

static bool
any_covers(const struct network *list, size_t n, const struct netaddr *a)
{
	size_t i;

	for (i = 0; i < n; i++)
		if (covers(&list[i], a))
			return true;
	return false;
}

static int
deny(const struct netaddr *a, const char *reason, struct err *e)
{
	char text[NETADDR_TEXT_SIZE];

	netaddr_text(a, text);
	return err_set(
	    e, ERR_REFUSED, "address %s may not be asked (%s)", text, reason);
}

static int
check_plain(const struct netpolicy *p, const struct netaddr *a, struct err *e)
{
	struct network n;
	size_t i;

	if (any_covers(p->deny, p->n_deny, a))
		return deny(a, "denied by the configuration", e);
	for (i = 0; i < sizeof(specials) / sizeof(specials[0]); i++) {
		if (!network_parse(specials[i].network, &n) || !covers(&n, a))
			continue;
		if (!specials[i].allowable ||
		    !any_covers(p->allow, p->n_allow, a))
			return deny(a, specials[i].reason, e);
	}
	return 0;
}

static struct netaddr
carried(const struct netaddr *a, size_t at, uint8_t mask)
{
	struct netaddr v4 = { .n = 4 };
	size_t i;

	for (i = 0; i < 4; i++)
		v4.bytes[i] = a->bytes[at + i] ^ mask;
	return v4;
}

/* Interface identifiers 0000:5efe and 0200:5efe (RFC 5214 section 6.1). */
static bool
is_isatap(const struct netaddr *a)
{
	return (a->bytes[8] & 0xfd) == 0 && a->bytes[9] == 0 &&
	       a->bytes[10] == 0x5e && a->bytes[11] == 0xfe;
}

/* IPv4-compatible (RFC 4291 2.5.5.1); :: and ::1 have meanings of their own. */
static bool
is_compatible(const struct netaddr *a)
{
	static const uint8_t zeros[12];

	return memcmp(a->bytes, zeros, sizeof(zeros)) == 0 &&
	       (a->bytes[12] | a->bytes[13] | a->bytes[14]) != 0;
}

static int
check_carried(const struct netpolicy *p, const struct netaddr *a, struct err *e)
{
	struct netaddr v4;
	struct network n;
	size_t i;

	for (i = 0; i < sizeof(carriers) / sizeof(carriers[0]); i++) {
		if (!network_parse(carriers[i].network, &n) || !covers(&n, a))
			continue;
		v4 = carried(a, carriers[i].at, carriers[i].mask);
		if (check_plain(p, &v4, e) != 0)
			return -1;
	}
	if (!is_isatap(a) && !is_compatible(a))
		return 0;
	v4 = carried(a, 12, 0);
	return check_plain(p, &v4, e);
}

int
netpolicy_check(
    const struct netpolicy *p, const struct netaddr *a, struct err *e)
{
	if (a->n == 16 && check_carried(p, a, e) != 0)
		return -1;
	return check_plain(p, a, e);
}
