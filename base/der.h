/*
 * A DER writer (X.690 section 10): values are appended in order, and a
 * constructed value is opened and closed around its contents.  Reading DER is
 * left to libcrypto's templates.  A failure (buffer full, nesting too deep)
 * shows in buf_ok of the buffer.
 */
#ifndef BASE_DER_H
#define BASE_DER_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"

/* Identifier octets. */
enum der_tag {
	DER_BOOLEAN = 0x01,
	DER_INTEGER = 0x02,
	DER_BIT_STRING = 0x03,
	DER_OCTET_STRING = 0x04,
	DER_NULL = 0x05,
	DER_OID = 0x06,
	DER_ENUMERATED = 0x0a,
	DER_UTF8_STRING = 0x0c,
	DER_PRINTABLE_STRING = 0x13,
	DER_IA5_STRING = 0x16,
	DER_UTC_TIME = 0x17,
	DER_GENERALIZED_TIME = 0x18,
	DER_SEQUENCE = 0x30,
	DER_SET = 0x31,
};

/* Identifier octet of context-specific tag 'n' (0 to 30). */
#define DER_CONTEXT(n) (0x80 | (n))
#define DER_CONTEXT_CONSTRUCTED(n) (0xa0 | (n))

/*
 * Opens a value with identifier octet 'tag'; the result is handed to der_end,
 * which fills in the length.
 */
size_t der_begin(struct buf *b, uint8_t tag);
void der_end(struct buf *b, size_t begun);

/* A primitive value with these contents octets. */
void der_put(struct buf *b, uint8_t tag, struct span contents);

/* BOOLEAN TRUE, or nothing for FALSE: FALSE is the DEFAULT wherever used. */
void der_true(struct buf *b, bool value);

/* INTEGER from a small number, or from an unsigned big-endian number. */
void der_int(struct buf *b, int64_t v);
void der_uint(struct buf *b, struct span big_endian);

/* OBJECT IDENTIFIER from its dotted text; fails the buffer if it is none. */
void der_oid(struct buf *b, const char *dotted);

/* The contents octets of an OID from its dotted text; false if it is none. */
bool der_oid_contents(const char *dotted, uint8_t *out, size_t *n, size_t max);

/* BIT STRING of whole octets. */
void der_bits(struct buf *b, struct span octets);

/*
 * BIT STRING of named bits (X.690 11.2.2: no trailing zero bits); bit 0 of
 * 'bits' is named bit 0.
 */
void der_named_bits(struct buf *b, uint32_t bits);

/* Time as RFC 5280 4.1.2.5: UTCTime until 2049, GeneralizedTime after. */
void der_time(struct buf *b, int64_t t);

/* GeneralizedTime YYYYMMDDHHMMSSZ whatever the year. */
void der_generalized_time(struct buf *b, int64_t t);

#endif
