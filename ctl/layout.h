/*
 * Who owns what below the state and run directories, so that SO_PEERCRED and
 * PostgreSQL's peer login mean something.
 */
#ifndef CTL_LAYOUT_H
#define CTL_LAYOUT_H

#include <stdbool.h>

#include "base/arena.h"
#include "base/err.h"
#include "base/settings.h"

/*
 * Makes the directories that the daemons write to, with their owners; what
 * exists gets its owner and mode back.  Started by root.
 */
int layout_prepare(
    struct arena *a, const struct settings *s, struct err *e) MUST_USE;

/*
 * Whether every daemon has an OS user of its own.  '*why' says what is not
 * so, in the arena.
 */
bool layout_separated(
    struct arena *a, const struct settings *s, const char **why);

#endif
