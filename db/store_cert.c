#include "db/store_cert.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/b64.h"
#include "db/db_int.h"
#include "db/store_audit.h"
#include "db/store_int.h"
#include "db/writer_int.h"

static struct span
hash_of(const uint8_t h[STORE_HASH_SIZE])
{
	return span_of(h, STORE_HASH_SIZE);
}

static const char *
hash_hex(struct arena *a, const uint8_t h[STORE_HASH_SIZE])
{
	return hex_encode(a, hash_of(h));
}

/*
 * The arrays of a batch as rows 't', each with a new id, or none when its key
 * is blocked: then the usual form fails and the careful one says so.
 */
#define RESERVE_ROWS(more_arrays, more_names)                                    \
	"WITH t AS MATERIALIZED (SELECT u.*, CASE WHEN"                          \
	" (SELECT b.at FROM blocked_key b WHERE b.spki_sha256 = u.spki)"         \
	" IS NULL THEN (SELECT cert_month(now()) << 40)"                         \
	" | nextval('cert_seq') END AS id"                                       \
	" FROM unnest($2::text[], $3::text[], $4::bytea[], $5::int[],"           \
	" $6::bytea[], $7::bytea[], $8::int[], $9::text[], $10::bytea[],"        \
	" $11::text[], $12::bytea[], $13::bytea[], $14::bigint[]" more_arrays    \
	") WITH ORDINALITY"                                                      \
	" AS u(protocol, txn, request_hash, issuer, serial, tbs_hash,"           \
	" slot, profile, profile_hash, principal, spki, leaf, repeat" more_names \
	", ord)),"
#define RESERVE_REQUEST                                                        \
	" r AS (INSERT INTO request AS x (protocol, txn, state, slot,"         \
	" class, issuer, cert_id, request_hash, tbs_hash, profile_hash,"       \
	" serial, profile, principal)"                                         \
	" SELECT protocol, txn, 1, slot, $1::int >> 12, issuer, id,"           \
	" request_hash, tbs_hash, profile_hash, serial, profile, principal"    \
	" FROM t"
#define RESERVE_AUDIT                                                          \
	" a AS (INSERT INTO audit (writer, seq, cert_id, kind, leaf)"          \
	" SELECT $1::int, " STORE_LAST_AUDIT
/*
 * What is taken over: a transaction that was given up, this very request when
 * it was approved, and one whose certificate answers no more.
 */
#define RESERVE_TAKEN                                                                                                                                \
	" ON CONFLICT (protocol, txn) DO UPDATE SET state = 1,"                                                                                      \
	" slot = excluded.slot, class = excluded.class,"                                                                                             \
	" issuer = excluded.issuer, cert_id = excluded.cert_id,"                                                                                     \
	" created_at = now(), request_hash = excluded.request_hash,"                                                                                 \
	" tbs_hash = excluded.tbs_hash, serial = excluded.serial,"                                                                                   \
	" profile_hash = excluded.profile_hash,"                                                                                                     \
	" profile = excluded.profile, principal = excluded.principal"                                                                                \
	" WHERE x.state = 2"                                                                                                                         \
	" OR x.state = 3 AND x.request_hash = excluded.request_hash"                                                                                 \
	" OR x.state = 1 AND " STORE_ANSWERS_NO_MORE(                                                                                                \
	    "(SELECT t.repeat FROM t WHERE t.id = excluded.cert_id)") " RETURNING cert_id),"                                                         \
								      " ok AS MATERIALIZED (SELECT t.ord, t.id, t.leaf,"                             \
								      " row_number() OVER () AS n FROM t JOIN r ON r.cert_id = t.id)," RESERVE_AUDIT \
								      " + n, id, 'intent', leaf FROM ok)"                                            \
								      " SELECT ord, 0, id FROM ok UNION ALL"                                         \
								      " SELECT ord, 3, 0::bigint FROM t WHERE id IS NULL"

static const struct writer_stmt reserve_stmt = {
	.db = { "cert_reserve",
	    RESERVE_ROWS("", "") RESERVE_REQUEST
	    ")," RESERVE_AUDIT
	    " + ord, id, 'intent', leaf FROM t) SELECT ord, 0, id FROM t",
	    false },
	.careful = { "cert_reserve_careful",
	    RESERVE_ROWS("", "") RESERVE_REQUEST
	    " WHERE id IS NOT NULL" RESERVE_TAKEN,
	    false },
	.cols = "ssbibbisbsbbl",
};

/* The same with a one-time secret, which is used up by it. */
static const struct writer_stmt reserve_once_stmt = {
	.db = { "cert_reserve_once",
	    RESERVE_ROWS(", $15::bigint[]", ", secret")
		STORE_SECRET_USE_IF("t.id IS NOT NULL") RESERVE_REQUEST
	    " WHERE id IS NOT NULL"
	    " AND ord IN (SELECT ord FROM used)" RESERVE_TAKEN
	    " UNION ALL SELECT ord, 4, 0::bigint FROM t WHERE id IS NOT NULL"
	    " AND ord NOT IN (SELECT ord FROM used)",
	    false },
	.cols = "ssbibbisbsbbll",
};

static struct span
intent_leaf(struct arena *a, const struct store_intent *in)
{
	const struct audit_pair pairs[] = {
		{ "protocol", in->protocol },
		{ "txn", in->txn },
		{ "request", hash_hex(a, in->request_hash) },
		{ "issuer", arena_printf(a, "%d", in->issuer) },
		{ "serial", hex_encode(a, in->serial) },
		{ "tbs", hash_hex(a, in->tbs_hash) },
		{ "slot", arena_printf(a, "%d", in->slot) },
		{ "profile", in->profile },
		{ "profileHash", hash_hex(a, in->profile_hash) },
		{ "principal", in->principal },
		{ "notBefore", arena_printf(a, "%" PRId64, in->not_before) },
		{ "notAfter", arena_printf(a, "%" PRId64, in->not_after) },
		{ "req", in->request_id },
	};
	struct audit_event ev = { "intent", 0, pairs,
		sizeof(pairs) / sizeof(pairs[0]) };

	return audit_leaf(a, &ev);
}

int
store_cert_reserve(struct writer *w, const struct store_intent *in,
    const struct writer_wait *how, int64_t *cert_id, struct err *e)
{
	AUTO(arena_auto) a = arena_new();
	struct writer_row r = { .stmt = in->secret == 0 ? &reserve_stmt
							: &reserve_once_stmt };

	writer_text(&r, in->protocol);
	writer_text(&r, in->txn);
	writer_bytes(&r, hash_of(in->request_hash));
	writer_int(&r, in->issuer);
	writer_bytes(&r, in->serial);
	writer_bytes(&r, hash_of(in->tbs_hash));
	writer_int(&r, in->slot);
	writer_text(&r, in->profile);
	writer_bytes(&r, hash_of(in->profile_hash));
	writer_text(&r, in->principal);
	writer_bytes(&r, hash_of(in->spki_sha256));
	writer_bytes(&r, intent_leaf(a, in));
	store_repeat(&r, in->repeat_s);
	if (in->secret != 0)
		writer_int(&r, in->secret);
	if (writer_do_with(w, &r, how, cert_id, e) == 0)
		return 0;
	if (e != NULL && e->kind == ERR_CONFLICT)
		return err_set(e, ERR_CONFLICT,
		    "transaction \"%s\" of %s exists already", in->txn,
		    in->protocol);
	if (e != NULL && e->kind == ERR_BAD_KEY)
		return err_set(e, ERR_BAD_KEY,
		    "the key is blocked: it was revoked as compromised");
	if (e != NULL && e->kind == ERR_UNAUTHENTICATED)
		return store_secret_used(e);
	return -1;
}

/* The arrays of a batch as rows 't'. */
#define COMMIT_ROWS                                                            \
	"WITH t AS MATERIALIZED (SELECT u.*"                                   \
	" FROM unnest($2::bigint[], $3::int[], $4::bytea[], $5::text[],"       \
	" $6::text[], $7::text[], $8::bytea[], $9::text[],"                    \
	" $10::timestamptz[], $11::timestamptz[], $12::text[],"                \
	" $13::bytea[], $14::bytea[], $15::bytea[], $16::int[],"               \
	" $17::bigint[], $18::bytea[], $19::bytea[]) WITH ORDINALITY"          \
	" AS u(id, issuer, serial, protocol, txn, profile, profile_hash,"      \
	" principal, not_before, not_after, subject, spki, fingerprint,"       \
	" der, sign_slot, sign_seq, sign_head, leaf, ord)"
/* The row of 't' whose intent is open: nothing voided can be completed. */
#define COMMIT_INTENT                                                          \
	"(SELECT r.cert_id FROM request r WHERE r.protocol = u.protocol"       \
	" AND r.txn = u.txn AND r.state = 1 AND r.cert_id = u.id)"
#define COMMIT_CERT(id, from)                                                  \
	" c AS (INSERT INTO cert (id, not_before, not_after, sign_seq,"        \
	" issuer, sign_slot, serial, profile_hash, spki_sha256,"               \
	" fingerprint, sign_head, protocol, txn, profile, principal,"          \
	" subject, der)"                                                       \
	" SELECT " id ", not_before, not_after, sign_seq, issuer, sign_slot,"  \
	" serial, profile_hash, spki, fingerprint, sign_head, protocol,"       \
	" txn, profile, principal, subject, der FROM " from
/* What goes with the certificates of 'from', 'n' counting them from 1. */
#define COMMIT_REST(from, n)                                                   \
	" k AS (INSERT INTO cert_name (cert_id, type, rev)"                    \
	" SELECT x.id, k.type, reverse(k.name)"                                \
	" FROM unnest($20::int[], $21::int[], $22::text[])"                    \
	" AS k(ord, type, name) JOIN " from " x ON x.ord = k.ord),"            \
	" s AS (INSERT INTO cert_status (cert_id, not_after, issuer,"          \
	" serial) SELECT id, not_after, issuer, serial FROM " from "),"        \
	" f AS (INSERT INTO status_change (writer, seq, cert_id,"              \
	" not_after, issuer, status, reason, serial)"                          \
	" SELECT $1::int, " STORE_LAST_CHANGE " + " n                          \
	", id, not_after, issuer, 0, -1, serial FROM " from "),"               \
	" a AS (INSERT INTO audit (writer, seq, cert_id, kind, leaf)"          \
	" SELECT $1::int, " STORE_LAST_AUDIT " + " n                           \
	", id, 'issue', leaf FROM " from ")"                                   \
	" SELECT ord, 0, id FROM " from

static const struct writer_stmt commit_stmt = {
	.db = { "cert_commit",
	    COMMIT_ROWS
	    ")," COMMIT_CERT(COMMIT_INTENT, "t u") ")," COMMIT_REST("t", "ord"),
	    false },
	.careful = { "cert_commit_careful",
	    COMMIT_ROWS " WHERE " COMMIT_INTENT " = u.id)," COMMIT_CERT("id",
		"t") " ON CONFLICT (id) DO NOTHING RETURNING id),"
		     " ok AS MATERIALIZED (SELECT t.ord, t.id, t.issuer, t.serial,"
		     " t.not_after, t.leaf, row_number() OVER () AS n"
		     " FROM t JOIN c USING (id))," COMMIT_REST("ok", "n"),
	    false },
	.cols = "libsssbsttsbbbilbb",
	.kid_cols = "is",
	.notify = STORE_CHANNEL,
};

/* Whether the same certificate was committed before. */
static const struct writer_stmt again_stmt = {
	.db = { "cert_again",
	    "SELECT u.ord, 0, u.id"
	    " FROM unnest($2::bigint[], $3::bytea[]) WITH ORDINALITY"
	    " AS u(id, fingerprint, ord) WHERE $1::int IS NOT NULL AND"
	    " (SELECT c.fingerprint FROM cert c WHERE c.id = u.id)"
	    " = u.fingerprint",
	    false },
	.cols = "lb",
};

static struct span
issue_leaf(struct arena *a, const struct store_cert *c, const char *request_id)
{
	const struct audit_pair pairs[] = {
		{ "protocol", c->protocol },
		{ "txn", c->txn },
		{ "issuer", arena_printf(a, "%d", c->issuer) },
		{ "serial", hex_encode(a, c->serial) },
		{ "fingerprint", hash_hex(a, c->fingerprint) },
		{ "profile", c->profile },
		{ "principal", c->principal },
		{ "subject", c->subject },
		{ "signSlot", arena_printf(a, "%d", c->sign_slot) },
		{ "signSeq", arena_printf(a, "%" PRIu64, c->sign_seq) },
		{ "signHead", hash_hex(a, c->sign_head) },
		{ "req", request_id },
	};
	struct audit_event ev = { "issue", c->id, pairs,
		sizeof(pairs) / sizeof(pairs[0]) };

	return audit_leaf(a, &ev);
}

static struct writer_val *
name_rows(struct arena *a, const struct store_cert *c)
{
	struct writer_val *v = arena_array(a, 2 * c->n_names, sizeof(*v));
	size_t i;

	for (i = 0; i < c->n_names; i++) {
		v[2 * i].i = c->names[i].type;
		v[2 * i + 1].s = span_str(c->names[i].text);
	}
	return v;
}

static void
cert_row(struct arena *a, struct writer_row *r, const struct store_cert *c,
    const char *request_id)
{
	writer_int(r, c->id);
	writer_int(r, c->issuer);
	writer_bytes(r, c->serial);
	writer_text(r, c->protocol);
	writer_text(r, c->txn);
	writer_text(r, c->profile);
	writer_bytes(r, hash_of(c->profile_hash));
	writer_text(r, c->principal);
	writer_int(r, c->not_before);
	writer_int(r, c->not_after);
	writer_text(r, c->subject);
	writer_bytes(r, hash_of(c->spki_sha256));
	writer_bytes(r, hash_of(c->fingerprint));
	writer_bytes(r, c->der);
	writer_int(r, c->sign_slot);
	writer_int(r, (int64_t)c->sign_seq);
	writer_bytes(r, hash_of(c->sign_head));
	writer_bytes(r, issue_leaf(a, c, request_id));
	r->kids = name_rows(a, c);
	r->n_kids = c->n_names;
}

static int
committed_before(struct writer *w, const struct store_cert *c, struct err *e)
{
	struct writer_row r = { .stmt = &again_stmt };

	writer_int(&r, c->id);
	writer_bytes(&r, hash_of(c->fingerprint));
	if (writer_do(w, &r, NULL, e) == 0)
		return 0;
	if (e->kind != ERR_CONFLICT)
		return -1;
	return err_set(e, ERR_CONFLICT,
	    "certificate %" PRId64 " has no open intent of transaction \"%s\"",
	    c->id, c->txn);
}

int
store_cert_commit(struct writer *w, const struct store_cert *c,
    const char *request_id, struct err *e)
{
	AUTO(arena_auto) a = arena_new();
	struct writer_row r = { .stmt = &commit_stmt };
	struct err why;

	cert_row(a, &r, c, request_id);
	if (writer_do(w, &r, NULL, &why) == 0)
		return 0;
	if (why.kind == ERR_CONFLICT && committed_before(w, c, &why) == 0)
		return 0;
	return err_set(e, why.kind, "%s", why.text);
}

static const struct writer_stmt void_stmt = {
	.db = { "cert_void",
	    "WITH t AS MATERIALIZED (SELECT u.*, (SELECT r.state"
	    " FROM request r WHERE r.protocol = u.protocol"
	    " AND r.txn = u.txn AND r.cert_id = u.id) AS old,"
	    " (SELECT c.id FROM cert c WHERE c.id = u.id) AS issued"
	    " FROM unnest($2::bigint[], $3::text[], $4::text[], $5::bytea[])"
	    " WITH ORDINALITY AS u(id, protocol, txn, leaf, ord)),"
	    " r AS (UPDATE request r SET state = 2 FROM t"
	    " WHERE r.protocol = t.protocol AND r.txn = t.txn"
	    " AND r.cert_id = t.id AND r.state = 1 AND t.issued IS NULL"
	    " RETURNING t.ord, t.id, t.leaf),"
	    " a AS (INSERT INTO audit (writer, seq, cert_id, kind, leaf)"
	    " SELECT $1::int, " STORE_LAST_AUDIT
	    " + row_number() OVER (ORDER BY ord),"
	    " id, 'void', leaf FROM r)"
	    " SELECT ord, 0, id FROM r UNION ALL"
	    " SELECT ord, CASE WHEN old IS NULL THEN 2"
	    " WHEN old = 2 THEN 0 ELSE 1 END, id FROM t"
	    " WHERE old IS DISTINCT FROM 1 OR issued IS NOT NULL",
	    false },
	.cols = "lssb",
};

int
store_cert_void(struct writer *w, int64_t cert_id, const char *protocol,
    const char *txn, const char *why, struct err *e)
{
	AUTO(arena_auto) a = arena_new();
	const struct audit_pair pairs[] = {
		{ "protocol", protocol },
		{ "txn", txn },
		{ "why", why },
	};
	struct audit_event ev = { "void", cert_id, pairs, 3 };
	struct writer_row r = { .stmt = &void_stmt };

	writer_int(&r, cert_id);
	writer_text(&r, protocol);
	writer_text(&r, txn);
	writer_bytes(&r, audit_leaf(a, &ev));
	if (writer_do(w, &r, NULL, e) == 0)
		return 0;
	if (e != NULL && e->kind == ERR_CONFLICT)
		return err_set(e, ERR_CONFLICT,
		    "certificate %" PRId64 " is issued already", cert_id);
	if (e != NULL && e->kind == ERR_NOT_FOUND)
		return err_set(e, ERR_NOT_FOUND, "no intent %" PRId64, cert_id);
	return -1;
}

static const struct writer_stmt profile_stmt = {
	.db = { "profile_put",
	    "WITH p AS (INSERT INTO profile_text (hash, name, body)"
	    " SELECT u.hash, u.name, u.body"
	    " FROM unnest($2::bytea[], $3::text[], $4::text[])"
	    " AS u(hash, name, body) WHERE $1::int IS NOT NULL"
	    " ON CONFLICT DO NOTHING RETURNING hash)"
	    " SELECT u.ord, 0, (SELECT count(*) FROM p)"
	    " FROM unnest($2::bytea[]) WITH ORDINALITY AS u(hash, ord)",
	    false },
	.cols = "bss",
};

int
store_profile_put(struct writer *w, const uint8_t hash[STORE_HASH_SIZE],
    const char *name, const char *text, struct err *e)
{
	struct writer_row r = { .stmt = &profile_stmt };

	writer_bytes(&r, hash_of(hash));
	writer_text(&r, name);
	writer_text(&r, text);
	return writer_do(w, &r, NULL, e);
}
