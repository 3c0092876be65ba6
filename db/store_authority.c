#include "db/store_authority.h"

#include "db/db_int.h"

#define PATHS_SIZE_MAX ((size_t)64 * 1024)

int
store_authority_list(struct db *db, struct arena *a,
    struct store_authority **out, size_t *n, struct err *e)
{
	static const struct db_stmt stmt = { "authority_list",
		"SELECT id, name, spki_sha256, cert,"
		" coalesce(crl_paths, '{}') FROM issuer ORDER BY name",
		true };
	AUTO(PGresult) r = NULL;
	struct store_authority *x;
	size_t i;

	if (db_exec(db, &stmt, NULL, &r, e) == -1)
		return -1;
	*n = (size_t)PQntuples(r);
	*out = arena_array(a, *n, sizeof(**out));
	for (i = 0; i < *n; i++) {
		x = &(*out)[i];
		x->id = db_i4(r, (int)i, 0);
		x->name = db_text(a, r, (int)i, 1);
		db_fixed(r, (int)i, 2, x->spki_sha256, STORE_HASH_SIZE);
		x->cert = db_bytes(a, r, (int)i, 3);
		x->paths = db_texts(a, r, (int)i, 4, &x->n_paths);
	}
	return 0;
}

int
store_authority_put(struct db *db, struct store_authority *x, struct err *e)
{
	static const struct db_stmt stmt = { "authority_put",
		"INSERT INTO issuer AS i (name, spki_sha256, cert, crl_paths)"
		" VALUES ($1, $2, $3, $4) ON CONFLICT (name) DO UPDATE"
		" SET cert = excluded.cert, crl_paths = excluded.crl_paths"
		" WHERE i.spki_sha256 = excluded.spki_sha256 RETURNING id",
		false };
	AUTO(PGresult) r = NULL;
	struct db_args p = { .n = 0 };
	struct db_array paths;
	size_t i;
	int rc;

	db_array_init(&paths, PATHS_SIZE_MAX);
	db_array_start(&paths, DB_OID_TEXT);
	for (i = 0; i < x->n_paths; i++)
		db_array_bytes(&paths, span_str(x->paths[i]));
	db_arg_text(&p, x->name);
	db_arg_bytes(&p, span_of(x->spki_sha256, STORE_HASH_SIZE));
	db_arg_bytes(&p, x->cert);
	db_arg_bytes(&p, db_array_get(&paths));
	rc = db_exec(db, &stmt, &p, &r, e);
	db_array_clear(&paths);
	if (rc == -1)
		return -1;
	if (PQntuples(r) == 0)
		return err_set(e, ERR_CONFLICT,
		    "the name \"%s\" belongs to another key", x->name);
	x->id = db_i4(r, 0, 0);
	return 0;
}
