#include <stdlib.h>
#include <string.h>

#include "protocols/acme/jws.h"
#include "protocols/acme/problem.h"
#include "tests/fuzz/fuzz.h"

/* A request body; a key that comes out must survive being read again. */
int
LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
	AUTO(arena_auto) a = arena_new();
	struct problem problem = { .type = PROBLEM_MALFORMED };
	struct jwk again;
	struct err e;
	struct jws j;

	if (jws_parse(a, span_of(p, n), &j, &e) == -1) {
		problem.detail = e.text;
		if (problem_encode(a, &problem).n == 0)
			abort();
		return 0;
	}
	if (j.kid != NULL || !jws_alg_known(j.alg))
		return 0;
	if (jwk_from_spki(a, j.jwk.spki, &again, &e) == -1 ||
	    strcmp(again.thumbprint, j.jwk.thumbprint) != 0)
		abort();
	(void)(jws_verify(a, &j, &j.jwk, &e) == 0);
	return 0;
}
