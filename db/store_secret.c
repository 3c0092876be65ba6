#include "db/store_secret.h"

#include <inttypes.h>
#include <string.h>

#include "db/db_int.h"
#include "db/store_audit.h"
#include "db/store_int.h"
#include "db/writer_int.h"

static const struct writer_stmt add_stmt = {
	.db = { "secret_add",
	    "WITH t AS MATERIALIZED (SELECT u.* FROM unnest($2::text[],"
	    " $3::int[], $4::bool[], $5::bytea[], $6::bytea[], $7::text[],"
	    " $8::text[], $9::text[], $10::timestamptz[], $11::bytea[])"
	    " WITH ORDINALITY AS u(name, kind, one_time, salt, hash, profile,"
	    " names, operator, expires_at, leaf, ord)),"
	    " s AS (INSERT INTO secret (name, kind, one_time, salt, hash,"
	    " profile, names, operator, expires_at)"
	    " SELECT name, kind, one_time, salt, hash, profile,"
	    " string_to_array(names, E'\\n'), operator, expires_at FROM t"
	    " ON CONFLICT DO NOTHING RETURNING name),"
	    " ok AS MATERIALIZED (SELECT t.ord, t.leaf,"
	    " row_number() OVER (ORDER BY t.ord) AS n"
	    " FROM t JOIN s USING (name)),"
	    " a AS (INSERT INTO audit (writer, seq, kind, leaf)"
	    " SELECT $1::int, " STORE_LAST_AUDIT " + n, 'secret', leaf"
	    " FROM ok) SELECT ord, 0, 0::bigint FROM ok",
	    false },
	.cols = "si?bbssstb",
};

static const struct writer_stmt revoke_stmt = {
	.db = { "secret_revoke",
	    "WITH t AS MATERIALIZED (SELECT u.* FROM unnest($2::text[],"
	    " $3::bytea[]) WITH ORDINALITY AS u(name, leaf, ord)),"
	    " s AS (UPDATE secret s SET revoked_at = now() FROM t"
	    " WHERE s.name = t.name AND s.revoked_at IS NULL"
	    " RETURNING t.ord, t.leaf, s.id),"
	    " a AS (INSERT INTO audit (writer, seq, kind, leaf)"
	    " SELECT $1::int, " STORE_LAST_AUDIT
	    " + row_number() OVER (ORDER BY ord), 'secret', leaf FROM s)"
	    " SELECT ord, 0, id FROM s UNION ALL"
	    " SELECT ord, 2, 0::bigint FROM t"
	    " WHERE ord NOT IN (SELECT ord FROM s)",
	    false },
	.cols = "sb",
};

#define COLUMNS                                                                \
	"SELECT s.id, s.name, s.kind, s.one_time, s.salt, s.hash, s.profile,"  \
	" s.names, s.operator, s.created_at, s.expires_at, s.revoked_at,"      \
	" s.used_at, s.used_protocol || ' ' || s.used_txn FROM secret s"

static struct span
add_leaf(struct arena *a, const struct store_secret *s, struct span names,
    const char *request_id)
{
	const struct audit_pair pairs[] = { { "act", "add" },
		{ "name", s->name }, { "profile", s->profile },
		{ "names", arena_printf(a, "%.*s", (int)names.n, names.p) },
		{ "oneTime", s->one_time ? "yes" : "no" },
		{ "expires", arena_printf(a, "%" PRId64, s->expires_at) },
		{
		    "operator",
		    s->operator},
		    { "req", request_id },
	};
	const struct audit_event ev = { "secret", 0, pairs,
		sizeof(pairs) / sizeof(pairs[0]) };

	return audit_leaf(a, &ev);
}

int
store_secret_add(struct writer *w, const struct store_secret *s,
    const char *request_id, struct err *e)
{
	AUTO(arena_auto) a = arena_new();
	struct writer_row r = { .stmt = &add_stmt };
	struct span names = db_lines(a, s->names, s->n_names);

	writer_text(&r, s->name);
	writer_int(&r, (int)s->kind);
	writer_int(&r, s->one_time);
	writer_bytes(&r, span_of(s->salt, STORE_SALT_SIZE));
	writer_bytes(&r, span_of(s->hash, STORE_SECRET_HASH_SIZE));
	writer_text(&r, s->profile);
	writer_bytes(&r, names);
	writer_text(&r, s->operator);
	writer_int(&r, s->expires_at);
	writer_bytes(&r, add_leaf(a, s, names, request_id));
	if (writer_do(w, &r, NULL, e) == 0)
		return 0;
	if (e->kind == ERR_CONFLICT)
		return err_set(e, ERR_CONFLICT,
		    "there is a secret \"%s\" already", s->name);
	return -1;
}

int
store_secret_revoke(struct writer *w, const char *name, const char *operator,
    const char * request_id, struct err *e)
{
	AUTO(arena_auto) a = arena_new();
	const struct audit_pair pairs[] = { { "act", "revoke" },
		{ "name", name },
		{
		    "operator",
		    operator},
		    { "req", request_id },
	};
	const struct audit_event ev = { "secret", 0, pairs,
		sizeof(pairs) / sizeof(pairs[0]) };
	struct writer_row r = { .stmt = &revoke_stmt };

	writer_text(&r, name);
	writer_bytes(&r, audit_leaf(a, &ev));
	if (writer_do(w, &r, NULL, e) == 0)
		return 0;
	if (e->kind == ERR_NOT_FOUND)
		return err_set(
		    e, ERR_NOT_FOUND, "there is no secret \"%s\"", name);
	return -1;
}

static void
read_secret(struct arena *a, const PGresult *r, int i, struct store_secret *s)
{
	memset(s, 0, sizeof(*s));
	s->id = db_i8(r, i, 0);
	s->name = db_text(a, r, i, 1);
	s->kind = (enum store_secret_kind)db_i2(r, i, 2);
	s->one_time = db_bool(r, i, 3);
	db_fixed(r, i, 4, s->salt, STORE_SALT_SIZE);
	db_fixed(r, i, 5, s->hash, STORE_SECRET_HASH_SIZE);
	s->profile = db_text(a, r, i, 6);
	s->names = db_texts(a, r, i, 7, &s->n_names);
	s->operator= db_text(a, r, i, 8);
	s->created_at = db_time(r, i, 9);
	s->expires_at = db_time(r, i, 10);
	s->revoked_at = db_time(r, i, 11);
	s->used_at = db_time(r, i, 12);
	s->used_by = db_text(a, r, i, 13);
}

int
store_secret_get(struct db *db, struct arena *a, const char *name,
    struct store_secret *out, struct err *e)
{
	static const struct db_stmt stmt = { "secret_get",
		COLUMNS " WHERE s.name = $1 AND s.revoked_at IS NULL", true };
	AUTO(PGresult) r = NULL;
	struct db_args p = { .n = 0 };

	db_arg_text(&p, name);
	if (db_one(db, &stmt, &p, &r, "secret", e) == -1)
		return -1;
	read_secret(a, r, 0, out);
	return 0;
}

int
store_secret_list(struct db *db, struct arena *a,
    const struct store_secret_query *q, struct store_secret **out, size_t *n,
    struct err *e)
{
	static const struct db_stmt stmt = { "secret_list",
		COLUMNS " WHERE s.id > $1 AND ($2 OR (s.revoked_at IS NULL"
			" AND s.expires_at > now()"
			" AND (NOT s.one_time OR s.used_at IS NULL)))"
			" ORDER BY s.id LIMIT $3",
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
		read_secret(a, r, (int)i, &(*out)[i]);
	return 0;
}
