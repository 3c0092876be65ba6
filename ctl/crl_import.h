/*
 * Takes in the CRL of a CA that issues nothing here, such as a root.
 */
#ifndef CTL_CRL_IMPORT_H
#define CTL_CRL_IMPORT_H

#include "crl/crl_file.h"
#include "ctl/ctl.h"
#include "db/store_authority.h"

struct crl_import {
	const char *path, *name; /* in; the name may be NULL */
	struct crl_file file;
	struct issuer ca;
	struct store_authority row;
	int64_t number;
	bool already; /* out: this very list was there */
};

/*
 * Verifies and records the list (after ctl_engine).  Its CA is one of the
 * certificates in the chain files of chancery.yaml.  REFUSED: none of them
 * made it, it has ended or comes from the future, it is older than the one
 * recorded, or the CA is an issuer, whose lists chancery-pubd makes;
 * CONFLICT: another list has its number, or the name is taken.
 */
int crl_import(struct ctl *c, struct crl_import *x, struct err *e) MUST_USE;

#endif
