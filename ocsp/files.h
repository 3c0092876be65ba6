/*
 * Copies of the published CRLs as files, one for each path that a URL of an
 * issuer names, each replaced in one step: what reads the directory sees the
 * list before or the list after.  Knows nothing of how they are served.
 * Lists that an operator has imported (a root's) go to the paths that were
 * recorded with them, but never to one of an issuer, and only when a
 * certificate of the chain files has signed them.
 */
#ifndef OCSP_FILES_H
#define OCSP_FILES_H

#include <stdbool.h>
#include <stddef.h>

#include "base/err.h"
#include "base/settings.h"
#include "base/span.h"

struct db;
struct files;
struct store_crl;

struct files_conf {
	const char *dir; /* made when it is missing */
	/*
	 * Whether the bytes are a CRL of this issuer (an index into the
	 * settings), and the one that the row tells, if there is a row: what
	 * is not is never written.  NULL: whatever they are.
	 */
	bool (*check)(void *arg, unsigned issuer, const struct store_crl *row,
	    struct span crl);
	void *arg;
};

/*
 * What it needs of 'settings' is borrowed; their chain files are read now:
 * before a sandbox closes.  What a process that was killed while it wrote left
 * below 'dir' is removed: only one process may write there.
 */
struct files *files_new(
    const struct settings *settings, const struct files_conf *conf);
void files_free(struct files *f);

/*
 * Fetches the lists that are newer than the files and replaces these;
 * '*fresh' counts them.  A list that was there before this process, too, gives
 * way to one with a lower number only when its owner has not signed it.  The
 * file of a list that cannot be written (UNAVAILABLE), is damaged or no CRL of
 * its issuer (MALFORMED) stays as it is, and the others are fetched; the error
 * is the last one.  UNAVAILABLE too, and the rest is left for the next time:
 * the database.
 */
int files_sync(
    struct files *f, struct db *db, size_t *fresh, struct err *e) MUST_USE;

/*
 * The path below the directory for a scope of the issuer's 'i'th URL that is
 * for it, as "ca/tls.crl"; NULL when there is none (also: a path that is
 * unsafe).  In 'out'.
 */
const char *files_path(const struct settings_issuer *issuer, const char *scope,
    unsigned i, char *out, size_t size);

#endif
