#include "hsm/sign_record.h"

#include <string.h>
#include <unistd.h>

#define TAIL_SIZE ((size_t)SIGN_HASH_SIZE + 4)

int
sign_hasher_init(struct sign_hasher *h, struct err *e)
{
	h->md = EVP_MD_fetch(NULL, "SHA256", NULL);
	h->ctx = EVP_MD_CTX_new();
	if (h->md == NULL || h->ctx == NULL)
		return err_set(e, ERR_INTERNAL, "libcrypto has no SHA-256");
	return 0;
}

void
sign_hasher_clear(struct sign_hasher *h)
{
	EVP_MD_CTX_free(h->ctx);
	EVP_MD_free(h->md);
}

bool
sign_hasher_run(
    struct sign_hasher *h, struct span data, uint8_t out[SIGN_HASH_SIZE])
{
	return EVP_DigestInit_ex(h->ctx, h->md, NULL) == 1 &&
	       EVP_DigestUpdate(h->ctx, data.p, data.n) == 1 &&
	       EVP_DigestFinal_ex(h->ctx, out, NULL) == 1;
}

static void
put_be32(uint8_t *p, size_t v)
{
	p[0] = (uint8_t)(v >> 24);
	p[1] = (uint8_t)(v >> 16);
	p[2] = (uint8_t)(v >> 8);
	p[3] = (uint8_t)v;
}

static uint32_t
get_be32(const uint8_t *p)
{
	return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 |
	       (uint32_t)p[2] << 8 | p[3];
}

void
sign_record_begin(struct buf *b, const struct sign_record *r)
{
	buf_reset(b);
	buf_u32(b, 0);
	buf_u8(b, r->type);
	buf_u8(b, r->slot);
	buf_u64(b, r->seq);
	buf_u64(b, (uint64_t)r->time_us);
	buf_u64(b, r->bar);
	buf_add(b, r->prev, SIGN_HASH_SIZE);
}

bool
sign_record_end(
    struct sign_hasher *h, struct buf *b, uint8_t head[SIGN_HASH_SIZE])
{
	size_t n = b->n + TAIL_SIZE;

	if (!buf_ok(b) || n > SIGN_RECORD_MAX)
		return false;
	put_be32(b->p, n);
	if (!sign_hasher_run(h, buf_get(b), head))
		return false;
	buf_add(b, head, SIGN_HASH_SIZE);
	buf_u32(b, (uint32_t)n);
	return buf_ok(b);
}

static bool
take_hash(struct span *s, uint8_t out[SIGN_HASH_SIZE])
{
	struct span h;

	if (!span_take(s, SIGN_HASH_SIZE, &h))
		return false;
	memcpy(out, h.p, SIGN_HASH_SIZE);
	return true;
}

static bool
parse_signature(struct span *s, struct sign_record *r)
{
	struct span skipped;

	return span_u8(s, &r->kind) && span_take(s, 1, &skipped) &&
	       span_block(s, &skipped) && span_block(s, &skipped) &&
	       span_block(s, &skipped) &&
	       span_take(s, SIGN_HASH_SIZE, &skipped) &&
	       span_block(s, &r->serial) && take_hash(s, r->tbs_hash) &&
	       span_block(s, &r->tbs) && span_block(s, &r->signature) &&
	       s->n == 0;
}

bool
sign_record_parse(
    struct sign_hasher *h, struct span bytes, struct sign_record *r)
{
	uint8_t sum[SIGN_HASH_SIZE];
	struct span s = bytes;
	uint64_t time_us;

	memset(r, 0, sizeof(*r));
	if (bytes.n < SIGN_RECORD_MIN || !span_u32(&s, &r->length) ||
	    r->length != bytes.n ||
	    get_be32(bytes.p + bytes.n - 4) != r->length)
		return false;
	memcpy(r->head, bytes.p + bytes.n - TAIL_SIZE, SIGN_HASH_SIZE);
	if (!sign_hasher_run(h, span_of(bytes.p, bytes.n - TAIL_SIZE), sum) ||
	    memcmp(sum, r->head, SIGN_HASH_SIZE) != 0)
		return false;
	s.n -= TAIL_SIZE;
	if (!span_u8(&s, &r->type) || !span_u8(&s, &r->slot) ||
	    !span_u64(&s, &r->seq) || !span_u64(&s, &time_us) ||
	    !span_u64(&s, &r->bar) || !take_hash(&s, r->prev))
		return false;
	r->time_us = (int64_t)time_us;
	switch (r->type) {
	case SIGN_LOG_SIGNATURE:
		return parse_signature(&s, r);
	case SIGN_LOG_BAR:
		return take_hash(&s, r->tbs_hash) && s.n == 0;
	default:
		return r->type == SIGN_LOG_REFUSAL;
	}
}

static bool
read_at(int fd, uint64_t offset, void *p, size_t n)
{
	return pread(fd, p, n, (off_t)offset) == (ssize_t)n;
}

bool
sign_record_read(struct sign_hasher *h, int fd, uint64_t offset, struct buf *b,
    struct sign_record *r)
{
	uint8_t head[4], *p;
	uint32_t n;

	if (!read_at(fd, offset, head, sizeof(head)))
		return false;
	n = get_be32(head);
	buf_reset(b);
	if (n < SIGN_RECORD_MIN || n > SIGN_RECORD_MAX)
		return false;
	p = buf_space(b, n);
	return p != NULL && read_at(fd, offset, p, n) &&
	       sign_record_parse(h, buf_get(b), r);
}

bool
sign_record_read_back(struct sign_hasher *h, int fd, uint64_t offset,
    struct buf *b, struct sign_record *r)
{
	uint8_t tail[4];
	uint32_t n;

	if (offset < SIGN_RECORD_MIN ||
	    !read_at(fd, offset - sizeof(tail), tail, sizeof(tail)))
		return false;
	n = get_be32(tail);
	return n >= SIGN_RECORD_MIN && n <= SIGN_RECORD_MAX && n <= offset &&
	       sign_record_read(h, fd, offset - n, b, r) && r->length == n;
}
