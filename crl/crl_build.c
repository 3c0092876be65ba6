#include "crl/crl_build.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/auto.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/der.h"
#include "ca/oid.h"
#include "hsm/crlcheck.h"

#define HEAD_MAX ((size_t)64 * 1024)
#define FLUSH_AT ((size_t)256 * 1024)
#define NUMBER_MAX 20
#define SERIAL_MAX 20

/* More than any entry measures: every length in it has one octet. */
#define ENTRY_MAX 128

/* Identifier and length octets of the longest list. */
#define LENGTH_MAX 6

/* The last second of UTCTime (RFC 5280 5.1.2.6). */
#define UTC_LAST ((int64_t)2524607999)

struct crl_build {
	struct crl_head head;
	struct buf fixed; /* version to nextUpdate */
	struct buf out;   /* what is not in the file yet */
	size_t start, at; /* of the entries in the file; its end */
	size_t entries, bytes;
	int fd;
	uint8_t last[SERIAL_MAX];
	size_t last_n;
	/* most entries of a bulk revocation have the same time */
	int64_t time;
	uint8_t time_der[ENTRY_MAX];
	size_t time_n;
};

static int
no_file(struct err *e)
{
	return err_set(
	    e, ERR_UNAVAILABLE, "memory file of the CRL: %s", strerror(errno));
}

static void
put_head(struct buf *b, const struct crl_head *h)
{
	der_int(b, 1); /* v2 */
	buf_span(b, h->sig_alg);
	buf_span(b, h->issuer);
	der_time(b, h->this_update);
	der_time(b, h->next_update);
}

int
crl_build_new(
    const struct crl_head *head, struct crl_build **out, struct err *e)
{
	struct crl_build *b = calloc(1, sizeof(*b));

	if (b == NULL)
		return err_set(e, ERR_UNAVAILABLE, "out of memory");
	b->head = *head;
	b->time = CRL_NO_TIME;
	buf_init(&b->fixed, HEAD_MAX);
	buf_init(&b->out, FLUSH_AT + ENTRY_MAX);
	put_head(&b->fixed, head);
	b->start = b->at = b->fixed.n + (size_t)2 * LENGTH_MAX;
	b->fd = memfd_create("crl", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	if (b->fd < 0 || !buf_ok(&b->fixed)) {
		crl_build_free(b);
		return no_file(e);
	}
	*out = b;
	return 0;
}

void
crl_build_free(struct crl_build *b)
{
	if (b == NULL)
		return;
	if (b->fd >= 0)
		(void)close(b->fd);
	buf_clear(&b->fixed);
	buf_clear(&b->out);
	free(b);
}

static int
write_at(int fd, struct span s, size_t at, struct err *e)
{
	ssize_t put;

	while (s.n > 0) {
		put = pwrite(fd, s.p, s.n, (off_t)at);
		if (put <= 0)
			return no_file(e);
		at += (size_t)put;
		s = span_of(s.p + put, s.n - (size_t)put);
	}
	return 0;
}

static int
flush(struct crl_build *b, struct err *e)
{
	if (write_at(b->fd, buf_get(&b->out), b->at, e) == -1)
		return -1;
	b->at += b->out.n;
	buf_reset(&b->out);
	return 0;
}

static uint8_t *
two_digits(uint8_t *p, int v)
{
	*p++ = (uint8_t)('0' + v / 10);
	*p++ = (uint8_t)('0' + v % 10);
	return p;
}

/* der_time for one of a million: no buffer, no printf. */
static uint8_t *
put_time(uint8_t *p, int64_t t, bool generalized)
{
	struct clock_civil c;

	clock_to_civil(t, &c);
	*p++ = generalized ? DER_GENERALIZED_TIME : DER_UTC_TIME;
	*p++ = generalized ? 15 : 13;
	if (generalized)
		p = two_digits(p, c.year / 100);
	p = two_digits(p, c.year % 100);
	p = two_digits(p, c.month);
	p = two_digits(p, c.day);
	p = two_digits(p, c.hour);
	p = two_digits(p, c.minute);
	p = two_digits(p, c.second);
	*p++ = 'Z';
	return p;
}

static uint8_t *
put_revoked_at(struct crl_build *b, uint8_t *p, int64_t t)
{
	if (b->time != t) {
		b->time_n = (size_t)(put_time(b->time_der, t, t > UTC_LAST) -
				     b->time_der);
		b->time = t;
	}
	memcpy(p, b->time_der, b->time_n);
	return p + b->time_n;
}

/* crlEntryExtensions, RFC 5280 5.3: reasonCode and invalidityDate. */
static uint8_t *
put_entry_exts(uint8_t *p, const struct crl_entry *x)
{
	static const uint8_t reason[] = { 0x30, 10, 0x06, 3, 0x55, 0x1d, 0x15,
		0x04, 3, 0x0a, 1 };
	static const uint8_t invalidity[] = { 0x30, 24, 0x06, 3, 0x55, 0x1d,
		0x18, 0x04, 17 };
	uint8_t *list = p;

	if (x->reason <= 0 && x->invalidity_at == CRL_NO_TIME)
		return p;
	p += 2;
	if (x->reason > 0) {
		memcpy(p, reason, sizeof(reason));
		p += sizeof(reason);
		*p++ = (uint8_t)x->reason;
	}
	if (x->invalidity_at != CRL_NO_TIME) {
		memcpy(p, invalidity, sizeof(invalidity));
		p = put_time(p + sizeof(invalidity), x->invalidity_at, true);
	}
	list[0] = DER_SEQUENCE;
	list[1] = (uint8_t)(p - list - 2);
	return p;
}

bool
crl_build_is_serial(struct span s)
{
	return s.n >= 1 && s.n <= SERIAL_MAX && (s.p[0] & 0x80) == 0 &&
	       (s.n == 1 || s.p[0] != 0 || (s.p[1] & 0x80) != 0);
}

bool
crl_build_is_time(int64_t t)
{
	/* 9999-12-31T23:59:59Z */
	return t >= 0 && t <= (int64_t)253402300799;
}

static int
check_order(const struct crl_build *b, struct span serial, struct err *e)
{
	if (b->entries > 0 &&
	    span_cmp(span_of(b->last, b->last_n), serial) >= 0)
		return err_set(
		    e, ERR_MALFORMED, "CRL entries are not in order");
	return 0;
}

/* RFC 5280 5.3.1: 7 is unused, and 8 belongs into deltas. */
static int
check_entry(const struct crl_build *b, const struct crl_entry *x, struct err *e)
{
	if (!crl_build_is_serial(x->serial))
		return err_set(e, ERR_MALFORMED,
		    "CRL entry: serial is no positive "
		    "INTEGER of 1 to 20 octets");
	if (!crl_build_is_time(x->revoked_at) ||
	    (x->invalidity_at != CRL_NO_TIME &&
		!crl_build_is_time(x->invalidity_at)))
		return err_set(e, ERR_MALFORMED, "CRL entry: not a time");
	if (x->reason > 10 || x->reason == 7 ||
	    (x->reason == CRL_REMOVE_FROM_CRL && b->head.base.n == 0))
		return err_set(e, ERR_MALFORMED,
		    "CRL entry: reason %d cannot stand there", x->reason);
	return check_order(b, x->serial, e);
}

static void
note_last(struct crl_build *b, struct span serial)
{
	if (serial.n == 0)
		return;
	memcpy(b->last, serial.p, serial.n);
	b->last_n = serial.n;
}

int
crl_build_add(struct crl_build *b, const struct crl_entry *entry, struct err *e)
{
	uint8_t der[ENTRY_MAX], *p = der + 2;

	if (check_entry(b, entry, e) == -1)
		return -1;
	*p++ = DER_INTEGER;
	*p++ = (uint8_t)entry->serial.n;
	memcpy(p, entry->serial.p, entry->serial.n);
	p = put_revoked_at(b, p + entry->serial.n, entry->revoked_at);
	p = put_entry_exts(p, entry);
	der[0] = DER_SEQUENCE;
	der[1] = (uint8_t)(p - der - 2);
	buf_add(&b->out, der, (size_t)(p - der));
	b->bytes += (size_t)(p - der);
	b->entries++;
	note_last(b, entry->serial);
	return b->out.n < FLUSH_AT ? 0 : flush(b, e);
}

int
crl_build_copy(struct crl_build *b, const struct crl_run *run, struct err *e)
{
	struct span der = run->der, first;

	if (run->entries == 0)
		return 0;
	if (!crlcheck_next_serial(&der, &first) || run->last.n > SERIAL_MAX)
		return err_set(e, ERR_MALFORMED, "CRL entry: not one");
	if (check_order(b, first, e) == -1 || flush(b, e) == -1 ||
	    write_at(b->fd, run->der, b->at, e) == -1)
		return -1;
	b->at += run->der.n;
	b->bytes += run->der.n;
	b->entries += run->entries;
	note_last(b, run->last);
	return 0;
}

/* An extension whose value is encoded between begin and end. */
struct open_ext {
	size_t ext, octets;
};

static struct open_ext
ext_begin(struct buf *b, const char *oid, bool critical)
{
	struct open_ext x = { .ext = der_begin(b, DER_SEQUENCE) };

	der_oid(b, oid);
	der_true(b, critical);
	x.octets = der_begin(b, DER_OCTET_STRING);
	return x;
}

static void
ext_end(struct buf *b, struct open_ext x)
{
	der_end(b, x.octets);
	der_end(b, x.ext);
}

/* [0] { [0] fullName }, the DistributionPointName of RFC 5280 4.2.1.13. */
static void
put_point(struct buf *b, const struct profile_strings *urls)
{
	size_t point = der_begin(b, DER_CONTEXT_CONSTRUCTED(0));
	size_t name = der_begin(b, DER_CONTEXT_CONSTRUCTED(0)), i;

	for (i = 0; i < urls->n; i++)
		der_put(b, DER_CONTEXT(6), span_str(urls->list[i]));
	der_end(b, name);
	der_end(b, point);
}

/* The points of FreshestCRL, one for each URL as in ca/ext. */
static void
put_freshest(struct buf *b, const struct profile_strings *urls)
{
	struct open_ext x = ext_begin(b, OID_FRESHEST_CRL, false);
	size_t list = der_begin(b, DER_SEQUENCE), dp, i;

	for (i = 0; i < urls->n; i++) {
		const struct profile_strings one = { urls->list + i, 1 };

		dp = der_begin(b, DER_SEQUENCE);
		put_point(b, &one);
		der_end(b, dp);
	}
	der_end(b, list);
	ext_end(b, x);
}

static void
put_number(struct buf *b, const char *oid, bool critical, struct span number)
{
	struct open_ext x = ext_begin(b, oid, critical);

	if (number.n > NUMBER_MAX)
		b->failed = true;
	der_uint(b, number);
	ext_end(b, x);
}

static void
put_idp(struct buf *b, const struct profile_strings *urls)
{
	struct open_ext x = ext_begin(b, OID_ISSUING_DIST_POINT, true);
	size_t seq = der_begin(b, DER_SEQUENCE);

	put_point(b, urls);
	der_end(b, seq);
	ext_end(b, x);
}

static void
put_aki(struct buf *b, struct span key_id)
{
	struct open_ext x = ext_begin(b, OID_AUTHORITY_KEY_ID, false);
	size_t seq = der_begin(b, DER_SEQUENCE);

	der_put(b, DER_CONTEXT(0), key_id);
	der_end(b, seq);
	ext_end(b, x);
}

/* crlExtensions, RFC 5280 5.2. */
static void
put_exts(struct buf *b, const struct crl_head *h)
{
	size_t outer = der_begin(b, DER_CONTEXT_CONSTRUCTED(0));
	size_t list = der_begin(b, DER_SEQUENCE);
	struct open_ext x;

	put_aki(b, h->key_id);
	put_number(b, OID_CRL_NUMBER, false, h->number);
	if (h->base.n > 0)
		put_number(b, OID_DELTA_CRL, true, h->base);
	if (h->point_urls.n > 0)
		put_idp(b, &h->point_urls);
	if (h->base.n == 0 && h->freshest_urls.n > 0)
		put_freshest(b, &h->freshest_urls);
	if (h->expired_since != CRL_NO_TIME) {
		x = ext_begin(b, OID_EXPIRED_CERTS_ON_CRL, false);
		der_generalized_time(b, h->expired_since);
		ext_end(b, x);
	}
	der_end(b, list);
	der_end(b, outer);
}

void
crl_build_open(struct buf *b, size_t n)
{
	size_t octets = 0, v;

	buf_u8(b, DER_SEQUENCE);
	if (n < 0x80) {
		buf_u8(b, (uint8_t)n);
		return;
	}
	for (v = n; v > 0; v >>= 8)
		octets++;
	buf_u8(b, (uint8_t)(0x80 | octets));
	while (octets-- > 0)
		buf_u8(b, (uint8_t)(n >> (8 * octets)));
}

/* Moves the entries and what follows to where the head really ends. */
static int
close_gap(struct crl_build *b, size_t head_n, struct err *e)
{
	size_t gap = b->start - head_n;
	uint8_t *p;

	if (gap == 0)
		return 0;
	p = mmap(NULL, b->at, PROT_READ | PROT_WRITE, MAP_SHARED, b->fd, 0);
	if (p == MAP_FAILED)
		return no_file(e);
	memmove(p + head_n, p + b->start, b->at - b->start);
	b->at -= gap;
	if (munmap(p, b->at + gap) != 0)
		return no_file(e);
	return 0;
}

/* The head in front of the entries, in as few octets as DER allows. */
static void
put_front(struct buf *front, const struct crl_build *b, size_t tail_n)
{
	AUTO_BUF(list, 16);

	/* RFC 5280 5.1.2.6: absent, not empty */
	if (b->entries > 0)
		crl_build_open(&list, b->bytes);
	crl_build_open(front, b->fixed.n + list.n + b->bytes + tail_n);
	buf_span(front, buf_get(&b->fixed));
	buf_span(front, buf_get(&list));
}

static int
seal(struct crl_build *b, struct err *e)
{
	const int seals =
	    F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE | F_SEAL_SEAL;

	if (ftruncate(b->fd, (off_t)b->at) != 0 ||
	    fcntl(b->fd, F_ADD_SEALS, seals) != 0)
		return no_file(e);
	return 0;
}

int
crl_build_end(struct crl_build *b, struct crl_built *out, struct err *e)
{
	AUTO_BUF(front, HEAD_MAX + (size_t)2 * LENGTH_MAX);
	AUTO_BUF(tail, HEAD_MAX);

	put_exts(&tail, &b->head);
	put_front(&front, b, tail.n);
	if (!buf_ok(&tail) || !buf_ok(&front))
		return err_set(e, ERR_MALFORMED,
		    "what stands around a CRL's entries is "
		    "too long");
	if (flush(b, e) == -1 ||
	    write_at(b->fd, buf_get(&tail), b->at, e) == -1)
		return -1;
	b->at += tail.n;
	if (close_gap(b, front.n, e) == -1 ||
	    write_at(b->fd, buf_get(&front), 0, e) == -1 || seal(b, e) == -1)
		return -1;
	*out =
	    (struct crl_built){ b->fd, b->at, b->entries, front.n, b->bytes };
	b->fd = -1;
	return 0;
}
