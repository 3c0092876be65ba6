#include "ca/issuer.h"

#include <stdlib.h>
#include <string.h>

#include "base/b64.h"
#include "base/clock.h"
#include "base/crl_partition.h"
#include "base/der.h"
#include "base/file.h"
#include "base/sha256.h"
#include "ca/oid.h"
#include "db/store_cert.h"
#include "hsm/tosign.h"

#define FILE_MAX ((size_t)256 * 1024)

struct issuer_set {
	struct arena *arena;
	struct issuer *list;
	size_t n;
};

int
issuer_sig_alg(
    struct arena *a, const struct pubkey *key, struct span *out, struct err *e)
{
	const char *oid = OID_SHA256_RSA;
	AUTO_BUF(b, 64);
	size_t seq;

	if (key->type == PUBKEY_ED25519)
		oid = OID_ED25519;
	else if (key->type == PUBKEY_EC)
		oid = strcmp(key->name, "P-256") == 0   ? OID_ECDSA_SHA256
		      : strcmp(key->name, "P-384") == 0 ? OID_ECDSA_SHA384
							: OID_ECDSA_SHA512;
	seq = der_begin(&b, DER_SEQUENCE);
	der_oid(&b, oid);
	if (key->type == PUBKEY_RSA)
		der_put(&b, DER_NULL, span_of(NULL, 0));
	der_end(&b, seq);
	if (!buf_ok(&b))
		return err_set(e, ERR_INTERNAL, "algorithm is too long");
	*out = span_dup(a, buf_get(&b));
	return 0;
}

/* Reads the CA certificate's own extensions. */
static int
read_ca_exts(const struct tosign_cert *c, struct issuer *out, struct err *e)
{
	const struct tosign_ext *ski = tosign_ext_find(c, OID_SUBJECT_KEY_ID);
	const struct tosign_ext *bc = tosign_ext_find(c, OID_BASIC_CONSTRAINTS);
	const struct tosign_ext *nc = tosign_ext_find(c, OID_NAME_CONSTRAINTS);
	bool ca = false;

	out->path_len = -1;
	if (bc != NULL && tosign_basic_constraints_parse(
			      bc->value, &ca, &out->path_len, e) == -1)
		return -1;
	if (!ca)
		return err_set(e, ERR_MALFORMED, "is not a CA certificate");
	if (ski == NULL || ski->value.n < 3 ||
	    ski->value.p[0] != DER_OCTET_STRING ||
	    ski->value.p[1] != ski->value.n - 2)
		return err_set(e, ERR_MALFORMED,
		    "has no usable subjectKeyIdentifier (RFC 5280 4.2.1.2)");
	out->key_id = span_of(ski->value.p + 2, ski->value.n - 2);
	if (nc != NULL)
		out->constraints = nc->value;
	return 0;
}

static int
read_cert(struct arena *a, struct issuer *out, struct err *e)
{
	struct span tbs, alg, signature;
	struct tosign_cert c;

	if (tosign_unwrap(out->cert, &tbs, &alg, &signature, e) == -1 ||
	    tosign_cert_parse(a, tbs, &c, e) == -1 ||
	    read_ca_exts(&c, out, e) == -1)
		return -1;
	out->subject = c.subject;
	out->spki = c.spki;
	out->not_before = c.not_before;
	out->not_after = c.not_after;
	sha256(c.spki, out->spki_sha256);
	if (c.not_after <= clock_now())
		return err_set(e, ERR_REFUSED, "has expired");
	if (pubkey_open(c.spki, &out->key, e) == -1)
		return -1;
	return issuer_sig_alg(a, &out->key, &out->sig_alg, e);
}

int
issuer_open(struct arena *a, const char *name, struct span cert,
    struct issuer *out, struct err *e)
{
	*out = (struct issuer){ .name = name, .cert = cert };
	return read_cert(a, out, e);
}

/* The next PEM certificate of '*text', or false at the end. */
static bool
next_pem(struct arena *a, struct span *text, struct span *der)
{
	static const char end[] = "-----END CERTIFICATE-----";
	const uint8_t *stop;
	struct span block;
	struct err ignored;

	stop = text->n == 0 ? NULL
			    : memmem(text->p, text->n, end, sizeof(end) - 1);
	if (stop == NULL)
		return false;
	block = span_of(text->p, (size_t)(stop - text->p) + sizeof(end) - 1);
	*text = span_of(text->p + block.n, text->n - block.n);
	return pem_decode(a, "CERTIFICATE", block, der, &ignored) == 0;
}

/* Splits the chain file into intermediates and root. */
static int
read_chain(struct arena *a, struct span text, struct issuer *out, struct err *e)
{
	const char *last = NULL, *chain = out->cert_pem;
	struct span der;

	out->chain[out->n_chain++] = out->cert;
	while (next_pem(a, &text, &der)) {
		if (last != NULL && strcmp(last, out->cert_pem) != 0)
			chain = arena_printf(a, "%s%s", chain, last);
		last = pem_encode(a, "CERTIFICATE", der);
		if (span_eq(der, out->cert))
			continue;
		if (out->n_chain == ISSUER_CHAIN_MAX)
			return err_set(e, ERR_MALFORMED, "chain is too long");
		out->chain[out->n_chain++] = der;
	}
	if (last == NULL)
		return err_set(e, ERR_MALFORMED, "chain has no certificate");
	out->chain_pem = chain;
	out->root_pem = last;
	return 0;
}

static struct profile_strings
borrow(const char *const *list, unsigned n)
{
	return (struct profile_strings){ list, n };
}

static int
load_one(struct arena *a, const struct settings_issuer *in, struct issuer *out,
    struct err *e)
{
	struct span text;

	out->name = arena_strdup(a, in->name);
	out->crl_urls = borrow(in->crl_urls, in->crl_urls_count);
	out->freshest_urls =
	    borrow(in->freshest_crl_urls, in->freshest_crl_urls_count);
	out->crl_partitions = in->crl_partitions;
	out->ocsp_urls = borrow(in->ocsp_urls, in->ocsp_urls_count);
	out->ca_issuers_urls =
	    borrow(in->ca_issuers_urls, in->ca_issuers_urls_count);
	if (file_read(a, in->certificate, FILE_MAX, &text, e) == -1)
		return -1;
	if (pem_decode(a, "CERTIFICATE", text, &out->cert, e) == -1 ||
	    read_cert(a, out, e) == -1)
		return err_prefix(e, "\"%s\"", in->certificate);
	out->cert_pem = pem_encode(a, "CERTIFICATE", out->cert);
	if (file_read(a, in->chain, FILE_MAX, &text, e) == -1)
		return -1;
	if (read_chain(a, text, out, e) == -1)
		return err_prefix(e, "\"%s\"", in->chain);
	return 0;
}

int
issuer_set_load(
    const struct settings *s, struct issuer_set **out, struct err *e)
{
	struct arena *a = arena_new();
	struct issuer_set *set = arena_alloc(a, sizeof(*set));
	unsigned i;

	set->arena = a;
	set->list = arena_array(a, s->issuers_count, sizeof(*set->list));
	for (i = 0; i < s->issuers_count; i++) {
		set->n++;
		if (load_one(a, &s->issuers[i], &set->list[i], e) == -1) {
			issuer_set_free(set);
			return err_prefix(
			    e, "issuer \"%s\"", s->issuers[i].name);
		}
	}
	*out = set;
	return 0;
}

void
issuer_set_free(struct issuer_set *set)
{
	size_t i;

	if (set == NULL)
		return;
	for (i = 0; i < set->n; i++)
		pubkey_clear(&set->list[i].key);
	arena_free(set->arena);
}

int
issuer_set_lookup(struct issuer_set *set, struct db *db, struct err *e)
{
	struct store_issuer row;
	struct issuer *i;

	for (i = set->list; i < set->list + set->n; i++) {
		if (store_issuer_get(db, set->arena, i->name, &row, e) == -1)
			return err_prefix(e, "issuer \"%s\"", i->name);
		if (memcmp(row.spki_sha256, i->spki_sha256, 32) != 0)
			return err_set(e, ERR_CONFLICT,
			    "issuer \"%s\" is registered with another key",
			    i->name);
		i->id = row.id;
	}
	return 0;
}

int
issuer_set_register(struct issuer_set *set, struct db *db, struct err *e)
{
	struct store_issuer row = { 0 };
	struct issuer *i;

	for (i = set->list; i < set->list + set->n; i++) {
		row.name = i->name;
		row.cert = i->cert;
		memcpy(row.spki_sha256, i->spki_sha256, 32);
		if (store_issuer_put(db, &row, e) == -1)
			return err_prefix(e, "issuer \"%s\"", i->name);
		i->id = row.id;
	}
	return 0;
}

const struct issuer *
issuer_get(const struct issuer_set *set, const char *name)
{
	size_t i;

	for (i = 0; i < set->n; i++) {
		if (strcmp(set->list[i].name, name) == 0)
			return &set->list[i];
	}
	return NULL;
}

const struct issuer *
issuer_by_id(const struct issuer_set *set, int id)
{
	size_t i;

	for (i = 0; i < set->n; i++) {
		if (set->list[i].id == id)
			return &set->list[i];
	}
	return NULL;
}

const struct issuer *
issuer_of_cert(const struct issuer_set *set, const struct tosign_cert *c)
{
	const struct tosign_ext *aki = tosign_ext_find(c, OID_AUTHORITY_KEY_ID);
	const struct issuer *i;
	struct span key_id;

	/* 30 LEN 80 LEN keyIdentifier: ours have nothing else */
	if (aki == NULL || aki->value.n <= 4)
		return NULL;
	key_id = span_of(aki->value.p + 4, aki->value.n - 4);
	for (i = set->list; i < set->list + set->n; i++) {
		if (span_eq(i->subject, c->issuer) &&
		    span_eq(i->key_id, key_id))
			return i;
	}
	return NULL;
}

bool
issuer_owns_key(const struct issuer_set *set, struct span spki)
{
	size_t i;

	for (i = 0; i < set->n; i++) {
		if (span_eq(set->list[i].spki, spki))
			return true;
	}
	return false;
}

size_t
issuer_count(const struct issuer_set *set)
{
	return set->n;
}

const struct issuer *
issuer_at(const struct issuer_set *set, size_t i)
{
	return &set->list[i];
}

struct profile_strings
issuer_crl_urls(struct arena *a, const struct issuer *i,
    const struct profile_strings *urls, struct span serial)
{
	uint32_t partition;
	const char **list;
	size_t k;

	if (i->crl_partitions == 0)
		return *urls;
	partition = crl_partition_of(serial, i->crl_partitions);
	list = arena_array(a, urls->n, sizeof(*list));
	for (k = 0; k < urls->n; k++)
		list[k] = crl_partition_url(a, urls->list[k], partition);
	return (struct profile_strings){ list, urls->n };
}
