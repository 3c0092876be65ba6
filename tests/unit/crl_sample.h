/* CRLs that tests sign with a key of their own. */
#ifndef TESTS_CRL_SAMPLE_H
#define TESTS_CRL_SAMPLE_H

#include <openssl/evp.h>

#include "base/arena.h"
#include "base/span.h"
#include "crl/crl_build.h"

/* The URL of the only point that the samples know. */
#define CRL_SAMPLE_URL "http://crl.test/ca.crl"

/* A head with "CN=T", key id 01020304, P-256, and a day of validity. */
struct crl_head crl_sample_head(int64_t this_update);

/* Builds a list of 'n' entries with the serials 1, 2, ... of 8 octets. */
struct crl_built crl_sample_build(const struct crl_head *head, size_t n);

/* The same with the serials from 'first' on. */
struct crl_built crl_sample_from(
    const struct crl_head *head, size_t first, size_t n);

/* The bytes of a built list, in the arena. */
struct span crl_sample_bytes(struct arena *a, const struct crl_built *built);

/* The SIGNED list under 'key', DER in the arena. */
struct span crl_sample_sign(
    struct arena *a, EVP_PKEY *key, const struct crl_built *built);

#endif
