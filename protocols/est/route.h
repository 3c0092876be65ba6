/*
 * The paths of EST (RFC 7030 3.2.2): /.well-known/est/OPERATION and
 * /.well-known/est/LABEL/OPERATION; a label is the name of a profile.
 */
#ifndef PROTOCOLS_EST_ROUTE_H
#define PROTOCOLS_EST_ROUTE_H

#include <stdbool.h>

#include "base/arena.h"

#define EST_PREFIX "/.well-known/est"

enum est_op {
	EST_CACERTS,
	EST_CSRATTRS,
	EST_SIMPLEENROLL,
	EST_SIMPLEREENROLL,
	EST_SERVERKEYGEN,
	EST_OP__COUNT
};

struct est_route {
	enum est_op op;
	const char *label; /* NULL: the default profile */
};

/* Whether the path is one of EST's, whatever follows. */
bool est_route_is(const char *path);

/*
 * Takes a raw path apart; 'label' lives in the arena.  False: no path or no
 * operation that is served (/fullcmc is none).
 */
bool est_route_parse(struct arena *a, const char *path, struct est_route *out);

/* The name of an operation as in the path. */
const char *est_op_name(enum est_op op);

/* Whether it takes a body by POST; if not, it answers GET and HEAD. */
bool est_op_posts(enum est_op op);

#endif
