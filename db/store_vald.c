#include "db/store_vald.h"

#include "db/db_int.h"
#include "db/store_int.h"
#include "db/writer_int.h"

static const struct db_stmt take_stmt = { "vald_take",
	"WITH l AS (UPDATE validation_lease SET tried_at = now(),"
	" due_at = now() + make_interval(secs => $3::int),"
	" attempts = attempts + 1, holder = $1"
	" WHERE challenge = ANY(ARRAY(SELECT d.challenge"
	" FROM validation_lease d WHERE d.due_at <= now()"
	" ORDER BY d.due_at LIMIT $2::int FOR UPDATE SKIP LOCKED))"
	" RETURNING challenge, attempts, asked_at)"
	" SELECT l.challenge, c.authz, c.type, c.token, z.type, z.value,"
	" z.wildcard, a.thumbprint, l.attempts, l.asked_at"
	" FROM l JOIN acme_challenge c ON c.id = l.challenge"
	" JOIN acme_authz z ON z.id = c.authz"
	" JOIN acme_account a ON a.id = z.account",
	false };

static void
read_job(struct arena *a, const PGresult *r, int row, struct store_vald_job *j)
{
	j->challenge = db_text(a, r, row, 0);
	j->authz = db_text(a, r, row, 1);
	j->type = db_text(a, r, row, 2);
	j->token = db_text(a, r, row, 3);
	j->ident_type = db_text(a, r, row, 4);
	j->ident_value = db_text(a, r, row, 5);
	j->wildcard = db_bool(r, row, 6);
	db_fixed(r, row, 7, j->thumbprint, sizeof(j->thumbprint));
	j->attempts = db_i4(r, row, 8);
	j->asked_at = db_time(r, row, 9);
}

int
store_vald_take(struct db *db, struct arena *a,
    const struct store_vald_lease *l, struct store_vald_job **out, size_t *n,
    struct err *e)
{
	AUTO(PGresult) r = NULL;
	struct db_args p = { .n = 0 };
	size_t i;

	db_arg_text(&p, l->holder);
	db_arg_i4(&p, l->max);
	db_arg_i4(&p, l->ttl_s);
	if (db_exec(db, &take_stmt, &p, &r, e) == -1)
		return -1;
	*n = (size_t)PQntuples(r);
	*out = arena_array(a, *n, sizeof(**out));
	for (i = 0; i < *n; i++)
		read_job(a, r, (int)i, &(*out)[i]);
	return 0;
}

static const struct writer_stmt result_stmt = {
	.db = { "vald_result",
	    "WITH t AS MATERIALIZED (SELECT * FROM unnest($2::text[],"
	    " $3::text[], $4::text[], $5::boolean[], $6::int[], $7::text[],"
	    " $8::text[], $9::text[]) WITH ORDINALITY AS u(challenge, authz,"
	    " holder, ok, retry_s, evidence, type, detail, ord)),"
	    " d AS (DELETE FROM validation_lease l USING t"
	    " WHERE l.challenge = t.challenge AND l.holder = t.holder"
	    " AND t.retry_s = 0 RETURNING t.ord),"
	    " r AS (UPDATE validation_lease l SET holder = NULL,"
	    " due_at = now() + make_interval(secs => t.retry_s) FROM t"
	    " WHERE l.challenge = t.challenge AND l.holder = t.holder"
	    " AND t.retry_s > 0 RETURNING t.ord),"
	    " ok AS MATERIALIZED (SELECT t.*,"
	    " row_number() OVER (ORDER BY t.ord) AS n FROM t WHERE t.ord IN"
	    " (SELECT ord FROM d UNION ALL SELECT ord FROM r)),"
	    " v AS (INSERT INTO validation (writer, seq, ok, final, authz,"
	    " challenge, evidence, error_type, error_detail)"
	    " SELECT $1::int, (SELECT coalesce(max(seq), 0) FROM validation"
	    " WHERE writer = $1::int) + n, ok, retry_s = 0, authz, challenge,"
	    " evidence, type, detail FROM ok)"
	    " SELECT ord, 0, 0::bigint FROM ok",
	    false },
	.cols = "sss?isss",
};

int
store_vald_result(
    struct writer *w, const struct store_vald_result *res, struct err *e)
{
	struct writer_row r = { .stmt = &result_stmt };

	if (res->ok && res->retry_s != 0)
		return err_set(e, ERR_MALFORMED, "a success needs no retry");
	writer_text(&r, res->challenge);
	writer_text(&r, res->authz);
	writer_text(&r, res->holder);
	writer_int(&r, res->ok);
	writer_int(&r, res->retry_s);
	writer_text(&r, res->evidence);
	writer_text(&r, res->error_type);
	writer_text(&r, res->error_detail);
	if (writer_do(w, &r, NULL, e) == 0)
		return 0;
	if (e != NULL && e->kind == ERR_CONFLICT)
		return err_set(e, ERR_CONFLICT,
		    "the lease of challenge \"%s\" is lost", res->challenge);
	return -1;
}

int
store_vald_wait(struct db *db, int timeout_ms, struct err *e)
{
	return db_listen(db, STORE_VALD_CHANNEL, timeout_ms, e);
}
