#include "crl/crl_emit.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>

#include <openssl/evp.h>

#include "base/auto.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/der.h"
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
record(struct crl_emit *x, struct crl_list *l, struct parts p, struct err *e)
{
	struct db *db = x->ctx->db;
	AUTO_BUF(piece, STORE_CRL_PIECE_MAX);
	int n;

	if (store_crl_begin(db, &l->row, e) == -1)
		return -1;
	for (n = 0;; n++) {
		buf_reset(&piece);
		next_bytes(&p, &piece, STORE_CRL_PIECE_MAX);
		if (piece.n == 0)
			break;
		if (store_crl_put(db, &l->row, n, buf_get(&piece), e) == -1) {
			store_crl_abort(db);
			return -1;
		}
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
	if (hash(&p, l->row.sha256, e) == -1 || record(x, l, p, e) == -1)
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
	r = judge(x, l, span_of(p, l->built.size), reply.signature, e);
	(void)munmap(p, l->built.size);
	return r;
}
