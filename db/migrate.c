#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <openssl/evp.h>

#include "base/arena.h"
#include "base/buf.h"
#include "db/db_int.h"
#include "db/embedded.h"

#define FILES_MAX 999
#define FILE_SIZE_MAX ((size_t)1 << 20)

struct migration {
	int version;
	const char *name;
	struct span sql;
	uint8_t sha256[32];
};

static int
read_file(struct arena *a, const char *path, struct span *out, struct err *e)
{
	AUTO_FD int fd = open(path, O_RDONLY | O_CLOEXEC);
	struct stat st;
	char *p;

	if (fd == -1 || fstat(fd, &st) == -1)
		return err_set(e, ERR_REFUSED, "cannot read \"%s\": %m", path);
	if (st.st_size <= 0 || (size_t)st.st_size > FILE_SIZE_MAX)
		return err_set(
		    e, ERR_REFUSED, "\"%s\" has an unlikely size", path);
	p = arena_alloc(a, (size_t)st.st_size + 1);
	if (read(fd, p, (size_t)st.st_size) != st.st_size)
		return err_set(e, ERR_REFUSED, "cannot read \"%s\": %m", path);
	*out = span_of(p, (size_t)st.st_size);
	return 0;
}

static int
is_migration(const struct dirent *d)
{
	const char *dot = strrchr(d->d_name, '.');

	return d->d_name[0] >= '0' && d->d_name[0] <= '9' && dot != NULL &&
	       strcmp(dot, ".sql") == 0;
}

static int
load_one(struct arena *a, const char *dir, const char *name,
    struct migration *m, struct err *e)
{
	m->version = (int)strtol(name, NULL, 10);
	m->name = arena_strdup(a, name);
	if (read_file(a, arena_printf(a, "%s/%s", dir, name), &m->sql, e) == -1)
		return -1;
	if (EVP_Digest(
		m->sql.p, m->sql.n, m->sha256, NULL, EVP_sha256(), NULL) != 1)
		return err_set(e, ERR_INTERNAL, "SHA-256 failed");
	return 0;
}

/* The files of a directory, which must be numbered from 1 without gaps. */
static int
load_all(struct arena *a, const char *dir, struct migration **out, int *n,
    struct err *e)
{
	struct dirent **names;
	int i, count, rc = 0;

	count = scandir(dir, &names, is_migration, alphasort);
	if (count == -1)
		return err_set(e, ERR_REFUSED, "cannot read \"%s\": %m", dir);
	*out = arena_array(a, (size_t)count + 1, sizeof(**out));
	for (i = 0; i < count; i++) {
		if (rc == 0)
			rc = load_one(a, dir, names[i]->d_name, &(*out)[i], e);
		if (rc == 0 && (*out)[i].version != i + 1)
			rc = err_set(e, ERR_REFUSED,
			    "\"%s/%s\" is not migration %d", dir,
			    names[i]->d_name, i + 1);
		free(names[i]);
	}
	free(names);
	*n = count;
	return rc;
}

static int
check_recorded(struct db *db, const struct migration *m, int n, int *version,
    struct err *e)
{
	static const struct db_stmt stmt = { "migrations",
		"SELECT version, sha256 FROM chancery.schema_version"
		" ORDER BY version",
		true };
	AUTO(PGresult) r = NULL;
	uint8_t sum[32];
	int i;

	if (db_exec(db, &stmt, NULL, &r, e) == -1)
		return -1;
	*version = PQntuples(r);
	if (*version > n)
		return err_set(e, ERR_REFUSED,
		    "the database has schema version %d, newer than this "
		    "program's %d",
		    *version, n);
	for (i = 0; i < *version; i++) {
		db_fixed(r, i, 1, sum, sizeof(sum));
		if (db_i4(r, i, 0) != i + 1 ||
		    memcmp(sum, m[i].sha256, sizeof(sum)) != 0)
			return err_set(e, ERR_REFUSED,
			    "migration \"%s\" has changed since it was applied",
			    m[i].name);
	}
	return 0;
}

static int
record(struct db *db, const struct migration *m, struct err *e)
{
	static const struct db_stmt stmt = { "migrated",
		"INSERT INTO chancery.schema_version (version, name, sha256)"
		" VALUES ($1, $2, $3)",
		false };
	AUTO(PGresult) r = NULL;
	struct db_args p = { .n = 0 };

	db_arg_i4(&p, m->version);
	db_arg_text(&p, m->name);
	db_arg_bytes(&p, span_of(m->sha256, sizeof(m->sha256)));
	return db_exec(db, &stmt, &p, &r, e);
}

static int
apply(struct db *db, const struct migration *m, struct err *e)
{
	if (db_script(db, "BEGIN; SET LOCAL search_path = chancery, pg_temp",
		e) == -1 ||
	    db_script(db, (const char *)m->sql.p, e) == -1 ||
	    record(db, m, e) == -1 || db_script(db, "COMMIT", e) == -1)
		return err_prefix(e, "migration \"%s\"", m->name);
	return 0;
}

static const char begin_sql[] =
    "SET client_min_messages = warning; SET lock_timeout = '60s';"
    "SELECT pg_advisory_lock(hashtext('chancery.migrate'));"
    "DO $$ BEGIN IF to_regclass('chancery.schema_version') IS NULL THEN"
    " CREATE SCHEMA IF NOT EXISTS chancery;"
    " CREATE TABLE chancery.schema_version (version integer PRIMARY KEY,"
    " name text NOT NULL, sha256 bytea NOT NULL,"
    " applied_at timestamptz NOT NULL DEFAULT now()); END IF; END $$";

/*
 * In the embedded cluster the roles are logins; elsewhere an administrator
 * makes logins that are members of them.
 */
static const char logins_sql[] =
    "DO $$ DECLARE r text; BEGIN"
    " IF current_setting('chancery.embedded', true) = 'on' THEN"
    " FOR r IN SELECT rolname FROM pg_roles WHERE NOT rolcanlogin AND"
    " rolname IN ('chancery_enroll', 'chancery_vald', 'chancery_oper',"
    " 'chancery_pub', 'chancery_ocsp') LOOP"
    " EXECUTE format('ALTER ROLE %I LOGIN', r); END LOOP; END IF; END $$";

static int
migrate(struct db *db, const char *dir, int target, int *version, struct err *e)
{
	AUTO(arena_auto) a = arena_new();
	struct migration *m = NULL;
	int n = 0;

	if (load_all(a, dir, &m, &n, e) == -1 ||
	    db_script(db, begin_sql, e) == -1 ||
	    check_recorded(db, m, n, version, e) == -1)
		return -1;
	if (target == 0 || target > n)
		target = n;
	for (; *version < target; (*version)++)
		if (apply(db, &m[*version], e) == -1)
			return -1;
	return db_script(db, logins_sql, e);
}

int
embedded_migrate(const char *conninfo, const char *schema_dir, int target,
    int *version, struct err *e)
{
	struct db *db = db_new_bare(conninfo, "chancery migrate");
	int rc = migrate(db, schema_dir, target, version, e);

	db_free(db);
	return rc;
}

int
embedded_operator(const char *conninfo, const char *login, struct err *e)
{
	struct db *db = db_new_bare(conninfo, "chancery operators");
	AUTO(arena_auto) a = arena_new();
	int rc = db_script(db,
	    arena_printf(a,
		"DO $$ BEGIN IF NOT EXISTS (SELECT FROM pg_roles"
		" WHERE rolname = '%s') THEN CREATE ROLE \"%s\" LOGIN"
		" IN ROLE chancery_oper; END IF; END $$",
		login, login),
	    e);

	db_free(db);
	return rc;
}
