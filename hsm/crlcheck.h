/*
 * Reads a TBSCertList (RFC 5280 5.1) that another process offers in a sealed
 * memfd: strict DER, bounds-checked, in one pass over the mapping and with
 * a fixed amount of memory.  It says what the list says; whether that may be
 * signed is judged in sign_policy and crlfloor.
 */
#ifndef HSM_CRLCHECK_H
#define HSM_CRLCHECK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/span.h"

/* The longest list: some twelve million entries. */
#define CRLCHECK_MAX ((size_t)512 * 1024 * 1024)

#define CRLCHECK_NUMBER_MAX 20
#define CRLCHECK_URLS_MAX 16

/* CRLReason removeFromCRL. */
#define CRLCHECK_REMOVE 8

/* URLs of one or more distribution points. */
struct crlcheck_urls {
	struct span url[CRLCHECK_URLS_MAX];
	size_t n;
};

/* What stands around the entries; borrows from the bytes. */
struct crlcheck {
	struct span sig_alg, issuer; /* DER */
	int64_t this_update, next_update;
	struct span aki;    /* the extension's value */
	struct span number; /* without leading zeros; 1 to 20 octets */
	bool delta;
	struct span base; /* of a delta */
	bool has_idp;
	struct span idp; /* the extension's value */
	struct crlcheck_urls point, freshest;
	bool keeps_expired;      /* expiredCertsOnCRL */
	size_t entries, removed; /* removed: removeFromCRL among them */
	struct span list;        /* the entries' octets */
};

/*
 * Reads the whole list.  MALFORMED: not DER, not v2, without nextUpdate, AKI
 * or cRLNumber; a time in the wrong form; serials that do not ascend (bytes,
 * then length); an extension beyond those of struct crlcheck, one that stands
 * there twice or with the wrong criticality; removeFromCRL in a complete
 * list; an issuingDistributionPoint that says more than a full name of URLs.
 */
int crlcheck_read(
    struct span der, struct crlcheck *out, struct err *e) MUST_USE;

/* One entry of a list that crlcheck_read has accepted. */
struct crlcheck_entry {
	struct span serial; /* INTEGER contents octets */
	int reason;         /* -1: none */
};

/* Takes the next entry off the front of 'list'; false at the end. */
bool crlcheck_next(struct span *list, struct crlcheck_entry *out);

/*
 * The same for the serial alone: quicker, since nothing is judged again.  An
 * entry that crlcheck_next takes is shorter than 128 octets.
 */
bool crlcheck_next_serial(struct span *list, struct span *serial);

/* Orders numbers without leading zeros: below, equal to or above 0. */
int crlcheck_number_cmp(struct span a, struct span b);

/*
 * Maps the memfd, whose bytes nobody can change any more: MALFORMED unless
 * it is sealed against shrinking, growing and writing and of a possible size.
 */
int crlcheck_map(int fd, struct span *out, struct err *e) MUST_USE;
void crlcheck_unmap(struct span bytes);

#endif
