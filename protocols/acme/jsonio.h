/*
 * The little that ACME needs around jansson.
 */
#ifndef PROTOCOLS_ACME_JSONIO_H
#define PROTOCOLS_ACME_JSONIO_H

#include <jansson.h>

#include "base/arena.h"
#include "base/auto.h"
#include "base/err.h"
#include "base/span.h"

AUTO_DEFINE(json_t, json_decref);

/*
 * Parses an object; a repeated member, a tail or anything but an object is
 * MALFORMED.  The caller owns '*out'.
 */
int jsonio_parse(struct span text, json_t **out, struct err *e) MUST_USE;

/* Compact text in the arena. */
struct span jsonio_encode(struct arena *a, const json_t *v);

/*
 * A member that is a string without NUL; '*out' is NULL when it is absent
 * (or null).  MALFORMED when it is something else.
 */
int jsonio_string(struct arena *a, const json_t *object, const char *key,
    const char **out, struct err *e) MUST_USE;

/* As jsonio_string, but absence is MALFORMED too. */
int jsonio_required(struct arena *a, const json_t *object, const char *key,
    const char **out, struct err *e) MUST_USE;

#endif
