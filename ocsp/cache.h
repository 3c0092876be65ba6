/*
 * Answers that were made before: a fixed number of them, found by what was
 * asked.  An answer counts only while the certificate's status is the one it
 * was made from, so a change of status makes it void at once.  When there is
 * no free place, an answer gets one from another that is still good only when
 * it was asked for twice lately.  A thread that would have to wait for another
 * one finds nothing instead.
 */
#ifndef OCSP_CACHE_H
#define OCSP_CACHE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/span.h"

#define CACHE_KEY_MAX 192

struct cache;

/* Room for at most 'entries' values; 'drop' frees one. */
struct cache *cache_new(size_t entries, void (*drop)(void *value));
void cache_free(struct cache *c);

/*
 * Calls 'use' with the value of the key if it was made from the status that
 * 'word' stands for and is fresh at 'now'; else returns false.  'use' is
 * short: the value stays until it returns.
 */
struct cache_ask {
	struct span key;
	uint64_t word;
	int64_t now;
};
bool cache_use(struct cache *c, const struct cache_ask *ask,
    void (*use)(void *arg, void *value), void *arg);

/*
 * Puts a value in, which the cache owns from now on, also when it has no
 * room for it and drops it.  It is fresh before 'fresh_until'.
 */
void cache_put(struct cache *c, const struct cache_ask *ask,
    int64_t fresh_until, void *value);

/* Values held now. */
size_t cache_count(const struct cache *c);

#endif
