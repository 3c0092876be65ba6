#include "ca/pubkey.h"

#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include <openssl/asn1t.h>
#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/param_build.h>
#include <openssl/rsa.h>

#include "base/der.h"
#include "ca/oid.h"
#include "hsm/tosign.h"

AUTO_DEFINE(BIGNUM, BN_free);
AUTO_DEFINE(EVP_MD_CTX, EVP_MD_CTX_free);
AUTO_DEFINE(EVP_PKEY_CTX, EVP_PKEY_CTX_free);
AUTO_DEFINE(OSSL_PARAM, OSSL_PARAM_free);
AUTO_DEFINE(OSSL_PARAM_BLD, OSSL_PARAM_BLD_free);

#define RSA_BITS_MIN 2048
#define RSA_BITS_MAX 8192
#define RSA_EXPONENT_BITS_MAX 64

struct curve {
	const char *oid, *name, *group;
	size_t field; /* octets of a coordinate */
	EVP_PKEY *parameters;
};

static struct curve curves[] = {
	{ OID_P256, "P-256", "prime256v1", 32, NULL },
	{ OID_P384, "P-384", "secp384r1", 48, NULL },
	{ OID_P521, "P-521", "secp521r1", 66, NULL },
};
#define N_CURVES (sizeof(curves) / sizeof(curves[0]))

static const struct sig_alg {
	const char *oid;
	enum pubkey_type type;
	const char *digest; /* NULL: the algorithm has its own */
	bool null_params;   /* RFC 4055: RSA has NULL, the others nothing */
} sig_algs[] = {
	{ OID_ECDSA_SHA256, PUBKEY_EC, "SHA256", false },
	{ OID_ECDSA_SHA384, PUBKEY_EC, "SHA384", false },
	{ OID_ECDSA_SHA512, PUBKEY_EC, "SHA512", false },
	{ OID_SHA256_RSA, PUBKEY_RSA, "SHA256", true },
	{ OID_SHA384_RSA, PUBKEY_RSA, "SHA384", true },
	{ OID_SHA512_RSA, PUBKEY_RSA, "SHA512", true },
	{ OID_ED25519, PUBKEY_ED25519, NULL, false },
};
#define N_SIG_ALGS (sizeof(sig_algs) / sizeof(sig_algs[0]))

/* Made once: a fetch per use takes locks (OpenSSL 3.0). */
static EVP_MD *digests[N_SIG_ALGS];
static struct buf sig_alg_der[N_SIG_ALGS]; /* AlgorithmIdentifier */
static pthread_once_t once = PTHREAD_ONCE_INIT;

static void
encode_sig_alg(struct buf *b, const struct sig_alg *alg)
{
	size_t seq;

	buf_init(b, 64);
	seq = der_begin(b, DER_SEQUENCE);
	der_oid(b, alg->oid);
	if (alg->null_params)
		der_put(b, DER_NULL, span_of(NULL, 0));
	der_end(b, seq);
}

static void
make_once(void)
{
	size_t i;

	for (i = 0; i < N_CURVES; i++)
		curves[i].parameters = EVP_EC_gen(curves[i].group);
	for (i = 0; i < N_SIG_ALGS; i++) {
		encode_sig_alg(&sig_alg_der[i], &sig_algs[i]);
		if (sig_algs[i].digest != NULL)
			digests[i] =
			    EVP_MD_fetch(NULL, sig_algs[i].digest, NULL);
	}
}

static int
open_ec(const struct tosign_spki *spki, struct pubkey *out, struct err *e)
{
	const struct curve *c = NULL;
	struct span oid = spki->params;
	size_t i;

	if (oid.n < 2 || oid.p[0] != 0x06)
		return err_set(
		    e, ERR_BAD_KEY, "EC key does not name its curve");
	oid = span_of(oid.p + 2, oid.n - 2);
	for (i = 0; i < N_CURVES; i++) {
		if (tosign_oid_is(oid, curves[i].oid))
			c = &curves[i];
	}
	if (c == NULL)
		return err_set(
		    e, ERR_BAD_KEY, "curve is not P-256, P-384 or P-521");
	if (spki->key.n != 1 + 2 * c->field || spki->key.p[0] != 0x04)
		return err_set(e, ERR_BAD_KEY, "EC point is not uncompressed");
	out->type = PUBKEY_EC;
	out->name = c->name;
	out->bits = (unsigned)EVP_PKEY_get_bits(c->parameters);
	out->key = EVP_PKEY_new();
	if (out->key == NULL ||
	    EVP_PKEY_copy_parameters(out->key, c->parameters) != 1)
		return err_set(e, ERR_INTERNAL, "no EC key can be made");
	/* this checks that the point lies on the curve (SEC 1, 3.2.2.1) */
	if (EVP_PKEY_set1_encoded_public_key(
		out->key, spki->key.p, spki->key.n) != 1)
		return err_set(
		    e, ERR_BAD_KEY, "EC point is not on the curve %s", c->name);
	return 0;
}

/* RSAPublicKey ::= SEQUENCE { modulus, publicExponent } (RFC 8017 A.1.1) */
struct rsa_pub {
	ASN1_INTEGER *n, *e;
};

ASN1_SEQUENCE(rsa_pub) = {
	ASN1_SIMPLE(struct rsa_pub, n, ASN1_INTEGER),
	ASN1_SIMPLE(struct rsa_pub, e, ASN1_INTEGER),
} static_ASN1_SEQUENCE_END_name(struct rsa_pub, rsa_pub)

static void
rsa_pub_free(struct rsa_pub *p)
{
	ASN1_item_free((ASN1_VALUE *)p, ASN1_ITEM_rptr(rsa_pub));
}
typedef struct rsa_pub rsa_pub_auto;
AUTO_DEFINE(rsa_pub_auto, rsa_pub_free);

static int
check_rsa(struct span n, struct span exp, struct err *e)
{
	bool small = exp.n < 3;

	if (n.n * 8 < RSA_BITS_MIN || n.n * 8 > RSA_BITS_MAX || n.p[0] < 0x80)
		return err_set(e, ERR_BAD_KEY,
		    "RSA modulus is not %d to %d bits in whole octets",
		    RSA_BITS_MIN, RSA_BITS_MAX);
	if ((n.p[n.n - 1] & 1) == 0)
		return err_set(e, ERR_BAD_KEY, "RSA modulus is even");
	if (exp.n == 3)
		small = exp.p[0] == 1 && exp.p[1] == 0 && exp.p[2] < 1;
	if (small)
		return err_set(
		    e, ERR_BAD_KEY, "RSA exponent is less than 65537");
	if ((exp.p[exp.n - 1] & 1) == 0)
		return err_set(e, ERR_BAD_KEY, "RSA exponent is even");
	if (exp.n * 8 > RSA_EXPONENT_BITS_MAX)
		return err_set(e, ERR_BAD_KEY,
		    "RSA exponent has more than %d bits",
		    RSA_EXPONENT_BITS_MAX);
	return 0;
}

static const char *
rsa_name(unsigned bits)
{
	switch (bits) {
	case 2048:
		return "RSA-2048";
	case 3072:
		return "RSA-3072";
	case 4096:
		return "RSA-4096";
	default:
		return "RSA";
	}
}

static int
open_rsa(const struct tosign_spki *spki, struct pubkey *out, struct err *e)
{
	static const uint8_t null[] = { 5, 0 };
	AUTO(OSSL_PARAM_BLD) bld = OSSL_PARAM_BLD_new();
	AUTO(EVP_PKEY_CTX) ctx = EVP_PKEY_CTX_new_from_name(NULL, "RSA", NULL);
	AUTO(BIGNUM) bn_n = NULL;
	AUTO(BIGNUM) bn_e = NULL;
	AUTO(OSSL_PARAM) params = NULL;
	AUTO(rsa_pub_auto) pub = NULL;
	const uint8_t *p = spki->key.p;
	struct span n, exp;

	if (!span_eq(spki->params, span_of(null, sizeof(null))))
		return err_set(
		    e, ERR_BAD_KEY, "RSA key parameters are not NULL");
	pub = (struct rsa_pub *)ASN1_item_d2i(
	    NULL, &p, (long)spki->key.n, ASN1_ITEM_rptr(rsa_pub));
	if (pub == NULL || p != spki->key.p + spki->key.n ||
	    ASN1_STRING_type(pub->n) != V_ASN1_INTEGER ||
	    ASN1_STRING_type(pub->e) != V_ASN1_INTEGER)
		return err_set(e, ERR_BAD_KEY, "RSA key is not RSAPublicKey");
	n = span_of(
	    ASN1_STRING_get0_data(pub->n), (size_t)ASN1_STRING_length(pub->n));
	exp = span_of(
	    ASN1_STRING_get0_data(pub->e), (size_t)ASN1_STRING_length(pub->e));
	if (check_rsa(n, exp, e) == -1)
		return -1;
	out->type = PUBKEY_RSA;
	out->bits = (unsigned)(n.n * 8);
	out->name = rsa_name(out->bits);
	bn_n = BN_bin2bn(n.p, (int)n.n, NULL);
	bn_e = BN_bin2bn(exp.p, (int)exp.n, NULL);
	if (bld == NULL || ctx == NULL || bn_n == NULL || bn_e == NULL ||
	    OSSL_PARAM_BLD_push_BN(bld, OSSL_PKEY_PARAM_RSA_N, bn_n) != 1 ||
	    OSSL_PARAM_BLD_push_BN(bld, OSSL_PKEY_PARAM_RSA_E, bn_e) != 1)
		return err_set(e, ERR_INTERNAL, "no RSA key can be made");
	params = OSSL_PARAM_BLD_to_param(bld);
	if (params == NULL || EVP_PKEY_fromdata_init(ctx) != 1 ||
	    EVP_PKEY_fromdata(ctx, &out->key, EVP_PKEY_PUBLIC_KEY, params) != 1)
		return err_set(e, ERR_BAD_KEY, "RSA key is not usable");
	return 0;
}

static int
open_ed25519(const struct tosign_spki *spki, struct pubkey *out, struct err *e)
{
	if (spki->params.n != 0 || spki->key.n != 32)
		return err_set(e, ERR_BAD_KEY, "Ed25519 key is not 32 octets");
	out->type = PUBKEY_ED25519;
	out->name = "Ed25519";
	out->bits = 256;
	out->key = EVP_PKEY_new_raw_public_key_ex(
	    NULL, "ED25519", NULL, spki->key.p, spki->key.n);
	if (out->key == NULL)
		return err_set(e, ERR_BAD_KEY, "Ed25519 key is not usable");
	return 0;
}

static int
open_any(const struct tosign_spki *parts, struct pubkey *out, struct err *e)
{
	if (tosign_oid_is(parts->alg_oid, OID_EC))
		return open_ec(parts, out, e);
	if (tosign_oid_is(parts->alg_oid, OID_RSA))
		return open_rsa(parts, out, e);
	if (tosign_oid_is(parts->alg_oid, OID_ED25519))
		return open_ed25519(parts, out, e);
	return err_set(
	    e, ERR_BAD_KEY, "key algorithm is not RSA, EC or Ed25519");
}

int
pubkey_open(struct span spki, struct pubkey *out, struct err *e)
{
	struct tosign_spki parts;

	(void)pthread_once(&once, make_once);
	*out = (struct pubkey){ 0 };
	if (tosign_spki_parse(spki, &parts, e) == -1)
		return -1;
	out->octets = parts.key;
	if (open_any(&parts, out, e) == -1) {
		pubkey_clear(out);
		return -1;
	}
	return 0;
}

void
pubkey_clear(struct pubkey *k)
{
	EVP_PKEY_free(k->key);
	k->key = NULL;
}

/* The row of sig_algs that an AlgorithmIdentifier names, or -1. */
static int
find_sig_alg(struct span der)
{
	size_t i;

	for (i = 0; i < N_SIG_ALGS; i++) {
		if (span_eq(der, buf_get(&sig_alg_der[i])))
			return (int)i;
	}
	return -1;
}

int
pubkey_verify(const struct pubkey *k, struct span sig_alg, struct span message,
    struct span signature, struct err *e)
{
	AUTO(EVP_MD_CTX) ctx = EVP_MD_CTX_new();
	int alg = find_sig_alg(sig_alg);

	if (alg == -1)
		return err_set(e, ERR_BAD_KEY,
		    "signature algorithm is unknown, too weak or has wrong "
		    "parameters");
	if (sig_algs[alg].type != k->type)
		return err_set(
		    e, ERR_BAD_KEY, "signature algorithm does not fit the key");
	if (ctx == NULL ||
	    EVP_DigestVerifyInit(ctx, NULL, digests[alg], NULL, k->key) != 1)
		return err_set(e, ERR_INTERNAL, "verification cannot start");
	if (EVP_DigestVerify(
		ctx, signature.p, signature.n, message.p, message.n) != 1)
		return err_set(e, ERR_BAD_POP, "signature is wrong");
	return 0;
}
