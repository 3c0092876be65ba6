#include "bench/limit.h"

#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <openssl/params.h>

#include "base/auto.h"
#include "base/clock.h"
#include "ca/csr.h"
#include "hsm/token_int.h"
#include "hsm/tosign.h"

AUTO_DEFINE(EVP_PKEY_CTX, EVP_PKEY_CTX_free);
AUTO_DEFINE(EVP_MD, EVP_MD_free);
AUTO_DEFINE(EVP_MD_CTX, EVP_MD_CTX_free);

#define BATCH 64

/* One kind of operation; returns whether it succeeded. */
struct operation {
	bool (*run)(void *);
	void *arg;
};

static int
cpu_of(const struct operation *op, int seconds, double *out_us, struct err *e)
{
	int64_t until = clock_mono_us() + (int64_t)seconds * 1000000;
	int64_t cpu = clock_cpu_us();
	long n = 0, i;

	do {
		for (i = 0; i < BATCH; i++) {
			if (!op->run(op->arg))
				return err_set(e, ERR_INTERNAL,
				    "an operation of the limit failed");
		}
		n += BATCH;
	} while (clock_mono_us() < until);
	*out_us = (double)(clock_cpu_us() - cpu) / (double)n;
	return 0;
}

struct signing {
	struct token *token;
	CK_OBJECT_HANDLE key;
};

static bool
sign_once(void *arg)
{
	struct signing *s = arg;
	CK_MECHANISM how = { CKM_ECDSA, NULL, 0 };
	CK_BYTE digest[32] = { 1 }, out[64];
	CK_ULONG n = sizeof(out);

	return s->token->f->C_SignInit(s->token->session, &how, s->key) ==
		   CKR_OK &&
	       s->token->f->C_Sign(s->token->session, digest, sizeof(digest),
		   out, &n) == CKR_OK;
}

struct proof {
	struct span info, signature, point;
	EVP_PKEY_CTX *make;
	EVP_MD_CTX *ctx;
	EVP_MD *md;
};

static bool
prove_once(void *arg)
{
	struct proof *p = arg;
	OSSL_PARAM params[] = {
		OSSL_PARAM_construct_utf8_string(
		    OSSL_PKEY_PARAM_GROUP_NAME, (char[]){ "prime256v1" }, 0),
		OSSL_PARAM_construct_octet_string(OSSL_PKEY_PARAM_PUB_KEY,
		    (void *)(uintptr_t)p->point.p, p->point.n),
		OSSL_PARAM_construct_end(),
	};
	AUTO(EVP_PKEY) key = NULL;

	return EVP_PKEY_fromdata(p->make, &key, EVP_PKEY_PUBLIC_KEY, params) ==
		   1 &&
	       EVP_DigestVerifyInit(p->ctx, NULL, p->md, NULL, key) == 1 &&
	       EVP_DigestVerify(p->ctx, p->signature.p, p->signature.n,
		   p->info.p, p->info.n) == 1;
}

static int
measure_proof(struct span csr, int seconds, double *out_us, struct err *e)
{
	AUTO(arena_auto) a = arena_new();
	AUTO(EVP_PKEY_CTX) make = EVP_PKEY_CTX_new_from_name(NULL, "EC", NULL);
	AUTO(EVP_MD_CTX) ctx = EVP_MD_CTX_new();
	AUTO(EVP_MD) md = EVP_MD_fetch(NULL, "SHA256", NULL);
	struct proof p = { .make = make, .ctx = ctx, .md = md };
	struct operation op = { prove_once, &p };
	struct request_want want;
	struct tosign_spki spki;
	struct span alg;

	if (csr_parse(a, csr, &want, e) == -1 ||
	    tosign_unwrap(csr, &p.info, &alg, &p.signature, e) == -1 ||
	    tosign_spki_parse(want.spki, &spki, e) == -1)
		return -1;
	p.point = spki.key;
	if (make == NULL || ctx == NULL || md == NULL ||
	    EVP_PKEY_fromdata_init(make) != 1)
		return err_set(e, ERR_INTERNAL, "libcrypto is not usable");
	return cpu_of(&op, seconds, out_us, e);
}

int
limit_measure(struct token *token, const struct token_uri *key, struct span csr,
    int seconds, struct limit *out, struct err *e)
{
	struct signing s = { .token = token };
	struct operation op = { sign_once, &s };

	if (token_object(token, key, CKO_PRIVATE_KEY, &s.key, e) == -1 ||
	    cpu_of(&op, seconds, &out->sign_us, e) == -1)
		return -1;
	return measure_proof(csr, seconds, &out->verify_us, e);
}
