/*
 * Issuing CAs: certificate, chain, key identifier, signature algorithm, URLs
 * and the extensions that are the same in every certificate they issue.
 * Built once at start, then const.  The private key is signd's alone.
 */
#ifndef CA_ISSUER_H
#define CA_ISSUER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/err.h"
#include "base/settings.h"
#include "base/span.h"
#include "ca/profile.h"
#include "ca/pubkey.h"
#include "hsm/tosign.h"

/* The longest chain, issuer and root included. */
#define ISSUER_CHAIN_MAX 8

struct issuer {
	int id; /* row id; 0 until issuer_set_register or _lookup */
	const char *name;
	struct span cert;    /* DER */
	struct span subject; /* Name, DER: copied into what it issues */
	struct span spki, key_id;
	uint8_t spki_sha256[32];
	struct span sig_alg;     /* AlgorithmIdentifier of what it signs, DER */
	struct span constraints; /* its nameConstraints' value, or empty */
	int64_t not_before, not_after;
	int64_t path_len; /* of CAs below it; -1: no limit */
	struct pubkey key;
	const char *cert_pem;
	const char *chain_pem; /* the CA certificates without the root */
	const char *root_pem;  /* the last of the chain file */
	/* DER: its own, what certifies it, the root last */
	struct span chain[ISSUER_CHAIN_MAX];
	size_t n_chain;
	struct profile_strings crl_urls, ocsp_urls, ca_issuers_urls;
	struct profile_strings freshest_urls; /* of delta CRLs */
	uint32_t crl_partitions;              /* 0: not partitioned */
};

struct issuer_set;
struct db;

/*
 * Loads all issuers of the settings.  MALFORMED: a file is no certificate, a
 * CA certificate without subjectKeyIdentifier or cA TRUE, a chain of more than
 * ISSUER_CHAIN_MAX; REFUSED: expired.
 */
int issuer_set_load(
    const struct settings *s, struct issuer_set **out, struct err *e) MUST_USE;
void issuer_set_free(struct issuer_set *set);

/*
 * Reads one CA certificate (DER, which stays borrowed); the chain and URLs
 * stay empty.  The caller clears 'out->key'.
 */
int issuer_open(struct arena *a, const char *name, struct span cert,
    struct issuer *out, struct err *e) MUST_USE;

/* Fills in the row ids of all issuers; NOT_FOUND names one not registered. */
int issuer_set_lookup(
    struct issuer_set *set, struct db *db, struct err *e) MUST_USE;

/* Registers all issuers (role oper) and fills in the row ids. */
int issuer_set_register(
    struct issuer_set *set, struct db *db, struct err *e) MUST_USE;

/* The issuer of that name, or by row id; NULL when unknown. */
const struct issuer *issuer_get(const struct issuer_set *set, const char *name);
const struct issuer *issuer_by_id(const struct issuer_set *set, int id);

/*
 * The issuer that a certificate names as its own by issuer and
 * authorityKeyIdentifier, or NULL; the signature is not looked at.
 */
const struct issuer *issuer_of_cert(
    const struct issuer_set *set, const struct tosign_cert *c);

/* Whether a public key is that of one of the issuers. */
bool issuer_owns_key(const struct issuer_set *set, struct span spki);

/* All issuers, in the order of the settings. */
size_t issuer_count(const struct issuer_set *set);
const struct issuer *issuer_at(const struct issuer_set *set, size_t i);

/*
 * CRL URLs of the issuer (complete or delta) for the certificate of this
 * serial: where they have base/crl_partition.h's mark, its partition.
 */
struct profile_strings issuer_crl_urls(struct arena *a, const struct issuer *i,
    const struct profile_strings *urls, struct span serial);

/*
 * The AlgorithmIdentifier that a key of this SubjectPublicKeyInfo signs with:
 * ECDSA with the hash of the curve's size, RSA with SHA-256, Ed25519.
 */
int issuer_sig_alg(struct arena *a, const struct pubkey *key, struct span *out,
    struct err *e) MUST_USE;

#endif
