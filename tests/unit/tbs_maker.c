#include "tests/unit/tbs_maker.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include <openssl/ec.h>
#include <openssl/rsa.h>
#include <openssl/x509.h>

#include "base/b64.h"
#include "base/der.h"
#include "ca/oid.h"
#include "ca/tbs.h"
#include "hsm/tosign.h"

EVP_PKEY *
maker_key(const char *type)
{
	EVP_PKEY *key;

	if (strncmp(type, "RSA-", 4) == 0)
		key = EVP_RSA_gen(strcmp(type, "RSA-1024") == 0   ? 1024U
				  : strcmp(type, "RSA-3072") == 0 ? 3072U
								  : 2048U);
	else if (strcmp(type, "Ed25519") == 0)
		key = EVP_PKEY_Q_keygen(NULL, NULL, "ED25519");
	else
		key = EVP_EC_gen(type);
	assert_non_null(key);
	return key;
}

struct span
maker_spki(struct arena *a, EVP_PKEY *key)
{
	unsigned char *der = NULL;
	int n = i2d_PUBKEY(key, &der);
	struct span out;

	assert_true(n > 0);
	out = span_dup(a, span_of(der, (size_t)n));
	OPENSSL_free(der);
	return out;
}

struct span
maker_hex(struct arena *a, const char *hex)
{
	char *text = arena_alloc(a, strlen(hex) + 1);
	struct span out;
	struct err e;
	size_t n = 0;

	for (; *hex != '\0'; hex++) {
		if (*hex != ' ')
			text[n++] = *hex;
	}
	assert_int_equal(hex_decode(a, span_of(text, n), &out, &e), 0);
	return out;
}

struct span
maker_take(struct arena *a, struct buf *b)
{
	assert_true(buf_ok(b));
	return span_dup(a, buf_get(b));
}

struct span
maker_name(struct arena *a, const char *oid, uint8_t tag, struct span value)
{
	size_t name, rdn, attr;
	AUTO_BUF(b, 4096);

	name = der_begin(&b, DER_SEQUENCE);
	if (oid != NULL) {
		rdn = der_begin(&b, DER_SET);
		attr = der_begin(&b, DER_SEQUENCE);
		der_oid(&b, oid);
		der_put(&b, tag, value);
		der_end(&b, attr);
		der_end(&b, rdn);
	}
	der_end(&b, name);
	return maker_take(a, &b);
}

struct span
maker_time(struct arena *a, uint8_t tag, const char *text)
{
	AUTO_BUF(b, 64);

	der_put(&b, tag, span_str(text));
	return maker_take(a, &b);
}

struct span
maker_san(struct arena *a, uint8_t tag, struct span value)
{
	AUTO_BUF(b, 4096);
	size_t seq;

	seq = der_begin(&b, DER_SEQUENCE);
	der_put(&b, tag, value);
	der_end(&b, seq);
	return maker_take(a, &b);
}

struct span
maker_eku(struct arena *a, const char *oids)
{
	AUTO_BUF(b, 4096);
	size_t seq, n;

	seq = der_begin(&b, DER_SEQUENCE);
	for (; *oids != '\0'; oids += n + strspn(oids + n, " ")) {
		n = strcspn(oids, " ");
		der_oid(&b, arena_memdup(a, oids, n));
	}
	der_end(&b, seq);
	return maker_take(a, &b);
}

void
maker_add(
    struct tbs_maker *m, const char *oid, bool critical, struct span value)
{
	assert_true(m->n_exts < MAKER_EXTS_MAX);
	m->exts[m->n_exts++] = (struct maker_ext){ oid, critical, value };
}

void
maker_set(
    struct tbs_maker *m, const char *oid, bool critical, struct span value)
{
	size_t i;

	for (i = 0; i < m->n_exts; i++) {
		if (strcmp(m->exts[i].oid, oid) == 0) {
			m->exts[i].critical = critical;
			m->exts[i].value = value;
			return;
		}
	}
	maker_add(m, oid, critical, value);
}

void
maker_drop(struct tbs_maker *m, const char *oid)
{
	size_t i, n = 0;

	for (i = 0; i < m->n_exts; i++) {
		if (strcmp(m->exts[i].oid, oid) != 0)
			m->exts[n++] = m->exts[i];
	}
	m->n_exts = n;
}

void
maker_ski(struct tbs_maker *m)
{
	uint8_t id[TBS_KEY_ID_SIZE];
	struct err e;
	AUTO_BUF(b, 64);

	assert_int_equal(tbs_key_id(m->spki, id, &e), 0);
	der_put(&b, DER_OCTET_STRING, span_of(id, sizeof(id)));
	maker_set(m, OID_SUBJECT_KEY_ID, false, maker_take(m->a, &b));
}

static void
put_exts(struct buf *b, const struct tbs_maker *m)
{
	size_t tag, list, ext, i;

	if (m->n_exts == 0)
		return;
	tag = der_begin(b, DER_CONTEXT_CONSTRUCTED(3));
	list = der_begin(b, DER_SEQUENCE);
	for (i = 0; i < m->n_exts; i++) {
		ext = der_begin(b, DER_SEQUENCE);
		der_oid(b, m->exts[i].oid);
		der_true(b, m->exts[i].critical);
		der_put(b, DER_OCTET_STRING, m->exts[i].value);
		der_end(b, ext);
	}
	der_end(b, list);
	der_end(b, tag);
}

struct span
maker_tbs(const struct tbs_maker *m)
{
	size_t tbs, part;
	AUTO_BUF(b, (size_t)64 * 1024);

	tbs = der_begin(&b, DER_SEQUENCE);
	if (m->version >= 0) {
		part = der_begin(&b, DER_CONTEXT_CONSTRUCTED(0));
		der_int(&b, m->version);
		der_end(&b, part);
	}
	der_put(&b, DER_INTEGER, m->serial);
	buf_span(&b, m->sig_alg);
	buf_span(&b, m->issuer);
	part = der_begin(&b, DER_SEQUENCE);
	buf_span(&b, m->not_before);
	buf_span(&b, m->not_after);
	der_end(&b, part);
	buf_span(&b, m->subject);
	buf_span(&b, m->spki);
	buf_span(&b, m->uid);
	put_exts(&b, m);
	der_end(&b, tbs);
	return maker_take(m->a, &b);
}

struct span
maker_sign(struct arena *a, struct span tbs, struct span sig_alg, EVP_PKEY *key)
{
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	uint8_t signature[1024];
	size_t n = sizeof(signature);
	const EVP_MD *md =
	    EVP_PKEY_get_base_id(key) == EVP_PKEY_ED25519 ? NULL : EVP_sha256();

	assert_int_equal(EVP_DigestSignInit(ctx, NULL, md, NULL, key), 1);
	assert_int_equal(EVP_DigestSign(ctx, signature, &n, tbs.p, tbs.n), 1);
	EVP_MD_CTX_free(ctx);
	return tosign_wrap(a, tbs, sig_alg, span_of(signature, n));
}
