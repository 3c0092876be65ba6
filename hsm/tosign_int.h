/*
 * Shared by the files of hsm/tosign: a strict DER reader on top of
 * libcrypto's header parser, and the decode, encode again, compare step.
 */
#ifndef HSM_TOSIGN_INT_H
#define HSM_TOSIGN_INT_H

#include <stdbool.h>
#include <stdint.h>

#include <openssl/asn1.h>

#include "base/err.h"
#include "base/span.h"

/* One DER value. */
struct tlv {
	uint8_t tag; /* first identifier octet */
	struct span whole, contents;
};

/*
 * Takes one value off the front; false when it is not DER (X.690 10.1: the
 * length definite and minimal) or incomplete.  The inside is not looked at.
 */
bool tlv_take(struct span *s, struct tlv *out);

/* As tlv_take, but only a value whose identifier octet is 'tag'. */
bool tlv_expect(struct span *s, uint8_t tag, struct tlv *out);

/* The values that follow each other in 's' to its end; false: not DER. */
bool tlv_count(struct span s, size_t *n);

/* The number that two decimal digits at 'p' make; false: they are none. */
static inline bool
tosign_two_digits(const uint8_t *p, int *out)
{
	if (p[0] < '0' || p[0] > '9' || p[1] < '0' || p[1] > '9')
		return false;
	*out = (p[0] - '0') * 10 + (p[1] - '0');
	return true;
}

/*
 * Whether 'der' is one value, DER through all constructed values, that
 * template 'it' decodes and encodes to the same bytes.
 */
bool tosign_judge(const ASN1_ITEM *it, struct span der);

#endif
