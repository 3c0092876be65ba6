/*
 * One certificate, or a key, by whatever a person has at hand.
 */
#ifndef CTL_FIND_H
#define CTL_FIND_H

#include "ctl/ctl.h"
#include "db/store_cert.h"

/*
 * Finds by file (PEM), SHA-256 fingerprint (64 hex digits), row id (decimal)
 * or serial (hex, with or without colons; of 'issuer', or of any issuer when
 * that is NULL).  Names may be missing.  NOT_FOUND; CONFLICT: several issuers
 * have this serial.
 */
int find_cert(struct ctl *c, const char *what, const char *issuer,
    struct store_cert *out, struct err *e) MUST_USE;

/*
 * The SHA-256 of a public key: from 64 hex digits, or from a PEM file as
 * keyhash_pem reads it.  NOT_FOUND: neither; MALFORMED: the file has no key.
 */
int find_key(
    struct ctl *c, const char *what, struct span *hash, struct err *e) MUST_USE;

/* A certificate as JSON, with its PEM. */
json_t *find_json(struct ctl *c, const struct store_cert *row);

#endif
