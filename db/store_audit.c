#include "db/store_audit.h"

#include <inttypes.h>
#include <string.h>

#include "base/buf.h"
#include "db/db_int.h"
#include "db/store_int.h"
#include "db/writer_int.h"

#define LEAF_MAX 65536

/* Backslash, newline and other control characters as \xx in hex. */
static void
add_escaped(struct buf *b, const char *s)
{
	const char *from = s;

	for (; *s != '\0'; s++) {
		if ((uint8_t)*s >= 0x20 && *s != '\\' && *s != 0x7f)
			continue;
		buf_add(b, from, (size_t)(s - from));
		buf_printf(b, "\\%02x", (uint8_t)*s);
		from = s + 1;
	}
	buf_add(b, from, (size_t)(s - from));
}

struct span
audit_leaf(struct arena *a, const struct audit_event *ev)
{
	AUTO_BUF(b, LEAF_MAX);
	size_t i;

	buf_str(&b, "kind=");
	add_escaped(&b, ev->kind);
	buf_str(&b, "\n");
	if (ev->cert_id != 0)
		buf_printf(&b, "cert=%" PRId64 "\n", ev->cert_id);
	for (i = 0; i < ev->n_pairs; i++) {
		if (ev->pairs[i].value == NULL)
			continue;
		buf_str(&b, ev->pairs[i].key);
		buf_str(&b, "=");
		add_escaped(&b, ev->pairs[i].value);
		buf_str(&b, "\n");
	}
	return span_dup(a, buf_get(&b));
}

static const struct writer_stmt put_stmt = {
	.db = { "audit_put",
	    "WITH a AS (INSERT INTO audit (writer, seq, cert_id, kind, leaf)"
	    " SELECT $1::int, " STORE_LAST_AUDIT
	    " + u.ord, nullif(u.cert_id, 0),"
	    " u.kind, u.leaf"
	    " FROM unnest($2::bigint[], $3::text[], $4::bytea[])"
	    " WITH ORDINALITY AS u(cert_id, kind, leaf, ord)"
	    " RETURNING seq)"
	    " SELECT u.ord, 0, 0::bigint"
	    " FROM unnest($2::bigint[]) WITH ORDINALITY AS u(id, ord)"
	    " WHERE (SELECT count(*) FROM a) > 0",
	    false },
	.cols = "lsb",
};

int
store_audit_put(struct writer *w, const struct audit_event *ev, struct err *e)
{
	AUTO(arena_auto) a = arena_new();
	struct writer_row r = { .stmt = &put_stmt };

	writer_int(&r, ev->cert_id);
	writer_text(&r, ev->kind);
	writer_bytes(&r, audit_leaf(a, ev));
	return writer_do(w, &r, NULL, e);
}

int
store_audit_of_cert(struct db *db, struct arena *a, int64_t cert_id,
    struct audit_row **out, size_t *n, struct err *e)
{
	static const struct db_stmt stmt = { "audit_of_cert",
		"SELECT writer, seq, at, cert_id, kind, actor::text, leaf"
		" FROM audit WHERE cert_id = $1 ORDER BY at, writer, seq",
		true };
	AUTO(PGresult) r = NULL;
	struct db_args p = { .n = 0 };
	struct audit_row *row;
	size_t i;

	db_arg_i8(&p, cert_id);
	if (db_exec(db, &stmt, &p, &r, e) == -1)
		return -1;
	*n = (size_t)PQntuples(r);
	*out = row = arena_array(a, *n, sizeof(**out));
	for (i = 0; i < *n; i++, row++) {
		row->writer = (uint16_t)db_i4(r, (int)i, 0);
		row->seq = (uint64_t)db_i8(r, (int)i, 1);
		row->at_us = db_time_us(r, (int)i, 2);
		row->cert_id = db_i8(r, (int)i, 3);
		row->kind = db_text(a, r, (int)i, 4);
		row->actor = db_text(a, r, (int)i, 5);
		row->leaf = db_bytes(a, r, (int)i, 6);
	}
	return 0;
}
