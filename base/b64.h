/*
 * Strict base64 (RFC 4648 section 4), base64url without padding (section 5)
 * and hex (section 8).  Decoders accept exactly what the encoders write: no
 * white space, no missing or superfluous padding, no non-zero spare bits.
 */
#ifndef BASE_B64_H
#define BASE_B64_H

#include "base/arena.h"
#include "base/err.h"
#include "base/span.h"

/* Encodings, as NUL-terminated strings in the arena. */
char *b64_encode(struct arena *a, struct span s);
char *b64url_encode(struct arena *a, struct span s);
char *hex_encode(struct arena *a, struct span s); /* lower case */

/* As hex_encode, to 2 * s.n octets at 'out', without a NUL. */
void hex_write(char *out, struct span s);

/* Decodings into the arena; MALFORMED says what is wrong with the text. */
int b64_decode(struct arena *a, struct span text, struct span *out,
    struct err *e) MUST_USE;
int b64url_decode(struct arena *a, struct span text, struct span *out,
    struct err *e) MUST_USE;
/* Takes upper and lower case. */
int hex_decode(struct arena *a, struct span text, struct span *out,
    struct err *e) MUST_USE;

/* The value of one digit of base64 or of hex (either case); -1: it is none. */
int b64_value(uint8_t c);
int hex_value(uint8_t c);

/*
 * PEM blocks (RFC 7468): pem_encode writes one with 64 columns; pem_decode
 * finds the first block labelled 'label' and ignores text around it.
 * MALFORMED when there is none or it is damaged.
 */
char *pem_encode(struct arena *a, const char *label, struct span der);
int pem_decode(struct arena *a, const char *label, struct span text,
    struct span *der, struct err *e) MUST_USE;

#endif
