#include "db/store_crl.h"

#include <stdio.h>
#include <string.h>

#include "db/db_int.h"
#include "db/store_int.h"

#define CRL_COLUMNS                                                            \
	"id, issuer, scope, number, coalesce(base_number, 0), this_update,"    \
	" next_update, entries, gone, size, expired_before, expired_serial,"   \
	" sha256, (SELECT i.name FROM issuer i WHERE i.id = issuer)"

static void
read_crl(struct arena *a, const PGresult *r, int row, struct store_crl *c)
{
	memset(c, 0, sizeof(*c));
	c->id = db_i8(r, row, 0);
	c->issuer = db_i4(r, row, 1);
	(void)snprintf(c->scope, sizeof(c->scope), "%s", db_text(a, r, row, 2));
	c->number = db_i8(r, row, 3);
	c->base_number = db_i8(r, row, 4);
	c->this_update = db_time(r, row, 5);
	c->next_update = db_time(r, row, 6);
	c->entries = (uint64_t)db_i8(r, row, 7);
	c->gone = (uint64_t)db_i8(r, row, 8);
	c->size = (uint64_t)db_i8(r, row, 9);
	c->mark.at =
	    db_null(r, row, 10) ? STORE_CRL_NO_TIME : db_time(r, row, 10);
	c->mark.serial = db_bytes(a, r, row, 11);
	db_fixed(r, row, 12, c->sha256, sizeof(c->sha256));
	c->issuer_name = db_text(a, r, row, 13);
}

int
store_crl_current(
    struct db *db, struct arena *a, struct store_crls *out, struct err *e)
{
	static const struct db_stmt stmt = { "crl_current",
		"SELECT " CRL_COLUMNS " FROM crl_current"
		" ORDER BY issuer, scope",
		true };
	AUTO(PGresult) r = NULL;
	size_t i;

	if (db_exec(db, &stmt, NULL, &r, e) == -1)
		return -1;
	out->n = (size_t)PQntuples(r);
	out->list = arena_array(a, out->n, sizeof(*out->list));
	for (i = 0; i < out->n; i++)
		read_crl(a, r, (int)i, &out->list[i]);
	return 0;
}

int
store_crl_numbered(struct db *db, struct arena *a, const struct store_crl *like,
    int64_t number, struct store_crl *out, struct err *e)
{
	static const struct db_stmt stmt = { "crl_numbered",
		"SELECT " CRL_COLUMNS " FROM crl"
		" WHERE issuer = $1 AND scope = $2 AND number = $3",
		true };
	AUTO(PGresult) r = NULL;
	struct db_args p = { .n = 0 };

	db_arg_i4(&p, like->issuer);
	db_arg_text(&p, like->scope);
	db_arg_i8(&p, number);
	if (db_one(db, &stmt, &p, &r, "CRL", e) == -1)
		return -1;
	read_crl(a, r, 0, out);
	return 0;
}

int
store_crl_piece(struct db *db, struct arena *a, int64_t id, int n,
    struct span *out, struct err *e)
{
	static const struct db_stmt stmt = { "crl_piece",
		"SELECT bytes FROM crl_piece WHERE crl = $1 AND n = $2", true };
	AUTO(PGresult) r = NULL;
	struct db_args p = { .n = 0 };

	db_arg_i8(&p, id);
	db_arg_i4(&p, n);
	if (db_one(db, &stmt, &p, &r, "piece of a CRL", e) == -1)
		return -1;
	*out = db_bytes(a, r, 0, 0);
	return 0;
}

int
store_crl_gone(struct db *db, const struct store_crl *like, int64_t since,
    uint64_t *gone, struct err *e)
{
	static const struct db_stmt stmt = { "crl_gone",
		"SELECT coalesce(sum(gone), 0)::bigint FROM crl"
		" WHERE issuer = $1 AND scope = $2 AND this_update >= $3",
		true };
	AUTO(PGresult) r = NULL;
	struct db_args p = { .n = 0 };

	db_arg_i4(&p, like->issuer);
	db_arg_text(&p, like->scope);
	db_arg_time(&p, since);
	if (db_one(db, &stmt, &p, &r, "sum", e) == -1)
		return -1;
	*gone = (uint64_t)db_i8(r, 0, 0);
	return 0;
}

int
store_crl_entries_at(struct db *db, const struct store_crl *like, int64_t when,
    uint64_t *entries, struct err *e)
{
	static const struct db_stmt stmt = { "crl_entries_at",
		"SELECT entries FROM crl WHERE issuer = $1 AND scope = $2"
		" ORDER BY this_update < $3 DESC,"
		" CASE WHEN this_update < $3 THEN -number ELSE number END"
		" LIMIT 1",
		true };
	AUTO(PGresult) r = NULL;
	struct db_args p = { .n = 0 };

	db_arg_i4(&p, like->issuer);
	db_arg_text(&p, like->scope);
	db_arg_time(&p, when);
	if (db_one(db, &stmt, &p, &r, "CRL", e) == -1)
		return -1;
	*entries = (uint64_t)db_i8(r, 0, 0);
	return 0;
}

int
store_crl_begin(struct db *db, struct store_crl *c, struct err *e)
{
	static const struct db_stmt stmt = { "crl_begin",
		"INSERT INTO crl (issuer, scope, number, base_number,"
		" this_update, next_update, entries, gone, size,"
		" expired_before, expired_serial, sha256)"
		" VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)"
		" RETURNING id",
		false };
	AUTO(PGresult) r = NULL;
	struct db_args p = { .n = 0 };

	db_arg_i4(&p, c->issuer);
	db_arg_text(&p, c->scope);
	db_arg_i8(&p, c->number);
	if (c->base_number == 0)
		db_arg_null(&p);
	else
		db_arg_i8(&p, c->base_number);
	db_arg_time(&p, c->this_update);
	db_arg_time(&p, c->next_update);
	db_arg_i8(&p, (int64_t)c->entries);
	db_arg_i8(&p, (int64_t)c->gone);
	db_arg_i8(&p, (int64_t)c->size);
	if (c->mark.at == STORE_CRL_NO_TIME)
		db_arg_null(&p);
	else
		db_arg_time(&p, c->mark.at);
	db_arg_bytes(&p, c->mark.serial);
	db_arg_bytes(&p, span_of(c->sha256, sizeof(c->sha256)));
	if (db_prepare(db, &stmt, e) == -1 || db_script(db, "BEGIN", e) == -1)
		return -1;
	if (db_one(db, &stmt, &p, &r, "row", e) == -1) {
		store_crl_abort(db);
		return -1;
	}
	c->id = db_i8(r, 0, 0);
	return 0;
}

int
store_crl_put(struct db *db, const struct store_crl *c, int n,
    struct span bytes, struct err *e)
{
	static const struct db_stmt stmt = { "crl_put",
		"INSERT INTO crl_piece (crl, n, bytes) VALUES ($1, $2, $3)",
		false };
	AUTO(PGresult) r = NULL;
	struct db_args p = { .n = 0 };

	db_arg_i8(&p, c->id);
	db_arg_i4(&p, n);
	db_arg_bytes(&p, bytes);
	return db_exec(db, &stmt, &p, &r, e);
}

int
store_crl_audit(
    struct db *db, uint16_t writer, const struct audit_event *ev, struct err *e)
{
	static const struct db_stmt stmt = { "crl_audit",
		"INSERT INTO audit (writer, seq, kind, leaf)"
		" VALUES ($1::int, " STORE_LAST_AUDIT " + 1, $2, $3)",
		false };
	AUTO(arena_auto) a = arena_new();
	AUTO(PGresult) r = NULL;
	struct db_args p = { .n = 0 };

	db_arg_i4(&p, writer);
	db_arg_text(&p, ev->kind);
	db_arg_bytes(&p, audit_leaf(a, ev));
	return db_exec(db, &stmt, &p, &r, e);
}

/*
 * The lease row, locked until the commit: nobody takes it meanwhile.  Who takes
 * it raises the epoch; a lease that has run out and that nobody took fences
 * nobody off.
 */
static int
fence(struct db *db, int64_t epoch, struct err *e)
{
	static const struct db_stmt stmt = { "crl_fence",
		"SELECT true FROM crl_lease WHERE epoch = $1 FOR SHARE",
		false };
	AUTO(PGresult) r = NULL;
	struct db_args p = { .n = 0 };

	db_arg_i8(&p, epoch);
	if (db_exec(db, &stmt, &p, &r, e) == -1)
		return -1;
	if (PQntuples(r) == 0)
		return err_set(
		    e, ERR_UNAVAILABLE, "another publisher has the lease");
	return 0;
}

int
store_crl_commit(struct db *db, int64_t epoch, struct err *e)
{
	if ((epoch == 0 || fence(db, epoch, e) == 0) &&
	    db_script(db, "NOTIFY " STORE_CRL_CHANNEL "; COMMIT", e) == 0)
		return 0;
	store_crl_abort(db);
	return -1;
}

void
store_crl_abort(struct db *db)
{
	struct err ignored;

	/* a connection that is gone has rolled back */
	if (db_pg(db) != NULL && db_script(db, "ROLLBACK", &ignored) == -1)
		db_drop(db);
}

int
store_crl_clean(struct db *db, int64_t before, struct err *e)
{
	static const struct db_stmt pieces = { "crl_clean_pieces",
		"DELETE FROM crl_piece p WHERE p.crl IN (SELECT c.id FROM crl c"
		" WHERE c.id NOT IN (SELECT id FROM crl_current)"
		" AND NOT EXISTS (SELECT FROM crl_current d WHERE"
		" d.issuer = c.issuer AND d.base_number = c.number AND"
		" replace(replace(d.scope, 'delta-', 'part-'), 'delta', 'full')"
		" = c.scope))",
		false };
	static const struct db_stmt rows = { "crl_clean_rows",
		"DELETE FROM crl c WHERE c.published_at < $1"
		" AND c.id NOT IN (SELECT id FROM crl_current)"
		" AND NOT EXISTS (SELECT FROM crl_piece p WHERE p.crl = c.id)",
		false };
	AUTO(PGresult) r = NULL;
	AUTO(PGresult) r2 = NULL;
	struct db_args p = { .n = 0 };

	db_arg_time(&p, before);
	if (db_exec(db, &pieces, NULL, &r, e) == -1)
		return -1;
	return db_exec(db, &rows, &p, &r2, e);
}

int
store_crl_lease(
    struct db *db, const char *holder, int ttl_s, int64_t *epoch, struct err *e)
{
	static const struct db_stmt stmt = { "crl_lease",
		"UPDATE crl_lease SET epoch = epoch + (epoch <> $2)::int,"
		" holder = $1, login = session_user,"
		" expires_at = clock_timestamp() + make_interval(secs => $3::int)"
		" WHERE epoch = $2 OR expires_at < clock_timestamp()"
		" RETURNING epoch",
		false };
	AUTO(PGresult) r = NULL;
	struct db_args p = { .n = 0 };

	db_arg_text(&p, holder);
	db_arg_i8(&p, *epoch == 0 ? -1 : *epoch);
	db_arg_i4(&p, ttl_s);
	if (db_exec(db, &stmt, &p, &r, e) == -1)
		return -1;
	*epoch = PQntuples(r) == 0 ? 0 : db_i8(r, 0, 0);
	return 0;
}

void
store_crl_release(struct db *db, int64_t epoch)
{
	static const struct db_stmt stmt = { "crl_release",
		"UPDATE crl_lease SET expires_at = '-infinity'"
		" WHERE epoch = $1",
		false };
	AUTO(PGresult) r = NULL;
	struct db_args p = { .n = 0 };
	struct err ignored;

	db_arg_i8(&p, epoch);
	/* otherwise it runs out by itself */
	(void)!db_exec(db, &stmt, &p, &r, &ignored);
}

int
store_responder_open(struct db *db, struct arena *a,
    struct store_responder **out, size_t *n, struct err *e)
{
	static const struct db_stmt stmt = { "responder_open",
		"SELECT host, issuer, spki, not_after, signature, fault"
		" FROM responder"
		" WHERE not_after > now() AND (cert IS NULL OR"
		" asked_at > certified_at)"
		" ORDER BY fault IS NOT NULL, asked_at, host LIMIT $1",
		true };
	AUTO(PGresult) r = NULL;
	struct db_args p = { .n = 0 };
	size_t i;

	db_arg_i8(&p, STORE_RESPONDERS_MAX);
	if (db_exec(db, &stmt, &p, &r, e) == -1)
		return -1;
	*n = (size_t)PQntuples(r);
	*out = arena_array(a, *n, sizeof(**out));
	for (i = 0; i < *n; i++)
		(*out)[i] =
		    (struct store_responder){ .host = db_text(a, r, (int)i, 0),
			    .issuer = db_i4(r, (int)i, 1),
			    .spki = db_bytes(a, r, (int)i, 2),
			    .not_after = db_time(r, (int)i, 3),
			    .signature = db_bytes(a, r, (int)i, 4),
			    .fault = db_null(r, (int)i, 5)
					 ? NULL
					 : db_text(a, r, (int)i, 5) };
	return 0;
}

int
store_responder_answer(
    struct db *db, const struct store_responder *x, struct err *e)
{
	static const struct db_stmt stmt = { "responder_answer",
		"UPDATE responder SET cert = coalesce($4, cert), fault = $5,"
		" certified_at = CASE WHEN $4 IS NULL THEN certified_at"
		" ELSE now() END"
		" WHERE host = $1 AND issuer = $2 AND spki = $3 RETURNING 1",
		false };
	AUTO(PGresult) r = NULL;
	struct db_args p = { .n = 0 };

	db_arg_text(&p, x->host);
	db_arg_i4(&p, x->issuer);
	db_arg_bytes(&p, x->spki);
	if (x->cert.n == 0)
		db_arg_null(&p);
	else
		db_arg_bytes(&p, x->cert);
	db_arg_text(&p, x->cert.n == 0 ? x->fault : NULL);
	return db_one(db, &stmt, &p, &r, "request of a responder", e);
}
