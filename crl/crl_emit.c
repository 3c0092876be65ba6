#include "crl/crl_emit.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <sys/mman.h>

#include <openssl/evp.h>

#include "base/auto.h"
#include "base/b64.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/der.h"
#include "db/writer.h"
#include "hsm/sign_client.h"

#define TAIL_MAX ((size_t)8192)

AUTO_DEFINE(EVP_MD_CTX, EVP_MD_CTX_free);

/* A SIGNED list: what stands before the TBS, the TBS, what follows. */
struct parts {
	struct span part[3];
};

static int
sign(struct crl_emit *x, const struct crl_list *l, struct sign_reply *out,
    struct err *e)
{
	struct sign_request req = { .kind = SIGN_CRL,
		.key = x->issuer->name,
		.request_id = x->ctx->request_id,
		.crl_fd = l->built.fd };

	if (sign_client_slot(x->ctx->signer, &req.slot, e) == -1 ||
	    sign_client_sign(x->ctx->signer, x->ctx->arena, &req, out, e) == -1)
		return err_prefix(e, "signer");
	return 0;
}

static int
hash(const struct parts *p, uint8_t out[32], struct err *e)
{
	AUTO(EVP_MD_CTX) ctx = EVP_MD_CTX_new();
	size_t i;

	if (ctx == NULL || EVP_DigestInit_ex(ctx, EVP_sha256(), NULL) != 1)
		return err_set(e, ERR_INTERNAL, "SHA-256 failed");
	for (i = 0; i < 3; i++) {
		if (EVP_DigestUpdate(ctx, p->part[i].p, p->part[i].n) != 1)
			return err_set(e, ERR_INTERNAL, "SHA-256 failed");
	}
	if (EVP_DigestFinal_ex(ctx, out, NULL) != 1)
		return err_set(e, ERR_INTERNAL, "SHA-256 failed");
	return 0;
}

/* Appends up to 'max' octets of the parts to 'b' and drops them there. */
static void
next_bytes(struct parts *p, struct buf *b, size_t max)
{
	struct span s;
	size_t i, n;

	for (i = 0; i < 3 && b->n < max; i++) {
		n = max - b->n < p->part[i].n ? max - b->n : p->part[i].n;
		if (span_take(&p->part[i], n, &s))
			buf_span(b, s);
	}
}

static int
put_bytes(
    struct db *db, const struct store_crl *row, struct parts p, struct err *e)
{
	AUTO_BUF(piece, STORE_CRL_PIECE_MAX);
	int n;

	for (n = 0;; n++) {
		buf_reset(&piece);
		next_bytes(&p, &piece, STORE_CRL_PIECE_MAX);
		if (piece.n == 0)
			return 0;
		if (store_crl_put(db, row, n, buf_get(&piece), e) == -1)
			return -1;
	}
}

/* What was published, by whom, and where the signer's log has it. */
static int
audit(struct crl_emit *x, const struct store_crl *row, struct err *e)
{
	const struct sign_receipt *at = &x->receipt;
	struct arena *a = x->ctx->arena;
	char from[CLOCK_RFC3339_SIZE], until[CLOCK_RFC3339_SIZE];
	const struct audit_pair pairs[] = {
		{ "issuer", x->issuer->name },
		{ "scope", row->scope },
		{ "number", arena_printf(a, "%" PRId64, row->number) },
		{ "base", row->base_number == 0
			      ? NULL
			      : arena_printf(a, "%" PRId64, row->base_number) },
		{ "thisUpdate", from },
		{ "nextUpdate", until },
		{ "entries", arena_printf(a, "%" PRIu64, row->entries) },
		{ "expired", arena_printf(a, "%" PRIu64, row->gone) },
		{ "sha256",
		    hex_encode(a, span_of(row->sha256, sizeof(row->sha256))) },
		{ "slot", arena_printf(a, "%u", at->slot) },
		{ "record", arena_printf(a, "%" PRIu64, at->seq) },
		{ "head", hex_encode(a, span_of(at->head, sizeof(at->head))) },
		{ "publisher", x->holder },
		{ "req", x->ctx->request_id },
	};
	const struct audit_event ev = { "crl", 0, pairs,
		sizeof(pairs) / sizeof(pairs[0]) };
	uint16_t writer;

	clock_rfc3339(row->this_update, from);
	clock_rfc3339(row->next_update, until);
	if (writer_number(x->ctx->writer, &writer, e) == -1)
		return -1;
	return store_crl_audit(x->ctx->db, writer, &ev, e);
}

static int
record(struct crl_emit *x, struct crl_list *l, const struct parts *p,
    struct err *e)
{
	struct db *db = x->ctx->db;

	if (store_crl_begin(db, &l->row, e) == -1)
		return -1;
	if (put_bytes(db, &l->row, *p, e) == -1 || audit(x, &l->row, e) == -1) {
		store_crl_abort(db);
		return -1;
	}
	return store_crl_commit(db, x->epoch, e);
}

static int
hand_out(struct crl_emit *x, const struct crl_list *l, const struct parts *p,
    struct err *e)
{
	const struct crl_out_job job = { .owner = x->owner,
		.issuer = x->issuer->name,
		.scope = l->row.scope,
		.front = p->part[0],
		.tail = p->part[2],
		.fd = l->built.fd,
		.size = l->built.size };

	return x->out == NULL ? 0 : crl_out_put(x->out, &job, e);
}

static int
publish(struct crl_emit *x, struct crl_list *l, struct span tbs,
    struct span signature, struct err *e)
{
	struct parts p = { .part[1] = tbs };
	int64_t from = clock_mono_us();
	AUTO_BUF(front, 16);
	AUTO_BUF(tail, TAIL_MAX);

	buf_span(&tail, x->issuer->sig_alg);
	der_bits(&tail, signature);
	crl_build_open(&front, tbs.n + tail.n);
	p.part[0] = buf_get(&front);
	p.part[2] = buf_get(&tail);
	l->row.size = front.n + tbs.n + tail.n;
	if (hash(&p, l->row.sha256, e) == -1 || record(x, l, &p, e) == -1)
		return -1;
	metric_observe_us(x->recording, clock_mono_us() - from);
	return hand_out(x, l, &p, e);
}

/* As publish, if the signature is one. */
static int
judge(struct crl_emit *x, struct crl_list *l, struct span tbs,
    struct span signature, struct err *e)
{
	if (pubkey_verify(
		&x->issuer->key, x->issuer->sig_alg, tbs, signature, e) == -1)
		return err_set(
		    e, ERR_INTERNAL, "the signer's signature does not verify");
	metric_observe_us(x->signing, clock_mono_us() - x->from_us);
	return publish(x, l, tbs, signature, e);
}

int
crl_emit(struct crl_emit *x, struct crl_list *l, struct err *e)
{
	struct sign_reply reply;
	void *p;
	int r;

	x->from_us = clock_mono_us();
	if (sign(x, l, &reply, e) == -1)
		return -1;
	p = mmap(NULL, l->built.size, PROT_READ, MAP_SHARED, l->built.fd, 0);
	if (p == MAP_FAILED)
		return err_set(e, ERR_UNAVAILABLE, "mmap: %s", strerror(errno));
	x->receipt = reply.receipt;
	r = judge(x, l, span_of(p, l->built.size), reply.signature, e);
	(void)munmap(p, l->built.size);
	return r;
}
