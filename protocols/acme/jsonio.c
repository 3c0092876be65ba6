#include "protocols/acme/jsonio.h"

#include <stdlib.h>
#include <string.h>

int
jsonio_parse(struct span text, json_t **out, struct err *e)
{
	json_error_t why;
	json_t *v;

	v = json_loadb(
	    (const char *)text.p, text.n, JSON_REJECT_DUPLICATES, &why);
	if (v == NULL)
		return err_set(e, ERR_MALFORMED, "JSON: %s", why.text);
	if (!json_is_object(v)) {
		json_decref(v);
		return err_set(e, ERR_MALFORMED, "JSON is not an object");
	}
	*out = v;
	return 0;
}

struct span
jsonio_encode(struct arena *a, const json_t *v)
{
	size_t n = json_dumpb(v, NULL, 0, JSON_COMPACT);
	char *text = arena_alloc(a, n + 1);

	(void)json_dumpb(v, text, n, JSON_COMPACT);
	return span_of(text, n);
}

int
jsonio_string(struct arena *a, const json_t *object, const char *key,
    const char **out, struct err *e)
{
	const json_t *v = json_object_get(object, key);

	*out = NULL;
	if (v == NULL || json_is_null(v))
		return 0;
	if (!json_is_string(v) ||
	    strlen(json_string_value(v)) != json_string_length(v))
		return err_set(e, ERR_MALFORMED, "\"%s\" is not a string", key);
	*out = arena_strdup(a, json_string_value(v));
	return 0;
}

int
jsonio_required(struct arena *a, const json_t *object, const char *key,
    const char **out, struct err *e)
{
	if (jsonio_string(a, object, key, out, e) == -1)
		return -1;
	if (*out == NULL)
		return err_set(e, ERR_MALFORMED, "\"%s\" is missing", key);
	return 0;
}
