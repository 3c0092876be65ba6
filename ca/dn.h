/*
 * Distinguished names: a list of attributes in the order of the DER, one per
 * RDN, with the string type and upper bound that RFC 5280 appendix A gives
 * each attribute.  Text is RFC 4514: the most specific attribute first.
 */
#ifndef CA_DN_H
#define CA_DN_H

#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/err.h"
#include "base/span.h"
#include "hsm/tosign.h"

#define DN_ATTRS_MAX 32

struct dn_type {
	const char *name; /* as in text, such as "CN" */
	const char *oid;
	uint8_t tag;  /* identifier octet that we write */
	size_t chars; /* upper bound in characters */
};

struct dn_attr {
	const struct dn_type *type;
	const char *value; /* UTF-8 */
};

struct dn {
	struct dn_attr *attrs;
	size_t n;
};

/* The attribute type of that name (any case) or dotted OID, or NULL. */
const struct dn_type *dn_type_named(const char *name);

/* The attribute type of that OID (contents octets), or NULL. */
const struct dn_type *dn_type_of(struct span oid);

/*
 * Reads a Name.  MALFORMED: not DER, not text; REFUSED: an attribute that
 * dn_type_of does not know, or several attributes in one RDN.
 */
int dn_decode(
    struct arena *a, struct span der, struct dn *out, struct err *e) MUST_USE;

/* As dn_decode, from the attributes that tosign_name_parse found. */
int dn_from_attrs(struct arena *a, const struct tosign_attr *in, size_t n,
    struct dn *out, struct err *e) MUST_USE;

/* Reads "CN=a,O=b" (RFC 4514, with its escapes but no #hex values). */
int dn_parse(
    struct arena *a, const char *text, struct dn *out, struct err *e) MUST_USE;

/*
 * Whether a value may stand for its type: valid UTF-8, no control
 * characters, not empty, at most the upper bound, in the type's character
 * set.  MALFORMED says what is wrong.
 */
int dn_value_check(
    const struct dn_type *type, const char *value, struct err *e) MUST_USE;

/* Appends the Name to 'b'; a failure shows in buf_ok. */
void dn_encode(struct buf *b, const struct dn *dn);

/* RFC 4514 text in the arena; "" for an empty name. */
const char *dn_text(struct arena *a, const struct dn *dn);

/* The value of the first attribute named 'name' ("CN"), or NULL. */
const char *dn_value(const struct dn *dn, const char *name);

#endif
