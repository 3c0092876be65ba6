#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/log.h"
#include "ctl/ctl.h"
#include "ctl/layout.h"
#include "ctl/service.h"
#include "db/embedded.h"

#define DB_WAIT_MS 60000
#define STOP_MS 15000
#define LOGINS 6

/* Everything that one machine runs. */
struct up {
	struct ctl *c;
	const struct settings *s;
	struct embedded_conf pg;
	struct embedded_login logins[LOGINS + SETTINGS_OPERATORS_MAX];
	const char *pg_argv[SERVICE_ARGS_MAX];
	const char *superuser; /* connection string for migrations */
	const char *schema_dir;
	struct service services[SERVICES_MAX];
	size_t n;
	int signals, notify;
	const char *environment[16];
	size_t n_environment;
	bool told; /* that everything is ready */
};

static const char *
or_self(const struct up *u, const char *user)
{
	return user == NULL || geteuid() != 0 ? u->c->user : user;
}

static const char *
drop_to(const char *user)
{
	return geteuid() == 0 ? user : NULL;
}

static void
fill_pg(struct up *u)
{
	const struct settings_users *us = &u->s->users;
	struct arena *a = u->c->a;
	unsigned i;

	u->logins[0] = (struct embedded_login){ or_self(u, us->enroll),
		"chancery_enroll" };
	u->logins[1] =
	    (struct embedded_login){ or_self(u, us->vald), "chancery_vald" };
	u->logins[2] =
	    (struct embedded_login){ or_self(u, us->pub), "chancery_pub" };
	u->logins[3] =
	    (struct embedded_login){ or_self(u, us->ocsp), "chancery_ocsp" };
	u->logins[4] = (struct embedded_login){ u->c->user, "chancery_oper" };
	u->logins[5] =
	    (struct embedded_login){ or_self(u, us->oper), "chancery_oper" };
	for (i = 0; i < u->s->operators_count; i++)
		u->logins[LOGINS + i] =
		    (struct embedded_login){ u->s->operators[i],
			    arena_printf(a, "oper_%s", u->s->operators[i]) };
	u->pg = (struct embedded_conf){
		.data_dir = arena_printf(a, "%s/pg/data", u->s->state_dir),
		.socket_dir = arena_printf(a, "%s/pg", u->s->run_dir),
		.log_file = arena_printf(a, "%s/pg/log", u->s->state_dir),
		.logins = u->logins,
		.n_logins = LOGINS + u->s->operators_count,
	};
	u->superuser = arena_printf(a, "host='%s' dbname=%s user=postgres",
	    u->pg.socket_dir, EMBEDDED_DBNAME);
}

static int
prepare_pg(void *arg, struct err *e)
{
	struct up *u = arg;

	return embedded_prepare(&u->pg, e);
}

static int
migrate(void *arg, struct err *e)
{
	struct up *u = arg;
	int version;
	unsigned i;

	if (embedded_migrate(u->superuser, u->schema_dir, 0, &version, e) == -1)
		return -1;
	for (i = 0; i < u->s->operators_count; i++) {
		if (embedded_operator(
			u->superuser, u->logins[LOGINS + i].role, e) == -1)
			return -1;
	}
	return 0;
}

/* The installed schema, or that of the source tree we were built in. */
static const char *
find_schema(struct ctl *c)
{
	const char *places[] = { getenv("CHANCERY_SCHEMA"),
		CHANCERY_DATADIR "/schema",
		arena_printf(c->a, "%s/../db/schema", ctl_program_dir(c)),
		arena_printf(c->a, "%s/db/schema", ctl_program_dir(c)) };
	size_t i;

	for (i = 0; i < sizeof(places) / sizeof(places[0]); i++) {
		if (places[i] != NULL && access(places[i], R_OK) == 0)
			return places[i];
	}
	return places[1];
}

static struct service *
add_service(struct up *u, const char *name, const char *user, bool notifies)
{
	struct service *s = &u->services[u->n++];

	s->name = name;
	s->user = drop_to(user);
	s->stop_signal = SIGTERM;
	s->notifies = notifies;
	s->environment = u->environment;
	s->n_environment = u->n_environment;
	return s;
}

static int
start_pg(struct up *u, struct err *e)
{
	struct service *pg;
	int i;

	if (u->s->database != NULL)
		return 0;
	fill_pg(u);
	if (service_run_as(drop_to(u->s->users.postgres), prepare_pg, u, e) ==
		-1 ||
	    embedded_argv(&u->pg, u->pg_argv, e) == -1)
		return err_prefix(e, "embedded PostgreSQL");
	pg = add_service(u, "postgresql", u->s->users.postgres, false);
	pg->stop_signal = SIGINT;
	for (i = 0; i < 8; i++)
		pg->argv[i] = u->pg_argv[i];
	if (service_start(pg, e) == -1 ||
	    embedded_wait(u->superuser, DB_WAIT_MS, e) == -1 ||
	    service_run_as(drop_to(u->s->users.postgres), migrate, u, e) == -1)
		return err_prefix(e, "embedded PostgreSQL");
	return 0;
}

/* Issuers get their row ids before enrolld looks for them. */
static int
register_issuers(void *arg, struct err *e)
{
	struct up *u = arg;
	struct engine *g;
	int rc;

	if (engine_new(u->s, "oper", "up", &g, e) == -1)
		return -1;
	rc = engine_register(g, e);
	engine_free(g);
	return rc;
}

static int
open_notify(struct up *u, struct err *e)
{
	struct sockaddr_un sun = { .sun_family = AF_UNIX };
	const char *name =
	    arena_printf(u->c->a, "chancery-up-%d", (int)getpid());
	size_t n = strlen(name);

	/* abstract: no path that could be too long or be left behind */
	memcpy(sun.sun_path + 1, name, n);
	u->notify =
	    socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (u->notify == -1 ||
	    setsockopt(u->notify, SOL_SOCKET, SO_PASSCRED, &(int){ 1 },
		sizeof(int)) == -1 ||
	    bind(u->notify, (struct sockaddr *)&sun,
		(socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + n)) ==
		-1)
		return err_set(e, ERR_UNAVAILABLE, "no notify socket: %s",
		    strerror(errno));
	u->environment[u->n_environment++] =
	    arena_printf(u->c->a, "NOTIFY_SOCKET=@%s", name);
	return 0;
}

static int
open_signals(struct up *u, struct err *e)
{
	sigset_t set;

	(void)sigemptyset(&set);
	(void)sigaddset(&set, SIGTERM);
	(void)sigaddset(&set, SIGINT);
	(void)sigaddset(&set, SIGHUP);
	(void)sigaddset(&set, SIGCHLD);
	(void)sigprocmask(SIG_BLOCK, &set, NULL);
	u->signals = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	if (u->signals == -1)
		return err_set(
		    e, ERR_UNAVAILABLE, "no signalfd: %s", strerror(errno));
	return 0;
}

/* One that reads chancery.yaml. */
static void
add_daemon(struct up *u, const char *name, const char *user)
{
	struct service *s = add_service(u, name, user, true);

	s->argv[0] = ctl_daemon(u->c, name);
	s->argv[1] = "-c";
	s->argv[2] = u->c->config;
}

static void
add_daemons(struct up *u)
{
	const struct settings_users *us = &u->s->users;
	struct ctl *c = u->c;
	struct service *s;

	s = add_service(u, "signd", us->signd, true);
	s->argv[0] = ctl_daemon(c, "signd");
	s->argv[1] = "-c";
	s->argv[2] = u->s->keys;
	s->argv[3] = "-r";
	s->argv[4] = u->s->run_dir;
	s->argv[5] = "-s";
	s->argv[6] = arena_printf(c->a, "%s/signd", u->s->state_dir);
	add_daemon(u, "vald", us->vald);
	add_daemon(u, "enrolld", us->enroll);
	add_daemon(u, "pubd", us->pub);
	add_daemon(u, "ocspd", us->ocsp);
}

static int
start_all(struct up *u, struct err *e)
{
	size_t i, first;
	unsigned k;

	if (open_signals(u, e) == -1 || open_notify(u, e) == -1)
		return -1;
	for (k = 0; k < u->s->environment_count && k < 12; k++)
		u->environment[u->n_environment++] = u->s->environment[k];
	if (layout_prepare(u->c->a, u->s, e) == -1 || start_pg(u, e) == -1 ||
	    service_run_as(NULL, register_issuers, u, e) == -1)
		return -1;
	first = u->n;
	add_daemons(u);
	for (i = first; i < u->n; i++) {
		if (service_start(&u->services[i], e) == -1)
			return -1;
	}
	return 0;
}

static const char *
ready_file(const struct up *u)
{
	return arena_printf(u->c->a, "%s/ready", u->s->run_dir);
}

/* The file run/ready is there while everything runs. */
static void
note_ready(struct up *u)
{
	bool all = true;
	struct err e;
	size_t i;

	for (i = 0; i < u->n; i++)
		all = all && u->services[i].ready;
	if (all == u->told)
		return;
	u->told = all;
	if (!all) {
		(void)unlink(ready_file(u));
		log_event(LOG_WARN, "not ready", NULL);
		return;
	}
	if (file_replace(ready_file(u), span_str("ready\n"), 0444, &e) == -1)
		log_event(LOG_WARN, "ready", "msg", e.text, NULL);
	log_event(LOG_INFO, "ready", "url", u->s->public_url, NULL);
}

static void
reap(struct up *u)
{
	int status;
	pid_t pid;
	size_t i;

	while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
		for (i = 0; i < u->n; i++) {
			if (u->services[i].pid == pid)
				service_ended(&u->services[i], status);
		}
	}
}

static void
restart_due(struct up *u)
{
	int64_t now = clock_mono_us();
	struct err e;
	size_t i;

	for (i = 0; i < u->n; i++) {
		struct service *s = &u->services[i];

		if (s->pid != 0 || s->restart_us > now)
			continue;
		if (service_start(s, &e) == -1)
			log_event(LOG_ERROR, "restart", "service", s->name,
			    "msg", e.text, NULL);
	}
}

/* A daemon says that it serves: the kernel says which one. */
static void
read_notify(struct up *u)
{
	union {
		struct cmsghdr align;
		char bytes[CMSG_SPACE(sizeof(struct ucred))];
	} control;
	char text[64];
	struct iovec iov = { text, sizeof(text) };
	struct msghdr m = { .msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = control.bytes,
		.msg_controllen = sizeof(control.bytes) };
	ssize_t n = recvmsg(u->notify, &m, 0);
	const struct cmsghdr *c = n > 0 ? CMSG_FIRSTHDR(&m) : NULL;
	struct ucred peer;
	size_t i;

	if (c == NULL || c->cmsg_type != SCM_CREDENTIALS || n < 7 ||
	    memcmp(text, "READY=1", 7) != 0)
		return;
	memcpy(&peer, CMSG_DATA(c), sizeof(peer));
	for (i = 0; i < u->n; i++) {
		if (u->services[i].pid == peer.pid)
			u->services[i].ready = true;
	}
}

static void
signal_all(const struct up *u, int sig)
{
	size_t i;

	for (i = 0; i < u->n; i++) {
		if (u->services[i].pid != 0)
			(void)kill(u->services[i].pid, sig);
	}
}

/* Returns false when it is time to end. */
static bool
read_signal(struct up *u)
{
	struct signalfd_siginfo info;

	while (read(u->signals, &info, sizeof(info)) == sizeof(info)) {
		if (info.ssi_signo == SIGTERM || info.ssi_signo == SIGINT)
			return false;
		if (info.ssi_signo == SIGHUP)
			signal_all(u, SIGHUP);
	}
	return true;
}

static void
watch(struct up *u)
{
	struct pollfd fds[] = { { u->signals, POLLIN, 0 },
		{ u->notify, POLLIN, 0 } };

	for (;;) {
		(void)poll(fds, 2, 200);
		if (!read_signal(u))
			return;
		read_notify(u);
		reap(u);
		restart_due(u);
		note_ready(u);
	}
}

/* In reverse order: the database goes last. */
static void
stop_all(struct up *u)
{
	log_event(LOG_INFO, "stopping", NULL);
	(void)unlink(ready_file(u));
	while (u->n > 0)
		service_stop(&u->services[--u->n], STOP_MS);
	(void)unlink(arena_printf(u->c->a, "%s/up.pid", u->s->run_dir));
	log_event(LOG_INFO, "stopped", NULL);
}

static int
write_pid(struct up *u, struct err *e)
{
	return file_replace(arena_printf(u->c->a, "%s/up.pid", u->s->run_dir),
	    span_str(arena_printf(u->c->a, "%d\n", (int)getpid())), 0444, e);
}

int
cmd_up(struct ctl *c, int argc, char **argv)
{
	struct up u = { .c = c };
	struct err e;
	int rc;

	(void)argv;
	if (argc != 1)
		return ctl_usage("up");
	rc = ctl_settings(c);
	if (rc != CTL_OK)
		return rc;
	u.s = c->s;
	u.schema_dir = find_schema(c);
	log_init("up", LOG_INFO);
	if (start_all(&u, &e) == -1 || write_pid(&u, &e) == -1) {
		log_event(LOG_ERROR, "start", "msg", e.text, NULL);
		rc = ctl_fail(c, &e);
	} else {
		watch(&u);
	}
	stop_all(&u);
	return rc;
}
