#include <string.h>

#include "db/db_int.h"
#include "db/store_acme.h"
#include "db/store_int.h"

/* r: the pipeline's request row of the order, unless it was given up. */
#define ORDER_SELECT                                                           \
	"SELECT o.id, o.account, o.profile, o.created_at, o.expires_at,"       \
	" o.not_before, o.not_after, o.identifiers, o.authz,"                  \
	" r.cert_id,"                                                          \
	" (SELECT c.id FROM cert c WHERE c.id = r.cert_id) IS NOT NULL,"       \
	" o.expires_at <= now(), z.good, z.bad,"                               \
	" CASE r.state WHEN 1 THEN false WHEN 4 THEN true"                     \
	" ELSE (SELECT p.expires_at <= now() FROM pending p"                   \
	" WHERE p.protocol = 'acme' AND p.txn = o.id) END"                     \
	" FROM acme_order o LEFT JOIN request r ON r.protocol = 'acme'"        \
	" AND r.txn = o.id AND r.state <> 2"                                   \
	" LEFT JOIN LATERAL (SELECT"                                           \
	" bool_and(coalesce(s.status = 1, false)) AS good,"                    \
	" bool_or(s.status > 1) AS bad FROM unnest(o.authz) AS u(id)"          \
	" LEFT JOIN authz_state s ON s.id = u.id) z ON true"

/*
 * An order whose request is pending, approved or an open intent is on its
 * way; one that an operator rejected, or that waited in vain, is not.
 */
static enum store_order_status
order_status(const PGresult *r, int row)
{
	bool issued = db_bool(r, row, 10), requested = !db_null(r, row, 9);

	if (issued)
		return STORE_ORDER_VALID;
	if (requested)
		return db_bool(r, row, 14) ? STORE_ORDER_INVALID
					   : STORE_ORDER_PROCESSING;
	if (db_bool(r, row, 11) || db_bool(r, row, 13))
		return STORE_ORDER_INVALID;
	return db_bool(r, row, 12) ? STORE_ORDER_READY : STORE_ORDER_PENDING;
}

/* "type:value", with "*." before the value of a wildcard. */
static void
parse_identifier(
    struct arena *a, const char *text, struct store_identifier *out)
{
	char *s = arena_strdup(a, text), *value = strchr(s, ':');

	out->type = s;
	if (value == NULL)
		value = s + strlen(s);
	else
		*value++ = '\0';
	out->wildcard = strncmp(value, "*.", 2) == 0;
	out->value = value + (out->wildcard ? 2 : 0);
}

static void
read_order(struct arena *a, const PGresult *r, int row, struct store_order *o)
{
	struct store_identifier *ids;
	const char **names;
	size_t i, n;

	o->id = db_text(a, r, row, 0);
	o->account = db_text(a, r, row, 1);
	o->profile = db_text(a, r, row, 2);
	o->created_us = db_time_us(r, row, 3);
	o->expires_at = db_time(r, row, 4);
	o->not_before = db_time(r, row, 5);
	o->not_after = db_time(r, row, 6);
	names = db_texts(a, r, row, 7, &n);
	ids = arena_array(a, n, sizeof(*ids));
	for (i = 0; i < n; i++)
		parse_identifier(a, names[i], &ids[i]);
	o->identifiers = ids;
	o->n_identifiers = n;
	o->authz = db_texts(a, r, row, 8, &o->n_authz);
	o->status = order_status(r, row);
	o->cert_id = o->status == STORE_ORDER_VALID ? db_i8(r, row, 9) : 0;
}

int
store_order_get(struct db *db, struct arena *a, const char *id,
    struct store_order *out, struct err *e)
{
	static const struct db_stmt stmt = { "order_get",
		ORDER_SELECT " WHERE o.id = $1", true };
	AUTO(PGresult) r = NULL;
	struct db_args p = { .n = 0 };

	db_arg_text(&p, id);
	if (db_one(db, &stmt, &p, &r, "order", e) == -1)
		return -1;
	read_order(a, r, 0, out);
	return 0;
}

int
store_order_list(struct db *db, struct arena *a,
    const struct store_order_query *q, struct store_order **out, size_t *n,
    struct err *e)
{
	static const struct db_stmt stmt = { "order_list",
		ORDER_SELECT " WHERE o.account = $1 AND o.created_at <"
			     " CASE $2::bigint WHEN 0 THEN 'infinity' ELSE"
			     " 'epoch'::timestamptz + $2::bigint *"
			     " interval '1 microsecond' END"
			     " ORDER BY o.created_at DESC LIMIT $3",
		true };
	AUTO(PGresult) r = NULL;
	struct db_args p = { .n = 0 };
	size_t i;

	db_arg_text(&p, q->account);
	db_arg_i8(&p, q->before_us);
	db_arg_i8(&p, (int64_t)q->max);
	if (db_exec(db, &stmt, &p, &r, e) == -1)
		return -1;
	*n = (size_t)PQntuples(r);
	*out = arena_array(a, *n, sizeof(**out));
	for (i = 0; i < *n; i++)
		read_order(a, r, (int)i, &(*out)[i]);
	return 0;
}

/* One row for each challenge, with the result that counts, or the last. */
#define AUTHZ_SELECT                                                           \
	"SELECT s.id, s.account, s.type, s.value, s.wildcard, s.status,"       \
	" s.expires_at, c.id, c.type, c.token, v.ok, v.final, v.at,"           \
	" v.error_type, v.error_detail, l.challenge IS NOT NULL"               \
	" FROM authz_state s JOIN acme_challenge c ON c.authz = s.id"          \
	" LEFT JOIN LATERAL (SELECT x.ok, x.final, x.at, x.error_type,"        \
	" x.error_detail FROM validation x WHERE x.authz = s.id"               \
	" AND x.challenge = c.id ORDER BY x.final DESC, x.at DESC,"            \
	" x.seq DESC LIMIT 1) v ON true"                                       \
	" LEFT JOIN validation_lease l ON l.challenge = c.id"

static void
read_challenge(
    struct arena *a, const PGresult *r, int row, struct store_challenge *c)
{
	c->id = db_text(a, r, row, 7);
	c->type = db_text(a, r, row, 8);
	c->token = db_text(a, r, row, 9);
	c->status = STORE_CHALLENGE_PENDING;
	if (db_bool(r, row, 10))
		c->status = STORE_CHALLENGE_VALID;
	else if (db_bool(r, row, 11))
		c->status = STORE_CHALLENGE_INVALID;
	else if (db_bool(r, row, 15))
		c->status = STORE_CHALLENGE_PROCESSING;
	if (c->status == STORE_CHALLENGE_VALID)
		c->validated_at = db_time(r, row, 12);
	c->error_type = db_text(a, r, row, 13);
	c->error_detail = db_text(a, r, row, 14);
}

static int
get_authz(struct db *db, struct arena *a, const struct db_stmt *stmt,
    const char *id, struct store_authz *out, struct err *e)
{
	AUTO(PGresult) r = NULL;
	struct db_args p = { .n = 0 };
	struct store_challenge *list;
	size_t i;

	db_arg_text(&p, id);
	if (db_one(db, stmt, &p, &r, "authorization", e) == -1)
		return -1;
	out->id = db_text(a, r, 0, 0);
	out->account = db_text(a, r, 0, 1);
	out->identifier.type = db_text(a, r, 0, 2);
	out->identifier.value = db_text(a, r, 0, 3);
	out->identifier.wildcard = db_bool(r, 0, 4);
	out->status = (enum store_authz_status)db_i4(r, 0, 5);
	out->expires_at = db_time(r, 0, 6);
	out->n_challenges = (size_t)PQntuples(r);
	list = arena_array(a, out->n_challenges, sizeof(*list));
	for (i = 0; i < out->n_challenges; i++)
		read_challenge(a, r, (int)i, &list[i]);
	out->challenges = list;
	return 0;
}

int
store_authz_get(struct db *db, struct arena *a, const char *id,
    struct store_authz *out, struct err *e)
{
	static const struct db_stmt stmt = { "authz_get",
		AUTHZ_SELECT " WHERE s.id = $1 ORDER BY c.type, c.id", true };

	return get_authz(db, a, &stmt, id, out, e);
}

int
store_authz_by_challenge(struct db *db, struct arena *a, const char *challenge,
    struct store_authz *out, struct err *e)
{
	static const struct db_stmt stmt = { "authz_by_challenge",
		AUTHZ_SELECT " WHERE s.id = (SELECT k.authz"
			     " FROM acme_challenge k WHERE k.id = $1)"
			     " ORDER BY c.type, c.id",
		true };

	return get_authz(db, a, &stmt, challenge, out, e);
}
