#include "hsm/token_int.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/rand.h>

#include <libp11.h>

#include "base/auto.h"
#include "base/buf.h"
#include "base/der.h"

#define SIGNATURE_MAX 1024
#define PROOF_SIZE 32

AUTO_DEFINE(BIGNUM, BN_free);

/* DigestInfo before a SHA-256, RFC 8017 section 9.2 note 1. */
static const uint8_t digest_info[] = { 0x30, 0x31, 0x30, 0x0d, 0x06, 0x09, 0x60,
	0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, 0x01, 0x05, 0x00, 0x04,
	0x20 };

/*
 * A loaded module.  These live as long as the process: releasing slots or
 * finalising while anything uses them is unsafe, and a second context would
 * close the sessions of the first.
 */
struct loaded {
	struct loaded *next;
	char *path;
	PKCS11_CTX *ctx;
	PKCS11_SLOT *slots;
	unsigned n_slots;
};

static struct loaded *modules;

struct token_key {
	struct token *token;
	CK_OBJECT_HANDLE private;
	struct sign_alg alg;
	EVP_MD_CTX *ctx;
};

int
token_fail(struct err *e, const char *what, CK_RV rv)
{
	return err_set(e, ERR_UNAVAILABLE, "%s: token says 0x%lx", what, rv);
}

static bool
is_or_any(const char *want, const char *is)
{
	return want[0] == '\0' || (is != NULL && strcmp(want, is) == 0);
}

static bool
is_token(const struct token_uri *u, const PKCS11_TOKEN *t)
{
	return t != NULL && t->initialized && is_or_any(u->token, t->label) &&
	       is_or_any(u->serial, t->serialnr) &&
	       is_or_any(u->manufacturer, t->manufacturer) &&
	       is_or_any(u->model, t->model);
}

/* The module's context and slots, loaded at most once. */
static int
load_module(const char *module, struct loaded **out, struct err *e)
{
	struct loaded *m;

	for (m = modules; m != NULL; m = m->next) {
		if (strcmp(m->path, module) == 0) {
			*out = m;
			return 0;
		}
	}
	m = calloc(1, sizeof(*m));
	if (m == NULL || (m->path = strdup(module)) == NULL ||
	    (m->ctx = PKCS11_CTX_new()) == NULL)
		return err_set(e, ERR_INTERNAL, "no memory");
	m->next = modules;
	modules = m;
	if (PKCS11_CTX_load(m->ctx, module) != 0)
		return err_set(e, ERR_UNAVAILABLE,
		    "cannot load PKCS#11 module \"%s\"", module);
	if (PKCS11_enumerate_slots(m->ctx, &m->slots, &m->n_slots) != 0)
		return err_set(e, ERR_UNAVAILABLE,
		    "PKCS#11 module \"%s\" lists no slots", module);
	*out = m;
	return 0;
}

static int
find_slot(const struct token_conf *conf, CK_SLOT_ID *out, struct err *e)
{
	PKCS11_SLOT *found = NULL;
	unsigned i, matches = 0;
	struct loaded *m = NULL;

	if (load_module(conf->module, &m, e) != 0)
		return -1;
	for (i = 0; i < m->n_slots; i++) {
		if (!is_token(conf->uri, m->slots[i].token))
			continue;
		found = &m->slots[i];
		matches++;
	}
	if (matches != 1)
		return err_set(e, ERR_UNAVAILABLE,
		    "%u tokens are called \"%s%s\"", matches, conf->uri->token,
		    conf->uri->serial);
	if (found->token->userPinLocked)
		return err_set(e, ERR_UNAUTHENTICATED,
		    "PIN of token \"%s\" is locked", found->token->label);
	*out = PKCS11_get_slotid_from_slot(found);
	return 0;
}

/* The functions of the module that libp11 has loaded. */
static int
functions(const char *module, CK_FUNCTION_LIST **out, struct err *e)
{
	CK_RV (*list)(CK_FUNCTION_LIST **);
	void *lib = dlopen(module, RTLD_NOW | RTLD_LOCAL), *sym;

	sym = lib == NULL ? NULL : dlsym(lib, "C_GetFunctionList");
	if (sym == NULL)
		return err_set(e, ERR_UNAVAILABLE,
		    "\"%s\" is not a PKCS#11 module", module);
	memcpy(&list, &sym, sizeof(list));
	if (list(out) != CKR_OK)
		return err_set(e, ERR_UNAVAILABLE,
		    "PKCS#11 module \"%s\" has no functions", module);
	return 0;
}

int
token_functions(const char *module, CK_FUNCTION_LIST **out, struct err *e)
{
	struct loaded *m;

	if (load_module(module, &m, e) != 0)
		return -1;
	return functions(module, out, e);
}

static int
login(struct token *t, const char *pin, struct err *e)
{
	CK_RV rv = t->f->C_Login(
	    t->session, CKU_USER, (CK_UTF8CHAR *)(uintptr_t)pin, strlen(pin));

	switch (rv) {
	case CKR_OK:
	case CKR_USER_ALREADY_LOGGED_IN:
		return 0;
	case CKR_PIN_INCORRECT:
	case CKR_PIN_INVALID:
	case CKR_PIN_LEN_RANGE:
	case CKR_PIN_LOCKED:
	case CKR_PIN_EXPIRED:
		return err_set(e, ERR_UNAUTHENTICATED,
		    "token refuses the PIN (0x%lx)", rv);
	default:
		return token_fail(e, "login", rv);
	}
}

static int
open_locked(const struct token_conf *conf, struct token *t, struct err *e)
{
	CK_FLAGS flags = CKF_SERIAL_SESSION;
	CK_SLOT_ID slot = 0;
	CK_RV rv;

	if (find_slot(conf, &slot, e) != 0 ||
	    functions(conf->module, &t->f, e) != 0)
		return -1;
	if (conf->write)
		flags |= CKF_RW_SESSION;
	rv = t->f->C_OpenSession(slot, flags, NULL, NULL, &t->session);
	if (rv != CKR_OK)
		return token_fail(e, "session", rv);
	return login(t, conf->pin, e);
}

int
token_open(const struct token_conf *conf, struct token **out, struct err *e)
{
	AUTO_FD int lock = open(
	    conf->lock_path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	struct token *t;
	int r;

	if (lock < 0 || flock(lock, LOCK_EX) != 0)
		return err_set(e, ERR_UNAVAILABLE, "cannot lock \"%s\": %s",
		    conf->lock_path, strerror(errno));
	t = calloc(1, sizeof(*t));
	if (t == NULL)
		return err_set(e, ERR_INTERNAL, "no memory");
	(void)ERR_set_mark();
	r = open_locked(conf, t, e);
	(void)ERR_pop_to_mark();
	if (r != 0) {
		token_close(t);
		return -1;
	}
	*out = t;
	return 0;
}

void
token_close(struct token *t)
{
	if (t == NULL)
		return;
	if (t->session != CK_INVALID_HANDLE)
		(void)t->f->C_CloseSession(t->session);
	free(t);
}

int
token_object(struct token *t, const struct token_uri *uri,
    CK_OBJECT_CLASS class, CK_OBJECT_HANDLE *out, struct err *e)
{
	CK_ATTRIBUTE want[] = {
		{ CKA_CLASS, &class, sizeof(class) },
		{ CKA_ID, (void *)(uintptr_t)uri->id, uri->id_n },
	};
	CK_OBJECT_HANDLE found[2];
	CK_ULONG n = 0;
	CK_RV rv;

	rv = t->f->C_FindObjectsInit(t->session, want, 2);
	if (rv != CKR_OK)
		return token_fail(e, "search", rv);
	rv = t->f->C_FindObjects(t->session, found, 2, &n);
	(void)t->f->C_FindObjectsFinal(t->session);
	if (rv != CKR_OK)
		return token_fail(e, "search", rv);
	if (n == 0)
		return err_set(
		    e, ERR_NOT_FOUND, "no key with this id on the token");
	if (n > 1)
		return err_set(
		    e, ERR_CONFLICT, "several keys with this id on the token");
	*out = found[0];
	return 0;
}

bool
token_attribute(struct token *t, struct arena *a, CK_OBJECT_HANDLE object,
    CK_ATTRIBUTE_TYPE type, struct span *out)
{
	CK_ATTRIBUTE at = { type, NULL, 0 };

	if (t->f->C_GetAttributeValue(t->session, object, &at, 1) != CKR_OK ||
	    at.ulValueLen == CK_UNAVAILABLE_INFORMATION)
		return false;
	at.pValue = arena_alloc(a, at.ulValueLen);
	if (t->f->C_GetAttributeValue(t->session, object, &at, 1) != CKR_OK)
		return false;
	*out = span_of(at.pValue, at.ulValueLen);
	return true;
}

/* Whether the token's own idea of the public key, if it has one, differs. */
static bool
other_rsa(
    struct token *t, struct arena *a, CK_OBJECT_HANDLE object, EVP_PKEY *public)
{
	AUTO(BIGNUM) want = NULL;
	AUTO(BIGNUM) is = NULL;
	struct span n;

	if (!token_attribute(t, a, object, CKA_MODULUS, &n))
		return false;
	is = BN_bin2bn(n.p, (int)n.n, NULL);
	return EVP_PKEY_get_bn_param(public, OSSL_PKEY_PARAM_RSA_N, &want) !=
		   1 ||
	       is == NULL || BN_cmp(is, want) != 0;
}

static bool
other_ec(struct token *t, struct arena *a, const struct token_uri *uri,
    EVP_PKEY *public)
{
	uint8_t want[256];
	CK_OBJECT_HANDLE object;
	struct span point;
	size_t n;

	if (token_object(t, uri, CKO_PUBLIC_KEY, &object, NULL) != 0 ||
	    !token_attribute(t, a, object, CKA_EC_POINT, &point))
		return false;
	if (EVP_PKEY_get_octet_string_param(
		public, OSSL_PKEY_PARAM_PUB_KEY, want, sizeof(want), &n) != 1)
		return true;
	/* an OCTET STRING around the point (PKCS#11 2.3.3) */
	return point.n < n || memcmp(point.p + point.n - n, want, n) != 0;
}

static bool
is_other(struct token_key *k, const struct token_uri *uri, EVP_PKEY *public)
{
	AUTO(arena_auto) a = arena_new();

	if (k->alg.rsa)
		return other_rsa(k->token, a, k->private, public);
	return other_ec(k->token, a, uri, public);
}

/* A signature over random bytes that the public key verifies. */
static int
prove(struct token_key *k, EVP_PKEY *public, struct err *e)
{
	AUTO(arena_auto) a = arena_new();
	uint8_t nonce[PROOF_SIZE];
	struct span sig;
	bool lost;

	if (RAND_bytes(nonce, sizeof(nonce)) != 1)
		return err_set(e, ERR_INTERNAL, "no random bytes");
	if (token_sign(k, a, span_of(nonce, sizeof(nonce)), &sig, &lost, e) !=
	    0)
		return -1;
	return sign_alg_verify(
	    &k->alg, public, span_of(nonce, sizeof(nonce)), sig, e);
}

void
token_key_free(struct token_key *k)
{
	if (k == NULL)
		return;
	EVP_MD_CTX_free(k->ctx);
	free(k);
}

typedef struct token_key token_key_auto;
AUTO_DEFINE(token_key_auto, token_key_free);

int
token_find(struct token *t, const struct token_uri *uri, EVP_PKEY *public,
    struct token_key **out, struct err *e)
{
	AUTO(token_key_auto) k = calloc(1, sizeof(*k));

	if (k == NULL || (k->ctx = EVP_MD_CTX_new()) == NULL)
		return err_set(e, ERR_INTERNAL, "no memory");
	k->token = t;
	if (sign_alg_of(public, &k->alg, e) != 0 ||
	    token_object(t, uri, CKO_PRIVATE_KEY, &k->private, e) != 0)
		return -1;
	if (is_other(k, uri, public))
		return err_set(e, ERR_BAD_KEY,
		    "key on the token is not that of the certificate");
	if (prove(k, public, e) != 0)
		return -1;
	*out = k;
	k = NULL;
	return 0;
}

/* r and s, each half of 'raw', as ECDSA-Sig-Value (RFC 3279 2.2.3). */
static struct span
ecdsa_value(struct arena *a, struct span raw)
{
	size_t begun, half = raw.n / 2;
	AUTO_BUF(b, SIGNATURE_MAX);

	begun = der_begin(&b, DER_SEQUENCE);
	der_uint(&b, span_of(raw.p, half));
	der_uint(&b, span_of(raw.p + half, half));
	der_end(&b, begun);
	return span_dup(a, buf_get(&b));
}

int
token_sign_digest(struct token_key *k, struct arena *a, struct span digest,
    struct span *sig, bool *lost, struct err *e)
{
	CK_MECHANISM how = { k->alg.rsa ? CKM_RSA_PKCS : CKM_ECDSA, NULL, 0 };
	uint8_t in[sizeof(digest_info) + EVP_MAX_MD_SIZE], raw[SIGNATURE_MAX];
	size_t prefix = k->alg.rsa ? sizeof(digest_info) : 0;
	CK_ULONG n = sizeof(raw);
	CK_RV rv;

	*lost = false;
	if (digest.n > EVP_MAX_MD_SIZE)
		return err_set(e, ERR_INTERNAL, "digest is too long");
	/* what C_Sign gets: the digest, for RSA inside a DigestInfo */
	memcpy(in, digest_info, prefix);
	memcpy(in + prefix, digest.p, digest.n);
	/* SoftHSM leaves errors of its own in our queue */
	(void)ERR_set_mark();
	rv = k->token->f->C_SignInit(k->token->session, &how, k->private);
	if (rv == CKR_OK)
		rv = k->token->f->C_Sign(
		    k->token->session, in, prefix + digest.n, raw, &n);
	(void)ERR_pop_to_mark();
	if (rv != CKR_OK) {
		*lost = true;
		return token_fail(e, "signing", rv);
	}
	*sig = k->alg.rsa ? span_dup(a, span_of(raw, n))
			  : ecdsa_value(a, span_of(raw, n));
	return 0;
}

int
token_sign(struct token_key *k, struct arena *a, struct span data,
    struct span *sig, bool *lost, struct err *e)
{
	uint8_t digest[EVP_MAX_MD_SIZE];
	unsigned n = 0;

	*lost = false;
	if (EVP_DigestInit_ex(k->ctx, k->alg.md, NULL) != 1 ||
	    EVP_DigestUpdate(k->ctx, data.p, data.n) != 1 ||
	    EVP_DigestFinal_ex(k->ctx, digest, &n) != 1)
		return err_set(e, ERR_INTERNAL, "digest failed");
	return token_sign_digest(k, a, span_of(digest, n), sig, lost, e);
}
