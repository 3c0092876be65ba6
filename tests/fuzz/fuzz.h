/* The entry point of every fuzz target, as libFuzzer wants it. */
#ifndef TESTS_FUZZ_H
#define TESTS_FUZZ_H

#include <stddef.h>
#include <stdint.h>

/* Takes one input; returns 0.  A finding is a crash. */
int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n);

#endif
