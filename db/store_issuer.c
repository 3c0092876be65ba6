#include <string.h>

#include "db/db_int.h"
#include "db/store_cert.h"

/* Rare, so not the writer's business; the name keeps its key. */
static const struct db_stmt put_stmt = { "issuer_put",
	"INSERT INTO issuer AS i (name, spki_sha256, cert)"
	" VALUES ($1, $2, $3) ON CONFLICT (name) DO UPDATE"
	" SET cert = excluded.cert"
	" WHERE i.spki_sha256 = excluded.spki_sha256 RETURNING id",
	false };

int
store_issuer_put(struct db *db, struct store_issuer *i, struct err *e)
{
	AUTO(PGresult) r = NULL;
	struct db_args p = { .n = 0 };

	db_arg_text(&p, i->name);
	db_arg_bytes(&p, span_of(i->spki_sha256, STORE_HASH_SIZE));
	db_arg_bytes(&p, i->cert);
	if (db_exec(db, &put_stmt, &p, &r, e) == -1)
		return -1;
	if (PQntuples(r) == 0)
		return err_set(
		    e, ERR_CONFLICT, "issuer \"%s\" has another key", i->name);
	i->id = db_i4(r, 0, 0);
	return 0;
}

int
store_issuer_get(struct db *db, struct arena *a, const char *name,
    struct store_issuer *out, struct err *e)
{
	static const struct db_stmt stmt = { "issuer_get",
		"SELECT id, name, spki_sha256, cert FROM issuer"
		" WHERE name = $1",
		true };
	AUTO(PGresult) r = NULL;
	struct db_args p = { .n = 0 };

	db_arg_text(&p, name);
	if (db_one(db, &stmt, &p, &r, "issuer", e) == -1)
		return -1;
	memset(out, 0, sizeof(*out));
	out->id = db_i4(r, 0, 0);
	out->name = db_text(a, r, 0, 1);
	db_fixed(r, 0, 2, out->spki_sha256, STORE_HASH_SIZE);
	out->cert = db_bytes(a, r, 0, 3);
	return 0;
}

int
store_cert_partitions(struct db *db, int months, struct err *e)
{
	static const struct db_stmt stmt = { "cert_partitions",
		"SELECT cert_partitions($1)", false };
	AUTO(PGresult) r = NULL;
	struct db_args p = { .n = 0 };

	db_arg_i4(&p, months);
	return db_exec(db, &stmt, &p, &r, e);
}
