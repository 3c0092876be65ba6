#include "db/store_revoke.h"

#include <inttypes.h>

#include "base/b64.h"
#include "db/db_int.h"
#include "db/store_audit.h"
#include "db/store_int.h"
#include "db/writer_int.h"

/*
 * What a revocation changes: a good certificate, one on hold (6), or the
 * reason to keyCompromise (1).  The trigger cert_status_check allows just
 * that.
 */
#define REVOKE_APPLIES(reason)                                                 \
	"(s.status = 0 OR (s.reason = 6 AND " reason " <> 6) OR (" reason      \
	" = 1 AND s.reason <> 1))"

/* The feed and audit rows of 'ok', counted by n. */
#define NEWS(status, reason, kind)                                             \
	" f AS (INSERT INTO status_change (writer, seq, cert_id, not_after,"   \
	" revoked_at, invalidity_at, issuer, status, reason, serial)"          \
	" SELECT $1::int, " STORE_LAST_CHANGE " + n, cert_id, not_after,"      \
	" revoked_at, invalidity_at, issuer, " status ", " reason              \
	", serial FROM ok),"                                                   \
	" a AS (INSERT INTO audit (writer, seq, cert_id, kind, leaf)"          \
	" SELECT $1::int, " STORE_LAST_AUDIT " + n, cert_id, '" kind           \
	"', leaf FROM ok)"

static const struct writer_stmt revoke_stmt = {
	.db = { "cert_revoke",
	    "WITH t AS MATERIALIZED (SELECT u.*, (SELECT s.cert_id"
	    " FROM cert_status s WHERE s.issuer = u.issuer"
	    " AND s.serial = u.serial) AS id"
	    " FROM unnest($2::int[], $3::bytea[], $4::int[],"
	    " $5::timestamptz[], $6::timestamptz[], $7::bool[],"
	    " $8::bytea[]) WITH ORDINALITY AS u(issuer, serial, reason, at,"
	    " invalidity, block, leaf, ord)),"
	    " s AS (UPDATE cert_status s SET status = 1, reason = t.reason,"
	    " revoked_at = coalesce(s.revoked_at, t.at),"
	    " invalidity_at = coalesce(t.invalidity, s.invalidity_at)"
	    " FROM t WHERE s.issuer = t.issuer AND s.serial = t.serial"
	    " AND " REVOKE_APPLIES(
		"t.reason") " RETURNING t.ord, s.cert_id, s.not_after,"
			    " s.revoked_at, s.invalidity_at, s.issuer,"
			    " s.reason, s.serial, t.leaf),"
			    " ok AS MATERIALIZED (SELECT *,"
			    " row_number() OVER (ORDER BY ord) AS n FROM s),"
			    " b AS (INSERT INTO blocked_key (spki_sha256, why)"
			    " SELECT (SELECT c.spki_sha256 FROM cert c"
			    " WHERE c.id = t.id), 'revocation of certificate '"
			    " || t.id FROM t WHERE t.block"
			    " AND t.id IS NOT NULL ON CONFLICT DO NOTHING)," NEWS(
				"1", "reason",
				"revoke") " SELECT ord, 0, cert_id FROM ok"
					  " UNION ALL SELECT ord, 2, 0::bigint"
					  " FROM t WHERE id IS NULL",
	    false },
	.cols = "ibitt?b",
	.notify = STORE_CHANNEL,
};

static struct span
revoke_leaf(
    struct arena *a, const char *kind, const struct store_revocation *rv)
{
	const struct audit_pair pairs[] = {
		{ "issuer", arena_printf(a, "%d", rv->issuer) },
		{ "serial", hex_encode(a, rv->serial) },
		{ "reason",
		    rv->reason < 0 ? NULL : arena_printf(a, "%d", rv->reason) },
		{ "at",
		    rv->at == 0 ? NULL : arena_printf(a, "%" PRId64, rv->at) },
		{ "invalidity",
		    rv->invalidity_at == 0
			? NULL
			: arena_printf(a, "%" PRId64, rv->invalidity_at) },
		{ "blockKey", rv->block_key ? "yes" : NULL },
		{ "actor", rv->actor },
		{ "req", rv->request_id },
	};
	struct audit_event ev = { kind, 0, pairs,
		sizeof(pairs) / sizeof(pairs[0]) };

	return audit_leaf(a, &ev);
}

static void
revoke_row(
    struct arena *a, const struct store_revocation *rv, struct writer_row *r)
{
	r->stmt = &revoke_stmt;
	writer_int(r, rv->issuer);
	writer_bytes(r, rv->serial);
	writer_int(r, rv->reason);
	writer_int(r, rv->at);
	if (rv->invalidity_at == 0)
		writer_null(r);
	else
		writer_int(r, rv->invalidity_at);
	writer_int(r, rv->block_key);
	writer_bytes(r, revoke_leaf(a, "revoke", rv));
}

/* Says of a general failure what it means here. */
static void
explain(struct err *e)
{
	if (e->kind == ERR_CONFLICT)
		(void)err_set(
		    e, ERR_CONFLICT, "the certificate is revoked already");
	else if (e->kind == ERR_NOT_FOUND)
		(void)err_set(e, ERR_NOT_FOUND, "no such certificate");
}

int
store_revoke(struct writer *w, const struct store_revocation *rv, struct err *e)
{
	AUTO(arena_auto) a = arena_new();
	struct writer_row r = { .stmt = NULL };

	revoke_row(a, rv, &r);
	if (writer_do(w, &r, NULL, e) == 0)
		return 0;
	explain(e);
	return -1;
}

void
store_revoke_all(struct writer *w, const struct store_revocation *rv, size_t n,
    struct err *errs)
{
	AUTO(arena_auto) a = arena_new();
	struct writer_row *rows = arena_array(a, n, sizeof(*rows));
	size_t i;

	for (i = 0; i < n; i++)
		revoke_row(a, &rv[i], &rows[i]);
	writer_do_all(w, rows, n, errs);
	for (i = 0; i < n; i++)
		explain(&errs[i]);
}

static const struct writer_stmt release_stmt = {
	.db = { "cert_release",
	    "WITH t AS MATERIALIZED (SELECT u.*, s.cert_id AS id, s.status"
	    " FROM unnest($2::int[], $3::bytea[], $4::bytea[])"
	    " WITH ORDINALITY AS u(issuer, serial, leaf, ord)"
	    " LEFT JOIN cert_status s ON s.issuer = u.issuer"
	    " AND s.serial = u.serial),"
	    " s AS (UPDATE cert_status s SET status = 0, reason = -1,"
	    " revoked_at = NULL, invalidity_at = NULL FROM t"
	    " WHERE s.issuer = t.issuer AND s.serial = t.serial"
	    " AND s.status = 1 AND s.reason = 6"
	    " RETURNING t.ord, s.cert_id, s.not_after, s.revoked_at,"
	    " s.invalidity_at, s.issuer, s.serial, t.leaf),"
	    " ok AS MATERIALIZED (SELECT *,"
	    " row_number() OVER (ORDER BY ord) AS n FROM s)," NEWS("0", "8",
		"release") " SELECT ord, 0, cert_id FROM ok UNION ALL"
			   " SELECT ord, CASE WHEN id IS NULL THEN 2 ELSE 1"
			   " END, coalesce(1 - status, 0)::bigint FROM t"
			   " WHERE ord NOT IN (SELECT ord FROM ok)",
	    false },
	.cols = "ibb",
	.notify = STORE_CHANNEL,
};

int
store_revoke_release(
    struct writer *w, const struct store_revocation *rv, struct err *e)
{
	AUTO(arena_auto) a = arena_new();
	struct store_revocation what = { .issuer = rv->issuer,
		.serial = rv->serial,
		.reason = -1,
		.actor = rv->actor,
		.request_id = rv->request_id };
	struct writer_row r = { .stmt = &release_stmt };
	int64_t good = 0;

	writer_int(&r, rv->issuer);
	writer_bytes(&r, rv->serial);
	writer_bytes(&r, revoke_leaf(a, "release", &what));
	if (writer_do(w, &r, &good, e) == 0)
		return 0;
	explain(e);
	if (e->kind != ERR_CONFLICT)
		return -1;
	if (good != 0)
		return err_set(
		    e, ERR_CONFLICT, "the certificate is not revoked");
	return err_set(e, ERR_REFUSED,
	    "the certificate is revoked for good: only a hold is released "
	    "(RFC 5280 5.3.1)");
}

static const struct writer_stmt block_stmt = {
	.db = { "key_block",
	    "WITH t AS MATERIALIZED (SELECT u.*"
	    " FROM unnest($2::bytea[], $3::text[], $4::bytea[])"
	    " WITH ORDINALITY AS u(spki, why, leaf, ord)),"
	    " b AS (INSERT INTO blocked_key (spki_sha256, why)"
	    " SELECT spki, why FROM t ON CONFLICT DO NOTHING"
	    " RETURNING spki_sha256),"
	    " ok AS MATERIALIZED (SELECT min(t.ord) AS ord,"
	    " row_number() OVER () AS n FROM t"
	    " JOIN b ON b.spki_sha256 = t.spki GROUP BY t.spki),"
	    " a AS (INSERT INTO audit (writer, seq, kind, leaf)"
	    " SELECT $1::int, " STORE_LAST_AUDIT " + ok.n, 'block', t.leaf"
	    " FROM ok JOIN t USING (ord))"
	    " SELECT ord, 0, 0::bigint FROM ok",
	    false },
	.cols = "bsb",
};

int
store_revoke_block(
    struct writer *w, const struct store_key_block *b, struct err *e)
{
	AUTO(arena_auto) a = arena_new();
	const struct span hash = span_of(b->spki_sha256, STORE_HASH_SIZE);
	const struct audit_pair pairs[] = {
		{ "key", hex_encode(a, hash) },
		{ "why", b->why },
		{ "actor", b->actor },
		{ "req", b->request_id },
	};
	const struct audit_event ev = { "block", 0, pairs,
		sizeof(pairs) / sizeof(pairs[0]) };
	struct writer_row r = { .stmt = &block_stmt };

	writer_bytes(&r, hash);
	writer_text(&r, b->why);
	writer_bytes(&r, audit_leaf(a, &ev));
	if (writer_do(w, &r, NULL, e) == 0)
		return 0;
	if (e->kind == ERR_CONFLICT)
		return err_set(e, ERR_CONFLICT, "the key is blocked already");
	return -1;
}

int
store_revoke_blocked(struct db *db, const uint8_t spki_sha256[STORE_HASH_SIZE],
    bool *blocked, struct err *e)
{
	static const struct db_stmt stmt = { "key_blocked",
		"SELECT at FROM blocked_key WHERE spki_sha256 = $1", true };
	AUTO(PGresult) r = NULL;
	struct db_args p = { .n = 0 };

	db_arg_bytes(&p, span_of(spki_sha256, STORE_HASH_SIZE));
	if (db_exec(db, &stmt, &p, &r, e) == -1)
		return -1;
	*blocked = PQntuples(r) > 0;
	return 0;
}
