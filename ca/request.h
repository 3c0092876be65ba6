/*
 * What is asked for, in neutral form: an adapter fills it from ACME, EST,
 * SCEP, CMP, REST or the command line, the pipeline of enroll.h judges it.
 * Everything lives in the request's arena.
 */
#ifndef CA_REQUEST_H
#define CA_REQUEST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/span.h"
#include "ca/dn.h"
#include "ca/pubkey.h"
#include "hsm/tosign.h"

#define REQUEST_SANS_MAX 256

/* A subject alternative name. */
struct request_san {
	enum tosign_gn type; /* OTHER: a UPN (UTF8String) */
	const char *text;    /* DNS in lower case; IP in RFC 5952 form */
	struct span ip;      /* IP: 4 or 16 octets */
};

/* The names that a renewal shall have instead of the old ones. */
struct request_rename {
	struct dn subject;
	bool has_subject, has_sans; /* at least one; the other stays */
	struct request_san *sans;
	size_t n_sans;
};

struct request_want {
	struct span raw;  /* what was asked, as received: idempotency */
	struct span spki; /* SubjectPublicKeyInfo, DER */
	/* what it is, without its EVP_PKEY; NULL: nobody has looked yet */
	const struct pubkey *key;
	struct dn subject;
	struct request_san *sans;
	size_t n_sans;
	bool must_staple;      /* TLS feature status_request */
	const char *challenge; /* challengePassword (RFC 2985), or NULL */
	/* ChangeSubjectName (RFC 6402 2.8), or NULL */
	const struct request_rename *rename;
	int64_t not_before, not_after; /* 0: as the profile says */
};

/* How the principal proves who it is. */
enum request_evidence_kind {
	EVIDENCE_OPERATOR,  /* OS user at the command line */
	EVIDENCE_INTERNAL,  /* one of our own daemons, for itself */
	EVIDENCE_ACME,      /* account and its valid authorizations */
	EVIDENCE_PUBLISHER, /* chancery-pubd, for OCSP responders */
	EVIDENCE_SECRET,    /* an enrollment secret (authn_secret) */
	EVIDENCE_CERT,      /* a client certificate (authn_cert) */
	EVIDENCE_RA,        /* one of a registration authority (cmcRA) */
	EVIDENCE__COUNT
};

/* What the certificate says that authenticates a client. */
struct request_holder {
	const char *profile; /* of ours; NULL: another CA's */
	int64_t cert_id;     /* of ours; 0 otherwise */
	bool expired;        /* but within the grace of the profile */
	struct dn subject;
	struct request_san *sans;
	size_t n_sans;
};

struct request_evidence {
	enum request_evidence_kind kind;
	/*
	 * OS user, daemon, ACME account id, name of the secret, or
	 * "PROFILE/SUBJECT" of a certificate ("@ANCHOR/SUBJECT": not of ours);
	 * SUBJECT is the first alternative name if it is empty.
	 */
	const char *name;
	/* ACME: the identifiers that validations prove (lower case). */
	const struct request_san *proven;
	size_t n_proven;
	/* SECRET: its row; globs such as "dns:*.a.test", none: any name */
	int64_t secret_id;
	bool one_time;
	const char *const *names;
	size_t n_names;
	const struct request_holder *holder; /* CERT, RA */
};

/* A responder's claim to its key; signd checks it (hsm/responder.h). */
struct request_responder {
	const char *host;
	int64_t not_after;
	struct span signature;
};

/* How long an issued certificate is the answer to the same request again. */
#define REQUEST_REPEAT_ALWAYS ((int64_t)0)
#define REQUEST_REPEAT_NEVER ((int64_t)-1)

struct request {
	const char *protocol; /* "acme", "cli", "est", "internal", "pub" */
	const char *txn;      /* unique within the protocol */
	const char *profile;
	const char *issuer; /* NULL: the profile's only or first issuer */
	struct request_evidence evidence;
	struct request_want want;
	const struct request_responder *responder; /* NULL: no such claim */
	int64_t repeat_s; /* seconds after the intent, or as above */
};

/*
 * Adds SAN entries from text such as "dns:a.test", "ip:::1", "email:a@b",
 * "uri:https://x" or "upn:a@b"; without a prefix it is an IP address, a mail
 * address or a DNS name.  MALFORMED: syntax of RFC 5280 4.2.1.6.
 */
int request_san_parse(struct arena *a, const char *text,
    struct request_san *out, struct err *e) MUST_USE;

/*
 * Checks and normalises one entry in place (lower case, address text):
 * MALFORMED when the syntax is wrong.
 */
int request_san_check(
    struct arena *a, struct request_san *san, struct err *e) MUST_USE;

/*
 * Whether 'name' is a DNS name in preferred name syntax: lower-case letters,
 * digits, hyphens, labels of 1 to 63, 253 in all, at least one label that is
 * not all digits, A-labels checked; "*." in front only when 'wildcard'.
 */
int request_dns_check(const char *name, bool wildcard, struct err *e) MUST_USE;

/* Whether two entries name the same thing. */
bool request_san_eq(const struct request_san *x, const struct request_san *y);

/* Whether it is one of 'list'. */
bool request_san_among(
    const struct request_san *san, const struct request_san *list, size_t n);

/*
 * Decodes a subjectAltName value into 'out->sans', checked, normalised and
 * without repetitions.  REFUSED: a type that is not supported, or too many.
 */
int request_sans_decode(struct arena *a, struct span der,
    struct request_want *out, struct err *e) MUST_USE;

/* Drops repeated entries. */
void request_sans_dedup(struct request_want *w);

/* The word for a type: "dns", "ip", "email", "uri", "upn". */
const char *request_san_word(enum tosign_gn type);

#endif
