/*
 * The CRL of an authority whose key is offline: made by hand, for a year.
 */
#ifndef CTL_CEREMONY_CRL_H
#define CTL_CEREMONY_CRL_H

#include "ctl/ctl.h"

#define CEREMONY_REVOKED_MAX 256

struct ceremony_revoked {
	const char *what; /* serial in hex, or a PEM file */
	int reason;       /* CRLReason; -1: none */
};

struct ceremony_crl {
	const char *file;     /* ceremony.yaml(5) */
	const char *name;     /* of the authority there */
	const char *out;      /* written: the CRL, DER */
	const char *previous; /* the one before, whose entries stay; or NULL */
	int64_t valid_for_s;
	struct ceremony_revoked revoked[CEREMONY_REVOKED_MAX];
	size_t n_revoked;
};

/*
 * Makes the list and has the signer's offline mode sign it, with a
 * transcript.  Its number is the time, or the previous one and one if that is
 * greater.  REFUSED: the previous list is not by this authority, a certificate
 * that is to be revoked neither, or the signer says no.
 */
int ceremony_crl(
    struct ctl *c, const struct ceremony_crl *want, struct err *e) MUST_USE;

/*
 * Reads "SERIAL", "SERIAL=reason" or the same with a file instead of the
 * serial into the next place of 'want'.  MALFORMED.
 */
int ceremony_crl_revoke(struct arena *a, struct ceremony_crl *want,
    const char *text, struct err *e) MUST_USE;

#endif
