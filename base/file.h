/*
 * Small files whole: reading with a cap, and replacing atomically.
 */
#ifndef BASE_FILE_H
#define BASE_FILE_H

#include <sys/types.h>

#include "base/arena.h"
#include "base/err.h"
#include "base/span.h"

/*
 * Reads a file of at most 'max' bytes into the arena ("-" is standard
 * input).  NOT_FOUND: absent; MALFORMED: too large; UNAVAILABLE: unreadable.
 */
int file_read(struct arena *a, const char *path, size_t max, struct span *out,
    struct err *e) MUST_USE;

/*
 * Writes a temporary file beside 'path', syncs it and renames it, so that
 * 'path' has all of 'bytes' or what it had before.  UNAVAILABLE otherwise.
 */
int file_replace(
    const char *path, struct span bytes, mode_t mode, struct err *e) MUST_USE;

/*
 * As file_replace, with what 'put' writes into the descriptor (-1 with errno),
 * for files that are in no single piece of memory.
 */
int file_replace_by(const char *path, mode_t mode,
    int (*put)(void *arg, int fd), void *arg, struct err *e) MUST_USE;

/* Writes all of 's' to a descriptor; -1 with errno. */
int file_write_all(int fd, struct span s) MUST_USE;

#endif
