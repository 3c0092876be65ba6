/* Making and showing keys: what only the ceremony mode asks for. */
#include <stdlib.h>
#include <string.h>

#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/param_build.h>

#include "base/auto.h"
#include "base/b64.h"
#include "base/buf.h"
#include "hsm/token_int.h"

AUTO_DEFINE(EVP_PKEY_CTX, EVP_PKEY_CTX_free);
AUTO_DEFINE(OSSL_PARAM_BLD, OSSL_PARAM_BLD_free);
AUTO_DEFINE(OSSL_PARAM, OSSL_PARAM_free);
AUTO_DEFINE(BIGNUM, BN_free);

static const uint8_t oid_p256[] = { 0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d,
	0x03, 0x01, 0x07 };
static const uint8_t oid_p384[] = { 0x06, 0x05, 0x2b, 0x81, 0x04, 0x00, 0x22 };

/* What differs between the algorithms. */
struct recipe {
	CK_MECHANISM_TYPE generate, sign;
	struct span ec_params;
	CK_ULONG bits;
};

static int
recipe_of(const char *algorithm, struct recipe *r, struct err *e)
{
	char *end = NULL;

	memset(r, 0, sizeof(*r));
	r->generate = CKM_EC_KEY_PAIR_GEN;
	r->sign = CKM_ECDSA;
	if (strcmp(algorithm, "P-256") == 0) {
		r->ec_params = span_of(oid_p256, sizeof(oid_p256));
		return 0;
	}
	if (strcmp(algorithm, "P-384") == 0) {
		r->ec_params = span_of(oid_p384, sizeof(oid_p384));
		return 0;
	}
	r->generate = CKM_RSA_PKCS_KEY_PAIR_GEN;
	r->sign = CKM_RSA_PKCS;
	if (strncmp(algorithm, "RSA-", 4) == 0)
		r->bits = strtoul(algorithm + 4, &end, 10);
	if (end == NULL || *end != '\0' || r->bits < 2048 || r->bits > 4096 ||
	    r->bits % 8 != 0)
		return err_set(e, ERR_BAD_KEY,
		    "cannot make a key of algorithm \"%s\"", algorithm);
	return 0;
}

static int
generate(struct token *t, const struct token_uri *uri, struct recipe *r,
    struct err *e)
{
	static CK_BBOOL yes = CK_TRUE, no = CK_FALSE;
	static CK_BYTE exponent[] = { 1, 0, 1 };
	void *id = (void *)(uintptr_t)uri->id;
	void *label = (void *)(uintptr_t)uri->object;
	size_t label_n = strlen(uri->object);
	CK_ATTRIBUTE private[] = {
		{ CKA_TOKEN, &yes, sizeof(yes) },
		{ CKA_PRIVATE, &yes, sizeof(yes) },
		{ CKA_SENSITIVE, &yes, sizeof(yes) },
		{ CKA_SIGN, &yes, sizeof(yes) },
		{ CKA_EXTRACTABLE, &no, sizeof(no) },
		{ CKA_SIGN_RECOVER, &no, sizeof(no) },
		{ CKA_DECRYPT, &no, sizeof(no) },
		{ CKA_UNWRAP, &no, sizeof(no) },
		{ CKA_DERIVE, &no, sizeof(no) },
		{ CKA_MODIFIABLE, &no, sizeof(no) },
		{ CKA_COPYABLE, &no, sizeof(no) },
		{ CKA_DESTROYABLE, &no, sizeof(no) },
		{ CKA_ALLOWED_MECHANISMS, &r->sign, sizeof(r->sign) },
		{ CKA_ID, id, uri->id_n },
		{ CKA_LABEL, label, label_n },
	};
	CK_ATTRIBUTE public[] = {
		{ CKA_TOKEN, &yes, sizeof(yes) },
		{ CKA_VERIFY, &yes, sizeof(yes) },
		{ CKA_ENCRYPT, &no, sizeof(no) },
		{ CKA_WRAP, &no, sizeof(no) },
		{ CKA_ID, id, uri->id_n },
		{ CKA_LABEL, label, label_n },
		{ CKA_EC_PARAMS, (void *)(uintptr_t)r->ec_params.p,
		    r->ec_params.n },
		{ CKA_PUBLIC_EXPONENT, exponent, sizeof(exponent) },
	};
	CK_MECHANISM how = { r->generate, NULL, 0 };
	CK_OBJECT_HANDLE pub, priv;
	CK_ULONG n_public = 7;
	CK_RV rv;

	if (r->bits != 0) {
		public[6] = (CK_ATTRIBUTE){ CKA_MODULUS_BITS, &r->bits,
			sizeof(r->bits) };
		n_public = 8;
	}
	(void)ERR_set_mark();
	rv = t->f->C_GenerateKeyPair(t->session, &how, public, n_public,
	    private, sizeof(private) / sizeof(private[0]), &pub, &priv);
	(void)ERR_pop_to_mark();
	return rv == CKR_OK ? 0 : token_fail(e, "key generation", rv);
}

int
token_make(struct token *t, const struct token_uri *uri, const char *algorithm,
    struct err *e)
{
	CK_OBJECT_HANDLE there;
	struct recipe r;
	struct err why;

	if (recipe_of(algorithm, &r, e) != 0)
		return -1;
	if (token_object(t, uri, CKO_PRIVATE_KEY, &there, &why) == 0 ||
	    why.kind == ERR_CONFLICT)
		return err_set(
		    e, ERR_CONFLICT, "the token has a key with this id");
	return generate(t, uri, &r, e);
}

static EVP_PKEY *
from_params(const char *type, OSSL_PARAM_BLD *bld)
{
	AUTO(OSSL_PARAM) params = OSSL_PARAM_BLD_to_param(bld);
	AUTO(EVP_PKEY_CTX) ctx = EVP_PKEY_CTX_new_from_name(NULL, type, NULL);
	EVP_PKEY *out = NULL;

	if (params == NULL || ctx == NULL || EVP_PKEY_fromdata_init(ctx) != 1 ||
	    EVP_PKEY_fromdata(ctx, &out, EVP_PKEY_PUBLIC_KEY, params) != 1)
		return NULL;
	return out;
}

static EVP_PKEY *
rsa_public(struct token *t, struct arena *a, CK_OBJECT_HANDLE object)
{
	AUTO(OSSL_PARAM_BLD) bld = OSSL_PARAM_BLD_new();
	AUTO(BIGNUM) n = NULL;
	AUTO(BIGNUM) x = NULL;
	struct span mod, exp;

	if (bld == NULL || !token_attribute(t, a, object, CKA_MODULUS, &mod) ||
	    !token_attribute(t, a, object, CKA_PUBLIC_EXPONENT, &exp))
		return NULL;
	n = BN_bin2bn(mod.p, (int)mod.n, NULL);
	x = BN_bin2bn(exp.p, (int)exp.n, NULL);
	if (n == NULL || x == NULL ||
	    OSSL_PARAM_BLD_push_BN(bld, OSSL_PKEY_PARAM_RSA_N, n) != 1 ||
	    OSSL_PARAM_BLD_push_BN(bld, OSSL_PKEY_PARAM_RSA_E, x) != 1)
		return NULL;
	return from_params("RSA", bld);
}

static EVP_PKEY *
ec_public(struct token *t, struct arena *a, CK_OBJECT_HANDLE object,
    struct span params)
{
	AUTO(OSSL_PARAM_BLD) bld = OSSL_PARAM_BLD_new();
	bool small = span_eq(params, span_of(oid_p256, sizeof(oid_p256)));
	size_t n = small ? 65 : 97;
	struct span point;

	if (bld == NULL ||
	    !token_attribute(t, a, object, CKA_EC_POINT, &point) || point.n < n)
		return NULL;
	if (OSSL_PARAM_BLD_push_utf8_string(bld, OSSL_PKEY_PARAM_GROUP_NAME,
		small ? "prime256v1" : "secp384r1", 0) != 1 ||
	    OSSL_PARAM_BLD_push_octet_string(
		bld, OSSL_PKEY_PARAM_PUB_KEY, point.p + point.n - n, n) != 1)
		return NULL;
	return from_params("EC", bld);
}

int
token_public(
    struct token *t, const struct token_uri *uri, EVP_PKEY **out, struct err *e)
{
	AUTO(arena_auto) a = arena_new();
	CK_OBJECT_HANDLE object;
	struct span params;

	if (token_object(t, uri, CKO_PUBLIC_KEY, &object, e) != 0)
		return -1;
	(void)ERR_set_mark();
	if (token_attribute(t, a, object, CKA_EC_PARAMS, &params))
		*out = ec_public(t, a, object, params);
	else
		*out = rsa_public(t, a, object);
	(void)ERR_pop_to_mark();
	if (*out == NULL)
		return err_set(e, ERR_BAD_KEY,
		    "public key on the token is not RSA, P-256 or P-384");
	return 0;
}

int
token_attributes(struct token *t, const struct token_uri *uri, struct arena *a,
    const char **out, struct err *e)
{
	static const struct {
		CK_ATTRIBUTE_TYPE type;
		const char *name;
	} shown[] = {
		{ CKA_TOKEN, "token" },
		{ CKA_PRIVATE, "private" },
		{ CKA_SENSITIVE, "sensitive" },
		{ CKA_ALWAYS_SENSITIVE, "always-sensitive" },
		{ CKA_EXTRACTABLE, "extractable" },
		{ CKA_NEVER_EXTRACTABLE, "never-extractable" },
		{ CKA_LOCAL, "local" },
		{ CKA_SIGN, "sign" },
		{ CKA_SIGN_RECOVER, "sign-recover" },
		{ CKA_DECRYPT, "decrypt" },
		{ CKA_UNWRAP, "unwrap" },
		{ CKA_DERIVE, "derive" },
		{ CKA_MODIFIABLE, "modifiable" },
	};
	CK_OBJECT_HANDLE object;
	struct span value;
	AUTO_BUF(b, 4096);
	size_t i;

	if (token_object(t, uri, CKO_PRIVATE_KEY, &object, e) != 0)
		return -1;
	for (i = 0; i < sizeof(shown) / sizeof(shown[0]); i++) {
		if (token_attribute(t, a, object, shown[i].type, &value) &&
		    value.n == 1)
			buf_printf(&b, "%s=%s\n", shown[i].name,
			    value.p[0] ? "true" : "false");
	}
	if (token_attribute(t, a, object, CKA_ID, &value))
		buf_printf(&b, "id=%s\n", hex_encode(a, value));
	buf_u8(&b, 0);
	*out = arena_memdup(a, b.p, b.n);
	return 0;
}
