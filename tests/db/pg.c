#include "tests/db/pg.h"

#include <dirent.h>
#include <ftw.h>
#include <grp.h>
#include <pwd.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/arena.h"
#include "db/embedded.h"

#define WAIT_MS 60000

struct pg {
	struct arena *arena;
	char *dir;
	struct embedded_conf conf;
	const char *argv[8];
	uid_t uid;
	gid_t gid;
	pid_t pid;
};

static const char *const roles[] = { "postgres", "chancery_enroll",
	"chancery_vald", "chancery_oper", "chancery_pub", "chancery_ocsp" };
#define N_ROLES (sizeof(roles) / sizeof(roles[0]))

static _Noreturn void
die(const char *what, const char *why)
{
	(void)fprintf(stderr, "Bail out! %s: %s\n", what, why);
	exit(1);
}

/* PostgreSQL does not run as root. */
static void
choose_user(struct pg *pg)
{
	const struct passwd *pw = NULL;

	pg->uid = geteuid();
	pg->gid = getegid();
	if (pg->uid != 0)
		return;
	pw = getpwnam("postgres");
	if (pw == NULL)
		pw = getpwnam("nobody");
	if (pw == NULL)
		die("pg", "no user \"postgres\" or \"nobody\"");
	pg->uid = pw->pw_uid;
	pg->gid = pw->pw_gid;
}

static void
become_user(const struct pg *pg)
{
	if (geteuid() == 0 && (setgroups(0, NULL) == -1 ||
				  setresgid(pg->gid, pg->gid, pg->gid) == -1 ||
				  setresuid(pg->uid, pg->uid, pg->uid) == -1))
		_exit(126);
	if (chdir("/") == -1)
		_exit(126);
}

static void
make_conf(struct pg *pg)
{
	const struct passwd *pw = getpwuid(geteuid());
	struct embedded_login *logins;
	char tmpl[] = "/tmp/chpg-XXXXXX";
	size_t i;

	if (pw == NULL || mkdtemp(tmpl) == NULL)
		die("pg", "no scratch directory");
	if (chown(tmpl, pg->uid, pg->gid) == -1 || chmod(tmpl, 0755) == -1)
		die("pg", "cannot hand over the scratch directory");
	pg->dir = arena_strdup(pg->arena, tmpl);
	logins = arena_array(pg->arena, N_ROLES, sizeof(*logins));
	for (i = 0; i < N_ROLES; i++) {
		logins[i].os_user = arena_strdup(pg->arena, pw->pw_name);
		logins[i].role = roles[i];
	}
	pg->conf.data_dir = arena_printf(pg->arena, "%s/data", tmpl);
	pg->conf.socket_dir = pg->dir;
	pg->conf.log_file = arena_printf(pg->arena, "%s/pg.log", tmpl);
	pg->conf.logins = logins;
	pg->conf.n_logins = N_ROLES;
}

static void
prepare(struct pg *pg)
{
	struct err e;
	int status;
	pid_t pid;

	pid = fork();
	if (pid == 0) {
		become_user(pg);
		if (embedded_prepare(&pg->conf, &e) == -1) {
			(void)fprintf(stderr, "%s\n", e.text);
			_exit(1);
		}
		_exit(0);
	}
	if (pid == -1 || waitpid(pid, &status, 0) != pid || status != 0)
		die("pg", "the cluster could not be made");
	if (embedded_argv(&pg->conf, pg->argv, &e) == -1)
		die("pg", e.text);
}

void
pg_start(struct pg *pg)
{
	union {
		const char **in;
		char **out;
	} argv = { .in = pg->argv };
	struct err e;

	pg->pid = fork();
	if (pg->pid == 0) {
		become_user(pg);
		(void)prctl(PR_SET_PDEATHSIG, SIGQUIT);
		(void)execv(argv.out[0], argv.out);
		_exit(127);
	}
	if (pg->pid == -1)
		die("pg", "fork failed");
	if (embedded_wait(pg_conninfo(pg, "postgres"), WAIT_MS, &e) == -1)
		die("pg", e.text);
}

void
pg_stop(struct pg *pg, bool crash)
{
	if (pg->pid <= 0)
		return;
	(void)kill(pg->pid, crash ? SIGQUIT : SIGINT);
	(void)waitpid(pg->pid, NULL, 0);
	pg->pid = 0;
}

struct pg *
pg_new_empty(void)
{
	struct pg *pg = calloc(1, sizeof(*pg));

	if (pg == NULL)
		die("pg", "out of memory");
	pg->arena = arena_new();
	choose_user(pg);
	make_conf(pg);
	prepare(pg);
	pg_start(pg);
	return pg;
}

struct pg *
pg_new(void)
{
	const char *top = getenv("top_srcdir");
	struct pg *pg = pg_new_empty();
	struct err e;
	int version;

	if (embedded_migrate(pg_conninfo(pg, "postgres"),
		arena_printf(
		    pg->arena, "%s/db/schema", top == NULL ? "." : top),
		0, &version, &e) == -1)
		die("pg", e.text);
	return pg;
}

/* Runs 'fn' as the cluster's owner. */
static void
as_owner(struct pg *pg, void (*fn)(struct pg *pg, struct pg *other),
    struct pg *other)
{
	int status;
	pid_t pid = fork();

	if (pid == 0) {
		become_user(pg);
		fn(pg, other);
		_exit(0);
	}
	if (pid == -1 || waitpid(pid, &status, 0) != pid || status != 0)
		die("pg", "a step of the owner failed");
}

static void
append(const char *dir, const char *name, const char *text)
{
	char path[300];
	FILE *f;

	(void)snprintf(path, sizeof(path), "%s/%s", dir, name);
	f = fopen(path, "ae");
	if (f == NULL || fputs(text, f) < 0 || fclose(f) != 0)
		_exit(1);
}

static void
allow_replicas(struct pg *pg, struct pg *other)
{
	(void)other;
	append(pg->conf.data_dir, "pg_hba.conf",
	    "local replication postgres peer map=chancery\n");
}

static void
follow(struct pg *pg, struct pg *primary)
{
	append(pg->conf.data_dir, "postgresql.conf",
	    arena_printf(pg->arena,
		"unix_socket_directories = '%s'\n"
		"primary_conninfo = 'host=%s user=postgres'\n",
		pg->dir, primary->dir));
	append(pg->conf.data_dir, "standby.signal", "");
}

static void
copy_data(struct pg *pg, struct pg *primary)
{
	(void)execlp("cp", "cp", "-a", primary->conf.data_dir,
	    pg->conf.data_dir, (char *)NULL);
	_exit(127);
}

struct pg *
pg_new_replica(struct pg *primary)
{
	struct pg *pg = calloc(1, sizeof(*pg));
	struct err e;

	if (pg == NULL)
		die("pg", "out of memory");
	pg->arena = arena_new();
	choose_user(pg);
	make_conf(pg);
	as_owner(primary, allow_replicas, NULL);
	pg_stop(primary, false);
	as_owner(pg, copy_data, primary);
	as_owner(pg, follow, primary);
	pg_start(primary);
	if (embedded_argv(&pg->conf, pg->argv, &e) == -1)
		die("pg", e.text);
	pg_start(pg);
	return pg;
}

static int
remove_one(const char *path, const struct stat *st, int type, struct FTW *f)
{
	(void)st;
	(void)type;
	(void)f;
	(void)remove(path); /* what stays is seen by the next round */
	return 0;
}

void
pg_free(struct pg *pg)
{
	int i;

	pg_stop(pg, true);
	/* The log collector outlives the server by a moment. */
	for (i = 0; i < 50 && access(pg->dir, F_OK) == 0; i++) {
		if (i > 0)
			(void)usleep(20000);
		(void)nftw(pg->dir, remove_one, 16, FTW_DEPTH | FTW_PHYS);
	}
	arena_free(pg->arena);
	free(pg);
}

const char *
pg_conninfo(struct pg *pg, const char *role)
{
	return arena_printf(pg->arena,
	    "host=%s dbname=" EMBEDDED_DBNAME " user=%s", pg->dir, role);
}

const char *
pg_dir(const struct pg *pg)
{
	return pg->dir;
}

pid_t
pg_pid(const struct pg *pg)
{
	return pg->pid;
}

/* Fields of /proc/PID/stat, from the fourth on; C: of ended children. */
enum {
	STAT_PPID = 0,
	STAT_UTIME = 10,
	STAT_STIME,
	STAT_CUTIME,
	STAT_CSTIME,
	STAT_FIELDS
};

static long long
cpu_ticks(const char *pid, pid_t parent, pid_t self)
{
	unsigned long long field[STAT_FIELDS];
	char path[300], text[1024], *p;
	long long ticks;
	FILE *f;
	size_t n;

	(void)snprintf(path, sizeof(path), "/proc/%s/stat", pid);
	f = fopen(path, "re");
	if (f == NULL)
		return 0;
	n = fread(text, 1, sizeof(text) - 1, f);
	(void)fclose(f);
	text[n] = '\0';
	/* ") S PPID ...": the name before may hold anything */
	p = strrchr(text, ')');
	if (p == NULL || strlen(p) < 4)
		return 0;
	for (n = 0, p += 4; n < STAT_FIELDS; n++)
		field[n] = strtoull(p, &p, 10);
	ticks = (long long)(field[STAT_UTIME] + field[STAT_STIME]);
	if (strtol(pid, NULL, 10) == self)
		return ticks +
		       (long long)(field[STAT_CUTIME] + field[STAT_CSTIME]);
	return field[STAT_PPID] == (unsigned long long)parent ? ticks : 0;
}

long long
pg_cpu_us(const struct pg *pg)
{
	DIR *d = opendir("/proc");
	const struct dirent *e;
	long long ticks = 0;

	while (d != NULL && (e = readdir(d)) != NULL)
		if (e->d_name[0] >= '1' && e->d_name[0] <= '9')
			ticks += cpu_ticks(e->d_name, pg->pid, pg->pid);
	if (d != NULL)
		(void)closedir(d);
	return ticks * 1000000 / sysconf(_SC_CLK_TCK);
}
