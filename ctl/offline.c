#include "ctl/offline.h"

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/auto.h"
#include "base/buf.h"

#define ANSWER_MAX ((size_t)64 * 1024)

static void
child(const struct offline *o, int in, int out)
{
	size_t i;

	if (dup2(in, STDIN_FILENO) == -1 || dup2(out, STDOUT_FILENO) == -1)
		_exit(126);
	for (i = 0; i < o->n_environment; i++)
		(void)putenv((char *)(uintptr_t)o->environment[i]);
	(void)execl(
	    o->signd, o->signd, "-s", o->dir, "--ceremony", "-", (char *)NULL);
	_exit(127);
}

static int
exchange(
    int to, int from, const char *request, struct buf *answer, struct err *e)
{
	size_t len = strlen(request);
	char chunk[4096];
	ssize_t n;

	/* a request is far smaller than a pipe holds */
	n = write(to, request, len);
	(void)close(to);
	if (n != (ssize_t)len)
		return err_set(
		    e, ERR_UNAVAILABLE, "the signer takes no request");
	while ((n = read(from, chunk, sizeof(chunk))) > 0)
		buf_add(answer, chunk, (size_t)n);
	return 0;
}

/* The signer's "error=" line, or its exit status. */
static int
refusal(struct arena *a, const char *answer, int status, struct err *e)
{
	const char *text = strstr(answer, "error=");

	if (text == NULL)
		return err_set(e, ERR_REFUSED,
		    "chancery-signd ended with status %d",
		    WIFEXITED(status) ? WEXITSTATUS(status) : -1);
	text += strlen("error=");
	return err_set(e, ERR_REFUSED, "chancery-signd: %s",
	    (const char *)arena_memdup(a, text, strcspn(text, "\n")));
}

int
offline_call(struct arena *a, const struct offline *o, const char *request,
    const char **answer, struct err *e)
{
	int in[2], out[2], status, rc;
	AUTO_BUF(b, ANSWER_MAX);
	pid_t pid;

	if (pipe2(in, O_CLOEXEC) == -1 || pipe2(out, O_CLOEXEC) == -1)
		return err_set(
		    e, ERR_UNAVAILABLE, "no pipe: %s", strerror(errno));
	pid = fork();
	if (pid == 0)
		child(o, in[0], out[1]);
	(void)close(in[0]);
	(void)close(out[1]);
	if (pid == -1)
		return err_set(
		    e, ERR_UNAVAILABLE, "cannot fork: %s", strerror(errno));
	rc = exchange(in[1], out[0], request, &b, e);
	(void)close(out[0]);
	(void)waitpid(pid, &status, 0);
	*answer = arena_memdup(a, b.p, b.n);
	if (rc == -1)
		return -1;
	if (!WIFEXITED(status) || WEXITSTATUS(status) != 0)
		return refusal(a, *answer, status, e);
	return 0;
}
