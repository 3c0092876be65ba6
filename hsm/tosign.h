/*
 * The three to-be-signed types: TBSCertificate (RFC 5280 4.1), TBSCertList
 * (5.1) and OCSP ResponseData (RFC 6960 4.2.1), as own ASN.1 templates of
 * libcrypto that keep SubjectPublicKeyInfo as raw bytes, and the SIGNED
 * wrapper around them.  A parser accepts DER only: what it decoded is encoded
 * again and compared.  Used by signd to judge and by ca/ to lint.
 */
#ifndef HSM_TOSIGN_H
#define HSM_TOSIGN_H

#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/err.h"
#include "base/span.h"

#define TOSIGN_CERT_MAX ((size_t)64 * 1024)
#define TOSIGN_EXTS_MAX 32
#define TOSIGN_NAMES_MAX 1024

struct tosign_ext {
	struct span oid; /* contents octets */
	bool critical;
	struct span value; /* what the OCTET STRING holds */
};

struct tosign_cert {
	int version;         /* as encoded: 2 is v3 */
	struct span serial;  /* INTEGER contents octets, sign octet included */
	struct span sig_alg; /* AlgorithmIdentifier, DER */
	struct span issuer;  /* Name, DER */
	int64_t not_before, not_after;
	bool not_before_utc, not_after_utc; /* encoded as UTCTime */
	struct span subject;                /* Name, DER */
	struct span spki;                   /* SubjectPublicKeyInfo, DER */
	bool has_uids;                      /* issuer- or subjectUniqueID */
	const struct tosign_ext *exts;
	size_t n_exts;
};

/*
 * Decodes a TBSCertificate; 'out' lives in the arena.  MALFORMED: not DER, a
 * tail, more than TOSIGN_EXTS_MAX extensions, a time that is not in one of the
 * two forms of RFC 5280 4.1.2.5 (which of them is for the caller to judge).
 */
int tosign_cert_parse(struct arena *a, struct span tbs, struct tosign_cert *out,
    struct err *e) MUST_USE;

/*
 * As tosign_cert_parse, but takes it that the bytes are a TBSCertificate in
 * DER: for what tosign_cert_parse has accepted before.  Never reads beyond
 * 'tbs', whatever it holds.
 */
int tosign_cert_read(struct arena *a, struct span tbs, struct tosign_cert *out,
    struct err *e) MUST_USE;

/* The first extension with this OID (dotted text), or NULL. */
const struct tosign_ext *tosign_ext_find(
    const struct tosign_cert *c, const char *dotted);

struct tosign_spki {
	struct span alg_oid; /* contents octets */
	struct span params;  /* DER of the parameters; empty when absent */
	struct span key;     /* octets of the BIT STRING */
};

/* Takes a SubjectPublicKeyInfo apart; nothing is copied. */
int tosign_spki_parse(
    struct span der, struct tosign_spki *out, struct err *e) MUST_USE;

/* As tosign_cert_read: for what tosign_spki_parse has accepted before. */
int tosign_spki_read(
    struct span der, struct tosign_spki *out, struct err *e) MUST_USE;

/* One attribute of a distinguished name. */
struct tosign_attr {
	size_t rdn;        /* index of its RDN */
	struct span oid;   /* contents octets */
	uint8_t tag;       /* identifier octet of the value */
	struct span value; /* contents octets */
};

/* The attributes of a Name in order. */
int tosign_name_parse(struct arena *a, struct span der,
    struct tosign_attr **out, size_t *n, struct err *e) MUST_USE;

/* As tosign_cert_read: for what tosign_name_parse has accepted before. */
int tosign_name_read(struct arena *a, struct span der, struct tosign_attr **out,
    size_t *n, struct err *e) MUST_USE;

/* GeneralName, RFC 5280 4.2.1.6; 'tag' is its context tag number. */
enum tosign_gn {
	TOSIGN_GN_OTHER = 0,
	TOSIGN_GN_EMAIL = 1,
	TOSIGN_GN_DNS = 2,
	TOSIGN_GN_DIRNAME = 4,
	TOSIGN_GN_URI = 6,
	TOSIGN_GN_IP = 7,
	TOSIGN_GN_RID = 8,
};

struct tosign_general_name {
	enum tosign_gn tag;
	struct span value; /* contents; for DIRNAME the Name, DER */
	struct span oid;   /* OTHER: type-id, contents octets */
	uint8_t other_tag; /* OTHER: identifier octet of the value */
};

/* Decodes GeneralNames (SEQUENCE SIZE (1..MAX)); x400 and edi: MALFORMED. */
int tosign_general_names_parse(struct arena *a, struct span der,
    struct tosign_general_name **out, size_t *n, struct err *e) MUST_USE;

/* As tosign_cert_read: for what tosign_general_names_parse has accepted. */
int tosign_general_names_read(struct arena *a, struct span der,
    struct tosign_general_name **out, size_t *n, struct err *e) MUST_USE;

/* ExtKeyUsageSyntax: the OIDs' contents octets in order. */
int tosign_eku_parse(struct arena *a, struct span der, struct span **out,
    size_t *n, struct err *e) MUST_USE;

/* KeyUsage: bit 0 of 'bits' is digitalSignature; RFC 5280 4.2.1.3. */
int tosign_key_usage_parse(
    struct span der, uint32_t *bits, struct err *e) MUST_USE;

/* BasicConstraints; '*path_len' is -1 when absent. */
int tosign_basic_constraints_parse(
    struct span der, bool *ca, int64_t *path_len, struct err *e) MUST_USE;

/* AccessDescription, RFC 5280 4.2.2.1. */
struct tosign_access {
	struct span method; /* contents octets of the OID */
	struct tosign_general_name location;
};

/* AuthorityInfoAccessSyntax (also SubjectInfoAccess), in order. */
int tosign_aia_parse(struct arena *a, struct span der,
    struct tosign_access **out, size_t *n, struct err *e) MUST_USE;

/* DistributionPoint, RFC 5280 4.2.1.13. */
struct tosign_dp {
	struct tosign_general_name *names; /* fullName; NULL when absent */
	size_t n_names;
	bool has_relative, has_reasons, has_crl_issuer;
};

/* CRLDistributionPoints (also FreshestCRL), in order. */
int tosign_crldp_parse(struct arena *a, struct span der, struct tosign_dp **out,
    size_t *n, struct err *e) MUST_USE;

/* Whether OID contents octets are those of the dotted text. */
bool tosign_oid_is(struct span oid, const char *dotted);

/* The dotted text of OID contents octets, in the arena. */
const char *tosign_oid_text(struct arena *a, struct span oid);

/* SEQUENCE { tbs, sig_alg, BIT STRING signature } in the arena. */
struct span tosign_wrap(struct arena *a, struct span tbs, struct span sig_alg,
    struct span signature);

/* Takes a SIGNED object apart without judging the inside; nothing is copied. */
int tosign_unwrap(struct span der, struct span *tbs, struct span *sig_alg,
    struct span *signature, struct err *e) MUST_USE;

#endif
