#include "base/b64.h"
#include "db/db_int.h"
#include "db/store_audit.h"
#include "db/store_int.h"
#include "db/store_request.h"
#include "db/writer_int.h"

/* What an intent would say is not known yet: zeros stand for it. */
static const struct writer_stmt pend_stmt = {
	.db = { "request_pend",
	    "WITH t AS MATERIALIZED (SELECT u.*"
	    " FROM unnest($2::text[], $3::text[], $4::bytea[], $5::text[],"
	    " $6::text[], $7::bytea[], $8::bytea[]) WITH ORDINALITY"
	    " AS u(protocol, txn, request_hash, profile, principal, body,"
	    " leaf, ord)),"
	    " r AS (INSERT INTO request (protocol, txn, state, slot, class,"
	    " issuer, cert_id, request_hash, tbs_hash, profile_hash, serial,"
	    " profile, principal)"
	    " SELECT protocol, txn, 0, 0, $1::int >> 12, 0, 0, request_hash,"
	    " sha256(''), sha256(''), '\\x00', profile, principal FROM t"
	    " ON CONFLICT (protocol, txn) DO NOTHING"
	    " RETURNING protocol, txn),"
	    " ok AS MATERIALIZED (SELECT t.*,"
	    " row_number() OVER (ORDER BY t.ord) AS n"
	    " FROM t JOIN r USING (protocol, txn)),"
	    " p AS (INSERT INTO pending (protocol, txn, body)"
	    " SELECT protocol, txn, body FROM ok),"
	    " a AS (INSERT INTO audit (writer, seq, kind, leaf)"
	    " SELECT $1::int, " STORE_LAST_AUDIT " + n, 'pending', leaf"
	    " FROM ok)"
	    " SELECT ord, 0, 0::bigint FROM ok",
	    false },
	.cols = "ssbssbb",
};

static struct span
pend_leaf(struct arena *a, const struct store_pending *p)
{
	const struct audit_pair pairs[] = {
		{ "protocol", p->protocol },
		{ "txn", p->txn },
		{ "request",
		    hex_encode(a, span_of(p->request_hash, STORE_HASH_SIZE)) },
		{ "profile", p->profile },
		{ "principal", p->principal },
		{ "req", p->request_id },
	};
	const struct audit_event ev = { "pending", 0, pairs,
		sizeof(pairs) / sizeof(pairs[0]) };

	return audit_leaf(a, &ev);
}

int
store_request_pend(
    struct writer *w, const struct store_pending *p, struct err *e)
{
	AUTO(arena_auto) a = arena_new();
	struct writer_row r = { .stmt = &pend_stmt };

	writer_text(&r, p->protocol);
	writer_text(&r, p->txn);
	writer_bytes(&r, span_of(p->request_hash, STORE_HASH_SIZE));
	writer_text(&r, p->profile);
	writer_text(&r, p->principal);
	writer_bytes(&r, p->body);
	writer_bytes(&r, pend_leaf(a, p));
	if (writer_do(w, &r, NULL, e) == 0)
		return 0;
	if (e != NULL && e->kind == ERR_CONFLICT)
		return err_set(e, ERR_CONFLICT,
		    "transaction \"%s\" of %s exists already", p->txn,
		    p->protocol);
	return -1;
}
