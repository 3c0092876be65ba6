/* Reading what is revoked. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/b64.h"
#include "db/db_int.h"
#include "db/store_crl.h"
#include "db/store_int.h"

#define COPY_HEADER_SIZE 19

/* An element of an array with its length. */
#define SERIAL_ROOM 64

/* The order in which entries leave. */
#define LEAVES "(date_trunc('second', greatest(not_after, revoked_at)), serial)"

static const char *
mark_sql(struct arena *a, const struct store_crl_mark *m)
{
	if (m->at == STORE_CRL_NO_TIME)
		return "";
	return arena_printf(a,
	    " AND " LEAVES " >= (to_timestamp(%" PRId64 "), '\\x%s'::bytea)",
	    m->at, hex_encode(a, m->serial));
}

static bool
take_field(struct span *s, bool *null, struct span *out)
{
	uint32_t n;

	if (!span_u32(s, &n))
		return false;
	*null = n == UINT32_MAX;
	*out = span_of(NULL, 0);
	return *null || span_take(s, n, out);
}

/* Seconds since 1970 of microseconds since 2000. */
static bool
take_time(struct span *s, int64_t *out)
{
	struct span v;
	uint64_t us;
	bool null;

	if (!take_field(s, &null, &v) || (!null && !span_u64(&v, &us)))
		return false;
	*out =
	    null ? STORE_CRL_NO_TIME : ((int64_t)us - db_pgtime(0)) / 1000000;
	return true;
}

/* serial, revoked_at, reason, invalidity_at */
static bool
take_row(struct span *s, struct store_crl_row *row)
{
	struct span reason;
	uint16_t v;
	bool null;

	if (!take_field(s, &null, &row->serial) || null ||
	    !take_time(s, &row->revoked_at) || !take_field(s, &null, &reason) ||
	    !span_u16(&reason, &v) || !take_time(s, &row->invalidity_at))
		return false;
	row->reason = (int16_t)v;
	return true;
}

/* A message of COPY: whole rows, before the first of them a header. */
static int
take_message(
    struct span s, bool *begun, const struct store_crl_query *q, struct err *e)
{
	struct store_crl_row row;
	struct span header;
	uint16_t fields;

	if (!*begun && !span_take(&s, COPY_HEADER_SIZE, &header))
		return err_set(e, ERR_INTERNAL, "COPY without header");
	*begun = true;
	while (span_u16(&s, &fields) && fields != UINT16_MAX) {
		if (!take_row(&s, &row))
			return err_set(
			    e, ERR_INTERNAL, "COPY with a malformed row");
		if (q->take(q->arg, &row, e) == -1)
			return -1;
	}
	return 0;
}

/* The end of COPY: what it says of itself. */
static int
end_copy(struct db *db, struct err *e)
{
	AUTO(PGresult) r = PQgetResult(db_pg(db));
	PGresult *end;

	if (PQresultStatus(r) != PGRES_COMMAND_OK)
		return db_fail(db, r, e);
	while ((end = PQgetResult(db_pg(db))) != NULL)
		PQclear(end);
	return 0;
}

static int
run_copy(struct db *db, const struct store_crl_query *q, struct err *e)
{
	bool begun = false;
	char *p;
	int n, r;

	while ((n = PQgetCopyData(db_pg(db), &p, 0)) > 0) {
		r = take_message(span_of(p, (size_t)n), &begun, q, e);
		PQfreemem(p);
		if (r == -1) {
			db_drop(db); /* the rest would have to be read */
			return -1;
		}
	}
	return end_copy(db, e);
}

int
store_crl_revoked(struct db *db, const struct store_crl_query *q, struct err *e)
{
	AUTO(arena_auto) a = arena_new();
	AUTO(PGresult) r = NULL;
	const char *sql = arena_printf(a,
	    "COPY (SELECT serial, revoked_at, reason, invalidity_at"
	    " FROM cert_status WHERE issuer = %d AND status = 1%s"
	    " ORDER BY serial) TO STDOUT (FORMAT binary)",
	    q->issuer, mark_sql(a, &q->mark));

	if (db_ready(db, e) == -1)
		return -1;
	r = PQexec(db_pg(db), sql);
	if (PQresultStatus(r) != PGRES_COPY_OUT)
		return db_fail(db, r, e);
	return run_copy(db, q, e);
}

static int
select_some(struct db *db, const struct store_crl_query *q,
    struct db_array *serials, PGresult **out, struct err *e)
{
	AUTO(arena_auto) a = arena_new();
	struct db_args p = { .n = 0 };

	db_arg_i4(&p, q->issuer);
	db_arg_bytes(&p, db_array_get(serials));
	return db_query(db,
	    arena_printf(a,
		"SELECT serial, revoked_at, reason, invalidity_at"
		" FROM cert_status WHERE issuer = $1 AND status = 1"
		" AND serial = ANY($2::bytea[])%s ORDER BY serial",
		mark_sql(a, &q->mark)),
	    &p, out, e);
}

int
store_crl_revoked_of(struct db *db, const struct store_crl_query *q,
    const struct span *serials, size_t n, struct err *e)
{
	AUTO(arena_auto) a = arena_new();
	AUTO(PGresult) r = NULL;
	struct db_array list;
	struct store_crl_row row;
	size_t i;
	int rc;

	db_array_init(&list, n * SERIAL_ROOM + SERIAL_ROOM);
	db_array_start(&list, DB_OID_BYTEA);
	for (i = 0; i < n; i++)
		db_array_bytes(&list, serials[i]);
	rc = select_some(db, q, &list, &r, e);
	db_array_clear(&list);
	for (i = 0; rc == 0 && i < (size_t)PQntuples(r); i++) {
		row.serial = db_bytes(a, r, (int)i, 0);
		row.revoked_at = db_time(r, (int)i, 1);
		row.reason = db_i2(r, (int)i, 2);
		row.invalidity_at = db_null(r, (int)i, 3)
					? STORE_CRL_NO_TIME
					: db_time(r, (int)i, 3);
		rc = q->take(q->arg, &row, e);
	}
	return rc;
}

/* The entries that may leave, in their order. */
static const char *
leaving_sql(struct arena *a, const struct store_crl_query *q)
{
	return arena_printf(a,
	    " FROM cert_status WHERE issuer = $1 AND status = 1%s"
	    " AND greatest(not_after, revoked_at) < $2",
	    mark_sql(a, &q->mark));
}

int
store_crl_advance(struct db *db, struct arena *a, struct store_crl_query *q,
    struct store_crl_leave *leave, struct err *e)
{
	const char *from = leaving_sql(a, q);
	AUTO(PGresult) count = NULL;
	AUTO(PGresult) r = NULL;
	struct db_args p = { .n = 0 };

	db_arg_i4(&p, q->issuer);
	db_arg_time(&p, leave->until);
	if (db_query(db, arena_printf(a, "SELECT count(*)%s", from), &p, &count,
		e) == -1)
		return -1;
	leave->gone = (uint64_t)db_i8(count, 0, 0);
	if (leave->gone <= leave->max) {
		q->mark = (struct store_crl_mark){ .at = leave->until };
		return 0;
	}
	leave->gone = leave->max;
	if (db_query(db,
		arena_printf(a,
		    "SELECT date_trunc('second',"
		    " greatest(not_after, revoked_at)), serial%s"
		    " ORDER BY 1, 2 OFFSET %" PRIu64 " LIMIT 1",
		    from, leave->max),
		&p, &r, e) == -1)
		return -1;
	if (PQntuples(r) == 1)
		q->mark = (struct store_crl_mark){ db_time(r, 0, 0),
			db_bytes(a, r, 0, 1) };
	return 0;
}

void
store_crl_feed_clear(struct store_crl_feed *f)
{
	free(f->list);
	*f = (struct store_crl_feed){ NULL, 0 };
}

/* The mark of a writer; '*fresh' when it had none. */
static struct store_crl_feed_mark *
mark_of(struct store_crl_feed *f, int writer, bool *fresh)
{
	struct store_crl_feed_mark *more;
	size_t i;

	*fresh = false;
	for (i = 0; i < f->n; i++) {
		if (f->list[i].writer == writer)
			return &f->list[i];
	}
	more = realloc(f->list, (f->n + 1) * sizeof(*more));
	if (more == NULL)
		abort();
	f->list = more;
	*fresh = true;
	f->list[f->n] = (struct store_crl_feed_mark){ .writer = writer };
	return &f->list[f->n++];
}

static void
add_changes(struct arena *a, const PGresult *r, struct store_crl_changes *out)
{
	size_t i, n = (size_t)PQntuples(r);
	struct store_crl_change *more =
	    arena_array(a, out->n + n, sizeof(*more));

	if (out->n > 0)
		memcpy(more, out->list, out->n * sizeof(*more));
	out->list = more;
	for (i = 0; i < n; i++)
		more[out->n++] = (struct store_crl_change){ db_i4(r, (int)i, 0),
			PQnfields(r) == 1 ? span_of(NULL, 0)
					  : db_bytes(a, r, (int)i, 1) };
}

/* a release is status 0 with reason 8 (removeFromCRL) */
#define CHANGES                                                                \
	" FROM status_change WHERE writer = $1 AND seq > $2 AND seq <= $3"     \
	" AND (status = 1 OR reason = 8)"

/* One writer's revocations and releases up to 'until'. */
static int
read_changes(struct db *db, struct arena *a,
    const struct store_crl_feed_mark *m, int64_t until,
    struct store_crl_changes *out, struct err *e)
{
	static const struct db_stmt each = { "crl_news",
		"SELECT issuer, serial" CHANGES " LIMIT $4", true };
	static const struct db_stmt issuers = { "crl_news_issuers",
		"SELECT DISTINCT issuer" CHANGES, true };
	AUTO(PGresult) r = NULL;
	AUTO(PGresult) r2 = NULL;
	struct db_args p = { .n = 0 };

	db_arg_i4(&p, m->writer);
	db_arg_i8(&p, m->seq);
	db_arg_i8(&p, until);
	db_arg_i8(&p, STORE_CRL_CHANGES_MAX + 1);
	if (db_exec(db, &each, &p, &r, e) == -1)
		return -1;
	if (PQntuples(r) <= STORE_CRL_CHANGES_MAX) {
		add_changes(a, r, out);
		return 0;
	}
	p.n--;
	if (db_exec(db, &issuers, &p, &r2, e) == -1)
		return -1;
	add_changes(a, r2, out);
	return 0;
}

/* What each writer has done since; the marks stay where they were. */
static int
read_writers(struct db *db, struct arena *a, struct store_crl_feed *f,
    const PGresult *writers, struct store_crl_changes *out, struct err *e)
{
	bool first = f->n == 0, fresh;
	struct store_crl_feed_mark *m;
	int64_t last;
	int i;

	for (i = 0; i < PQntuples(writers); i++) {
		m = mark_of(f, db_i4(writers, i, 0), &fresh);
		last = db_i8(writers, i, 1);
		if (last < m->seq)
			out->back = true;
		if (last > m->seq && !(first && fresh) &&
		    read_changes(db, a, m, last, out, e) == -1)
			return -1;
	}
	return 0;
}

int
store_crl_news(struct db *db, struct arena *a, struct store_crl_feed *f,
    struct store_crl_changes *out, struct err *e)
{
	static const struct db_stmt stmt = { "crl_writers",
		"SELECT w.number, (SELECT max(c.seq) FROM status_change c"
		" WHERE c.writer = w.number) FROM writer w",
		true };
	AUTO(PGresult) r = NULL;
	bool fresh;
	int i;

	memset(out, 0, sizeof(*out));
	if (db_exec(db, &stmt, NULL, &r, e) == -1 ||
	    read_writers(db, a, f, r, out, e) == -1)
		return -1;
	for (i = 0; i < PQntuples(r); i++)
		mark_of(f, db_i4(r, i, 0), &fresh)->seq = db_i8(r, i, 1);
	return 0;
}

int
store_crl_wait(struct db *db, int timeout_ms, struct err *e)
{
	return db_listen(db, STORE_CHANNEL, timeout_ms, e);
}
