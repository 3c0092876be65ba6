/*
 * Makes a built list public: has it signed, verifies the signature, records
 * number, bytes and an audit row in one transaction, and has the file written
 * that a hook gets.
 */
#ifndef CRL_CRL_EMIT_H
#define CRL_CRL_EMIT_H

#include "base/metrics.h"
#include "ca/enroll.h"
#include "crl/crl_out.h"
#include "crl/crl_round.h"
#include "hsm/sign_client.h"

struct crl_emit {
	struct ctx *ctx;
	const struct issuer *issuer;
	int64_t epoch;       /* of the lease */
	struct crl_out *out; /* for files, or NULL: none are written */
	void *owner;         /* for crl_out_failed */
	/* how long these parts take */
	struct metric *signing, *recording;
	const char *holder; /* names this process */
	/* while it works */
	int64_t from_us;
	struct sign_receipt receipt;
};

/*
 * Publishes 'l'.  REFUSED: the signer says no; UNAVAILABLE: signer or
 * database down, or the lease is lost.  The list before it stays public then.
 */
int crl_emit(struct crl_emit *x, struct crl_list *l, struct err *e) MUST_USE;

#endif
