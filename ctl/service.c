#include "ctl/service.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/auto.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/sandbox.h"

#define BACKOFF_MIN_US ((int64_t)100 * 1000)
#define BACKOFF_MAX_US ((int64_t)5 * 1000 * 1000)
#define STEADY_US ((int64_t)10 * 1000 * 1000)

static void
reset_signals(void)
{
	struct sigaction sa = { .sa_handler = SIG_DFL };
	sigset_t none;

	(void)sigaction(SIGTERM, &sa, NULL);
	(void)sigaction(SIGINT, &sa, NULL);
	(void)sigaction(SIGHUP, &sa, NULL);
	(void)sigaction(SIGCHLD, &sa, NULL);
	(void)sigemptyset(&none);
	(void)sigprocmask(SIG_SETMASK, &none, NULL);
}

static void
become(const struct service *s)
{
	struct err e;
	size_t i;

	reset_signals();
	/* a session of its own: a terminal's ctrl-C is ours to handle */
	(void)setsid();
	if (sandbox_drop(s->user, &e) == -1) {
		log_event(LOG_ERROR, "start", "service", s->name, "msg", e.text,
		    NULL);
		_exit(126);
	}
	/* nothing outlives the supervisor */
	(void)prctl(PR_SET_PDEATHSIG, s->stop_signal);
	for (i = 0; i < s->n_environment; i++)
		(void)putenv((char *)(uintptr_t)s->environment[i]);
	(void)execv(s->argv[0], (char *const *)(uintptr_t)s->argv);
	log_event(LOG_ERROR, "start", "service", s->name, "msg",
	    strerror(errno), NULL);
	_exit(127);
}

int
service_start(struct service *s, struct err *e)
{
	pid_t pid = fork();

	if (pid == -1)
		return err_set(
		    e, ERR_UNAVAILABLE, "cannot fork: %s", strerror(errno));
	if (pid == 0)
		become(s);
	s->pid = pid;
	s->ready = !s->notifies;
	s->started_us = clock_mono_us();
	log_msg(LOG_INFO, "started", "%s, process %d", s->name, (int)pid);
	return 0;
}

void
service_ended(struct service *s, int status)
{
	int64_t pause = BACKOFF_MIN_US;

	if (clock_mono_us() - s->started_us > STEADY_US)
		s->failures = 0;
	if (s->failures < 6)
		s->failures++;
	pause <<= s->failures - 1;
	if (pause > BACKOFF_MAX_US)
		pause = BACKOFF_MAX_US;
	log_msg(LOG_WARN, "ended", "%s, process %d, %s %d", s->name,
	    (int)s->pid, WIFSIGNALED(status) ? "signal" : "status",
	    WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status));
	s->pid = 0;
	s->ready = false;
	s->restart_us = clock_mono_us() + pause;
}

void
service_stop(struct service *s, int timeout_ms)
{
	int64_t until = clock_mono_us() + (int64_t)timeout_ms * 1000;

	if (s->pid == 0)
		return;
	(void)kill(s->pid, s->stop_signal);
	while (waitpid(s->pid, NULL, WNOHANG) == 0) {
		if (clock_mono_us() > until) {
			log_msg(LOG_WARN, "killed", "%s does not end", s->name);
			(void)kill(s->pid, SIGKILL);
			(void)waitpid(s->pid, NULL, 0);
			break;
		}
		(void)usleep(10 * 1000);
	}
	s->pid = 0;
	s->ready = false;
}

static void
work_in_child(
    const char *user, int (*work)(void *, struct err *), void *arg, int out)
{
	struct err e = { .kind = ERR_NONE };
	int rc = -1;

	reset_signals();
	if (sandbox_drop(user, &e) == 0)
		rc = work(arg, &e);
	if (rc == -1 && write(out, &e, sizeof(e)) != sizeof(e))
		_exit(2);
	_exit(rc == 0 ? 0 : 1);
}

int
service_run_as(const char *user, int (*work)(void *arg, struct err *e),
    void *arg, struct err *e)
{
	AUTO_FD int in = -1;
	int fds[2], status;
	ssize_t n;
	pid_t pid;

	if (pipe2(fds, O_CLOEXEC) == -1)
		return err_set(
		    e, ERR_UNAVAILABLE, "no pipe: %s", strerror(errno));
	in = fds[0];
	pid = fork();
	if (pid == 0)
		work_in_child(user, work, arg, fds[1]);
	(void)close(fds[1]);
	if (pid == -1)
		return err_set(
		    e, ERR_UNAVAILABLE, "cannot fork: %s", strerror(errno));
	n = read(in, e, sizeof(*e));
	if (waitpid(pid, &status, 0) == pid && WIFEXITED(status) &&
	    WEXITSTATUS(status) == 0)
		return 0;
	if (n != sizeof(*e))
		return err_set(
		    e, ERR_INTERNAL, "a step ended without saying why");
	return -1;
}
