#include "base/ipc.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/auto.h"
#include "base/clock.h"

#define BACKLOG 128

/* Room for the one descriptor that a message may carry, aligned. */
union control {
	struct cmsghdr head;
	char space[CMSG_SPACE(sizeof(int))];
};

/*
 * Puts 'path' into 'sa'.  One that is too long is named through a descriptor
 * of its directory, which is then in '*dir_fd' and stays open for the call.
 */
static int
address(const char *path, struct sockaddr_un *sa, int *dir_fd, struct err *e)
{
	const char *base = strrchr(path, '/');
	char dir[4096];
	int n;

	memset(sa, 0, sizeof(*sa));
	sa->sun_family = AF_UNIX;
	n = snprintf(sa->sun_path, sizeof(sa->sun_path), "%s", path);
	if (n > 0 && (size_t)n < sizeof(sa->sun_path))
		return 0;
	if (base == NULL || (size_t)(base - path) >= sizeof(dir))
		return err_set(e, ERR_INTERNAL, "socket path is too long");
	(void)snprintf(dir, sizeof(dir), "%.*s", (int)(base - path), path);
	*dir_fd = open(dir, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (*dir_fd < 0)
		return err_set(e, ERR_UNAVAILABLE, "cannot open \"%s\": %s",
		    dir, strerror(errno));
	n = snprintf(sa->sun_path, sizeof(sa->sun_path), "/proc/self/fd/%d/%s",
	    *dir_fd, base + 1);
	if (n < 0 || (size_t)n >= sizeof(sa->sun_path))
		return err_set(e, ERR_INTERNAL, "socket name is too long");
	return 0;
}

int
ipc_listen(const char *path, mode_t mode, int *fd, struct err *e)
{
	AUTO_FD int dir_fd = -1, s = -1;
	struct sockaddr_un sa;
	mode_t old;
	int r;

	if (address(path, &sa, &dir_fd, e) != 0)
		return -1;
	s = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	if (s < 0)
		return err_set(
		    e, ERR_UNAVAILABLE, "socket: %s", strerror(errno));
	if (unlink(sa.sun_path) != 0 && errno != ENOENT)
		return err_set(e, ERR_UNAVAILABLE, "cannot replace \"%s\": %s",
		    path, strerror(errno));
	old = umask(0777 & ~(mode & 0700));
	r = bind(s, (const struct sockaddr *)&sa, sizeof(sa));
	(void)umask(old);
	if (r != 0 || chmod(sa.sun_path, mode) != 0 || listen(s, BACKLOG) != 0)
		return err_set(e, ERR_UNAVAILABLE,
		    "cannot listen on \"%s\": %s", path, strerror(errno));
	*fd = s;
	s = -1;
	return 0;
}

int
ipc_connect(const char *path, int *fd, struct err *e)
{
	AUTO_FD int dir_fd = -1, s = -1;
	struct sockaddr_un sa;

	if (address(path, &sa, &dir_fd, e) != 0)
		return -1;
	s = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	if (s < 0)
		return err_set(
		    e, ERR_UNAVAILABLE, "socket: %s", strerror(errno));
	if (connect(s, (const struct sockaddr *)&sa, sizeof(sa)) != 0)
		return err_set(e, ERR_UNAVAILABLE,
		    "cannot connect to \"%s\": %s", path, strerror(errno));
	*fd = s;
	s = -1;
	return 0;
}

int
ipc_accept(int listen_fd, int *fd, struct err *e)
{
	do {
		*fd = accept4(listen_fd, NULL, NULL, SOCK_CLOEXEC);
	} while (*fd < 0 && errno == EINTR);
	if (*fd < 0)
		return err_set(
		    e, ERR_UNAVAILABLE, "accept: %s", strerror(errno));
	return 0;
}

int
ipc_peer(int fd, uid_t *uid, pid_t *pid, struct err *e)
{
	socklen_t n = sizeof(struct ucred);
	struct ucred cred;

	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &cred, &n) != 0)
		return err_set(
		    e, ERR_UNAVAILABLE, "SO_PEERCRED: %s", strerror(errno));
	*uid = cred.uid;
	*pid = cred.pid;
	return 0;
}

/* Waits until 'fd' is ready for 'events' or the deadline has passed. */
static int
wait_for(int fd, short events, int64_t deadline_us, struct err *e)
{
	struct pollfd p = { .fd = fd, .events = events };
	int64_t left_ms;
	int r;

	do {
		left_ms = -1;
		if (deadline_us >= 0) {
			left_ms = (deadline_us - clock_mono_us() + 999) / 1000;
			if (left_ms < 0)
				left_ms = 0;
			if (left_ms > INT32_MAX)
				left_ms = INT32_MAX;
		}
		r = poll(&p, 1, (int)left_ms);
	} while (r < 0 && errno == EINTR);
	if (r < 0)
		return err_set(e, ERR_UNAVAILABLE, "poll: %s", strerror(errno));
	if (r == 0)
		return err_set(e, ERR_UNAVAILABLE, "deadline has passed");
	return 0;
}

static void
attach(struct msghdr *msg, union control *c, int pass_fd)
{
	struct cmsghdr *h;

	memset(c, 0, sizeof(*c));
	msg->msg_control = c->space;
	msg->msg_controllen = sizeof(c->space);
	h = CMSG_FIRSTHDR(msg);
	h->cmsg_level = SOL_SOCKET;
	h->cmsg_type = SCM_RIGHTS;
	h->cmsg_len = CMSG_LEN(sizeof(int));
	memcpy(CMSG_DATA(h), &pass_fd, sizeof(int));
}

int
ipc_send(int fd, struct span m, int pass_fd, int64_t deadline_us, struct err *e)
{
	struct iovec iov = { .iov_base = (void *)(uintptr_t)m.p,
		.iov_len = m.n };
	struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1 };
	union control c;

	if (m.n == 0 || m.n > IPC_MESSAGE_MAX)
		return err_set(e, ERR_MALFORMED,
		    "message of %zu bytes cannot be sent", m.n);
	if (pass_fd >= 0)
		attach(&msg, &c, pass_fd);
	while (sendmsg(fd, &msg, MSG_NOSIGNAL | MSG_DONTWAIT) < 0) {
		if (errno == EINTR)
			continue;
		if (errno != EAGAIN)
			return err_set(
			    e, ERR_UNAVAILABLE, "send: %s", strerror(errno));
		if (wait_for(fd, POLLOUT, deadline_us, e) != 0)
			return -1;
	}
	return 0;
}

/* Takes the first attached descriptor and closes what else came. */
static int
detach(struct msghdr *msg)
{
	struct cmsghdr *h;
	int first = -1, fd;
	size_t i, n;

	for (h = CMSG_FIRSTHDR(msg); h != NULL; h = CMSG_NXTHDR(msg, h)) {
		if (h->cmsg_level != SOL_SOCKET || h->cmsg_type != SCM_RIGHTS)
			continue;
		n = (h->cmsg_len - CMSG_LEN(0)) / sizeof(int);
		for (i = 0; i < n; i++) {
			memcpy(
			    &fd, CMSG_DATA(h) + i * sizeof(int), sizeof(int));
			if (first < 0)
				first = fd;
			else
				(void)close(fd);
		}
	}
	return first;
}

/* Receives when something is there; EAGAIN otherwise. */
static ssize_t
receive(int fd, struct iovec *iov, int *pass_fd, int *flags)
{
	struct msghdr msg = { .msg_iov = iov, .msg_iovlen = 1 };
	union control c;
	ssize_t got;

	msg.msg_control = c.space;
	msg.msg_controllen = sizeof(c.space);
	do {
		got = recvmsg(fd, &msg, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
	} while (got < 0 && errno == EINTR);
	if (got >= 0) {
		*pass_fd = detach(&msg);
		*flags = msg.msg_flags;
	}
	return got;
}

int
ipc_recv(
    int fd, struct buf *b, int *pass_fd, int64_t deadline_us, struct err *e)
{
	AUTO_FD int passed = -1;
	struct iovec iov;
	int flags = 0;
	ssize_t got;

	if (pass_fd != NULL)
		*pass_fd = -1;
	buf_reset(b);
	iov.iov_len = b->max < IPC_MESSAGE_MAX ? b->max : IPC_MESSAGE_MAX;
	iov.iov_base = buf_space(b, iov.iov_len);
	if (iov.iov_base == NULL)
		return err_set(e, ERR_INTERNAL, "no memory for a message");
	b->n = 0;
	/* who may wait will have to: the first look would find nothing */
	if (deadline_us != 0 && wait_for(fd, POLLIN, deadline_us, e) != 0)
		return -1;
	while ((got = receive(fd, &iov, &passed, &flags)) < 0) {
		if (errno != EAGAIN)
			return err_set(
			    e, ERR_UNAVAILABLE, "receive: %s", strerror(errno));
		if (wait_for(fd, POLLIN, deadline_us, e) != 0)
			return -1;
	}
	if (got == 0)
		return err_set(e, ERR_UNAVAILABLE, "peer is gone");
	if ((flags & MSG_TRUNC) != 0)
		return err_set(e, ERR_MALFORMED,
		    "message is longer than %zu bytes", iov.iov_len);
	b->n = (size_t)got;
	if (pass_fd != NULL) {
		*pass_fd = passed;
		passed = -1;
	}
	return 0;
}
