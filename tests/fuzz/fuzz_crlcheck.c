#include <stdlib.h>

#include <openssl/err.h>
#include <openssl/x509.h>

#include "base/arena.h"
#include "hsm/crlcheck.h"
#include "hsm/tosign.h"
#include "tests/fuzz/fuzz.h"

AUTO_DEFINE(X509_CRL, X509_CRL_free);

/* What the reader accepts, libcrypto's template reads as the same list. */
static void
compare(struct span der, const struct crlcheck *c)
{
	AUTO(arena_auto) a = arena_new();
	struct span crl = tosign_wrap(a, der, c->sig_alg, span_of("x", 1));
	const uint8_t *p = crl.p;
	AUTO(X509_CRL) x = d2i_X509_CRL(NULL, &p, (long)crl.n);
	int n;

	ERR_clear_error();
	if (x == NULL) /* a Name or algorithm that is none: policy compares */
		return;
	n = sk_X509_REVOKED_num(X509_CRL_get_REVOKED(x));
	if (p != crl.p + crl.n || (n < 0 ? 0 : (size_t)n) != c->entries)
		abort();
}

int
LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
	struct span der = span_of(p, n), list, quick, serial;
	struct crlcheck_entry entry;
	struct crlcheck c;
	struct err e;
	size_t seen = 0;

	if (crlcheck_read(der, &c, &e) != 0)
		return 0;
	quick = c.list;
	for (list = c.list; crlcheck_next(&list, &entry); seen++) {
		if (!crlcheck_next_serial(&quick, &serial) ||
		    !span_eq(serial, entry.serial) || quick.n != list.n)
			abort();
	}
	if (list.n != 0 || seen != c.entries || c.removed > seen)
		abort();
	compare(der, &c);
	return 0;
}
