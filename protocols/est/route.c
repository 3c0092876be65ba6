#include "protocols/est/route.h"

#include <stddef.h>
#include <string.h>

#define LABEL_MAX 255

static const struct {
	const char *name;
	bool posts;
} ops[] = {
	[EST_CACERTS] = { "cacerts", false },
	[EST_CSRATTRS] = { "csrattrs", false },
	[EST_SIMPLEENROLL] = { "simpleenroll", true },
	[EST_SIMPLEREENROLL] = { "simplereenroll", true },
	[EST_SERVERKEYGEN] = { "serverkeygen", true },
};
_Static_assert(
    sizeof(ops) / sizeof(ops[0]) == EST_OP__COUNT, "every operation has a row");

bool
est_route_is(const char *path)
{
	return strncmp(path, EST_PREFIX "/", sizeof(EST_PREFIX)) == 0;
}

static bool
find_op(const char *name, size_t n, enum est_op *out)
{
	size_t i;

	for (i = 0; i < EST_OP__COUNT; i++) {
		if (strlen(ops[i].name) == n &&
		    memcmp(ops[i].name, name, n) == 0) {
			*out = (enum est_op)i;
			return true;
		}
	}
	return false;
}

/* RFC 7030 3.2.2: no label has the name of an operation. */
bool
est_route_parse(struct arena *a, const char *path, struct est_route *out)
{
	const char *p = path + sizeof(EST_PREFIX);
	size_t n;

	*out = (struct est_route){ 0 };
	if (!est_route_is(path))
		return false;
	n = strcspn(p, "/");
	if (p[n] == '\0')
		return find_op(p, n, &out->op);
	if (n == 0 || n > LABEL_MAX || find_op(p, n, &out->op))
		return false;
	out->label = arena_memdup(a, p, n);
	p += n + 1;
	return find_op(p, strlen(p), &out->op);
}

const char *
est_op_name(enum est_op op)
{
	return ops[op].name;
}

bool
est_op_posts(enum est_op op)
{
	return ops[op].posts;
}
