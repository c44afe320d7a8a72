/* SPDX-License-Identifier: MIT */
#include "fabric/sandbox.h"

#include <grp.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

#if defined(__x86_64__)
#define NATIVE_ARCH AUDIT_ARCH_X86_64
#elif defined(__aarch64__)
#define NATIVE_ARCH AUDIT_ARCH_AARCH64
#else
#error "name the audit architecture of this machine"
#endif

#define NOBODY 65534

/* A sanitizer opens files and makes system calls of its own. */
#if defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define IS_SANITIZED 1
#endif
#elif defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define IS_SANITIZED 1
#endif
#ifndef IS_SANITIZED
#define IS_SANITIZED 0
#endif

/* No entry opens a path, makes a socket or starts a program. */
static const int allowed[] = {
	/* frames, requests, log */
	__NR_read,
	__NR_write,
	__NR_readv,
	__NR_writev,
	__NR_recvmsg,
	__NR_sendmsg,
	__NR_recvmmsg,
	__NR_sendmmsg,
	__NR_recvfrom,
	__NR_sendto,
	/* waiting */
	__NR_epoll_create1,
	__NR_epoll_ctl,
	__NR_epoll_pwait,
	__NR_epoll_pwait2,
#ifdef __NR_epoll_wait
	__NR_epoll_wait,
	__NR_poll,
#endif
	__NR_ppoll,
	__NR_futex,
	__NR_clock_gettime,
	__NR_clock_nanosleep,
	__NR_nanosleep,
	__NR_timerfd_create,
	__NR_timerfd_settime,
	__NR_restart_syscall,
	/* ports: memory, kicks, a look at the descriptors that came */
	__NR_memfd_create,
	__NR_ftruncate,
	__NR_fcntl,
	__NR_eventfd2,
	__NR_pipe2,
	__NR_close,
	__NR_fstat,
	__NR_newfstatat,
	__NR_getsockopt,
	__NR_getsockname,
	__NR_setsockopt,
	__NR_ioctl,
	__NR_getrandom,
	/* memory and threads */
	__NR_brk,
	__NR_mmap,
	__NR_munmap,
	__NR_mremap,
	__NR_mprotect,
	__NR_madvise,
	__NR_clone,
	__NR_clone3,
	__NR_set_robust_list,
	__NR_rseq,
	__NR_prctl,
	__NR_gettid,
	__NR_getpid,
	__NR_sched_getaffinity,
	__NR_sched_yield,
	__NR_prlimit64, /* the loop asks how many descriptors there may be */
	/* signals and the end */
	__NR_rt_sigaction,
	__NR_rt_sigprocmask,
	__NR_rt_sigreturn,
	__NR_sigaltstack,
	__NR_signalfd4,
	__NR_exit,
	__NR_exit_group,
};

static int drop_root(void)
{
	if (geteuid() != 0)
		return 0;
	if (setgroups(0, NULL) < 0 || setresgid(NOBODY, NOBODY, NOBODY) < 0 ||
		setresuid(NOBODY, NOBODY, NOBODY) < 0)
		return -errno;
	return 0;
}

static int install_filter(void)
{
	struct sock_filter filter[ARRAY_LEN(allowed) + 6];
	struct sock_fprog program = {.filter = filter};
	unsigned short n = 0;

	filter[n++] = (struct sock_filter)BPF_STMT(
		BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, arch));
	filter[n++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, NATIVE_ARCH, 1, 0);
	filter[n++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS);
	filter[n++] = (struct sock_filter)BPF_STMT(
		BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr));
	for (size_t i = 0; i < ARRAY_LEN(allowed); i++) {
		/* Over the rest of the list and the refusal, to the end. */
		unsigned char to_end = (unsigned char)(ARRAY_LEN(allowed) - i);

		filter[n++] = (struct sock_filter)BPF_JUMP(
			BPF_JMP | BPF_JEQ | BPF_K, (unsigned)allowed[i], to_end, 0);
	}
	filter[n++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM);
	filter[n++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
	program.len = n;
	return prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) < 0 ? -errno : 0;
}

int sandbox_enter(const char **ret_what)
{
	int r;

	*ret_what = "becoming nobody";
	r = drop_root();
	if (r < 0)
		return r;
	*ret_what = "giving up new privileges";
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		return -errno;
	*ret_what = "filtering system calls";
	return IS_SANITIZED ? 0 : install_filter();
}
