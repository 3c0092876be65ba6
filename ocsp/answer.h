/*
 * What a request is answered with: the rules between the reader of requests,
 * the status table and the maker of responses (RFC 6960 2.2 to 2.4, RFC
 * 9919).  Knows nothing of HTTP and of databases.
 */
#ifndef OCSP_ANSWER_H
#define OCSP_ANSWER_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"
#include "ocsp/authority.h"
#include "ocsp/epoch.h"
#include "ocsp/ocsp_req.h"
#include "ocsp/response.h"
#include "ocsp/status_table.h"

#define ANSWER_AUTHORITIES_MAX 64

/* How far the table can be trusted. */
enum answer_trust {
	ANSWER_EMPTY,    /* not loaded yet */
	ANSWER_CURRENT,  /* as of 'synced_at' */
	ANSWER_DISPUTED, /* the database contradicts it: only revocations count
			  */
};

/* What all threads share.  The feed and the responder change it. */
struct answer_world {
	struct epoch *epoch;
	struct authority *authorities; /* const */
	size_t n_authorities;
	int64_t validity_s, stale_s;
	bool extended_revoked; /* what was never issued is "revoked" */
	struct status_table *_Atomic table;
	struct delegate *_Atomic delegates[ANSWER_AUTHORITIES_MAX];
	_Atomic int64_t delegate_until[ANSWER_AUTHORITIES_MAX]; /* 0: none */
	_Atomic int trust; /* enum answer_trust */
	_Atomic int64_t synced_at;
};

/* Of one thread. */
struct answerer;
struct answerer *answerer_new(const struct answer_world *w);
void answerer_free(struct answerer *t);

enum answer_kind {
	ANSWER_GOOD, /* the kinds of a signed answer: that of its first CertID
		      */
	ANSWER_REVOKED,
	ANSWER_UNKNOWN,
	ANSWER_MALFORMED,
	ANSWER_INTERNAL,
	ANSWER_TRY_LATER,
	ANSWER_UNAUTHORIZED,
	ANSWER__COUNT
};

/* What is to be answered; made first, because a cache may have it already. */
struct answer_plan {
	enum answer_kind kind;
	bool is_signed;
	bool cacheable;  /* one CertID, no nonce, known */
	struct span key; /* of a cacheable answer: borrowed from the request */
	uint64_t word;   /* the status it is made from */
	int authority;
	int64_t now, changes_at; /* when the answer would be another one */
	struct span nonce;
	struct response_single list[OCSP_REQ_CERTIDS_MAX];
	size_t n;
};

/* Plans the answer to a request at time 'now'.  'plan' borrows from 'der'. */
void answer_plan(
    struct answerer *t, struct span der, int64_t now, struct answer_plan *plan);

/* A finished answer. */
struct answer {
	struct span body; /* in the answerer's buffer until its next answer */
	enum answer_kind kind;
	bool is_signed;
	int64_t this_update, next_update;
	int64_t fresh_until; /* another one should be made from then on */
};

/*
 * Makes the answer; a plan that cannot be signed becomes tryLater (no
 * certificate for the key) or internalError, never an unsigned answer of
 * another kind.
 */
void answer_make(
    struct answerer *t, const struct answer_plan *plan, struct answer *out);

#endif
