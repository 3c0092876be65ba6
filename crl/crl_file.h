/*
 * Reads a complete CRL that anybody may have made, from a file: for lists
 * that were signed elsewhere.  Small ones: everything is in memory.
 */
#ifndef CRL_CRL_FILE_H
#define CRL_CRL_FILE_H

#include "base/arena.h"
#include "ca/issuer.h"
#include "crl/crl_build.h"

#define CRL_FILE_MAX ((size_t)64 * 1024 * 1024)

struct crl_file {
	struct span der;
	struct span issuer; /* Name, DER */
	struct span number; /* unsigned, big endian, no leading zeros */
	int64_t this_update, next_update;
	struct crl_entry *entries; /* in the order of crl_build_add */
	size_t n;
};

/*
 * Decodes DER or PEM; 'out' lives in the arena.  MALFORMED: not a version 2
 * CRL in DER, without nextUpdate or cRLNumber, a serial that is no positive
 * INTEGER of up to 20 octets or stands there twice.  REFUSED: a delta, a list
 * for some certificates only or of several issuers, a critical extension that
 * is not known.
 */
int crl_file_read(struct arena *a, struct span bytes, struct crl_file *out,
    struct err *e) MUST_USE;

/*
 * REFUSED: the list is not by this CA: name, authorityKeyIdentifier or
 * signature say so.
 */
int crl_file_verify(
    const struct crl_file *f, const struct issuer *by, struct err *e) MUST_USE;

/* Reads the file at 'path' ("-": standard input). */
int crl_file_open(struct arena *a, const char *path, struct crl_file *out,
    struct err *e) MUST_USE;

/* Puts entries into order; how many there are of a serial stays. */
void crl_file_sort(struct crl_entry *entries, size_t n);

#endif
