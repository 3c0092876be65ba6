#include "protocols/est/basic.h"

#include <stdbool.h>
#include <string.h>
#include <strings.h>

#include <openssl/crypto.h>

#include "base/b64.h"

#define SCHEME "Basic"
/* base64 of name, colon and secret */
#define TOKEN_MAX ((2 * EST_BASIC_MAX + 1 + 2) / 3 * 4)

static bool
has_control(struct span s)
{
	size_t i;

	for (i = 0; i < s.n; i++) {
		if (s.p[i] < 0x20 || s.p[i] == 0x7f)
			return true;
	}
	return false;
}

/* The token68 after the scheme's name, which may be in any case. */
static bool
find_token(const char *authorization, struct span *out)
{
	const char *p = authorization + strlen(SCHEME);
	size_t n;

	if (strncasecmp(authorization, SCHEME, strlen(SCHEME)) != 0 ||
	    *p != ' ')
		return false;
	p += strspn(p, " ");
	n = strlen(p);
	while (n > 0 && p[n - 1] == ' ')
		n--;
	*out = span_of(p, n);
	return n > 0 && n <= TOKEN_MAX;
}

int
est_basic_parse(struct arena *a, const char *authorization,
    struct est_basic *out, struct err *e)
{
	struct span token, both;
	const uint8_t *colon;
	size_t n;

	*out = (struct est_basic){ 0 };
	if (!find_token(authorization, &token) ||
	    b64_decode(a, token, &both, e) == -1)
		return err_set(e, ERR_UNAUTHENTICATED,
		    "the credentials are not of the Basic scheme");
	/* what the name will be is cleansed with the secret */
	out->name = (const char *)both.p;
	out->secret = both;
	colon = memchr(both.p, ':', both.n);
	n = colon == NULL ? 0 : (size_t)(colon - both.p);
	if (n == 0 || n > EST_BASIC_MAX || both.n - n - 1 > EST_BASIC_MAX ||
	    has_control(both)) {
		est_basic_clear(out);
		return err_set(e, ERR_UNAUTHENTICATED,
		    "the credentials are not a name and a secret");
	}
	*(uint8_t *)(uintptr_t)colon = '\0';
	out->secret = span_of(colon + 1, both.n - n - 1);
	return 0;
}

void
est_basic_clear(struct est_basic *b)
{
	if (b->secret.n > 0)
		OPENSSL_cleanse((void *)(uintptr_t)b->secret.p, b->secret.n);
	*b = (struct est_basic){ 0 };
}
