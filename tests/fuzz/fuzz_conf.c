#include <cyaml/cyaml.h>

#include "base/conf.h"
#include "tests/fuzz/fuzz.h"
#include "protocols/vald/vald_conf.h"

static const cyaml_schema_value_t schema = {
	CYAML_VALUE_MAPPING(
	    CYAML_FLAG_POINTER, struct vald_conf, vald_conf_fields),
};

int
LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
	struct conf *c = NULL;
	struct err e;

	if (conf_load_bytes("f", span_of(p, n), &schema, &c, &e) != 0)
		return 0;
	(void)conf_line(c, "names[0].suffix");
	if (vald_conf_check(c, "", conf_data(c), &e) != 0)
		(void)conf_line(c, "allow[0]");
	conf_free(c);
	return 0;
}
