#include "hsm/sign_names.h"

#include <arpa/inet.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define DNS_MAX 253
#define LABEL_MAX 63

static bool
is_ldh(uint8_t c)
{
	return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' ||
	       c == '_';
}

/* Lower-case labels between single dots. */
static bool
is_host(struct span s)
{
	size_t i, label = 0;

	if (s.n == 0 || s.n > DNS_MAX)
		return false;
	for (i = 0; i < s.n; i++) {
		if (s.p[i] == '.') {
			if (label == 0)
				return false;
			label = 0;
		} else if (!is_ldh(s.p[i]) || ++label > LABEL_MAX) {
			return false;
		}
	}
	return label > 0;
}

/* Whether 'name' ends in 'suffix' with something before it. */
static bool
ends_in(struct span name, struct span suffix)
{
	return name.n > suffix.n &&
	       memcmp(name.p + (name.n - suffix.n), suffix.p, suffix.n) == 0;
}

static struct span
skip(struct span s, size_t n)
{
	return span_of(s.p + n, s.n - n);
}

static bool
starts(struct span s, const char *prefix)
{
	size_t n = strlen(prefix);

	return s.n >= n && memcmp(s.p, prefix, n) == 0;
}

bool
sign_names_wildcard(struct span name)
{
	return starts(name, "*.");
}

/* The same rules as policy_dns_match of ca/: profiles and keys.yaml agree. */
static bool
match_dns(struct span p, struct span name)
{
	const uint8_t *dot;

	if (!is_host(sign_names_wildcard(name) ? skip(name, 2) : name))
		return false;
	if (span_is(p, "**"))
		return true;
	if (starts(p, "**."))
		return ends_in(name, skip(p, 2));
	if (!starts(p, "*."))
		return span_eq(p, name);
	dot = memchr(name.p, '.', name.n);
	return dot != NULL &&
	       span_eq(skip(p, 1), skip(name, (size_t)(dot - name.p)));
}

static bool
is_mailbox(struct span s, struct span *host)
{
	static const char extra[] = "!#$%&'*+/=?^_`{|}~-.";
	const uint8_t *at = s.n == 0 ? NULL : memchr(s.p, '@', s.n);
	const uint8_t *c;
	uint8_t low;

	if (at == NULL || at == s.p)
		return false;
	for (c = s.p; c < at; c++) {
		low = (uint8_t)(*c | 0x20);
		if (!(low >= 'a' && low <= 'z') && !is_ldh(*c) &&
		    (*c == 0 || strchr(extra, *c) == NULL))
			return false;
	}
	*host = skip(s, (size_t)(at - s.p) + 1);
	return is_host(*host);
}

static bool
match_mailbox(struct span p, struct span name)
{
	struct span host;

	if (!is_mailbox(name, &host))
		return false;
	if (p.p[0] != '@')
		return span_eq(p, name);
	p = skip(p, 1);
	return p.p[0] == '.' ? ends_in(host, p) : span_eq(p, host);
}

/* Reads "address" or "address/bits"; octets is 4 or 16. */
static bool
cidr(const char *text, uint8_t addr[16], size_t *octets, size_t *bits)
{
	const char *slash = strchr(text, '/');
	size_t n = slash == NULL ? strlen(text) : (size_t)(slash - text);
	char host[64], *end;

	if (n >= sizeof(host))
		return false;
	memcpy(host, text, n);
	host[n] = '\0';
	*octets = strchr(host, ':') == NULL ? 4 : 16;
	if (inet_pton(*octets == 4 ? AF_INET : AF_INET6, host, addr) != 1)
		return false;
	*bits = *octets * 8;
	if (slash == NULL)
		return true;
	if (slash[1] < '0' || slash[1] > '9')
		return false;
	*bits = strtoul(slash + 1, &end, 10);
	return *end == '\0' && *bits <= *octets * 8;
}

static bool
match_ip(const char *pattern, struct span name)
{
	size_t octets, bits, whole;
	uint8_t addr[16];
	unsigned mask;

	if (!cidr(pattern, addr, &octets, &bits) || name.n != octets)
		return false;
	whole = bits / 8;
	if (memcmp(addr, name.p, whole) != 0)
		return false;
	mask = 0xff00u >> bits % 8 & 0xff;
	return mask == 0 || ((addr[whole] ^ name.p[whole]) & mask) == 0;
}

/*
 * Matches with one point to go back to: a later '*' can only match more than
 * an earlier one, so this is never exponential.  A run of '*' stops at a
 * character of 'stop' unless it was written "**".
 */
static bool
glob(const char *p, struct span s, const char *stop)
{
	const char *back = NULL;
	size_t i = 0, from = 0;
	bool all = false;

	for (;;) {
		if (*p == '*') {
			all = p[1] == '*';
			p += all ? 2 : 1;
			back = p;
			from = i;
		} else if (i < s.n && *p != '\0' && (uint8_t)*p == s.p[i]) {
			p++;
			i++;
		} else if (i == s.n && *p == '\0') {
			return true;
		} else {
			if (back == NULL || from >= s.n ||
			    (!all && strchr(stop, s.p[from]) != NULL))
				return false;
			i = ++from;
			p = back;
		}
	}
}

static bool
is_printable(struct span s, uint8_t from, bool ascii)
{
	size_t i;

	for (i = 0; i < s.n; i++) {
		if (s.p[i] < from || s.p[i] == 0x7f || (ascii && s.p[i] > 0x7f))
			return false;
	}
	return s.n > 0;
}

bool
sign_names_match(
    enum sign_name_type type, const char *pattern, struct span name)
{
	switch (type) {
	case SIGN_NAME_DNS:
		return match_dns(span_str(pattern), name);
	case SIGN_NAME_IP:
		return match_ip(pattern, name);
	case SIGN_NAME_EMAIL:
	case SIGN_NAME_UPN:
		return match_mailbox(span_str(pattern), name);
	case SIGN_NAME_URI:
		return is_printable(name, 0x21, true) &&
		       glob(pattern, name, "/@?#");
	case SIGN_NAME_TEXT:
		return is_printable(name, 0x20, false) &&
		       glob(pattern, name, "");
	default:
		return false;
	}
}

static bool
is_dns_pattern(struct span p)
{
	if (span_is(p, "**"))
		return true;
	if (starts(p, "**."))
		return is_host(skip(p, 3));
	return is_host(starts(p, "*.") ? skip(p, 2) : p);
}

static bool
is_mailbox_pattern(struct span p)
{
	struct span host;

	if (!starts(p, "@"))
		return is_mailbox(p, &host);
	return is_host(skip(p, starts(p, "@.") ? 2 : 1));
}

int
sign_names_pattern_check(
    enum sign_name_type type, const char *pattern, struct err *e)
{
	size_t octets, bits;
	uint8_t addr[16];
	bool good;

	switch (type) {
	case SIGN_NAME_DNS:
		good = is_dns_pattern(span_str(pattern));
		break;
	case SIGN_NAME_IP:
		good = cidr(pattern, addr, &octets, &bits);
		break;
	case SIGN_NAME_EMAIL:
	case SIGN_NAME_UPN:
		good = is_mailbox_pattern(span_str(pattern));
		break;
	default:
		good = pattern[0] != '\0';
	}
	if (!good)
		return err_set(
		    e, ERR_MALFORMED, "\"%s\" is not a pattern", pattern);
	return 0;
}
