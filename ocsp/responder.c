#include "ocsp/responder.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <openssl/bio.h>
#include <openssl/pem.h>
#include <openssl/x509.h>

#include "base/auto.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/log.h"
#include "db/db.h"
#include "db/store_status.h"
#include "hsm/responder.h"
#include "ocsp/delegate_int.h"

#define KEY_FILE_MAX 16384
#define SIGNATURE_MAX 128
/* An unanswered or refused request is made anew, with a new key. */
#define ASK_AGAIN_S 900
/* A request that another process has replaced. */
#define ROBBED_AGAIN_S 60

/* What is done for one issuer. */
struct post {
	struct authority *authority;
	EVP_PKEY *key; /* that was asked for, or NULL */
	int64_t asked_at, renew_at;
	char told[ERR_TEXT_MAX]; /* what was logged last */
};

struct responder {
	struct responder_conf conf;
	EVP_PKEY *host_key;
	struct db *db;
	struct post posts[ANSWER_AUTHORITIES_MAX];
	uint64_t generation;
};

static int
is_p256(const EVP_PKEY *key)
{
	char group[32];
	size_t n;

	return EVP_PKEY_is_a(key, "EC") &&
	       EVP_PKEY_get_group_name(key, group, sizeof(group), &n) == 1 &&
	       strcmp(group, "prime256v1") == 0;
}

static int
read_host_key(struct responder *r, struct err *e)
{
	AUTO(arena_auto) a = arena_new();
	AUTO(BIO) b = NULL;
	struct span text;

	if (file_read(a, r->conf.host_key, KEY_FILE_MAX, &text, e) == -1)
		return -1;
	b = BIO_new_mem_buf(text.p, (int)text.n);
	r->host_key =
	    b == NULL ? NULL : PEM_read_bio_PrivateKey(b, NULL, NULL, NULL);
	OPENSSL_cleanse((void *)(uintptr_t)text.p, text.n);
	if (r->host_key == NULL || !is_p256(r->host_key))
		return err_set(e, ERR_MALFORMED,
		    "\"%s\" is no private key of P-256", r->conf.host_key);
	return 0;
}

int
responder_new(
    const struct responder_conf *conf, struct responder **out, struct err *e)
{
	struct responder *r = calloc(1, sizeof(*r));
	size_t i;

	if (r == NULL)
		abort();
	r->conf = *conf;
	if (read_host_key(r, e) == -1) {
		responder_free(r);
		return -1;
	}
	r->db = db_new(conf->conninfo, "chancery-ocspd request");
	for (i = 0; i < conf->world->n_authorities; i++)
		r->posts[i].authority = &conf->world->authorities[i];
	*out = r;
	return 0;
}

void
responder_free(struct responder *r)
{
	size_t i;

	if (r == NULL)
		return;
	for (i = 0; i < ANSWER_AUTHORITIES_MAX; i++) {
		EVP_PKEY_free(r->posts[i].key);
		delegate_free(
		    atomic_exchange(&r->conf.world->delegates[i], NULL));
	}
	EVP_PKEY_free(r->host_key);
	db_free(r->db);
	free(r);
}

static struct span
public_der(struct arena *a, EVP_PKEY *key)
{
	unsigned char *der = NULL;
	int n = i2d_PUBKEY(key, &der);
	struct span out = span_of(NULL, 0);

	if (n > 0)
		out = span_of(arena_memdup(a, der, (size_t)n), (size_t)n);
	OPENSSL_free(der);
	return out;
}

static int
sign_claim(const struct responder *r, const struct responder_claim *claim,
    uint8_t *out, size_t *n, struct err *e)
{
	AUTO(EVP_MD_CTX) ctx = EVP_MD_CTX_new();
	AUTO_BUF(b, 8192);

	responder_statement(&b, claim);
	if (!buf_ok(&b) || ctx == NULL ||
	    EVP_DigestSignInit(ctx, NULL, EVP_sha256(), NULL, r->host_key) !=
		1 ||
	    EVP_DigestSign(ctx, out, n, b.p, b.n) != 1)
		return err_set(e, ERR_INTERNAL, "the host key does not sign");
	return 0;
}

/* Makes a key and asks for its certificate. */
static int
ask(struct responder *r, struct post *p, struct err *e)
{
	AUTO(arena_auto) a = arena_new();
	AUTO(EVP_PKEY) key = EVP_EC_gen("P-256");
	struct responder_claim claim = { .host = r->conf.host,
		.issuer_spki_sha256 = span_of(p->authority->spki_sha256, 32),
		.not_after = clock_now() + r->conf.lifetime_s };
	struct store_responder row = { .host = r->conf.host,
		.issuer = p->authority->id };
	uint8_t signature[SIGNATURE_MAX];
	size_t n = sizeof(signature);

	if (key == NULL)
		return err_set(e, ERR_INTERNAL, "no key can be made");
	claim.spki = row.spki = public_der(a, key);
	if (sign_claim(r, &claim, signature, &n, e) == -1)
		return -1;
	row.not_after = claim.not_after;
	row.signature = span_of(signature, n);
	if (store_responder_put(r->db, &row, e) == -1)
		return -1;
	EVP_PKEY_free(p->key);
	p->key = key;
	key = NULL; /* ownership moves to the post */
	p->asked_at = clock_now();
	log_event(LOG_INFO, "certificate asked for", "issuer",
	    p->authority->name, NULL);
	return 0;
}

static void
use(struct responder *r, struct post *p, struct delegate *d)
{
	struct answer_world *w = r->conf.world;
	struct delegate *old;

	d->generation = ++r->generation;
	p->renew_at = clock_now() + (d->not_after - clock_now()) / 2;
	p->asked_at = 0;
	p->told[0] = '\0';
	atomic_store(
	    &w->delegate_until[p->authority - w->authorities], d->not_after);
	old = atomic_exchange(&w->delegates[p->authority - w->authorities], d);
	if (old != NULL)
		epoch_retire(w->epoch, old, delegate_free);
	EVP_PKEY_free(p->key);
	p->key = NULL;
	log_msg(LOG_INFO, "certificate taken", "issuer \"%s\", %" PRId64 " s",
	    p->authority->name, d->not_after - clock_now());
}

/* Takes the answer to the request, if there is one. */
static int
fetch(struct responder *r, struct post *p, struct err *e)
{
	AUTO(arena_auto) a = arena_new();
	struct store_responder row;
	struct delegate *d;

	if (store_responder_get(
		r->db, a, r->conf.host, p->authority->id, &row, e) == -1)
		return -1;
	if (!span_eq(row.spki, public_der(a, p->key))) {
		p->asked_at = clock_now() - ASK_AGAIN_S + ROBBED_AGAIN_S;
		EVP_PKEY_free(p->key);
		p->key = NULL;
		return err_set(e, ERR_CONFLICT,
		    "another process asks as host \"%s\"", r->conf.host);
	}
	if (row.cert.n > 0) {
		if (responder_check(p->authority, row.cert, p->key, &d, e) ==
		    -1)
			return -1;
		use(r, p, d);
	} else if (row.fault != NULL) {
		return err_set(e, ERR_REFUSED, "no certificate: %s", row.fault);
	}
	return 0;
}

static int
find_id(struct responder *r, struct authority *a, struct err *e)
{
	int id;

	if (atomic_load(&a->id) != 0)
		return 0;
	if (store_status_issuer(r->db, a->spki_sha256, &id, e) == -1)
		return -1;
	atomic_store(&a->id, id);
	return 0;
}

static int
step(struct responder *r, struct post *p, struct err *e)
{
	int64_t now = clock_now();
	bool due = now >= p->renew_at && now - p->asked_at >= ASK_AGAIN_S;

	if (find_id(r, p->authority, e) == -1)
		return -1;
	if (due)
		return ask(r, p, e);
	return p->key == NULL ? 0 : fetch(r, p, e);
}

/* A missing certificate is told loudly, but not every second. */
static void
tell(struct post *p, const struct err *e)
{
	if (strcmp(p->told, e->text) == 0)
		return;
	(void)snprintf(p->told, sizeof(p->told), "%s", e->text);
	log_event(LOG_ERROR, "responder certificate", "issuer",
	    p->authority->name, "msg", e->text, NULL);
}

void
responder_step(struct responder *r)
{
	struct err e;
	size_t i;

	for (i = 0; i < r->conf.world->n_authorities; i++) {
		if (step(r, &r->posts[i], &e) == -1)
			tell(&r->posts[i], &e);
	}
}

int
responder_make_host_key(
    struct arena *a, const char *path, const char **pem, struct err *e)
{
	AUTO(EVP_PKEY) key = EVP_EC_gen("P-256");
	AUTO(BIO) private = BIO_new(BIO_s_mem());
	AUTO(BIO) public = BIO_new(BIO_s_mem());
	AUTO_FD int fd =
	    open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0400);
	char *p;
	long n;

	if (fd == -1)
		return err_set(
		    e, ERR_UNAVAILABLE, "cannot make \"%s\": %m", path);
	if (key == NULL || private == NULL || public == NULL ||
	    PEM_write_bio_PrivateKey(private, key, NULL, NULL, 0, NULL, NULL) !=
		1 ||
	    PEM_write_bio_PUBKEY(public, key) != 1)
		return err_set(e, ERR_INTERNAL, "no key can be made");
	n = BIO_get_mem_data(private, &p);
	if (write(fd, p, (size_t)n) != n || fsync(fd) == -1)
		return err_set(
		    e, ERR_UNAVAILABLE, "cannot write \"%s\": %m", path);
	OPENSSL_cleanse(p, (size_t)n);
	n = BIO_get_mem_data(public, &p);
	*pem = arena_memdup(a, p, (size_t)n);
	return 0;
}
