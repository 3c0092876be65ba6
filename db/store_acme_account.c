#include <string.h>

#include "base/b64.h"
#include "db/db_int.h"
#include "db/store_acme.h"
#include "db/store_audit.h"
#include "db/store_int.h"
#include "db/writer_int.h"

static const struct writer_stmt new_stmt = {
	.db = { "account_new",
	    "WITH t AS MATERIALIZED (SELECT * FROM unnest($2::text[],"
	    " $3::bytea[], $4::text[], $5::text[], $6::boolean[],"
	    " $7::bytea[]) WITH ORDINALITY"
	    " AS u(id, thumbprint, jwk, contact, tos, leaf, ord)),"
	    " i AS (INSERT INTO acme_account (id, thumbprint, jwk, contact,"
	    " tos_agreed) SELECT id, thumbprint, jwk, contact::jsonb, tos"
	    " FROM t ON CONFLICT DO NOTHING RETURNING id),"
	    " ok AS (SELECT t.ord, t.leaf,"
	    " row_number() OVER (ORDER BY t.ord) AS n"
	    " FROM t JOIN i USING (id)),"
	    " a AS (INSERT INTO audit (writer, seq, kind, leaf)"
	    " SELECT $1::int, " STORE_LAST_AUDIT " + n, 'account', leaf"
	    " FROM ok)"
	    " SELECT ord, 0, 0::bigint FROM ok",
	    false },
	.cols = "sbss?b",
};

static struct span
account_leaf(struct arena *a, const char *what, const struct store_account *acc)
{
	const struct audit_pair pairs[] = {
		{ "what", what },
		{ "account", acc->id },
		{ "key", hex_encode(a,
			     span_of(acc->thumbprint, STORE_THUMBPRINT_SIZE)) },
		{ "contact", acc->contact },
	};
	struct audit_event ev = { "account", 0, pairs, 4 };

	return audit_leaf(a, &ev);
}

int
store_account_new(
    struct writer *w, const struct store_account *acc, struct err *e)
{
	AUTO(arena_auto) a = arena_new();
	struct writer_row r = { .stmt = &new_stmt };

	writer_text(&r, acc->id);
	writer_bytes(&r, span_of(acc->thumbprint, STORE_THUMBPRINT_SIZE));
	writer_text(&r, acc->jwk);
	writer_text(&r, acc->contact);
	writer_int(&r, acc->tos_agreed);
	writer_bytes(&r, account_leaf(a, "new", acc));
	if (writer_do(w, &r, NULL, e) == 0)
		return 0;
	if (e != NULL && e->kind == ERR_CONFLICT)
		return err_set(
		    e, ERR_CONFLICT, "an account with this key exists");
	return -1;
}

#define ACCOUNT_COLUMNS                                                        \
	"SELECT id, thumbprint, jwk, contact::text, tos_agreed, status,"       \
	" created_at FROM acme_account"

static int
get_account(struct db *db, struct arena *a, const struct db_stmt *stmt,
    const struct db_args *p, struct store_account *out, struct err *e)
{
	AUTO(PGresult) r = NULL;

	if (db_one(db, stmt, p, &r, "account", e) == -1)
		return -1;
	out->id = db_text(a, r, 0, 0);
	db_fixed(r, 0, 1, out->thumbprint, STORE_THUMBPRINT_SIZE);
	out->jwk = db_text(a, r, 0, 2);
	out->contact = db_text(a, r, 0, 3);
	out->tos_agreed = db_bool(r, 0, 4);
	out->status = (enum store_account_status)db_i2(r, 0, 5);
	out->created_at = db_time(r, 0, 6);
	return 0;
}

int
store_account_get(struct db *db, struct arena *a, const char *id,
    struct store_account *out, struct err *e)
{
	static const struct db_stmt stmt = { "account_get",
		ACCOUNT_COLUMNS " WHERE id = $1", true };
	struct db_args p = { .n = 0 };

	db_arg_text(&p, id);
	return get_account(db, a, &stmt, &p, out, e);
}

int
store_account_by_key(struct db *db, struct arena *a,
    const uint8_t thumbprint[STORE_THUMBPRINT_SIZE], struct store_account *out,
    struct err *e)
{
	static const struct db_stmt stmt = { "account_by_key",
		ACCOUNT_COLUMNS " WHERE thumbprint = $1", true };
	struct db_args p = { .n = 0 };

	db_arg_bytes(&p, span_of(thumbprint, STORE_THUMBPRINT_SIZE));
	return get_account(db, a, &stmt, &p, out, e);
}

static const struct writer_stmt contact_stmt = {
	.db = { "account_contact",
	    "WITH t AS MATERIALIZED (SELECT * FROM unnest($2::text[],"
	    " $3::text[], $4::bytea[]) WITH ORDINALITY"
	    " AS u(id, contact, leaf, ord)),"
	    " i AS (UPDATE acme_account x SET contact = t.contact::jsonb"
	    " FROM t WHERE x.id = t.id AND x.status = 0"
	    " RETURNING t.ord, t.leaf),"
	    " a AS (INSERT INTO audit (writer, seq, kind, leaf)"
	    " SELECT $1::int, " STORE_LAST_AUDIT
	    " + row_number() OVER (ORDER BY ord), 'account', leaf FROM i)"
	    " SELECT t.ord, CASE WHEN EXISTS (SELECT FROM i"
	    " WHERE i.ord = t.ord) THEN 0 ELSE 2 END, 0::bigint FROM t",
	    false },
	.cols = "ssb",
};

static int
no_account(struct err *e)
{
	if (e != NULL && e->kind == ERR_NOT_FOUND)
		return err_set(e, ERR_NOT_FOUND, "no such valid account");
	return -1;
}

int
store_account_contact(
    struct writer *w, const char *id, const char *contact, struct err *e)
{
	AUTO(arena_auto) a = arena_new();
	const struct audit_pair pairs[] = { { "what", "contact" },
		{ "account", id }, { "contact", contact } };
	struct audit_event ev = { "account", 0, pairs, 3 };
	struct writer_row r = { .stmt = &contact_stmt };

	writer_text(&r, id);
	writer_text(&r, contact);
	writer_bytes(&r, audit_leaf(a, &ev));
	return writer_do(w, &r, NULL, e) == 0 ? 0 : no_account(e);
}

static const struct writer_stmt deactivate_stmt = {
	.db = { "account_deactivate",
	    "WITH t AS MATERIALIZED (SELECT * FROM unnest($2::text[],"
	    " $3::bytea[]) WITH ORDINALITY AS u(id, leaf, ord)),"
	    " i AS (UPDATE acme_account x SET status = 1"
	    " FROM t WHERE x.id = t.id AND x.status = 0"
	    " RETURNING t.ord, t.leaf),"
	    " a AS (INSERT INTO audit (writer, seq, kind, leaf)"
	    " SELECT $1::int, " STORE_LAST_AUDIT
	    " + row_number() OVER (ORDER BY ord), 'account', leaf FROM i)"
	    " SELECT t.ord, CASE WHEN EXISTS (SELECT FROM i"
	    " WHERE i.ord = t.ord) THEN 0 ELSE 2 END, 0::bigint FROM t",
	    false },
	.cols = "sb",
};

int
store_account_deactivate(struct writer *w, const char *id, struct err *e)
{
	AUTO(arena_auto) a = arena_new();
	const struct audit_pair pairs[] = { { "what", "deactivate" },
		{ "account", id } };
	struct audit_event ev = { "account", 0, pairs, 2 };
	struct writer_row r = { .stmt = &deactivate_stmt };

	writer_text(&r, id);
	writer_bytes(&r, audit_leaf(a, &ev));
	return writer_do(w, &r, NULL, e) == 0 ? 0 : no_account(e);
}

static const struct writer_stmt nonce_stmt = {
	.db = { "nonce_use",
	    "WITH i AS (INSERT INTO acme_nonce (nonce, expires_at)"
	    " SELECT u.nonce, u.expires_at"
	    " FROM unnest($2::bytea[], $3::timestamptz[])"
	    " AS u(nonce, expires_at) WHERE $1::int IS NOT NULL"
	    " ON CONFLICT DO NOTHING RETURNING nonce)"
	    " SELECT min(u.ord), 0, 0::bigint FROM unnest($2::bytea[])"
	    " WITH ORDINALITY AS u(nonce, ord) JOIN i USING (nonce)"
	    " GROUP BY nonce",
	    false },
	.cols = "bt",
	.unnumbered = true,
};

int
store_nonce_use(
    struct writer *w, struct span nonce, int64_t expires_at, struct err *e)
{
	struct writer_row r = { .stmt = &nonce_stmt };

	writer_bytes(&r, nonce);
	writer_int(&r, expires_at);
	if (writer_do(w, &r, NULL, e) == 0)
		return 0;
	if (e != NULL && e->kind == ERR_CONFLICT)
		return err_set(e, ERR_CONFLICT, "the nonce was used before");
	return -1;
}

/* The margin: a front end's clock may be behind the database's. */
int
store_nonce_clean(struct db *db, size_t max, size_t *deleted, struct err *e)
{
	static const struct db_stmt stmt = { "nonce_clean",
		"WITH d AS (DELETE FROM acme_nonce WHERE ctid = ANY(ARRAY("
		"SELECT n.ctid FROM acme_nonce n"
		" WHERE n.expires_at < now() - interval '10 minutes'"
		" ORDER BY n.expires_at LIMIT $1)) RETURNING 1)"
		" SELECT count(*) FROM d",
		false };
	AUTO(PGresult) r = NULL;
	struct db_args p = { .n = 0 };

	db_arg_i8(&p, (int64_t)max);
	if (db_exec(db, &stmt, &p, &r, e) == -1)
		return -1;
	*deleted = (size_t)db_i8(r, 0, 0);
	return 0;
}
