#include "hsm/keyfile.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/pkcs12.h>
#include <openssl/rsa.h>
#include <openssl/x509.h>

#include "base/auto.h"

/* More than any signature of the algorithms that are served. */
#define SIGNATURE_MAX 1024

AUTO_DEFINE(BIO, BIO_free_all);
AUTO_DEFINE(FILE, fclose);
AUTO_DEFINE(EVP_PKEY, EVP_PKEY_free);
AUTO_DEFINE(EVP_PKEY_CTX, EVP_PKEY_CTX_free);
AUTO_DEFINE(X509_SIG, X509_SIG_free);
AUTO_DEFINE(PKCS8_PRIV_KEY_INFO, PKCS8_PRIV_KEY_INFO_free);

struct keyfile {
	EVP_PKEY *key;
	struct sign_alg alg;
	EVP_MD_CTX *ctx;
};

static EVP_PKEY *
decrypt(X509_SIG *sealed, const char *passphrase)
{
	AUTO(PKCS8_PRIV_KEY_INFO)
	plain = PKCS8_decrypt(sealed, passphrase, (int)strlen(passphrase));

	return plain == NULL ? NULL : EVP_PKCS82PKEY(plain);
}

int
keyfile_open(const char *path, const char *passphrase, struct keyfile **out,
    struct err *e)
{
	AUTO(FILE) f = fopen(path, "re");
	AUTO(X509_SIG) sealed = NULL;
	AUTO(EVP_PKEY) key = NULL;
	struct sign_alg alg;

	if (f == NULL)
		return err_set(e, ERR_UNAVAILABLE, "cannot read \"%s\": %s",
		    path, strerror(errno));
	sealed = PEM_read_PKCS8(f, NULL, NULL, NULL);
	if (sealed != NULL)
		key = decrypt(sealed, passphrase);
	ERR_clear_error();
	if (key == NULL)
		return err_set(e, ERR_UNAVAILABLE,
		    "\"%s\" is not an encrypted PKCS#8 key of this pass phrase",
		    path);
	if (sign_alg_of(key, &alg, e) != 0)
		return err_prefix(e, "\"%s\"", path);
	*out = calloc(1, sizeof(**out));
	if (*out == NULL || ((*out)->ctx = EVP_MD_CTX_new()) == NULL)
		return err_set(e, ERR_INTERNAL, "no memory");
	(*out)->key = key;
	(*out)->alg = alg;
	key = NULL;
	return 0;
}

void
keyfile_free(struct keyfile *k)
{
	if (k == NULL)
		return;
	EVP_MD_CTX_free(k->ctx);
	EVP_PKEY_free(k->key);
	free(k);
}

EVP_PKEY *
keyfile_public(const struct keyfile *k)
{
	unsigned char *der = NULL;
	const unsigned char *p;
	EVP_PKEY *out = NULL;
	int n = i2d_PUBKEY(k->key, &der);

	p = der;
	if (n > 0)
		out = d2i_PUBKEY(NULL, &p, n);
	OPENSSL_free(der);
	return out;
}

int
keyfile_sign(struct keyfile *k, struct arena *a, struct span data,
    struct span *sig, struct err *e)
{
	uint8_t bytes[SIGNATURE_MAX];
	size_t n = sizeof(bytes);

	if (EVP_DigestSignInit(k->ctx, NULL, k->alg.md, NULL, k->key) != 1 ||
	    EVP_DigestSign(k->ctx, bytes, &n, data.p, data.n) != 1) {
		ERR_clear_error();
		return err_set(e, ERR_UNAVAILABLE, "software key cannot sign");
	}
	*sig = span_dup(a, span_of(bytes, n));
	return 0;
}

int
keyfile_sign_digest(struct keyfile *k, struct arena *a, struct span digest,
    struct span *sig, struct err *e)
{
	AUTO(EVP_PKEY_CTX) ctx = EVP_PKEY_CTX_new(k->key, NULL);
	uint8_t bytes[SIGNATURE_MAX];
	size_t n = sizeof(bytes);

	if (ctx == NULL || EVP_PKEY_sign_init(ctx) != 1 ||
	    EVP_PKEY_CTX_set_signature_md(ctx, k->alg.md) != 1 ||
	    EVP_PKEY_sign(ctx, bytes, &n, digest.p, digest.n) != 1) {
		ERR_clear_error();
		return err_set(e, ERR_UNAVAILABLE, "software key cannot sign");
	}
	*sig = span_dup(a, span_of(bytes, n));
	return 0;
}

static EVP_PKEY *
generate(const char *algorithm)
{
	char *end;
	long bits;

	if (strncmp(algorithm, "RSA-", 4) != 0)
		return strncmp(algorithm, "P-", 2) == 0 ? EVP_EC_gen(algorithm)
							: NULL;
	bits = strtol(algorithm + 4, &end, 10);
	if (*end != '\0' || bits < 2048 || bits > 4096 || bits % 8 != 0)
		return NULL;
	return EVP_RSA_gen((unsigned)bits);
}

int
keyfile_make(const char *path, const char *passphrase, const char *algorithm,
    struct err *e)
{
	AUTO(EVP_PKEY) key = generate(algorithm);
	AUTO(BIO) out = NULL;
	struct sign_alg alg;
	AUTO_FD int fd = -1;

	ERR_clear_error();
	if (key == NULL)
		return err_set(e, ERR_BAD_KEY,
		    "cannot make a key of algorithm \"%s\"", algorithm);
	if (sign_alg_of(key, &alg, e) != 0)
		return -1;
	fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0400);
	if (fd < 0)
		return err_set(e, ERR_UNAVAILABLE, "cannot make \"%s\": %s",
		    path, strerror(errno));
	out = BIO_new_fd(fd, BIO_NOCLOSE);
	if (out == NULL ||
	    PEM_write_bio_PKCS8PrivateKey(out, key, EVP_aes_256_cbc(),
		passphrase, (int)strlen(passphrase), NULL, NULL) != 1 ||
	    fsync(fd) != 0) {
		ERR_clear_error();
		return err_set(e, ERR_UNAVAILABLE, "cannot write \"%s\"", path);
	}
	return 0;
}
