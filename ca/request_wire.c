#include "ca/request_wire.h"

#include <string.h>

#define WIRE_VERSION 1
#define LIST_MAX 1024

static void
put_text(struct buf *b, const char *s)
{
	buf_u8(b, s != NULL);
	buf_block(b, span_str(s));
}

static bool
take_text(struct arena *a, struct span *s, const char **out)
{
	struct span text;
	uint8_t there;

	if (!span_u8(s, &there) || !span_block(s, &text))
		return false;
	*out = there == 0 ? NULL : arena_memdup(a, text.p, text.n);
	return true;
}

static void
put_dn(struct buf *b, const struct dn *dn)
{
	size_t i;

	buf_u32(b, (uint32_t)dn->n);
	for (i = 0; i < dn->n; i++) {
		put_text(b, dn->attrs[i].type->oid);
		put_text(b, dn->attrs[i].value);
	}
}

static bool
take_dn(struct arena *a, struct span *s, struct dn *out)
{
	const char *oid;
	uint32_t n;
	size_t i;

	if (!span_u32(s, &n) || n > DN_ATTRS_MAX)
		return false;
	out->attrs = arena_array(a, n, sizeof(*out->attrs));
	out->n = n;
	for (i = 0; i < n; i++) {
		if (!take_text(a, s, &oid) ||
		    !take_text(a, s, &out->attrs[i].value) || oid == NULL)
			return false;
		out->attrs[i].type = dn_type_named(oid);
		if (out->attrs[i].type == NULL)
			return false;
	}
	return true;
}

static void
put_sans(struct buf *b, const struct request_san *sans, size_t n)
{
	size_t i;

	buf_u32(b, (uint32_t)n);
	for (i = 0; i < n; i++) {
		buf_u8(b, (uint8_t)sans[i].type);
		put_text(b, sans[i].text);
		buf_block(b, sans[i].ip);
	}
}

static bool
take_sans(struct arena *a, struct span *s, struct request_san **out, size_t *n)
{
	struct request_san *sans;
	uint32_t count;
	uint8_t type;
	size_t i;

	if (!span_u32(s, &count) || count > LIST_MAX)
		return false;
	*out = sans = arena_array(a, count, sizeof(*sans));
	*n = count;
	for (i = 0; i < count; i++) {
		if (!span_u8(s, &type) || !take_text(a, s, &sans[i].text) ||
		    !span_block(s, &sans[i].ip))
			return false;
		sans[i].type = (enum tosign_gn)type;
	}
	return true;
}

static void
put_evidence(struct buf *b, const struct request_evidence *ev)
{
	size_t i;

	buf_u8(b, (uint8_t)ev->kind);
	put_text(b, ev->name);
	put_sans(b, ev->proven, ev->n_proven);
	buf_u64(b, (uint64_t)ev->secret_id);
	buf_u8(b, ev->one_time);
	buf_u32(b, (uint32_t)ev->n_names);
	for (i = 0; i < ev->n_names; i++)
		put_text(b, ev->names[i]);
	buf_u8(b, ev->holder != NULL);
	if (ev->holder == NULL)
		return;
	put_text(b, ev->holder->profile);
	buf_u64(b, (uint64_t)ev->holder->cert_id);
	buf_u8(b, ev->holder->expired);
	put_dn(b, &ev->holder->subject);
	put_sans(b, ev->holder->sans, ev->holder->n_sans);
}

static bool
take_names(struct arena *a, struct span *s, struct request_evidence *ev)
{
	const char **names;
	uint32_t n;
	size_t i;

	if (!span_u32(s, &n) || n > LIST_MAX)
		return false;
	ev->names = names = arena_array(a, n, sizeof(*names));
	ev->n_names = n;
	for (i = 0; i < n; i++) {
		if (!take_text(a, s, &names[i]))
			return false;
	}
	return true;
}

static bool
take_holder(struct arena *a, struct span *s, struct request_evidence *ev)
{
	struct request_holder *h;
	uint8_t there, expired;

	if (!span_u8(s, &there))
		return false;
	if (there == 0)
		return true;
	ev->holder = h = arena_alloc(a, sizeof(*h));
	if (!take_text(a, s, &h->profile) || !span_i64(s, &h->cert_id) ||
	    !span_u8(s, &expired) || !take_dn(a, s, &h->subject))
		return false;
	h->expired = expired != 0;
	return take_sans(a, s, &h->sans, &h->n_sans);
}

static bool
take_evidence(struct arena *a, struct span *s, struct request_evidence *ev)
{
	struct request_san *proven;
	uint8_t kind, one_time;

	if (!span_u8(s, &kind) || kind >= EVIDENCE__COUNT ||
	    !take_text(a, s, &ev->name) ||
	    !take_sans(a, s, &proven, &ev->n_proven) ||
	    !span_i64(s, &ev->secret_id) || !span_u8(s, &one_time))
		return false;
	ev->kind = (enum request_evidence_kind)kind;
	ev->proven = proven;
	ev->one_time = one_time != 0;
	return take_names(a, s, ev) && take_holder(a, s, ev);
}

void
request_wire_put(struct buf *b, const struct request *req)
{
	const struct request_want *w = &req->want;

	buf_u8(b, WIRE_VERSION);
	put_text(b, req->profile);
	put_text(b, req->issuer);
	put_evidence(b, &req->evidence);
	buf_u64(b, (uint64_t)req->repeat_s);
	buf_block(b, w->raw);
	buf_block(b, w->spki);
	put_dn(b, &w->subject);
	put_sans(b, w->sans, w->n_sans);
	buf_u8(b, w->must_staple);
	buf_u64(b, (uint64_t)w->not_before);
	buf_u64(b, (uint64_t)w->not_after);
}

static bool
take_want(struct arena *a, struct span *s, struct request_want *w)
{
	uint8_t staple;

	if (!span_block(s, &w->raw) || !span_block(s, &w->spki) ||
	    !take_dn(a, s, &w->subject) ||
	    !take_sans(a, s, &w->sans, &w->n_sans) || !span_u8(s, &staple))
		return false;
	w->must_staple = staple != 0;
	return span_i64(s, &w->not_before) && span_i64(s, &w->not_after);
}

int
request_wire_get(
    struct arena *a, struct span bytes, struct request *out, struct err *e)
{
	struct span s = span_dup(a, bytes);
	uint8_t version;

	*out = (struct request){ .protocol = NULL };
	if (!span_u8(&s, &version) || version != WIRE_VERSION ||
	    !take_text(a, &s, &out->profile) ||
	    !take_text(a, &s, &out->issuer) ||
	    !take_evidence(a, &s, &out->evidence) ||
	    !span_i64(&s, &out->repeat_s) || !take_want(a, &s, &out->want) ||
	    s.n != 0)
		return err_set(e, ERR_INTERNAL, "a stored request is damaged");
	return 0;
}

const char *
request_summary(struct arena *a, const struct request_want *w)
{
	const char *text = dn_text(a, &w->subject);
	size_t i;

	for (i = 0; i < w->n_sans; i++)
		text = arena_printf(a, "%s%s%s:%s", text,
		    text[0] == '\0' ? "" : " ",
		    request_san_word(w->sans[i].type), w->sans[i].text);
	return text;
}
