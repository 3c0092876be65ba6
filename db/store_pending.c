#include "db/store_request.h"

#include <inttypes.h>

#include "base/b64.h"
#include "db/db_int.h"
#include "db/store_audit.h"
#include "db/store_int.h"
#include "db/writer_int.h"

/* What an intent would say is not known yet: zeros stand for it. */
static const struct writer_stmt pend_stmt = {
	.db = { "request_pend",
	    "WITH t AS MATERIALIZED (SELECT u.*"
	    " FROM unnest($2::text[], $3::text[], $4::bytea[], $5::text[],"
	    " $6::text[], $7::bytea[], $8::text[], $9::int[], $10::bigint[],"
	    " $11::bigint[], $12::bigint[], $13::bytea[]) WITH ORDINALITY"
	    " AS u(protocol, txn, request_hash, profile, principal, body,"
	    " summary, lifetime, repeat, secret, made_with, leaf, ord))," STORE_SECRET_USE
	    " r AS (INSERT INTO request AS x (protocol, txn, state, slot,"
	    " class, issuer, cert_id, request_hash, tbs_hash, profile_hash,"
	    " serial, profile, principal)"
	    " SELECT protocol, txn, 0, 0, $1::int >> 12, 0, 0, request_hash,"
	    " sha256(''), sha256(''), '\\x00', profile, principal FROM t"
	    " WHERE secret IS NULL OR ord IN (SELECT ord FROM used)"
	    " ON CONFLICT (protocol, txn) DO UPDATE SET state = 0, slot = 0,"
	    " issuer = 0, cert_id = 0, created_at = now(),"
	    " class = excluded.class, request_hash = excluded.request_hash,"
	    " tbs_hash = excluded.tbs_hash, serial = excluded.serial,"
	    " profile_hash = excluded.profile_hash,"
	    " profile = excluded.profile, principal = excluded.principal"
	    " WHERE x.state = 2 OR x.state = 1 AND " STORE_ANSWERS_NO_MORE(
		"(SELECT t.repeat FROM t WHERE t.protocol = excluded.protocol"
		" AND t.txn = excluded.txn)") " RETURNING protocol, txn),"
					      " ok AS MATERIALIZED (SELECT t.*,"
					      " row_number() OVER (ORDER BY t.ord) AS n"
					      " FROM t JOIN r USING (protocol, txn)),"
					      " p AS (INSERT INTO pending (protocol, txn, body, summary,"
					      " secret, expires_at) SELECT protocol, txn, body, summary,"
					      " made_with, now() + make_interval(secs => lifetime) FROM ok"
					      " ON CONFLICT (protocol, txn) DO UPDATE SET id = DEFAULT,"
					      " body = excluded.body, summary = excluded.summary,"
					      " secret = excluded.secret, login = session_user,"
					      " created_at = now(), expires_at = excluded.expires_at,"
					      " decided_at = NULL, decided_by = NULL, operator = NULL,"
					      " reason = NULL),"
					      " a AS (INSERT INTO audit (writer, seq, kind, leaf)"
					      " SELECT $1::int, " STORE_LAST_AUDIT
					      " + n, 'pending', leaf"
					      " FROM ok)"
					      " SELECT ord, 0, 0::bigint FROM ok UNION ALL"
					      " SELECT ord, 4, 0::bigint FROM t WHERE secret IS NOT NULL"
					      " AND ord NOT IN (SELECT ord FROM used)",
	    false },
	.cols = "ssbssbsilllb",
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
		{ "names", p->summary },
		{ "req", p->request_id },
	};
	const struct audit_event ev = { "pending", 0, pairs,
		sizeof(pairs) / sizeof(pairs[0]) };

	return audit_leaf(a, &ev);
}

static void
writer_id(struct writer_row *r, int64_t id)
{
	if (id == 0)
		writer_null(r);
	else
		writer_int(r, id);
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
	writer_text(&r, p->summary);
	writer_int(&r, p->lifetime_s);
	store_repeat(&r, p->repeat_s);
	writer_id(&r, p->secret);
	writer_id(&r, p->made_with);
	writer_bytes(&r, pend_leaf(a, p));
	if (writer_do(w, &r, NULL, e) == 0)
		return 0;
	if (e->kind == ERR_CONFLICT)
		return err_set(e, ERR_CONFLICT,
		    "transaction \"%s\" of %s exists already", p->txn,
		    p->protocol);
	return e->kind == ERR_UNAUTHENTICATED ? store_secret_used(e) : -1;
}

int
store_request_count(struct db *db, const char *principal, unsigned max,
    unsigned *n, struct err *e)
{
	static const struct db_stmt stmt = { "request_count",
		"SELECT count(*) FROM (SELECT 1 FROM request"
		" WHERE principal = $1 AND state = 0 LIMIT $2) x",
		true };
	AUTO(PGresult) r = NULL;
	struct db_args p = { .n = 0 };

	db_arg_text(&p, principal);
	db_arg_i8(&p, max);
	if (db_exec(db, &stmt, &p, &r, e) == -1)
		return -1;
	*n = (unsigned)db_i8(r, 0, 0);
	return 0;
}

int
store_request_body(struct db *db, struct arena *a, const char *protocol,
    const char *txn, struct span *body, struct err *e)
{
	static const struct db_stmt stmt = { "request_body",
		"SELECT body FROM pending WHERE protocol = $1 AND txn = $2",
		true };
	AUTO(PGresult) r = NULL;
	struct db_args p = { .n = 0 };

	db_arg_text(&p, protocol);
	db_arg_text(&p, txn);
	if (db_one(db, &stmt, &p, &r, "waiting request", e) == -1)
		return -1;
	*body = db_bytes(a, r, 0, 0);
	return 0;
}

/* 'late' counts only for what is pending or approved. */
#define WAITING                                                                \
	"SELECT p.id, p.protocol, p.txn, x.profile, x.principal, p.summary,"   \
	" x.state, p.expires_at <= now(), p.created_at, p.expires_at,"         \
	" p.decided_at, p.operator, p.reason, s.name, c.id"                    \
	" FROM pending p JOIN request x USING (protocol, txn)"                 \
	" LEFT JOIN secret s ON s.id = p.secret"                               \
	" LEFT JOIN cert c ON c.id = x.cert_id AND x.state = 1"

static enum store_request_state
waiting_state(const PGresult *r, int i)
{
	if (!db_null(r, i, 14))
		return STORE_REQUEST_ISSUED;
	switch (db_i2(r, i, 6)) {
	case STORE_ROW_REJECTED:
		return STORE_REQUEST_REJECTED;
	case STORE_ROW_VOID:
		return STORE_REQUEST_VOID;
	case STORE_ROW_INTENT:
		return STORE_REQUEST_INTENT;
	default:
		break;
	}
	if (db_bool(r, i, 7))
		return STORE_REQUEST_EXPIRED;
	return db_i2(r, i, 6) == STORE_ROW_APPROVED ? STORE_REQUEST_APPROVED
						    : STORE_REQUEST_PENDING;
}

static void
read_waiting(struct arena *a, const PGresult *r, int i, struct store_waiting *o)
{
	o->id = db_i8(r, i, 0);
	o->protocol = db_text(a, r, i, 1);
	o->txn = db_text(a, r, i, 2);
	o->profile = db_text(a, r, i, 3);
	o->principal = db_text(a, r, i, 4);
	o->summary = db_text(a, r, i, 5);
	o->state = waiting_state(r, i);
	o->created_at = db_time(r, i, 8);
	o->expires_at = db_time(r, i, 9);
	o->decided_at = db_time(r, i, 10);
	o->operator= db_text(a, r, i, 11);
	o->reason = db_text(a, r, i, 12);
	o->secret = db_text(a, r, i, 13);
	o->cert_id = db_i8(r, i, 14);
}

int
store_request_waiting(struct db *db, struct arena *a,
    const struct store_waiting_query *q, struct store_waiting **out, size_t *n,
    struct err *e)
{
	static const struct db_stmt stmt = { "request_waiting",
		WAITING " WHERE p.id > $1 AND ($2 OR"
			" x.state = 0 AND p.expires_at > now())"
			" ORDER BY p.id LIMIT $3",
		true };
	AUTO(PGresult) r = NULL;
	struct db_args p = { .n = 0 };
	size_t i;

	db_arg_i8(&p, q->after);
	db_arg_bool(&p, q->all);
	db_arg_i8(&p, (int64_t)q->max);
	if (db_exec(db, &stmt, &p, &r, e) == -1)
		return -1;
	*n = (size_t)PQntuples(r);
	*out = arena_array(a, *n, sizeof(**out));
	for (i = 0; i < *n; i++)
		read_waiting(a, r, (int)i, &(*out)[i]);
	return 0;
}

int
store_request_waiting_get(struct db *db, struct arena *a, int64_t id,
    struct store_waiting *out, struct err *e)
{
	static const struct db_stmt stmt = { "request_waiting_get",
		WAITING " WHERE p.id = $1", true };
	AUTO(PGresult) r = NULL;
	struct db_args p = { .n = 0 };

	db_arg_i8(&p, id);
	if (db_one(db, &stmt, &p, &r, "request", e) == -1)
		return -1;
	read_waiting(a, r, 0, out);
	return 0;
}

/*
 * An approval starts the time anew in which the client has to come back.  A
 * login that is not shared counts beside the operator's name; the trigger
 * request_decided says the same.
 */
static const struct writer_stmt decide_stmt = {
	.db = { "request_decide",
	    "WITH t AS MATERIALIZED (SELECT u.*, p.protocol, p.txn,"
	    " x.state AS old, p.expires_at <= now() AS late,"
	    " x.principal = 'oper:' || u.operator"
	    " OR coalesce(s.operator = u.operator, false)"
	    " OR session_user <> 'chancery_oper' AND (p.login = session_user"
	    " OR coalesce(s.created_by = session_user, false)) AS own"
	    " FROM unnest($2::bigint[], $3::int[], $4::text[], $5::text[],"
	    " $6::bytea[]) WITH ORDINALITY"
	    " AS u(id, state, operator, reason, leaf, ord)"
	    " LEFT JOIN pending p ON p.id = u.id"
	    " LEFT JOIN request x ON x.protocol = p.protocol"
	    " AND x.txn = p.txn LEFT JOIN secret s ON s.id = p.secret),"
	    " r AS (UPDATE request x SET state = t.state FROM t"
	    " WHERE x.protocol = t.protocol AND x.txn = t.txn"
	    " AND x.state = 0 AND NOT t.late AND NOT t.own"
	    " RETURNING t.ord, t.id, t.operator, t.reason, t.leaf),"
	    " p AS (UPDATE pending p SET decided_at = now(),"
	    " decided_by = session_user, operator = r.operator,"
	    " reason = r.reason,"
	    " expires_at = now() + (p.expires_at - p.created_at)"
	    " FROM r WHERE p.id = r.id),"
	    " a AS (INSERT INTO audit (writer, seq, kind, leaf)"
	    " SELECT $1::int, " STORE_LAST_AUDIT
	    " + row_number() OVER (ORDER BY ord), 'decided', leaf FROM r)"
	    " SELECT ord, 0, id FROM r UNION ALL"
	    " SELECT ord, CASE WHEN old IS NULL THEN 2 WHEN old <> 0 OR late"
	    " THEN 1 ELSE 5 END, id FROM t"
	    " WHERE old IS DISTINCT FROM 0 OR late OR own",
	    false },
	.cols = "lissb",
};

static struct span
decision_leaf(struct arena *a, const struct store_decision *d)
{
	const struct audit_pair pairs[] = {
		{ "request", arena_printf(a, "%" PRId64, d->id) },
		{ "decision", d->approve ? "approved" : "rejected" },
		{
		    "operator",
		    d->operator},
		    { "reason", d->reason },
		    { "req", d->request_id },
		};
	const struct audit_event ev = { "decided", 0, pairs,
		sizeof(pairs) / sizeof(pairs[0]) };

	return audit_leaf(a, &ev);
}

int
store_request_decide(
    struct writer *w, const struct store_decision *d, struct err *e)
{
	AUTO(arena_auto) a = arena_new();
	struct writer_row r = { .stmt = &decide_stmt };

	writer_int(&r, d->id);
	writer_int(&r, d->approve ? STORE_ROW_APPROVED : STORE_ROW_REJECTED);
	writer_text(&r, d->operator);
	writer_text(&r, d->reason);
	writer_bytes(&r, decision_leaf(a, d));
	if (writer_do(w, &r, NULL, e) == 0)
		return 0;
	if (e->kind == ERR_NOT_FOUND)
		return err_set(e, ERR_NOT_FOUND, "no request %" PRId64, d->id);
	if (e->kind == ERR_CONFLICT)
		return err_set(e, ERR_CONFLICT,
		    "request %" PRId64 " is decided already, or expired",
		    d->id);
	if (e->kind == ERR_REFUSED)
		return err_set(e, ERR_REFUSED,
		    "request %" PRId64 " came from you, or with a secret that"
		    " you made: somebody else has to decide",
		    d->id);
	return -1;
}
