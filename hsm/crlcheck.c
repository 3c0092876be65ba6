#include "hsm/crlcheck.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/vfs.h>

#include "base/clock.h"
#include "base/der.h"
#include "hsm/tosign_int.h"

#define SERIAL_MAX 20

/* The last second of UTCTime (RFC 5280 5.1.2.6). */
#define UTC_LAST ((int64_t)2524607999)

#define ID_CE(n) "\x55\x1d" n

/* The extensions of a list that are known here. */
enum ext {
	EXT_AKI,
	EXT_NUMBER,
	EXT_DELTA,
	EXT_IDP,
	EXT_FRESHEST,
	EXT_EXPIRED,
	EXT__COUNT
};

/*
 * Takes one value off the front: identifier octet and contents.  Lengths are
 * in their shortest form (X.690 10.1).
 */
static bool
take_any(struct span *s, uint8_t *tag, struct span *contents)
{
	struct span t = *s, octets;
	uint8_t first;
	size_t n = 0, i;

	if (!span_u8(&t, tag) || !span_u8(&t, &first))
		return false;
	if (first < 0x80) {
		n = first;
	} else {
		if (first == 0x80 || first > 0x84 ||
		    !span_take(&t, first & 0x7f, &octets) || octets.p[0] == 0)
			return false;
		for (i = 0; i < octets.n; i++)
			n = n << 8 | octets.p[i];
		if (n < 0x80)
			return false;
	}
	if (!span_take(&t, n, contents))
		return false;
	*s = t;
	return true;
}

/* As take, of a value whose length has one octet: all that entries have. */
static inline bool
take_short(struct span *s, uint8_t tag, struct span *contents)
{
	size_t n;

	if (s->n < 2 || s->p[0] != tag || s->p[1] >= 0x80)
		return false;
	n = s->p[1];
	if (n > s->n - 2)
		return false;
	*contents = span_of(s->p + 2, n);
	*s = span_of(s->p + 2 + n, s->n - 2 - n);
	return true;
}

static bool
take(struct span *s, uint8_t tag, struct span *contents)
{
	struct span t = *s, v;
	uint8_t is;

	if (s->n >= 2 && s->p[1] < 0x80)
		return take_short(s, tag, contents);
	if (!take_any(&t, &is, &v) || is != tag)
		return false;
	*s = t;
	*contents = v;
	return true;
}

/* A value with its identifier and length octets. */
static bool
take_whole(struct span *s, uint8_t tag, struct span *whole)
{
	struct span t = *s, contents;

	if (!take(&t, tag, &contents))
		return false;
	*whole = span_of(s->p, s->n - t.n);
	*s = t;
	return true;
}

/* The part after the year: MMDDHHMMSSZ. */
static bool
read_rest(const uint8_t *p, struct clock_civil *c)
{
	static const int days[] = { 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30,
		31 };
	int last;

	if (!tosign_two_digits(p, &c->month) ||
	    !tosign_two_digits(p + 2, &c->day) ||
	    !tosign_two_digits(p + 4, &c->hour) ||
	    !tosign_two_digits(p + 6, &c->minute) ||
	    !tosign_two_digits(p + 8, &c->second) || p[10] != 'Z')
		return false;
	if (c->month < 1 || c->month > 12)
		return false;
	last = days[c->month - 1];
	if (c->month == 2 && c->year % 4 == 0 &&
	    (c->year % 100 != 0 || c->year % 400 == 0))
		last = 29;
	return c->day >= 1 && c->day <= last && c->hour < 24 &&
	       c->minute < 60 && c->second < 60;
}

static bool
read_generalized(struct span v, int64_t *out)
{
	struct clock_civil c;
	int century;

	if (v.n != 15 || !tosign_two_digits(v.p, &century) ||
	    !tosign_two_digits(v.p + 2, &c.year))
		return false;
	c.year += century * 100;
	if (c.year < 1 || !read_rest(v.p + 4, &c))
		return false;
	*out = clock_from_civil(&c);
	return true;
}

/* UTCTime until 2049, GeneralizedTime after (RFC 5280 5.1.2.4). */
static bool
take_time(struct span *s, int64_t *out)
{
	struct clock_civil c;
	struct span v;

	if (take(s, DER_UTC_TIME, &v)) {
		if (v.n != 13 || !tosign_two_digits(v.p, &c.year))
			return false;
		c.year += c.year < 50 ? 2000 : 1900;
		if (!read_rest(v.p + 2, &c))
			return false;
		*out = clock_from_civil(&c);
		return true;
	}
	return take(s, DER_GENERALIZED_TIME, &v) && read_generalized(v, out) &&
	       *out > UTC_LAST;
}

/* The contents octets of a positive INTEGER in their shortest form. */
static bool
is_positive(struct span v, size_t max)
{
	return v.n >= 1 && v.n <= max && (v.p[0] & 0x80) == 0 &&
	       (v.n == 1 || v.p[0] != 0 || (v.p[1] & 0x80) != 0);
}

static struct span
without_zero(struct span v)
{
	return v.n > 1 && v.p[0] == 0 ? span_of(v.p + 1, v.n - 1) : v;
}

int
crlcheck_number_cmp(struct span a, struct span b)
{
	if (a.n != b.n)
		return a.n < b.n ? -1 : 1;
	return memcmp(a.p, b.p, a.n);
}

/* Extension: OID, critical, the octets of the value. */
static bool
take_ext(struct span *s, struct span *oid, bool *critical, struct span *value)
{
	struct span x, v;

	if (!take(s, DER_SEQUENCE, &x) || !take(&x, DER_OID, oid))
		return false;
	*critical = take(&x, DER_BOOLEAN, &v);
	if (*critical && (v.n != 1 || v.p[0] != 0xff))
		return false;
	return take(&x, DER_OCTET_STRING, value) && x.n == 0;
}

/* CRLReason as RFC 5280 5.3.1 allows it: unspecified is left out. */
static bool
is_reason(uint8_t v)
{
	return v != 0 && v != 7 && v <= 10;
}

static bool
read_reason(struct span value, int *out)
{
	struct span v;

	if (!take(&value, DER_ENUMERATED, &v) || value.n != 0 || v.n != 1 ||
	    !is_reason(v.p[0]))
		return false;
	*out = v.p[0];
	return true;
}

static bool
is_date(struct span value)
{
	struct span v;
	int64_t t;

	return take(&value, DER_GENERALIZED_TIME, &v) && value.n == 0 &&
	       read_generalized(v, &t);
}

/* What nearly all entries have: a reasonCode, and nothing else. */
static bool
read_only_reason(struct span s, struct crlcheck_entry *out)
{
	static const uint8_t ext[] = { 0x30, 10, 0x06, 3, 0x55, 0x1d, 0x15,
		0x04, 3, 0x0a, 1 };

	if (s.n != sizeof(ext) + 1 || memcmp(s.p, ext, sizeof(ext)) != 0 ||
	    !is_reason(s.p[sizeof(ext)]))
		return false;
	out->reason = s.p[sizeof(ext)];
	return true;
}

/* crlEntryExtensions: reasonCode and invalidityDate, once each. */
static bool
read_entry_exts(struct span s, struct crlcheck_entry *out)
{
	bool critical, dated = false, good = s.n > 0;
	struct span oid, value;

	if (read_only_reason(s, out))
		return true;
	while (good && s.n > 0) {
		if (!take_ext(&s, &oid, &critical, &value) || critical)
			return false;
		if (out->reason == -1 && span_is(oid, ID_CE("\x15"))) {
			good = read_reason(value, &out->reason);
		} else {
			good = !dated && span_is(oid, ID_CE("\x18")) &&
			       is_date(value);
			dated = true;
		}
	}
	return good;
}

bool
crlcheck_next(struct span *list, struct crlcheck_entry *out)
{
	struct span t = *list, entry, exts;
	int64_t at;

	out->reason = -1;
	if (!take(&t, DER_SEQUENCE, &entry) ||
	    !take(&entry, DER_INTEGER, &out->serial) ||
	    !is_positive(out->serial, SERIAL_MAX) || !take_time(&entry, &at))
		return false;
	if (entry.n > 0 && (!take(&entry, DER_SEQUENCE, &exts) ||
			       entry.n != 0 || !read_entry_exts(exts, out)))
		return false;
	*list = t;
	return true;
}

bool
crlcheck_next_serial(struct span *list, struct span *serial)
{
	struct span entry;

	return take_short(list, DER_SEQUENCE, &entry) &&
	       take_short(&entry, DER_INTEGER, serial);
}

static int
read_entries(struct crlcheck *c, struct err *e)
{
	struct span list = c->list, last = span_of(NULL, 0);
	struct crlcheck_entry x;

	while (list.n > 0) {
		if (!crlcheck_next(&list, &x))
			return err_set(e, ERR_MALFORMED,
			    "CRL: entry %zu is malformed", c->entries + 1);
		if (c->entries > 0 && span_cmp(last, x.serial) >= 0)
			return err_set(e, ERR_MALFORMED,
			    "CRL: entry %zu is out of order", c->entries + 1);
		last = x.serial;
		c->entries++;
		if (x.reason == CRLCHECK_REMOVE)
			c->removed++;
	}
	if (c->removed > 0 && !c->delta)
		return err_set(
		    e, ERR_MALFORMED, "CRL: removeFromCRL in a complete list");
	return 0;
}

/* DistributionPointName { fullName }: URLs alone. */
static bool
take_point(struct span *s, struct crlcheck_urls *out)
{
	struct span point, names, url;

	if (!take(s, DER_CONTEXT_CONSTRUCTED(0), &point) ||
	    !take(&point, DER_CONTEXT_CONSTRUCTED(0), &names) || point.n != 0 ||
	    names.n == 0)
		return false;
	while (names.n > 0) {
		if (out->n == CRLCHECK_URLS_MAX ||
		    !take(&names, DER_CONTEXT(6), &url))
			return false;
		out->url[out->n++] = url;
	}
	return true;
}

/* Only a distributionPoint: no scope that the list would have to keep to. */
static bool
read_idp(struct span value, struct crlcheck *c)
{
	struct span seq;

	return take(&value, DER_SEQUENCE, &seq) && value.n == 0 &&
	       take_point(&seq, &c->point) && seq.n == 0;
}

static bool
read_freshest(struct span value, struct crlcheck *c)
{
	struct span list, dp;

	if (!take(&value, DER_SEQUENCE, &list) || value.n != 0 || list.n == 0)
		return false;
	while (list.n > 0) {
		if (!take(&list, DER_SEQUENCE, &dp) ||
		    !take_point(&dp, &c->freshest) || dp.n != 0)
			return false;
	}
	return true;
}

static bool
read_number(struct span value, struct span *out)
{
	struct span v;

	if (!take(&value, DER_INTEGER, &v) || value.n != 0 ||
	    !is_positive(v, CRLCHECK_NUMBER_MAX))
		return false;
	*out = without_zero(v);
	return true;
}

static bool
read_ext(enum ext which, struct span value, struct crlcheck *c)
{
	switch (which) {
	case EXT_AKI:
		c->aki = value;
		return value.n > 0;
	case EXT_NUMBER:
		return read_number(value, &c->number);
	case EXT_DELTA:
		c->delta = true;
		return read_number(value, &c->base);
	case EXT_IDP:
		c->has_idp = true;
		c->idp = value;
		return read_idp(value, c);
	case EXT_FRESHEST:
		return read_freshest(value, c);
	case EXT_EXPIRED:
		c->keeps_expired = true;
		return is_date(value);
	case EXT__COUNT:
		break;
	}
	return false;
}

static enum ext
find_ext(struct span oid, bool critical)
{
	static const struct {
		const char *oid;
		bool critical;
	} known[] = {
		[EXT_AKI] = { ID_CE("\x23"), false },
		[EXT_NUMBER] = { ID_CE("\x14"), false },
		[EXT_DELTA] = { ID_CE("\x1b"), true },
		[EXT_IDP] = { ID_CE("\x1c"), true },
		[EXT_FRESHEST] = { ID_CE("\x2e"), false },
		[EXT_EXPIRED] = { ID_CE("\x3c"), false },
	};
	enum ext i;

	for (i = EXT_AKI; i < EXT__COUNT; i++) {
		if (span_is(oid, known[i].oid) && critical == known[i].critical)
			return i;
	}
	return EXT__COUNT;
}

static int
read_exts(struct span s, struct crlcheck *c, struct err *e)
{
	bool seen[EXT__COUNT + 1] = { false }, critical;
	struct span oid, value;
	enum ext x;

	while (s.n > 0) {
		if (!take_ext(&s, &oid, &critical, &value))
			return err_set(
			    e, ERR_MALFORMED, "CRL: malformed extension");
		x = find_ext(oid, critical);
		if (x == EXT__COUNT || seen[x] || !read_ext(x, value, c))
			return err_set(e, ERR_MALFORMED,
			    "CRL: an extension is unknown, malformed, twice "
			    "there or of the wrong criticality");
		seen[x] = true;
	}
	if (!seen[EXT_AKI] || !seen[EXT_NUMBER])
		return err_set(e, ERR_MALFORMED,
		    "CRL: no authorityKeyIdentifier or no cRLNumber");
	if (c->delta && seen[EXT_FRESHEST])
		return err_set(e, ERR_MALFORMED, "CRL: freshestCRL in a delta");
	return 0;
}

/* version to nextUpdate */
static bool
read_front(struct span *s, struct crlcheck *c)
{
	struct span version;

	return take(s, DER_INTEGER, &version) && version.n == 1 &&
	       version.p[0] == 1 && take_whole(s, DER_SEQUENCE, &c->sig_alg) &&
	       take_whole(s, DER_SEQUENCE, &c->issuer) &&
	       take_time(s, &c->this_update) && take_time(s, &c->next_update);
}

int
crlcheck_read(struct span der, struct crlcheck *out, struct err *e)
{
	struct span s, exts, list;

	memset(out, 0, sizeof(*out));
	if (!take(&der, DER_SEQUENCE, &s) || der.n != 0 || !read_front(&s, out))
		return err_set(e, ERR_MALFORMED,
		    "CRL: not a TBSCertList of version 2 in DER");
	/* RFC 5280 5.1.2.6: absent, not empty */
	if (take(&s, DER_SEQUENCE, &out->list) && out->list.n == 0)
		return err_set(e, ERR_MALFORMED, "CRL: an empty list of none");
	if (!take(&s, DER_CONTEXT_CONSTRUCTED(0), &exts) || s.n != 0 ||
	    !take(&exts, DER_SEQUENCE, &list) || exts.n != 0)
		return err_set(e, ERR_MALFORMED,
		    "CRL: no extensions, or something after them");
	if (read_exts(list, out, e) == -1)
		return -1;
	return read_entries(out, e);
}

int
crlcheck_map(int fd, struct span *out, struct err *e)
{
	const int want = F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE;
	int seals = fd < 0 ? -1 : fcntl(fd, F_GET_SEALS);
	struct statfs fs;
	struct stat st;
	void *p;

	/* huge pages might be missing when they are read: SIGBUS */
	if (seals < 0 || (seals & want) != want || fstat(fd, &st) != 0 ||
	    fstatfs(fd, &fs) != 0 || fs.f_type != TMPFS_MAGIC)
		return err_set(
		    e, ERR_MALFORMED, "CRL: not in a sealed memory file");
	if (st.st_size <= 0 || (uintmax_t)st.st_size > CRLCHECK_MAX)
		return err_set(
		    e, ERR_MALFORMED, "CRL: %lld bytes", (long long)st.st_size);
	p = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_SHARED, fd, 0);
	if (p == MAP_FAILED)
		return err_set(
		    e, ERR_UNAVAILABLE, "CRL: mmap: %s", strerror(errno));
	(void)madvise(p, (size_t)st.st_size, MADV_SEQUENTIAL);
	*out = span_of(p, (size_t)st.st_size);
	return 0;
}

void
crlcheck_unmap(struct span bytes)
{
	if (bytes.p != NULL)
		(void)munmap((void *)(uintptr_t)bytes.p, bytes.n);
}
