/* The search for what is to be revoked. */
#include "db/query.h"
#include "db/store_revoke.h"

/*
 * A search may read a month of certificates, and its plan follows from its
 * values: dates leave out partitions.
 */
static const char begin_sql[] =
    "BEGIN READ ONLY; SET LOCAL statement_timeout = '30min';"
    " SET LOCAL plan_cache_mode = force_custom_plan";

static void
add_conditions(struct query *q, const struct store_revoke_query *s)
{
	query_text(q,
	    "c.issuer = (SELECT i.id FROM issuer i WHERE i.name = ", s->issuer);
	if (s->issuer != NULL)
		buf_str(&q->sql, ")");
	query_text(q, "c.profile = ", s->profile);
	query_text(q, "c.principal = ", s->principal);
	query_bytes(q, "c.spki_sha256 = ", s->key);
	query_name(q, s->name);
	query_time(q, "c.issued_at >= ", s->issued_after);
	query_time(q, "c.issued_at < ", s->issued_before);
	/* the month of an id is that of its intent, at most one earlier */
	if (s->issued_after != 0) {
		query_time(q, "c.id >= (cert_month(", s->issued_after);
		buf_str(&q->sql, ") - 1) << 40");
	}
	if (s->issued_before != 0) {
		query_time(q, "c.id < (cert_month(", s->issued_before);
		buf_str(&q->sql, ") + 1) << 40");
	}
	if (s->expired >= 0)
		buf_printf(&q->sql, " AND c.not_after %s now()",
		    s->expired == 0 ? ">=" : "<");
}

/* Of the certificates that the search names, those that change. */
static void
add_status(struct query *q, const struct store_revoke_query *s)
{
	db_arg_i4(&q->args, s->reason);
	buf_printf(&q->sql,
	    " AND (SELECT s.status = 0 OR (s.reason = 6 AND $%d::int <> 6)"
	    " OR ($%d::int = 1 AND s.reason <> 1) FROM cert_status s"
	    " WHERE s.issuer = c.issuer AND s.serial = c.serial)",
	    q->args.n, q->args.n);
}

static int
run(struct query *q, struct db *db, PGresult **out, struct err *e)
{
	struct err ignored;

	if (db_script(db, begin_sql, e) == -1)
		return -1;
	if (query_run(q, db, out, e) == 0)
		return db_script(db, "COMMIT", e);
	/* on a lost connection there is nothing to roll back */
	if (db_pg(db) != NULL && db_script(db, "ROLLBACK", &ignored) == -1)
		db_drop(db);
	return -1;
}

int
store_revoke_count(struct db *db, const struct store_revoke_query *s,
    uint64_t *n, struct err *e)
{
	AUTO(PGresult) r = NULL;
	struct query q;
	int rc;

	query_init(&q);
	buf_str(&q.sql, "SELECT count(*) FROM cert c WHERE true");
	add_conditions(&q, s);
	add_status(&q, s);
	rc = run(&q, db, &r, e);
	buf_clear(&q.sql);
	if (rc == 0)
		*n = (uint64_t)db_i8(r, 0, 0);
	return rc;
}

static void
read_page(struct arena *a, const PGresult *r, struct store_revoke_page *page)
{
	struct store_revoke_match *m;
	int i;

	page->n = (size_t)PQntuples(r);
	page->list = m = arena_array(a, page->n, sizeof(*m));
	for (i = 0; i < PQntuples(r); i++, m++) {
		m->id = db_i8(r, i, 0);
		m->issuer = db_i4(r, i, 1);
		m->serial = db_bytes(a, r, i, 2);
	}
}

int
store_revoke_find(struct db *db, struct arena *a,
    const struct store_revoke_query *s, struct store_revoke_page *page,
    struct err *e)
{
	AUTO(PGresult) r = NULL;
	struct query q;
	int rc;

	query_init(&q);
	buf_str(&q.sql, "SELECT c.id, c.issuer, c.serial FROM cert c"
			" WHERE true");
	add_conditions(&q, s);
	query_int(&q, "c.id > ", page->after);
	add_status(&q, s);
	buf_printf(&q.sql, " ORDER BY c.id LIMIT %zu", page->max);
	rc = run(&q, db, &r, e);
	buf_clear(&q.sql);
	if (rc == 0)
		read_page(a, r, page);
	return rc;
}

int
store_revoke_find_late(struct db *db, struct arena *a,
    struct store_revoke_page *page, struct err *e)
{
	static const struct db_stmt stmt = { "revoke_find_late",
		"SELECT c.id, c.issuer, c.serial FROM blocked_key b"
		" JOIN cert c ON c.spki_sha256 = b.spki_sha256"
		" AND c.issued_at > b.at - interval '1 min'"
		" WHERE b.at > now() - interval '1 h'"
		" AND c.id >= (cert_month(now()) - 1) << 40"
		" AND c.id < (cert_month(now()) + 1) << 40"
		" AND (SELECT s.status FROM cert_status s"
		" WHERE s.issuer = c.issuer AND s.serial = c.serial) = 0"
		" LIMIT $1",
		true };
	AUTO(PGresult) r = NULL;
	struct db_args p = { .n = 0 };

	db_arg_i8(&p, (int64_t)page->max);
	if (db_exec(db, &stmt, &p, &r, e) == -1)
		return -1;
	read_page(a, r, page);
	return 0;
}
