#include <string.h>

#include "db/db_int.h"
#include "db/store_cert.h"
#include "db/store_int.h"
#include "db/writer_int.h"

static enum store_request_state
state_of(const PGresult *r)
{
	switch (db_i2(r, 0, 0)) {
	case STORE_ROW_PENDING:
		return db_bool(r, 0, 12) ? STORE_REQUEST_EXPIRED
					 : STORE_REQUEST_PENDING;
	case STORE_ROW_APPROVED:
		return db_bool(r, 0, 12) ? STORE_REQUEST_EXPIRED
					 : STORE_REQUEST_APPROVED;
	case STORE_ROW_REJECTED:
		return STORE_REQUEST_REJECTED;
	case STORE_ROW_VOID:
		return STORE_REQUEST_VOID;
	default:
		break;
	}
	if (db_bool(r, 0, 11))
		return STORE_REQUEST_OLD;
	return db_bool(r, 0, 10) ? STORE_REQUEST_ISSUED : STORE_REQUEST_INTENT;
}

/* What an operator decides on stands in 'pending'. */
int
store_request_get(struct db *db, struct arena *a,
    const struct store_request_key *key, struct store_request *out,
    struct err *e)
{
	static const struct db_stmt stmt = { "request_get",
		"SELECT x.state, x.request_hash, x.cert_id, x.issuer,"
		" x.serial, x.tbs_hash, x.slot, x.created_at, x.profile,"
		" x.principal, (SELECT c.id FROM cert c"
		" WHERE c.id = x.cert_id) IS NOT NULL,"
		" x.state = 1 AND " STORE_ANSWERS_NO_MORE(
		    "$3::bigint") ","
				  " CASE WHEN x.state IN (0, 3) THEN (SELECT p.expires_at <= now()"
				  " FROM pending p WHERE p.protocol = $1 AND p.txn = $2) END,"
				  " CASE WHEN x.state = 4 THEN (SELECT p.reason FROM pending p"
				  " WHERE p.protocol = $1 AND p.txn = $2) END, x.profile_hash"
				  " FROM request x WHERE x.protocol = $1 AND x.txn = $2",
		true };
	AUTO(PGresult) r = NULL;
	struct db_args p = { .n = 0 };

	db_arg_text(&p, key->protocol);
	db_arg_text(&p, key->txn);
	if (key->repeat_s == 0)
		db_arg_null(&p);
	else
		db_arg_i8(&p, key->repeat_s);
	if (db_one(db, &stmt, &p, &r, "transaction", e) == -1)
		return -1;
	memset(out, 0, sizeof(*out));
	out->state = state_of(r);
	db_fixed(r, 0, 1, out->request_hash, STORE_HASH_SIZE);
	out->cert_id = db_i8(r, 0, 2);
	out->issuer = db_i4(r, 0, 3);
	out->serial = db_bytes(a, r, 0, 4);
	db_fixed(r, 0, 5, out->tbs_hash, STORE_HASH_SIZE);
	out->slot = (uint8_t)db_i2(r, 0, 6);
	out->intent_at = db_time(r, 0, 7);
	out->profile = db_text(a, r, 0, 8);
	out->principal = db_text(a, r, 0, 9);
	out->reason = db_text(a, r, 0, 13);
	db_fixed(r, 0, 14, out->profile_hash, STORE_HASH_SIZE);
	return 0;
}

void
store_repeat(struct writer_row *r, int64_t repeat_s)
{
	if (repeat_s == 0)
		writer_null(r);
	else
		writer_int(r, repeat_s);
}

int
store_secret_used(struct err *e)
{
	return err_set(e, ERR_UNAUTHENTICATED,
	    "the secret was used for another request, or is no longer valid");
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
		" AND CASE r.state WHEN 1 THEN (SELECT c.id FROM cert c"
		" WHERE c.id = r.cert_id) IS NOT NULL WHEN 2 THEN true"
		" ELSE (SELECT p.expires_at < $1 FROM pending p"
		" WHERE p.protocol = r.protocol AND p.txn = r.txn) END"
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
