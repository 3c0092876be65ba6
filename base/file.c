#include "base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/auto.h"
#include "base/buf.h"

static int
read_fd(int fd, struct buf *b, const char *path, struct err *e)
{
	uint8_t chunk[16384];
	ssize_t n;

	for (;;) {
		n = read(fd, chunk, sizeof(chunk));
		if (n == -1 && errno == EINTR)
			continue;
		if (n == -1)
			return err_set(e, ERR_UNAVAILABLE,
			    "cannot read \"%s\": %s", path, strerror(errno));
		if (n == 0)
			return 0;
		buf_add(b, chunk, (size_t)n);
		if (!buf_ok(b))
			return err_set(e, ERR_MALFORMED,
			    "\"%s\" has more than %zu bytes", path, b->max);
	}
}

int
file_read(struct arena *a, const char *path, size_t max, struct span *out,
    struct err *e)
{
	bool standard = strcmp(path, "-") == 0;
	AUTO_FD int fd = -1;
	AUTO_BUF(b, max);

	fd = standard ? dup(STDIN_FILENO) : open(path, O_RDONLY | O_CLOEXEC);
	if (fd == -1)
		return err_set(e,
		    errno == ENOENT ? ERR_NOT_FOUND : ERR_UNAVAILABLE,
		    "cannot open \"%s\": %s", path, strerror(errno));
	if (read_fd(fd, &b, path, e) == -1)
		return -1;
	*out = span_dup(a, buf_get(&b));
	return 0;
}

int
file_write_all(int fd, struct span s)
{
	ssize_t n;

	while (s.n > 0) {
		n = write(fd, s.p, s.n);
		if (n == -1 && errno == EINTR)
			continue;
		if (n <= 0)
			return -1;
		s = span_of(s.p + n, s.n - (size_t)n);
	}
	return 0;
}

/* Makes the rename itself durable. */
static int
sync_directory(struct arena *a, const char *path)
{
	char *dir = arena_strdup(a, path), *slash = strrchr(dir, '/');
	AUTO_FD int fd = -1;

	if (slash == NULL)
		dir = arena_strdup(a, ".");
	else
		slash[slash == dir] = '\0';
	fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return fd == -1 ? -1 : fsync(fd);
}

int
file_replace_by(const char *path, mode_t mode, int (*put)(void *arg, int fd),
    void *arg, struct err *e)
{
	AUTO(arena_auto) a = arena_new();
	char *tmp = arena_printf(a, "%s.XXXXXX", path);
	AUTO_FD int fd = mkostemp(tmp, O_CLOEXEC);

	if (fd == -1)
		return err_set(e, ERR_UNAVAILABLE, "cannot write \"%s\": %s",
		    tmp, strerror(errno));
	if (fchmod(fd, mode) == -1 || put(arg, fd) == -1 || fsync(fd) == -1 ||
	    rename(tmp, path) == -1 || sync_directory(a, path) == -1) {
		(void)err_set(e, ERR_UNAVAILABLE, "cannot write \"%s\": %s",
		    path, strerror(errno));
		(void)unlink(tmp);
		return -1;
	}
	return 0;
}

static int
put_span(void *arg, int fd)
{
	return file_write_all(fd, *(const struct span *)arg);
}

int
file_replace(const char *path, struct span bytes, mode_t mode, struct err *e)
{
	return file_replace_by(path, mode, put_span, &bytes, e);
}
