/* RFC 7512 "pkcs11:" URIs, as far as they name one private key. */
#include "hsm/token.h"

#include <stdlib.h>
#include <string.h>

static int
hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c = (char)(c | 0x20);
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* Undoes percent encoding; false: malformed or too long. */
static bool
unescape(struct span in, uint8_t *out, size_t max, size_t *n)
{
	size_t i;
	int hi, lo;

	*n = 0;
	for (i = 0; i < in.n; i++) {
		if (*n == max)
			return false;
		if (in.p[i] != '%') {
			out[(*n)++] = in.p[i];
			continue;
		}
		if (i + 2 >= in.n)
			return false;
		hi = hex_digit((char)in.p[i + 1]);
		lo = hex_digit((char)in.p[i + 2]);
		if (hi < 0 || lo < 0)
			return false;
		out[(*n)++] = (uint8_t)(hi << 4 | lo);
		i += 2;
	}
	return true;
}

static bool
text(struct span in, char *out, size_t size)
{
	size_t n;

	if (!unescape(in, (uint8_t *)out, size - 1, &n) ||
	    memchr(out, 0, n) != NULL)
		return false;
	out[n] = '\0';
	return true;
}

static bool
attribute(struct token_uri *u, struct span key, struct span value)
{
	if (span_is(key, "token"))
		return text(value, u->token, sizeof(u->token));
	if (span_is(key, "serial"))
		return text(value, u->serial, sizeof(u->serial));
	if (span_is(key, "manufacturer"))
		return text(value, u->manufacturer, sizeof(u->manufacturer));
	if (span_is(key, "model"))
		return text(value, u->model, sizeof(u->model));
	if (span_is(key, "object"))
		return text(value, u->object, sizeof(u->object));
	if (span_is(key, "type"))
		return span_is(value, "private");
	if (span_is(key, "id"))
		return unescape(value, u->id, sizeof(u->id), &u->id_n);
	return false;
}

int
token_uri_parse(const char *uri, struct token_uri *out, struct err *e)
{
	static const char scheme[] = "pkcs11:";
	const char *s = uri + sizeof(scheme) - 1, *eq;
	size_t n;

	memset(out, 0, sizeof(*out));
	if (strncmp(uri, scheme, sizeof(scheme) - 1) != 0)
		return err_set(
		    e, ERR_MALFORMED, "\"%s\" is not a pkcs11: URI", uri);
	if (strchr(uri, '?') != NULL)
		return err_set(e, ERR_MALFORMED,
		    "\"%s\": query attributes (PIN, module) are set elsewhere",
		    uri);
	for (; *s != '\0'; s += n + (s[n] == ';')) {
		n = strcspn(s, ";");
		eq = memchr(s, '=', n);
		if (eq == NULL ||
		    !attribute(out, span_of(s, (size_t)(eq - s)),
			span_of(eq + 1, n - (size_t)(eq - s) - 1)))
			return err_set(e, ERR_MALFORMED,
			    "\"%s\": attribute \"%.*s\"", uri, (int)n, s);
	}
	if (out->id_n == 0 || (out->token[0] == '\0' && out->serial[0] == '\0'))
		return err_set(e, ERR_MALFORMED,
		    "\"%s\": id, and token or serial, are needed", uri);
	return 0;
}
