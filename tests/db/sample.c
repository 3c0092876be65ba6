#include "tests/db/sample.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <openssl/evp.h>

#define NOT_BEFORE INT64_C(1790000000)

static void
digest(uint8_t out[32], const char *what, int n)
{
	char text[64];

	(void)snprintf(text, sizeof(text), "%s %d", what, n);
	(void)EVP_Digest(text, strlen(text), out, NULL, EVP_sha256(), NULL);
}

void
sample_init(struct sample *s, int issuer, int n)
{
	struct store_intent *in = &s->intent;
	struct store_cert *c = &s->cert;
	uint8_t h[32];

	memset(s, 0, sizeof(*s));
	(void)snprintf(s->txn, sizeof(s->txn), "order-%d", n);
	digest(h, "serial", n);
	memcpy(s->serial, h, sizeof(s->serial));
	memset(s->der, 0x30, sizeof(s->der));
	s->name[0] = (struct store_name){ 2, "www.example.test" };
	in->protocol = c->protocol = "acme";
	in->txn = c->txn = s->txn;
	in->issuer = c->issuer = issuer;
	in->serial = c->serial = span_of(s->serial, sizeof(s->serial));
	in->profile = c->profile = "tls-server";
	in->principal = c->principal = "acme:1";
	in->not_before = c->not_before = NOT_BEFORE;
	in->not_after = c->not_after = NOT_BEFORE + 90 * 86400;
	in->request_id = "req";
	in->slot = c->sign_slot = 3;
	digest(in->request_hash, "request", n);
	digest(in->tbs_hash, "tbs", n);
	digest(in->profile_hash, "profile", 0);
	digest(c->profile_hash, "profile", 0);
	digest(c->fingerprint, "fingerprint", n);
	digest(c->spki_sha256, "spki", n);
	digest(in->spki_sha256, "spki", n);
	digest(c->sign_head, "head", n);
	c->sign_seq = 7;
	c->subject = "CN=www.example.test";
	c->der = span_of(s->der, sizeof(s->der));
	c->names = s->name;
	c->n_names = 1;
}

void
sample_issue(struct writer *w, struct sample *s)
{
	struct err e;

	if (store_cert_reserve(w, &s->intent, NULL, &s->cert.id, &e) == -1 ||
	    store_cert_commit(w, &s->cert, "req", &e) == -1) {
		(void)fprintf(stderr, "Bail out! %s\n", e.text);
		exit(1);
	}
}

void
sample_check(const struct sample *s, const struct store_cert *got)
{
	const struct store_cert *c = &s->cert;

	assert_int_equal(got->id, c->id);
	assert_int_equal(got->issuer, c->issuer);
	assert_string_equal(got->issuer_name, "tls");
	assert_true(span_eq(got->serial, c->serial));
	assert_string_equal(got->protocol, c->protocol);
	assert_string_equal(got->txn, c->txn);
	assert_string_equal(got->profile, c->profile);
	assert_memory_equal(got->profile_hash, c->profile_hash, 32);
	assert_string_equal(got->principal, c->principal);
	assert_int_equal(got->not_before, c->not_before);
	assert_int_equal(got->not_after, c->not_after);
	assert_string_equal(got->subject, c->subject);
	assert_memory_equal(got->spki_sha256, c->spki_sha256, 32);
	assert_memory_equal(got->fingerprint, c->fingerprint, 32);
	assert_true(span_eq(got->der, c->der));
	assert_int_equal(got->n_names, c->n_names);
	assert_int_equal(got->names[0].type, c->names[0].type);
	assert_string_equal(got->names[0].text, c->names[0].text);
	assert_int_equal(got->sign_slot, c->sign_slot);
	assert_int_equal(got->sign_seq, c->sign_seq);
	assert_memory_equal(got->sign_head, c->sign_head, 32);
}

int
sample_issuer(struct db *db, const char *name)
{
	struct store_issuer i = { .name = name,
		.cert = { .p = (const uint8_t *)"der", .n = 3 } };
	struct err e;

	digest(i.spki_sha256, name, 0);
	if (store_issuer_put(db, &i, &e) == -1) {
		(void)fprintf(stderr, "Bail out! %s\n", e.text);
		exit(1);
	}
	return i.id;
}

int
sample_request(struct db *db, struct arena *a, const char *txn,
    struct store_request *out, struct err *e)
{
	const struct store_request_key key = { "acme", txn, 0 };

	return store_request_get(db, a, &key, out, e);
}

void
sample_open(struct sample_roles *out)
{
	out->pg = pg_new();
	out->oper = db_new(pg_conninfo(out->pg, "chancery_oper"), "t");
	out->pub = db_new(pg_conninfo(out->pg, "chancery_pub"), "t");
	out->ocsp = db_new(pg_conninfo(out->pg, "chancery_ocsp"), "t");
}

void
sample_close(struct sample_roles *r)
{
	db_free(r->oper);
	db_free(r->pub);
	db_free(r->ocsp);
	pg_free(r->pg);
}
