#include "protocols/est/codec.h"

#include <string.h>
#include <strings.h>

#include "base/b64.h"

/* Its decoder takes no line of more than a kilobyte. */
#define WRAPPING_AGENT "Cisco EST client"

static bool
is_space(uint8_t c)
{
	return c == '\r' || c == '\n' || c == ' ' || c == '\t';
}

int
est_decode(struct arena *a, struct span body, struct span *out, struct err *e)
{
	uint8_t *text = arena_alloc(a, body.n);
	size_t i, n = 0;

	for (i = 0; i < body.n; i++) {
		if (!is_space(body.p[i]))
			text[n++] = body.p[i];
	}
	if (n == 0)
		return err_set(e, ERR_MALFORMED, "the request has no body");
	if (b64_decode(a, span_of(text, n), out, e) == -1)
		return err_prefix(e, "body");
	return 0;
}

struct span
est_encode(struct arena *a, struct span der, bool wrap)
{
	struct span text = span_str(b64_encode(a, der));
	size_t line, i, o = 0;
	uint8_t *lines;

	if (!wrap)
		return text;
	lines = arena_alloc(a, text.n + text.n / EST_LINE + 1);
	for (i = 0; i < text.n; i += line) {
		line = text.n - i < EST_LINE ? text.n - i : EST_LINE;
		memcpy(lines + o, text.p + i, line);
		o += line;
		lines[o++] = '\n';
	}
	return span_of(lines, o);
}

bool
est_agent_wraps(const char *user_agent)
{
	return user_agent != NULL &&
	       strncmp(user_agent, WRAPPING_AGENT, strlen(WRAPPING_AGENT)) == 0;
}

bool
est_media_type_is(const char *content_type, const char *type)
{
	size_t n = strlen(type);

	if (content_type == NULL || strncasecmp(content_type, type, n) != 0)
		return false;
	content_type += n;
	content_type += strspn(content_type, " \t");
	return *content_type == '\0' || *content_type == ';';
}
