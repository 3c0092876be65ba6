/*
 * PKCS#10 (RFC 2986) into the neutral form of request.h.  The proof of
 * possession is checked; of the requested extensions only subjectAltName and
 * the TLS feature are read, everything else is the profile's to decide.  Of
 * the attributes, challengePassword and ChangeSubjectName are read too.
 */
#ifndef CA_CSR_H
#define CA_CSR_H

#include "base/arena.h"
#include "base/err.h"
#include "base/span.h"
#include "ca/request.h"

/* The largest request in DER. */
#define CSR_MAX ((size_t)32 * 1024)

/*
 * Reads a request in DER and checks its signature.  'out' borrows from 'der'
 * and from the arena.  MALFORMED: not PKCS#10; BAD_KEY, BAD_POP: key or
 * signature; REFUSED: names of a kind that is not supported.
 */
int csr_parse(struct arena *a, struct span der, struct request_want *out,
    struct err *e) MUST_USE;

/*
 * As csr_parse for a request whose key is going to be made here: key and
 * signature are ignored (RFC 7030 4.4.1) and 'out->spki' stays empty.
 */
int csr_parse_keyless(struct arena *a, struct span der,
    struct request_want *out, struct err *e) MUST_USE;

/* As csr_parse, but takes PEM ("CERTIFICATE REQUEST") or DER. */
int csr_parse_any(struct arena *a, struct span bytes, struct request_want *out,
    struct err *e) MUST_USE;

#endif
