/*
 * Approvals: what approvers sign, and that it counts once.
 *
 * The statement is, with counted blocks (32-bit big-endian length) and 64-bit
 * big-endian numbers:
 *
 *   "chancery approval 1\n"
 *   block(key name in keys.yaml)
 *   block(TBSCertificate with serial INTEGER 0 and validity SEQUENCE {})
 *   number(maximum validity in seconds)
 *   block(request id)
 *   number(approve-by time)
 *
 * An approver signs the 32 octets of its SHA-256 as a message, with the
 * algorithm that sign_alg names for his key.
 */
#ifndef HSM_SIGN_APPROVE_H
#define HSM_SIGN_APPROVE_H

#include "base/err.h"
#include "hsm/sign_client.h"
#include "hsm/tosign.h"

struct sign_class;
struct sign_policy;

/* An approve-by time further away than this is refused. */
#define SIGN_APPROVE_MAX_S ((int64_t)30 * 86400)

/* SHA-256 of the statement for 'req', whose TBS is 'c'. */
int sign_approve_statement(const struct sign_request *req,
    const struct tosign_cert *c, uint8_t hash[SIGN_HASH_SIZE],
    struct err *e) MUST_USE;

/*
 * Whether enough different approvers of 'class' have signed the statement
 * 'hash', its time has not passed and the validity fits.  REFUSED.
 */
int sign_approve_check(const struct sign_policy *p,
    const struct sign_class *class, const struct sign_request *req,
    const uint8_t hash[SIGN_HASH_SIZE], int64_t now, struct err *e) MUST_USE;

/*
 * Uses up the statement for this TBS: a file named by the statement in
 * 'dir' (made when absent) holds the TBS hash, for all slots and restarts.
 * The same TBS again is fine; another is REFUSED.
 */
int sign_approve_use(const char *dir, const uint8_t statement[SIGN_HASH_SIZE],
    const uint8_t tbs_hash[SIGN_HASH_SIZE], struct err *e) MUST_USE;

#endif
