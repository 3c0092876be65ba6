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

AUTO_DEFINE(FILE, fclose);

struct crls {
	const struct settings *settings;
	X509 **issuers; /* in the order of the settings */
	struct files *files;
	struct db *db;
	char failure[ERR_TEXT_MAX];
};

static bool
is_good(
    void *arg, unsigned issuer, const struct store_crl *row, struct span crl)
{
	const struct crls *c = arg;
	struct span tbs, alg, signature;
	struct err e;
	bool good;

	if (tosign_unwrap(crl, &tbs, &alg, &signature, &e) == -1)
		return false;
	good = crl_told_signed(
	    X509_get0_pubkey(c->issuers[issuer]), tbs, alg, signature);
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
