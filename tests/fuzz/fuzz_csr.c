#include <stdlib.h>
#include <string.h>

#include "ca/csr.h"
#include "tests/fuzz/fuzz.h"

/* What is taken has names that are taken again as text. */
int
LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
	AUTO(arena_auto) a = arena_new();
	struct request_want w = { 0 };
	struct request_san again;
	struct err e;
	struct dn dn;
	size_t i;

	/* a wrong signature fails last: the names are read by then */
	if (csr_parse_any(a, span_of(p, n), &w, &e) == -1 &&
	    e.kind != ERR_BAD_POP)
		return 0;
	if (dn_parse(a, dn_text(a, &w.subject), &dn, &e) == -1 ||
	    dn.n != w.subject.n)
		abort();
	for (i = 0; i < dn.n; i++) {
		if (strcmp(dn.attrs[i].value, w.subject.attrs[i].value) != 0)
			abort();
	}
	for (i = 0; i < w.n_sans; i++) {
		if (request_san_parse(a,
			arena_printf(a, "%s:%s",
			    request_san_word(w.sans[i].type), w.sans[i].text),
			&again, &e) == -1 ||
		    !request_san_eq(&again, &w.sans[i]))
			abort();
	}
	return 0;
}
