/*
 * A private PostgreSQL cluster inside the state directory, for when no
 * database is configured: initdb, UNIX socket only, no TCP, peer login mapped
 * one to one from OS users to roles.  And the migrations, which any database
 * gets.
 */
#ifndef DB_EMBEDDED_H
#define DB_EMBEDDED_H

#include <stdbool.h>
#include <sys/types.h>

#include "base/err.h"

/* The cluster's database; its superuser role is "postgres". */
#define EMBEDDED_DBNAME "chancery"

struct embedded_login {
	const char *os_user; /* who may log in ... */
	const char *role;    /* ... as which PostgreSQL role */
};

struct embedded_conf {
	const char *data_dir;   /* PGDATA; made by initdb when absent */
	const char *socket_dir; /* at most 90 bytes */
	const char *log_file;
	const struct embedded_login *logins;
	size_t n_logins;
};

/*
 * Makes the cluster when data_dir is absent (caller runs as the cluster's
 * owner, never root) and writes its settings, pg_hba.conf and pg_ident.conf
 * anew.  The caller's OS user may log in as "postgres" besides 'logins'.
 * REFUSED: run as root, or socket_dir is too long.  UNAVAILABLE says what
 * initdb printed.
 */
int embedded_prepare(const struct embedded_conf *c, struct err *e) MUST_USE;

/*
 * The argument vector that runs the server in the foreground; the strings
 * live as long as 'c' and the process.  argv[0] is an absolute path.
 */
int embedded_argv(
    const struct embedded_conf *c, const char *argv[8], struct err *e) MUST_USE;

/* Waits until the server answers; UNAVAILABLE after 'timeout_ms'. */
int embedded_wait(const char *conninfo, int timeout_ms, struct err *e) MUST_USE;

/*
 * Brings the schema to 'target' (0: newest), under an advisory lock, each
 * numbered file of 'schema_dir' in one transaction, recorded with its
 * SHA-256.  'conninfo' logs in as a superuser or as the owner role.  In the
 * embedded cluster the daemons' roles become logins.  REFUSED:
 * a recorded file has changed, or the database is newer than this program.
 */
int embedded_migrate(const char *conninfo, const char *schema_dir, int target,
    int *version, struct err *e) MUST_USE;

/*
 * Makes role 'login' if it is missing: it may log in and is a member of
 * chancery_oper.  'login' has letters, digits, "_" and "-" only.
 */
int embedded_operator(
    const char *conninfo, const char *login, struct err *e) MUST_USE;

#endif
