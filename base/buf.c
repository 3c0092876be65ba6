#include "base/buf.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void
buf_init(struct buf *b, size_t max)
{
	*b = (struct buf){ .max = max };
}

void
buf_clear(struct buf *b)
{
	free(b->p);
	b->p = NULL;
	b->n = b->cap = 0;
	b->failed = false;
}

void
buf_reset(struct buf *b)
{
	b->n = 0;
	b->failed = false;
}

static bool
reserve(struct buf *b, size_t n)
{
	size_t cap = b->cap == 0 ? 256 : b->cap;
	uint8_t *p;

	if (b->failed || n > b->max - b->n) {
		b->failed = true;
		return false;
	}
	if (n <= b->cap - b->n)
		return true;
	while (cap < b->n + n)
		cap *= 2;
	if (cap > b->max)
		cap = b->max;
	p = realloc(b->p, cap);
	if (p == NULL) {
		b->failed = true;
		return false;
	}
	b->p = p;
	b->cap = cap;
	return true;
}

uint8_t *
buf_space(struct buf *b, size_t n)
{
	uint8_t *p;

	if (!reserve(b, n))
		return NULL;
	p = b->p + b->n;
	b->n += n;
	return p;
}

void
buf_add(struct buf *b, const void *p, size_t n)
{
	uint8_t *at;

	if (n == 0)
		return;
	at = buf_space(b, n);
	if (at != NULL)
		memcpy(at, p, n);
}

void
buf_span(struct buf *b, struct span s)
{
	buf_add(b, s.p, s.n);
}

void
buf_str(struct buf *b, const char *s)
{
	buf_add(b, s, strlen(s));
}

void
buf_printf(struct buf *b, const char *fmt, ...)
{
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(NULL, 0, fmt, ap);
	va_end(ap);
	/* one octet more for the NUL that vsnprintf writes */
	if (n < 0 || !reserve(b, (size_t)n + 1)) {
		b->failed = true;
		return;
	}
	va_start(ap, fmt);
	(void)vsnprintf((char *)b->p + b->n, (size_t)n + 1, fmt, ap);
	va_end(ap);
	b->n += (size_t)n;
}

static void
add_uint(struct buf *b, uint64_t v, size_t octets)
{
	uint8_t be[8];
	size_t i;

	for (i = 0; i < octets; i++)
		be[i] = (uint8_t)(v >> (8 * (octets - 1 - i)));
	buf_add(b, be, octets);
}

void
buf_u8(struct buf *b, uint8_t v)
{
	add_uint(b, v, 1);
}

void
buf_u16(struct buf *b, uint16_t v)
{
	add_uint(b, v, 2);
}

void
buf_u32(struct buf *b, uint32_t v)
{
	add_uint(b, v, 4);
}

void
buf_u64(struct buf *b, uint64_t v)
{
	add_uint(b, v, 8);
}

void
buf_block(struct buf *b, struct span s)
{
	if (s.n > UINT32_MAX) {
		b->failed = true;
		return;
	}
	buf_u32(b, (uint32_t)s.n);
	buf_span(b, s);
}

void
buf_insert(struct buf *b, size_t at, const void *p, size_t n)
{
	if (at > b->n || !reserve(b, n)) {
		b->failed = true;
		return;
	}
	memmove(b->p + at + n, b->p + at, b->n - at);
	memcpy(b->p + at, p, n);
	b->n += n;
}

void
buf_consume(struct buf *b, size_t n)
{
	if (n >= b->n) {
		b->n = 0;
		return;
	}
	memmove(b->p, b->p + n, b->n - n);
	b->n -= n;
}

bool
buf_ok(const struct buf *b)
{
	return !b->failed;
}

struct span
buf_get(const struct buf *b)
{
	return span_of(b->p, b->n);
}
