#include "ocsp/response.h"

#include <stdlib.h>
#include <string.h>

#include "base/auto.h"
#include "base/der.h"

#define SIGNATURE_MAX 256
#define REASON_HOLD 6
/* Keys that a thread keeps ready. */
#define KEYS 64

/* ecdsa-with-SHA256, without parameters (RFC 5758 3.2) */
static const uint8_t sig_alg[] = { 0x30, 0x0a, 0x06, 0x08, 0x2a, 0x86, 0x48,
	0xce, 0x3d, 0x04, 0x03, 0x02 };
/* 1.3.6.1.5.5.7.48.1.N */
static const uint8_t oid_basic[] = { 0x2b, 6, 1, 5, 5, 7, 0x30, 1, 1 };
static const uint8_t oid_nonce[] = { 0x2b, 6, 1, 5, 5, 7, 0x30, 1, 2 };
static const uint8_t oid_cutoff[] = { 0x2b, 6, 1, 5, 5, 7, 0x30, 1, 6 };
/* Extension id-pkix-ocsp-extended-revoke with its value NULL. */
static const uint8_t extended_revoke[] = { 0x30, 0x0f, 0x06, 9, 0x2b, 6, 1, 5,
	5, 7, 0x30, 1, 9, 0x04, 2, 0x05, 0 };

struct ready_key {
	uint64_t generation;
	EVP_PKEY *key;
	EVP_PKEY_CTX *ctx;
};

struct signer {
	EVP_MD *md;
	EVP_MD_CTX *hash;
	struct ready_key keys[KEYS];
	size_t next;
	struct buf tbs;
};

struct span
response_error(enum response_error kind)
{
	static const uint8_t all[][5] = {
		[RESPONSE_MALFORMED] = { 0x30, 3, 0x0a, 1, 1 },
		[RESPONSE_INTERNAL] = { 0x30, 3, 0x0a, 1, 2 },
		[RESPONSE_TRY_LATER] = { 0x30, 3, 0x0a, 1, 3 },
		[RESPONSE_UNAUTHORIZED] = { 0x30, 3, 0x0a, 1, 6 },
	};

	return span_of(all[kind], sizeof(all[kind]));
}

struct signer *
signer_new(void)
{
	struct signer *s = calloc(1, sizeof(*s));

	if (s == NULL)
		abort();
	s->md = EVP_MD_fetch(NULL, "SHA256", NULL);
	s->hash = EVP_MD_CTX_new();
	if (s->md == NULL || s->hash == NULL)
		abort();
	buf_init(&s->tbs, RESPONSE_SIZE_MAX);
	return s;
}

static void
drop_key(struct ready_key *k)
{
	EVP_PKEY_CTX_free(k->ctx);
	EVP_PKEY_free(k->key);
	*k = (struct ready_key){ 0 };
}

void
signer_free(struct signer *s)
{
	size_t i;

	if (s == NULL)
		return;
	for (i = 0; i < KEYS; i++)
		drop_key(&s->keys[i]);
	EVP_MD_CTX_free(s->hash);
	EVP_MD_free(s->md);
	buf_clear(&s->tbs);
	free(s);
}

/* A copy of the key for this thread: shared ones fight for their counters. */
static int
open_key(struct ready_key *k, const struct delegate *d, struct err *e)
{
	drop_key(k);
	k->key = EVP_PKEY_dup(d->key);
	k->ctx = k->key == NULL ? NULL : EVP_PKEY_CTX_new(k->key, NULL);
	if (k->ctx == NULL || EVP_PKEY_sign_init(k->ctx) != 1 ||
	    EVP_PKEY_CTX_set_signature_md(k->ctx, EVP_sha256()) != 1) {
		drop_key(k);
		return err_set(e, ERR_INTERNAL, "the key cannot sign");
	}
	k->generation = d->generation;
	return 0;
}

static int
find_key(struct signer *s, const struct delegate *d, EVP_PKEY_CTX **out,
    struct err *e)
{
	struct ready_key *k;
	size_t i;

	for (i = 0; i < KEYS; i++) {
		k = &s->keys[i];
		if (k->ctx != NULL && k->generation == d->generation) {
			*out = k->ctx;
			return 0;
		}
	}
	k = &s->keys[s->next++ % KEYS];
	if (open_key(k, d, e) == -1)
		return -1;
	*out = k->ctx;
	return 0;
}

static int
sign(struct signer *s, const struct delegate *d, struct span tbs, uint8_t *out,
    size_t *n, struct err *e)
{
	EVP_PKEY_CTX *ctx;
	uint8_t hash[32];

	if (find_key(s, d, &ctx, e) == -1)
		return -1;
	if (EVP_DigestInit_ex2(s->hash, s->md, NULL) != 1 ||
	    EVP_DigestUpdate(s->hash, tbs.p, tbs.n) != 1 ||
	    EVP_DigestFinal_ex(s->hash, hash, NULL) != 1 ||
	    EVP_PKEY_sign(ctx, out, n, hash, sizeof(hash)) != 1)
		return err_set(e, ERR_INTERNAL, "signing failed");
	return 0;
}

static void
put_revoked(struct buf *b, int64_t at, int reason)
{
	size_t info = der_begin(b, DER_CONTEXT_CONSTRUCTED(1)), outer;
	uint8_t octet = (uint8_t)reason;

	der_generalized_time(b, at);
	/* unspecified (0) is said by saying nothing: RFC 5280 5.3.1 */
	if (reason > 0) {
		outer = der_begin(b, DER_CONTEXT_CONSTRUCTED(0));
		der_put(b, DER_ENUMERATED, span_of(&octet, 1));
		der_end(b, outer);
	}
	der_end(b, info);
}

static void
put_status(struct buf *b, const struct response_single *s)
{
	switch (s->status) {
	case RESPONSE_GOOD:
		der_put(b, DER_CONTEXT(0), span_of(NULL, 0));
		break;
	case RESPONSE_REVOKED:
		put_revoked(b, s->revoked_at, s->reason);
		break;
	case RESPONSE_NOT_ISSUED:
		put_revoked(b, 0, REASON_HOLD);
		break;
	default:
		der_put(b, DER_CONTEXT(2), span_of(NULL, 0));
		break;
	}
}

static void
put_cutoff(struct buf *b, int64_t t)
{
	size_t outer = der_begin(b, DER_CONTEXT_CONSTRUCTED(1));
	size_t exts = der_begin(b, DER_SEQUENCE);
	size_t ext = der_begin(b, DER_SEQUENCE), value;

	der_put(b, DER_OID, span_of(oid_cutoff, sizeof(oid_cutoff)));
	value = der_begin(b, DER_OCTET_STRING);
	der_generalized_time(b, t);
	der_end(b, value);
	der_end(b, ext);
	der_end(b, exts);
	der_end(b, outer);
}

static void
put_single(
    struct buf *b, const struct response *r, const struct response_single *s)
{
	size_t single = der_begin(b, DER_SEQUENCE), next;

	buf_span(b, s->certid);
	put_status(b, s);
	der_generalized_time(b, r->this_update);
	next = der_begin(b, DER_CONTEXT_CONSTRUCTED(0));
	der_generalized_time(b, r->next_update);
	der_end(b, next);
	if (s->archive_cutoff != 0)
		put_cutoff(b, s->archive_cutoff);
	der_end(b, single);
}

static void
put_nonce(struct buf *b, struct span nonce)
{
	size_t ext = der_begin(b, DER_SEQUENCE);

	der_put(b, DER_OID, span_of(oid_nonce, sizeof(oid_nonce)));
	der_put(b, DER_OCTET_STRING, nonce);
	der_end(b, ext);
}

static bool
is_extended(const struct response *r)
{
	size_t i;

	for (i = 0; i < r->n; i++) {
		if (r->list[i].status == RESPONSE_NOT_ISSUED)
			return true;
	}
	return false;
}

static void
put_extensions(struct buf *b, const struct response *r)
{
	bool extended = is_extended(r);
	size_t outer, exts;

	if (!extended && r->nonce.n == 0)
		return;
	outer = der_begin(b, DER_CONTEXT_CONSTRUCTED(1));
	exts = der_begin(b, DER_SEQUENCE);
	if (r->nonce.n > 0)
		put_nonce(b, r->nonce);
	if (extended)
		buf_add(b, extended_revoke, sizeof(extended_revoke));
	der_end(b, exts);
	der_end(b, outer);
}

/* ResponseData, RFC 6960 4.2.1 */
static void
put_data(struct buf *b, const struct delegate *d, const struct response *r)
{
	size_t data = der_begin(b, DER_SEQUENCE);
	size_t id = der_begin(b, DER_CONTEXT_CONSTRUCTED(2)), list, i;

	der_put(b, DER_OCTET_STRING, span_of(d->key_hash, sizeof(d->key_hash)));
	der_end(b, id);
	der_generalized_time(b, r->produced_at);
	list = der_begin(b, DER_SEQUENCE);
	for (i = 0; i < r->n; i++)
		put_single(b, r, &r->list[i]);
	der_end(b, list);
	put_extensions(b, r);
	der_end(b, data);
}

/* BasicOCSPResponse within OCSPResponse */
static void
put_response(
    struct buf *b, struct span tbs, struct span signature, struct span cert)
{
	static const uint8_t successful = 0;
	size_t response = der_begin(b, DER_SEQUENCE), outer, bytes, octets;
	size_t basic, certs, list;

	der_put(b, DER_ENUMERATED, span_of(&successful, 1));
	outer = der_begin(b, DER_CONTEXT_CONSTRUCTED(0));
	bytes = der_begin(b, DER_SEQUENCE);
	der_put(b, DER_OID, span_of(oid_basic, sizeof(oid_basic)));
	octets = der_begin(b, DER_OCTET_STRING);
	basic = der_begin(b, DER_SEQUENCE);
	buf_span(b, tbs);
	buf_add(b, sig_alg, sizeof(sig_alg));
	der_bits(b, signature);
	certs = der_begin(b, DER_CONTEXT_CONSTRUCTED(0));
	list = der_begin(b, DER_SEQUENCE);
	buf_span(b, cert);
	der_end(b, list);
	der_end(b, certs);
	der_end(b, basic);
	der_end(b, octets);
	der_end(b, bytes);
	der_end(b, outer);
	der_end(b, response);
}

int
response_sign(struct signer *s, const struct delegate *d,
    const struct response *r, struct buf *out, struct err *e)
{
	uint8_t signature[SIGNATURE_MAX];
	size_t n = sizeof(signature);

	buf_reset(&s->tbs);
	put_data(&s->tbs, d, r);
	if (!buf_ok(&s->tbs))
		return err_set(e, ERR_INTERNAL, "the response is too large");
	if (sign(s, d, buf_get(&s->tbs), signature, &n, e) == -1)
		return -1;
	put_response(out, buf_get(&s->tbs), span_of(signature, n), d->cert);
	if (!buf_ok(out))
		return err_set(e, ERR_INTERNAL, "the response is too large");
	return 0;
}
