#include "protocols/acme/jws.h"

#include <string.h>

#include <openssl/bn.h>
#include <openssl/core_names.h>

#include "base/b64.h"
#include "base/buf.h"
#include "base/der.h"
#include "base/sha256.h"
#include "ca/oid.h"
#include "ca/pubkey.h"
#include "protocols/acme/jsonio.h"

AUTO_DEFINE(BIGNUM, BN_free);

/* RFC 7638 3.2: required members in order, no white space. */
#define EC_JSON "{\"crv\":\"%s\",\"kty\":\"EC\",\"x\":\"%s\",\"y\":\"%s\"}"
#define RSA_JSON "{\"e\":\"%s\",\"kty\":\"RSA\",\"n\":\"%s\"}"
#define OKP_JSON "{\"crv\":\"Ed25519\",\"kty\":\"OKP\",\"x\":\"%s\"}"

/* RFC 7518 3.1, RFC 8037 3.1; 'octets' of each of r and s for ECDSA. */
static const struct alg {
	const char *name, *sig_oid;
	enum pubkey_type type;
	const char *key_name; /* NULL: any of the type */
	size_t octets;
} algs[] = {
	{ "ES256", OID_ECDSA_SHA256, PUBKEY_EC, "P-256", 32 },
	{ "ES384", OID_ECDSA_SHA384, PUBKEY_EC, "P-384", 48 },
	{ "ES512", OID_ECDSA_SHA512, PUBKEY_EC, "P-521", 66 },
	{ "RS256", OID_SHA256_RSA, PUBKEY_RSA, NULL, 0 },
	{ "EdDSA", OID_ED25519, PUBKEY_ED25519, NULL, 0 },
};
#define N_ALGS (sizeof(algs) / sizeof(algs[0]))

static const struct {
	const char *crv, *oid;
	size_t octets;
} curves[] = {
	{ "P-256", OID_P256, 32 },
	{ "P-384", OID_P384, 48 },
	{ "P-521", OID_P521, 66 },
};
#define N_CURVES (sizeof(curves) / sizeof(curves[0]))

static const struct alg *
find_alg(const char *name)
{
	size_t i;

	for (i = 0; i < N_ALGS; i++) {
		if (strcmp(algs[i].name, name) == 0)
			return &algs[i];
	}
	return NULL;
}

bool
jws_alg_known(const char *alg)
{
	return find_alg(alg) != NULL;
}

json_t *
jws_algorithms(void)
{
	json_t *list = json_array();
	size_t i;

	for (i = 0; i < N_ALGS; i++)
		(void)json_array_append_new(list, json_string(algs[i].name));
	return list;
}

/* A base64url member of a key. */
static int
octets(struct arena *a, const json_t *v, const char *key, const char **text,
    struct span *out, struct err *e)
{
	if (jsonio_required(a, v, key, text, e) == -1)
		return -1;
	if (b64url_decode(a, span_str(*text), out, e) == -1)
		return err_prefix(e, "jwk \"%s\"", key);
	return 0;
}

static void
begin_spki(struct buf *b, size_t *spki, const char *oid, const char *params)
{
	size_t alg;

	*spki = der_begin(b, DER_SEQUENCE);
	alg = der_begin(b, DER_SEQUENCE);
	der_oid(b, oid);
	if (params != NULL)
		der_oid(b, params);
	else if (strcmp(oid, OID_RSA) == 0)
		der_put(b, DER_NULL, span_of(NULL, 0));
	der_end(b, alg);
}

static int
parse_ec(struct arena *a, const json_t *v, struct buf *b, struct jwk *out,
    struct err *e)
{
	const char *crv, *x_text, *y_text;
	size_t spki, bits, i;
	struct span x, y;

	if (jsonio_required(a, v, "crv", &crv, e) == -1 ||
	    octets(a, v, "x", &x_text, &x, e) == -1 ||
	    octets(a, v, "y", &y_text, &y, e) == -1)
		return -1;
	for (i = 0; i < N_CURVES; i++) {
		if (strcmp(curves[i].crv, crv) == 0)
			break;
	}
	if (i == N_CURVES)
		return err_set(
		    e, ERR_BAD_KEY, "curve is not P-256, P-384 or P-521");
	/* RFC 7518 6.2.1.2: the full size of a coordinate */
	if (x.n != curves[i].octets || y.n != curves[i].octets)
		return err_set(e, ERR_MALFORMED,
		    "jwk \"x\" or \"y\" is not %zu octets", curves[i].octets);
	begin_spki(b, &spki, OID_EC, curves[i].oid);
	bits = der_begin(b, DER_BIT_STRING);
	buf_u8(b, 0);
	buf_u8(b, 4);
	buf_span(b, x);
	buf_span(b, y);
	der_end(b, bits);
	der_end(b, spki);
	out->json = arena_printf(a, EC_JSON, crv, x_text, y_text);
	return 0;
}

static int
parse_rsa(struct arena *a, const json_t *v, struct buf *b, struct jwk *out,
    struct err *e)
{
	const char *n_text, *e_text;
	size_t spki, bits, key;
	struct span n, exp;

	if (octets(a, v, "n", &n_text, &n, e) == -1 ||
	    octets(a, v, "e", &e_text, &exp, e) == -1)
		return -1;
	/* RFC 7518 6.3.1: no leading zero octets, or the thumbprint varies */
	if (n.n == 0 || exp.n == 0 || n.p[0] == 0 || exp.p[0] == 0)
		return err_set(e, ERR_MALFORMED,
		    "jwk \"n\" or \"e\" is empty or starts with zero");
	begin_spki(b, &spki, OID_RSA, NULL);
	bits = der_begin(b, DER_BIT_STRING);
	buf_u8(b, 0);
	key = der_begin(b, DER_SEQUENCE);
	der_uint(b, n);
	der_uint(b, exp);
	der_end(b, key);
	der_end(b, bits);
	der_end(b, spki);
	out->json = arena_printf(a, RSA_JSON, e_text, n_text);
	return 0;
}

static int
parse_okp(struct arena *a, const json_t *v, struct buf *b, struct jwk *out,
    struct err *e)
{
	const char *crv, *x_text;
	struct span x;
	size_t spki;

	if (jsonio_required(a, v, "crv", &crv, e) == -1 ||
	    octets(a, v, "x", &x_text, &x, e) == -1)
		return -1;
	if (strcmp(crv, "Ed25519") != 0)
		return err_set(e, ERR_BAD_KEY, "curve is not Ed25519");
	begin_spki(b, &spki, OID_ED25519, NULL);
	der_bits(b, x);
	der_end(b, spki);
	out->json = arena_printf(a, OKP_JSON, x_text);
	return 0;
}

static void
set_thumbprint(struct arena *a, struct jwk *k)
{
	uint8_t digest[SHA256_SIZE];

	sha256(span_str(k->json), digest);
	k->thumbprint = b64url_encode(a, span_of(digest, sizeof(digest)));
}

int
jwk_parse(struct arena *a, const json_t *v, struct jwk *out, struct err *e)
{
	struct pubkey key;
	const char *kty;
	AUTO_BUF(b, 8192);
	int rc;

	if (!json_is_object(v))
		return err_set(e, ERR_MALFORMED, "\"jwk\" is not an object");
	if (jsonio_required(a, v, "kty", &kty, e) == -1)
		return -1;
	if (strcmp(kty, "EC") == 0)
		rc = parse_ec(a, v, &b, out, e);
	else if (strcmp(kty, "RSA") == 0)
		rc = parse_rsa(a, v, &b, out, e);
	else if (strcmp(kty, "OKP") == 0)
		rc = parse_okp(a, v, &b, out, e);
	else
		rc = err_set(e, ERR_BAD_KEY, "key type is not EC, RSA or OKP");
	if (rc == -1)
		return -1;
	if (!buf_ok(&b))
		return err_set(e, ERR_BAD_KEY, "key is too long");
	out->spki = span_dup(a, buf_get(&b));
	if (pubkey_open(out->spki, &key, e) == -1)
		return -1;
	pubkey_clear(&key);
	set_thumbprint(a, out);
	return 0;
}

/* base64url of a big number of the key, without leading zeros. */
static const char *
number(struct arena *a, const EVP_PKEY *key, const char *name)
{
	AUTO(BIGNUM) n = NULL;
	uint8_t *octets;
	int size;

	if (EVP_PKEY_get_bn_param(key, name, &n) != 1)
		return "";
	size = BN_num_bytes(n);
	octets = arena_alloc(a, (size_t)size);
	(void)BN_bn2bin(n, octets);
	return b64url_encode(a, span_of(octets, (size_t)size));
}

int
jwk_from_spki(struct arena *a, struct span spki, struct jwk *out, struct err *e)
{
	struct span bits;
	struct pubkey key;

	if (pubkey_open(spki, &key, e) == -1)
		return -1;
	out->spki = spki;
	bits = key.octets;
	if (key.type == PUBKEY_RSA)
		out->json = arena_printf(a, RSA_JSON,
		    number(a, key.key, OSSL_PKEY_PARAM_RSA_E),
		    number(a, key.key, OSSL_PKEY_PARAM_RSA_N));
	else if (key.type == PUBKEY_EC)
		out->json = arena_printf(a, EC_JSON, key.name,
		    b64url_encode(a, span_of(bits.p + 1, bits.n / 2)),
		    b64url_encode(
			a, span_of(bits.p + 1 + bits.n / 2, bits.n / 2)));
	else
		out->json = arena_printf(a, OKP_JSON, b64url_encode(a, bits));
	pubkey_clear(&key);
	set_thumbprint(a, out);
	return 0;
}

int
jwk_parse_text(
    struct arena *a, const char *text, struct jwk *out, struct err *e)
{
	AUTO(json_t) v = NULL;

	if (jsonio_parse(span_str(text), &v, e) == -1)
		return -1;
	return jwk_parse(a, v, out, e);
}

static int
parse_protected(
    struct arena *a, struct span header, struct jws *out, struct err *e)
{
	AUTO(json_t) h = NULL;
	const json_t *jwk;

	if (jsonio_parse(header, &h, e) == -1)
		return err_prefix(e, "protected header");
	if (json_object_get(h, "b64") != NULL ||
	    json_object_get(h, "crit") != NULL)
		return err_set(e, ERR_MALFORMED,
		    "protected header has \"b64\" or \"crit\"");
	jwk = json_object_get(h, "jwk");
	if (jsonio_required(a, h, "alg", &out->alg, e) == -1 ||
	    jsonio_string(a, h, "nonce", &out->nonce, e) == -1 ||
	    jsonio_required(a, h, "url", &out->url, e) == -1 ||
	    jsonio_string(a, h, "kid", &out->kid, e) == -1)
		return -1;
	if ((out->kid == NULL) == (jwk == NULL))
		return err_set(e, ERR_MALFORMED,
		    "protected header needs one of \"jwk\" and \"kid\"");
	/* a key is looked at only when its algorithm is one of ours */
	if (jwk != NULL && jws_alg_known(out->alg))
		return jwk_parse(a, jwk, &out->jwk, e);
	return 0;
}

int
jws_parse(struct arena *a, struct span body, struct jws *out, struct err *e)
{
	const char *header, *payload, *signature;
	AUTO(json_t) doc = NULL;
	struct span decoded;

	*out = (struct jws){ 0 };
	if (jsonio_parse(body, &doc, e) == -1)
		return -1;
	/* RFC 8555 6.2: no general form, no unprotected header */
	if (json_object_get(doc, "signatures") != NULL ||
	    json_object_get(doc, "header") != NULL)
		return err_set(e, ERR_MALFORMED,
		    "JWS is not in flattened form with a protected header");
	if (jsonio_required(a, doc, "protected", &header, e) == -1 ||
	    jsonio_required(a, doc, "payload", &payload, e) == -1 ||
	    jsonio_required(a, doc, "signature", &signature, e) == -1)
		return -1;
	if (b64url_decode(a, span_str(header), &decoded, e) == -1)
		return err_prefix(e, "protected header");
	if (b64url_decode(a, span_str(payload), &out->payload, e) == -1)
		return err_prefix(e, "payload");
	if (b64url_decode(a, span_str(signature), &out->signature, e) == -1)
		return err_prefix(e, "signature");
	out->signing_input =
	    span_str(arena_printf(a, "%s.%s", header, payload));
	return parse_protected(a, decoded, out, e);
}

/* r || s (RFC 7518 3.4) into Ecdsa-Sig-Value. */
static int
ecdsa_der(
    struct arena *a, struct span raw, size_t n, struct span *out, struct err *e)
{
	AUTO_BUF(b, 256);
	size_t seq;

	buf_init(&b, 256);
	if (raw.n != 2 * n)
		return err_set(
		    e, ERR_BAD_POP, "signature is not %zu octets", 2 * n);
	seq = der_begin(&b, DER_SEQUENCE);
	der_uint(&b, span_of(raw.p, n));
	der_uint(&b, span_of(raw.p + n, n));
	der_end(&b, seq);
	*out = span_dup(a, buf_get(&b));
	return 0;
}

int
jws_verify(
    struct arena *a, const struct jws *j, const struct jwk *jwk, struct err *e)
{
	const struct alg *alg = find_alg(j->alg);
	struct span signature = j->signature;
	struct pubkey key;
	AUTO_BUF(id, 64);
	size_t seq;
	int rc;

	if (alg == NULL)
		return err_set(
		    e, ERR_BAD_KEY, "algorithm \"%.20s\" is not taken", j->alg);
	if (alg->octets != 0 &&
	    ecdsa_der(a, j->signature, alg->octets, &signature, e) == -1)
		return -1;
	seq = der_begin(&id, DER_SEQUENCE);
	der_oid(&id, alg->sig_oid);
	if (alg->type == PUBKEY_RSA)
		der_put(&id, DER_NULL, span_of(NULL, 0));
	der_end(&id, seq);
	if (pubkey_open(jwk->spki, &key, e) == -1)
		return -1;
	if (key.type != alg->type ||
	    (alg->key_name != NULL && strcmp(alg->key_name, key.name) != 0))
		rc = err_set(e, ERR_BAD_KEY,
		    "algorithm %s does not fit the key", alg->name);
	else
		rc = pubkey_verify(
		    &key, buf_get(&id), j->signing_input, signature, e);
	pubkey_clear(&key);
	return rc;
}
