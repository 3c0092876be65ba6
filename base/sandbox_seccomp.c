#include <sys/prctl.h>
#include <sys/syscall.h>

#include <errno.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <string.h>

#include "base/sandbox_int.h"

#if defined(__x86_64__)
#define OUR_ARCH AUDIT_ARCH_X86_64
#elif defined(__aarch64__)
#define OUR_ARCH AUDIT_ARCH_AARCH64
#elif defined(__riscv) && __riscv_xlen == 64
#define OUR_ARCH AUDIT_ARCH_RISCV64
#else
#error "add the audit architecture of this machine"
#endif

/* Numbers from here on are the x32 ABI on x86-64 and nothing elsewhere. */
#define FOREIGN_NR 0x40000000

/* clang-format off */
#define LOAD(field) \
	BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, field))
#define RETURN(action) BPF_STMT(BPF_RET | BPF_K, action)
#define DENY(call) \
	BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_##call, 0, 1), \
	RETURN(SECCOMP_RET_ERRNO | EPERM)

static struct sock_filter filter[] = {
	LOAD(arch),
	BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, OUR_ARCH, 1, 0),
	RETURN(SECCOMP_RET_KILL_PROCESS),
	LOAD(nr),
	BPF_JUMP(BPF_JMP | BPF_JGE | BPF_K, FOREIGN_NR, 0, 1),
	RETURN(SECCOMP_RET_KILL_PROCESS),
	/* new programs and other processes */
	DENY(execve), DENY(execveat), DENY(ptrace), DENY(process_vm_readv),
	DENY(process_vm_writev), DENY(kcmp), DENY(pidfd_getfd),
	/* the file system's shape */
	DENY(mount), DENY(umount2), DENY(pivot_root), DENY(chroot),
	DENY(move_mount), DENY(open_tree), DENY(fsopen), DENY(fsconfig),
	DENY(fsmount), DENY(fspick), DENY(mount_setattr), DENY(swapon),
	DENY(swapoff), DENY(quotactl), DENY(open_by_handle_at),
	/* namespaces and identities */
	DENY(unshare), DENY(setns), DENY(setuid), DENY(setgid),
	DENY(setresuid), DENY(setresgid), DENY(setreuid), DENY(setregid),
	DENY(setgroups), DENY(capset),
	/* the kernel and its interfaces */
	DENY(init_module), DENY(finit_module), DENY(delete_module),
	DENY(kexec_load), DENY(bpf), DENY(perf_event_open), DENY(userfaultfd),
	DENY(io_uring_setup), DENY(io_uring_enter), DENY(io_uring_register),
	DENY(keyctl), DENY(add_key), DENY(request_key), DENY(syslog),
	DENY(acct), DENY(reboot), DENY(personality), DENY(fanotify_init),
	/* the machine's clock and names */
	DENY(settimeofday), DENY(clock_settime), DENY(clock_adjtime),
	DENY(adjtimex), DENY(sethostname), DENY(setdomainname),
#ifdef SYS_kexec_file_load
	DENY(kexec_file_load),
#endif
#ifdef SYS_iopl
	DENY(iopl), DENY(ioperm), DENY(modify_ldt), DENY(uselib),
#endif
	RETURN(SECCOMP_RET_ALLOW),
};
/* clang-format on */

int
sandbox_seccomp(struct err *e)
{
	struct sock_fprog prog = {
		.len = sizeof(filter) / sizeof(filter[0]),
		.filter = filter,
	};

	if (prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &prog, 0, 0) != 0)
		return err_set(e, ERR_INTERNAL, "seccomp: %s", strerror(errno));
	return 0;
}
