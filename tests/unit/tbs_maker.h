/*
 * Builds a TBSCertificate field by field, also wrong ones: every part is DER
 * that the test may replace.  Also keys and certificates for tests of ca/.
 */
#ifndef TESTS_TBS_MAKER_H
#define TESTS_TBS_MAKER_H

#include <openssl/evp.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/span.h"

#define MAKER_EXTS_MAX 40

struct maker_ext {
	const char *oid;
	bool critical;
	struct span value;
};

struct tbs_maker {
	struct arena *a;
	int version; /* -1: absent */
	struct span serial, sig_alg, issuer, not_before, not_after, subject;
	struct span spki, uid;
	struct maker_ext exts[MAKER_EXTS_MAX];
	size_t n_exts;
};

/* A new key: "P-256", "P-384", "RSA-2048", "RSA-1024" or "Ed25519". */
EVP_PKEY *maker_key(const char *type);

/* Its SubjectPublicKeyInfo. */
struct span maker_spki(struct arena *a, EVP_PKEY *key);

/* Bytes from hex; white space is ignored. */
struct span maker_hex(struct arena *a, const char *hex);

/* Takes what was written; the test fails when something did not fit. */
struct span maker_take(struct arena *a, struct buf *b);

/* A Name of one attribute; an empty one when 'oid' is NULL. */
struct span maker_name(
    struct arena *a, const char *oid, uint8_t tag, struct span value);

/* A UTCTime or GeneralizedTime of this text. */
struct span maker_time(struct arena *a, uint8_t tag, const char *text);

/* GeneralNames of one name. */
struct span maker_san(struct arena *a, uint8_t tag, struct span value);

/* ExtKeyUsage of dotted OIDs separated by spaces. */
struct span maker_eku(struct arena *a, const char *oids);

/* Replaces an extension, or appends it; adds one whatever there is; drops. */
void maker_set(
    struct tbs_maker *m, const char *oid, bool critical, struct span value);
void maker_add(
    struct tbs_maker *m, const char *oid, bool critical, struct span value);
void maker_drop(struct tbs_maker *m, const char *oid);

/* subjectKeyIdentifier of the key that it has. */
void maker_ski(struct tbs_maker *m);

/* The TBSCertificate. */
struct span maker_tbs(const struct tbs_maker *m);

/* The certificate, signed with ECDSA, SHA-256 or what the key needs. */
struct span maker_sign(
    struct arena *a, struct span tbs, struct span sig_alg, EVP_PKEY *key);

#endif
