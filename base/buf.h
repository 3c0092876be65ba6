/*
 * A growing writer with a hard cap.  A write that would pass the cap (or runs
 * out of memory) marks the buffer as failed and changes nothing; the caller
 * checks buf_ok once at the end.  The buffer owns its bytes.
 */
#ifndef BASE_BUF_H
#define BASE_BUF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/span.h"

struct buf {
	uint8_t *p;
	size_t n, cap, max;
	bool failed;
};

/* An empty buffer that never holds more than 'max' bytes. */
void buf_init(struct buf *b, size_t max);

/* Frees the bytes; the buffer may be used again with the same cap. */
void buf_clear(struct buf *b);

/* Forgets the bytes and the failure but keeps the memory. */
void buf_reset(struct buf *b);

/* Appends. */
void buf_add(struct buf *b, const void *p, size_t n);
void buf_span(struct buf *b, struct span s);
void buf_str(struct buf *b, const char *s);
void buf_printf(struct buf *b, const char *fmt, ...) PRINTF_LIKE(2, 3);

/* Appends a big-endian unsigned integer. */
void buf_u8(struct buf *b, uint8_t v);
void buf_u16(struct buf *b, uint16_t v);
void buf_u32(struct buf *b, uint32_t v);
void buf_u64(struct buf *b, uint64_t v);

/* Appends a 32-bit length and the bytes: what span_block reads. */
void buf_block(struct buf *b, struct span s);

/* Appends 'n' bytes to be filled in by the caller, or NULL when failed. */
uint8_t *buf_space(struct buf *b, size_t n);

/* Inserts 'n' bytes at 'at' (at most b->n): what DER lengths need. */
void buf_insert(struct buf *b, size_t at, const void *p, size_t n);

/* Removes 'n' bytes from the front. */
void buf_consume(struct buf *b, size_t n);

/* Whether every write so far fitted. */
bool buf_ok(const struct buf *b);

/* What was written; borrowed until the next write. */
struct span buf_get(const struct buf *b);

/*
 * AUTO_BUF(b, 4096); declares an empty buffer of at most 4096 bytes that is
 * cleared when it goes out of scope.
 */
#define AUTO_BUF(name, cap)                                                    \
	__attribute__((cleanup(buf_clear))) struct buf name = { .max = (cap) }

#endif
