/*
 * The options that `issue` and `profile test` share: which request, under
 * which profile.
 */
#ifndef CTL_CSR_OPTS_H
#define CTL_CSR_OPTS_H

#include <stdbool.h>
#include <stdint.h>

#include "ca/request.h"
#include "ctl/ctl.h"

#define CSR_OPTS_SANS_MAX 100

struct csr_opts {
	const char *profile, *issuer, *txn, *out, *file;
	const char *sans[CSR_OPTS_SANS_MAX];
	size_t n_sans;
	int64_t valid_for_s; /* 0: as the profile says */
	bool chain;
};

/* Reads the options; CTL_USAGE when they are wrong. */
int csr_opts_parse(struct ctl *c, int argc, char **argv, struct csr_opts *out);

/*
 * Reads the request file ("-": standard input) and makes an operator's
 * request of it.  Names given by option are added to those of the file.
 */
int csr_opts_request(struct ctl *c, const struct csr_opts *o,
    struct request *out, struct err *e) MUST_USE;

#endif
