#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/auto.h"
#include "base/clock.h"
#include "base/ipc.h"

static void
pair(int sv[2])
{
	assert_int_equal(
	    socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, sv), 0);
}

/* A path longer than sun_path, in directories that are removed again. */
static void
test_long_path(void **state)
{
	char dir[64] = "/tmp/ipc-XXXXXX", sub[256], path[512];
	AUTO_FD int l = -1, c = -1, s = -1;
	struct stat st;
	struct err e;
	uid_t uid;
	pid_t pid;

	(void)state;
	assert_non_null(mkdtemp(dir));
	(void)snprintf(sub, sizeof(sub), "%s/%0150d", dir, 7);
	assert_int_equal(mkdir(sub, 0700), 0);
	(void)snprintf(path, sizeof(path), "%s/sock", sub);
	assert_int_equal(ipc_connect(path, &c, &e), -1);
	assert_int_equal(e.kind, ERR_UNAVAILABLE);
	assert_int_equal(ipc_listen(path, 0660, &l, &e), 0);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0660);
	assert_int_equal(ipc_connect(path, &c, &e), 0);
	assert_int_equal(ipc_accept(l, &s, &e), 0);
	assert_int_equal(ipc_peer(s, &uid, &pid, &e), 0);
	assert_int_equal(uid, geteuid());
	assert_int_equal(pid, getpid());
	(void)close(l);
	/* a socket that an earlier process left is replaced */
	assert_int_equal(ipc_listen(path, 0600, &l, &e), 0);
	assert_int_equal(unlink(path), 0);
	assert_int_equal(rmdir(sub), 0);
	assert_int_equal(rmdir(dir), 0);
}

static void
test_messages(void **state)
{
	struct err e;
	AUTO_BUF(b, IPC_MESSAGE_MAX);
	int sv[2];

	(void)state;
	pair(sv);
	assert_int_equal(ipc_send(sv[0], span_str("one"), -1, 0, &e), 0);
	assert_int_equal(ipc_send(sv[0], span_str("second"), -1, 0, &e), 0);
	assert_int_equal(ipc_recv(sv[1], &b, NULL, 0, &e), 0);
	assert_true(span_is(buf_get(&b), "one"));
	assert_int_equal(ipc_recv(sv[1], &b, NULL, -1, &e), 0);
	assert_true(span_is(buf_get(&b), "second"));
	assert_int_equal(
	    ipc_recv(sv[1], &b, NULL, clock_mono_us() + 2000, &e), -1);
	assert_int_equal(e.kind, ERR_UNAVAILABLE);
	assert_int_equal(ipc_send(sv[0], span_of(NULL, 0), -1, 0, &e), -1);
	assert_int_equal(e.kind, ERR_MALFORMED);
	(void)close(sv[0]);
	assert_int_equal(ipc_recv(sv[1], &b, NULL, -1, &e), -1);
	assert_int_equal(e.kind, ERR_UNAVAILABLE);
	assert_int_equal(ipc_send(sv[1], span_str("x"), -1, 0, &e), -1);
	assert_int_equal(e.kind, ERR_UNAVAILABLE);
	(void)close(sv[1]);
}

static void
test_sizes(void **state)
{
	static uint8_t big[IPC_MESSAGE_MAX + 1];
	struct err e;
	AUTO_BUF(b, IPC_MESSAGE_MAX);
	AUTO_BUF(small, 16);
	int sv[2];

	(void)state;
	pair(sv);
	big[IPC_MESSAGE_MAX - 1] = 9;
	assert_int_equal(
	    ipc_send(sv[0], span_of(big, sizeof(big)), -1, 0, &e), -1);
	assert_int_equal(e.kind, ERR_MALFORMED);
	assert_int_equal(
	    ipc_send(sv[0], span_of(big, IPC_MESSAGE_MAX), -1, 0, &e), 0);
	assert_int_equal(ipc_recv(sv[1], &b, NULL, 0, &e), 0);
	assert_int_equal(b.n, IPC_MESSAGE_MAX);
	assert_int_equal(b.p[b.n - 1], 9);
	assert_int_equal(ipc_send(sv[0], span_of(big, 17), -1, 0, &e), 0);
	assert_int_equal(ipc_recv(sv[1], &small, NULL, 0, &e), -1);
	assert_int_equal(e.kind, ERR_MALFORMED);
	(void)close(sv[0]);
	(void)close(sv[1]);
}

static void
test_descriptor(void **state)
{
	int sv[2], p[2], got = -1;
	struct err e;
	AUTO_BUF(b, 64);
	char c = 0;

	(void)state;
	pair(sv);
	assert_int_equal(pipe(p), 0);
	assert_int_equal(ipc_send(sv[0], span_str("fd"), p[1], 0, &e), 0);
	assert_int_equal(ipc_send(sv[0], span_str("fd"), p[1], 0, &e), 0);
	(void)close(p[1]);
	assert_int_equal(ipc_recv(sv[1], &b, &got, 0, &e), 0);
	assert_int_equal(write(got, "x", 1), 1);
	assert_int_equal(read(p[0], &c, 1), 1);
	(void)close(got);
	/* one that nobody asked for is closed: the pipe ends */
	assert_int_equal(ipc_recv(sv[1], &b, NULL, 0, &e), 0);
	assert_int_equal(read(p[0], &c, 1), 0);
	(void)close(p[0]);
	(void)close(sv[0]);
	(void)close(sv[1]);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_long_path),
		cmocka_unit_test(test_messages),
		cmocka_unit_test(test_sizes),
		cmocka_unit_test(test_descriptor),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
