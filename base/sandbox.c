#include "base/sandbox.h"

#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/types.h>

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/landlock.h>
#include <pwd.h>
#include <stdint.h>
#include <string.h>
#include <unistd.h>

#include "base/auto.h"
#include "base/sandbox_int.h"

/* Rights by the version of landlock that brought them; see the kernel's
 * userspace-api/landlock. */
#define FS_V1                                                                  \
	(LANDLOCK_ACCESS_FS_EXECUTE | FS_WRITE |                               \
	    LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_READ_DIR |       \
	    LANDLOCK_ACCESS_FS_MAKE_CHAR | LANDLOCK_ACCESS_FS_MAKE_BLOCK)
#define FS_WRITE                                                               \
	(LANDLOCK_ACCESS_FS_WRITE_FILE | LANDLOCK_ACCESS_FS_REMOVE_DIR |       \
	    LANDLOCK_ACCESS_FS_REMOVE_FILE | LANDLOCK_ACCESS_FS_MAKE_DIR |     \
	    LANDLOCK_ACCESS_FS_MAKE_REG | LANDLOCK_ACCESS_FS_MAKE_SOCK |       \
	    LANDLOCK_ACCESS_FS_MAKE_FIFO | LANDLOCK_ACCESS_FS_MAKE_SYM)
#define FS_READ (LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_READ_DIR)
#define FS_REFER_V2 (UINT64_C(1) << 13)
#define FS_TRUNCATE_V3 (UINT64_C(1) << 14)
#define NET_BIND_TCP_V4 (UINT64_C(1) << 0)
#define FS_OF_FILES                                                            \
	(LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_WRITE_FILE |        \
	    FS_TRUNCATE_V3)

/* The kernel takes any size it knows; headers of Debian 12 lack the second. */
struct ruleset_attr {
	uint64_t handled_fs;
	uint64_t handled_net;
};

static uint64_t
known_rights(int abi)
{
	uint64_t rights = FS_V1;

	if (abi >= 2)
		rights |= FS_REFER_V2;
	if (abi >= 3)
		rights |= FS_TRUNCATE_V3;
	return rights;
}

static int
allow_path(int ruleset, const char *path, uint64_t rights, struct err *e)
{
	AUTO_FD int fd = open(path, O_PATH | O_CLOEXEC);
	struct landlock_path_beneath_attr attr = { .parent_fd = fd };
	struct stat st;

	if (fd < 0)
		return 0;
	if (fstat(fd, &st) != 0)
		return err_set(e, ERR_INTERNAL, "cannot look at \"%s\": %s",
		    path, strerror(errno));
	attr.allowed_access =
	    S_ISDIR(st.st_mode) ? rights : rights & FS_OF_FILES;
	if (syscall(SYS_landlock_add_rule, ruleset, LANDLOCK_RULE_PATH_BENEATH,
		&attr, 0) != 0)
		return err_set(e, ERR_INTERNAL,
		    "cannot allow \"%s\" in the sandbox: %s", path,
		    strerror(errno));
	return 0;
}

static int
allow_all(int ruleset, const struct sandbox_conf *conf, int abi, struct err *e)
{
	uint64_t known = known_rights(abi);
	uint64_t writing =
	    (FS_READ | FS_WRITE | FS_REFER_V2 | FS_TRUNCATE_V3) & known;
	size_t i;

	for (i = 0; i < conf->n_read; i++)
		if (allow_path(ruleset, conf->read[i], FS_READ, e) != 0)
			return -1;
	for (i = 0; i < conf->n_write; i++)
		if (allow_path(ruleset, conf->write[i], writing, e) != 0)
			return -1;
	return 0;
}

static int
enter_landlock(const struct sandbox_conf *conf, int abi, struct err *e)
{
	struct ruleset_attr attr = { .handled_fs = known_rights(abi) };
	size_t size = abi >= 4 ? sizeof(attr) : sizeof(attr.handled_fs);
	AUTO_FD int ruleset = -1;

	if (abi >= 4 && conf->no_tcp_listen)
		attr.handled_net = NET_BIND_TCP_V4;
	ruleset = (int)syscall(SYS_landlock_create_ruleset, &attr, size, 0);
	if (ruleset < 0)
		return err_set(
		    e, ERR_INTERNAL, "landlock: %s", strerror(errno));
	if (allow_all(ruleset, conf, abi, e) != 0)
		return -1;
	if (syscall(SYS_landlock_restrict_self, ruleset, 0) != 0)
		return err_set(
		    e, ERR_INTERNAL, "landlock: %s", strerror(errno));
	return 0;
}

int
sandbox_enter(const struct sandbox_conf *conf, bool *partial, struct err *e)
{
	int abi;

	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0)
		return err_set(
		    e, ERR_INTERNAL, "no_new_privs: %s", strerror(errno));
	abi = (int)syscall(SYS_landlock_create_ruleset, NULL, 0,
	    LANDLOCK_CREATE_RULESET_VERSION);
	*partial = abi < 1 || (abi < 4 && conf->no_tcp_listen);
	if (abi >= 1 && enter_landlock(conf, abi, e) != 0)
		return -1;
	return conf->seccomp ? sandbox_seccomp(e) : 0;
}

static int
become(const struct passwd *pw, struct err *e)
{
	if (initgroups(pw->pw_name, pw->pw_gid) != 0 ||
	    setresgid(pw->pw_gid, pw->pw_gid, pw->pw_gid) != 0 ||
	    setresuid(pw->pw_uid, pw->pw_uid, pw->pw_uid) != 0)
		return err_set(e, ERR_REFUSED, "cannot become user \"%s\": %s",
		    pw->pw_name, strerror(errno));
	if (pw->pw_uid != 0 && (setuid(0) == 0 || geteuid() == 0))
		return err_set(e, ERR_INTERNAL,
		    "user \"%s\" can become root again", pw->pw_name);
	return 0;
}

int
sandbox_drop(const char *user, struct err *e)
{
	const struct passwd *pw;

	if (user == NULL)
		return 0;
	errno = 0;
	pw = getpwnam(user);
	if (pw == NULL)
		return err_set(e, ERR_NOT_FOUND, "no user \"%s\"%s%s", user,
		    errno != 0 ? ": " : "", errno != 0 ? strerror(errno) : "");
	if (geteuid() == pw->pw_uid && getuid() == pw->pw_uid)
		return 0;
	return become(pw, e);
}
