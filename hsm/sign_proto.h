/*
 * The messages between sign_client and signd: one request and one reply per
 * packet of base/ipc, big-endian fields and counted blocks after a version
 * octet.  Encoding and decoding only; nothing here decides.
 */
#ifndef HSM_SIGN_PROTO_H
#define HSM_SIGN_PROTO_H

#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/err.h"
#include "base/span.h"
#include "hsm/sign_client.h"

enum sign_verb {
	SIGN_VERB_SIGN = 1,
	SIGN_VERB_RECALL,
	SIGN_VERB_STATUS
};

/* A request; which members count depends on the verb. */
struct sign_ask {
	enum sign_verb verb;
	struct sign_request sign;         /* SIGN; its 'slot' is not sent */
	uint8_t tbs_hash[SIGN_HASH_SIZE]; /* RECALL */
	int64_t since;                    /* RECALL, seconds */
};

/* Appends the request to 'b'; the caller checks buf_ok. */
void sign_proto_ask_encode(struct buf *b, const struct sign_ask *ask);

/* Decodes a request; 'out' borrows from 'm' and the arena.  MALFORMED. */
int sign_proto_ask_parse(struct arena *a, struct span m, struct sign_ask *out,
    struct err *e) MUST_USE;

/* A reply.  With an error, nothing but 'err' counts. */
struct sign_answer {
	struct err err; /* kind ERR_NONE: done */
	bool found;     /* RECALL */
	struct sign_reply reply;
	struct sign_status status;
};

/* Appends the reply to a request with this verb. */
void sign_proto_answer_encode(
    struct buf *b, enum sign_verb verb, const struct sign_answer *r);

/* Decodes a reply into copies that live in the arena.  MALFORMED. */
int sign_proto_answer_parse(struct arena *a, struct span m, enum sign_verb verb,
    struct sign_answer *out, struct err *e) MUST_USE;

#endif
