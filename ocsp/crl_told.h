/*
 * Whose a list is, and whether it is the one that its row in the database
 * tells.  The row is the word of whoever may write to the database; the list is
 * the issuer's.
 */
#ifndef OCSP_CRL_TOLD_H
#define OCSP_CRL_TOLD_H

#include <stdbool.h>
#include <stdint.h>

#include <openssl/evp.h>

#include "base/settings.h"
#include "base/span.h"
#include "db/store_crl.h"
#include "hsm/crlcheck.h"

/*
 * Reads a CRL into 'c', which borrows from it; its number as a row has it,
 * INT64_MAX when it is larger.  0: it is no CRL.
 */
int64_t crl_told_number(struct span crl, struct crlcheck *c);

/*
 * Whether number and scope (complete or delta, the whole or which partition)
 * are those of the row: an older list, or that of another scope, must not take
 * the place of this one.  The signature is not looked at.
 */
bool crl_told(const struct settings_issuer *s, const struct store_crl *row,
    struct span crl);

/* Whether the parts that tosign_unwrap finds are signed with the key. */
bool crl_told_signed(
    EVP_PKEY *key, struct span tbs, struct span alg, struct span signature);

#endif
