/*
 * Writes published lists as files for the hook, in a thread of its own: the
 * next list need not wait for a disk or for the hook.  One file at a time, so
 * that no more than one list is kept in memory for it.
 */
#ifndef CRL_CRL_OUT_H
#define CRL_CRL_OUT_H

#include <stdbool.h>

#include "base/err.h"
#include "base/span.h"
#include "crl/hook.h"

struct crl_out;

/* For files in 'dir', told to 'hook'; both outlive it. */
int crl_out_new(const char *dir, struct hook *hook, struct crl_out **out,
    struct err *e) MUST_USE;

/* Waits for the file that is being written. */
void crl_out_free(struct crl_out *o);

/* A list: 'front', the sealed memory file, 'tail'; all borrowed. */
struct crl_out_job {
	void *owner; /* given back when it fails */
	const char *issuer, *scope;
	struct span front, tail;
	int fd;
	size_t size;
};

/*
 * Writes DIR/ISSUER.SCOPE.crl and runs the hook, without waiting but for the
 * file before this one.  UNAVAILABLE: it cannot even begin.
 */
int crl_out_put(
    struct crl_out *o, const struct crl_out_job *job, struct err *e) MUST_USE;

/* The owner of the file that failed since the last call and why, or NULL. */
void *crl_out_failed(struct crl_out *o, struct err *why);

#endif
