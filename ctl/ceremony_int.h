/*
 * What the ceremonies share: the file, the signer, the transcript.
 */
#ifndef CTL_CEREMONY_INT_H
#define CTL_CEREMONY_INT_H

#include "base/buf.h"
#include "base/conf.h"
#include "ctl/ceremony_conf.h"
#include "ctl/ctl.h"

struct ceremony {
	struct arena *a;
	const struct conf *conf;
	const struct ceremony_conf *in;
	const char *dir;     /* of the file */
	const char *scratch; /* for what signd reads and writes */
	const char *signd;
	struct buf transcript;
	struct err *e;
};

/* What is done between the two ends of a transcript; -1 with 'x->e' set. */
typedef int ceremony_steps(struct ceremony *x, void *arg);

/*
 * Loads the file, runs the steps and writes the transcript, whatever
 * happened.
 */
int ceremony_with(struct ctl *c, const char *file, ceremony_steps *steps,
    void *arg, struct err *e) MUST_USE;

/* A path of the file: relative ones are relative to its directory. */
const char *ceremony_path(const struct ceremony *x, const char *path);

/* The path of a file in the scratch directory. */
const char *ceremony_scratch(const struct ceremony *x, const char *name);

/* A line of the transcript, and what follows it (or NULL). */
void ceremony_say(struct ceremony *x, const char *what, const char *detail);

/* The authority of that name, or NULL. */
const struct ceremony_authority *ceremony_authority(
    const struct ceremony *x, const char *name);

/*
 * Has the signer do 'verb' with this key; 'lines' of "name=value" say the
 * rest.  REFUSED: it says no.
 */
int ceremony_call(struct ceremony *x, const struct ceremony_key *k,
    const char *verb, const char *lines) MUST_USE;

#endif
