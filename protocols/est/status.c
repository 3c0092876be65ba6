#include "protocols/est/status.h"

#include <stddef.h>

/* No text: the error's own. */
static const struct {
	int status;
	const char *text;
} kinds[] = {
	[ERR_NONE] = { 500, "internal error" },
	[ERR_MALFORMED] = { 400, NULL },
	[ERR_UNAUTHENTICATED] = { 401,
	    "a client certificate or an enrollment secret of this server is "
	    "required" },
	[ERR_REFUSED] = { 403, NULL },
	[ERR_BAD_POP] = { 400, NULL },
	[ERR_BAD_KEY] = { 400, NULL },
	[ERR_CONFLICT] = { 409, "the same request was made in another way" },
	[ERR_NOT_FOUND] = { 404, "no such resource" },
	[ERR_LIMITED] = { 429, NULL },
	[ERR_UNAVAILABLE] = { 503,
	    "a part of the service is down, try again later" },
	[ERR_INTERNAL] = { 500, "internal error" },
};
_Static_assert(
    sizeof(kinds) / sizeof(kinds[0]) == ERR__COUNT, "every kind has a row");

int
est_status(enum err_kind kind)
{
	return kinds[kind].status;
}

const char *
est_status_text(const struct err *e)
{
	return kinds[e->kind].text == NULL ? e->text : kinds[e->kind].text;
}
