#include "base/span.h"

#include <string.h>

#include "base/arena.h"

struct span
span_str(const char *s)
{
	return span_of(s, s == NULL ? 0 : strlen(s));
}

bool
span_eq(struct span a, struct span b)
{
	return a.n == b.n && (a.n == 0 || memcmp(a.p, b.p, a.n) == 0);
}

bool
span_is(struct span a, const char *s)
{
	return span_eq(a, span_str(s));
}

int
span_cmp(struct span a, struct span b)
{
	size_t n = a.n < b.n ? a.n : b.n;
	int c = n == 0 ? 0 : memcmp(a.p, b.p, n);

	if (c != 0)
		return c;
	return (a.n > b.n) - (a.n < b.n);
}

bool
span_take(struct span *s, size_t n, struct span *out)
{
	if (s->n < n)
		return false;
	*out = span_of(s->p, n);
	s->p += n;
	s->n -= n;
	return true;
}

static bool
take_uint(struct span *s, size_t octets, uint64_t *out)
{
	struct span v;
	size_t i;

	if (!span_take(s, octets, &v))
		return false;
	*out = 0;
	for (i = 0; i < octets; i++)
		*out = *out << 8 | v.p[i];
	return true;
}

bool
span_u8(struct span *s, uint8_t *out)
{
	uint64_t v;

	if (!take_uint(s, 1, &v))
		return false;
	*out = (uint8_t)v;
	return true;
}

bool
span_u16(struct span *s, uint16_t *out)
{
	uint64_t v;

	if (!take_uint(s, 2, &v))
		return false;
	*out = (uint16_t)v;
	return true;
}

bool
span_u32(struct span *s, uint32_t *out)
{
	uint64_t v;

	if (!take_uint(s, 4, &v))
		return false;
	*out = (uint32_t)v;
	return true;
}

bool
span_u64(struct span *s, uint64_t *out)
{
	return take_uint(s, 8, out);
}

bool
span_i64(struct span *s, int64_t *out)
{
	uint64_t v;

	if (!span_u64(s, &v))
		return false;
	*out = (int64_t)v;
	return true;
}

bool
span_block(struct span *s, struct span *out)
{
	struct span saved = *s;
	uint32_t n;

	if (span_u32(s, &n) && span_take(s, n, out))
		return true;
	*s = saved;
	return false;
}

struct span
span_dup(struct arena *a, struct span s)
{
	return span_of(arena_memdup(a, s.p, s.n), s.n);
}
