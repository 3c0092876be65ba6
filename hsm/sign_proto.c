#include "hsm/sign_proto.h"

#include <stdio.h>
#include <string.h>

#define PROTO_VERSION 2

/* What a name, a request id or an error text may measure. */
#define TEXT_MAX 1024

static void
put_text(struct buf *b, const char *s)
{
	buf_block(b, span_str(s));
}

/* A NUL-terminated copy of the next block; no NUL may stand inside. */
static bool
take_text(struct arena *a, struct span *s, const char **out)
{
	struct span t;

	if (!span_block(s, &t) || t.n > TEXT_MAX ||
	    (t.n > 0 && memchr(t.p, 0, t.n) != NULL))
		return false;
	*out = arena_memdup(a, t.p, t.n);
	return true;
}

static bool
take_hash(struct span *s, uint8_t out[SIGN_HASH_SIZE])
{
	struct span t;

	if (!span_take(s, SIGN_HASH_SIZE, &t))
		return false;
	memcpy(out, t.p, SIGN_HASH_SIZE);
	return true;
}

static void
put_sign(struct buf *b, const struct sign_request *r)
{
	size_t i;

	buf_u8(b, (uint8_t)r->kind);
	put_text(b, r->key);
	put_text(b, r->request_id);
	buf_add(b, r->profile_hash, SIGN_HASH_SIZE);
	buf_u64(b, (uint64_t)r->approve_by);
	buf_u64(b, (uint64_t)r->max_validity_s);
	buf_u8(b, (uint8_t)r->n_approvals);
	for (i = 0; i < r->n_approvals; i++) {
		put_text(b, r->approvals[i].approver);
		buf_block(b, r->approvals[i].signature);
	}
	put_text(b, r->responder_host);
	buf_u64(b, (uint64_t)r->responder_not_after);
	buf_block(b, r->responder_signature);
	buf_block(b, r->tbs);
	if (r->n_approvals > SIGN_APPROVALS_MAX)
		b->failed = true;
}

void
sign_proto_ask_encode(struct buf *b, const struct sign_ask *ask)
{
	buf_u8(b, PROTO_VERSION);
	buf_u8(b, (uint8_t)ask->verb);
	if (ask->verb == SIGN_VERB_SIGN)
		put_sign(b, &ask->sign);
	if (ask->verb == SIGN_VERB_RECALL) {
		buf_add(b, ask->tbs_hash, SIGN_HASH_SIZE);
		buf_u64(b, (uint64_t)ask->since);
	}
}

static bool
take_sign(struct arena *a, struct span *s, struct sign_request *r)
{
	struct sign_approval *approvals;
	uint8_t kind, n;
	size_t i;

	if (!span_u8(s, &kind) || kind < SIGN_CERT || kind > SIGN_RESPONDER ||
	    !take_text(a, s, &r->key) || !take_text(a, s, &r->request_id) ||
	    !take_hash(s, r->profile_hash) || !span_i64(s, &r->approve_by) ||
	    !span_i64(s, &r->max_validity_s) || !span_u8(s, &n) ||
	    n > SIGN_APPROVALS_MAX)
		return false;
	r->kind = (enum sign_kind)kind;
	approvals = arena_array(a, n, sizeof(*approvals));
	for (i = 0; i < n; i++) {
		if (!take_text(a, s, &approvals[i].approver) ||
		    !span_block(s, &approvals[i].signature))
			return false;
	}
	r->approvals = approvals;
	r->n_approvals = n;
	return take_text(a, s, &r->responder_host) &&
	       span_i64(s, &r->responder_not_after) &&
	       span_block(s, &r->responder_signature) && span_block(s, &r->tbs);
}

int
sign_proto_ask_parse(
    struct arena *a, struct span m, struct sign_ask *out, struct err *e)
{
	uint8_t version, verb;
	bool good;

	memset(out, 0, sizeof(*out));
	if (!span_u8(&m, &version) || version != PROTO_VERSION)
		return err_set(
		    e, ERR_MALFORMED, "signer protocol version differs");
	good = span_u8(&m, &verb);
	out->verb = (enum sign_verb)verb;
	if (good && verb == SIGN_VERB_SIGN)
		good = take_sign(a, &m, &out->sign);
	else if (good && verb == SIGN_VERB_RECALL)
		good =
		    take_hash(&m, out->tbs_hash) && span_i64(&m, &out->since);
	else if (verb != SIGN_VERB_STATUS)
		good = false;
	if (!good || m.n != 0)
		return err_set(e, ERR_MALFORMED, "malformed signer request");
	return 0;
}

static void
put_reply(struct buf *b, const struct sign_reply *r)
{
	buf_block(b, r->tbs);
	buf_block(b, r->signature);
	buf_u8(b, r->receipt.slot);
	buf_u64(b, r->receipt.seq);
	buf_add(b, r->receipt.head, SIGN_HASH_SIZE);
}

static bool
take_reply(struct arena *a, struct span *s, struct sign_reply *r)
{
	struct span tbs, sig;

	if (!span_block(s, &tbs) || !span_block(s, &sig) ||
	    !span_u8(s, &r->receipt.slot) || !span_u64(s, &r->receipt.seq) ||
	    !take_hash(s, r->receipt.head))
		return false;
	r->tbs = span_dup(a, tbs);
	r->signature = span_dup(a, sig);
	return true;
}

static void
put_status(struct buf *b, const struct sign_status *s)
{
	buf_u64(b, s->seq);
	buf_u64(b, s->signatures);
	put_text(b, s->keys);
	buf_u8(b, s->fault != NULL);
	put_text(b, s->fault);
}

static bool
take_status(struct arena *a, struct span *s, struct sign_status *out)
{
	uint8_t faulty;

	if (!span_u64(s, &out->seq) || !span_u64(s, &out->signatures) ||
	    !take_text(a, s, &out->keys) || !span_u8(s, &faulty) ||
	    !take_text(a, s, &out->fault))
		return false;
	if (faulty == 0)
		out->fault = NULL;
	return true;
}

void
sign_proto_answer_encode(
    struct buf *b, enum sign_verb verb, const struct sign_answer *r)
{
	buf_u8(b, PROTO_VERSION);
	buf_u8(b, (uint8_t)r->err.kind);
	if (r->err.kind != ERR_NONE) {
		put_text(b, r->err.text);
		return;
	}
	if (verb == SIGN_VERB_RECALL)
		buf_u8(b, r->found);
	if (verb == SIGN_VERB_STATUS)
		put_status(b, &r->status);
	else if (verb == SIGN_VERB_SIGN || r->found)
		put_reply(b, &r->reply);
}

static bool
take_answer(struct arena *a, struct span *m, enum sign_verb verb,
    struct sign_answer *out)
{
	uint8_t found = 1;

	if (verb == SIGN_VERB_STATUS)
		return take_status(a, m, &out->status);
	if (verb == SIGN_VERB_RECALL && !span_u8(m, &found))
		return false;
	out->found = found != 0;
	return !out->found || take_reply(a, m, &out->reply);
}

int
sign_proto_answer_parse(struct arena *a, struct span m, enum sign_verb verb,
    struct sign_answer *out, struct err *e)
{
	uint8_t version, kind;
	const char *text = "";
	bool good;

	memset(out, 0, sizeof(*out));
	good = span_u8(&m, &version) && version == PROTO_VERSION &&
	       span_u8(&m, &kind) && kind < ERR__COUNT;
	if (good && kind != ERR_NONE) {
		good = take_text(a, &m, &text);
		(void)err_set(&out->err, (enum err_kind)kind, "%s", text);
	} else if (good) {
		good = take_answer(a, &m, verb, out);
	}
	if (!good || m.n != 0)
		return err_set(e, ERR_UNAVAILABLE, "malformed signer reply");
	return 0;
}
