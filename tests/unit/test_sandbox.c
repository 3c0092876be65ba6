#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>
#include <netinet/in.h>
#include <pthread.h>
#include <sched.h>

#include "base/sandbox.h"

static char dir_ro[64], dir_rw[64];

/* Runs 'fn' in a child; its result is the exit status. */
static int
in_child(int (*fn)(void))
{
	int status = -1;
	pid_t pid = fork();

	if (pid == 0)
		_exit(fn());
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return WIFEXITED(status) ? WEXITSTATUS(status) : 1000;
}

static int
enter(bool seccomp, bool no_listen, bool *partial)
{
	const char *read[] = { dir_ro, "/nowhere/at/all" };
	const char *write[] = { dir_rw };
	struct sandbox_conf conf = { read, 2, write, 1, seccomp, no_listen };
	struct err e = { 0 };

	if (sandbox_enter(&conf, partial, &e) == 0)
		return 0;
	(void)fprintf(stderr, "# %s\n", e.text);
	return -1;
}

static int
can_open(const char *dir, const char *name, int flags)
{
	char path[200];
	int fd;

	(void)snprintf(path, sizeof(path), "%s/%s", dir, name);
	fd = open(path, flags | O_CLOEXEC, 0600);
	if (fd < 0)
		return 0;
	close(fd);
	return 1;
}

static int
check_files(void)
{
	bool partial;

	if (enter(false, false, &partial) != 0)
		return 1;
	if (partial)
		return 77;
	if (!can_open(dir_ro, "f", O_RDONLY) ||
	    can_open(dir_ro, "f", O_WRONLY) ||
	    can_open(dir_ro, "new", O_WRONLY | O_CREAT))
		return 2;
	if (!can_open(dir_rw, "f", O_RDWR | O_TRUNC) ||
	    !can_open(dir_rw, "new", O_WRONLY | O_CREAT) ||
	    can_open("/etc", "passwd", O_RDONLY))
		return 3;
	return 0;
}

static void
test_files(void **state)
{
	int rc = in_child(check_files);

	(void)state;
	if (rc == 77) {
		print_message("# no landlock in this kernel\n");
		skip();
	}
	assert_int_equal(rc, 0);
}

static int
denied(long rc)
{
	return rc == -1 && errno == EPERM;
}

static int
try_calls(void)
{
	char *const argv[] = { (char *)(uintptr_t) "true", NULL };

	if (!denied(execv("/bin/true", argv)))
		return 2;
	if (!denied(ptrace(PTRACE_TRACEME, 0, NULL, NULL)))
		return 3;
	if (!denied(unshare(0)) || !denied(setuid(getuid())))
		return 4;
	if (!denied(sethostname("x", 1)) || !denied(chroot("/")))
		return 5;
	return getpid() > 0 && socket(AF_INET, SOCK_STREAM, 0) >= 0 ? 0 : 6;
}

static void *
in_thread(void *arg)
{
	*(int *)arg = try_calls();
	return NULL;
}

static int
check_seccomp(void)
{
	pthread_t t;
	bool partial;
	int rc = 0;

	if (enter(true, false, &partial) != 0)
		return 1;
	if (try_calls() != 0)
		return try_calls();
	if (pthread_create(&t, NULL, in_thread, &rc) != 0)
		return 7;
	pthread_join(t, NULL);
	return rc;
}

static void
test_seccomp(void **state)
{
	(void)state;
	assert_int_equal(in_child(check_seccomp), 0);
}

static int
check_without(void)
{
	bool partial;

	if (enter(false, false, &partial) != 0)
		return 1;
	return unshare(0) == 0 ? 0 : 2;
}

static void
test_without_seccomp(void **state)
{
	(void)state;
	assert_int_equal(in_child(check_without), 0);
}

static int
check_listen(void)
{
	struct sockaddr_in sin = { .sin_family = AF_INET };
	bool partial;
	int fd;

	if (enter(false, true, &partial) != 0)
		return 1;
	fd = socket(AF_INET, SOCK_STREAM, 0);
	if (bind(fd, (struct sockaddr *)&sin, sizeof(sin)) == 0)
		return partial ? 77 : 2;
	return errno == EACCES ? 0 : 3;
}

static void
test_no_listen(void **state)
{
	int rc = in_child(check_listen);

	(void)state;
	if (rc == 77) {
		print_message("# no landlock 4 in this kernel\n");
		skip();
	}
	assert_int_equal(rc, 0);
}

static int
check_drop(void)
{
	struct err e;

	if (sandbox_drop("nobody", &e) != 0)
		return geteuid() != 0 && e.kind == ERR_REFUSED ? 0 : 1;
	if (geteuid() == 0 || getuid() == 0 || getegid() == 0)
		return 2;
	return sandbox_drop("nobody", &e) == 0 && setuid(0) != 0 ? 0 : 3;
}

static void
test_drop(void **state)
{
	struct err e;

	(void)state;
	assert_int_equal(in_child(check_drop), 0);
	assert_int_equal(sandbox_drop(NULL, &e), 0);
	assert_int_equal(sandbox_drop("no-such-user-here", &e), -1);
	assert_int_equal(e.kind, ERR_NOT_FOUND);
}

static void
make_dir(char *dir)
{
	char path[100];
	int fd;

	(void)snprintf(dir, 64, "/tmp/test_sandbox.XXXXXX");
	assert_non_null(mkdtemp(dir));
	(void)snprintf(path, sizeof(path), "%s/f", dir);
	fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	assert_true(fd >= 0);
	close(fd);
}

static void
remove_dir(const char *dir)
{
	char path[100];

	(void)snprintf(path, sizeof(path), "%s/f", dir);
	(void)unlink(path);
	(void)snprintf(path, sizeof(path), "%s/new", dir);
	(void)unlink(path);
	(void)rmdir(dir);
}

static int
set_up(void **state)
{
	(void)state;
	make_dir(dir_ro);
	make_dir(dir_rw);
	return 0;
}

static int
tear_down(void **state)
{
	(void)state;
	remove_dir(dir_ro);
	remove_dir(dir_rw);
	return 0;
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_files),
		cmocka_unit_test(test_seccomp),
		cmocka_unit_test(test_without_seccomp),
		cmocka_unit_test(test_no_listen),
		cmocka_unit_test(test_drop),
	};

	return cmocka_run_group_tests_name("sandbox", tests, set_up, tear_down);
}
