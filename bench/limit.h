/*
 * What no issuance can do without: one signature by the token and one proof
 * of possession, nothing around them.
 */
#ifndef BENCH_LIMIT_H
#define BENCH_LIMIT_H

#include "base/err.h"
#include "base/span.h"
#include "hsm/token.h"

/* CPU time of one operation, in microseconds. */
struct limit {
	double sign_us;   /* C_SignInit and C_Sign over a digest */
	double verify_us; /* EVP_PKEY_fromdata and EVP_DigestVerify */
};

/*
 * Measures both for 'seconds' each in this thread: signatures with the P-256
 * key that 'key' names on the opened token, proofs with the PKCS#10 request
 * 'csr' (DER) of a P-256 key.
 */
int limit_measure(struct token *token, const struct token_uri *key,
    struct span csr, int seconds, struct limit *out, struct err *e) MUST_USE;

#endif
