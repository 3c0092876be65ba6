/* Where the sources are, for what benchmarks share with the tests. */
#ifndef BENCH_TOP_H
#define BENCH_TOP_H

#include <stdlib.h>

/* The Makefile says so; checks compile without it. */
#ifndef BENCH_TOP_SRCDIR
#define BENCH_TOP_SRCDIR ".."
#endif

/* Does for a benchmark what `make check` does for tests. */
static inline void
top_find(void)
{
	(void)setenv("top_srcdir", BENCH_TOP_SRCDIR, 0);
}

#endif
