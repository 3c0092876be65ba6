/* How long each of many operations took: the median, the worst hundredth. */
#ifndef BENCH_LATENCY_H
#define BENCH_LATENCY_H

#include <stddef.h>
#include <stdint.h>

/* One thread's notes; zeroed at the start. */
struct latency {
	int32_t *us;
	size_t n, max;
};

struct latency_sum {
	size_t n;
	double p50_ms, p99_ms;
};

/* That an operation took so long. */
void latency_note(struct latency *l, int64_t us);

/* Adds the notes of 'from' to 'to', and frees them. */
void latency_take(struct latency *to, struct latency *from);

/* Sums up and frees the notes; zeros if there are none. */
void latency_sum(struct latency *l, struct latency_sum *out);

#endif
