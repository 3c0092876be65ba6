/* Grants are tests too: each role tries what it may not.  And migrations. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "db/db_int.h"
#include "db/embedded.h"
#include "db/store_audit.h"
#include "tests/db/sample.h"

#define H32 "decode(repeat('ab', 32), 'hex')"
#define BLOCK "INSERT INTO blocked_key (spki_sha256, why) VALUES "
#define RESPONDER_ROW                                                          \
	"INSERT INTO responder (host, issuer, spki, not_after, signature)"     \
	" SELECT 'h', min(id), 'x', now(), 'y' FROM issuer"
#define AUDIT_ROW                                                              \
	"INSERT INTO audit (writer, seq, kind, leaf) VALUES (4096, 99, 'x', 'y')"
#define VALIDATION_ROW                                                         \
	"INSERT INTO validation (writer, seq, ok, final, authz, challenge)"    \
	" VALUES (16384, 99, true, true, 'z', 'c')"
#define LEASE_ROW "INSERT INTO validation_lease (challenge) VALUES ('c')"
#define WAITING_ROW                                                            \
	"INSERT INTO request (protocol, txn, state, slot, class, issuer,"      \
	" cert_id, request_hash, tbs_hash, profile_hash, serial, profile,"     \
	" principal) VALUES ('est', 'waits', 0, 0, 1, 0, 0, sha256('a'),"      \
	" sha256(''), sha256(''), 'x', 'p', 'secret:s');"                      \
	"INSERT INTO pending (protocol, txn, body, summary) VALUES"            \
	" ('est', 'waits', 'body', 'CN=a')"
#define IS_WAITING " WHERE txn = 'waits'"

static struct pg *pg;

static int
setup(void **state)
{
	struct writer *w;
	struct sample s;
	struct db *oper;
	struct err e;

	(void)state;
	pg = pg_new();
	oper = db_new(pg_conninfo(pg, "chancery_oper"), "test");
	if (writer_new(pg_conninfo(pg, "chancery_enroll"), "enroll", "t", &w,
		&e) == -1)
		return -1;
	sample_init(&s, sample_issuer(oper, "tls"), 1);
	sample_issue(w, &s);
	writer_free(w);
	db_free(oper);
	return 0;
}

static int
teardown(void **state)
{
	(void)state;
	pg_free(pg);
	return 0;
}

struct attempt {
	const char *role, *sql;
	enum err_kind kind; /* ERR_NONE: must work */
};

static const struct attempt attempts[] = {
	/* nobody makes, empties or drops things */
	{ "chancery_enroll", "CREATE TABLE x (a int)", ERR_REFUSED },
	{ "chancery_enroll", "CREATE TEMP TABLE x (a int)", ERR_REFUSED },
	{ "chancery_oper", "CREATE TEMP TABLE x (a int)", ERR_REFUSED },
	{ "chancery_pub", "CREATE TABLE public.x (a int)", ERR_REFUSED },
	{ "chancery_enroll", "TRUNCATE audit", ERR_REFUSED },
	{ "chancery_oper", "TRUNCATE cert", ERR_REFUSED },
	{ "chancery_enroll", "DROP TABLE cert", ERR_REFUSED },
	{ "chancery_enroll", "ALTER TABLE audit DISABLE TRIGGER ALL",
	    ERR_REFUSED },
	{ "chancery_oper", "SET ROLE chancery_owner", ERR_REFUSED },
	{ "chancery_enroll", "SELECT cert_partitions(24)", ERR_REFUSED },
	{ "chancery_pub", "SELECT cert_partitions(24)", ERR_NONE },
	/* append-only, with the server's idea of who and when */
	{ "chancery_enroll", AUDIT_ROW, ERR_NONE },
	{ "chancery_enroll",
	    "INSERT INTO audit (writer, seq, kind, leaf, actor)"
	    " VALUES (4096, 100, 'x', 'y', 'me')",
	    ERR_REFUSED },
	{ "chancery_enroll",
	    "INSERT INTO audit (writer, seq, kind, leaf, at)"
	    " VALUES (4096, 100, 'x', 'y', now())",
	    ERR_REFUSED },
	{ "chancery_enroll", "UPDATE audit SET kind = 'z'", ERR_REFUSED },
	{ "chancery_oper", "DELETE FROM audit", ERR_REFUSED },
	{ "chancery_enroll", "SELECT leaf FROM audit", ERR_REFUSED },
	{ "chancery_oper", "SELECT leaf FROM audit", ERR_NONE },
	{ "chancery_enroll", "DELETE FROM status_change", ERR_REFUSED },
	{ "chancery_enroll", "UPDATE status_change SET status = 0",
	    ERR_REFUSED },
	{ "postgres", "UPDATE audit SET kind = 'z'", ERR_REFUSED },
	{ "postgres", "DELETE FROM audit", ERR_REFUSED },
	{ "postgres", "TRUNCATE audit", ERR_REFUSED },
	{ "postgres", "DELETE FROM status_change", ERR_REFUSED },
	{ "postgres", "TRUNCATE status_change", ERR_REFUSED },
	{ "postgres", "TRUNCATE validation", ERR_REFUSED },
	{ "postgres", "UPDATE validation SET ok = true", ERR_REFUSED },
	/* certificates stay, and only their status moves */
	{ "chancery_enroll", "DELETE FROM cert", ERR_REFUSED },
	{ "chancery_enroll", "UPDATE cert SET der = ''", ERR_REFUSED },
	{ "chancery_enroll", "DELETE FROM cert_status", ERR_REFUSED },
	{ "chancery_enroll", "UPDATE cert_status SET serial = 'x'",
	    ERR_REFUSED },
	{ "chancery_enroll", "DELETE FROM request", ERR_REFUSED },
	/* blocked keys stay blocked, with the server's idea of who and when */
	{ "chancery_enroll", BLOCK "(" H32 ", 'x')", ERR_NONE },
	{ "chancery_pub", BLOCK "(" H32 ", 'x') ON CONFLICT DO NOTHING",
	    ERR_NONE },
	{ "chancery_oper",
	    "INSERT INTO blocked_key (spki_sha256, why, actor)"
	    " VALUES (" H32 ", 'x', 'me')",
	    ERR_REFUSED },
	{ "chancery_oper", "DELETE FROM blocked_key", ERR_REFUSED },
	{ "chancery_oper", "UPDATE blocked_key SET why = 'y'", ERR_REFUSED },
	{ "postgres", "DELETE FROM blocked_key", ERR_REFUSED },
	{ "postgres", "UPDATE blocked_key SET why = 'y'", ERR_REFUSED },
	{ "postgres", "TRUNCATE blocked_key", ERR_REFUSED },
	{ "chancery_vald", "SELECT * FROM blocked_key", ERR_REFUSED },
	{ "chancery_ocsp", "SELECT * FROM blocked_key", ERR_REFUSED },
	{ "chancery_enroll", "UPDATE issuer SET cert = ''", ERR_REFUSED },
	{ "chancery_enroll",
	    "INSERT INTO issuer (name, spki_sha256, cert) VALUES ('x', " H32
	    ", '')",
	    ERR_REFUSED },
	{ "chancery_oper", "UPDATE issuer SET spki_sha256 = " H32,
	    ERR_REFUSED },
	{ "chancery_enroll", "UPDATE profile_text SET body = ''", ERR_REFUSED },
	/* validations are vald's, and vald has nothing else */
	{ "chancery_enroll", VALIDATION_ROW, ERR_REFUSED },
	{ "chancery_oper", VALIDATION_ROW, ERR_REFUSED },
	{ "chancery_vald", VALIDATION_ROW, ERR_NONE },
	{ "chancery_vald", "UPDATE validation SET ok = true", ERR_REFUSED },
	{ "chancery_vald", "DELETE FROM validation", ERR_REFUSED },
	{ "chancery_vald", "SELECT * FROM validation", ERR_REFUSED },
	{ "chancery_vald", "SELECT * FROM acme_challenge", ERR_NONE },
	{ "chancery_vald", "SELECT id, thumbprint FROM acme_account",
	    ERR_NONE },
	{ "chancery_vald", "SELECT contact FROM acme_account", ERR_REFUSED },
	{ "chancery_vald", "SELECT * FROM acme_order", ERR_REFUSED },
	{ "chancery_vald", "SELECT * FROM cert", ERR_REFUSED },
	{ "chancery_vald", "SELECT * FROM request", ERR_REFUSED },
	{ "chancery_vald", AUDIT_ROW, ERR_REFUSED },
	{ "chancery_vald", "UPDATE acme_challenge SET token = ''",
	    ERR_REFUSED },
	{ "chancery_vald", LEASE_ROW, ERR_REFUSED },
	{ "chancery_enroll", LEASE_ROW, ERR_NONE },
	{ "chancery_enroll", "UPDATE validation_lease SET holder = 'me'",
	    ERR_REFUSED },
	{ "chancery_enroll", "UPDATE acme_challenge SET token = ''",
	    ERR_REFUSED },
	{ "chancery_enroll", "UPDATE acme_authz SET valid_s = 9", ERR_REFUSED },
	{ "chancery_enroll", "DELETE FROM acme_order", ERR_REFUSED },
	/* a responder asks, the publisher answers */
	{ "chancery_ocsp", RESPONDER_ROW, ERR_NONE },
	{ "chancery_ocsp", "UPDATE responder SET spki = 'y'", ERR_NONE },
	{ "chancery_ocsp", "UPDATE responder SET cert = 'y'", ERR_REFUSED },
	{ "chancery_ocsp", "UPDATE responder SET host = 'y'", ERR_REFUSED },
	{ "chancery_ocsp", "DELETE FROM responder", ERR_REFUSED },
	{ "chancery_pub", "UPDATE responder SET cert = 'y', fault = NULL",
	    ERR_NONE },
	{ "chancery_pub", "UPDATE responder SET spki = 'z'", ERR_REFUSED },
	{ "chancery_pub", RESPONDER_ROW, ERR_REFUSED },
	{ "chancery_enroll", "SELECT * FROM responder", ERR_REFUSED },
	/* ocsp reads two tables */
	{ "chancery_ocsp", "SELECT * FROM cert_status", ERR_NONE },
	{ "chancery_ocsp", "SELECT * FROM status_change", ERR_NONE },
	{ "chancery_ocsp", "SELECT * FROM cert", ERR_REFUSED },
	{ "chancery_ocsp", "UPDATE cert_status SET status = 0", ERR_REFUSED },
	{ "chancery_ocsp", "SELECT writer_take('enroll', 'x', 1)",
	    ERR_REFUSED },
	{ "chancery_pub", "SELECT * FROM acme_account", ERR_REFUSED },
	{ "chancery_pub", "SELECT * FROM acme_nonce", ERR_NONE },
	/* writer numbers come from the functions, one's own range only */
	{ "chancery_enroll", "UPDATE writer SET epoch = 9", ERR_REFUSED },
	{ "chancery_enroll", "SELECT writer_take('vald', 'x', 1)",
	    ERR_REFUSED },
	{ "chancery_vald", "SELECT writer_take('owner', 'x', 1)", ERR_REFUSED },
	{ "chancery_enroll", "SELECT writer_lost(20000)", ERR_UNAVAILABLE },
	/* what was approved stays what it is, until it is used */
	{ "chancery_enroll", WAITING_ROW, ERR_NONE },
	{ "chancery_enroll",
	    "UPDATE request SET request_hash = " H32 IS_WAITING, ERR_REFUSED },
	{ "chancery_enroll", "UPDATE request SET state = 3" IS_WAITING,
	    ERR_REFUSED },
	{ "chancery_oper", "UPDATE request SET state = 3" IS_WAITING,
	    ERR_NONE },
	{ "chancery_oper", "UPDATE request SET request_hash = " H32 IS_WAITING,
	    ERR_REFUSED },
	{ "chancery_oper", "UPDATE request SET protocol = 'cli'" IS_WAITING,
	    ERR_REFUSED },
	{ "chancery_oper", "UPDATE pending SET body = 'z'" IS_WAITING,
	    ERR_REFUSED },
	{ "chancery_oper", "UPDATE pending SET login = 'z'" IS_WAITING,
	    ERR_REFUSED },
	{ "chancery_enroll",
	    "UPDATE request SET state = 1, request_hash = " H32 IS_WAITING,
	    ERR_REFUSED },
	{ "chancery_enroll", "UPDATE request SET state = 1" IS_WAITING,
	    ERR_NONE },
};

static void
test_grants(void **state)
{
	const struct attempt *t = attempts;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(attempts) / sizeof(*t); i++, t++) {
		struct db *db = db_new(pg_conninfo(pg, t->role), "test");
		struct err e = { .kind = ERR_NONE };

		(void)!db_script(db, t->sql, &e);
		if (e.kind != t->kind)
			fail_msg("%s: %s: %s (%s)", t->role, t->sql,
			    err_kind_name(e.kind), e.text);
		db_free(db);
	}
}

/* RFC 5280 5.3.1: what may become of a certificate, whoever asks. */
static const struct {
	const char *set;
	bool allowed;
} moves[] = {
	/* good */
	{ "status = 1, reason = 7, revoked_at = now()", false },
	{ "status = 1, reason = 8, revoked_at = now()", false },
	{ "status = 1, reason = 11, revoked_at = now()", false },
	{ "status = 1, reason = 3", false },
	{ "reason = 3", false },
	{ "status = 0", false },
	{ "invalidity_at = now()", false },
	{ "status = 1, reason = 6, revoked_at = '2026-01-01'", true },
	/* on hold */
	{ "status = 0, reason = -1", false },
	{ "revoked_at = now()", false },
	{ "invalidity_at = now()", false },
	{ "reason = 3, revoked_at = now()", false },
	{ "status = 0, reason = -1, revoked_at = NULL", true },
	{ "status = 1, reason = 6, revoked_at = '2026-01-01'", true },
	{ "reason = 4, invalidity_at = '2025-12-01'", true },
	/* revoked for good */
	{ "status = 0, reason = -1, revoked_at = NULL, invalidity_at = NULL",
	    false },
	{ "reason = 6", false },
	{ "reason = 5", false },
	{ "reason = 4", false },
	{ "revoked_at = now()", false },
	{ "invalidity_at = NULL", false },
	{ "reason = 1, revoked_at = now()", false },
	{ "reason = 1, invalidity_at = '2025-11-01'", true },
	/* compromised */
	{ "reason = 1", false },
	{ "reason = 4", false },
	{ "reason = 6", false },
	{ "status = 0, reason = -1, revoked_at = NULL, invalidity_at = NULL",
	    false },
};

static void
test_revoked_stays(void **state)
{
	struct db *db = db_new(pg_conninfo(pg, "chancery_enroll"), "test");
	char sql[256];
	struct err e;
	size_t i;
	int rc;

	(void)state;
	for (i = 0; i < sizeof(moves) / sizeof(moves[0]); i++) {
		(void)snprintf(sql, sizeof(sql), "UPDATE cert_status SET %s",
		    moves[i].set);
		rc = db_script(db, sql, &e);
		if ((rc == 0) != moves[i].allowed)
			fail_msg("%zu: %s: %s", i, sql,
			    rc == 0 ? "was allowed" : e.text);
	}
	db_free(db);
}

static void
copy_file(const char *from, const char *to, const char *more)
{
	static char text[32768];
	FILE *f = fopen(from, "re");
	size_t n;

	assert_non_null(f);
	n = fread(text, 1, sizeof(text), f);
	assert_true(n < sizeof(text));
	(void)fclose(f);
	f = fopen(to, "we");
	assert_non_null(f);
	assert_int_equal(fwrite(text, 1, n, f), n);
	assert_true(fputs(more, f) >= 0);
	assert_int_equal(fclose(f), 0);
}

static const char *const files[] = { "001-core.sql", "002-cert.sql",
	"003-acme.sql", "004-revoke.sql", "005-status.sql", "006-crl.sql",
	"007-root-crl.sql", "008-enroll.sql", "009-crl-current.sql" };
#define N_FILES ((int)(sizeof(files) / sizeof(files[0])))

/* A copy of the schema's first 'n' files, with 'more' added to the last. */
static const char *
schema_copy(struct arena *a, const char *name, int n, const char *more)
{
	const char *top = getenv("top_srcdir");
	const char *dir = arena_printf(a, "%s/%s", pg_dir(pg), name);
	int i;

	assert_int_equal(mkdir(dir, 0755), 0);
	for (i = 0; i < n; i++)
		copy_file(arena_printf(a, "%s/db/schema/%s",
			      top == NULL ? "." : top, files[i]),
		    arena_printf(a, "%s/%s", dir, files[i]),
		    i == n - 1 ? more : "");
	return dir;
}

static void
test_migrate(void **state)
{
	AUTO(arena_auto) a = arena_new();
	const char *whole = schema_copy(a, "whole", N_FILES, "");
	const char *changed = schema_copy(a, "changed", N_FILES, "SELECT 1;\n");
	const char *fewer = schema_copy(a, "fewer", 2, "");
	const char *broken = schema_copy(a, "broken", 1, "NONSENSE;\n");
	const char *super = pg_conninfo(pg, "postgres");
	struct db *db;
	struct err e;
	int v;

	(void)state;
	assert_int_equal(embedded_migrate(super, whole, 0, &v, &e), 0);
	assert_int_equal(v, N_FILES);
	assert_int_equal(embedded_migrate(super, changed, 0, &v, &e), -1);
	assert_int_equal(e.kind, ERR_REFUSED);
	assert_non_null(strstr(e.text, files[N_FILES - 1]));
	assert_int_equal(embedded_migrate(super, fewer, 0, &v, &e), -1);
	assert_int_equal(e.kind, ERR_REFUSED);
	assert_int_equal(
	    embedded_migrate(super, "/nonexistent", 0, &v, &e), -1);
	assert_int_equal(e.kind, ERR_REFUSED);

	/* in another database: step by step */
	db = db_new_bare(super, "test");
	assert_int_equal(db_script(db, "CREATE DATABASE second", &e), 0);
	db_free(db);
	super =
	    arena_printf(a, "host=%s dbname=second user=postgres", pg_dir(pg));
	db = db_new(super, "test");
	assert_int_equal(db_ready(db, &e), -1); /* not migrated */
	assert_int_equal(e.kind, ERR_REFUSED);
	assert_int_equal(embedded_migrate(super, broken, 0, &v, &e), -1);
	assert_non_null(strstr(e.text, "001-core.sql"));
	assert_int_equal(embedded_migrate(super, whole, 1, &v, &e), 0);
	assert_int_equal(v, 1);
	assert_int_equal(usleep(200000), 0);
	assert_int_equal(db_ready(db, &e), -1); /* too old */
	assert_int_equal(e.kind, ERR_REFUSED);
	assert_non_null(strstr(e.text, "version 1"));
	assert_int_equal(embedded_migrate(super, whole, 0, &v, &e), 0);
	assert_int_equal(v, N_FILES);
	assert_int_equal(usleep(500000), 0);
	assert_int_equal(db_ready(db, &e), 0);
	db_free(db);
}

static void
test_embedded(void **state)
{
	struct embedded_conf c = { .data_dir = "/nonexistent/data",
		.log_file = "log" };
	char longest[120];
	struct err e;

	(void)state;
	memset(longest, 'x', sizeof(longest));
	longest[0] = '/';
	longest[91] = '\0';
	c.socket_dir = longest;
	assert_int_equal(embedded_prepare(&c, &e), -1);
	assert_int_equal(e.kind, ERR_REFUSED);
	c.socket_dir = "/tmp";
	assert_int_equal(embedded_prepare(&c, &e), -1);
	assert_int_equal(
	    e.kind, geteuid() == 0 ? ERR_REFUSED : ERR_UNAVAILABLE);
	assert_int_equal(embedded_wait("host=/nonexistent", 50, &e), -1);
	assert_int_equal(e.kind, ERR_UNAVAILABLE);
}

static void
test_sqlstate(void **state)
{
	(void)state;
	assert_int_equal(db_sqlstate_kind(NULL), ERR_UNAVAILABLE);
	assert_int_equal(db_sqlstate_kind("08006"), ERR_UNAVAILABLE);
	assert_int_equal(db_sqlstate_kind("57P01"), ERR_UNAVAILABLE);
	assert_int_equal(db_sqlstate_kind("57P03"), ERR_UNAVAILABLE);
	assert_int_equal(db_sqlstate_kind("53100"), ERR_UNAVAILABLE);
	assert_int_equal(db_sqlstate_kind("25006"), ERR_UNAVAILABLE);
	assert_int_equal(db_sqlstate_kind("23505"), ERR_CONFLICT);
	assert_int_equal(db_sqlstate_kind("42501"), ERR_REFUSED);
	assert_int_equal(db_sqlstate_kind("22021"), ERR_MALFORMED);
	assert_int_equal(db_sqlstate_kind("42601"), ERR_INTERNAL);
}

/* Several hosts: the first that answers and takes writes is used. */
static void
test_multi_host(void **state)
{
	char conninfo[512];
	struct db *db;
	struct err e;

	(void)state;
	(void)snprintf(conninfo, sizeof(conninfo),
	    "host=/nonexistent,%s dbname=" EMBEDDED_DBNAME
	    " user=chancery_oper",
	    pg_dir(pg));
	db = db_new(conninfo, "test");
	if (db_ready(db, &e) == -1)
		fail_msg("%s", e.text);
	db_free(db);
	/* the only host that answers must be a standby: there is none */
	(void)snprintf(conninfo, sizeof(conninfo),
	    "host=%s dbname=" EMBEDDED_DBNAME " user=chancery_oper"
	    " target_session_attrs=standby",
	    pg_dir(pg));
	db = db_new(conninfo, "test");
	assert_int_equal(db_ready(db, &e), -1);
	assert_int_equal(e.kind, ERR_UNAVAILABLE);
	db_free(db);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_grants),
		cmocka_unit_test(test_revoked_stays),
		cmocka_unit_test(test_migrate),
		cmocka_unit_test(test_embedded),
		cmocka_unit_test(test_sqlstate),
		cmocka_unit_test(test_multi_host),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
