#include "base/der.h"

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"

size_t
der_begin(struct buf *b, uint8_t tag)
{
	buf_u8(b, tag);
	return b->n;
}

/* Writes the length octets of X.690 10.1 and returns how many there are. */
static size_t
length_octets(size_t len, uint8_t out[9])
{
	size_t n = 0, i, v;

	if (len < 0x80) {
		out[0] = (uint8_t)len;
		return 1;
	}
	for (v = len; v > 0; v >>= 8)
		n++;
	out[0] = (uint8_t)(0x80 | n);
	for (i = 0; i < n; i++)
		out[1 + i] = (uint8_t)(len >> (8 * (n - 1 - i)));
	return 1 + n;
}

void
der_end(struct buf *b, size_t begun)
{
	uint8_t head[9];
	size_t n;

	if (!buf_ok(b))
		return;
	n = length_octets(b->n - begun, head);
	buf_insert(b, begun, head, n);
}

void
der_put(struct buf *b, uint8_t tag, struct span contents)
{
	uint8_t head[9];

	buf_u8(b, tag);
	buf_add(b, head, length_octets(contents.n, head));
	buf_span(b, contents);
}

void
der_true(struct buf *b, bool value)
{
	static const uint8_t yes = 0xff;

	if (value)
		der_put(b, DER_BOOLEAN, span_of(&yes, 1));
}

void
der_int(struct buf *b, int64_t v)
{
	uint8_t be[8];
	size_t i, from = 0;

	for (i = 0; i < 8; i++)
		be[i] = (uint8_t)((uint64_t)v >> (8 * (7 - i)));
	while (from < 7 && ((be[from] == 0 && be[from + 1] < 0x80) ||
			       (be[from] == 0xff && be[from + 1] >= 0x80)))
		from++;
	der_put(b, DER_INTEGER, span_of(be + from, 8 - from));
}

void
der_uint(struct buf *b, struct span v)
{
	static const uint8_t zero = 0;
	size_t begun;

	while (v.n > 1 && v.p[0] == 0) {
		v.p++;
		v.n--;
	}
	begun = der_begin(b, DER_INTEGER);
	if (v.n == 0 || v.p[0] >= 0x80)
		buf_add(b, &zero, 1);
	buf_span(b, v);
	der_end(b, begun);
}

static bool
put_arc(uint64_t arc, uint8_t *out, size_t *n, size_t max)
{
	size_t octets = 1, i;
	uint64_t v;

	for (v = arc >> 7; v > 0; v >>= 7)
		octets++;
	if (*n + octets > max)
		return false;
	for (i = 0; i < octets; i++)
		out[*n + i] = (uint8_t)((arc >> (7 * (octets - 1 - i)) & 0x7f) |
					(i + 1 < octets ? 0x80 : 0));
	*n += octets;
	return true;
}

static bool
take_arc(const char **s, uint64_t *arc)
{
	const char *p = *s;

	for (*arc = 0; *p >= '0' && *p <= '9' && p - *s < 18; p++)
		*arc = *arc * 10 + (uint64_t)(*p - '0');
	if (p == *s || (**s == '0' && p - *s > 1))
		return false;
	if (*p != '\0' && (*p != '.' || p[1] == '\0'))
		return false;
	*s = *p == '.' ? p + 1 : p;
	return true;
}

bool
der_oid_contents(const char *dotted, uint8_t *out, size_t *n, size_t max)
{
	uint64_t first, arc;

	*n = 0;
	if (!take_arc(&dotted, &first) || first > 2 || *dotted == '\0')
		return false;
	if (!take_arc(&dotted, &arc) || (first < 2 && arc > 39))
		return false;
	if (!put_arc(first * 40 + arc, out, n, max))
		return false;
	while (*dotted != '\0') {
		if (!take_arc(&dotted, &arc) || !put_arc(arc, out, n, max))
			return false;
	}
	return true;
}

void
der_oid(struct buf *b, const char *dotted)
{
	uint8_t contents[64];
	size_t n;

	if (!der_oid_contents(dotted, contents, &n, sizeof(contents))) {
		b->failed = true;
		return;
	}
	der_put(b, DER_OID, span_of(contents, n));
}

void
der_bits(struct buf *b, struct span octets)
{
	size_t begun = der_begin(b, DER_BIT_STRING);

	buf_u8(b, 0);
	buf_span(b, octets);
	der_end(b, begun);
}

void
der_named_bits(struct buf *b, uint32_t bits)
{
	uint8_t out[5] = { 0 };
	size_t n = 1;
	int i, last = -1;

	for (i = 0; i < 32; i++) {
		if ((bits >> i & 1) == 0)
			continue;
		out[1 + i / 8] |= (uint8_t)(0x80 >> i % 8);
		last = i;
	}
	if (last >= 0) {
		n = 2 + (size_t)last / 8;
		out[0] = (uint8_t)(7 - last % 8);
	}
	der_put(b, DER_BIT_STRING, span_of(out, n));
}

/* An OCSP answer has three of them: no formatted printing here. */
static void
put_time(struct buf *b, uint8_t tag, const struct clock_civil *c, int digits)
{
	char text[16], *p = clock_digits(text, c->year, digits);

	p = clock_digits(p, c->month, 2);
	p = clock_digits(p, c->day, 2);
	p = clock_digits(p, c->hour, 2);
	p = clock_digits(p, c->minute, 2);
	p = clock_digits(p, c->second, 2);
	*p++ = 'Z';
	der_put(b, tag, span_of(text, (size_t)(p - text)));
}

void
der_generalized_time(struct buf *b, int64_t t)
{
	struct clock_civil c;

	clock_to_civil(t, &c);
	put_time(b, DER_GENERALIZED_TIME, &c, 4);
}

void
der_time(struct buf *b, int64_t t)
{
	struct clock_civil c;
	bool utc;

	clock_to_civil(t, &c);
	utc = c.year >= 1950 && c.year <= 2049;
	put_time(b, utc ? DER_UTC_TIME : DER_GENERALIZED_TIME, &c, utc ? 2 : 4);
}
