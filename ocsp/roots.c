#include "ocsp/roots.h"

#include <stdlib.h>
#include <string.h>

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509.h>

#include "base/auto.h"
#include "base/file.h"
#include "base/sha256.h"

#define CHAIN_MAX ((size_t)256 * 1024)

AUTO_DEFINE(BIO, BIO_free_all);
AUTO_DEFINE(X509_CRL, X509_CRL_free);

struct root {
	X509 *cert;
	uint8_t spki_sha256[SHA256_SIZE];
	struct root *next;
};

struct roots {
	struct root *first;
};

static bool
hash_key(const X509 *x, uint8_t out[SHA256_SIZE])
{
	unsigned char *der = NULL;
	int n = i2d_X509_PUBKEY(X509_get_X509_PUBKEY(x), &der);

	if (n <= 0)
		return false;
	sha256(span_of(der, (size_t)n), out);
	OPENSSL_free(der);
	return true;
}

/* Takes the certificate. */
static void
add(struct roots *r, X509 *x)
{
	struct root *new = calloc(1, sizeof(*new));

	if (new == NULL)
		abort();
	if (!hash_key(x, new->spki_sha256)) {
		X509_free(x);
		free(new);
		return;
	}
	new->cert = x;
	new->next = r->first;
	r->first = new;
}

static void
read_chain(struct roots *r, const char *path)
{
	AUTO(arena_auto) a = arena_new();
	AUTO(BIO) bio = NULL;
	struct span text;
	struct err e;
	X509 *x;

	if (file_read(a, path, CHAIN_MAX, &text, &e) == -1)
		return;
	bio = BIO_new_mem_buf(text.p, (int)text.n);
	(void)ERR_set_mark();
	while (bio != NULL &&
	       (x = PEM_read_bio_X509(bio, NULL, NULL, NULL)) != NULL)
		add(r, x);
	(void)ERR_pop_to_mark();
}

struct roots *
roots_new(const struct settings *s)
{
	struct roots *r = calloc(1, sizeof(*r));
	unsigned i;

	if (r == NULL)
		abort();
	for (i = 0; i < s->issuers_count; i++) {
		if (s->issuers[i].chain != NULL)
			read_chain(r, s->issuers[i].chain);
	}
	return r;
}

void
roots_free(struct roots *r)
{
	struct root *x;

	if (r == NULL)
		return;
	while ((x = r->first) != NULL) {
		r->first = x->next;
		X509_free(x->cert);
		free(x);
	}
	free(r);
}

static bool
is_by(const X509 *ca, struct span der)
{
	const unsigned char *p = der.p;
	AUTO(X509_CRL) crl = d2i_X509_CRL(NULL, &p, (long)der.n);

	return crl != NULL && p == der.p + der.n &&
	       X509_NAME_cmp(
		   X509_CRL_get_issuer(crl), X509_get_subject_name(ca)) == 0 &&
	       X509_CRL_verify(crl, X509_get0_pubkey(ca)) == 1;
}

bool
roots_signed(
    const struct roots *r, const uint8_t spki_sha256[32], struct span crl)
{
	const struct root *x;
	bool good = false;

	(void)ERR_set_mark();
	for (x = r->first; x != NULL && !good; x = x->next) {
		good = memcmp(x->spki_sha256, spki_sha256, 32) == 0 &&
		       is_by(x->cert, crl);
	}
	(void)ERR_pop_to_mark();
	return good;
}
