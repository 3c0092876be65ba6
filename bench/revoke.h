/*
 * How long after its commit a revocation is known to the world: in OCSP, on
 * the primary or on a replica, and on a CRL.  Failures end the process.
 */
#ifndef BENCH_REVOKE_H
#define BENCH_REVOKE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"

/* Times of so many revocations, in microseconds; sorted by revoke_sort. */
struct revoke_times {
	int64_t *us;
	size_t n;
};

/* Makes room for 'n' in the arena. */
struct revoke_times revoke_times_new(struct arena *a, size_t n);
void revoke_sort(struct revoke_times *t);

/* Of sorted times: what 'percent' of all took at most, in ms. */
double revoke_ms(const struct revoke_times *t, unsigned percent);

struct revoke_ocsp {
	bool replica; /* chancery-ocspd reads one */
	bool full;    /* the other clients ask as fast as they can */
	/* out */
	struct revoke_times commit; /* the revocation's own transaction */
	struct revoke_times seen;   /* from its end to "revoked" over HTTP */
	double per_s, load_p99_ms;  /* answers to the other clients */
	double rss_mb;              /* of chancery-ocspd */
};

/* Revokes 'n' certificates one after the other; times in the arena. */
void revoke_ocsp(struct arena *a, size_t n, struct revoke_ocsp *out);

struct revoke_crl {
	struct revoke_times seen; /* nothing else was going on */
	struct revoke_times any;  /* one after the other, at any moment */
	struct revoke_times read; /* all rows were just being read */
	double rss_mb;            /* of chancery-pubd */
};

/* Of a list of so many entries, 'n' times each. */
#define REVOKE_CRL_MAX 7
void revoke_crl(
    struct arena *a, long entries, size_t n, struct revoke_crl *out);

#endif
