#include <string.h>

#include "db/db_int.h"
#include "db/store_acme.h"
#include "db/store_audit.h"
#include "db/store_int.h"
#include "db/writer_int.h"

#define KID_COLS 7
#define IDENTS_MAX ((size_t)1 << 20)

/* A child row is a challenge with the authorization it belongs to. */
static const struct writer_stmt new_stmt = {
	.db = { "order_new",
	    "WITH t AS MATERIALIZED (SELECT * FROM unnest($2::text[],"
	    " $3::text[], $4::timestamptz[], $5::timestamptz[],"
	    " $6::timestamptz[], $7::text[], $8::text[], $9::text[],"
	    " $10::timestamptz[], $11::int[]) WITH ORDINALITY"
	    " AS u(id, account, expires_at, not_before, not_after, profile,"
	    " identifiers, authz, pending_until, valid_s, ord)"
	    " WHERE $1::int IS NOT NULL),"
	    " o AS (INSERT INTO acme_order (id, account, expires_at,"
	    " not_before, not_after, profile, identifiers, authz)"
	    " SELECT id, account, expires_at, not_before, not_after, profile,"
	    " string_to_array(identifiers, chr(10)),"
	    " string_to_array(authz, chr(10))"
	    " FROM t ON CONFLICT DO NOTHING RETURNING id),"
	    " ok AS MATERIALIZED (SELECT t.* FROM t JOIN o USING (id)),"
	    " k AS MATERIALIZED (SELECT k.*, ok.account, ok.pending_until,"
	    " ok.valid_s FROM unnest($12::int[], $13::text[], $14::text[],"
	    " $15::text[], $16::boolean[], $17::text[], $18::text[],"
	    " $19::text[]) AS k(ord, authz, type, value, wildcard, id, kind,"
	    " token) JOIN ok ON ok.ord = k.ord),"
	    " z AS (INSERT INTO acme_authz (id, account, type, value,"
	    " pending_until, valid_s, wildcard)"
	    " SELECT DISTINCT authz, account, type, value, pending_until,"
	    " valid_s, wildcard FROM k),"
	    " c AS (INSERT INTO acme_challenge (id, authz, type, token)"
	    " SELECT id, authz, kind, token FROM k)"
	    " SELECT ord, 0, 0::bigint FROM ok",
	    false },
	.cols = "sstttsssti",
	.kid_cols = "sss?sss",
	.unnumbered = true,
};

/* The valid authorization of each identifier, if there is one. */
static const struct db_stmt reuse_stmt = { "authz_reuse",
	"SELECT u.ord, (SELECT s.id FROM authz_state s"
	" WHERE s.account = $1 AND s.value = u.value AND s.type = u.type"
	" AND s.wildcard = u.wildcard AND s.status = 1 AND s.expires_at > $5"
	" ORDER BY s.expires_at DESC LIMIT 1)"
	" FROM unnest($2::text[], $3::text[], $4::boolean[])"
	" WITH ORDINALITY AS u(type, value, wildcard, ord)",
	true };

/* Identifiers as three arrays of parameters. */
struct ident_arrays {
	struct db_array type, value, wildcard;
};

static void
ident_start(struct ident_arrays *x)
{
	db_array_init(&x->type, IDENTS_MAX);
	db_array_init(&x->value, IDENTS_MAX);
	db_array_init(&x->wildcard, IDENTS_MAX);
	db_array_start(&x->type, DB_OID_TEXT);
	db_array_start(&x->value, DB_OID_TEXT);
	db_array_start(&x->wildcard, DB_OID_BOOL);
}

static void
ident_add(struct ident_arrays *x, const struct store_identifier *i)
{
	db_array_bytes(&x->type, span_str(i->type));
	db_array_bytes(&x->value, span_str(i->value));
	db_array_int(&x->wildcard, 1, i->wildcard);
}

static void
ident_args(struct ident_arrays *x, struct db_args *p)
{
	db_arg_bytes(p, db_array_get(&x->type));
	db_arg_bytes(p, db_array_get(&x->value));
	db_arg_bytes(p, db_array_get(&x->wildcard));
}

static void
ident_clear(struct ident_arrays *x)
{
	db_array_clear(&x->type);
	db_array_clear(&x->value);
	db_array_clear(&x->wildcard);
}

static int
find_reusable(
    struct db *db, struct arena *a, struct store_order_new *o, struct err *e)
{
	AUTO(PGresult) r = NULL;
	struct ident_arrays x;
	struct db_args p = { .n = 0 };
	size_t i;
	int rc, row;

	ident_start(&x);
	for (i = 0; i < o->n_authz; i++)
		ident_add(&x, &o->authz[i].identifier);
	db_arg_text(&p, o->account);
	ident_args(&x, &p);
	db_arg_time(&p, o->reuse_until);
	rc = db_exec(db, &reuse_stmt, &p, &r, e);
	ident_clear(&x);
	if (rc == -1)
		return -1;
	for (row = 0; row < PQntuples(r); row++) {
		i = (size_t)db_i8(r, row, 0) - 1;
		if (i >= o->n_authz || db_null(r, row, 1))
			continue;
		o->authz[i].id = db_text(a, r, row, 1);
		o->authz[i].reused = true;
	}
	return 0;
}

static void
kid_text(struct writer_val **v, const char *text)
{
	(*v)++->s = span_str(text);
}

static void
challenge_rows(
    struct arena *a, const struct store_order_new *o, struct writer_row *r)
{
	const struct store_authz_new *z;
	struct writer_val *v;
	size_t i, k, n = 0;

	for (i = 0; i < o->n_authz; i++)
		n += o->authz[i].reused ? 0 : o->authz[i].n_challenges;
	r->kids = v = arena_array(a, n * KID_COLS, sizeof(*v));
	r->n_kids = n;
	for (i = 0; i < o->n_authz; i++) {
		z = &o->authz[i];
		for (k = 0; !z->reused && k < z->n_challenges; k++) {
			kid_text(&v, z->id);
			kid_text(&v, z->identifier.type);
			kid_text(&v, z->identifier.value);
			(v++)->i = z->identifier.wildcard;
			kid_text(&v, z->challenges[k].id);
			kid_text(&v, z->challenges[k].type);
			kid_text(&v, z->challenges[k].token);
		}
	}
}

static void
opt_time(struct writer_row *r, int64_t t)
{
	if (t == 0)
		writer_null(r);
	else
		writer_int(r, t);
}

static void
order_row(
    struct arena *a, const struct store_order_new *o, struct writer_row *r)
{
	const char **ids = arena_array(a, o->n_authz, sizeof(*ids));
	const char **names = arena_array(a, o->n_authz, sizeof(*names));
	const struct store_identifier *t;
	size_t i;

	for (i = 0; i < o->n_authz; i++) {
		t = &o->authz[i].identifier;
		ids[i] = o->authz[i].id;
		names[i] = arena_printf(
		    a, "%s:%s%s", t->type, t->wildcard ? "*." : "", t->value);
	}
	writer_text(r, o->id);
	writer_text(r, o->account);
	writer_int(r, o->expires_at);
	opt_time(r, o->not_before);
	opt_time(r, o->not_after);
	writer_text(r, o->profile);
	writer_bytes(r, db_lines(a, names, o->n_authz));
	writer_bytes(r, db_lines(a, ids, o->n_authz));
	writer_int(r, o->pending_until);
	writer_int(r, o->valid_s);
	challenge_rows(a, o, r);
}

int
store_order_new(struct writer *w, struct db *db, struct arena *a,
    struct store_order_new *o, struct err *e)
{
	struct writer_row r = { .stmt = &new_stmt };
	size_t i;

	for (i = 0; i < o->n_authz; i++)
		o->authz[i].reused = false;
	if (o->reuse_until != 0 && find_reusable(db, a, o, e) == -1)
		return -1;
	order_row(a, o, &r);
	return writer_do(w, &r, NULL, e);
}

static const struct writer_stmt respond_stmt = {
	.db = { "challenge_respond",
	    "WITH t AS MATERIALIZED (SELECT u.*, (SELECT s.status"
	    " FROM acme_challenge c JOIN authz_state s ON s.id = c.authz"
	    " WHERE c.id = u.id) AS status"
	    " FROM unnest($2::text[]) WITH ORDINALITY AS u(id, ord)"
	    " WHERE $1::int IS NOT NULL),"
	    " l AS (INSERT INTO validation_lease AS l (challenge)"
	    " SELECT DISTINCT id FROM t WHERE status = 0"
	    " ON CONFLICT (challenge) DO UPDATE SET due_at = now()"
	    " WHERE l.holder IS NULL AND l.due_at > now()"
	    " AND l.tried_at < now() - interval '5 seconds')"
	    " SELECT ord, CASE WHEN status IS NULL THEN 2"
	    " WHEN status = 0 THEN 0 ELSE 1 END, 0::bigint FROM t",
	    false },
	.cols = "s",
	.notify = STORE_VALD_CHANNEL,
	.unnumbered = true,
};

int
store_challenge_respond(struct writer *w, const char *challenge, struct err *e)
{
	struct writer_row r = { .stmt = &respond_stmt };

	writer_text(&r, challenge);
	if (writer_do(w, &r, NULL, e) == 0)
		return 0;
	if (e != NULL && e->kind == ERR_CONFLICT)
		return err_set(
		    e, ERR_CONFLICT, "the authorization is no longer pending");
	return -1;
}

static const struct writer_stmt deactivate_stmt = {
	.db = { "authz_deactivate",
	    "WITH t AS MATERIALIZED (SELECT * FROM unnest($2::text[],"
	    " $3::bytea[]) WITH ORDINALITY AS u(id, leaf, ord)),"
	    " i AS (UPDATE acme_authz z SET deactivated = true"
	    " FROM t WHERE z.id = t.id RETURNING t.ord, t.leaf),"
	    " a AS (INSERT INTO audit (writer, seq, kind, leaf)"
	    " SELECT $1::int, " STORE_LAST_AUDIT
	    " + row_number() OVER (ORDER BY ord), 'authz', leaf FROM i)"
	    " SELECT t.ord, CASE WHEN EXISTS (SELECT FROM i"
	    " WHERE i.ord = t.ord) THEN 0 ELSE 2 END, 0::bigint FROM t",
	    false },
	.cols = "sb",
};

int
store_authz_deactivate(struct writer *w, const char *id, struct err *e)
{
	AUTO(arena_auto) a = arena_new();
	const struct audit_pair pairs[] = { { "what", "deactivate" },
		{ "authz", id } };
	struct audit_event ev = { "authz", 0, pairs, 2 };
	struct writer_row r = { .stmt = &deactivate_stmt };

	writer_text(&r, id);
	writer_bytes(&r, audit_leaf(a, &ev));
	return writer_do(w, &r, NULL, e);
}

static const struct db_stmt holds_stmt = { "account_holds",
	"SELECT count(*) FROM unnest($2::text[], $3::text[], $4::boolean[])"
	" AS u(type, value, wildcard) WHERE (SELECT s.id FROM authz_state s"
	" WHERE s.account = $1 AND s.value = u.value AND s.type = u.type"
	" AND s.wildcard = u.wildcard AND s.status = 1 LIMIT 1) IS NULL",
	true };

int
store_account_holds(struct db *db, const char *account,
    const struct store_identifier *idents, size_t n, bool *all, struct err *e)
{
	AUTO(PGresult) r = NULL;
	struct ident_arrays x;
	struct db_args p = { .n = 0 };
	size_t i;
	int rc;

	ident_start(&x);
	for (i = 0; i < n; i++)
		ident_add(&x, &idents[i]);
	db_arg_text(&p, account);
	ident_args(&x, &p);
	rc = db_exec(db, &holds_stmt, &p, &r, e);
	ident_clear(&x);
	if (rc == 0)
		*all = n > 0 && db_i8(r, 0, 0) == 0;
	return rc;
}
