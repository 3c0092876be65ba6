#include "bench/crl_rows.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "db/db_int.h"
#include "db/store_revoke.h"

static _Noreturn void
die(const struct err *e)
{
	(void)fprintf(stderr, "bench: rows: %s\n", e->text);
	exit(1);
}

void
crl_rows(struct pubd_world *x, long entries)
{
	struct db *db = db_new_bare(pg_conninfo(x->pg, "postgres"), "bench");
	struct err e;

	if (db_script(db,
		arena_printf(x->a,
		    "INSERT INTO chancery.cert_status (cert_id, not_after,"
		    " issuer, serial) SELECT i, now() + interval '90 days', %d,"
		    " '\\x3f'::bytea || int8send(i)"
		    " FROM generate_series(0, %d) AS i",
		    x->issuer, CRL_ROWS_GOOD - 1),
		&e) == -1 ||
	    db_script(db,
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
	    db_script(db, "CHECKPOINT", &e) == -1)
		die(&e);
	db_free(db);
}

void
crl_rows_revoke(struct pubd_world *x, struct writer *w, size_t i)
{
	uint8_t serial[9] = { 0x3f };
	struct store_revocation r = { .issuer = x->issuer,
		.serial = span_of(serial, sizeof(serial)),
		.reason = 4,
		.at = clock_now(),
		.actor = "bench",
		.request_id = "bench" };
	struct err e;

	serial[7] = (uint8_t)(i >> 8);
	serial[8] = (uint8_t)i;
	if (store_revoke(w, &r, &e) == -1)
		die(&e);
}
