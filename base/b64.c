#include "base/b64.h"

#include <string.h>

static const char std_set[] =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
static const char url_set[] =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

static char *
encode(struct arena *a, struct span s, const char *set, bool pad)
{
	char *text = arena_alloc(a, (s.n + 2) / 3 * 4 + 1);
	size_t i, o = 0;
	uint32_t v;

	for (i = 0; i < s.n; i += 3) {
		v = (uint32_t)s.p[i] << 16;
		v |= i + 1 < s.n ? (uint32_t)s.p[i + 1] << 8 : 0;
		v |= i + 2 < s.n ? s.p[i + 2] : 0;
		text[o++] = set[v >> 18];
		text[o++] = set[v >> 12 & 63];
		if (i + 1 < s.n)
			text[o++] = set[v >> 6 & 63];
		else if (pad)
			text[o++] = '=';
		if (i + 2 < s.n)
			text[o++] = set[v & 63];
		else if (pad)
			text[o++] = '=';
	}
	text[o] = '\0';
	return text;
}

char *
b64_encode(struct arena *a, struct span s)
{
	return encode(a, s, std_set, true);
}

char *
b64url_encode(struct arena *a, struct span s)
{
	return encode(a, s, url_set, false);
}

static int
value_of(uint8_t c, const char *set)
{
	if (c >= 'A' && c <= 'Z')
		return c - 'A';
	if (c >= 'a' && c <= 'z')
		return c - 'a' + 26;
	if (c >= '0' && c <= '9')
		return c - '0' + 52;
	if (c == (uint8_t)set[62])
		return 62;
	if (c == (uint8_t)set[63])
		return 63;
	return -1;
}

int
b64_value(uint8_t c)
{
	return value_of(c, std_set);
}

/* 'text' has no padding any more. */
static int
decode(struct arena *a, struct span text, const char *set, struct span *out,
    struct err *e)
{
	uint8_t *p = arena_alloc(a, text.n / 4 * 3 + 3);
	uint32_t acc = 0;
	size_t i, n = 0;
	int bits = 0, v;

	if (text.n % 4 == 1)
		return err_set(e, ERR_MALFORMED, "base64 has a wrong length");
	for (i = 0; i < text.n; i++) {
		v = value_of(text.p[i], set);
		if (v < 0)
			return err_set(e, ERR_MALFORMED,
			    "base64 has a wrong character at offset %zu", i);
		acc = acc << 6 | (uint32_t)v;
		bits += 6;
		if (bits >= 8) {
			bits -= 8;
			p[n++] = (uint8_t)(acc >> bits);
		}
	}
	if ((acc & ((1U << bits) - 1)) != 0)
		return err_set(e, ERR_MALFORMED, "base64 has spare bits set");
	*out = span_of(p, n);
	return 0;
}

int
b64_decode(struct arena *a, struct span text, struct span *out, struct err *e)
{
	if (text.n % 4 != 0)
		return err_set(e, ERR_MALFORMED, "base64 has a wrong length");
	if (text.n > 0 && text.p[text.n - 1] == '=')
		text.n--;
	if (text.n % 4 == 3 && text.p[text.n - 1] == '=')
		text.n--;
	return decode(a, text, std_set, out, e);
}

int
b64url_decode(
    struct arena *a, struct span text, struct span *out, struct err *e)
{
	return decode(a, text, url_set, out, e);
}

void
hex_write(char *out, struct span s)
{
	static const char digits[] = "0123456789abcdef";
	size_t i;

	for (i = 0; i < s.n; i++) {
		*out++ = digits[s.p[i] >> 4];
		*out++ = digits[s.p[i] & 15];
	}
}

char *
hex_encode(struct arena *a, struct span s)
{
	char *text = arena_alloc(a, 2 * s.n + 1);

	hex_write(text, s);
	return text;
}

int
hex_value(uint8_t c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	if (c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	return -1;
}

int
hex_decode(struct arena *a, struct span text, struct span *out, struct err *e)
{
	uint8_t *p = arena_alloc(a, text.n / 2 + 1);
	int hi, lo;
	size_t i;

	if (text.n % 2 != 0)
		return err_set(e, ERR_MALFORMED, "hex has an odd length");
	for (i = 0; i < text.n; i += 2) {
		hi = hex_value(text.p[i]);
		lo = hex_value(text.p[i + 1]);
		if (hi < 0 || lo < 0)
			return err_set(e, ERR_MALFORMED,
			    "hex has a wrong character near offset %zu", i);
		p[i / 2] = (uint8_t)(hi << 4 | lo);
	}
	*out = span_of(p, text.n / 2);
	return 0;
}

char *
pem_encode(struct arena *a, const char *label, struct span der)
{
	char *text = b64_encode(a, der);
	size_t n = strlen(text), i, o, ln = strlen(label);
	char *pem = arena_alloc(a, n + n / 64 + 2 * ln + 64);

	o = ln + sizeof("-----BEGIN -----\n") - 1;
	memcpy(pem, "-----BEGIN ", 11);
	memcpy(pem + 11, label, ln);
	memcpy(pem + 11 + ln, "-----\n", 6);
	for (i = 0; i < n; i += 64) {
		size_t line = n - i < 64 ? n - i : 64;

		memcpy(pem + o, text + i, line);
		o += line;
		pem[o++] = '\n';
	}
	memcpy(pem + o, "-----END ", 9);
	memcpy(pem + o + 9, label, ln);
	memcpy(pem + o + 9 + ln, "-----\n", 7);
	return pem;
}

static const uint8_t *
find(struct span s, const char *what)
{
	return memmem(s.p, s.n, what, strlen(what));
}

int
pem_decode(struct arena *a, const char *label, struct span text,
    struct span *der, struct err *e)
{
	char *begin = arena_printf(a, "-----BEGIN %s-----", label);
	char *end = arena_printf(a, "-----END %s-----", label);
	const uint8_t *from, *to, *p;
	uint8_t *clean;
	size_t n = 0;

	from = text.n == 0 ? NULL : find(text, begin);
	if (from == NULL)
		return err_set(
		    e, ERR_MALFORMED, "no PEM block \"%s\" found", label);
	from += strlen(begin);
	to = find(span_of(from, (size_t)(text.p + text.n - from)), end);
	if (to == NULL)
		return err_set(
		    e, ERR_MALFORMED, "PEM block \"%s\" has no end", label);
	clean = arena_alloc(a, (size_t)(to - from) + 1);
	for (p = from; p < to; p++) {
		if (*p != '\n' && *p != '\r' && *p != ' ' && *p != '\t')
			clean[n++] = *p;
	}
	if (b64_decode(a, span_of(clean, n), der, e) == -1)
		return err_prefix(e, "PEM block \"%s\"", label);
	return 0;
}
