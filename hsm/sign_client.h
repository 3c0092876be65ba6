/*
 * The blocking client of chancery-signd: a connection per slot and worker.
 * Not thread-safe: every worker thread has its own.  Slots are found by
 * listing <run_dir>/sign-<role>/, where each slot has one socket named by its
 * two-digit lower-case hex octet.
 */
#ifndef HSM_SIGN_CLIENT_H
#define HSM_SIGN_CLIENT_H

#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/err.h"
#include "base/span.h"

#define SIGN_HASH_SIZE 32
#define SIGN_APPROVALS_MAX 8

struct sign_client;

/* What is to be signed. */
enum sign_kind {
	SIGN_CERT = 1,
	SIGN_CRL = 2,
	SIGN_OCSP = 3,
	SIGN_RESPONDER = 4 /* the certificate of one of our OCSP responders */
};

/* An approver's signature over the statement of design: see sign_policy.h. */
struct sign_approval {
	const char *approver; /* name in keys.yaml */
	struct span signature;
};

struct sign_request {
	enum sign_kind kind;
	const char *key;        /* issuer name as in keys.yaml */
	uint8_t slot;           /* octet from sign_client_slot */
	struct span tbs;        /* whole to-be-signed object, DER; no CRL */
	const char *request_id; /* for the signer's log */
	uint8_t profile_hash[SIGN_HASH_SIZE];
	int64_t approve_by;     /* with approvals: their time limit */
	int64_t max_validity_s; /* with approvals: what they allow */
	const struct sign_approval *approvals;
	size_t n_approvals;
	/* SIGN_CRL: the sealed memfd with the TBSCertList; 'tbs' is empty */
	int crl_fd;
	/* SIGN_RESPONDER: the responder's claim (hsm/responder.h) */
	const char *responder_host;
	int64_t responder_not_after;
	struct span responder_signature;
};

/* Where the signature stands in the signer's log. */
struct sign_receipt {
	uint8_t slot;
	uint64_t seq;
	uint8_t head[SIGN_HASH_SIZE]; /* chain head after this record */
};

struct sign_reply {
	struct span tbs;       /* recall: what was signed; of a CRL a summary */
	struct span signature; /* octets of the BIT STRING; in the arena */
	struct sign_receipt receipt;
};

/*
 * A client for caller role 'role' ("enroll", "oper" or "pub"); connects when
 * needed.  'timeout_ms' bounds every request.
 */
struct sign_client *sign_client_new(
    const char *run_dir, const char *role, int timeout_ms);
void sign_client_free(struct sign_client *c);

/*
 * The slot that this client's next signature should use, by turns over the
 * slots that answer; its octet goes into the serial before the intent is
 * recorded.  UNAVAILABLE when no slot listens.
 */
int sign_client_slot(
    struct sign_client *c, uint8_t *slot, struct err *e) MUST_USE;

/*
 * Has 'req' signed.  REFUSED: a rule of keys.yaml, named in the text;
 * UNAVAILABLE: signer or token down, the request may or may not have been
 * signed: recall tells.
 */
int sign_client_sign(struct sign_client *c, struct arena *a,
    const struct sign_request *req, struct sign_reply *out,
    struct err *e) MUST_USE;

/*
 * A request that another thread lets go, so that nobody sleeps between the
 * moment when it may leave and its reply.  sign_client_hold prepares it in the
 * owner's thread.  Then, once, any other thread calls sign_client_let_go, which
 * sends it ('go') or drops it, and does not block.  The owner meanwhile sits in
 * sign_client_wait until the reply is there, or it is clear that nothing was
 * sent.  After that sign_client_sign of the same request takes the reply; if
 * none was sent, it asks as usual.  The last two have the form that db/writer.h
 * wants; their 'client' is a struct sign_client.
 */
int sign_client_hold(struct sign_client *c, const struct sign_request *req,
    struct err *e) MUST_USE;
void sign_client_let_go(void *client, bool go);
void sign_client_wait(void *client);

/* Which signature is asked about. */
struct sign_recall {
	uint8_t slot;
	const uint8_t *tbs_hash; /* SHA-256 */
	int64_t since;           /* it was made then or later */
};

/*
 * Asks a slot what it signed.  Found: fills 'out'.  Not found: '*found' is
 * false and the slot will never sign that hash from now on.
 */
int sign_client_recall(struct sign_client *c, struct arena *a,
    const struct sign_recall *what, bool *found, struct sign_reply *out,
    struct err *e) MUST_USE;

/* Whether 'slot' is logged in and can sign: for check and status. */
struct sign_status {
	uint64_t seq;        /* records in its log */
	uint64_t signatures; /* made by this process */
	const char *keys;    /* names it serves, separated by commas */
	const char *fault;   /* NULL, or why it cannot sign */
};
int sign_client_status(struct sign_client *c, struct arena *a, uint8_t slot,
    struct sign_status *out, struct err *e) MUST_USE;

#endif
