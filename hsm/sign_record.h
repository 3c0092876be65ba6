/* The records of hsm/sign_log.h: encoding, decoding, reading from a file. */
#ifndef HSM_SIGN_RECORD_H
#define HSM_SIGN_RECORD_H

#include <stdbool.h>
#include <stdint.h>

#include <openssl/evp.h>

#include "base/buf.h"
#include "base/err.h"
#include "hsm/sign_log.h"

#define SIGN_RECORD_MIN ((size_t)98)
#define SIGN_RECORD_MAX ((size_t)192 * 1024)
#define SIGN_RECORD_NO_BAR UINT64_MAX

struct sign_record {
	uint32_t length;
	uint8_t type, slot;
	uint64_t seq, bar;
	int64_t time_us;
	uint8_t prev[SIGN_HASH_SIZE], head[SIGN_HASH_SIZE];
	/* signature: all; bar: tbs_hash */
	uint8_t kind; /* enum sign_kind */
	struct span serial, tbs, signature;
	uint8_t tbs_hash[SIGN_HASH_SIZE];
};

/* One SHA-256 with what is kept between calls. */
struct sign_hasher {
	EVP_MD *md;
	EVP_MD_CTX *ctx;
};

/* Fetches the digest once; INTERNAL when libcrypto has none. */
int sign_hasher_init(struct sign_hasher *h, struct err *e) MUST_USE;

/* Frees what sign_hasher_init made. */
void sign_hasher_clear(struct sign_hasher *h);

/* SHA-256 of 'data'; false: libcrypto failed. */
bool sign_hasher_run(
    struct sign_hasher *h, struct span data, uint8_t out[SIGN_HASH_SIZE]);

/* Starts a record in 'b' (reset first) from the header fields of 'r'. */
void sign_record_begin(struct buf *b, const struct sign_record *r);

/* Ends it: fills in both lengths and 'head'; false: too large. */
bool sign_record_end(
    struct sign_hasher *h, struct buf *b, uint8_t head[SIGN_HASH_SIZE]);

/* Decodes and checks the hash; 'r' borrows from 'bytes'.  False: damaged. */
bool sign_record_parse(
    struct sign_hasher *h, struct span bytes, struct sign_record *r);

/*
 * Reads the record that ends or starts at 'offset' of a file of 'size'
 * bytes into 'b'; false: there is none, or it is damaged.
 */
bool sign_record_read_back(struct sign_hasher *h, int fd, uint64_t offset,
    struct buf *b, struct sign_record *r);
bool sign_record_read(struct sign_hasher *h, int fd, uint64_t offset,
    struct buf *b, struct sign_record *r);

#endif
