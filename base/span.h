/*
 * A bounded read cursor over bytes that somebody else owns.  Readers return
 * false on underrun and then leave the cursor unmoved.  Integers are big
 * endian.
 */
#ifndef BASE_SPAN_H
#define BASE_SPAN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct arena;

struct span {
	const uint8_t *p;
	size_t n;
};

/* The 'n' bytes at 'p'. */
static inline struct span
span_of(const void *p, size_t n)
{
	return (struct span){ p, n };
}

/* The bytes of a string without its NUL; NULL gives an empty span. */
struct span span_str(const char *s);

/* Whether both have the same bytes.  Not for secrets. */
bool span_eq(struct span a, struct span b);

/* Whether the bytes are exactly those of the string 's'. */
bool span_is(struct span a, const char *s);

/* Orders by bytes, then by length: below, equal to or above 0. */
int span_cmp(struct span a, struct span b);

/* Takes 'n' bytes off the front into 'out'. */
bool span_take(struct span *s, size_t n, struct span *out);

/* Takes an unsigned integer of 1, 2, 4 or 8 octets off the front. */
bool span_u8(struct span *s, uint8_t *out);
bool span_u16(struct span *s, uint16_t *out);
bool span_u32(struct span *s, uint32_t *out);
bool span_u64(struct span *s, uint64_t *out);
bool span_i64(struct span *s, int64_t *out);

/* Takes a 32-bit length and that many bytes off the front into 'out'. */
bool span_block(struct span *s, struct span *out);

/* A copy whose bytes live in the arena. */
struct span span_dup(struct arena *a, struct span s);

#endif
