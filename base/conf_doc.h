/*
 * The document behind base/conf: one pass of libyaml over the bytes makes a
 * tree whose nodes know their lines.  What no configuration of ours may use
 * (anchors, aliases, tags, repeated keys, a second document, deep nesting) is
 * refused here.  Only base/conf*.c includes this.
 */
#ifndef BASE_CONF_DOC_H
#define BASE_CONF_DOC_H

#include <stdbool.h>
#include <stddef.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/err.h"
#include "base/span.h"

struct cyaml_schema_value;

enum conf_kind {
	CONF_SCALAR,
	CONF_MAPPING,
	CONF_SEQUENCE,
	CONF_KIND__COUNT
};

struct conf_node {
	enum conf_kind kind;
	int line;         /* of the key, or of the value where there is none */
	const char *key;  /* in a mapping, otherwise NULL */
	size_t index;     /* position among its siblings */
	const char *text; /* of a scalar */
	bool plain;       /* a scalar without quotes */
	struct conf_node *parent, *first, *last, *next;
	size_t n; /* children */
};

/*
 * Parses 'text' into a tree that lives in the arena; 'name' stands for the
 * file.  MALFORMED "file:line: path: text".
 */
int conf_doc_parse(struct arena *a, const char *name, struct span text,
    struct conf_node **root, struct err *e) MUST_USE;

/*
 * The node at 'path' below 'root', or its nearest existing parent; '*exact'
 * tells which.
 */
const struct conf_node *conf_doc_find(
    const struct conf_node *root, const char *path, bool *exact);

/* MALFORMED "file:line: path: text" for this node; returns -1. */
int conf_doc_error(const char *name, const struct conf_node *n, struct err *e,
    const char *fmt, ...) PRINTF_LIKE(4, 5);

/*
 * Compares the tree with a schema: unknown and missing keys, kinds of nodes,
 * plain decimal numbers and their width, true and false, names of enums,
 * lengths.  libcyaml would take more than this (octal numbers, any word for
 * true) and report less exactly.  MALFORMED "file:line: path: text".
 */
int conf_doc_check(const char *name, const struct conf_node *n,
    const struct cyaml_schema_value *schema, struct err *e) MUST_USE;

#endif
