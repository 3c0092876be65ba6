/*
 * A fuzz target is one function, which libFuzzer calls (--enable-fuzzers) or
 * tests/fuzz/main.c with every file of tests/fuzz/corpus/TARGET/.
 */
#ifndef TESTS_FUZZ_FUZZ_H
#define TESTS_FUZZ_FUZZ_H

#include <stddef.h>
#include <stdint.h>

/* Parses the bytes; returns 0.  Must not crash, leak or hang. */
int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n);

#endif
