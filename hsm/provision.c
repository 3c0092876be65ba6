#include "hsm/provision.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>

#include "base/auto.h"
#include "base/b64.h"
#include "base/buf.h"
#include "base/der.h"
#include "base/file.h"
#include "hsm/keyfile.h"
#include "hsm/provision_crl.h"
#include "hsm/secret.h"
#include "hsm/sign_policy.h"
#include "hsm/token.h"
#include "hsm/tosign.h"

#define FIELDS_MAX 32
#define FILE_BYTES_MAX ((size_t)64 * 1024 * 1024)

AUTO_DEFINE(FILE, fclose);

struct field {
	const char *name, *value;
};

/* One request, and the key that it names once that is open. */
struct work {
	struct arena *a;
	const char *lock_path;
	struct field fields[FIELDS_MAX];
	size_t n;
	struct token_uri uri;
	struct token *token;
	struct token_key *token_key;
	struct keyfile *keyfile;
	EVP_PKEY *public;
	struct sign_alg alg;
	struct span spki;
};

static const char *
get(const struct work *w, const char *name)
{
	size_t i;

	for (i = 0; i < w->n; i++) {
		if (strcmp(w->fields[i].name, name) == 0)
			return w->fields[i].value;
	}
	return NULL;
}

static int
need(const struct work *w, const char *name, const char **out, struct err *e)
{
	*out = get(w, name);
	if (*out == NULL)
		return err_set(e, ERR_MALFORMED, "\"%s=\" is missing", name);
	return 0;
}

static int
read_file(
    const struct work *w, const char *path, struct span *out, struct err *e)
{
	AUTO(FILE) f = fopen(path, "re");
	uint8_t chunk[4096];
	AUTO_BUF(b, FILE_BYTES_MAX);
	size_t n;

	if (f == NULL)
		return err_set(e, ERR_UNAVAILABLE, "cannot read \"%s\": %s",
		    path, strerror(errno));
	while ((n = fread(chunk, 1, sizeof(chunk), f)) > 0)
		buf_add(&b, chunk, n);
	if (ferror(f) || !buf_ok(&b))
		return err_set(e, ERR_UNAVAILABLE, "cannot read \"%s\"", path);
	*out = span_dup(w->a, buf_get(&b));
	return 0;
}

/* What is written here is public: readable whatever the umask is. */
static int
write_pem(const struct work *w, const char *path, const char *label,
    struct span der, struct err *e)
{
	return file_replace(
	    path, span_str(pem_encode(w->a, label, der)), 0644, e);
}

static void
print_hash(const struct work *w, const char *name, struct span data)
{
	uint8_t hash[32];

	if (EVP_Q_digest(NULL, "SHA256", NULL, data.p, data.n, hash, NULL) == 1)
		(void)printf("%s=%s\n", name,
		    hex_encode(w->a, span_of(hash, sizeof(hash))));
}

static int
secret_of(const struct work *w, const char *prefix, char **out, struct err *e)
{
	struct sign_secret s = {
		.file = get(w, arena_printf(w->a, "%s-file", prefix)),
		.credential =
		    get(w, arena_printf(w->a, "%s-credential", prefix)),
		.prompt =
		    get(w, arena_printf(w->a, "%s-prompt", prefix)) != NULL,
	};

	if ((s.file != NULL) + (s.credential != NULL) + s.prompt != 1)
		return err_set(e, ERR_MALFORMED,
		    "one of %s-file, %s-credential and %s-prompt is needed",
		    prefix, prefix, prefix);
	return secret_read(&s, prefix, out, e);
}

static int
open_token(struct work *w, bool make, struct err *e)
{
	struct token_conf conf = {
		.uri = &w->uri, .lock_path = w->lock_path, .write = make
	};
	const char *uri, *algorithm;
	char *pin;
	int r;

	if (need(w, "module", &conf.module, e) != 0 ||
	    need(w, "uri", &uri, e) != 0 ||
	    token_uri_parse(uri, &w->uri, e) != 0 ||
	    secret_of(w, "pin", &pin, e) != 0)
		return -1;
	conf.pin = pin;
	r = token_open(&conf, &w->token, e);
	secret_free(pin);
	if (r != 0)
		return -1;
	if (make && (need(w, "algorithm", &algorithm, e) != 0 ||
			token_make(w->token, &w->uri, algorithm, e) != 0))
		return -1;
	if (token_public(w->token, &w->uri, &w->public, e) != 0)
		return -1;
	return token_find(w->token, &w->uri, w->public, &w->token_key, e);
}

static int
open_keyfile(struct work *w, bool make, struct err *e)
{
	const char *path = get(w, "keyfile"), *algorithm;
	char *phrase;
	int r = 0;

	if (secret_of(w, "passphrase", &phrase, e) != 0)
		return -1;
	if (make) {
		r = need(w, "algorithm", &algorithm, e);
		if (r == 0)
			r = keyfile_make(path, phrase, algorithm, e);
	}
	if (r == 0)
		r = keyfile_open(path, phrase, &w->keyfile, e);
	secret_free(phrase);
	if (r != 0)
		return -1;
	w->public = keyfile_public(w->keyfile);
	if (w->public == NULL)
		return err_set(e, ERR_INTERNAL, "no public key");
	return 0;
}

static int
open_key(struct work *w, bool make, struct err *e)
{
	unsigned char *der = NULL;
	int n;

	if (get(w, "keyfile") != NULL) {
		if (open_keyfile(w, make, e) != 0)
			return -1;
	} else if (open_token(w, make, e) != 0) {
		return -1;
	}
	if (sign_alg_of(w->public, &w->alg, e) != 0)
		return -1;
	n = i2d_PUBKEY(w->public, &der);
	w->spki = span_dup(w->a, span_of(der, n < 0 ? 0 : (size_t)n));
	OPENSSL_free(der);
	(void)printf("algorithm=%s\n", w->alg.name);
	print_hash(w, "spki-sha256", w->spki);
	return 0;
}

static int
sign(struct work *w, struct span data, struct span *sig, struct err *e)
{
	bool lost;
	int r;

	if (w->keyfile != NULL)
		r = keyfile_sign(w->keyfile, w->a, data, sig, e);
	else
		r = token_sign(w->token_key, w->a, data, sig, &lost, e);
	if (r != 0)
		return -1;
	return sign_alg_verify(&w->alg, w->public, data, *sig, e);
}

static int
make_key(struct work *w, struct err *e)
{
	const char *path = get(w, "public");

	if (open_key(w, true, e) != 0)
		return -1;
	if (path == NULL)
		return 0;
	return write_pem(w, path, "PUBLIC KEY", w->spki, e);
}

/* The TBSCertificate to sign: a CA's, with the key's algorithm. */
static int
read_tbs(struct work *w, struct span *tbs, struct tosign_cert *c, struct err *e)
{
	const struct tosign_ext *bc;
	const char *path;
	int64_t path_len;
	bool ca;

	if (need(w, "tbs", &path, e) != 0 || read_file(w, path, tbs, e) != 0 ||
	    tosign_cert_parse(w->a, *tbs, c, e) != 0)
		return -1;
	if (!span_eq(c->sig_alg, w->alg.sig_alg))
		return err_set(e, ERR_REFUSED,
		    "signature algorithm of the TBS does not fit the key");
	bc = tosign_ext_find(c, "2.5.29.19");
	if (bc == NULL ||
	    tosign_basic_constraints_parse(bc->value, &ca, &path_len, e) != 0 ||
	    !ca)
		return err_set(e, ERR_REFUSED, "the TBS is not a CA's");
	return 0;
}

static int
sign_tbs(struct work *w, struct span tbs, struct err *e)
{
	struct span sig, cert;
	const char *out;

	if (need(w, "out", &out, e) != 0 || sign(w, tbs, &sig, e) != 0)
		return -1;
	cert = tosign_wrap(w->a, tbs, w->alg.sig_alg, sig);
	if (write_pem(w, out, "CERTIFICATE", cert, e) != 0)
		return -1;
	print_hash(w, "certificate-sha256", cert);
	return 0;
}

static int
self_sign(struct work *w, struct err *e)
{
	struct tosign_cert c;
	struct span tbs;

	if (open_key(w, false, e) != 0 || read_tbs(w, &tbs, &c, e) != 0)
		return -1;
	if (!span_eq(c.issuer, c.subject) || !span_eq(c.spki, w->spki))
		return err_set(e, ERR_REFUSED,
		    "the TBS does not name this key and itself as issuer");
	return sign_tbs(w, tbs, e);
}

/* The certificate of the open key that "issuer=" names. */
static int
read_issuer(struct work *w, struct tosign_cert *out, struct err *e)
{
	struct span pem, der, tbs, alg, sig;
	const char *path;

	if (need(w, "issuer", &path, e) != 0 ||
	    read_file(w, path, &pem, e) != 0 ||
	    pem_decode(w->a, "CERTIFICATE", pem, &der, e) != 0 ||
	    tosign_unwrap(der, &tbs, &alg, &sig, e) != 0 ||
	    tosign_cert_parse(w->a, tbs, out, e) != 0)
		return -1;
	if (!span_eq(out->spki, w->spki))
		return err_set(
		    e, ERR_REFUSED, "the issuer certificate has another key");
	return 0;
}

static int
sign_ca(struct work *w, struct err *e)
{
	struct tosign_cert c, issuer;
	struct span tbs;

	if (open_key(w, false, e) != 0 || read_issuer(w, &issuer, e) != 0 ||
	    read_tbs(w, &tbs, &c, e) != 0)
		return -1;
	if (!span_eq(c.issuer, issuer.subject))
		return err_set(e, ERR_REFUSED,
		    "issuer of the TBS is not the issuer's subject");
	if (c.not_after > issuer.not_after)
		return err_set(
		    e, ERR_REFUSED, "notAfter is later than the issuer's");
	return sign_tbs(w, tbs, e);
}

static int
sign_crl(struct work *w, struct err *e)
{
	struct tosign_cert issuer;
	struct span tbs, sig, crl;
	const char *path, *out;
	struct crlcheck c;

	if (open_key(w, false, e) != 0 || read_issuer(w, &issuer, e) != 0 ||
	    need(w, "tbs", &path, e) != 0 || need(w, "out", &out, e) != 0 ||
	    read_file(w, path, &tbs, e) != 0 ||
	    provision_check_crl(tbs, &issuer, w->alg.sig_alg, &c, e) != 0 ||
	    sign(w, tbs, &sig, e) != 0)
		return -1;
	crl = tosign_wrap(w->a, tbs, w->alg.sig_alg, sig);
	if (file_replace(out, crl, 0644, e) != 0)
		return -1;
	(void)printf("crl-number=%s\nentries=%zu\n", hex_encode(w->a, c.number),
	    c.entries);
	print_hash(w, "crl-sha256", crl);
	return 0;
}

/* CertificationRequestInfo with no attributes, RFC 2986 section 4.1. */
static int
csr(struct work *w, struct err *e)
{
	const char *hex, *out;
	struct tosign_attr *attrs;
	struct span name, sig;
	size_t begun, n;
	AUTO_BUF(b, TOSIGN_CERT_MAX);

	if (open_key(w, false, e) != 0 || need(w, "subject", &hex, e) != 0 ||
	    need(w, "out", &out, e) != 0 ||
	    hex_decode(w->a, span_str(hex), &name, e) != 0 ||
	    tosign_name_parse(w->a, name, &attrs, &n, e) != 0)
		return -1;
	begun = der_begin(&b, DER_SEQUENCE);
	der_int(&b, 0);
	buf_span(&b, name);
	buf_span(&b, w->spki);
	der_put(&b, DER_CONTEXT_CONSTRUCTED(0), span_of(NULL, 0));
	der_end(&b, begun);
	if (!buf_ok(&b) || sign(w, buf_get(&b), &sig, e) != 0)
		return -1;
	return write_pem(w, out, "CERTIFICATE REQUEST",
	    tosign_wrap(w->a, buf_get(&b), w->alg.sig_alg, sig), e);
}

static int
attributes(struct work *w, struct err *e)
{
	const char *text;

	if (open_key(w, false, e) != 0)
		return -1;
	if (w->keyfile != NULL) {
		(void)printf("token=false\nextractable=true\n");
		return 0;
	}
	if (token_attributes(w->token, &w->uri, w->a, &text, e) != 0)
		return -1;
	(void)fputs(text, stdout);
	return 0;
}

static int
init_token(struct work *w, struct err *e)
{
	struct token_init t;
	char *so_pin = NULL, *pin = NULL;
	bool there;
	int r;

	if (need(w, "module", &t.module, e) != 0 ||
	    need(w, "label", &t.label, e) != 0 ||
	    secret_of(w, "so-pin", &so_pin, e) != 0)
		return -1;
	r = secret_of(w, "pin", &pin, e);
	t.so_pin = so_pin;
	t.pin = pin;
	if (r == 0)
		r = token_init(&t, &there, e);
	secret_free(so_pin);
	secret_free(pin);
	if (r == 0)
		(void)printf("there=%s\n", there ? "true" : "false");
	return r;
}

static const struct {
	const char *name;
	int (*run)(struct work *w, struct err *e);
} verbs[] = {
	{ "make-key", make_key },
	{ "self-sign", self_sign },
	{ "sign-ca", sign_ca },
	{ "sign-crl", sign_crl },
	{ "csr", csr },
	{ "attributes", attributes },
	{ "init-token", init_token },
};

static int
run_verb(struct work *w, struct err *e)
{
	const char *verb;
	size_t i;

	if (need(w, "verb", &verb, e) != 0)
		return -1;
	for (i = 0; i < sizeof(verbs) / sizeof(verbs[0]); i++) {
		if (strcmp(verbs[i].name, verb) == 0)
			return verbs[i].run(w, e);
	}
	return err_set(e, ERR_MALFORMED, "no verb \"%s\"", verb);
}

/* Does one request and prints how it went; false ends the run. */
static bool
run(struct work *w)
{
	struct err e;
	int r = run_verb(w, &e);

	if (r == 0)
		(void)printf("status=ok\n\n");
	else
		(void)printf(
		    "status=%s\nerror=%s\n\n", err_kind_name(e.kind), e.text);
	(void)fflush(stdout);
	keyfile_free(w->keyfile);
	token_key_free(w->token_key);
	token_close(w->token);
	EVP_PKEY_free(w->public);
	w->keyfile = NULL;
	w->token_key = NULL;
	w->token = NULL;
	w->public = NULL;
	w->n = 0;
	return r == 0;
}

/* Takes a line into the request; false: not "name=value", or too many. */
static bool
take_line(struct work *w, const char *line)
{
	const char *eq = strchr(line, '=');

	if (line[0] == '#')
		return true;
	if (eq == NULL || w->n == FIELDS_MAX)
		return false;
	w->fields[w->n++] = (struct field){
		.name = arena_printf(w->a, "%.*s", (int)(eq - line), line),
		.value = arena_strdup(w->a, eq + 1),
	};
	return true;
}

static int
run_all(struct work *w, FILE *in)
{
	char line[8192];
	bool good = true;

	while (good && fgets(line, sizeof(line), in) != NULL) {
		line[strcspn(line, "\n")] = '\0';
		if (line[0] != '\0') {
			good = take_line(w, line);
			if (!good)
				(void)printf("status=malformed\n"
					     "error=not a line of "
					     "name=value\n\n");
		} else if (w->n > 0) {
			good = run(w);
		}
	}
	if (good && w->n > 0)
		good = run(w);
	return good ? 0 : 1;
}

int
provision_run(const char *path, const char *lock_path)
{
	struct work w = { .lock_path = lock_path };
	AUTO(arena_auto) a = arena_new();
	AUTO(FILE) in = NULL;

	w.a = a;
	if (strcmp(path, "-") == 0)
		return run_all(&w, stdin);
	in = fopen(path, "re");
	if (in == NULL) {
		(void)printf("status=unavailable\nerror=cannot read the "
			     "request: %s\n\n",
		    strerror(errno));
		return 1;
	}
	return run_all(&w, in);
}
