/*
 * chancery-signd: the parent of the slot processes.  It makes the sockets,
 * forks a process per slot before any token call, and replaces those that
 * end; it never touches a key itself.
 */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <openssl/crypto.h>

#include "base/clock.h"
#include "base/ipc.h"
#include "base/log.h"
#include "base/notify.h"
#include "hsm/provision.h"
#include "hsm/secret.h"
#include "hsm/sign_policy.h"
#include "hsm/slot.h"

#define SLOTS_MAX 8
#define SECURE_HEAP ((size_t)64 * 1024)

/* A slot that dies at once is replaced after this; one that ran, at once. */
#define RESPAWN_US ((int64_t)200 * 1000)
#define AT_ONCE_US ((int64_t)1000 * 1000)

/* How long a slot may take to end before it is killed. */
#define END_US ((int64_t)5 * 1000 * 1000)

struct child {
	pid_t pid; /* 0: none */
	bool ready;
	unsigned tries;
	int64_t started_us, respawn_us;
	int listen_fds[SIGN_ROLE__COUNT];
};

struct signd {
	const char *conf, *run_dir, *state_dir;
	struct sign_policy *policy;
	struct child children[SLOTS_MAX];
	int signal_fd, ready_fds[2];
	bool announced, ending;
};

static int
usage(void)
{
	(void)fprintf(stderr,
	    "usage: chancery-signd -c keys.yaml -r run-dir -s state-dir\n"
	    "       chancery-signd -t -c keys.yaml\n"
	    "       chancery-signd --ceremony file [-s state-dir]\n");
	return 2;
}

/* Nobody looks into this process, and no secret reaches a disk. */
static int
harden(void)
{
	struct rlimit none = { 0, 0 };

	if (prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) != 0 ||
	    prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 ||
	    setrlimit(RLIMIT_CORE, &none) != 0 ||
	    CRYPTO_secure_malloc_init(SECURE_HEAP, 32) == 0) {
		log_msg(LOG_ERROR, "cannot harden", "%s", strerror(errno));
		return -1;
	}
	return 0;
}

static int
fail(const struct err *e)
{
	log_event(LOG_ERROR, "cannot start", "msg", e->text, NULL);
	return 1;
}

/* The directory may be there already, made with group access. */
static int
make_dir(const char *path, struct err *e)
{
	if (mkdir(path, 0700) != 0 && errno != EEXIST)
		return err_set(e, ERR_UNAVAILABLE, "cannot make \"%s\": %s",
		    path, strerror(errno));
	return 0;
}

static int
listen_all(struct signd *d, struct err *e)
{
	char path[4096];
	size_t i, role;

	if (make_dir(d->run_dir, e) != 0 || make_dir(d->state_dir, e) != 0)
		return -1;
	for (role = 0; role < SIGN_ROLE__COUNT; role++) {
		(void)snprintf(path, sizeof(path), "%s/sign-%s", d->run_dir,
		    sign_role_name((enum sign_role)role));
		if (make_dir(path, e) != 0)
			return -1;
		for (i = 0; i < d->policy->slots; i++) {
			(void)snprintf(path, sizeof(path), "%s/sign-%s/%02x",
			    d->run_dir, sign_role_name((enum sign_role)role),
			    sign_policy_slot(d->policy, i));
			d->children[i].listen_fds[role] = -1;
			/* a socket of another configuration */
			if (!sign_policy_serves(
				d->policy, i, (enum sign_role)role))
				(void)unlink(path);
			else if (ipc_listen(path, 0660,
				     &d->children[i].listen_fds[role], e) != 0)
				return -1;
		}
	}
	return 0;
}

/* A listen socket is shared with nobody else, but the slot never waits. */
static int
set_nonblocking(struct signd *d, struct err *e)
{
	size_t i, role;

	for (i = 0; i < d->policy->slots; i++) {
		for (role = 0; role < SIGN_ROLE__COUNT; role++) {
			if (d->children[i].listen_fds[role] >= 0 &&
			    fcntl(d->children[i].listen_fds[role], F_SETFL,
				O_NONBLOCK) != 0)
				return err_set(
				    e, ERR_INTERNAL, "%s", strerror(errno));
		}
	}
	return 0;
}

/* Asks once for all processes; a replacement cannot ask again. */
static int
ask_secrets(struct sign_policy *p, struct err *e)
{
	struct sign_secret *s;
	char *answer;
	size_t i;

	for (i = 0; i < p->n_tokens + p->n_keys; i++) {
		s = i < p->n_tokens ? &p->tokens[i].pin
				    : &p->keys[i - p->n_tokens].passphrase;
		if (!s->prompt)
			continue;
		if (secret_read(s,
			i < p->n_tokens ? p->tokens[i].name
					: p->keys[i - p->n_tokens].name,
			&answer, e) != 0)
			return -1;
		s->given = answer;
	}
	return 0;
}

static void
forget_secrets(struct sign_policy *p)
{
	size_t i;

	for (i = 0; i < p->n_tokens; i++)
		secret_free((char *)(uintptr_t)p->tokens[i].pin.given);
	for (i = 0; i < p->n_keys; i++)
		secret_free((char *)(uintptr_t)p->keys[i].passphrase.given);
}

/* In the child: nothing of the parent but what the slot needs. */
static int
slot_process(struct signd *d, size_t i)
{
	struct slot_conf conf = { .policy = d->policy,
		.octet = sign_policy_slot(d->policy, i),
		.state_dir = d->state_dir,
		.listen_fds = d->children[i].listen_fds,
		.ready_fd = d->ready_fds[1],
		.tries = d->children[i].tries };
	size_t j, role;

	(void)prctl(PR_SET_PDEATHSIG, SIGTERM, 0, 0, 0);
	(void)close(d->signal_fd);
	(void)close(d->ready_fds[0]);
	for (j = 0; j < d->policy->slots; j++) {
		for (role = 0; j != i && role < SIGN_ROLE__COUNT; role++) {
			if (d->children[j].listen_fds[role] >= 0)
				(void)close(d->children[j].listen_fds[role]);
		}
	}
	return slot_run(&conf);
}

static void
spawn(struct signd *d, size_t i)
{
	struct child *c = &d->children[i];

	c->started_us = clock_mono_us();
	c->respawn_us = -1;
	c->ready = false;
	c->pid = fork();
	if (c->pid == 0)
		_exit(slot_process(d, i));
	if (c->pid < 0) {
		log_msg(LOG_ERROR, "cannot fork", "%s", strerror(errno));
		c->pid = 0;
		c->respawn_us = clock_mono_us() + RESPAWN_US;
	}
}

static void
tell_end(const struct signd *d, size_t i, int status)
{
	char slot[8], how[64];

	(void)snprintf(
	    slot, sizeof(slot), "%02x", sign_policy_slot(d->policy, i));
	if (WIFSIGNALED(status))
		(void)snprintf(how, sizeof(how), "signal %d%s",
		    WTERMSIG(status),
		    WTERMSIG(status) == SIGALRM ? " (deadline)" : "");
	else
		(void)snprintf(
		    how, sizeof(how), "status %d", WEXITSTATUS(status));
	log_event(
	    LOG_WARN, "slot process ended", "slot", slot, "how", how, NULL);
}

static void
child_ended(struct signd *d, size_t i, int status)
{
	struct child *c = &d->children[i];
	int64_t now = clock_mono_us();
	bool waited =
	    WIFEXITED(status) && WEXITSTATUS(status) == SLOT_EXIT_NOT_READY;

	c->pid = 0;
	if (d->ending)
		return;
	if (!waited)
		tell_end(d, i, status);
	c->tries = waited ? c->tries + 1 : 0;
	c->respawn_us = now;
	if (!waited && now - c->started_us < AT_ONCE_US)
		c->respawn_us += RESPAWN_US;
}

static void
reap(struct signd *d)
{
	int status;
	pid_t pid;
	size_t i;

	while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
		for (i = 0; i < SLOTS_MAX; i++) {
			if (d->children[i].pid == pid)
				child_ended(d, i, status);
		}
	}
}

/* Ends one slot process and waits for it: its log is free then. */
static void
end_child(struct child *c)
{
	int64_t until = clock_mono_us() + END_US;
	int status;

	if (c->pid == 0)
		return;
	(void)kill(c->pid, SIGTERM);
	while (waitpid(c->pid, &status, WNOHANG) == 0) {
		if (clock_mono_us() > until)
			(void)kill(c->pid, SIGKILL);
		(void)poll(NULL, 0, 5);
	}
	c->pid = 0;
}

static void
read_ready(struct signd *d)
{
	uint8_t octet;
	size_t i, ready = 0;

	while (read(d->ready_fds[0], &octet, 1) == 1) {
		for (i = 0; i < d->policy->slots; i++) {
			if (sign_policy_slot(d->policy, i) != octet)
				continue;
			d->children[i].ready = true;
			d->children[i].tries = 0;
		}
	}
	for (i = 0; i < d->policy->slots; i++)
		ready += d->children[i].ready;
	if (ready == d->policy->slots && !d->announced) {
		d->announced = true;
		log_event(LOG_INFO, "ready", NULL);
		notify_ready();
	}
}

/*
 * Loads keys.yaml anew, then replaces one slot process after the other.  The
 * sockets stay, so node and slots cannot change without a restart.
 */
static void
reload(struct signd *d)
{
	struct sign_policy *fresh = NULL;
	char flag[4096];
	struct err e;
	size_t i;

	(void)snprintf(
	    flag, sizeof(flag), "%s/%s", d->state_dir, SLOT_PIN_FLAG);
	if (sign_policy_load(d->conf, &fresh, &e) == 0 &&
	    (fresh->node != d->policy->node ||
		fresh->slots != d->policy->slots))
		(void)err_set(
		    &e, ERR_MALFORMED, "node and slots need a restart");
	else if (fresh != NULL && ask_secrets(fresh, &e) == 0)
		e.kind = ERR_NONE;
	if (fresh == NULL || e.kind != ERR_NONE) {
		log_event(LOG_ERROR, "configuration kept", "msg", e.text, NULL);
		sign_policy_free(fresh);
		fresh = NULL;
	}
	if (unlink(flag) == 0)
		log_event(LOG_INFO, "logins allowed again", NULL);
	if (fresh != NULL) {
		forget_secrets(d->policy);
		sign_policy_free(d->policy);
		d->policy = fresh;
	}
	d->announced = false;
	for (i = 0; i < d->policy->slots; i++) {
		end_child(&d->children[i]);
		d->children[i].tries = 0;
		spawn(d, i);
	}
}

static void
on_signal(struct signd *d)
{
	struct signalfd_siginfo si;

	while (read(d->signal_fd, &si, sizeof(si)) == sizeof(si)) {
		if (si.ssi_signo == SIGHUP)
			reload(d);
		else if (si.ssi_signo != SIGCHLD)
			d->ending = true;
	}
	reap(d);
}

/* Replaces what is due; the milliseconds until the next, or -1. */
static int
respawn_due(struct signd *d)
{
	int64_t now = clock_mono_us(), next = -1;
	struct child *c;
	size_t i;

	for (i = 0; i < d->policy->slots; i++) {
		c = &d->children[i];
		if (c->pid != 0)
			continue;
		if (c->respawn_us <= now)
			spawn(d, i);
		else if (next < 0 || c->respawn_us < next)
			next = c->respawn_us;
	}
	return next < 0 ? -1 : (int)((next - now) / 1000 + 1);
}

static void
supervise(struct signd *d)
{
	struct pollfd p[2] = {
		{ .fd = d->signal_fd, .events = POLLIN },
		{ .fd = d->ready_fds[0], .events = POLLIN },
	};
	size_t i;

	while (!d->ending) {
		(void)poll(p, 2, respawn_due(d));
		on_signal(d);
		read_ready(d);
	}
	for (i = 0; i < SLOTS_MAX; i++) {
		if (d->children[i].pid != 0)
			(void)kill(d->children[i].pid, SIGTERM);
	}
	for (i = 0; i < SLOTS_MAX; i++)
		end_child(&d->children[i]);
}

static int
watch_signals(struct signd *d, struct err *e)
{
	sigset_t set;

	(void)sigemptyset(&set);
	(void)sigaddset(&set, SIGTERM);
	(void)sigaddset(&set, SIGINT);
	(void)sigaddset(&set, SIGHUP);
	(void)sigaddset(&set, SIGCHLD);
	if (sigprocmask(SIG_BLOCK, &set, NULL) != 0 ||
	    (d->signal_fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK)) <
		0 ||
	    pipe2(d->ready_fds, O_CLOEXEC | O_NONBLOCK) != 0)
		return err_set(e, ERR_INTERNAL, "%s", strerror(errno));
	return 0;
}

static int
service(struct signd *d)
{
	struct err e;

	if (sign_policy_load(d->conf, &d->policy, &e) != 0)
		return fail(&e);
	if (ask_secrets(d->policy, &e) != 0 || listen_all(d, &e) != 0 ||
	    set_nonblocking(d, &e) != 0 || watch_signals(d, &e) != 0)
		return fail(&e);
	supervise(d);
	forget_secrets(d->policy);
	sign_policy_free(d->policy);
	log_event(LOG_INFO, "ended", NULL);
	return 0;
}

/* Only says whether keys.yaml is right. */
static int
check_only(struct signd *d)
{
	struct err e;

	if (sign_policy_load(d->conf, &d->policy, &e) != 0)
		return fail(&e);
	sign_policy_free(d->policy);
	return 0;
}

int
main(int argc, char **argv)
{
	static const struct option longs[] = {
		{ "ceremony", required_argument, NULL, 'C' },
		{ NULL, 0, NULL, 0 },
	};
	const char *ceremony = NULL;
	bool test = false;
	struct signd d = { 0 };
	char lock[4096];
	int opt;

	log_init("signd", LOG_INFO);
	while ((opt = getopt_long(argc, argv, "c:r:s:t", longs, NULL)) != -1) {
		switch (opt) {
		case 'c':
			d.conf = optarg;
			break;
		case 'r':
			d.run_dir = optarg;
			break;
		case 's':
			d.state_dir = optarg;
			break;
		case 'C':
			ceremony = optarg;
			break;
		case 't':
			test = true;
			break;
		default:
			return usage();
		}
	}
	(void)umask(0077);
	if (optind != argc || harden() != 0)
		return usage();
	if (ceremony != NULL) {
		(void)snprintf(lock, sizeof(lock), "%s/token.lock",
		    d.state_dir == NULL ? "." : d.state_dir);
		return provision_run(ceremony, lock);
	}
	if (test && d.conf != NULL)
		return check_only(&d);
	if (d.conf == NULL || d.run_dir == NULL || d.state_dir == NULL)
		return usage();
	return service(&d);
}
