#include "crl/hook.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/ipc.h"
#include "base/log.h"

#define JOB_MAX 8192
#define TRIES 4
#define FIRST_WAIT_MS 1000
#define TIMEOUT_US ((int64_t)120 * 1000 * 1000)
#define POLL_MS 20

struct hook {
	pid_t pid;
	int fd;
};

static void
execute(const char *command, const char *const arg[3])
{
	char *const argv[] = { (char *)(uintptr_t)command,
		(char *)(uintptr_t)arg[0], (char *)(uintptr_t)arg[1],
		(char *)(uintptr_t)arg[2], NULL };
	int null = open("/dev/null", O_RDONLY);

	(void)prctl(PR_SET_PDEATHSIG, SIGTERM, 0, 0, 0);
	(void)dup2(null, STDIN_FILENO);
	(void)dup2(STDERR_FILENO, STDOUT_FILENO);
	execv(command, argv);
	_exit(127);
}

/* Whether the command ended well; one that hangs is killed. */
static bool
run_once(const char *command, const char *const arg[3])
{
	int64_t until = clock_mono_us() + TIMEOUT_US;
	int status = 0;
	pid_t pid = fork();

	if (pid == 0)
		execute(command, arg);
	if (pid < 0)
		return false;
	while (waitpid(pid, &status, WNOHANG) == 0) {
		if (clock_mono_us() > until)
			(void)kill(pid, SIGKILL);
		(void)poll(NULL, 0, POLL_MS);
	}
	return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

static void
run(const char *command, const char *const arg[3])
{
	int wait_ms = FIRST_WAIT_MS, i;

	for (i = 0; i < TRIES; i++) {
		if (run_once(command, arg))
			return;
		log_event(LOG_WARN, "hook failed", "command", command, "file",
		    arg[0], NULL);
		if (i < TRIES - 1)
			(void)poll(NULL, 0, wait_ms);
		wait_ms *= 4;
	}
	log_event(LOG_ERROR, "hook given up", "command", command, "file",
	    arg[0], "issuer", arg[1], "scope", arg[2], NULL);
}

static bool
parse_job(struct arena *a, struct span s, const char *arg[3])
{
	struct span text;
	int i;

	for (i = 0; i < 3; i++) {
		if (!span_block(&s, &text))
			return false;
		arg[i] = arena_memdup(a, text.p, text.n);
	}
	return s.n == 0;
}

/* In the helper: until the publisher is gone. */
static void
serve(const char *command, int fd)
{
	AUTO(arena_auto) a = arena_new();
	struct sigaction ignore = { .sa_handler = SIG_IGN };
	struct sigaction end = { .sa_handler = SIG_DFL };
	AUTO_BUF(job, JOB_MAX);
	const char *arg[3];
	struct err e;

	/* ctrl-C and SIGHUP are for the publisher, which ends us */
	(void)sigaction(SIGHUP, &ignore, NULL);
	(void)sigaction(SIGINT, &ignore, NULL);
	(void)sigaction(SIGTERM, &end, NULL);
	(void)prctl(PR_SET_PDEATHSIG, SIGTERM, 0, 0, 0);
	while (ipc_recv(fd, &job, NULL, -1, &e) == 0) {
		arena_reset(a);
		if (parse_job(a, buf_get(&job), arg))
			run(command, arg);
	}
}

int
hook_start(const char *command, struct hook **out, struct err *e)
{
	struct hook *h = calloc(1, sizeof(*h));
	int fds[2];

	if (h == NULL ||
	    socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fds) != 0) {
		free(h);
		return err_set(e, ERR_UNAVAILABLE, "hook: %s", strerror(errno));
	}
	h->pid = fork();
	if (h->pid == 0) {
		(void)close(fds[0]);
		serve(command, fds[1]);
		_exit(0);
	}
	(void)close(fds[1]);
	h->fd = fds[0];
	*out = h;
	if (h->pid > 0)
		return 0;
	hook_stop(h);
	return err_set(e, ERR_UNAVAILABLE, "hook: %s", strerror(errno));
}

void
hook_stop(struct hook *h)
{
	int status;

	if (h == NULL)
		return;
	(void)close(h->fd);
	if (h->pid > 0) {
		(void)kill(h->pid, SIGTERM);
		(void)waitpid(h->pid, &status, 0);
	}
	free(h);
}

int
hook_run(struct hook *h, const char *path, const char *issuer,
    const char *scope, struct err *e)
{
	AUTO_BUF(job, JOB_MAX);

	buf_block(&job, span_str(path));
	buf_block(&job, span_str(issuer));
	buf_block(&job, span_str(scope));
	if (!buf_ok(&job))
		return err_set(e, ERR_MALFORMED, "hook: names are too long");
	if (ipc_send(h->fd, buf_get(&job), -1, clock_mono_us(), e) == -1)
		return err_prefix(e, "hook");
	return 0;
}
