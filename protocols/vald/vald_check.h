/*
 * What the loader of chancery.yaml cannot know about the section "vald":
 * whether its networks and addresses are any.
 */
#ifndef PROTOCOLS_VALD_VALD_CHECK_H
#define PROTOCOLS_VALD_VALD_CHECK_H

#include "base/err.h"
#include "base/settings.h"

/* Checks networks and addresses; MALFORMED names the entry and its line. */
int vald_check(const struct settings_file *file, struct err *e) MUST_USE;

#endif
