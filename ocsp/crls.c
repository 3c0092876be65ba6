#include "ocsp/crls.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509.h>

#include "base/auto.h"
#include "base/log.h"
#include "db/db.h"
#include "hsm/tosign.h"
#include "ocsp/crl_told.h"
#include "ocsp/files.h"

AUTO_DEFINE(EVP_MD_CTX, EVP_MD_CTX_free);
AUTO_DEFINE(FILE, fclose);
AUTO_DEFINE(X509_ALGOR, X509_ALGOR_free);

struct crls {
	const struct settings *settings;
	X509 **issuers; /* in the order of the settings */
	struct files *files;
	struct db *db;
	char failure[ERR_TEXT_MAX];
};

/* The digest of a signature algorithm; NULL when it is not known. */
static const EVP_MD *
digest_of(struct span alg)
{
	const uint8_t *p = alg.p;
	AUTO(X509_ALGOR) a = d2i_X509_ALGOR(NULL, &p, (long)alg.n);
	const ASN1_OBJECT *oid;
	int md = NID_undef, key = NID_undef;

	if (a == NULL)
		return NULL;
	X509_ALGOR_get0(&oid, NULL, NULL, a);
	if (OBJ_find_sigid_algs(OBJ_obj2nid(oid), &md, &key) != 1)
		return NULL;
	return EVP_get_digestbynid(md);
}

static bool
is_good(
    void *arg, unsigned issuer, const struct store_crl *row, struct span crl)
{
	const struct crls *c = arg;
	AUTO(EVP_MD_CTX) ctx = EVP_MD_CTX_new();
	struct span tbs, alg, signature;
	const EVP_MD *md;
	struct err e;
	bool good;

	if (tosign_unwrap(crl, &tbs, &alg, &signature, &e) == -1)
		return false;
	md = digest_of(alg);
	good =
	    ctx != NULL && md != NULL &&
	    EVP_DigestVerifyInit(ctx, NULL, md, NULL,
		X509_get0_pubkey(c->issuers[issuer])) == 1 &&
	    EVP_DigestVerify(ctx, signature.p, signature.n, tbs.p, tbs.n) == 1;
	ERR_clear_error();
	return good && (row == NULL ||
			   crl_told(&c->settings->issuers[issuer], row, crl));
}

static int
read_issuers(struct crls *c, struct err *e)
{
	const struct settings *s = c->settings;
	unsigned i;

	for (i = 0; i < s->issuers_count; i++) {
		AUTO(FILE) f = fopen(s->issuers[i].certificate, "re");

		if (f != NULL)
			c->issuers[i] = PEM_read_X509(f, NULL, NULL, NULL);
		if (c->issuers[i] == NULL ||
		    X509_get0_pubkey(c->issuers[i]) == NULL)
			return err_set(e, ERR_MALFORMED,
			    "cannot read \"%s\" as a certificate",
			    s->issuers[i].certificate);
	}
	return 0;
}

int
crls_new(const struct settings *s, const char *conninfo, struct crls **out,
    struct err *e)
{
	struct crls *c = calloc(1, sizeof(*c));
	struct files_conf conf = {
		.dir = s->ocsp.files, .check = is_good, .arg = c
	};

	if (c == NULL ||
	    (c->issuers = calloc(s->issuers_count, sizeof(X509 *))) == NULL)
		abort();
	c->settings = s;
	/* before the sandbox closes, which knows only what is there */
	(void)mkdir(s->ocsp.files, 0755);
	c->files = files_new(s, &conf);
	c->db = db_new(conninfo, "chancery-ocspd CRLs");
	if (read_issuers(c, e) == -1) {
		crls_free(c);
		return -1;
	}
	*out = c;
	return 0;
}

void
crls_free(struct crls *c)
{
	unsigned i;

	if (c == NULL)
		return;
	for (i = 0; i < c->settings->issuers_count; i++)
		X509_free(c->issuers[i]);
	free(c->issuers);
	files_free(c->files);
	db_free(c->db);
	free(c);
}

void
crls_step(struct crls *c)
{
	size_t fresh;
	struct err e = { .kind = ERR_NONE };

	if (files_sync(c->files, c->db, &fresh, &e) == 0) {
		if (c->failure[0] != '\0')
			log_event(LOG_INFO, "CRLs are fetched again", NULL);
		c->failure[0] = '\0';
	} else if (strcmp(c->failure, e.text) != 0) {
		(void)snprintf(c->failure, sizeof(c->failure), "%s", e.text);
		log_event(
		    LOG_ERROR, "CRLs are not fetched", "msg", e.text, NULL);
	}
	if (fresh > 0)
		log_msg(LOG_INFO, "CRLs fetched", "%zu", fresh);
}
