#include "ca/dn.h"

#include <stdbool.h>
#include <string.h>
#include <strings.h>

#include "base/b64.h"
#include "base/der.h"
#include "hsm/tosign.h"

/* Names of RFC 4514 section 3 first, then those in common use. */
static const struct dn_type types[] = {
	{ "CN", "2.5.4.3", DER_UTF8_STRING, 64 },
	{ "L", "2.5.4.7", DER_UTF8_STRING, 128 },
	{ "ST", "2.5.4.8", DER_UTF8_STRING, 128 },
	{ "O", "2.5.4.10", DER_UTF8_STRING, 64 },
	{ "OU", "2.5.4.11", DER_UTF8_STRING, 64 },
	{ "C", "2.5.4.6", DER_PRINTABLE_STRING, 2 },
	{ "STREET", "2.5.4.9", DER_UTF8_STRING, 128 },
	{ "DC", "0.9.2342.19200300.100.1.25", DER_IA5_STRING, 63 },
	{ "UID", "0.9.2342.19200300.100.1.1", DER_UTF8_STRING, 256 },
	{ "serialNumber", "2.5.4.5", DER_PRINTABLE_STRING, 64 },
	{ "SN", "2.5.4.4", DER_UTF8_STRING, 64 },
	{ "GN", "2.5.4.42", DER_UTF8_STRING, 64 },
	{ "initials", "2.5.4.43", DER_UTF8_STRING, 64 },
	{ "title", "2.5.4.12", DER_UTF8_STRING, 64 },
	{ "postalCode", "2.5.4.17", DER_UTF8_STRING, 40 },
	{ "dnQualifier", "2.5.4.46", DER_PRINTABLE_STRING, 64 },
	{ "pseudonym", "2.5.4.65", DER_UTF8_STRING, 128 },
	{ "organizationIdentifier", "2.5.4.97", DER_UTF8_STRING, 64 },
	{ "emailAddress", "1.2.840.113549.1.9.1", DER_IA5_STRING, 255 },
};
#define N_TYPES (sizeof(types) / sizeof(types[0]))

const struct dn_type *
dn_type_named(const char *name)
{
	size_t i;

	for (i = 0; i < N_TYPES; i++) {
		if (strcasecmp(types[i].name, name) == 0 ||
		    strcmp(types[i].oid, name) == 0)
			return &types[i];
	}
	return NULL;
}

const struct dn_type *
dn_type_of(struct span oid)
{
	size_t i;

	for (i = 0; i < N_TYPES; i++) {
		if (tosign_oid_is(oid, types[i].oid))
			return &types[i];
	}
	return NULL;
}

/*
 * Takes one UTF-8 character (RFC 3629: shortest form, no surrogates) off the
 * front of 's'; returns its length, or 0 when it is not one.
 */
static size_t
utf8_char(const unsigned char *s, uint32_t *out)
{
	static const uint32_t least[] = { 0, 0, 0x80, 0x800, 0x10000 };
	size_t n, i;
	uint32_t c;

	if (s[0] < 0x80) {
		*out = s[0];
		return 1;
	}
	if (s[0] < 0xc2 || s[0] > 0xf4)
		return 0;
	n = s[0] < 0xe0 ? 2 : s[0] < 0xf0 ? 3 : 4;
	c = s[0] & (0x7fU >> n);
	for (i = 1; i < n; i++) {
		if ((s[i] & 0xc0) != 0x80)
			return 0;
		c = c << 6 | (s[i] & 0x3f);
	}
	if (c < least[n] || c > 0x10ffff || (c >= 0xd800 && c <= 0xdfff))
		return 0;
	*out = c;
	return n;
}

static bool
is_printable_char(uint32_t c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
	       (c >= '0' && c <= '9') ||
	       (c < 0x80 && c != 0 && strchr(" '()+,-./:=?", (int)c) != NULL);
}

static bool
char_fits(uint8_t tag, uint32_t c)
{
	if (c < 0x20 || (c >= 0x7f && c < 0xa0))
		return false;
	if (tag == DER_PRINTABLE_STRING)
		return is_printable_char(c);
	return tag != DER_IA5_STRING || c < 0x80;
}

int
dn_value_check(const struct dn_type *type, const char *value, struct err *e)
{
	const unsigned char *s = (const unsigned char *)value;
	size_t chars = 0, n;
	uint32_t c;

	while (*s != '\0') {
		n = utf8_char(s, &c);
		if (n == 0)
			return err_set(
			    e, ERR_MALFORMED, "%s is not UTF-8", type->name);
		if (!char_fits(type->tag, c))
			return err_set(e, ERR_MALFORMED,
			    "%s has a character that it may not have",
			    type->name);
		s += n;
		chars++;
	}
	if (chars == 0)
		return err_set(e, ERR_MALFORMED, "%s is empty", type->name);
	if (chars > type->chars)
		return err_set(e, ERR_MALFORMED,
		    "%s has %zu characters, at most %zu are allowed",
		    type->name, chars, type->chars);
	if (strcmp(type->name, "C") == 0 && chars != 2)
		return err_set(e, ERR_MALFORMED, "C is not two letters");
	return 0;
}

static int
decode_attr(struct arena *a, const struct tosign_attr *in, struct dn_attr *out,
    struct err *e)
{
	out->type = dn_type_of(in->oid);
	if (out->type == NULL)
		return err_set(e, ERR_REFUSED,
		    "subject attribute %s is not supported",
		    tosign_oid_text(a, in->oid));
	if (in->tag != DER_UTF8_STRING && in->tag != DER_PRINTABLE_STRING &&
	    in->tag != DER_IA5_STRING)
		return err_set(e, ERR_MALFORMED,
		    "%s is not a UTF8String, PrintableString or IA5String",
		    out->type->name);
	if (in->value.n > 0 && memchr(in->value.p, 0, in->value.n) != NULL)
		return err_set(
		    e, ERR_MALFORMED, "%s has a NUL octet", out->type->name);
	out->value = arena_memdup(a, in->value.p, in->value.n);
	return dn_value_check(out->type, out->value, e);
}

int
dn_from_attrs(struct arena *a, const struct tosign_attr *in, size_t n,
    struct dn *out, struct err *e)
{
	size_t i;

	if (n > DN_ATTRS_MAX)
		return err_set(e, ERR_REFUSED,
		    "subject has %zu attributes, at most %d are allowed", n,
		    DN_ATTRS_MAX);
	out->attrs = arena_array(a, n, sizeof(*out->attrs));
	out->n = n;
	for (i = 0; i < n; i++) {
		if (i > 0 && in[i].rdn == in[i - 1].rdn)
			return err_set(e, ERR_REFUSED,
			    "subject has several attributes in one RDN");
		if (decode_attr(a, &in[i], &out->attrs[i], e) == -1)
			return -1;
	}
	return 0;
}

int
dn_decode(struct arena *a, struct span der, struct dn *out, struct err *e)
{
	struct tosign_attr *attrs;
	size_t n;

	if (tosign_name_parse(a, der, &attrs, &n, e) == -1)
		return -1;
	return dn_from_attrs(a, attrs, n, out, e);
}

/* Takes "value" up to an unescaped comma off '*s' (RFC 4514 section 3). */
static int
parse_value(struct arena *a, const char **s, const char **value, struct err *e)
{
	char *out = arena_alloc(a, strlen(*s) + 1);
	struct span octet;
	size_t n = 0;

	while (**s == ' ')
		(*s)++;
	for (; **s != '\0' && **s != ','; (*s)++) {
		if (strchr("\"+;<>", **s) != NULL)
			return err_set(e, ERR_MALFORMED,
			    "name has an unescaped \"%c\"", **s);
		if (**s != '\\') {
			out[n++] = **s;
			continue;
		}
		(*s)++;
		if (**s != '\0' && strchr(" \"#+,;<=>\\", **s) != NULL) {
			out[n++] = **s;
			continue;
		}
		if (**s == '\0' || (*s)[1] == '\0')
			return err_set(
			    e, ERR_MALFORMED, "name ends within an escape");
		octet = span_of(*s, 2);
		if (hex_decode(a, octet, &octet, e) == -1 || octet.p[0] == 0)
			return err_set(
			    e, ERR_MALFORMED, "name has a wrong escape");
		out[n++] = (char)octet.p[0];
		(*s)++;
	}
	while (n > 0 && out[n - 1] == ' ' && (*s)[-2] != '\\')
		n--;
	out[n] = '\0';
	*value = out;
	return 0;
}

static int
parse_attr(struct arena *a, const char **s, struct dn_attr *out, struct err *e)
{
	size_t n;
	char *name;

	*s += strspn(*s, " ");
	n = strcspn(*s, "=,");
	if (n == 0 || (*s)[n] != '=')
		return err_set(
		    e, ERR_MALFORMED, "name is not of the form TYPE=value,...");
	name = arena_memdup(a, *s, n);
	while (n > 0 && name[n - 1] == ' ')
		name[--n] = '\0';
	out->type = dn_type_named(name);
	if (out->type == NULL)
		return err_set(
		    e, ERR_MALFORMED, "unknown name attribute \"%s\"", name);
	*s = strchr(*s, '=') + 1;
	if (parse_value(a, s, &out->value, e) == -1)
		return -1;
	return dn_value_check(out->type, out->value, e);
}

int
dn_parse(struct arena *a, const char *text, struct dn *out, struct err *e)
{
	struct dn_attr list[DN_ATTRS_MAX];
	size_t n = 0, i;

	out->n = 0;
	if (*text == '\0')
		return 0;
	for (;;) {
		if (n == DN_ATTRS_MAX)
			return err_set(e, ERR_MALFORMED,
			    "name has more than %d attributes", DN_ATTRS_MAX);
		if (parse_attr(a, &text, &list[n++], e) == -1)
			return -1;
		if (*text == '\0')
			break;
		text++;
	}
	out->attrs = arena_array(a, n, sizeof(*out->attrs));
	out->n = n;
	for (i = 0; i < n; i++)
		out->attrs[i] = list[n - 1 - i];
	return 0;
}

void
dn_encode(struct buf *b, const struct dn *dn)
{
	size_t name = der_begin(b, DER_SEQUENCE), set, attr, i;

	for (i = 0; i < dn->n; i++) {
		set = der_begin(b, DER_SET);
		attr = der_begin(b, DER_SEQUENCE);
		der_oid(b, dn->attrs[i].type->oid);
		der_put(
		    b, dn->attrs[i].type->tag, span_str(dn->attrs[i].value));
		der_end(b, attr);
		der_end(b, set);
	}
	der_end(b, name);
}

static void
put_escaped(struct buf *b, const char *value)
{
	size_t n = strlen(value), i;

	for (i = 0; i < n; i++) {
		bool edge = (value[i] == ' ' && (i == 0 || i == n - 1)) ||
			    (value[i] == '#' && i == 0);

		if (edge || strchr("\"+,;<>\\", value[i]) != NULL)
			buf_u8(b, '\\');
		buf_u8(b, (uint8_t)value[i]);
	}
}

const char *
dn_text(struct arena *a, const struct dn *dn)
{
	AUTO_BUF(b, (size_t)64 * 1024);
	size_t i;

	for (i = dn->n; i-- > 0;) {
		buf_str(&b, dn->attrs[i].type->name);
		buf_u8(&b, '=');
		put_escaped(&b, dn->attrs[i].value);
		if (i > 0)
			buf_u8(&b, ',');
	}
	return arena_memdup(a, b.p, b.n);
}

const char *
dn_value(const struct dn *dn, const char *name)
{
	size_t i;

	for (i = 0; i < dn->n; i++) {
		if (strcmp(dn->attrs[i].type->name, name) == 0)
			return dn->attrs[i].value;
	}
	return NULL;
}
