/*
 * The CA certificates of the chain files: who may have signed a CRL that an
 * operator has imported.  Read once, then const.
 */
#ifndef OCSP_ROOTS_H
#define OCSP_ROOTS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/settings.h"
#include "base/span.h"

struct roots;

/* Reads what can be read of the chain files of all issuers. */
struct roots *roots_new(const struct settings *s);
void roots_free(struct roots *r);

/*
 * Whether 'crl' is a signed CRL, in DER and with nothing after it, by the one
 * among them whose SubjectPublicKeyInfo has this SHA-256.
 */
bool roots_signed(
    const struct roots *r, const uint8_t spki_sha256[32], struct span crl);

#endif
