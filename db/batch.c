#include <stdlib.h>
#include <string.h>

#include "db/writer_int.h"

/* Bytes of one column of one batch. */
#define COLUMN_MAX ((size_t)64 << 20)
#define PARAMS_MAX (WRITER_COLS_MAX + 8)

struct batch {
	struct db_array col[PARAMS_MAX];
};

/* One statement of the batch, in the form to run, and the jobs that use it. */
struct group {
	const struct writer_stmt *stmt;
	const struct db_stmt *form;
	struct writer_job *jobs[BATCH_MAX];
	size_t n;
};

struct batch *
batch_new(void)
{
	struct batch *b = calloc(1, sizeof(*b));
	int i;

	if (b == NULL)
		abort();
	for (i = 0; i < PARAMS_MAX; i++)
		db_array_init(&b->col[i], COLUMN_MAX);
	return b;
}

void
batch_free(struct batch *b)
{
	int i;

	for (i = 0; i < PARAMS_MAX; i++)
		db_array_clear(&b->col[i]);
	free(b);
}

static uint32_t
oid_of(char type)
{
	switch (type) {
	case 'i':
		return DB_OID_INT4;
	case 'l':
		return DB_OID_INT8;
	case 't':
		return DB_OID_TIMESTAMPTZ;
	case 'b':
		return DB_OID_BYTEA;
	case '?':
		return DB_OID_BOOL;
	default:
		return DB_OID_TEXT;
	}
}

static void
add_value(struct db_array *a, char type, const struct writer_val *v)
{
	if (v->null)
		db_array_null(a);
	else if (type == 'i')
		db_array_int(a, 4, v->i);
	else if (type == 'l')
		db_array_int(a, 8, v->i);
	else if (type == 't')
		db_array_int(a, 8, db_pgtime(v->i));
	else if (type == '?')
		db_array_int(a, 1, v->i);
	else
		db_array_bytes(a, v->s);
}

static void
fill_columns(struct batch *b, const struct group *g)
{
	const char *types = g->stmt->cols;
	size_t c, i, n = strlen(types);

	for (c = 0; c < n; c++) {
		db_array_start(&b->col[c], oid_of(types[c]));
		for (i = 0; i < g->n; i++)
			add_value(
			    &b->col[c], types[c], &g->jobs[i]->row->cols[c]);
	}
}

static void
fill_children(struct batch *b, const struct group *g)
{
	const char *types = g->stmt->kid_cols;
	size_t c, i, k, n = strlen(types);
	struct db_array *col = b->col + strlen(g->stmt->cols);
	const struct writer_row *row;

	db_array_start(&col[0], DB_OID_INT4);
	for (c = 0; c < n; c++)
		db_array_start(&col[c + 1], oid_of(types[c]));
	for (i = 0; i < g->n; i++) {
		row = g->jobs[i]->row;
		for (k = 0; k < row->n_kids * n; k++)
			add_value(&col[k % n + 1], types[k % n], &row->kids[k]);
		for (k = 0; k < row->n_kids; k++)
			db_array_int(&col[0], 4, (int64_t)i + 1);
	}
}

static int
send_stmt(struct db *db, const struct db_stmt *s, const struct db_args *a,
    struct err *e)
{
	if (PQsendQueryPrepared(
		db_pg(db), s->name, a->n, a->v, a->len, a->fmt, 1) == 1)
		return 0;
	return db_fail(db, NULL, e);
}

static int
send_group(struct batch *b, struct db *db, int32_t number,
    const struct group *g, struct err *e)
{
	struct db_args a = { .n = 0 };
	size_t i, n = strlen(g->stmt->cols);
	struct span s;

	fill_columns(b, g);
	if (g->stmt->kid_cols != NULL) {
		fill_children(b, g);
		n += strlen(g->stmt->kid_cols) + 1;
	}
	db_arg_i4(&a, number);
	for (i = 0; i < n; i++) {
		s = db_array_get(&b->col[i]);
		if (s.p == NULL)
			return err_set(e, ERR_INTERNAL, "batch is too large");
		db_arg_bytes(&a, s);
	}
	return send_stmt(db, g->form, &a, e);
}

static const struct writer_stmt fence = {
	.db = { "writer_fence",
	    "SELECT writer_lost($1) WHERE NOT EXISTS (SELECT FROM writer"
	    " WHERE number = $1::int AND epoch = $2::bigint"
	    " AND login = session_user)",
	    false }
};
static const struct writer_stmt notify = {
	.db = { "writer_notify", "SELECT pg_notify($1, '')", false }
};

static int
send_notify(struct db *db, const char *channel, struct err *e)
{
	struct db_args a = { .n = 0 };

	db_arg_text(&a, channel);
	return send_stmt(db, &notify.db, &a, e);
}

static struct group *
new_group(const struct writer_stmt *stmt, bool careful)
{
	struct group *g = calloc(1, sizeof(*g));

	if (g == NULL)
		abort();
	g->stmt = stmt;
	g->form =
	    careful && stmt->careful.name != NULL ? &stmt->careful : &stmt->db;
	return g;
}

/* Groups jobs by statement, in the order of their first one. */
static size_t
group_jobs(struct group **groups, const struct batch_work *work)
{
	size_t i, g, count = 0;

	for (i = 0; i < work->n; i++) {
		for (g = 0; g < count; g++)
			if (groups[g]->stmt == work->jobs[i]->row->stmt)
				break;
		if (g == count)
			groups[count++] =
			    new_group(work->jobs[i]->row->stmt, work->careful);
		groups[g]->jobs[groups[g]->n++] = work->jobs[i];
	}
	return count;
}

/* The channel that a group notifies, unless an earlier one did. */
static const char *
channel_of(struct group *const *groups, size_t g)
{
	const char *name = groups[g]->stmt->notify;
	size_t i;

	for (i = 0; name != NULL && i < g; i++)
		if (groups[i]->stmt->notify != NULL &&
		    strcmp(groups[i]->stmt->notify, name) == 0)
			return NULL;
	return name;
}

static int
prepare_all(struct db *db, struct group *const *groups, size_t n, struct err *e)
{
	size_t g;

	if (db_prepare(db, &fence.db, e) == -1 ||
	    db_prepare(db, &notify.db, e) == -1)
		return -1;
	for (g = 0; g < n; g++)
		if (db_prepare(db, groups[g]->form, e) == -1)
			return -1;
	return 0;
}

static int
send_all(struct batch *b, struct db *db, const struct batch_writer *w,
    struct group *const *groups, size_t n, struct err *e)
{
	struct db_args a = { .n = 0 };
	const char *channel;
	size_t g;

	if (w->number != 0) {
		db_arg_i4(&a, w->number);
		db_arg_i8(&a, w->epoch);
		if (send_stmt(db, &fence.db, &a, e) == -1)
			return -1;
	}
	for (g = 0; g < n; g++) {
		if (send_group(b, db, w->number, groups[g], e) == -1)
			return -1;
		channel = channel_of(groups, g);
		if (channel != NULL && send_notify(db, channel, e) == -1)
			return -1;
	}
	if (PQpipelineSync(db_pg(db)) != 1)
		return db_fail(db, NULL, e);
	return 0;
}

static void
take_answers(const struct group *g, const PGresult *r)
{
	struct writer_job *j;
	int64_t ord;
	int i;

	for (i = 0; i < PQntuples(r); i++) {
		ord = db_i8(r, i, 0);
		if (ord < 1 || (size_t)ord > g->n)
			continue;
		j = g->jobs[ord - 1];
		j->answered = true;
		j->code = (enum writer_code)db_i4(r, i, 1);
		j->value = db_i8(r, i, 2);
	}
}

/*
 * Reads one statement's result into 'r' and its end; the first failure fills
 * 'e', those that follow from it are passed over.
 */
static int
read_one(struct db *db, PGresult **r, bool *lost, struct err *e)
{
	const char *state;
	PGresult *end;

	*r = PQgetResult(db_pg(db));
	if (*r == NULL)
		return db_fail(db, NULL, e);
	switch (PQresultStatus(*r)) {
	case PGRES_TUPLES_OK:
	case PGRES_COMMAND_OK:
	case PGRES_PIPELINE_ABORTED:
		break;
	default:
		if (e->kind != ERR_NONE)
			break;
		state = PQresultErrorField(*r, PG_DIAG_SQLSTATE);
		*lost = state != NULL && strcmp(state, "CH001") == 0;
		(void)db_fail(db, *r, e);
		if (db_pg(db) == NULL)
			return -1;
	}
	while ((end = PQgetResult(db_pg(db))) != NULL)
		PQclear(end);
	return 0;
}

/* Reads the results up to the sync; only that says that all is durable. */
static int
read_sync(struct db *db, struct err *e)
{
	AUTO(PGresult) r = PQgetResult(db_pg(db));

	if (PQresultStatus(r) == PGRES_PIPELINE_SYNC)
		return e->kind == ERR_NONE ? 0 : -1;
	/* A failed commit leaves the pipeline where nobody can trust it. */
	if (e->kind == ERR_NONE)
		(void)db_fail(db, r, e);
	db_drop(db);
	return -1;
}

static int
read_all(struct db *db, bool fenced, struct group *const *groups, size_t n,
    bool *lost, struct err *e)
{
	size_t g;

	if (fenced) {
		AUTO(PGresult) r = NULL;

		if (read_one(db, &r, lost, e) == -1)
			return -1;
	}
	for (g = 0; g < n; g++) {
		AUTO(PGresult) r = NULL;
		AUTO(PGresult) told = NULL;

		if (read_one(db, &r, lost, e) == -1)
			return -1;
		if (PQresultStatus(r) == PGRES_TUPLES_OK)
			take_answers(groups[g], r);
		if (channel_of(groups, g) != NULL &&
		    read_one(db, &told, lost, e) == -1)
			return -1;
	}
	return read_sync(db, e);
}

static int
run_groups(struct batch *b, struct batch_work *work,
    struct group *const *groups, size_t n, struct err *e)
{
	struct db *db = work->db;

	if (prepare_all(db, groups, n, e) == -1)
		return -1;
	if (PQenterPipelineMode(db_pg(db)) != 1)
		return db_fail(db, NULL, e);
	if (send_all(b, db, work->writer, groups, n, e) == -1) {
		db_drop(db); /* half a batch was sent, without its end */
		return -1;
	}
	if (read_all(db, work->writer->number != 0, groups, n, &work->lost,
		e) == -1) {
		if (db_pg(db) != NULL)
			(void)PQexitPipelineMode(db_pg(db));
		return -1;
	}
	if (PQexitPipelineMode(db_pg(db)) != 1)
		db_drop(db);
	return 0;
}

int
batch_run(struct batch *b, struct batch_work *work, struct err *e)
{
	struct group *groups[BATCH_MAX];
	size_t g, count;
	int rc;

	work->lost = false;
	e->kind = ERR_NONE;
	for (g = 0; g < work->n; g++)
		work->jobs[g]->answered = false;
	count = group_jobs(groups, work);
	rc = run_groups(b, work, groups, count, e);
	for (g = 0; g < count; g++)
		free(groups[g]);
	return rc;
}
