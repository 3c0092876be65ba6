#include <stdlib.h>
#include <string.h>

#include "ca/profile.h"
#include "tests/fuzz/fuzz.h"

/* A mistake is always reported with the file. */
int
LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
	AUTO(arena_auto) a = arena_new();
	struct profile profile;
	struct err e;

	if (profile_parse(a, "f.yaml", span_of(p, n), &profile, &e) == -1) {
		if (e.kind == ERR_MALFORMED &&
		    strncmp(e.text, "f.yaml", 6) != 0)
			abort();
		return 0;
	}
	if (profile.n_allow == 0 || profile.validity_max_s <= 0 ||
	    profile.validity_default_s > profile.validity_max_s)
		abort();
	(void)profile_usage_text(a, profile.key_usage);
	return 0;
}
