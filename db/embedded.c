#include "db/embedded.h"

#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <limits.h>
#include <poll.h>
#include <pwd.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/span.h"
#include "db/db_int.h"

#define SOCKET_DIR_MAX 90
#define OUTPUT_MAX 4096
#define CONF_MAX 65536
#define MIB ((int64_t)1 << 20)

/* A program run to its end: what it reads and what it printed. */
static int
run(char *const argv[], const char *input, char *output, struct err *e)
{
	posix_spawn_file_actions_t fa;
	int in[2], out[2], status = -1, rc;
	size_t n = 0;
	ssize_t got;
	pid_t pid;

	if (pipe2(in, O_CLOEXEC) == -1)
		return err_set(e, ERR_INTERNAL, "pipe: %m");
	if (pipe2(out, O_CLOEXEC) == -1) {
		(void)close(in[0]);
		(void)close(in[1]);
		return err_set(e, ERR_INTERNAL, "pipe: %m");
	}
	(void)posix_spawn_file_actions_init(&fa);
	(void)posix_spawn_file_actions_adddup2(&fa, in[0], 0);
	(void)posix_spawn_file_actions_adddup2(&fa, out[1], 1);
	(void)posix_spawn_file_actions_adddup2(&fa, out[1], 2);
	rc = posix_spawn(&pid, argv[0], &fa, NULL, argv, environ);
	(void)posix_spawn_file_actions_destroy(&fa);
	(void)close(in[0]);
	(void)close(out[1]);
	if (rc == 0 && input[0] != '\0') /* fits into the pipe */
		(void)!write(in[1], input, strlen(input));
	(void)close(in[1]);
	while (rc == 0 && n < OUTPUT_MAX - 1 &&
	       (got = read(out[0], output + n, OUTPUT_MAX - 1 - n)) > 0)
		n += (size_t)got;
	(void)close(out[0]);
	output[n] = '\0';
	if (rc != 0)
		return err_set(e, ERR_UNAVAILABLE, "cannot run \"%s\": %s",
		    argv[0], strerror(rc));
	while (waitpid(pid, &status, 0) == -1 && errno == EINTR)
		continue;
	if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
		return 0;
	return err_set(
	    e, ERR_UNAVAILABLE, "\"%s\" failed: %s", argv[0], output);
}

static bool
is_program(const char *dir, const char *name, char *path)
{
	char raw[PATH_MAX];

	(void)snprintf(raw, sizeof(raw), "%s/%s", dir, name);
	return access(raw, X_OK) == 0 && realpath(raw, path) != NULL;
}

static bool
find_in_path(const char *name, char *path)
{
	AUTO(arena_auto) a = arena_new();
	char *dirs = arena_strdup(a, getenv("PATH")), *dir;

	while (dirs != NULL) {
		dir = strsep(&dirs, ":");
		if (dir[0] == '/' && is_program(dir, name, path))
			return true;
	}
	return false;
}

/* Debian keeps each major version in a directory of its own. */
static bool
find_versioned(const char *name, char *path)
{
	long v, newest = 0;
	char dir[PATH_MAX];
	glob_t g;
	size_t i;

	if (glob("/usr/lib/postgresql/*/bin", 0, NULL, &g) != 0)
		return false;
	for (i = 0; i < g.gl_pathc; i++) {
		v = strtol(
		    g.gl_pathv[i] + strlen("/usr/lib/postgresql/"), NULL, 10);
		if (v <= newest)
			continue;
		(void)snprintf(dir, sizeof(dir), "%s", g.gl_pathv[i]);
		newest = v;
	}
	globfree(&g);
	return newest > 0 && is_program(dir, name, path);
}

static bool
find_by_pg_config(const char *name, char *path)
{
	char tool[PATH_MAX], out[OUTPUT_MAX];
	char *argv[] = { tool, (char *)(uintptr_t) "--bindir", NULL };

	if (!find_in_path("pg_config", tool) || run(argv, "", out, NULL) == -1)
		return false;
	out[strcspn(out, "\n")] = '\0';
	return is_program(out, name, path);
}

static int
find_program(const char *name, char *path, struct err *e)
{
	if (find_in_path(name, path) || find_by_pg_config(name, path) ||
	    find_versioned(name, path))
		return 0;
	return err_set(
	    e, ERR_UNAVAILABLE, "PostgreSQL's \"%s\" is not installed", name);
}

/* A quarter of the memory, from 32 MB up to 1 GB. */
static int64_t
shared_buffers_mb(void)
{
	int64_t mb =
	    (int64_t)sysconf(_SC_PHYS_PAGES) * sysconf(_SC_PAGESIZE) / MIB / 4;

	if (mb < 32)
		return 32;
	return mb > 1024 ? 1024 : mb;
}

static void
add_setting(struct buf *b, const char *key, const char *value)
{
	buf_printf(b, "%s = '", key);
	for (; *value != '\0'; value++)
		buf_printf(b, *value == '\'' ? "''" : "%c", *value);
	buf_str(b, "'\n");
}

/* docs/adr/0003 says why these. */
static void
add_settings(struct buf *b, const struct embedded_conf *c)
{
	const char *slash = strrchr(c->log_file, '/');
	char dir[PATH_MAX];

	buf_str(b, "# written anew at every start\nlisten_addresses = ''\n");
	add_setting(b, "unix_socket_directories", c->socket_dir);
	buf_printf(
	    b, "shared_buffers = %lldMB\n", (long long)shared_buffers_mb());
	buf_str(b, "max_connections = 200\nfsync = on\n"
		   "synchronous_commit = on\nfull_page_writes = on\n"
		   "checkpoint_timeout = 30min\nmax_wal_size = 8GB\n"
		   "min_wal_size = 80MB\nautovacuum_naptime = 15s\n"
		   "jit = off\nmax_prepared_transactions = 0\n"
		   "password_encryption = scram-sha-256\n"
		   "log_min_messages = warning\nlog_line_prefix = '%m %q%u '\n"
		   "log_parameter_max_length_on_error = 0\n"
		   "log_min_error_statement = panic\n"
		   "logging_collector = on\nlog_rotation_age = 0\n"
		   "log_rotation_size = 0\nlog_file_mode = 0600\n"
		   "chancery.embedded = on\n");
	(void)snprintf(dir, sizeof(dir), "%.*s",
	    slash == NULL ? 1 : (int)(slash - c->log_file),
	    slash == NULL ? "." : c->log_file);
	add_setting(b, "log_directory", dir);
	add_setting(b, "log_filename", slash == NULL ? c->log_file : slash + 1);
}

/* Replaces a file of the cluster; never half written. */
static int
put_file(const char *dir, const char *name, struct buf *b, struct err *e)
{
	char path[PATH_MAX], tmp[PATH_MAX + 8];
	AUTO_FD int fd = -1;

	if (!buf_ok(b))
		return err_set(e, ERR_INTERNAL, "\"%s\" is too long", name);
	(void)snprintf(path, sizeof(path), "%s/%s", dir, name);
	(void)snprintf(tmp, sizeof(tmp), "%s.new", path);
	fd = open(tmp, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	if (fd == -1)
		return err_set(
		    e, ERR_UNAVAILABLE, "cannot write \"%s\": %m", tmp);
	if (write(fd, b->p, b->n) != (ssize_t)b->n || fsync(fd) == -1 ||
	    rename(tmp, path) == -1)
		return err_set(
		    e, ERR_UNAVAILABLE, "cannot write \"%s\": %m", path);
	return 0;
}

static int
write_ident(const struct embedded_conf *c, struct err *e)
{
	const struct passwd *pw = getpwuid(geteuid());
	AUTO_BUF(b, CONF_MAX);
	size_t i;

	if (pw == NULL)
		return err_set(
		    e, ERR_UNAVAILABLE, "uid %d has no name", (int)geteuid());
	buf_str(&b, "# written anew at every start\n");
	buf_printf(&b, "chancery \"%s\" postgres\n", pw->pw_name);
	for (i = 0; i < c->n_logins; i++)
		buf_printf(&b, "chancery \"%s\" %s\n", c->logins[i].os_user,
		    c->logins[i].role);
	return put_file(c->data_dir, "pg_ident.conf", &b, e);
}

static int
write_conf(const struct embedded_conf *c, struct err *e)
{
	AUTO_BUF(conf, CONF_MAX);
	AUTO_BUF(hba, CONF_MAX);

	add_settings(&conf, c);
	buf_str(&hba, "# written anew at every start\n"
		      "local all postgres peer map=chancery\n"
		      "local " EMBEDDED_DBNAME " all peer map=chancery\n");
	if (put_file(c->data_dir, "postgresql.conf", &conf, e) == -1 ||
	    put_file(c->data_dir, "pg_hba.conf", &hba, e) == -1)
		return -1;
	return write_ident(c, e);
}

/* Removes what an interrupted initdb left. */
static void
remove_tree(const char *path)
{
	char rm[PATH_MAX], out[OUTPUT_MAX];
	char *argv[] = { rm, (char *)(uintptr_t) "-rf", (char *)(uintptr_t)path,
		NULL };

	if (find_in_path("rm", rm))
		(void)run(argv, "", out, NULL);
}

/*
 * Makes the cluster and its database beside data_dir and renames it there, so
 * that data_dir is whole or absent.
 */
static int
make_cluster(const struct embedded_conf *c, struct err *e)
{
	char initdb[PATH_MAX], postgres[PATH_MAX], tmp[PATH_MAX];
	char out[OUTPUT_MAX];
	char *init_argv[] = { initdb, (char *)(uintptr_t) "-D", tmp,
		(char *)(uintptr_t) "-U", (char *)(uintptr_t) "postgres",
		(char *)(uintptr_t) "-E", (char *)(uintptr_t) "UTF8",
		(char *)(uintptr_t) "--locale=C",
		(char *)(uintptr_t) "--auth=peer",
		(char *)(uintptr_t) "--data-checksums",
		(char *)(uintptr_t) "--no-instructions", NULL };
	char *single_argv[] = { postgres, (char *)(uintptr_t) "--single",
		(char *)(uintptr_t) "-D", tmp, (char *)(uintptr_t) "postgres",
		NULL };

	(void)snprintf(tmp, sizeof(tmp), "%s.new", c->data_dir);
	if (find_program("initdb", initdb, e) == -1 ||
	    find_program("postgres", postgres, e) == -1)
		return -1;
	remove_tree(tmp);
	if (run(init_argv, "", out, e) == -1 ||
	    run(single_argv, "CREATE DATABASE " EMBEDDED_DBNAME "\n", out, e) ==
		-1)
		return -1;
	if (rename(tmp, c->data_dir) == -1)
		return err_set(
		    e, ERR_UNAVAILABLE, "cannot make \"%s\": %m", c->data_dir);
	return 0;
}

int
embedded_prepare(const struct embedded_conf *c, struct err *e)
{
	struct stat st;

	if (strlen(c->socket_dir) > SOCKET_DIR_MAX)
		return err_set(e, ERR_REFUSED,
		    "socket directory \"%s\" is longer than %d bytes",
		    c->socket_dir, SOCKET_DIR_MAX);
	if (geteuid() == 0)
		return err_set(
		    e, ERR_REFUSED, "PostgreSQL does not run as root");
	if (stat(c->data_dir, &st) == -1 && make_cluster(c, e) == -1)
		return -1;
	return write_conf(c, e);
}

int
embedded_argv(const struct embedded_conf *c, const char *argv[8], struct err *e)
{
	static char path[PATH_MAX];

	if (find_program("postgres", path, e) == -1)
		return -1;
	argv[0] = path;
	argv[1] = "-D";
	argv[2] = c->data_dir;
	argv[3] = NULL;
	return 0;
}

int
embedded_wait(const char *conninfo, int timeout_ms, struct err *e)
{
	int64_t end = clock_mono_us() + (int64_t)timeout_ms * 1000;

	while (!db_ping(conninfo)) {
		if (clock_mono_us() >= end)
			return err_set(e, ERR_UNAVAILABLE,
			    "the database does not answer after %d ms",
			    timeout_ms);
		(void)poll(NULL, 0, 20);
	}
	return 0;
}
