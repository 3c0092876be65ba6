/*
 * The responder's keys and their short-lived certificates, one per issuer.  A
 * key is made here and lives in memory only.  Its host's identity key, whose
 * public half the signer knows, signs the request for a certificate; the
 * publisher has it certified, and the certificate is judged here before it is
 * used.  Renewed in the second half of its life, with a new key.
 */
#ifndef OCSP_RESPONDER_H
#define OCSP_RESPONDER_H

#include <stdbool.h>
#include <stdint.h>

#include <openssl/evp.h>

#include "base/err.h"
#include "ocsp/answer.h"

struct responder;

struct responder_conf {
	struct answer_world *world;
	const char *host;     /* in keys.yaml */
	const char *host_key; /* PEM file of its private key */
	const char *conninfo; /* of the database that is written */
	int64_t lifetime_s;   /* asked for */
};

/* MALFORMED: the host key is no P-256 key; NOT_FOUND, UNAVAILABLE: its file. */
int responder_new(const struct responder_conf *conf, struct responder **out,
    struct err *e) MUST_USE;

/* Nobody may answer any more. */
void responder_free(struct responder *r);

/*
 * Asks for certificates, takes those that are there.  To be called every
 * second or so, by one thread.
 */
void responder_step(struct responder *r);

/* Makes a host key: writes the PEM file 'path' (mode 0400), which must not
 * exist yet, and gives the public key as PEM in the arena. */
int responder_make_host_key(struct arena *a, const char *path, const char **pem,
    struct err *e) MUST_USE;

/*
 * Judges a certificate for our key (RFC 6960 4.2.2.2): signed by the issuer's
 * key, valid now, for OCSP signing, no CA.  On success 'out' takes a reference
 * to the key and a copy of the certificate.
 */
int responder_check(const struct authority *issuer, struct span cert,
    EVP_PKEY *key, struct delegate **out, struct err *e) MUST_USE;
void delegate_free(void *delegate);

#endif
