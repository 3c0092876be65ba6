/*
 * The status table and its place in the feed as a file: so that a responder
 * starts at once, and remembers across its own restart what it knew.  The
 * file is for this program on this kind of machine only; a damaged one is
 * refused.
 */
#ifndef OCSP_SNAPSHOT_H
#define OCSP_SNAPSHOT_H

#include <stdint.h>

#include "base/err.h"
#include "db/store_status.h"
#include "ocsp/epoch.h"
#include "ocsp/status_table.h"

struct snapshot {
	struct store_status_marks marks; /* taken before the table was read */
	int64_t synced_at;
};

/*
 * Writes the file anew, between epoch_enter and epoch_leave: a temporary one
 * is synced and renamed.  UNAVAILABLE: it cannot be written; the old one
 * stays.
 */
int snapshot_write(const char *path, const struct status_table *t,
    const struct snapshot *s, struct err *e) MUST_USE;

/*
 * Reads the file into a new table.  NOT_FOUND: there is none; MALFORMED:
 * damaged, or of another version.
 */
int snapshot_load(const char *path, struct epoch *ep,
    struct status_table **table, struct snapshot *s, struct err *e) MUST_USE;

#endif
