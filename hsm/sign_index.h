/*
 * What the signature log remembers in memory: serials and TBS hashes with
 * the place of their record.  Two generations, so that forgetting costs
 * nothing: an entry is there for at least the horizon and at most twice it.
 */
#ifndef HSM_SIGN_INDEX_H
#define HSM_SIGN_INDEX_H

#include <stdint.h>

#include "base/span.h"
#include "hsm/sign_client.h"

#define SIGN_INDEX_SERIAL_MAX 20

struct sign_index;

struct sign_index_entry {
	uint8_t tbs_hash[SIGN_HASH_SIZE];
	uint8_t serial[SIGN_INDEX_SERIAL_MAX];
	uint8_t serial_n;
	uint64_t offset; /* of the record */
};

/* An empty index whose entries live for 'horizon_s'; NULL: no memory. */
struct sign_index *sign_index_new(int64_t horizon_s);
void sign_index_free(struct sign_index *x);

/* Adds an entry made at 'now_s'; false: no memory. */
bool sign_index_add(
    struct sign_index *x, const struct sign_index_entry *entry, int64_t now_s);

/* The entry with this hash or serial, or NULL; borrowed until the next add. */
const struct sign_index_entry *sign_index_hash(
    const struct sign_index *x, const uint8_t tbs_hash[SIGN_HASH_SIZE]);
const struct sign_index_entry *sign_index_serial(
    const struct sign_index *x, struct span serial);

/*
 * The lowest offset of an entry; every signature from there on is in the
 * index.  UINT64_MAX when it is empty.
 */
uint64_t sign_index_lowest(const struct sign_index *x);

#endif
