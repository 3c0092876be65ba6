#include "ocsp/crl_told.h"

#include <stdlib.h>
#include <string.h>

#include <openssl/objects.h>
#include <openssl/x509.h>

#include "base/auto.h"
#include "base/crl_partition.h"
#include "hsm/tosign.h"

AUTO_DEFINE(EVP_MD_CTX, EVP_MD_CTX_free);
AUTO_DEFINE(X509_ALGOR, X509_ALGOR_free);

int64_t
crl_told_number(struct span crl, struct crlcheck *c)
{
	struct span tbs, alg, signature;
	int64_t n = 0;
	struct err e;
	size_t i;

	if (tosign_unwrap(crl, &tbs, &alg, &signature, &e) == -1 ||
	    crlcheck_read(tbs, c, &e) == -1)
		return 0;
	for (i = 0; i < c->number.n; i++) {
		if (n > INT64_MAX >> 8)
			return INT64_MAX;
		n = n << 8 | c->number.p[i];
	}
	return n;
}

/* Whether one of the issuer's URLs for this partition stands in the list. */
static bool
is_partition(const struct settings_issuer *s, uint32_t partition,
    const struct crlcheck *c)
{
	unsigned k;
	size_t i;

	for (k = 0; k < s->crl_urls_count; k++) {
		for (i = 0; i < c->point.n; i++) {
			if (crl_partition_marked(s->crl_urls[k]) &&
			    crl_partition_url_is(
				s->crl_urls[k], partition, c->point.url[i]))
				return true;
		}
	}
	return false;
}

bool
crl_told(const struct settings_issuer *s, const struct store_crl *row,
    struct span crl)
{
	const char *partition = strchr(row->scope, '-');
	struct crlcheck c;
	int64_t n = crl_told_number(crl, &c);

	if (n == 0 || n != row->number ||
	    c.delta != (strncmp(row->scope, "delta", 5) == 0) ||
	    c.has_idp != (partition != NULL))
		return false;
	return partition == NULL ||
	       is_partition(s, (uint32_t)strtoul(partition + 1, NULL, 10), &c);
}

/* The digest of a signature algorithm; NULL when it is not known. */
static const EVP_MD *
digest_of(struct span alg)
{
	const uint8_t *p = alg.p;
	AUTO(X509_ALGOR) a = d2i_X509_ALGOR(NULL, &p, (long)alg.n);
	const ASN1_OBJECT *oid;
	int md = NID_undef, key = NID_undef;

	if (a == NULL)
		return NULL;
	X509_ALGOR_get0(&oid, NULL, NULL, a);
	if (OBJ_find_sigid_algs(OBJ_obj2nid(oid), &md, &key) != 1)
		return NULL;
	return EVP_get_digestbynid(md);
}

bool
crl_told_signed(
    EVP_PKEY *key, struct span tbs, struct span alg, struct span signature)
{
	AUTO(EVP_MD_CTX) ctx = EVP_MD_CTX_new();
	const EVP_MD *md = digest_of(alg);

	return ctx != NULL && md != NULL &&
	       EVP_DigestVerifyInit(ctx, NULL, md, NULL, key) == 1 &&
	       EVP_DigestVerify(ctx, signature.p, signature.n, tbs.p, tbs.n) ==
		   1;
}
