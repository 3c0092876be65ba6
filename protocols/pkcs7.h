/*
 * Certs-only CMS messages (RFC 5652, RFC 8551 3.8): SignedData without
 * signers and without content, which EST and SCEP carry certificates in.
 */
#ifndef PROTOCOLS_PKCS7_H
#define PROTOCOLS_PKCS7_H

#include <stddef.h>

#include "base/arena.h"
#include "base/err.h"
#include "base/span.h"

/* The largest message. */
#define PKCS7_MAX ((size_t)256 * 1024)

/*
 * Puts 'n' certificates (DER), in this order, into a ContentInfo in the arena.
 * INTERNAL: no certificate, or too long.
 */
int pkcs7_certs_only(struct arena *a, const struct span *certs, size_t n,
    struct span *out, struct err *e) MUST_USE;

#endif
