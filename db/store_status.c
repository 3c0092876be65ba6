#include "db/store_status.h"

#include <stdlib.h>
#include <string.h>

#include <openssl/evp.h>

#include "db/db_int.h"
#include "db/store_int.h"

/* Changes of one writer that are read at a time. */
#define CHUNK 2000
/* Writers from here on belong to role vald and change no status. */
#define WRITERS_END "16384"
#define COPY_HEADER_SIZE 19
#define COPY_FIELDS 6

void
store_status_marks_clear(struct store_status_marks *m)
{
	free(m->list);
	*m = (struct store_status_marks){ 0 };
}

void
store_status_marks_add(
    struct store_status_marks *m, const struct store_status_mark *mark)
{
	size_t i;

	if (m->n == m->max) {
		m->max = m->max == 0 ? 8 : 2 * m->max;
		m->list = realloc(m->list, m->max * sizeof(*m->list));
		if (m->list == NULL)
			abort();
	}
	for (i = m->n++; i > 0 && m->list[i - 1].writer > mark->writer; i--)
		m->list[i] = m->list[i - 1];
	m->list[i] = *mark;
}

/* What a change says, as far as it never changes. */
static void
put_anchor(const PGresult *r, int row, int col, uint8_t *out)
{
	uint8_t hash[32];
	AUTO_BUF(b, 512);
	int i;

	/* at, cert_id, status, reason, serial: as the server sent them */
	for (i = 0; i < 5; i++)
		buf_block(&b, span_of(PQgetvalue(r, row, col + i),
				  (size_t)PQgetlength(r, row, col + i)));
	if (!buf_ok(&b) ||
	    EVP_Digest(b.p, b.n, hash, NULL, EVP_sha256(), NULL) != 1)
		abort();
	memcpy(out, hash, STORE_STATUS_ANCHOR_SIZE);
}

static const char load_begin[] =
    "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY;"
    "SET LOCAL statement_timeout = 0";

static const struct db_stmt marks_stmt = { "status_marks",
	"SELECT w.number, c.seq, c.at, c.cert_id, c.status, c.reason, c.serial"
	" FROM writer w CROSS JOIN LATERAL (SELECT x.seq, x.at, x.cert_id,"
	" x.status, x.reason, x.serial FROM status_change x"
	" WHERE x.writer = w.number ORDER BY x.seq DESC LIMIT 1) c"
	" WHERE w.number < " WRITERS_END " ORDER BY w.number",
	false };

static int
read_marks(struct db *db, struct store_status_marks *out, struct err *e)
{
	AUTO(PGresult) r = NULL;
	struct store_status_mark m;
	int i;

	if (db_exec(db, &marks_stmt, NULL, &r, e) == -1)
		return -1;
	for (i = 0; i < PQntuples(r); i++) {
		m.writer = db_i4(r, i, 0);
		m.seq = db_i8(r, i, 1);
		put_anchor(r, i, 2, m.anchor);
		store_status_marks_add(out, &m);
	}
	return 0;
}

static int
tell_size(struct db *db, const struct store_status_sink *sink, struct err *e)
{
	static const struct db_stmt stmt = { "status_size",
		"SELECT greatest(reltuples, 0)::bigint FROM pg_class"
		" WHERE oid = 'cert_status'::regclass",
		false };
	AUTO(PGresult) r = NULL;

	if (db_one(db, &stmt, NULL, &r, "table", e) == -1)
		return -1;
	sink->expect(sink->arg, (size_t)db_i8(r, 0, 0));
	return 0;
}

/* One row of the stream of COPY: two octets of count, then the fields. */
struct copy_field {
	bool null;
	struct span s;
};

static bool
take_field(struct span *s, struct copy_field *out)
{
	uint32_t n;

	if (!span_u32(s, &n))
		return false;
	out->null = n == UINT32_MAX;
	out->s = span_of(s->p, 0);
	return out->null || span_take(s, n, &out->s);
}

static int64_t
field_int(const struct copy_field *f)
{
	struct span s = f->s;
	uint64_t wide = 0;
	uint32_t word = 0;
	uint16_t half = 0;

	if (f->null)
		return 0;
	if (s.n == 2 && span_u16(&s, &half))
		return (int16_t)half;
	if (s.n == 4 && span_u32(&s, &word))
		return (int32_t)word;
	(void)span_u64(&s, &wide);
	return (int64_t)wide;
}

/* Seconds since 1970 of microseconds since 2000; infinities stay far away. */
static int64_t
field_time(const struct copy_field *f)
{
	int64_t us = field_int(f);

	return f->null ? 0 : us / 1000000 - db_pgtime(0) / 1000000;
}

static const char copy_sql[] =
    "COPY cert_status (issuer, serial, not_after, status, reason, revoked_at)"
    " TO STDOUT (FORMAT binary)";

static int
copy_row(struct span *s, const struct store_status_sink *sink, struct err *e)
{
	struct copy_field f[COPY_FIELDS];
	struct store_status_row row;
	size_t i;

	for (i = 0; i < COPY_FIELDS; i++) {
		if (!take_field(s, &f[i]))
			return err_set(e, ERR_INTERNAL,
			    "a row of COPY ends before its fields");
	}
	row.issuer = (int)field_int(&f[0]);
	row.serial = f[1].s;
	row.not_after = field_time(&f[2]);
	row.revoked = field_int(&f[3]) != 0;
	row.reason = row.revoked ? (int)field_int(&f[4]) : -1;
	row.revoked_at = field_time(&f[5]);
	return sink->take(sink->arg, &row, e);
}

/* A message of COPY holds whole rows, the first one a header too. */
static int
copy_message(struct span s, bool *begun, const struct store_status_sink *sink,
    struct err *e)
{
	struct span header;
	uint16_t fields;

	if (!*begun && !span_take(&s, COPY_HEADER_SIZE, &header))
		return err_set(e, ERR_INTERNAL, "COPY without header");
	*begun = true;
	while (span_u16(&s, &fields) && fields != UINT16_MAX) {
		if (fields != COPY_FIELDS)
			return err_set(e, ERR_INTERNAL,
			    "a row of COPY has %u fields", (unsigned)fields);
		if (copy_row(&s, sink, e) == -1)
			return -1;
	}
	return 0;
}

static int
copy_all(struct db *db, const struct store_status_sink *sink, struct err *e)
{
	AUTO(PGresult) r = PQexec(db_pg(db), copy_sql);
	AUTO(PGresult) end = NULL;
	bool begun = false;
	char *p;
	int n = 0, rc = 0;

	if (PQresultStatus(r) != PGRES_COPY_OUT)
		return db_fail(db, r, e);
	while (rc == 0 && (n = PQgetCopyData(db_pg(db), &p, 0)) > 0) {
		rc = copy_message(span_of(p, (size_t)n), &begun, sink, e);
		PQfreemem(p);
	}
	if (rc == -1) {
		db_drop(db); /* the rest of the stream is of no use */
		return -1;
	}
	end = PQgetResult(db_pg(db));
	if (n == -2 || PQresultStatus(end) != PGRES_COMMAND_OK)
		return db_fail(db, end, e);
	PQclear(PQgetResult(db_pg(db))); /* NULL: the command is over */
	return 0;
}

int
store_status_load(struct db *db, const struct store_status_sink *sink,
    struct store_status_marks *marks, struct err *e)
{
	struct store_status_marks fresh = { 0 };
	struct err ignored;

	if (db_ready(db, e) == -1)
		return -1;
	if (db_script(db, load_begin, e) == -1 ||
	    read_marks(db, &fresh, e) == -1 || tell_size(db, sink, e) == -1 ||
	    copy_all(db, sink, e) == -1 || db_script(db, "COMMIT", e) == -1) {
		store_status_marks_clear(&fresh);
		if (db_pg(db) != NULL && db_script(db, "ROLLBACK", &ignored))
			db_drop(db);
		return -1;
	}
	store_status_marks_clear(marks);
	*marks = fresh;
	return 0;
}

/*
 * From each writer's mark on, the change at the mark included: it must be
 * there and be the same.  The joins are lateral so that no plan reads more
 * than what is new.
 */
static const struct db_stmt poll_stmt = { "status_poll",
	"SELECT w.number, c.seq, c.at, c.cert_id, c.status, c.reason, c.serial,"
	" c.issuer, c.not_after, coalesce(s.status, c.status),"
	" coalesce(s.reason, c.reason), coalesce(s.revoked_at, c.revoked_at)"
	" FROM (SELECT number FROM writer WHERE number < " WRITERS_END
	" UNION SELECT unnest($1::int[])) w(number)"
	" LEFT JOIN unnest($1::int[], $2::bigint[]) p(writer, seq)"
	" ON p.writer = w.number"
	" CROSS JOIN LATERAL (SELECT x.* FROM status_change x"
	" WHERE x.writer = w.number AND x.seq >= coalesce(p.seq, 1)"
	" ORDER BY x.seq LIMIT $3::int) c"
	" LEFT JOIN LATERAL (SELECT y.status, y.reason, y.revoked_at"
	" FROM cert_status y WHERE y.issuer = c.issuer"
	" AND y.serial = c.serial LIMIT 1) s ON true"
	" ORDER BY w.number, c.seq",
	true };

static const struct db_stmt where_stmt = { "status_where",
	"SELECT pg_is_in_recovery(), pg_last_xact_replay_timestamp()", true };

static int
ask_where(struct db *db, struct store_status_news *news, struct err *e)
{
	AUTO(PGresult) r = NULL;

	if (db_one(db, &where_stmt, NULL, &r, "answer", e) == -1)
		return -1;
	news->replica = db_bool(r, 0, 0);
	news->as_of = news->replica ? db_time(r, 0, 1) : 0;
	return 0;
}

static int
ask_changes(struct db *db, const struct store_status_marks *marks,
    PGresult **out, struct err *e)
{
	size_t max = 64 + marks->n * 16, i;
	struct db_args p = { .n = 0 };
	struct db_array writers, seqs;
	int rc;

	db_array_init(&writers, max);
	db_array_init(&seqs, max);
	db_array_start(&writers, DB_OID_INT4);
	db_array_start(&seqs, DB_OID_INT8);
	for (i = 0; i < marks->n; i++) {
		db_array_int(&writers, 4, marks->list[i].writer);
		db_array_int(&seqs, 8, marks->list[i].seq);
	}
	db_arg_bytes(&p, db_array_get(&writers));
	db_arg_bytes(&p, db_array_get(&seqs));
	db_arg_i4(&p, CHUNK + 1);
	rc = db_exec(db, &poll_stmt, &p, out, e);
	db_array_clear(&writers);
	db_array_clear(&seqs);
	return rc;
}

/* The rows of one writer: from 'from' up to 'to'. */
struct stretch {
	int from, to;
};

static struct stretch
stretch_of(const PGresult *r, int from, int writer)
{
	struct stretch s = { from, from };

	while (s.to < PQntuples(r) && db_i4(r, s.to, 0) == writer)
		s.to++;
	return s;
}

static bool
is_dense(const PGresult *r, struct stretch s, int64_t first)
{
	int i;

	for (i = s.from; i < s.to; i++) {
		if (db_i8(r, i, 1) != first + (i - s.from))
			return false;
	}
	return true;
}

/* What a writer's rows are worth, given its mark (NULL: none yet). */
static enum store_status_found
judge(const PGresult *r, struct stretch s, const struct store_status_mark *m)
{
	uint8_t anchor[STORE_STATUS_ANCHOR_SIZE];

	if (m != NULL && s.from == s.to)
		return STORE_STATUS_BEHIND;
	if (m != NULL) {
		put_anchor(r, s.from, 2, anchor);
		if (db_i8(r, s.from, 1) != m->seq ||
		    memcmp(anchor, m->anchor, sizeof(anchor)) != 0)
			return STORE_STATUS_ANOTHER;
	}
	if (!is_dense(r, s, m == NULL ? 1 : m->seq))
		return STORE_STATUS_GAP;
	return s.to - s.from > CHUNK ? STORE_STATUS_MORE : STORE_STATUS_OK;
}

static const struct store_status_mark *
find_mark(const struct store_status_marks *m, int writer)
{
	size_t i;

	for (i = 0; i < m->n; i++) {
		if (m->list[i].writer == writer)
			return &m->list[i];
	}
	return NULL;
}

/* Every mark has its row, and every writer's rows go on from its mark. */
static void
judge_all(const PGresult *r, const struct store_status_marks *marks,
    struct store_status_news *news)
{
	enum store_status_found found;
	struct stretch s = { 0, 0 };
	size_t i, seen = 0;

	news->found = STORE_STATUS_OK;
	while (s.to < PQntuples(r)) {
		int writer = db_i4(r, s.to, 0);
		const struct store_status_mark *m = find_mark(marks, writer);

		s = stretch_of(r, s.to, writer);
		found = judge(r, s, m);
		seen += m != NULL;
		if (found > news->found) {
			news->found = found;
			news->writer = writer;
		}
	}
	for (i = 0; seen < marks->n && i < marks->n; i++) {
		int at = 0;

		while (at < PQntuples(r) &&
		       db_i4(r, at, 0) != marks->list[i].writer)
			at++;
		if (at == PQntuples(r) && news->found < STORE_STATUS_BEHIND) {
			news->found = STORE_STATUS_BEHIND;
			news->writer = marks->list[i].writer;
		}
	}
}

static void
move_mark(struct store_status_marks *marks, const PGresult *r, int row)
{
	struct store_status_mark m = { .writer = db_i4(r, row, 0),
		.seq = db_i8(r, row, 1) };
	size_t i;

	put_anchor(r, row, 2, m.anchor);
	for (i = 0; i < marks->n; i++) {
		if (marks->list[i].writer != m.writer)
			continue;
		marks->list[i] = m;
		return;
	}
	store_status_marks_add(marks, &m);
}

static int
take_all(const PGresult *r, const struct store_status_sink *sink,
    const struct store_status_marks *marks, size_t *n, struct err *e)
{
	const struct store_status_mark *m;
	struct store_status_row row;
	int i;

	for (i = 0; i < PQntuples(r); i++) {
		m = find_mark(marks, db_i4(r, i, 0));
		if (m != NULL && db_i8(r, i, 1) == m->seq)
			continue;
		row.serial =
		    span_of(PQgetvalue(r, i, 6), (size_t)PQgetlength(r, i, 6));
		row.issuer = db_i4(r, i, 7);
		row.not_after = db_time(r, i, 8);
		row.revoked = db_i2(r, i, 9) != 0;
		row.reason = row.revoked ? db_i2(r, i, 10) : -1;
		row.revoked_at = row.revoked ? db_time(r, i, 11) : 0;
		if (sink->take(sink->arg, &row, e) == -1)
			return -1;
		(*n)++;
	}
	return 0;
}

int
store_status_poll(struct db *db, const struct store_status_sink *sink,
    struct store_status_marks *marks, struct store_status_news *news,
    struct err *e)
{
	AUTO(PGresult) r = NULL;
	int i;

	*news = (struct store_status_news){ .found = STORE_STATUS_OK };
	if (ask_where(db, news, e) == -1 || ask_changes(db, marks, &r, e) == -1)
		return -1;
	judge_all(r, marks, news);
	if (news->found > STORE_STATUS_MORE)
		return 0;
	if (take_all(r, sink, marks, &news->rows, e) == -1)
		return -1;
	for (i = 0; i < PQntuples(r); i++) {
		if (i + 1 == PQntuples(r) ||
		    db_i4(r, i + 1, 0) != db_i4(r, i, 0))
			move_mark(marks, r, i);
	}
	return 0;
}

int
store_status_wait(struct db *db, int timeout_ms, struct err *e)
{
	return db_listen(db, STORE_CHANNEL, timeout_ms, e);
}

int
store_status_issuer(
    struct db *db, const uint8_t spki_sha256[32], int *id, struct err *e)
{
	static const struct db_stmt stmt = { "status_issuer",
		"SELECT id FROM issuer WHERE spki_sha256 = $1", true };
	AUTO(PGresult) r = NULL;
	struct db_args p = { .n = 0 };

	db_arg_bytes(&p, span_of(spki_sha256, 32));
	if (db_one(db, &stmt, &p, &r, "issuer", e) == -1)
		return -1;
	*id = db_i4(r, 0, 0);
	return 0;
}

int
store_responder_put(
    struct db *db, const struct store_responder *resp, struct err *e)
{
	static const struct db_stmt stmt = { "responder_put",
		"INSERT INTO responder (host, issuer, spki, not_after,"
		" signature) VALUES ($1, $2, $3, $4, $5)"
		" ON CONFLICT (host, issuer) DO UPDATE SET"
		" spki = excluded.spki, not_after = excluded.not_after,"
		" signature = excluded.signature, asked_at = now()",
		false };
	AUTO(PGresult) r = NULL;
	struct db_args p = { .n = 0 };

	db_arg_text(&p, resp->host);
	db_arg_i4(&p, resp->issuer);
	db_arg_bytes(&p, resp->spki);
	db_arg_time(&p, resp->not_after);
	db_arg_bytes(&p, resp->signature);
	return db_exec(db, &stmt, &p, &r, e);
}

int
store_responder_get(struct db *db, struct arena *a, const char *host,
    int issuer, struct store_responder *out, struct err *e)
{
	static const struct db_stmt stmt = { "responder_get",
		"SELECT spki, not_after, signature, cert, asked_at,"
		" certified_at, fault FROM responder"
		" WHERE host = $1 AND issuer = $2",
		true };
	AUTO(PGresult) r = NULL;
	struct db_args p = { .n = 0 };

	db_arg_text(&p, host);
	db_arg_i4(&p, issuer);
	if (db_one(db, &stmt, &p, &r, "request of a responder", e) == -1)
		return -1;
	*out = (struct store_responder){ .host = host, .issuer = issuer };
	out->spki = db_bytes(a, r, 0, 0);
	out->not_after = db_time(r, 0, 1);
	out->signature = db_bytes(a, r, 0, 2);
	out->cert = db_bytes(a, r, 0, 3);
	out->asked_at = db_time(r, 0, 4);
	out->certified_at = db_time(r, 0, 5);
	out->fault = db_text(a, r, 0, 6);
	return 0;
}
