/* PKCS#10 requests made beforehand, as clients would send them. */
#ifndef BENCH_CSRS_H
#define BENCH_CSRS_H

#include <stddef.h>

#include <openssl/types.h>

#include "base/arena.h"
#include "base/span.h"

/*
 * 'n' requests of as many P-256 keys for as many names below "bench.test",
 * common name and alternative name the same; DER in the arena.
 */
struct span *csrs_make(struct arena *a, size_t n);

/* One of this P-256 key for this name, both as common and alternative name. */
struct span csr_make(struct arena *a, EVP_PKEY *key, const char *name);

#endif
