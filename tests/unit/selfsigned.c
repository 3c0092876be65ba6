#include "selfsigned.h"

#include <stdio.h>
#include <stdlib.h>

#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>

static void
need(int ok)
{
	if (ok <= 0)
		abort();
}

static void
add_ext(X509 *x, int nid, const char *value)
{
	X509_EXTENSION *ext = X509V3_EXT_conf_nid(NULL, NULL, nid, value);

	need(ext != NULL && X509_add_ext(x, ext, -1));
	X509_EXTENSION_free(ext);
}

static void
fill(X509 *x, EVP_PKEY *key, const char *name)
{
	X509_NAME *dn = X509_get_subject_name(x);
	static long serial = 1;
	char san[300];

	need(X509_set_version(x, X509_VERSION_3));
	need(ASN1_INTEGER_set(X509_get_serialNumber(x), serial++));
	need(X509_gmtime_adj(X509_getm_notBefore(x), -3600) != NULL);
	need(X509_gmtime_adj(X509_getm_notAfter(x), 86400) != NULL);
	need(X509_NAME_add_entry_by_txt(
	    dn, "CN", MBSTRING_ASC, (const unsigned char *)name, -1, -1, 0));
	need(X509_set_issuer_name(x, dn));
	need(X509_set_pubkey(x, key));
	(void)snprintf(san, sizeof(san), "DNS:%s,IP:127.0.0.1", name);
	add_ext(x, NID_subject_alt_name, san);
	add_ext(x, NID_basic_constraints, "critical,CA:TRUE");
	need(X509_sign(x, key, EVP_sha256()));
}

static void
take_pem(BIO *bio, char *out, size_t size)
{
	int n = BIO_read(bio, out, (int)size - 1);

	need(n);
	out[n] = '\0';
	BIO_free(bio);
}

void
selfsigned_make(struct selfsigned *out, const char *name)
{
	EVP_PKEY *key = EVP_EC_gen("P-256");
	X509 *x = X509_new();
	BIO *cert = BIO_new(BIO_s_mem()), *priv = BIO_new(BIO_s_mem());

	need(key != NULL && x != NULL && cert != NULL && priv != NULL);
	fill(x, key, name);
	need(PEM_write_bio_X509(cert, x));
	need(PEM_write_bio_PKCS8PrivateKey(
	    priv, key, NULL, NULL, 0, NULL, NULL));
	take_pem(cert, out->cert, sizeof(out->cert));
	take_pem(priv, out->key, sizeof(out->key));
	X509_free(x);
	EVP_PKEY_free(key);
}
