/*
 * keys.yaml: which keys there are, who may call, and by which classes a
 * to-be-signed object is judged.  The rules say what is allowed; what no
 * class allows is refused with the rule that was in the way.  Nothing here
 * touches a private key.
 *
 * Compiled in, whatever keys.yaml says: the enroll role never gets CA:TRUE,
 * keyCertSign, cRLSign, anyExtendedKeyUsage, OCSPSigning, ocsp-nocheck, cmcRA
 * or cmKGA; CA:TRUE, keyCertSign and cRLSign are for the oper role alone;
 * CRLs and the certificates of our responders are for the pub role alone, and
 * that role gets OCSPSigning and ocsp-nocheck for a pinned responder only.
 */
#ifndef HSM_SIGN_POLICY_H
#define HSM_SIGN_POLICY_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include <openssl/evp.h>

#include "base/arena.h"
#include "base/err.h"
#include "base/span.h"
#include "hsm/sign_alg.h"
#include "hsm/sign_client.h"
#include "hsm/sign_names.h"

/* How far in the future a notBefore may lie. */
#define SIGN_POLICY_AHEAD_S 60

enum sign_role {
	SIGN_ROLE_ENROLL,
	SIGN_ROLE_OPER,
	SIGN_ROLE_PUB,
	SIGN_ROLE__COUNT
};

/* Where a secret is read from: one of the first three. */
struct sign_secret {
	const char *file;       /* its first line */
	const char *credential; /* name below $CREDENTIALS_DIRECTORY */
	bool prompt;            /* asked for on the terminal at start */
	const char *given;      /* what was answered at the prompt, if set */
};

struct sign_token {
	const char *name, *module;
	struct sign_secret pin;
};

struct sign_key {
	const char *name;
	const struct sign_token *token; /* NULL: a key file */
	const char *uri;                /* RFC 7512, with a token */
	const char *keyfile;            /* encrypted PKCS#8, PEM */
	struct sign_secret passphrase;
	/* from the CA certificate */
	struct span subject, spki, aki; /* 'aki' is the extension's value */
	int64_t not_after;
	EVP_PKEY *public;
	struct sign_alg alg;
};

struct sign_strings {
	const char *const *s;
	size_t n;
};

struct sign_oids {
	const struct span *oid; /* contents octets */
	size_t n;               /* 0: the extension is absent */
};

struct sign_extension {
	struct span oid;
	bool fixed; /* the value must be 'value' */
	struct span value;
};

struct sign_attribute {
	struct span oid;
	struct sign_strings values; /* globs */
	size_t max;
	bool from_san; /* the value must also stand in the SAN */
};

/* URLs, or whole extension values in DER; by AIA access method. */
struct sign_urls {
	struct sign_strings ocsp, ca_issuers;
	const struct span *der;
	size_t n_der;
};

struct sign_class {
	const char *name;
	const struct sign_key *key;
	enum sign_role role;
	enum sign_kind kind;
	const struct sign_oids *eku; /* allowed sets */
	size_t n_eku;
	const uint32_t *key_usage; /* allowed sets; 0: absent */
	size_t n_key_usage;
	const struct sign_extension *exts;
	size_t n_exts;
	struct sign_urls aia, crldp, freshest; /* crldp: URLs in ca_issuers */
	uint32_t crl_partitions; /* what "{partition}" counts; 0: not there */
	bool ca;
	int64_t path_len; /* largest allowed */
	const struct sign_attribute *subject;
	size_t n_subject;
	struct sign_strings san[SIGN_NAME_TEXT]; /* by type */
	size_t san_max;
	bool san_wildcard; /* DNS names may be wildcards */
	int64_t max_validity_s, backdate_s;
	struct sign_strings approvers;
	size_t approvals;
	int loss_percent; /* of a CRL within a day: crl-loss-allowance */
};

struct sign_approver {
	const char *name;
	EVP_PKEY *key;
	struct sign_alg alg;
};

/* A host that may have OCSP responder certificates. */
struct sign_responder {
	const char *name;
	EVP_PKEY *key; /* its identity, P-256 */
	struct sign_alg alg;
	struct sign_strings issuers; /* names of keys */
	int64_t max_validity_s;
	unsigned per_hour; /* for each issuer */
};

struct sign_policy {
	uint8_t node;
	uint8_t slots; /* all of them; the last one is for the pub role */
	const uid_t *callers[SIGN_ROLE__COUNT];
	size_t n_callers[SIGN_ROLE__COUNT];
	struct sign_token *tokens;
	size_t n_tokens;
	struct sign_key *keys;
	size_t n_keys;
	const struct sign_class *classes;
	size_t n_classes;
	struct sign_approver *approvers;
	size_t n_approvers;
	struct sign_responder *responders;
	size_t n_responders;
	int64_t horizon_s; /* no notBefore older than this is ever signed */
};

/*
 * Loads keys.yaml (see keys.yaml(5)) and the CA certificates that it names.
 * MALFORMED with file, line and path of what is wrong; NOT_FOUND and
 * UNAVAILABLE for files that cannot be read.
 */
int sign_policy_load(
    const char *file, struct sign_policy **out, struct err *e) MUST_USE;
void sign_policy_free(struct sign_policy *p);

/* "enroll", "oper" or "pub". */
const char *sign_role_name(enum sign_role role);

/* The octet that slot 'index' of this node puts into its serials. */
uint8_t sign_policy_slot(const struct sign_policy *p, size_t index);

/*
 * Whether slot 'index' takes requests of this role.  Long lists are signed in
 * the slot of the pub role, where no enrollment waits for them; operators may
 * ask every slot how it is.
 */
bool sign_policy_serves(
    const struct sign_policy *p, size_t index, enum sign_role role);

/* What a check found out. */
struct sign_verdict {
	const struct sign_class *class;
	struct span serial; /* empty for a CRL */
	bool ca;            /* a CA, responder or CRL object: to disk at once */
	const struct sign_responder *responder; /* SIGN_RESPONDER */
	bool approved;
	uint8_t statement[SIGN_HASH_SIZE]; /* of the approvals, if approved */
};

/* Who asks, and where and when that is judged. */
struct sign_asker {
	enum sign_role role;
	uint8_t slot; /* its octet */
	int64_t now;  /* the signer's own clock */
};

/*
 * Judges 'req', asked for by 'asker'.
 * REFUSED names the class and the rule; MALFORMED: not the object it is said
 * to be.  The approvals are verified here; that a statement is honoured once
 * is up to the caller (sign_approve).  'out' lives in the arena.
 */
int sign_policy_check(const struct sign_policy *p, struct arena *a,
    const struct sign_asker *asker, const struct sign_request *req,
    struct sign_verdict *out, struct err *e) MUST_USE;

struct crlcheck;

/*
 * As sign_policy_check, for a SIGN_CRL request whose list was read into
 * 'list'; whether it may follow the one before is crlfloor's to say.
 */
int sign_policy_check_crl(const struct sign_policy *p,
    const struct sign_asker *asker, const struct sign_request *req,
    const struct crlcheck *list, struct sign_verdict *out,
    struct err *e) MUST_USE;

#endif
