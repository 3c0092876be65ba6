#include <string.h>

#include "db/db_int.h"
#include "db/store_cert.h"
#include "db/store_int.h"

static enum store_request_state
state_of(int row_state, bool issued)
{
	if (row_state == STORE_ROW_PENDING)
		return STORE_REQUEST_PENDING;
	if (row_state == STORE_ROW_VOID)
		return STORE_REQUEST_VOID;
	return issued ? STORE_REQUEST_ISSUED : STORE_REQUEST_INTENT;
}

int
store_request_get(struct db *db, struct arena *a, const char *protocol,
    const char *txn, struct store_request *out, struct err *e)
{
	static const struct db_stmt stmt = { "request_get",
		"SELECT r.state, r.request_hash, r.cert_id, r.issuer,"
		" r.serial, r.tbs_hash, r.slot, r.created_at, r.profile,"
		" r.principal, (SELECT c.id FROM cert c"
		" WHERE c.id = r.cert_id) IS NOT NULL"
		" FROM request r WHERE r.protocol = $1 AND r.txn = $2",
		true };
	AUTO(PGresult) r = NULL;
	struct db_args p = { .n = 0 };

	db_arg_text(&p, protocol);
	db_arg_text(&p, txn);
	if (db_one(db, &stmt, &p, &r, "transaction", e) == -1)
		return -1;
	memset(out, 0, sizeof(*out));
	out->state = state_of(db_i2(r, 0, 0), db_bool(r, 0, 10));
	db_fixed(r, 0, 1, out->request_hash, STORE_HASH_SIZE);
	out->cert_id = db_i8(r, 0, 2);
	out->issuer = db_i4(r, 0, 3);
	out->serial = db_bytes(a, r, 0, 4);
	db_fixed(r, 0, 5, out->tbs_hash, STORE_HASH_SIZE);
	out->slot = (uint8_t)db_i2(r, 0, 6);
	out->intent_at = db_time(r, 0, 7);
	out->profile = db_text(a, r, 0, 8);
	out->principal = db_text(a, r, 0, 9);
	return 0;
}

/*
 * Intents below the class's mark are known to be closed, so that a look at
 * what is open does not read all there ever was.
 */
static const struct db_stmt open_stmt = { "intents_open",
	"SELECT r.cert_id, r.created_at, r.protocol, r.txn, r.profile,"
	" r.principal, r.tbs_hash, r.profile_hash, r.slot, r.issuer, r.serial"
	" FROM request r WHERE r.state = 1 AND r.class = my_class()"
	" AND r.created_at < $1 AND r.created_at >= coalesce((SELECT m.until"
	" FROM intent_mark m WHERE m.class = my_class()), '-infinity')"
	" AND (SELECT c.id FROM cert c WHERE c.id = r.cert_id) IS NULL"
	" ORDER BY r.created_at LIMIT $2",
	true };

/* Never later than a minute ago: older transactions have ended. */
static const struct db_stmt mark_stmt = { "intents_mark",
	"INSERT INTO intent_mark AS m (class, until)"
	" SELECT my_class(), least($1, now() - interval '1 minute')"
	" ON CONFLICT (class) DO UPDATE SET until = excluded.until"
	" WHERE m.until < excluded.until",
	false };

static int
move_mark(struct db *db, int64_t until, struct err *e)
{
	AUTO(PGresult) r = NULL;
	struct db_args p = { .n = 0 };

	db_arg_time(&p, until);
	return db_exec(db, &mark_stmt, &p, &r, e);
}

static void
read_intent(
    struct arena *a, const PGresult *r, int i, struct store_open_intent *o)
{
	o->cert_id = db_i8(r, i, 0);
	o->intent_at = db_time(r, i, 1);
	o->protocol = db_text(a, r, i, 2);
	o->txn = db_text(a, r, i, 3);
	o->profile = db_text(a, r, i, 4);
	o->principal = db_text(a, r, i, 5);
	db_fixed(r, i, 6, o->tbs_hash, STORE_HASH_SIZE);
	db_fixed(r, i, 7, o->profile_hash, STORE_HASH_SIZE);
	o->slot = (uint8_t)db_i2(r, i, 8);
	o->issuer = db_i4(r, i, 9);
	o->serial = db_bytes(a, r, i, 10);
}

int
store_intents_open(struct db *db, struct arena *a, int64_t before, size_t max,
    struct store_open_intents *out, struct err *e)
{
	struct store_open_intent *list;
	AUTO(PGresult) r = NULL;
	struct db_args p = { .n = 0 };
	size_t i;

	db_arg_time(&p, before);
	db_arg_i8(&p, (int64_t)max);
	if (db_exec(db, &open_stmt, &p, &r, e) == -1)
		return -1;
	out->n = (size_t)PQntuples(r);
	out->list = list = arena_array(a, out->n, sizeof(*list));
	for (i = 0; i < out->n; i++)
		read_intent(a, r, (int)i, &list[i]);
	return move_mark(db, out->n > 0 ? list[0].intent_at : before, e);
}

/* Rows of one DELETE; the caller comes again while something is left. */
int
store_request_clean(
    struct db *db, int64_t before, size_t max, size_t *deleted, struct err *e)
{
	static const struct db_stmt stmt = { "request_clean",
		"WITH d AS (DELETE FROM request WHERE ctid = ANY(ARRAY("
		"SELECT r.ctid FROM request r WHERE r.created_at < $1"
		" AND (r.state = 2 OR (r.state = 1 AND (SELECT c.id"
		" FROM cert c WHERE c.id = r.cert_id) IS NOT NULL))"
		" ORDER BY r.created_at LIMIT $2 FOR UPDATE SKIP LOCKED))"
		" RETURNING 1) SELECT count(*) FROM d",
		false };
	AUTO(PGresult) r = NULL;
	struct db_args p = { .n = 0 };

	db_arg_time(&p, before);
	db_arg_i8(&p, (int64_t)max);
	if (db_exec(db, &stmt, &p, &r, e) == -1)
		return -1;
	*deleted = (size_t)db_i8(r, 0, 0);
	return 0;
}
