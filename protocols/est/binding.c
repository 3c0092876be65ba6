#include "protocols/est/binding.h"

#include <openssl/crypto.h>

#include "protocols/est/codec.h"

static const struct {
	const char *name, *note;
} kinds[] = {
	[HTTP_BINDING_NONE] = { "channel binding", "" },
	[HTTP_BINDING_TLS_UNIQUE] = { "tls-unique", "" },
	[HTTP_BINDING_TLS_EXPORTER] = { "tls-exporter",
	    "; tls-unique cannot be verified over TLS 1.3 (RFC 9266)" },
};

int
est_binding_check(struct arena *a, const struct est_binding *b,
    const char *challenge, bool required, struct err *e)
{
	const char *name = kinds[b->kind].name, *note = kinds[b->kind].note;
	struct span value = { NULL, 0 };

	if (b->value.n == 0)
		return !required ? 0
				 : err_set(e, ERR_MALFORMED,
				       "the request must be linked to its TLS "
				       "connection, which has no %s",
				       name);
	if (challenge == NULL && required)
		return err_set(e, ERR_MALFORMED,
		    "the request must be linked to its TLS connection: its "
		    "challengePassword must be the %s in base64 "
		    "(RFC 7030 3.5)%s",
		    name, note);
	if (challenge != NULL &&
	    est_decode(a, span_str(challenge), &value, NULL) == -1)
		value = span_of(NULL, 0);
	if (value.n == b->value.n &&
	    CRYPTO_memcmp(value.p, b->value.p, value.n) == 0)
		return 0;
	if (value.n != b->value.n && !required)
		return 0; /* something else, such as a secret */
	return err_set(e, ERR_MALFORMED,
	    "the challengePassword is not the %s of this TLS connection "
	    "(RFC 7030 3.5)%s",
	    name, note);
}
