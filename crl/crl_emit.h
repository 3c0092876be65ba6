/*
 * Makes a built list public: has it signed, verifies the signature, records
 * number and bytes in one transaction, and writes the file that a hook gets.
 */
#ifndef CRL_CRL_EMIT_H
#define CRL_CRL_EMIT_H

#include "ca/enroll.h"
#include "crl/crl_round.h"

struct crl_emit {
	struct ctx *ctx;
	const struct issuer *issuer;
	int64_t epoch;    /* of the lease */
	const char *dir;  /* for files, or NULL: none are written */
	const char *path; /* out: the file, in the arena of 'ctx' */
};

/*
 * Publishes 'l'.  REFUSED: the signer says no; UNAVAILABLE: signer or
 * database down, or the lease is lost.  The list before it stays public then.
 */
int crl_emit(struct crl_emit *x, struct crl_list *l, struct err *e) MUST_USE;

#endif
