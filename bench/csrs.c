#include "bench/csrs.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <openssl/ec.h>
#include <openssl/evp.h>
#include <openssl/x509v3.h>

#include "base/auto.h"

AUTO_DEFINE(EVP_PKEY, EVP_PKEY_free);
AUTO_DEFINE(X509_REQ, X509_REQ_free);
AUTO_DEFINE(X509_EXTENSION, X509_EXTENSION_free);

static void
need(bool ok)
{
	if (ok)
		return;
	(void)fputs("a certificate request cannot be made\n", stderr);
	exit(1);
}

static void
add_name(X509_REQ *req, const char *name)
{
	STACK_OF(X509_EXTENSION) *exts = sk_X509_EXTENSION_new_null();
	AUTO(X509_EXTENSION) san = NULL;
	char text[128];

	(void)snprintf(text, sizeof(text), "DNS:%s", name);
	san = X509V3_EXT_conf_nid(NULL, NULL, NID_subject_alt_name, text);
	need(exts != NULL && san != NULL &&
	     sk_X509_EXTENSION_push(exts, san) == 1 &&
	     X509_REQ_add_extensions(req, exts) == 1 &&
	     X509_NAME_add_entry_by_txt(X509_REQ_get_subject_name(req), "CN",
		 MBSTRING_ASC, (const unsigned char *)name, -1, -1, 0) == 1);
	sk_X509_EXTENSION_free(exts);
}

struct span
csr_make(struct arena *a, EVP_PKEY *key, const char *name)
{
	AUTO(X509_REQ) req = X509_REQ_new();
	unsigned char *der = NULL;
	struct span out;
	int n;

	need(key != NULL && req != NULL);
	add_name(req, name);
	need(X509_REQ_set_pubkey(req, key) == 1 &&
	     X509_REQ_sign(req, key, EVP_sha256()) > 0);
	n = i2d_X509_REQ(req, &der);
	need(n > 0);
	out = span_dup(a, span_of(der, (size_t)n));
	OPENSSL_free(der);
	return out;
}

static struct span
make_one(struct arena *a, size_t i)
{
	/* scattered, as names of hosts are */
	uint32_t number = (uint32_t)i * UINT32_C(2654435761);
	AUTO(EVP_PKEY) key = EVP_EC_gen("P-256");
	char name[64];

	(void)snprintf(name, sizeof(name), "host-%08x.bench.test", number);
	return csr_make(a, key, name);
}

struct span *
csrs_make(struct arena *a, size_t n)
{
	struct span *list = arena_array(a, n, sizeof(*list));
	size_t i;

	for (i = 0; i < n; i++)
		list[i] = make_one(a, i);
	return list;
}
