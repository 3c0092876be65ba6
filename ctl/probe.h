/*
 * What is there and what answers: for `status` and `check`.
 */
#ifndef CTL_PROBE_H
#define CTL_PROBE_H

#include <stdbool.h>

#include "ctl/ctl.h"

#define PROBE_LINES_MAX 32

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

/* The running parts: supervisor, database, each slot of the signer. */
void probe_running(struct ctl *c, struct probe *out);

/* The published CRLs: there, and in time. */
void probe_crls(struct ctl *c, struct probe *out);

/* The files: issuers, profiles, keys.yaml, secrets, ports. */
void probe_files(struct ctl *c, struct probe *out);

#endif
