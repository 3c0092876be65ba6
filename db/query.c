#include "db/query.h"

#include <string.h>

void
query_init(struct query *q)
{
	buf_init(&q->sql, QUERY_MAX);
	q->args.n = 0;
}

void
query_text(struct query *q, const char *condition, const char *v)
{
	if (v == NULL)
		return;
	db_arg_text(&q->args, v);
	buf_printf(&q->sql, " AND %s$%d", condition, q->args.n);
}

void
query_int(struct query *q, const char *condition, int64_t v)
{
	if (v == 0)
		return;
	db_arg_i8(&q->args, v);
	buf_printf(&q->sql, " AND %s$%d", condition, q->args.n);
}

void
query_time(struct query *q, const char *condition, int64_t v)
{
	if (v == 0)
		return;
	db_arg_time(&q->args, v);
	buf_printf(&q->sql, " AND %s$%d", condition, q->args.n);
}

void
query_bytes(struct query *q, const char *condition, struct span v)
{
	if (v.n == 0)
		return;
	db_arg_bytes(&q->args, v);
	buf_printf(&q->sql, " AND %s$%d", condition, q->args.n);
}

/*
 * Reversed names under a suffix lie between "moc.elpmaxe." and
 * "moc.elpmaxe/": in ASCII the slash follows the dot.
 */
void
query_name(struct query *q, const char *name)
{
	if (name == NULL)
		return;
	if (strncmp(name, "*.", 2) != 0) {
		query_text(q,
		    "c.id IN (SELECT k.cert_id FROM cert_name k"
		    " WHERE k.rev = reverse(lower(",
		    name);
		buf_str(&q->sql, ")))");
		return;
	}
	db_arg_text(&q->args, name + 1);
	buf_printf(&q->sql,
	    " AND c.id IN (SELECT k.cert_id FROM cert_name k"
	    " WHERE k.rev >= reverse(lower($%d))"
	    " AND k.rev < reverse('/' || substr(lower($%d), 2)))",
	    q->args.n, q->args.n);
}

int
query_run(struct query *q, struct db *db, PGresult **out, struct err *e)
{
	buf_u8(&q->sql, 0);
	if (!buf_ok(&q->sql))
		return err_set(e, ERR_INTERNAL, "query is too long");
	return db_query(db, (const char *)q->sql.p, &q->args, out, e);
}
