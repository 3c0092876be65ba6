/*
 * What is there and what answers: for `status` and `check`.
 */
#ifndef CTL_PROBE_H
#define CTL_PROBE_H

#include <stdbool.h>

#include "ctl/ctl.h"

struct db;

#define PROBE_LINES_MAX 64

struct probe {
	struct {
		const char *what, *text, *advice;
		bool ok;
	} lines[PROBE_LINES_MAX];
	size_t n;
	bool ok; /* all of them */
};

/* Adds a line; texts live in the arena. */
void probe_add(struct ctl *c, struct probe *p, const char *what, bool ok,
    const char *text, const char *advice);

/* The running parts: supervisor, database, CRLs, each slot of the signer. */
void probe_running(struct ctl *c, struct probe *out);

/* The CRLs: a line for each that is late, and one for each CA without. */
void probe_crls(struct ctl *c, struct probe *out, struct db *db);

/* The files: issuers, profiles, keys.yaml, secrets, ports. */
void probe_files(struct ctl *c, struct probe *out);

#endif
