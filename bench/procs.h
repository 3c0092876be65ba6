/*
 * What processes cost: CPU time and memory of a process and its children, as
 * /proc tells.
 */
#ifndef BENCH_PROCS_H
#define BENCH_PROCS_H

#include <stdint.h>
#include <sys/types.h>

struct procs {
	int64_t cpu_us; /* user and system time, that of ended children too */
	double rss_mb;  /* pages shared with others count by their share */
};

/* The process 'pid' and its children. */
void procs_tree(pid_t pid, struct procs *out);

/* This process alone; its CPU time to the microsecond. */
void procs_self(struct procs *out);

#endif
