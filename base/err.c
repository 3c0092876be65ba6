#include "base/err.h"

#include <stdarg.h>
#include <stdio.h>

static const char *const kind_names[] = {
	[ERR_NONE] = "none",
	[ERR_MALFORMED] = "malformed",
	[ERR_UNAUTHENTICATED] = "unauthenticated",
	[ERR_REFUSED] = "refused",
	[ERR_BAD_POP] = "badPop",
	[ERR_BAD_KEY] = "badKey",
	[ERR_CONFLICT] = "conflict",
	[ERR_NOT_FOUND] = "notFound",
	[ERR_LIMITED] = "limited",
	[ERR_UNAVAILABLE] = "unavailable",
	[ERR_INTERNAL] = "internal",
};
_Static_assert(sizeof(kind_names) / sizeof(kind_names[0]) == ERR__COUNT,
    "every error kind has a name");

void
err_fill(struct err *e, enum err_kind kind, const char *fmt, ...)
{
	va_list ap;

	if (e == NULL)
		return;
	e->kind = kind;
	va_start(ap, fmt);
	(void)vsnprintf(e->text, sizeof(e->text), fmt, ap);
	va_end(ap);
}

void
err_put_before(struct err *e, const char *fmt, ...)
{
	char old[ERR_TEXT_MAX];
	va_list ap;
	size_t len;
	int n;

	if (e == NULL)
		return;
	(void)snprintf(old, sizeof(old), "%s", e->text);
	va_start(ap, fmt);
	n = vsnprintf(e->text, sizeof(e->text), fmt, ap);
	va_end(ap);
	len = n < 0 ? 0 : (size_t)n;
	if (len < sizeof(e->text))
		(void)snprintf(
		    e->text + len, sizeof(e->text) - len, ": %s", old);
}

const char *
err_kind_name(enum err_kind kind)
{
	if ((unsigned)kind >= ERR__COUNT)
		return "unknown";
	return kind_names[kind];
}
