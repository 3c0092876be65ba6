#include <stdlib.h>
#include <string.h>

#include "db/query.h"
#include "db/store_cert.h"

#define LIST_MAX 1000

/* With names, which cost more to find than all the rest, or with NULL. */
#define CERT_COLUMNS(names)                                                    \
	"SELECT c.id, c.issuer, i.name, c.serial, c.protocol, c.txn,"          \
	" c.profile, c.profile_hash, c.principal, c.not_before, c.not_after,"  \
	" c.subject, c.spki_sha256, c.fingerprint, c.der, c.sign_slot,"        \
	" c.sign_seq, c.sign_head, s.status = 1, s.reason, s.revoked_at,"      \
	" c.issued_at, s.invalidity_at, " names                                \
	" FROM cert c JOIN issuer i ON i.id = c.issuer"                        \
	" JOIN cert_status s ON s.issuer = c.issuer AND s.serial = c.serial"

#define NAMES_OF(id)                                                           \
	"(SELECT array_agg(k.type || ':' || reverse(k.rev))"                   \
	" FROM cert_name k WHERE k.cert_id = " id ")"

/* Each text is "type:name". */
static void
read_names(
    struct arena *a, const PGresult *r, int row, int col, struct store_cert *c)
{
	size_t i, n;
	const char **texts = db_texts(a, r, row, col, &n);
	struct store_name *names = arena_array(a, n, sizeof(*names));
	char *end;

	for (i = 0; i < n; i++) {
		names[i].type = (uint8_t)strtol(texts[i], &end, 10);
		names[i].text = end + 1;
	}
	c->names = names;
	c->n_names = n;
}

static void
read_cert(struct arena *a, const PGresult *r, int row, struct store_cert *c)
{
	c->id = db_i8(r, row, 0);
	c->issuer = db_i4(r, row, 1);
	c->issuer_name = db_text(a, r, row, 2);
	c->serial = db_bytes(a, r, row, 3);
	c->protocol = db_text(a, r, row, 4);
	c->txn = db_text(a, r, row, 5);
	c->profile = db_text(a, r, row, 6);
	db_fixed(r, row, 7, c->profile_hash, STORE_HASH_SIZE);
	c->principal = db_text(a, r, row, 8);
	c->not_before = db_time(r, row, 9);
	c->not_after = db_time(r, row, 10);
	c->subject = db_text(a, r, row, 11);
	db_fixed(r, row, 12, c->spki_sha256, STORE_HASH_SIZE);
	db_fixed(r, row, 13, c->fingerprint, STORE_HASH_SIZE);
	c->der = db_bytes(a, r, row, 14);
	c->sign_slot = (uint8_t)db_i2(r, row, 15);
	c->sign_seq = (uint64_t)db_i8(r, row, 16);
	db_fixed(r, row, 17, c->sign_head, STORE_HASH_SIZE);
	c->revoked = db_bool(r, row, 18);
	c->reason = db_i2(r, row, 19);
	c->revoked_at = db_time(r, row, 20);
	c->issued_at = db_time(r, row, 21);
	c->invalidity_at = db_time(r, row, 22);
}

static int
get_one(struct db *db, struct arena *a, const struct db_stmt *stmt,
    const struct db_args *p, struct store_cert *out, struct err *e)
{
	AUTO(PGresult) r = NULL;

	if (db_one(db, stmt, p, &r, "certificate", e) == -1)
		return -1;
	memset(out, 0, sizeof(*out));
	read_cert(a, r, 0, out);
	return 0;
}

int
store_cert_get(struct db *db, struct arena *a, int64_t id,
    struct store_cert *out, struct err *e)
{
	static const struct db_stmt stmt = { "cert_get",
		CERT_COLUMNS("NULL") " WHERE c.id = $1", true };
	struct db_args p = { .n = 0 };

	db_arg_i8(&p, id);
	return get_one(db, a, &stmt, &p, out, e);
}

int
store_cert_names(
    struct db *db, struct arena *a, struct store_cert *c, struct err *e)
{
	static const struct db_stmt stmt = { "cert_names",
		"SELECT " NAMES_OF("$1"), true };
	AUTO(PGresult) r = NULL;
	struct db_args p = { .n = 0 };

	db_arg_i8(&p, c->id);
	if (db_one(db, &stmt, &p, &r, "certificate", e) == -1)
		return -1;
	read_names(a, r, 0, 0, c);
	return 0;
}

/* The status first: it has the id, which names the partition of the rest. */
int
store_cert_by_serial(struct db *db, struct arena *a, int issuer,
    struct span serial, struct store_cert *out, struct err *e)
{
	static const struct db_stmt find = { "cert_by_serial_status",
		"SELECT cert_id, status = 1, reason FROM cert_status"
		" WHERE issuer = $1 AND serial = $2",
		true };
	static const struct db_stmt get = { "cert_by_serial",
		"SELECT profile, principal, subject, der FROM cert"
		" WHERE id = $1",
		true };
	AUTO(PGresult) status = NULL;
	AUTO(PGresult) r = NULL;
	struct db_args p = { .n = 0 };

	*out = (struct store_cert){ 0 };
	db_arg_i4(&p, issuer);
	db_arg_bytes(&p, serial);
	if (db_one(db, &find, &p, &status, "certificate", e) == -1)
		return -1;
	out->id = db_i8(status, 0, 0);
	out->revoked = db_bool(status, 0, 1);
	out->reason = db_i2(status, 0, 2);
	p.n = 0;
	db_arg_i8(&p, out->id);
	if (db_one(db, &get, &p, &r, "certificate", e) == -1)
		return -1;
	out->profile = db_text(a, r, 0, 0);
	out->principal = db_text(a, r, 0, 1);
	out->subject = db_text(a, r, 0, 2);
	out->der = db_bytes(a, r, 0, 3);
	return 0;
}

int
store_cert_by_fingerprint(struct db *db, struct arena *a,
    const uint8_t fingerprint[STORE_HASH_SIZE], struct store_cert *out,
    struct err *e)
{
	static const struct db_stmt stmt = { "cert_by_fingerprint",
		CERT_COLUMNS("NULL") " WHERE c.fingerprint = $1", true };
	struct db_args p = { .n = 0 };

	db_arg_bytes(&p, span_of(fingerprint, STORE_HASH_SIZE));
	return get_one(db, a, &stmt, &p, out, e);
}

static void
build_list(struct query *q, const struct store_cert_query *s)
{
	size_t limit = s->limit;

	buf_str(&q->sql, CERT_COLUMNS(NAMES_OF("c.id")) " WHERE true");
	query_text(q, "i.name = ", s->issuer_name);
	query_text(q, "c.profile = ", s->profile);
	query_text(q, "c.principal = ", s->principal);
	query_name(q, s->name);
	query_time(q, "c.not_after < ", s->expires_before);
	query_time(q, "c.not_after > ", s->expires_after);
	query_int(q, "c.id < ", s->before_id);
	query_bytes(q, "c.serial = ", s->serial);
	if (s->revoked >= 0)
		buf_printf(&q->sql, " AND s.status = %d", s->revoked != 0);
	if (limit == 0 || limit > LIST_MAX)
		limit = LIST_MAX;
	buf_printf(&q->sql, " ORDER BY c.id DESC LIMIT %zu", limit);
}

int
store_cert_list(struct db *db, struct arena *a,
    const struct store_cert_query *s, struct store_cert **out, size_t *n,
    struct err *e)
{
	struct query q;
	AUTO(PGresult) r = NULL;
	size_t i;
	int rc;

	query_init(&q);
	build_list(&q, s);
	rc = query_run(&q, db, &r, e);
	buf_clear(&q.sql);
	if (rc == -1)
		return -1;
	*n = (size_t)PQntuples(r);
	*out = arena_array(a, *n, sizeof(**out));
	for (i = 0; i < *n; i++) {
		read_cert(a, r, (int)i, &(*out)[i]);
		read_names(a, r, (int)i, 23, &(*out)[i]);
	}
	return 0;
}

/* Ids grow with time and hold the month, so few partitions are looked at. */
int
store_cert_recent(struct db *db, const char *principal, const char *profile,
    unsigned max, unsigned *n, struct err *e)
{
	static const struct db_stmt stmt = { "cert_recent",
		"SELECT count(*) FILTER (WHERE x.issued_at > now()"
		" - interval '1 hour') FROM (SELECT c.issued_at FROM cert c"
		" WHERE c.principal = $1 AND c.profile = $2"
		" AND c.id >= cert_month(now() - interval '1 hour') << 40"
		" ORDER BY c.id DESC LIMIT $3) x",
		true };
	AUTO(PGresult) r = NULL;
	struct db_args p = { .n = 0 };

	db_arg_text(&p, principal);
	db_arg_text(&p, profile);
	db_arg_i8(&p, max);
	if (db_exec(db, &stmt, &p, &r, e) == -1)
		return -1;
	*n = (unsigned)db_i8(r, 0, 0);
	return 0;
}
