#include <stdlib.h>
#include <string.h>

#include "protocols/est/basic.h"
#include "protocols/est/binding.h"
#include "protocols/est/codec.h"
#include "protocols/est/keygen.h"
#include "protocols/est/route.h"
#include "tests/fuzz/fuzz.h"

/* What is taken as a body is taken again as we write it. */
static void
fuzz_body(struct arena *a, struct span in)
{
	struct span der, again;
	struct err e;
	int wrap;

	if (est_decode(a, in, &der, &e) == -1)
		return;
	for (wrap = 0; wrap < 2; wrap++) {
		if (est_decode(a, est_encode(a, der, wrap != 0), &again, &e) ==
			-1 ||
		    !span_eq(der, again))
			abort();
	}
	(void)(keygen_check_plain(der, &e) == 0);
}

static void
fuzz_basic(struct arena *a, const char *text)
{
	struct est_basic b;
	struct err e;

	if (est_basic_parse(a, text, &b, &e) == -1)
		return;
	if (b.name[0] == '\0' || strlen(b.name) > EST_BASIC_MAX ||
	    b.secret.n > EST_BASIC_MAX)
		abort();
	est_basic_clear(&b);
}

static void
fuzz_binding(struct arena *a, const char *text)
{
	static const uint8_t bytes[32] = { 0 };
	const struct est_binding b = { HTTP_BINDING_TLS_EXPORTER,
		{ bytes, sizeof(bytes) } };
	struct err e;

	if (est_binding_check(a, &b, text, true, &e) == 0 &&
	    strspn(text, "A= \t\r\n") != strlen(text))
		abort();
}

static void
fuzz_path(struct arena *a, const char *text)
{
	struct est_route r;

	if (!est_route_parse(a, text, &r))
		return;
	text = arena_printf(a, EST_PREFIX "%s%s/%s", r.label == NULL ? "" : "/",
	    r.label == NULL ? "" : r.label, est_op_name(r.op));
	if (!est_route_parse(a, text, &r))
		abort();
}

/* The first octet says which parser the rest is for. */
int
LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
	AUTO(arena_auto) a = arena_new();
	char *text;

	if (n == 0)
		return 0;
	text = arena_memdup(a, p + 1, n - 1);
	switch (p[0]) {
	case 'b':
		fuzz_body(a, span_of(p + 1, n - 1));
		break;
	case 'a':
		fuzz_basic(a, text);
		break;
	case 'c':
		fuzz_binding(a, text);
		break;
	case 'p':
		fuzz_path(a, text);
		break;
	default:
		(void)est_media_type_is(text, "application/pkcs10");
		(void)est_agent_wraps(text);
	}
	return 0;
}
