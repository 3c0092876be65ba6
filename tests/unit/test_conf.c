#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include <cyaml/cyaml.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/conf.h"

enum colour {
	RED,
	BLUE
};

struct class {
	char *name;
	char *validity;
	uint16_t port;
	bool wanted;
	enum colour colour;
};

struct rules {
	uint64_t big;
	char *comment;
};

struct top {
	int8_t level;
	struct class *classes;
	uint32_t classes_count;
	struct rules *rules;
	char **words;
	uint32_t words_count;
};

static const cyaml_strval_t colours[] = {
	{ "red", RED },
	{ "blue", BLUE },
};

static const cyaml_schema_field_t class_fields[] = {
	CYAML_FIELD_STRING_PTR(
	    "name", CYAML_FLAG_POINTER, struct class, name, 1, 8),
	CYAML_FIELD_STRING_PTR("validity",
	    CYAML_FLAG_POINTER | CYAML_FLAG_OPTIONAL, struct class, validity, 0,
	    CYAML_UNLIMITED),
	CYAML_FIELD_UINT("port", CYAML_FLAG_OPTIONAL, struct class, port),
	CYAML_FIELD_BOOL("wanted", CYAML_FLAG_OPTIONAL, struct class, wanted),
	CYAML_FIELD_ENUM("colour", CYAML_FLAG_OPTIONAL | CYAML_FLAG_STRICT,
	    struct class, colour, colours, 2),
	CYAML_FIELD_END,
};

static const cyaml_schema_value_t class_value = {
	CYAML_VALUE_MAPPING(CYAML_FLAG_DEFAULT, struct class, class_fields),
};

static const cyaml_schema_value_t word_value = {
	CYAML_VALUE_STRING(CYAML_FLAG_POINTER, char *, 0, CYAML_UNLIMITED),
};

static const cyaml_schema_field_t rules_fields[] = {
	CYAML_FIELD_UINT("big", CYAML_FLAG_OPTIONAL, struct rules, big),
	CYAML_FIELD_STRING_PTR("comment",
	    CYAML_FLAG_POINTER_NULL | CYAML_FLAG_OPTIONAL, struct rules,
	    comment, 0, CYAML_UNLIMITED),
	CYAML_FIELD_END,
};

static const cyaml_schema_field_t top_fields[] = {
	CYAML_FIELD_INT("level", CYAML_FLAG_OPTIONAL, struct top, level),
	CYAML_FIELD_SEQUENCE("classes", CYAML_FLAG_POINTER, struct top, classes,
	    &class_value, 1, 3),
	CYAML_FIELD_MAPPING_PTR("rules",
	    CYAML_FLAG_POINTER | CYAML_FLAG_OPTIONAL, struct top, rules,
	    rules_fields),
	CYAML_FIELD_SEQUENCE("words", CYAML_FLAG_POINTER | CYAML_FLAG_OPTIONAL,
	    struct top, words, &word_value, 0, CYAML_UNLIMITED),
	CYAML_FIELD_END,
};

static const cyaml_schema_value_t schema = {
	CYAML_VALUE_MAPPING(CYAML_FLAG_POINTER, struct top, top_fields),
};

static const char good[] = "# a comment\n"
			   "level: -7\n"
			   "classes:\n"
			   "  - name: leaf\n"
			   "    validity: 90d\n"
			   "  - name: ca\n"
			   "\n"
			   "    port: 8443\n"
			   "    wanted: true\n"
			   "    colour: blue\n"
			   "rules: { big: 18446744073709551615, comment: }\n"
			   "words: [no, \"010\", '']\n";

static void
test_loads(void **state)
{
	struct conf *c = NULL;
	struct err e = { 0 };
	const struct top *t;

	(void)state;
	assert_int_equal(
	    conf_load_bytes("f", span_str(good), &schema, &c, &e), 0);
	t = conf_data(c);
	assert_int_equal(t->level, -7);
	assert_int_equal(t->classes_count, 2);
	assert_string_equal(t->classes[0].validity, "90d");
	assert_null(t->classes[1].validity);
	assert_int_equal(t->classes[1].port, 8443);
	assert_true(t->classes[1].wanted);
	assert_int_equal(t->classes[1].colour, BLUE);
	assert_true(t->rules->big == UINT64_MAX);
	assert_null(t->rules->comment);
	assert_string_equal(t->words[0], "no");
	assert_string_equal(t->words[1], "010");
	assert_string_equal(t->words[2], "");
	assert_true(span_is(conf_text(c), good));
	conf_free(c);
}

static void
test_lines(void **state)
{
	struct conf *c = NULL;
	struct err e = { 0 };

	(void)state;
	assert_int_equal(
	    conf_load_bytes("f.yaml", span_str(good), &schema, &c, &e), 0);
	assert_int_equal(conf_line(c, ""), 2);
	assert_int_equal(conf_line(c, "classes"), 3);
	assert_int_equal(conf_line(c, "classes[0]"), 4);
	assert_int_equal(conf_line(c, "classes[0].validity"), 5);
	assert_int_equal(conf_line(c, "classes[1].port"), 8);
	assert_int_equal(conf_line(c, "words[2]"), 12);
	assert_int_equal(conf_line(c, "classes[2].port"), 0);
	assert_int_equal(conf_line(c, "classes[1"), 6);
	assert_int_equal(conf_line(c, "class"), 0);
	assert_int_equal(conf_line(c, "a..b"), 0);
	assert_int_equal(
	    conf_error(c, "classes[1].validity", &e, "needs %d", 3), -1);
	assert_int_equal(e.kind, ERR_MALFORMED);
	assert_string_equal(e.text, "f.yaml:6: classes[1].validity: needs 3");
	conf_error(c, "", &e, "is odd");
	assert_string_equal(e.text, "f.yaml:2: is odd");
	conf_free(c);
}

struct bad {
	const char *text, *error;
};

static const struct bad bads[] = {
	{ "classes:\n - name: a\n   validty: 3\n",
	    "f:3: classes[0].validty: unknown key" },
	{ "classes:\n - name: a\n - port: 1\n",
	    "f:3: classes[1]: key \"name\" is missing" },
	{ "level: 1\n", "f:1: key \"classes\" is missing" },
	{ "classes:\n - name: a\n\n   name: b\n",
	    "f:4: key \"name\" is repeated" },
	{ "classes:\n - name: a\n   port: 010\n",
	    "f:3: classes[0].port: number 010 has a leading zero" },
	{ "classes:\n - name: a\n   port: 65536\n",
	    "f:3: classes[0].port: number 65536 is out of range" },
	{ "classes:\n - name: a\n   port: -1\n",
	    "f:3: classes[0].port: number -1 is out of range" },
	{ "classes:\n - name: a\n   port: 0x1f\n",
	    "f:3: classes[0].port: expected a whole number, found \"0x1f\"" },
	{ "classes:\n - name: a\n   port: '8'\n",
	    "f:3: classes[0].port: expected a whole number, found \"8\"" },
	{ "classes:\n - name: a\n   port:\n     - 1\n",
	    "f:3: classes[0].port: expected one value, found a list" },
	{ "classes:\n - name: a\n   wanted: flase\n",
	    "f:3: classes[0].wanted: expected true or false, found \"flase\"" },
	{ "classes:\n - name: a\n   colour: green\n",
	    "f:3: classes[0].colour: \"green\" is not one of: red, blue" },
	{ "classes:\n - name: a\n   colour: 1\n",
	    "f:3: classes[0].colour: \"1\" is not one of: red, blue" },
	{ "classes:\n - name:\n",
	    "f:2: classes[0].name: expected one value, found nothing" },
	{ "classes:\n - name: ''\n",
	    "f:2: classes[0].name: text is shorter than 1 bytes" },
	{ "classes:\n - name: aaaaaaaaa\n",
	    "f:2: classes[0].name: text is longer than 8 bytes" },
	{ "classes: []\n", "f:1: classes: list has fewer than 1 entries" },
	{ "classes: [{name: a}, {name: a},\n {name: a}, {name: a}]\n",
	    "f:1: classes: list has more than 3 entries" },
	{ "classes: yes\n", "f:1: classes: expected a list, found one value" },
	{ "level: 128\nclasses: [{name: a}]\n",
	    "f:1: level: number 128 is out of range" },
	{ "level: -129\nclasses: [{name: a}]\n",
	    "f:1: level: number -129 is out of range" },
	{ "- a\n", "f:1: expected a mapping, found a list" },
	{ "", "f:1: the document is empty" },
	{ "# nothing\n", "f:1: the document is empty" },
	{ "---\n", "f:2: expected a mapping, found nothing" },
	{ "classes: [{name: a}]\n---\nlevel: 3\n", "f:2: a second document" },
	{ "classes: &x [{name: a}]\n", "f:1: anchors are not allowed" },
	{ "level: &x 1\n", "f:1: anchors are not allowed" },
	{ "level: *x\n", "f:1: aliases are not allowed" },
	{ "level: !!int 1\n", "f:1: tags are not allowed" },
	{ "classes: !x [{name: a}]\n", "f:1: tags are not allowed" },
	{ "words: [\"a\\0b\"]\n", "f:1: a zero byte in a value" },
	{ "? [a]\n: b\n", "f:1: a key must be a word" },
	{ "'': b\n", "f:1: an empty key" },
	{ "level: 1\nwords: [[[[[[[[[[[[[[[[[]]]]]]]]]]]]]]]]]\n",
	    "f:2: nested too deeply" },
	{ "level: 1\nclasses: [\n", "f:3: did not find expected node content" },
	{ "level: 1\n\tclasses: 2\n",
	    "f:2: found a tab character that violates indentation" },
	{ "level: \xff\n", "f:1: invalid leading UTF-8 octet" },
};

static void
test_refuses(void **state)
{
	struct conf *c = NULL;
	struct err e;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(bads) / sizeof(bads[0]); i++) {
		e = (struct err){ 0 };
		assert_int_equal(conf_load_bytes("f", span_str(bads[i].text),
				     &schema, &c, &e),
		    -1);
		assert_int_equal(e.kind, ERR_MALFORMED);
		assert_string_equal(e.text, bads[i].error);
		assert_null(c);
	}
}

static void
test_size_limits(void **state)
{
	struct conf *c = NULL;
	struct err e = { 0 };
	AUTO_BUF(b, 4 << 20);
	int i;

	(void)state;
	buf_str(&b, "words: [");
	for (i = 0; i < 5000; i++)
		buf_str(&b, "a,\n");
	buf_str(&b, "]\nclasses: [{name: a}]\n");
	assert_int_equal(
	    conf_load_bytes("f", buf_get(&b), &schema, &c, &e), -1);
	assert_string_equal(e.text, "f:4097: too many entries");
	buf_reset(&b);
	while (b.n <= 1024 * 1024)
		buf_str(&b, "# a comment\n");
	assert_int_equal(
	    conf_load_bytes("f", buf_get(&b), &schema, &c, &e), -1);
	assert_string_equal(e.text, "f:1: file is larger than 1048576 bytes");
}

static void
test_files(void **state)
{
	char path[] = "/tmp/test_conf.XXXXXX";
	int fd = mkstemp(path);
	struct conf *c = NULL;
	struct err e = { 0 };

	(void)state;
	assert_true(fd >= 0);
	assert_int_equal(write(fd, good, strlen(good)), (ssize_t)strlen(good));
	assert_int_equal(conf_load(path, &schema, &c, &e), 0);
	conf_free(c);
	c = NULL;
	assert_int_equal(ftruncate(fd, 2 << 20), 0);
	assert_int_equal(conf_load(path, &schema, &c, &e), -1);
	assert_int_equal(e.kind, ERR_MALFORMED);
	close(fd);
	assert_int_equal(unlink(path), 0);
	assert_int_equal(conf_load(path, &schema, &c, &e), -1);
	assert_int_equal(e.kind, ERR_NOT_FOUND);
	assert_int_equal(conf_load("/", &schema, &c, &e), -1);
	assert_int_equal(e.kind, ERR_UNAVAILABLE);
	conf_free(NULL);
}

static void
test_duration(void **state)
{
	static const char *const wrong[] = { "", "1", "s", "1w", "01d", "-1d",
		"1 d", "1dd", "1000000000s", "1.5h" };
	struct err e = { 0 };
	int64_t t;
	size_t i;

	(void)state;
	assert_int_equal(conf_duration("90s", 1, 100, &t, &e), 0);
	assert_int_equal(t, 90);
	assert_int_equal(conf_duration("10y", 0, INT64_MAX, &t, &e), 0);
	assert_int_equal(t, (int64_t)3650 * 86400);
	assert_int_equal(conf_duration("0s", 0, 1, &t, &e), 0);
	assert_int_equal(conf_duration("397d", 0, 396 * 86400, &t, &e), -1);
	assert_string_equal(e.text, "duration 397d is outside 0s to 34214400s");
	for (i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		assert_int_equal(
		    conf_duration(wrong[i], 0, INT64_MAX, &t, &e), -1);
		assert_int_equal(e.kind, ERR_MALFORMED);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_loads),
		cmocka_unit_test(test_lines),
		cmocka_unit_test(test_refuses),
		cmocka_unit_test(test_size_limits),
		cmocka_unit_test(test_files),
		cmocka_unit_test(test_duration),
	};

	return cmocka_run_group_tests_name("conf", tests, NULL, NULL);
}
