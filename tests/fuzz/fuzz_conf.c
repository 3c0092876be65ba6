/* Configuration files: whatever the bytes, a struct or an error. */
#include "base/conf.h"
#include "base/settings_conf.h"
#include "tests/fuzz/fuzz.h"

int
LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
	struct conf *c = NULL;
	struct err e;

	if (conf_load_bytes(
		"f", span_of(p, n), settings_conf_schema(), &c, &e) != 0)
		return 0;
	(void)conf_line(c, "vald.resolve[0].suffix");
	(void)conf_error(c, "listen[1].port", &e, "bad");
	conf_free(c);
	return 0;
}
