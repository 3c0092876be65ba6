#include "protocols/protokey.h"

#include <stdlib.h>
#include <string.h>

#include <openssl/bio.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/x509.h>

#include "base/auto.h"
#include "base/b64.h"
#include "base/clock.h"
#include "base/file.h"
#include "ca/oid.h"
#include "ca/pubkey.h"
#include "ca/request.h"

AUTO_DEFINE(BIO, BIO_free_all);

#define FILE_MAX ((size_t)64 * 1024)

static const char *
path_of(const struct ctx *ctx, const struct settings *s, const char *name)
{
	return arena_printf(ctx->arena, "%s/enroll/%s", s->state_dir, name);
}

/* Whether the certificate has just these names. */
static bool
same_names(struct arena *a, const struct tosign_cert *c,
    const struct request_want *want)
{
	const struct tosign_ext *san = tosign_ext_find(c, OID_SUBJECT_ALT_NAME);
	struct request_want have = { 0 };
	size_t i, k;

	if (san == NULL ||
	    request_sans_decode(a, san->value, &have, NULL) == -1 ||
	    have.n_sans != want->n_sans)
		return false;
	for (i = 0; i < want->n_sans; i++) {
		for (k = 0; k < have.n_sans; k++) {
			if (request_san_eq(&want->sans[i], &have.sans[k]))
				break;
		}
		if (k == have.n_sans)
			return false;
	}
	return true;
}

/* The stored key and chain, when they are still of use. */
static bool
load(struct ctx *ctx, const struct settings *s, const struct request_want *want,
    struct protokey *out)
{
	struct span chain, key, der, tbs, alg, signature;
	struct tosign_cert c;
	struct err e;

	if (file_read(ctx->arena, path_of(ctx, s, "https.pem"), FILE_MAX,
		&chain, &e) == -1 ||
	    pem_decode(ctx->arena, "CERTIFICATE", chain, &der, &e) == -1 ||
	    tosign_unwrap(der, &tbs, &alg, &signature, &e) == -1 ||
	    tosign_cert_parse(ctx->arena, tbs, &c, &e) == -1 ||
	    !same_names(ctx->arena, &c, want))
		return false;
	out->renew_at = c.not_before + (c.not_after - c.not_before) / 3 * 2;
	if (out->renew_at <= clock_now() ||
	    file_read(ctx->arena, path_of(ctx, s, "https.key"), FILE_MAX, &key,
		&e) == -1)
		return false;
	out->chain_pem = (const char *)chain.p;
	out->key_pem = (const char *)key.p;
	return true;
}

/* The host of "https://host:port" and the configured names. */
static int
read_names(struct ctx *ctx, const struct settings *s, struct request_want *want,
    struct err *e)
{
	const char *host = s->public_url + strlen("https://");
	size_t n = strcspn(host, ":/");
	unsigned i;

	if (host[0] == '[') {
		host++;
		n = strcspn(host, "]");
	}
	want->sans = arena_array(
	    ctx->arena, s->https_names_count + 1, sizeof(*want->sans));
	if (request_san_parse(ctx->arena, arena_memdup(ctx->arena, host, n),
		&want->sans[want->n_sans++], e) == -1)
		return err_prefix(e, "public-url");
	for (i = 0; i < s->https_names_count; i++) {
		if (request_san_parse(ctx->arena, s->https_names[i],
			&want->sans[want->n_sans++], e) == -1)
			return err_prefix(e, "https-names");
	}
	request_sans_dedup(want);
	return 0;
}

/* A new key as PEM, and its public half in 'want'. */
static int
make_key(struct ctx *ctx, struct request_want *want, struct protokey *out,
    struct err *e)
{
	AUTO(EVP_PKEY) key = EVP_EC_gen("P-256");
	AUTO(BIO) mem = BIO_new(BIO_s_secmem());
	uint8_t *der = NULL;
	char *text;
	int n;
	long len;

	if (key == NULL || mem == NULL ||
	    PEM_write_bio_PKCS8PrivateKey(
		mem, key, NULL, NULL, 0, NULL, NULL) != 1)
		return err_set(e, ERR_INTERNAL, "no key can be made");
	n = i2d_PUBKEY(key, &der);
	if (n <= 0)
		return err_set(e, ERR_INTERNAL, "key cannot be encoded");
	want->spki =
	    span_of(arena_memdup(ctx->arena, der, (size_t)n), (size_t)n);
	want->raw = want->spki;
	OPENSSL_free(der);
	len = BIO_get_mem_data(mem, &text);
	out->key_pem = arena_memdup(ctx->arena, text, (size_t)len);
	return 0;
}

static int
issue(struct ctx *ctx, const struct settings *s,
    const struct request_want *want, struct protokey *out, struct err *e)
{
	uint8_t raw[16];
	struct request req = { .protocol = "internal",
		.profile = s->https_profile,
		.evidence = { .kind = EVIDENCE_INTERNAL, .name = "enrolld" },
		.want = *want };
	struct enroll_result res;

	if (RAND_bytes(raw, sizeof(raw)) != 1)
		return err_set(e, ERR_INTERNAL, "no random bytes");
	req.txn = arena_printf(ctx->arena, "https-%s",
	    hex_encode(ctx->arena, span_of(raw, sizeof(raw))));
	if (enroll_submit(ctx, &req, &res, e) == -1)
		return -1;
	if (res.status != ENROLL_ISSUED)
		return err_set(e, ERR_REFUSED,
		    "profile \"%s\" wants an approval for our own certificate",
		    s->https_profile);
	out->chain_pem = arena_printf(ctx->arena, "%s%s",
	    pem_encode(ctx->arena, "CERTIFICATE", res.cert),
	    res.issuer->chain_pem);
	return 0;
}

int
protokey_https(struct ctx *ctx, const struct settings *s, struct protokey *out,
    bool *fresh, struct err *e)
{
	struct request_want want = { 0 };

	*out = (struct protokey){ 0 };
	*fresh = false;
	if (read_names(ctx, s, &want, e) == -1)
		return -1;
	if (load(ctx, s, &want, out))
		return 0;
	*fresh = true;
	if (make_key(ctx, &want, out, e) == -1 ||
	    issue(ctx, s, &want, out, e) == -1)
		return -1;
	/* the chain last: without it the key is not looked at */
	if (file_replace(path_of(ctx, s, "https.key"), span_str(out->key_pem),
		0400, e) == -1 ||
	    file_replace(path_of(ctx, s, "https.pem"), span_str(out->chain_pem),
		0444, e) == -1)
		return -1;
	if (!load(ctx, s, &want, out))
		return err_set(e, ERR_INTERNAL,
		    "the new HTTPS certificate cannot be used");
	return 0;
}

void
protokey_clear(struct protokey *k)
{
	if (k->key_pem != NULL)
		OPENSSL_cleanse(
		    (void *)(uintptr_t)k->key_pem, strlen(k->key_pem));
	k->key_pem = NULL;
}
