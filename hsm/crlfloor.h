/*
 * What signd remembers of the CRLs it signed, for each key and distribution
 * point, so that no caller can turn the clock back: the last number and
 * thisUpdate, and the serials of the complete list.  The files lie in the
 * state directory and are shared by all slots.
 *
 * The serials file says of each serial when it was first on a complete list,
 * and whether it is on the last one or when it left; what left more than a day
 * ago is forgotten.  So the loss of a day is exact, however many lists it is
 * spread over.  It is measured by the serials that came more than a day ago or
 * with the very first list, or are in a file without these times: those that
 * the caller invents today do not make it smaller today.
 */
#ifndef HSM_CRLFLOOR_H
#define HSM_CRLFLOOR_H

#include <stdint.h>

#include "base/err.h"
#include "base/span.h"
#include "hsm/crlcheck.h"

/* Lists may lose this many entries in a day whatever their size. */
#define CRLFLOOR_LOSS_FREE 100

/*
 * Or so many percent of what was on a list within a day and came before that.
 */
#define CRLFLOOR_LOSS_PERCENT 5

struct crlfloor_conf {
	const char *state_dir;
	struct span spki; /* of the signing key, DER */
	int loss_percent; /* CRLFLOOR_LOSS_PERCENT, or more; 100: no limit */
	int64_t now;      /* signd's clock, seconds */
};

/*
 * Judges the list 'c' against the floor of its key and distribution point,
 * and raises the floor on disk: afterwards no list that 'c' replaces is
 * signed any more.  REFUSED: the number does not rise, thisUpdate falls, a
 * delta's base was never signed, or more is lost than allowed; UNAVAILABLE
 * and INTERNAL: the floor cannot be read or written.
 */
int crlfloor_raise(const struct crlfloor_conf *conf, const struct crlcheck *c,
    struct err *e) MUST_USE;

#endif
