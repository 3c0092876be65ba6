/* SHA-256 of bytes at hand. */
#ifndef BASE_SHA256_H
#define BASE_SHA256_H

#include <stdint.h>

#include "base/span.h"

#define SHA256_SIZE 32

/* Never fails: a process whose libcrypto has no SHA-256 ends. */
void sha256(struct span data, uint8_t out[SHA256_SIZE]);

#endif
