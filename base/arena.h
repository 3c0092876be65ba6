/*
 * Request-lifetime memory.  Everything that belongs to one request lives in
 * its arena and goes with it; nobody frees single pieces.  An arena is used
 * by one thread at a time.  Running out of memory ends the process with a
 * line on stderr: no caller has to check for NULL.
 */
#ifndef BASE_ARENA_H
#define BASE_ARENA_H

#include <stddef.h>

#include "base/auto.h"
#include "base/err.h"

struct arena;

/* A new, empty arena, freed with arena_free. */
struct arena *arena_new(void);

/* Frees the arena and all that came from it.  NULL is allowed. */
void arena_free(struct arena *a);

/* Forgets all that came from the arena but keeps one block for reuse. */
void arena_reset(struct arena *a);

/* 'n' zeroed bytes, aligned for any type; n = 0 gives a unique pointer. */
void *arena_alloc(struct arena *a, size_t n);

/* An array of 'n' zeroed elements of 'size' bytes; overflow ends the process.*/
void *arena_array(struct arena *a, size_t n, size_t size);

/* A copy of 'n' bytes at 'p', followed by a NUL that is not counted. */
void *arena_memdup(struct arena *a, const void *p, size_t n);

/* A copy of the string 's'; NULL stays NULL. */
char *arena_strdup(struct arena *a, const char *s);

/* A formatted string. */
char *arena_printf(struct arena *a, const char *fmt, ...) PRINTF_LIKE(2, 3);

typedef struct arena arena_auto;
AUTO_DEFINE(arena_auto, arena_free);

#endif
