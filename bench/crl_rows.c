#include "bench/crl_rows.h"

#include <stdio.h>
#include <stdlib.h>

#include "db/db_int.h"

void
crl_rows(struct pubd_world *x, long entries)
{
	struct db *db = db_new_bare(pg_conninfo(x->pg, "postgres"), "bench");
	struct err e;

	if (db_script(db,
		arena_printf(x->a,
		    "SET search_path = chancery;"
		    "INSERT INTO cert_status (cert_id, not_after, revoked_at,"
		    " issuer, status, reason, serial)"
		    " SELECT i, now() + interval '90 days',"
		    " now() - i * interval '1 second', %d, 1, 1 + i %% 5,"
		    " '\\x40'::bytea || substr(sha256(i::text::bytea), 1, 15)"
		    " FROM generate_series(1, %ld) AS i",
		    x->issuer, entries),
		&e) == -1 ||
	    db_script(db, "VACUUM ANALYZE chancery.cert_status", &e) == -1 ||
	    db_script(db, "CHECKPOINT", &e) == -1) {
		(void)fprintf(stderr, "bench: rows: %s\n", e.text);
		exit(1);
	}
	db_free(db);
}
