#include "ca/keyhash.h"

#include <limits.h>

#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509.h>

#include "base/auto.h"
#include "base/b64.h"
#include "base/sha256.h"
#include "ca/csr.h"
#include "ca/pubkey.h"
#include "hsm/tosign.h"

AUTO_DEFINE(BIO, BIO_free_all);

static int
of_certificate(
    struct arena *a, struct span der, struct span *spki, struct err *e)
{
	struct span tbs, alg, signature;
	struct tosign_cert c;

	if (tosign_unwrap(der, &tbs, &alg, &signature, e) == -1 ||
	    tosign_cert_parse(a, tbs, &c, e) == -1)
		return -1;
	*spki = c.spki;
	return 0;
}

static int
of_request(struct arena *a, struct span der, struct span *spki, struct err *e)
{
	struct request_want want = { 0 };

	if (csr_parse(a, der, &want, e) == -1)
		return -1;
	*spki = want.spki;
	return 0;
}

/* Nobody is asked for a passphrase. */
static int
no_passphrase(char *buf, int size, int writing, void *arg)
{
	(void)buf;
	(void)size;
	(void)writing;
	(void)arg;
	return -1;
}

static int
of_private_key(
    struct arena *a, struct span text, struct span *spki, struct err *e)
{
	AUTO(BIO) bio = NULL;
	AUTO(EVP_PKEY) key = NULL;
	uint8_t *der = NULL;
	int n;

	if (text.n <= INT_MAX)
		bio = BIO_new_mem_buf(text.p, (int)text.n);
	if (bio != NULL)
		key = PEM_read_bio_PrivateKey(bio, NULL, no_passphrase, NULL);
	n = key == NULL ? -1 : i2d_PUBKEY(key, &der);
	ERR_clear_error();
	if (n <= 0)
		return err_set(e, ERR_MALFORMED,
		    "no certificate, request, public key or unencrypted "
		    "private key in PEM");
	*spki = span_dup(a, span_of(der, (size_t)n));
	OPENSSL_free(der);
	return 0;
}

int
keyhash_pem(
    struct arena *a, struct span text, uint8_t out[KEYHASH_SIZE], struct err *e)
{
	struct tosign_spki parts;
	struct span der, spki;
	int rc;

	if (pem_decode(a, "CERTIFICATE", text, &der, e) == 0)
		rc = of_certificate(a, der, &spki, e);
	else if (pem_decode(a, "CERTIFICATE REQUEST", text, &der, e) == 0)
		rc = of_request(a, der, &spki, e);
	else if (pem_decode(a, "PUBLIC KEY", text, &spki, e) == 0)
		rc = tosign_spki_parse(spki, &parts, e);
	else
		rc = of_private_key(a, text, &spki, e);
	if (rc == -1)
		return -1;
	sha256(spki, out);
	return 0;
}
