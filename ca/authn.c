#include "ca/authn.h"

#include <string.h>

static const struct {
	const char *prefix, *protocol;
} kinds[] = {
	[EVIDENCE_OPERATOR] = { "oper", "cli" },
	[EVIDENCE_INTERNAL] = { "internal", "internal" },
	[EVIDENCE_ACME] = { "acme", "acme" },
	[EVIDENCE_PUBLISHER] = { "pub", "pub" },
};

int
authn_principal(struct arena *a, const struct request *req,
    struct principal *out, struct err *e)
{
	const struct request_evidence *ev = &req->evidence;

	if ((unsigned)ev->kind >= sizeof(kinds) / sizeof(kinds[0]) ||
	    ev->name == NULL || ev->name[0] == '\0')
		return err_set(
		    e, ERR_UNAUTHENTICATED, "the request proves no identity");
	if (strcmp(kinds[ev->kind].protocol, req->protocol) != 0)
		return err_set(e, ERR_UNAUTHENTICATED,
		    "evidence of kind \"%s\" does not count over %s",
		    kinds[ev->kind].prefix, req->protocol);
	out->kind = ev->kind;
	out->name = arena_printf(a, "%s:%s", kinds[ev->kind].prefix, ev->name);
	return 0;
}
