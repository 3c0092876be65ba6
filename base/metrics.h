/*
 * Counters and histograms in the Prometheus text format (version 0.0.4).
 * Metrics are made at start and live as long as the process; counting is one
 * atomic addition and takes no lock.
 */
#ifndef BASE_METRICS_H
#define BASE_METRICS_H

#include <stdint.h>

#include "base/buf.h"

struct metric;

/*
 * The counter 'name' with these labels (such as "stage=\"sign\"", or NULL);
 * the same name and labels give the same counter.  Strings are copied.  Running
 * out of memory ends the process.
 */
struct metric *metrics_counter(
    const char *name, const char *help, const char *labels);

/* As metrics_counter, a histogram of seconds from 100 us to 10 s. */
struct metric *metrics_histogram(
    const char *name, const char *help, const char *labels);

/* As metrics_counter, a value that goes up and down. */
struct metric *metrics_gauge(
    const char *name, const char *help, const char *labels);

/* Sets a gauge. */
void metric_set(struct metric *m, uint64_t value);

/* Adds to a counter. */
void metric_add(struct metric *m, uint64_t n);

/* Takes a duration in microseconds into a histogram. */
void metric_observe_us(struct metric *m, int64_t us);

/* Appends all metrics as text. */
void metrics_render(struct buf *b);

#endif
