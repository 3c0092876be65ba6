#include "ocsp/authority.h"

#include <string.h>

#include <openssl/evp.h>

#include "hsm/tosign.h"

static const EVP_MD *
digest_of(enum ocsp_hash h)
{
	switch (h) {
	case OCSP_HASH_SHA256:
		return EVP_sha256();
	case OCSP_HASH_SHA384:
		return EVP_sha384();
	case OCSP_HASH_SHA512:
		return EVP_sha512();
	default:
		return EVP_sha1();
	}
}

int
authority_init(struct arena *a, const char *name, struct span cert,
    struct authority *out, struct err *e)
{
	struct span tbs, alg, signature;
	struct tosign_spki spki;
	struct tosign_cert c;
	enum ocsp_hash h;
	int ok;

	*out = (struct authority){ .name = name, .cert = cert };
	if (tosign_unwrap(cert, &tbs, &alg, &signature, e) == -1 ||
	    tosign_cert_read(a, tbs, &c, e) == -1 ||
	    tosign_spki_parse(c.spki, &spki, e) == -1)
		return err_prefix(e, "issuer \"%s\"", name);
	out->not_before = c.not_before;
	out->not_after = c.not_after;
	ok = EVP_Digest(
	    c.spki.p, c.spki.n, out->spki_sha256, NULL, EVP_sha256(), NULL);
	for (h = 0; h < OCSP_HASH__COUNT; h++)
		ok &= EVP_Digest(c.subject.p, c.subject.n, out->name_hash[h],
			  NULL, digest_of(h), NULL) &
		      EVP_Digest(spki.key.p, spki.key.n, out->key_hash[h], NULL,
			  digest_of(h), NULL);
	return ok == 1 ? 0 : err_set(e, ERR_INTERNAL, "no digest");
}

int
authority_find(
    const struct authority *list, size_t n, const struct ocsp_certid *id)
{
	size_t size = ocsp_hash_size(id->hash), i;

	if (size == 0 || id->name_hash.n != size || id->key_hash.n != size)
		return -1;
	for (i = 0; i < n; i++) {
		if (memcmp(list[i].key_hash[id->hash], id->key_hash.p, size) ==
			0 &&
		    memcmp(list[i].name_hash[id->hash], id->name_hash.p,
			size) == 0)
			return (int)i;
	}
	return -1;
}
