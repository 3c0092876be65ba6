#include "hsm/responder.h"

void
responder_statement(struct buf *b, const struct responder_claim *c)
{
	buf_block(b, span_str("chancery responder 1"));
	buf_block(b, span_str(c->host));
	buf_block(b, c->issuer_spki_sha256);
	buf_block(b, c->spki);
	buf_u64(b, (uint64_t)c->not_after);
}
