/*
 * Builds a TBSCertList (RFC 5280 section 5.1) into a sealed memfd, entry by
 * entry: a list of any length costs a fixed amount of memory beside its own
 * bytes.  Knows nothing of the database, of keys or of where a list goes.
 */
#ifndef CRL_CRL_BUILD_H
#define CRL_CRL_BUILD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/span.h"
#include "ca/profile.h"

/* A time that is not there. */
#define CRL_NO_TIME INT64_MIN

/* CRLReason removeFromCRL, RFC 5280 5.3.1: in delta CRLs alone. */
#define CRL_REMOVE_FROM_CRL 8

/* One entry of revokedCertificates. */
struct crl_entry {
	struct span serial; /* INTEGER contents octets */
	int64_t revoked_at; /* seconds */
	int reason;         /* CRLReason; 0 and -1: none is written */
	int64_t invalidity_at;
};

/* What stands around the entries; borrowed until crl_build_end. */
struct crl_head {
	struct span sig_alg, issuer; /* AlgorithmIdentifier and Name, DER */
	struct span key_id;          /* of the issuer, for the AKI */
	struct span number;          /* cRLNumber, unsigned, big endian */
	struct span base;            /* of a delta CRL: BaseCRLNumber */
	int64_t this_update, next_update;
	/* a critical issuingDistributionPoint, unless there are none */
	struct profile_strings point_urls;
	struct profile_strings freshest_urls; /* complete lists only */
	int64_t expired_since; /* expiredCertsOnCRL, or CRL_NO_TIME */
};

/* Whether these are the contents octets of an INTEGER above 0 (or of it). */
bool crl_build_is_serial(struct span s);

/* Whether a time can stand in an entry: 1970 to 9999. */
bool crl_build_is_time(int64_t t);

struct crl_build;

/* Starts a list; UNAVAILABLE: no memory file. */
int crl_build_new(const struct crl_head *head, struct crl_build **out,
    struct err *e) MUST_USE;

/*
 * Appends an entry.  Serials ascend strictly (bytes, then length), so that
 * none stands there twice.  MALFORMED: an entry that cannot be encoded.
 */
int crl_build_add(
    struct crl_build *b, const struct crl_entry *entry, struct err *e) MUST_USE;

/* Entries of a list that was built before, as they stand there. */
struct crl_run {
	struct span der;
	size_t entries;
	struct span last; /* the last one's serial; empty: none follows */
};

/*
 * Appends them as they are; the caller knows that they are entries for such a
 * list.  MALFORMED: the first serial does not ascend.
 */
int crl_build_copy(
    struct crl_build *b, const struct crl_run *run, struct err *e) MUST_USE;

/* A finished list: a memfd sealed against any change, which the caller closes.
 */
struct crl_built {
	int fd;
	size_t size, entries;
	size_t at, bytes; /* where the entries' octets are in it */
};

/* Completes and seals. */
int crl_build_end(
    struct crl_build *b, struct crl_built *out, struct err *e) MUST_USE;

/* Appends identifier and length octets of a SEQUENCE of 'n' octets. */
void crl_build_open(struct buf *b, size_t n);

/* Frees what crl_build_new made; the memfd of crl_build_end stays. */
void crl_build_free(struct crl_build *b);

#endif
