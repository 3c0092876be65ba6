#include "db/db.h"

#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "db/db_int.h"

#define STMTS_MAX 96
#define BACKOFF_MIN_US 100000
#define BACKOFF_MAX_US 2000000
#define CONN_PARAMS_MAX 64

struct db {
	PGconn *pg;
	char *conninfo, *app, *session;
	bool bare;
	const struct db_stmt *ready[STMTS_MAX];
	int n_ready;
	uint64_t generation, listening; /* generation that listens */
	int64_t next_try_us, backoff_us;
	struct err last;
};

/*
 * Work here is look-ups and small writes: an index is always right, and a
 * plan made while a table was empty must not scan it when it has grown.
 */
static const char common_settings[] =
    "SET search_path = chancery, pg_temp; SET statement_timeout = '20s'; "
    "SET lock_timeout = '10s'; SET enable_seqscan = off; SET jit = off; "
    "SET plan_cache_mode = force_generic_plan; "
    "SET client_min_messages = warning; SET timezone = 'UTC'; "
    "SET bytea_output = hex";

static char *
copy(const char *s)
{
	char *p = strdup(s);

	if (p == NULL)
		abort();
	return p;
}

struct db *
db_new(const char *conninfo, const char *app)
{
	struct db *db = calloc(1, sizeof(*db));

	if (db == NULL)
		abort();
	db->conninfo = copy(conninfo);
	db->app = copy(app);
	return db;
}

struct db *
db_new_bare(const char *conninfo, const char *app)
{
	struct db *db = db_new(conninfo, app);

	db->bare = true;
	return db;
}

void
db_session(struct db *db, const char *sql)
{
	free(db->session);
	db->session = copy(sql);
}

void
db_drop(struct db *db)
{
	PQfinish(db->pg);
	db->pg = NULL;
	db->n_ready = 0;
}

void
db_free(struct db *db)
{
	if (db == NULL)
		return;
	db_drop(db);
	free(db->conninfo);
	free(db->app);
	free(db->session);
	free(db);
}

PGconn *
db_pg(struct db *db)
{
	return db->pg;
}

uint64_t
db_generation(const struct db *db)
{
	return db->generation;
}

struct state_kind {
	const char *prefix;
	enum err_kind kind;
};

static const struct state_kind state_kinds[] = {
	{ "08", ERR_UNAVAILABLE },    /* connection */
	{ "53", ERR_UNAVAILABLE },    /* resources: disk, memory, slots */
	{ "57", ERR_UNAVAILABLE },    /* shutdown, crash recovery, timeout */
	{ "58", ERR_UNAVAILABLE },    /* I/O of the server */
	{ "40", ERR_UNAVAILABLE },    /* serialization, deadlock */
	{ "55P03", ERR_UNAVAILABLE }, /* lock timeout */
	{ "25006", ERR_UNAVAILABLE }, /* became a replica */
	{ "CH001", ERR_UNAVAILABLE }, /* writer number lost */
	{ "23505", ERR_CONFLICT },    /* unique violation */
	{ "42501", ERR_REFUSED },     /* grants */
	{ "CH002", ERR_REFUSED },     /* INSERT-only */
	{ "CH003", ERR_REFUSED },     /* revoked stays revoked */
	{ "28", ERR_REFUSED },        /* login */
	{ "3D000", ERR_REFUSED },     /* no such database */
	{ "3F000", ERR_REFUSED },     /* no schema */
	{ "42P01", ERR_REFUSED },     /* no table: not migrated */
	{ "22021", ERR_MALFORMED },   /* not UTF-8, or a NUL in it */
	{ "22P05", ERR_MALFORMED }, { "22P02", ERR_MALFORMED }, /* not JSON */
};

enum err_kind
db_sqlstate_kind(const char *sqlstate)
{
	const struct state_kind *k = state_kinds;
	size_t i;

	if (sqlstate == NULL)
		return ERR_UNAVAILABLE;
	for (i = 0; i < sizeof(state_kinds) / sizeof(*k); i++)
		if (strncmp(sqlstate, k[i].prefix, strlen(k[i].prefix)) == 0)
			return k[i].kind;
	return ERR_INTERNAL;
}

/* The first line of what libpq says, without its final newline. */
static void
trim(char out[256], const char *msg)
{
	size_t n;

	n = strcspn(msg, "\n");
	(void)snprintf(out, 256, "%.*s", (int)(n > 255 ? 255 : n), msg);
}

int
db_fail(struct db *db, const PGresult *r, struct err *e)
{
	const char *state = PQresultErrorField(r, PG_DIAG_SQLSTATE);
	const char *text = PQresultErrorField(r, PG_DIAG_MESSAGE_PRIMARY);
	enum err_kind kind = db_sqlstate_kind(state);
	char line[256];

	trim(line, text != NULL ? text : PQerrorMessage(db->pg));
	(void)err_set(e, kind, "database: %s", line);
	if (PQstatus(db->pg) != CONNECTION_OK || state == NULL ||
	    strncmp(state, "57P", 3) == 0 || strcmp(state, "25006") == 0)
		db_drop(db);
	return -1;
}

struct conn_params {
	const char *key[CONN_PARAMS_MAX], *value[CONN_PARAMS_MAX];
	int n;
};

static void
param(struct conn_params *p, const char *key, const char *value)
{
	if (p->n < CONN_PARAMS_MAX - 1) {
		p->key[p->n] = key;
		p->value[p->n++] = value;
	}
}

/* Ours first, so that what the string says comes later and wins. */
static void
fill_params(
    struct conn_params *p, const struct db *db, const PQconninfoOption *opts)
{
	const PQconninfoOption *o;

	if (!db->bare)
		param(p, "target_session_attrs", "read-write");
	param(p, "connect_timeout", "5");
	param(p, "keepalives_idle", "15");
	param(p, "tcp_user_timeout", "15000");
	param(p, "application_name", db->app);
	param(p, "client_encoding", "UTF8");
	for (o = opts; o->keyword != NULL; o++)
		if (o->val != NULL)
			param(p, o->keyword, o->val);
}

/* The login is wrong for good, as far as a message can tell. */
static bool
is_refusal(const char *msg)
{
	static const char *const words[] = { "authentication failed",
		"no pg_hba.conf entry", "does not exist", "not permitted to",
		"permission denied for database" };
	size_t i;

	if (strstr(msg, "FATAL:") == NULL)
		return false;
	for (i = 0; i < sizeof(words) / sizeof(words[0]); i++)
		if (strstr(msg, words[i]) != NULL)
			return true;
	return false;
}

static int
open_conn(struct db *db, struct err *e)
{
	struct conn_params p = { .n = 0 };
	PQconninfoOption *opts;
	char *why = NULL, line[256];

	opts = PQconninfoParse(db->conninfo, &why);
	if (opts == NULL) {
		trim(line, why != NULL ? why : "out of memory");
		PQfreemem(why);
		return err_set(e, ERR_REFUSED, "connection string: %s", line);
	}
	fill_params(&p, db, opts);
	db->pg = PQconnectdbParams(p.key, p.value, 0);
	PQconninfoFree(opts);
	if (PQstatus(db->pg) == CONNECTION_OK)
		return 0;
	trim(line, PQerrorMessage(db->pg));
	(void)err_set(e,
	    is_refusal(PQerrorMessage(db->pg)) ? ERR_REFUSED : ERR_UNAVAILABLE,
	    "database: %s", line);
	db_drop(db);
	return -1;
}

static void
drop_notice(void *arg, const PGresult *r)
{
	(void)arg;
	(void)r;
}

int
db_script(struct db *db, const char *sql, struct err *e)
{
	AUTO(PGresult) r = NULL;
	ExecStatusType st;

	if (db->pg == NULL && db_ready(db, e) == -1)
		return -1;
	r = PQexec(db->pg, sql);
	st = PQresultStatus(r);
	if (st != PGRES_COMMAND_OK && st != PGRES_TUPLES_OK &&
	    st != PGRES_EMPTY_QUERY)
		return db_fail(db, r, e);
	return 0;
}

static int
check_version(struct db *db, struct err *e)
{
	AUTO(PGresult) r = NULL;
	long v;

	r = PQexec(
	    db->pg, "SELECT coalesce(max(version), 0) FROM schema_version");
	if (PQresultStatus(r) != PGRES_TUPLES_OK)
		return db_fail(db, r, e);
	v = strtol(PQgetvalue(r, 0, 0), NULL, 10);
	if (v >= DB_SCHEMA_MIN && v <= DB_SCHEMA_MAX)
		return 0;
	return err_set(e, ERR_REFUSED,
	    "the database schema has version %ld, this program works with "
	    "%d to %d",
	    v, DB_SCHEMA_MIN, DB_SCHEMA_MAX);
}

static int
connect_now(struct db *db, struct err *e)
{
	if (open_conn(db, e) == -1)
		return -1;
	(void)PQsetNoticeReceiver(db->pg, drop_notice, NULL);
	if (db->bare)
		return 0;
	if (db_script(db, common_settings, e) == -1)
		return -1;
	if (db->session != NULL && db_script(db, db->session, e) == -1)
		return -1;
	return check_version(db, e);
}

int
db_ready(struct db *db, struct err *e)
{
	int64_t now = clock_mono_us();

	if (db->pg != NULL && PQstatus(db->pg) == CONNECTION_OK)
		return 0;
	if (now < db->next_try_us)
		return err_set(e, db->last.kind, "%s", db->last.text);
	db_drop(db);
	if (connect_now(db, &db->last) == 0) {
		db->generation++;
		db->backoff_us = 0;
		return 0;
	}
	db_drop(db);
	db->backoff_us =
	    db->backoff_us == 0 ? BACKOFF_MIN_US : db->backoff_us * 2;
	if (db->backoff_us > BACKOFF_MAX_US)
		db->backoff_us = BACKOFF_MAX_US;
	db->next_try_us = clock_mono_us() + db->backoff_us;
	return err_set(e, db->last.kind, "%s", db->last.text);
}

int
db_prepare(struct db *db, const struct db_stmt *s, struct err *e)
{
	AUTO(PGresult) r = NULL;
	int i;

	if (db_ready(db, e) == -1)
		return -1;
	for (i = 0; i < db->n_ready; i++)
		if (db->ready[i] == s)
			return 0;
	if (db->n_ready == STMTS_MAX)
		return err_set(e, ERR_INTERNAL, "too many statements");
	r = PQprepare(db->pg, s->name, s->sql, 0, NULL);
	if (PQresultStatus(r) != PGRES_COMMAND_OK)
		return db_fail(db, r, e);
	db->ready[db->n_ready++] = s;
	return 0;
}

static int
exec_once(struct db *db, const struct db_stmt *s, const struct db_args *a,
    PGresult **out, struct err *e)
{
	AUTO(PGresult) r = NULL;
	ExecStatusType st;

	if (db_prepare(db, s, e) == -1)
		return -1;
	r = PQexecPrepared(db->pg, s->name, a == NULL ? 0 : a->n,
	    a == NULL ? NULL : a->v, a == NULL ? NULL : a->len,
	    a == NULL ? NULL : a->fmt, 1);
	st = PQresultStatus(r);
	if (st != PGRES_TUPLES_OK && st != PGRES_COMMAND_OK)
		return db_fail(db, r, e);
	*out = r;
	r = NULL; /* ownership moves to the caller */
	return 0;
}

int
db_exec(struct db *db, const struct db_stmt *s, const struct db_args *a,
    PGresult **out, struct err *e)
{
	bool had = db->pg != NULL;

	if (exec_once(db, s, a, out, e) == 0)
		return 0;
	/* The server may have restarted since the last use. */
	if (!s->read || !had || db->pg != NULL)
		return -1;
	return exec_once(db, s, a, out, e);
}

int
db_query(struct db *db, const char *sql, const struct db_args *a,
    PGresult **out, struct err *e)
{
	AUTO(PGresult) r = NULL;

	if (db_ready(db, e) == -1)
		return -1;
	r = PQexecParams(db->pg, sql, a->n, NULL, a->v, a->len, a->fmt, 1);
	if (PQresultStatus(r) != PGRES_TUPLES_OK)
		return db_fail(db, r, e);
	*out = r;
	r = NULL; /* ownership moves to the caller */
	return 0;
}

int
db_one(struct db *db, const struct db_stmt *s, const struct db_args *a,
    PGresult **out, const char *what, struct err *e)
{
	if (db_exec(db, s, a, out, e) == -1)
		return -1;
	if (PQntuples(*out) == 0)
		return err_set(e, ERR_NOT_FOUND, "no such %s", what);
	return 0;
}

/* Whether a notification was there; all that are there are taken. */
static bool
take_notifications(struct db *db)
{
	PGnotify *n;
	bool any = false;

	while ((n = PQnotifies(db->pg)) != NULL) {
		PQfreemem(n);
		any = true;
	}
	return any;
}

int
db_listen(struct db *db, const char *channel, int timeout_ms, struct err *e)
{
	struct pollfd pfd = { .events = POLLIN };
	char sql[80];

	if (db_ready(db, e) == -1)
		return -1;
	if (db->listening != db->generation) {
		(void)snprintf(sql, sizeof(sql), "LISTEN %s", channel);
		if (db_script(db, sql, e) == -1)
			return -1;
		db->listening = db->generation;
		return 0;
	}
	if (take_notifications(db))
		return 0;
	pfd.fd = PQsocket(db->pg);
	if (poll(&pfd, 1, timeout_ms) <= 0)
		return 0;
	if (PQconsumeInput(db->pg) != 1)
		return db_fail(db, NULL, e);
	(void)take_notifications(db);
	return 0;
}

bool
db_ping(const char *conninfo)
{
	return PQping(conninfo) == PQPING_OK;
}
