/*
 * The one pipeline: every certificate that Chancery issues, over whatever
 * protocol, goes through these stages in this order.  Each is idempotent on
 * (protocol, txn).  No signature exists without a committed intent.
 */
#ifndef CA_ENROLL_H
#define CA_ENROLL_H

#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/err.h"
#include "base/span.h"
#include "ca/issuer.h"
#include "ca/policy.h"
#include "ca/profile.h"
#include "ca/request.h"

struct db;
struct sign_client;
struct writer;

enum enroll_stage {
	ENROLL_AUTHENTICATE,
	ENROLL_AUTHORISE,
	ENROLL_BUILD,
	ENROLL_LINT,
	ENROLL_APPROVE,
	ENROLL_RESERVE,
	ENROLL_SIGN,
	ENROLL_COMMIT,
	ENROLL_STAGE__COUNT
};

/* What the stages of one worker cost so far. */
struct enroll_times {
	uint64_t count[ENROLL_STAGE__COUNT];
	int64_t cpu_us[ENROLL_STAGE__COUNT], wall_us[ENROLL_STAGE__COUNT];
};

/* One worker's means; everything but 'arena' outlives the request. */
struct ctx {
	struct arena *arena;
	struct db *db;         /* for reading */
	struct writer *writer; /* shared */
	struct sign_client *signer;
	const struct profile_set *profiles;
	const struct issuer_set *issuers;
	bool verify_leaves; /* verify each signature before storing it */
	int64_t approval_lifetime_s; /* of what waits for an approval */
	const char *request_id;      /* for log, audit and signer */
	struct enroll_times *times;  /* NULL: not measured */
};

enum enroll_status {
	ENROLL_ISSUED,
	ENROLL_PENDING
};

struct enroll_result {
	enum enroll_status status;
	int64_t cert_id;             /* ISSUED */
	struct span cert;            /* ISSUED: DER */
	const struct issuer *issuer; /* ISSUED */
	struct span serial;
};

/*
 * Issues, or queues for approval, the certificate that 'req' asks for.
 * Calling it again with the same protocol and txn returns the first outcome.
 * 'res' borrows from the arena of 'ctx'.  Fails with MALFORMED,
 * UNAUTHENTICATED, REFUSED, BAD_KEY, CONFLICT (txn used for another request),
 * UNAVAILABLE (or in progress elsewhere) or INTERNAL; PENDING is no error.
 */
int enroll_submit(struct ctx *ctx, const struct request *req,
    struct enroll_result *res, struct err *e) MUST_USE;

/*
 * The outcome of an earlier submit; what was approved meanwhile is issued.
 * NOT_FOUND: nothing is remembered; UNAVAILABLE: in progress; REFUSED: an
 * operator rejected it, or nobody decided in time.
 */
int enroll_poll(struct ctx *ctx, const char *protocol, const char *txn,
    struct enroll_result *res, struct err *e) MUST_USE;

/*
 * The client's word on a certificate it received: accepted, or rejected,
 * which revokes it (RFC 9810 5.3.18).  Audited.
 */
int enroll_confirm(struct ctx *ctx, const char *protocol, const char *txn,
    bool accepted, struct err *e) MUST_USE;

/*
 * Runs the stages up to lint and reports each rule in 'trail': what
 * `chancery profile test` shows.  Nothing is stored and nothing signed.
 */
int enroll_explain(struct ctx *ctx, const struct request *req,
    struct policy_trail *trail, struct policy_plan *plan, struct span *tbs,
    struct err *e) MUST_USE;

/* The name of a stage, as logs and metrics show it. */
const char *enroll_stage_name(enum enroll_stage stage);

#endif
