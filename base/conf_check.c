#include <ctype.h>
#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cyaml/cyaml.h>

#include "base/conf_doc.h"

static int
bad_kind(const char *name, const struct conf_node *n, const char *want,
    struct err *e)
{
	static const char *const kinds[] = {
		[CONF_SCALAR] = "one value",
		[CONF_MAPPING] = "a mapping",
		[CONF_SEQUENCE] = "a list",
	};
	_Static_assert(sizeof(kinds) / sizeof(kinds[0]) == CONF_KIND__COUNT,
	    "every kind has a name");

	return conf_doc_error(name, n, e, "expected %s, found %s", want,
	    n->kind == CONF_SCALAR && n->plain && n->text[0] == '\0'
		? "nothing"
		: kinds[n->kind]);
}

static bool
is_nothing(const struct conf_node *n)
{
	return n->kind == CONF_SCALAR && n->plain && n->text[0] == '\0';
}

static bool
is_decimal(const struct conf_node *n)
{
	const char *s = n->text;
	size_t i, len;

	if (!n->plain)
		return false;
	if (*s == '-')
		s++;
	len = strlen(s);
	for (i = 0; i < len; i++)
		if (!isdigit((unsigned char)s[i]))
			return false;
	return len > 0;
}

static bool
has_leading_zero(const char *s)
{
	if (*s == '-')
		s++;
	return s[0] == '0' && s[1] != '\0';
}

static bool
fits(const char *text, const struct cyaml_schema_value *s)
{
	unsigned bits = s->data_size * 8;
	int64_t max;

	errno = 0;
	if (s->type == CYAML_UINT) {
		uint64_t u = strtoull(text, NULL, 10);

		return errno == 0 && text[0] != '-' &&
		       (bits >= 64 || u >> bits == 0);
	}
	max = bits >= 64 ? INT64_MAX : ((int64_t)1 << (bits - 1)) - 1;
	return strtoll(text, NULL, 10) <= max &&
	       strtoll(text, NULL, 10) >= -max - 1 && errno == 0;
}

static int
check_number(const char *name, const struct conf_node *n,
    const struct cyaml_schema_value *s, struct err *e)
{
	if (!is_decimal(n))
		return conf_doc_error(name, n, e,
		    "expected a whole number, found \"%s\"", n->text);
	if (has_leading_zero(n->text))
		return conf_doc_error(
		    name, n, e, "number %s has a leading zero", n->text);
	if (!fits(n->text, s))
		return conf_doc_error(
		    name, n, e, "number %s is out of range", n->text);
	return 0;
}

static int
check_bool(const char *name, const struct conf_node *n, struct err *e)
{
	if (n->plain &&
	    (strcmp(n->text, "true") == 0 || strcmp(n->text, "false") == 0))
		return 0;
	return conf_doc_error(
	    name, n, e, "expected true or false, found \"%s\"", n->text);
}

static int
check_word(const char *name, const struct conf_node *n,
    const struct cyaml_schema_value *s, struct err *e)
{
	AUTO_BUF(words, 256);
	uint32_t i;

	for (i = 0; i < s->enumeration.count; i++) {
		if (strcmp(n->text, s->enumeration.strings[i].str) == 0)
			return 0;
		buf_printf(&words, "%s%s", i == 0 ? "" : ", ",
		    s->enumeration.strings[i].str);
	}
	return conf_doc_error(name, n, e, "\"%s\" is not one of: %.*s", n->text,
	    (int)words.n, (const char *)words.p);
}

static int
check_string(const char *name, const struct conf_node *n,
    const struct cyaml_schema_value *s, struct err *e)
{
	size_t len = strlen(n->text);

	if (len < s->string.min)
		return conf_doc_error(name, n, e,
		    "text is shorter than %u bytes", (unsigned)s->string.min);
	if (len > s->string.max)
		return conf_doc_error(name, n, e,
		    "text is longer than %u bytes", (unsigned)s->string.max);
	return 0;
}

static int
check_scalar(const char *name, const struct conf_node *n,
    const struct cyaml_schema_value *s, struct err *e)
{
	if (n->kind != CONF_SCALAR || is_nothing(n))
		return bad_kind(name, n, "one value", e);
	switch (s->type) {
	case CYAML_INT:
	case CYAML_UINT:
		return check_number(name, n, s, e);
	case CYAML_BOOL:
		return check_bool(name, n, e);
	case CYAML_ENUM:
		return check_word(name, n, s, e);
	case CYAML_STRING:
		return check_string(name, n, s, e);
	default:
		return 0;
	}
}

static const struct conf_node *
child(const struct conf_node *n, const char *key)
{
	const struct conf_node *c;

	for (c = n->first; c != NULL; c = c->next)
		if (strcmp(c->key, key) == 0)
			return c;
	return NULL;
}

static const struct cyaml_schema_field *
field(const struct cyaml_schema_value *s, const char *key)
{
	const struct cyaml_schema_field *f;

	for (f = s->mapping.fields; f->key != NULL; f++)
		if (strcmp(f->key, key) == 0)
			return f;
	return NULL;
}

static int
check_mapping(const char *name, const struct conf_node *n,
    const struct cyaml_schema_value *s, struct err *e)
{
	const struct cyaml_schema_field *f;
	const struct conf_node *c;

	if (n->kind != CONF_MAPPING)
		return bad_kind(name, n, "a mapping", e);
	for (c = n->first; c != NULL; c = c->next) {
		f = field(s, c->key);
		if (f == NULL)
			return conf_doc_error(name, c, e, "unknown key");
		if (conf_doc_check(name, c, &f->value, e) != 0)
			return -1;
	}
	for (f = s->mapping.fields; f->key != NULL; f++)
		if ((f->value.flags & CYAML_FLAG_OPTIONAL) == 0 &&
		    child(n, f->key) == NULL)
			return conf_doc_error(
			    name, n, e, "key \"%s\" is missing", f->key);
	return 0;
}

static int
check_sequence(const char *name, const struct conf_node *n,
    const struct cyaml_schema_value *s, struct err *e)
{
	const struct conf_node *c;

	if (n->kind != CONF_SEQUENCE)
		return bad_kind(name, n, "a list", e);
	if (n->n < s->sequence.min)
		return conf_doc_error(name, n, e,
		    "list has fewer than %u entries",
		    (unsigned)s->sequence.min);
	if (n->n > s->sequence.max)
		return conf_doc_error(name, n, e,
		    "list has more than %u entries", (unsigned)s->sequence.max);
	for (c = n->first; c != NULL; c = c->next)
		if (conf_doc_check(name, c, s->sequence.entry, e) != 0)
			return -1;
	return 0;
}

static int
check_flags(const char *name, const struct conf_node *n,
    const struct cyaml_schema_value *s, struct err *e)
{
	const struct conf_node *c;

	if (n->kind != CONF_SEQUENCE)
		return bad_kind(name, n, "a list", e);
	for (c = n->first; c != NULL; c = c->next) {
		if (c->kind != CONF_SCALAR)
			return bad_kind(name, c, "one value", e);
		if (check_word(name, c, s, e) != 0)
			return -1;
	}
	return 0;
}

int
conf_doc_check(const char *name, const struct conf_node *n,
    const struct cyaml_schema_value *s, struct err *e)
{
	if ((s->flags & CYAML_FLAG_POINTER_NULL) == CYAML_FLAG_POINTER_NULL &&
	    is_nothing(n))
		return 0;
	switch (s->type) {
	case CYAML_MAPPING:
		return check_mapping(name, n, s, e);
	case CYAML_SEQUENCE:
	case CYAML_SEQUENCE_FIXED:
		return check_sequence(name, n, s, e);
	case CYAML_FLAGS:
		return check_flags(name, n, s, e);
	case CYAML_IGNORE:
	case CYAML_BITFIELD:
		return 0;
	default:
		return check_scalar(name, n, s, e);
	}
}
