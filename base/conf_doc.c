#include "base/conf_doc.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <yaml.h>

#define DEPTH_MAX 16
#define CHILDREN_MAX ((size_t)4096)
#define PATH_MAX_BYTES ((size_t)512)

struct parse {
	struct arena *arena;
	const char *name;
	struct conf_node *root, *open; /* the innermost open collection */
	char *key;                     /* waits for its value */
	int key_line;
	int depth;
	struct err *err;
};

static void
clear_event(yaml_event_t *ev)
{
	yaml_event_delete(ev);
}

static void
clear_parser(yaml_parser_t *p)
{
	yaml_parser_delete(p);
}

static void
put_path(struct buf *b, const struct conf_node *n)
{
	if (n->parent == NULL)
		return;
	put_path(b, n->parent);
	if (n->key == NULL)
		buf_printf(b, "[%zu]", n->index);
	else
		buf_printf(b, "%s%s", b->n == 0 ? "" : ".", n->key);
}

int
conf_doc_error(const char *name, const struct conf_node *n, struct err *e,
    const char *fmt, ...)
{
	char text[ERR_TEXT_MAX];
	AUTO_BUF(path, PATH_MAX_BYTES);
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	put_path(&path, n);
	if (path.n == 0)
		return err_set(
		    e, ERR_MALFORMED, "%s:%d: %s", name, n->line, text);
	return err_set(e, ERR_MALFORMED, "%s:%d: %.*s: %s", name, n->line,
	    (int)path.n, (const char *)path.p, text);
}

static int
refuse(struct parse *p, size_t mark_line, const char *text)
{
	return err_set(
	    p->err, ERR_MALFORMED, "%s:%zu: %s", p->name, mark_line + 1, text);
}

static bool
has_key(const struct conf_node *mapping, const char *key)
{
	const struct conf_node *n;

	for (n = mapping->first; n != NULL; n = n->next)
		if (strcmp(n->key, key) == 0)
			return true;
	return false;
}

static void
append(struct conf_node *parent, struct conf_node *n)
{
	n->parent = parent;
	n->index = parent->n++;
	if (parent->last == NULL)
		parent->first = n;
	else
		parent->last->next = n;
	parent->last = n;
}

/* Puts a new node where the document stands. */
static int
add_node(struct parse *p, enum conf_kind kind, size_t mark_line,
    struct conf_node **out)
{
	struct conf_node *n = arena_alloc(p->arena, sizeof(*n));

	n->kind = kind;
	n->line = (int)mark_line + 1;
	*out = n;
	if (p->open == NULL) {
		p->root = n;
		return 0;
	}
	if (p->open->n >= CHILDREN_MAX)
		return refuse(p, mark_line, "too many entries");
	if (p->open->kind == CONF_MAPPING) {
		if (p->key == NULL)
			return refuse(p, mark_line, "a key must be a word");
		n->key = p->key;
		n->line = p->key_line;
		p->key = NULL;
	}
	append(p->open, n);
	return 0;
}

static int
on_key(struct parse *p, const yaml_event_t *ev)
{
	char *key = (char *)ev->data.scalar.value;
	size_t line = ev->start_mark.line;

	if (ev->data.scalar.length == 0 || key[0] == '\0')
		return refuse(p, line, "an empty key");
	if (has_key(p->open, key))
		return err_set(p->err, ERR_MALFORMED,
		    "%s:%zu: key \"%s\" is repeated", p->name, line + 1, key);
	p->key = arena_strdup(p->arena, key);
	p->key_line = (int)line + 1;
	return 0;
}

static int
on_scalar(struct parse *p, const yaml_event_t *ev)
{
	size_t line = ev->start_mark.line;
	struct conf_node *n;

	if (ev->data.scalar.anchor != NULL)
		return refuse(p, line, "anchors are not allowed");
	if (ev->data.scalar.tag != NULL)
		return refuse(p, line, "tags are not allowed");
	if (memchr(ev->data.scalar.value, 0, ev->data.scalar.length) != NULL)
		return refuse(p, line, "a zero byte in a value");
	if (p->open != NULL && p->open->kind == CONF_MAPPING && p->key == NULL)
		return on_key(p, ev);
	if (add_node(p, CONF_SCALAR, line, &n) != 0)
		return -1;
	n->text = arena_strdup(p->arena, (char *)ev->data.scalar.value);
	n->plain = ev->data.scalar.style == YAML_PLAIN_SCALAR_STYLE;
	return 0;
}

static int
on_open(struct parse *p, const yaml_event_t *ev)
{
	bool mapping = ev->type == YAML_MAPPING_START_EVENT;
	const yaml_char_t *anchor, *tag;
	size_t line = ev->start_mark.line;
	struct conf_node *n;

	anchor = mapping ? ev->data.mapping_start.anchor
			 : ev->data.sequence_start.anchor;
	tag =
	    mapping ? ev->data.mapping_start.tag : ev->data.sequence_start.tag;
	if (anchor != NULL)
		return refuse(p, line, "anchors are not allowed");
	if (tag != NULL)
		return refuse(p, line, "tags are not allowed");
	if (++p->depth > DEPTH_MAX)
		return refuse(p, line, "nested too deeply");
	if (add_node(p, mapping ? CONF_MAPPING : CONF_SEQUENCE, line, &n) != 0)
		return -1;
	p->open = n;
	return 0;
}

static int
on_event(struct parse *p, const yaml_event_t *ev)
{
	switch (ev->type) {
	case YAML_DOCUMENT_START_EVENT:
		if (p->root != NULL)
			return refuse(
			    p, ev->start_mark.line, "a second document");
		return 0;
	case YAML_ALIAS_EVENT:
		return refuse(
		    p, ev->start_mark.line, "aliases are not allowed");
	case YAML_SCALAR_EVENT:
		return on_scalar(p, ev);
	case YAML_MAPPING_START_EVENT:
	case YAML_SEQUENCE_START_EVENT:
		return on_open(p, ev);
	case YAML_MAPPING_END_EVENT:
	case YAML_SEQUENCE_END_EVENT:
		if (p->open != NULL)
			p->open = p->open->parent;
		p->depth--;
		return 0;
	default:
		return 0;
	}
}

static int
syntax_error(struct parse *p, const yaml_parser_t *yaml)
{
	size_t line = yaml->problem_mark.line;

	if (yaml->error == YAML_MEMORY_ERROR)
		return err_set(p->err, ERR_UNAVAILABLE, "out of memory");
	return refuse(
	    p, line, yaml->problem == NULL ? "not YAML" : yaml->problem);
}

static int
next_event(struct parse *p, yaml_parser_t *yaml, bool *end)
{
	__attribute__((cleanup(clear_event))) yaml_event_t ev;

	memset(&ev, 0, sizeof(ev));
	if (!yaml_parser_parse(yaml, &ev))
		return syntax_error(p, yaml);
	*end = ev.type == YAML_STREAM_END_EVENT;
	return on_event(p, &ev);
}

int
conf_doc_parse(struct arena *a, const char *name, struct span text,
    struct conf_node **root, struct err *e)
{
	__attribute__((cleanup(clear_parser))) yaml_parser_t yaml;
	struct parse p = { .arena = a, .name = name, .err = e };
	bool end = false;

	memset(&yaml, 0, sizeof(yaml));
	if (!yaml_parser_initialize(&yaml))
		return err_set(e, ERR_UNAVAILABLE, "out of memory");
	yaml_parser_set_encoding(&yaml, YAML_UTF8_ENCODING);
	yaml_parser_set_input_string(&yaml, text.p, text.n);
	while (!end)
		if (next_event(&p, &yaml, &end) != 0)
			return -1;
	if (p.root == NULL)
		return refuse(&p, 0, "the document is empty");
	*root = p.root;
	return 0;
}

/* Takes "[number]" off the front of the path. */
static const struct conf_node *
step_index(const struct conf_node *at, const char **path)
{
	const struct conf_node *n;
	char *end;
	size_t index = strtoul(*path + 1, &end, 10);

	*path = end + strspn(end, "]");
	for (n = at->first; n != NULL; n = n->next)
		if (n->key == NULL && n->index == index)
			return n;
	return NULL;
}

/* Takes "key" off the front of the path. */
static const struct conf_node *
step_key(const struct conf_node *at, const char **path)
{
	const struct conf_node *n;
	size_t len;

	*path += strspn(*path, ".");
	len = strcspn(*path, ".[");
	for (n = at->first; n != NULL; n = n->next)
		if (n->key != NULL && strlen(n->key) == len &&
		    memcmp(n->key, *path, len) == 0)
			break;
	*path += len;
	return n;
}

const struct conf_node *
conf_doc_find(const struct conf_node *root, const char *path, bool *exact)
{
	const struct conf_node *n;

	*exact = true;
	while (*path != '\0') {
		n = *path == '[' ? step_index(root, &path)
				 : step_key(root, &path);
		if (n == NULL) {
			*exact = false;
			break;
		}
		root = n;
	}
	return root;
}
