/*
 * YAML files into typed structs (libcyaml), with errors that name the file,
 * the right line and the path of the key.  A module declares its schema table
 * (the tables include cyaml.h; nobody else does) and calls conf_load; what
 * the schema cannot say (ranges, patterns, references) it checks afterwards
 * and reports with conf_error, which finds the line by itself.
 */
#ifndef BASE_CONF_H
#define BASE_CONF_H

#include <stdint.h>

#include "base/err.h"
#include "base/span.h"

struct conf;
struct cyaml_schema_value;

/*
 * Loads the file or the bytes ('name' stands for the file in messages).
 * An unknown or repeated key, a missing required key, a wrong type, a number
 * with a leading zero or a second document is MALFORMED; a file that cannot
 * be read is NOT_FOUND (absent) or UNAVAILABLE.  'out' is freed with
 * conf_free.  The schema's top level is a CYAML_PTR mapping.
 */
int conf_load(const char *file, const struct cyaml_schema_value *schema,
    struct conf **out, struct err *e) MUST_USE;
int conf_load_bytes(const char *name, struct span text,
    const struct cyaml_schema_value *schema, struct conf **out,
    struct err *e) MUST_USE;

/* Frees the document and the data. */
void conf_free(struct conf *c);

/* The loaded struct, as the schema's top level describes it; borrowed. */
void *conf_data(const struct conf *c);

/* The file's bytes as loaded: what a hash of it is made of. */
struct span conf_text(const struct conf *c);

/* The 1-based line of a path such as "classes[2].validity", or 0. */
int conf_line(const struct conf *c, const char *path);

/* MALFORMED "file:line: path: text"; the path's nearest existing parent
 * gives the line when the path itself is absent. */
int conf_error(const struct conf *c, const char *path, struct err *e,
    const char *fmt, ...) PRINTF_LIKE(4, 5);

/*
 * A duration such as "90s", "15m", "12h", "397d" or "10y" (365 days) in
 * seconds; MALFORMED otherwise or when it is outside [min_s, max_s].
 */
int conf_duration(const char *text, int64_t min_s, int64_t max_s,
    int64_t *out_s, struct err *e) MUST_USE;

#endif
