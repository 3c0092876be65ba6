#include "protocols/vald/outcome.h"

#include <stdarg.h>
#include <stdio.h>

static const char *const names[] = {
	[OUTCOME_VALID] = "valid",
	[OUTCOME_CONNECTION] = "connection",
	[OUTCOME_DNS] = "dns",
	[OUTCOME_UNAUTHORIZED] = "unauthorized",
	[OUTCOME_INCORRECT] = "incorrectResponse",
	[OUTCOME_TLS] = "tls",
};
_Static_assert(sizeof(names) / sizeof(names[0]) == OUTCOME__COUNT,
    "every outcome has a name");

const char *
outcome_name(enum outcome_kind kind)
{
	return (unsigned)kind < OUTCOME__COUNT ? names[kind] : "unknown";
}

int
outcome_set(struct outcome *o, enum outcome_kind kind, const char *fmt, ...)
{
	va_list ap;

	o->kind = kind;
	va_start(ap, fmt);
	(void)vsnprintf(o->detail, sizeof(o->detail), fmt, ap);
	va_end(ap);
	return -1;
}
