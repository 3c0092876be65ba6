/*
 * The signer's own record of what it signed: one append-only, hash-chained
 * file per slot.  A record is written before its signature leaves.
 *
 * A record (big endian; block = 32-bit length and bytes):
 *
 *   u32   length of the whole record
 *   u8    type: 1 signature, 2 bar, 3 refusal
 *   u8    slot octet
 *   u64   sequence number, from 1, without gaps
 *   i64   time in microseconds since 1970
 *   u64   offset of the last bar before this record, or all ones
 *   32    head of the record before; zeros in the first
 *   ...   body
 *   32    head: SHA-256 of everything above
 *   u32   the length again, so that the file reads backwards
 *
 * Body of a signature: u8 kind, u8 role, block class, block key, block
 * request id, 32 profile hash, block serial, 32 SHA-256 of the TBS, block
 * TBS, block signature.  A CRL has no serial, and in place of its TBS stand
 * u64 bytes, u64 entries, i64 thisUpdate, i64 nextUpdate, block number, block
 * base number (empty: complete), block issuingDistributionPoint.  Of a bar: 32
 * TBS hash, which is never signed from then on.  Of a refusal: u32 refusals
 * left out before it, u8 role, block request id, block reason.
 *
 * In memory: the signatures of the horizon, beyond which no notBefore is
 * accepted, and all bars (they form a list through the file).
 */
#ifndef HSM_SIGN_LOG_H
#define HSM_SIGN_LOG_H

#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/err.h"
#include "base/span.h"
#include "hsm/sign_client.h"

/* A clock this far before the last record stops signing. */
#define SIGN_LOG_CLOCK_S 5

/* Refusals recorded one by one in a minute; the rest is counted. */
#define SIGN_LOG_REFUSALS 20

enum sign_log_type {
	SIGN_LOG_SIGNATURE = 1,
	SIGN_LOG_BAR = 2,
	SIGN_LOG_REFUSAL = 3
};

struct sign_log;

struct sign_log_conf {
	const char *path;
	uint8_t slot;
	int64_t horizon_s;
};

/*
 * Opens or creates the log, checks the chain over the horizon and cuts off a
 * torn end: '*cut' is its bytes, for the caller to log.  UNAVAILABLE: in use
 * by another process, or an input/output error; INTERNAL: damaged.
 */
int sign_log_open(const struct sign_log_conf *conf, struct sign_log **out,
    uint64_t *cut, struct err *e) MUST_USE;

/* Brings everything to disk and closes. */
void sign_log_close(struct sign_log *l);

/* The sequence number of the last record. */
uint64_t sign_log_seq(const struct sign_log *l);

/* UNAVAILABLE when the clock is too far before the last record. */
int sign_log_clock_check(const struct sign_log *l, struct err *e) MUST_USE;

/* SHA-256. */
int sign_log_hash(struct sign_log *l, struct span data,
    uint8_t hash[SIGN_HASH_SIZE], struct err *e) MUST_USE;

struct sign_log_query {
	const uint8_t *tbs_hash;
	struct span serial; /* sign_log_find */
	int64_t since;      /* sign_log_recall: not signed before then */
};

/*
 * Whether a TBS with this hash and serial has been signed: then '*found' and
 * 'out' is what was signed, in the arena.  REFUSED: the hash is barred, or
 * the serial belongs to another TBS.
 */
int sign_log_find(struct sign_log *l, struct arena *a,
    const struct sign_log_query *q, bool *found, struct sign_reply *out,
    struct err *e) MUST_USE;

/* One signature. */
struct sign_log_entry {
	enum sign_kind kind;
	int role; /* enum sign_role */
	const char *class, *key, *request_id;
	const uint8_t *profile_hash, *tbs_hash;
	struct span serial, tbs, signature;
	bool sync; /* to disk before returning */
};

/* Appends a signature; UNAVAILABLE when it cannot be written. */
int sign_log_add(struct sign_log *l, const struct sign_log_entry *entry,
    struct sign_receipt *receipt, struct err *e) MUST_USE;

/*
 * What was signed at or after 'since' under this hash; when nothing was,
 * '*found' is false and a bar record is on disk.
 */
int sign_log_recall(struct sign_log *l, struct arena *a,
    const struct sign_log_query *q, bool *found, struct sign_reply *out,
    struct err *e) MUST_USE;

/* Records a refusal, or counts it. */
int sign_log_refuse(struct sign_log *l, int role, const char *request_id,
    const char *reason, struct err *e) MUST_USE;

/*
 * When sign_log_tick is to be called, as clock_mono_us; -1: nothing waits.
 * It brings leaves to disk (within 100 ms) and counts of refusals.
 */
int64_t sign_log_due_us(const struct sign_log *l);
int sign_log_tick(struct sign_log *l, struct err *e) MUST_USE;

/* What a whole log holds. */
struct sign_log_summary {
	uint64_t records, signatures, bars, refusals;
	uint8_t head[SIGN_HASH_SIZE];
};

/* Reads the file from its start; INTERNAL says at which offset it is wrong. */
int sign_log_verify(
    const char *path, struct sign_log_summary *out, struct err *e) MUST_USE;

#endif
