#include "base/conf.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cyaml/cyaml.h>

#include "base/arena.h"
#include "base/auto.h"
#include "base/buf.h"
#include "base/conf_doc.h"

#define FILE_MAX ((size_t)1024 * 1024)

struct conf {
	struct arena *arena;
	const char *name;
	struct span text;
	struct conf_node *root;
	const struct cyaml_schema_value *schema;
	cyaml_data_t *data;
};

typedef struct conf conf_auto;
AUTO_DEFINE(conf_auto, conf_free);

/* libcyaml's first complaint is the cause; what follows is its backtrace. */
struct complaint {
	char text[256];
};

static void PRINTF_LIKE(3, 0)
    on_log(cyaml_log_t level, void *ctx, const char *fmt, va_list ap)
{
	struct complaint *c = ctx;

	if (level < CYAML_LOG_ERROR || c->text[0] != '\0')
		return;
	(void)vsnprintf(c->text, sizeof(c->text), fmt, ap);
	c->text[strcspn(c->text, "\n")] = '\0';
}

static cyaml_config_t
loader(struct complaint *c)
{
	return (cyaml_config_t){
		.log_fn = c == NULL ? NULL : on_log,
		.log_ctx = c,
		.mem_fn = cyaml_mem,
		.log_level = CYAML_LOG_ERROR,
		.flags = CYAML_CFG_NO_ALIAS,
	};
}

void
conf_free(struct conf *c)
{
	cyaml_config_t config = loader(NULL);

	if (c == NULL)
		return;
	(void)cyaml_free(&config, c->schema, c->data, 0);
	arena_free(c->arena);
	free(c);
}

static struct conf *
conf_new(
    const char *name, struct span text, const struct cyaml_schema_value *schema)
{
	struct conf *c = calloc(1, sizeof(*c));

	if (c == NULL)
		return NULL;
	c->arena = arena_new();
	c->name = arena_strdup(c->arena, name);
	c->text = span_dup(c->arena, text);
	c->schema = schema;
	return c;
}

int
conf_load_bytes(const char *name, struct span text,
    const struct cyaml_schema_value *schema, struct conf **out, struct err *e)
{
	struct complaint said = { "" };
	cyaml_config_t config = loader(&said);
	AUTO(conf_auto) c = conf_new(name, text, schema);
	cyaml_err_t rc;

	if (c == NULL)
		return err_set(e, ERR_UNAVAILABLE, "out of memory");
	if (text.n > FILE_MAX)
		return err_set(e, ERR_MALFORMED,
		    "%s:1: file is larger than %zu bytes", name, FILE_MAX);
	if (conf_doc_parse(c->arena, c->name, c->text, &c->root, e) != 0 ||
	    conf_doc_check(c->name, c->root, schema, e) != 0)
		return -1;
	rc = cyaml_load_data(
	    c->text.p, c->text.n, &config, schema, &c->data, NULL);
	if (rc != CYAML_OK)
		return conf_doc_error(c->name, c->root, e, "%s",
		    said.text[0] != '\0' ? said.text : cyaml_strerror(rc));
	*out = c;
	c = NULL; /* ownership moves to the caller */
	return 0;
}

static int
read_file(const char *file, struct buf *b, struct err *e)
{
	AUTO_FD int fd = open(file, O_RDONLY | O_CLOEXEC);
	uint8_t chunk[8192];
	ssize_t n;

	if (fd < 0)
		return err_set(e,
		    errno == ENOENT ? ERR_NOT_FOUND : ERR_UNAVAILABLE,
		    "cannot open \"%s\": %s", file, strerror(errno));
	while ((n = read(fd, chunk, sizeof(chunk))) != 0) {
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return err_set(e, ERR_UNAVAILABLE,
			    "cannot read \"%s\": %s", file, strerror(errno));
		buf_add(b, chunk, (size_t)n);
		if (!buf_ok(b))
			return err_set(e, ERR_MALFORMED,
			    "%s:1: file is larger than %zu bytes", file,
			    FILE_MAX);
	}
	return 0;
}

int
conf_load(const char *file, const struct cyaml_schema_value *schema,
    struct conf **out, struct err *e)
{
	AUTO_BUF(b, FILE_MAX);

	if (read_file(file, &b, e) != 0)
		return -1;
	return conf_load_bytes(file, buf_get(&b), schema, out, e);
}

void *
conf_data(const struct conf *c)
{
	return c->data;
}

struct span
conf_text(const struct conf *c)
{
	return c->text;
}

int
conf_line(const struct conf *c, const char *path)
{
	const struct conf_node *n;
	bool exact;

	n = conf_doc_find(c->root, path, &exact);
	return exact ? n->line : 0;
}

int
conf_error(
    const struct conf *c, const char *path, struct err *e, const char *fmt, ...)
{
	const struct conf_node *n;
	char text[ERR_TEXT_MAX];
	va_list ap;
	bool exact;

	va_start(ap, fmt);
	(void)vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	n = conf_doc_find(c->root, path, &exact);
	return err_set(e, ERR_MALFORMED, "%s:%d: %s%s%s", c->name, n->line,
	    path, path[0] == '\0' ? "" : ": ", text);
}

static int64_t
unit_seconds(char unit)
{
	switch (unit) {
	case 's':
		return 1;
	case 'm':
		return 60;
	case 'h':
		return 3600;
	case 'd':
		return 86400;
	case 'y':
		return (int64_t)365 * 86400;
	default:
		return 0;
	}
}

int
conf_duration(const char *text, int64_t min_s, int64_t max_s, int64_t *out_s,
    struct err *e)
{
	size_t digits = strspn(text, "0123456789");
	int64_t unit, value;

	unit = digits > 0 && strlen(text) == digits + 1
		   ? unit_seconds(text[digits])
		   : 0;
	if (unit == 0 || digits > 9 || (text[0] == '0' && digits > 1))
		return err_set(e, ERR_MALFORMED,
		    "\"%s\" is not a duration such as 90s, 15m, 12h or 397d",
		    text);
	value = strtoll(text, NULL, 10) * unit;
	if (value < min_s || value > max_s)
		return err_set(e, ERR_MALFORMED,
		    "duration %s is outside %" PRId64 "s to %" PRId64 "s", text,
		    min_s, max_s);
	*out_s = value;
	return 0;
}
