/* SPDX-License-Identifier: MIT */
#include "node/vm/sandbox_rules.h"

#include <fcntl.h>
#include <linux/fs.h>
#include <linux/io_uring.h>
#include <linux/kvm.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>

#define SETUP SANDBOX_SETUP
#define RUN   SANDBOX_RUN
#define BOTH  (SANDBOX_SETUP | SANDBOX_RUN)

/* Numbers of commands and options are of 32 bits; the kernel ignores what is above. */
#define IS(argument, value)                                                                        \
	{                                                                                          \
		argument, 0xffffffff, (uint32_t)(value)                                            \
	}
#define IS_WITHOUT(argument, bits)                                                                 \
	{                                                                                          \
		argument, bits, 0                                                                  \
	}
#define IS_NULL(argument)                                                                          \
	{                                                                                          \
		argument, UINT64_MAX, 0                                                            \
	}

/* The reason is for people. */
#define ALLOW(call, phases, reason)                                                                \
	{                                                                                          \
		__NR_##call, phases, 0,                                                            \
		{                                                                                  \
			{                                                                          \
				0                                                                  \
			}                                                                          \
		}                                                                                  \
	}
#define ALLOW_IF(call, phases, reason, ...)                                                        \
	{                                                                                          \
		__NR_##call, phases, 0,                                                            \
		{                                                                                  \
			__VA_ARGS__                                                                \
		}                                                                                  \
	}
#define DENY(call, phases, error, reason)                                                          \
	{                                                                                          \
		__NR_##call, phases, error,                                                        \
		{                                                                                  \
			{                                                                          \
				0                                                                  \
			}                                                                          \
		}                                                                                  \
	}
#define ALLOW_IOCTL(request, phases, reason) ALLOW_IF(ioctl, phases, reason, IS(1, request))
#define ALLOW_OPTION(call, level, option, reason)                                                  \
	ALLOW_IF(call, BOTH, reason, IS(1, level), IS(2, option))

/* A thread like any other of this process, with no namespace of its own. */
#define THREAD_FLAGS                                                                               \
	(CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND | CLONE_THREAD | CLONE_SYSVSEM)
#define OTHER_FLAGS                                                                                \
	(CLONE_NEWNS | CLONE_NEWCGROUP | CLONE_NEWUTS | CLONE_NEWIPC | CLONE_NEWUSER |             \
		CLONE_NEWPID | CLONE_NEWNET | CLONE_VFORK | CLONE_PARENT)

#define SOCKET_TYPE_MASK (0xffffffff & ~(uint64_t)(SOCK_CLOEXEC | SOCK_NONBLOCK))

/* clang-format off */
const struct sandbox_rule sandbox_rules[] = {
	/* ---- descriptors that there are ---- */
	ALLOW(read,             BOTH, "events, timers, migration streams, viewers"),
	ALLOW(write,            BOTH, "events, the log, pipes, viewers"),
	ALLOW(readv,            BOTH, "migration streams"),
	ALLOW(writev,           BOTH, "migration streams"),
	ALLOW(pread64,          BOTH, "kernel images, saved states"),
	ALLOW(pwrite64,         BOTH, "saved states"),
	ALLOW(preadv,           BOTH, "disks where io_uring is refused"),
	ALLOW(pwritev,          BOTH, "disks where io_uring is refused"),
	ALLOW(pwritev2,         BOTH, "the same, durable writes"),
	ALLOW(fallocate,        BOTH, "disks: discarding, zeroing; finding out whether a file can"),
	ALLOW(fdatasync,        BOTH, "disks where io_uring is refused"),
	ALLOW(fsync,            BOTH, "saved states"),
	ALLOW(lseek,            BOTH, "saved states: files or sockets"),
	ALLOW(ftruncate,        SETUP, "the size of guest memory"),
	ALLOW(fstat,            BOTH, "what a descriptor is that came"),
	ALLOW(newfstatat,       BOTH, "fstat() of the C library; of paths there are none"),
	ALLOW(statx,            BOTH, "what alignment a disk's file needs"),
	ALLOW(close,            BOTH, "what is done with"),
	ALLOW(dup3,             BOTH, "a viewer's socket in the place of the VNC library's"),
	ALLOW_IF(fcntl,         BOTH, "how a descriptor was opened", IS(1, F_GETFL)),
	ALLOW_IF(fcntl,         BOTH, "non-blocking sockets", IS(1, F_SETFL)),
	ALLOW_IF(fcntl,         BOTH, "the event loop's pipe", IS(1, F_GETFD)),
	ALLOW_IF(fcntl,         BOTH, "the event loop's pipe", IS(1, F_SETFD)),
	ALLOW_IF(fcntl,         BOTH, "keeping a descriptor that came", IS(1, F_DUPFD_CLOEXEC)),
	ALLOW_IF(fcntl,         BOTH, "whether a switch port's memory can shrink", IS(1, F_GET_SEALS)),

	/* ---- sockets that there are ---- */
	ALLOW(recvmsg,          BOTH, "the control channel, with descriptors; migration streams"),
	ALLOW_IF(sendmsg,       BOTH, "the control channel; migration streams",
		IS_WITHOUT(2, MSG_FASTOPEN)),
	ALLOW(recvfrom,         BOTH, "recv(): viewers"),
	ALLOW_IF(sendto,        BOTH, "send(): viewers; to no address but the peer's",
		IS_WITHOUT(3, MSG_FASTOPEN), IS_NULL(4)),
	ALLOW_IF(socketpair,    BOTH, "what the VNC library is shown first; connected for good",
		IS(0, AF_UNIX), {1, SOCKET_TYPE_MASK, SOCK_STREAM}),
	DENY(socket,            BOTH, EACCES, "syslog() of libraries that have something to say"),
	ALLOW(shutdown,         BOTH, "the end of a migration stream"),
	ALLOW(getpeername,      BOTH, "viewers, for the log"),
	ALLOW_OPTION(getsockopt, IPPROTO_TCP, TCP_INFO, "how a migration stream gets on"),
	ALLOW_OPTION(setsockopt, SOL_SOCKET, SO_SNDBUF, "the control channel"),
	ALLOW_OPTION(setsockopt, SOL_SOCKET, SO_KEEPALIVE, "migration streams: a peer that is gone"),
	ALLOW_OPTION(setsockopt, IPPROTO_TCP, TCP_NODELAY, "migration streams, viewers"),
	ALLOW_OPTION(setsockopt, IPPROTO_TCP, TCP_KEEPIDLE, "migration streams"),
	ALLOW_OPTION(setsockopt, IPPROTO_TCP, TCP_KEEPINTVL, "migration streams"),
	ALLOW_OPTION(setsockopt, IPPROTO_TCP, TCP_KEEPCNT, "migration streams"),
	ALLOW_OPTION(setsockopt, IPPROTO_TCP, TCP_USER_TIMEOUT, "migration streams"),

	/* ---- waiting ---- */
	ALLOW(epoll_create1,    BOTH, "an event loop"),
	ALLOW(epoll_ctl,        BOTH, "its descriptors"),
	ALLOW(epoll_wait,       BOTH, "its sleep"),
	ALLOW(epoll_pwait,      BOTH, "its sleep"),
	ALLOW(poll,             BOTH, "ring workers, migration streams"),
	ALLOW(ppoll,            BOTH, "the same"),
	ALLOW(select,           BOTH, "the VNC library"),
	ALLOW(pselect6,         BOTH, "the same"),
	ALLOW(futex,            BOTH, "locks and threads"),
	ALLOW(eventfd2,         BOTH, "doorbells, wake-ups"),
	ALLOW(timerfd_create,   BOTH, "timers"),
	ALLOW(timerfd_settime,  BOTH, "timers"),
	ALLOW(timer_settime,    BOTH, "the lease: a timer that was made before"),
	ALLOW(signalfd4,        BOTH, "signals of the event loop"),
	ALLOW(pipe,             BOTH, "the VNC library"),
	ALLOW(pipe2,            BOTH, "the event loop"),
	ALLOW(clock_gettime,    BOTH, "time, where the kernel maps no clock"),
	ALLOW(clock_getres,     BOTH, "the same"),
	ALLOW(gettimeofday,     BOTH, "the same"),
	ALLOW(time,             BOTH, "the same"),
	ALLOW(clock_nanosleep,  BOTH, "pauses: of a slowed-down migration, of the VNC library"),
	ALLOW(nanosleep,        BOTH, "the same"),
	ALLOW(restart_syscall,  BOTH, "the kernel's way on after a stop"),

	/* ---- memory: never code ---- */
	ALLOW(brk,              BOTH, "the heap"),
	ALLOW_IF(mmap,          BOTH, "heaps, stacks, ports", IS_WITHOUT(2, PROT_EXEC)),
	ALLOW_IF(mprotect,      BOTH, "heaps, stacks", IS_WITHOUT(2, PROT_EXEC)),
	ALLOW(munmap,           BOTH, "what is done with"),
	ALLOW(mremap,           BOTH, "large allocations that grow"),
	ALLOW(madvise,          BOTH, "memory given back: heaps, stacks, balloons"),
	ALLOW(mincore,          BOTH, "which pages of the guest were ever there"),

	/* ---- threads ---- */
	DENY(clone3,            BOTH, ENOSYS, "no filter sees its flags; clone() comes next"),
	ALLOW_IF(clone,         BOTH, "threads, no processes",
		{0, THREAD_FLAGS | OTHER_FLAGS, THREAD_FLAGS}),
	ALLOW(set_robust_list,  BOTH, "a thread begins"),
	ALLOW(rseq,             BOTH, "a thread begins"),
	ALLOW_IF(prctl,         BOTH, "a thread's name", IS(0, PR_SET_NAME)),
	ALLOW(sched_getaffinity, BOTH, "how many processors there are, for the heap"),
	ALLOW(sched_yield,      BOTH, "spinning locks"),
	ALLOW(sysinfo,          BOTH, "how much memory there is, for qsort()"),
	ALLOW(gettid,           BOTH, "signals to a thread of this process"),
	ALLOW(getpid,           BOTH, "lines of the log"),
	ALLOW(rt_sigaction,     BOTH, "the signal that gets a VP out of the guest"),
	ALLOW(rt_sigprocmask,   BOTH, "threads begin with their signals blocked"),
	ALLOW(rt_sigreturn,     BOTH, "the end of a handler"),
	ALLOW(exit,             BOTH, "a thread ends"),
	ALLOW(exit_group,       BOTH, "the process ends"),
	ALLOW(uname,            BOTH, "the VNC library asks for the host's name"),
	ALLOW(getuid,           BOTH, "libgcrypt, behind the VNC library"),
	ALLOW(geteuid,          BOTH, "the same"),
	DENY(mlock,             BOTH, EPERM, "the same"),
	ALLOW(getrandom,        BOTH, "keys, hash seeds"),
	ALLOW_IF(prlimit64,     SETUP, "how many descriptors there may be", IS(0, 0)),
	ALLOW(seccomp,          SETUP, "the second filter"),

	/* ---- files, which there are none of: libraries look for their configuration ---- */
	DENY(open,              BOTH, ENOENT, "configuration of libraries"),
	DENY(openat,            BOTH, ENOENT, "configuration of libraries"),
	DENY(access,            BOTH, ENOENT, "configuration of libraries"),
	DENY(faccessat,         BOTH, ENOENT, "configuration of libraries"),
	DENY(faccessat2,        BOTH, ENOENT, "configuration of libraries"),
	DENY(stat,              BOTH, ENOENT, "configuration of libraries"),
	DENY(lstat,             BOTH, ENOENT, "configuration of libraries"),
	DENY(readlink,          BOTH, ENOENT, "configuration of libraries"),
	DENY(readlinkat,        BOTH, ENOENT, "configuration of libraries"),

	/* ---- disks ---- */
	ALLOW(io_uring_setup,   SETUP, "the rings, restricted before they are enabled"),
	ALLOW(io_uring_register, SETUP, "their restrictions"),
	ALLOW_IF(io_uring_register, RUN, "disks that come and go", IS(1, IORING_REGISTER_FILES_UPDATE)),
	ALLOW(io_uring_enter,   BOTH, "reads, writes, flushes: all that the rings can do"),
	ALLOW_IOCTL(BLKGETSIZE64, RUN, "the size of a device"),
	ALLOW_IOCTL(BLKSSZGET,  RUN, "its blocks"),
	ALLOW_IOCTL(BLKPBSZGET, RUN, "its physical blocks"),
	ALLOW_IOCTL(BLKROGET,   RUN, "whether it can be written"),

	/* ---- KVM ---- */
	ALLOW(ioctl,            SETUP, "everything a partition is made of"),
	ALLOW_IOCTL(KVM_RUN,    RUN, "a VP runs"),
	ALLOW_IOCTL(KVM_SIGNAL_MSI, RUN, "interrupts of the synthetic devices"),
	ALLOW_IOCTL(KVM_IRQ_LINE, RUN, "interrupts of the emulated ones"),
	ALLOW_IOCTL(KVM_IOEVENTFD, RUN, "doorbells of channels that open and close"),
	ALLOW_IOCTL(KVM_SET_USER_MEMORY_REGION, RUN, "the dirty log begins and ends; memory is added"),
	ALLOW_IOCTL(KVM_GET_DIRTY_LOG, RUN, "migration"),
	ALLOW_IOCTL(KVM_CLEAR_DIRTY_LOG, RUN, "migration"),
	ALLOW_IOCTL(KVM_CHECK_EXTENSION, RUN, "what of a VP can be saved"),
	ALLOW_IOCTL(KVM_SET_CPUID2, RUN, "the state of VPs"),
	ALLOW_IOCTL(KVM_GET_MP_STATE, RUN, "the state of VPs"),
	ALLOW_IOCTL(KVM_SET_MP_STATE, RUN, "the state of VPs"),
	ALLOW_IOCTL(KVM_GET_REGS, RUN, "the state of VPs"),
	ALLOW_IOCTL(KVM_SET_REGS, RUN, "the state of VPs"),
	ALLOW_IOCTL(KVM_GET_SREGS, RUN, "the state of VPs"),
	ALLOW_IOCTL(KVM_SET_SREGS, RUN, "the state of VPs"),
	ALLOW_IOCTL(KVM_GET_MSRS, RUN, "the state of VPs"),
	ALLOW_IOCTL(KVM_SET_MSRS, RUN, "the state of VPs"),
	ALLOW_IOCTL(KVM_GET_LAPIC, RUN, "the state of VPs"),
	ALLOW_IOCTL(KVM_SET_LAPIC, RUN, "the state of VPs"),
	ALLOW_IOCTL(KVM_GET_XSAVE, RUN, "the state of VPs"),
	ALLOW_IOCTL(KVM_GET_XSAVE2, RUN, "the state of VPs"),
	ALLOW_IOCTL(KVM_SET_XSAVE, RUN, "the state of VPs"),
	ALLOW_IOCTL(KVM_GET_XCRS, RUN, "the state of VPs"),
	ALLOW_IOCTL(KVM_SET_XCRS, RUN, "the state of VPs"),
	ALLOW_IOCTL(KVM_GET_VCPU_EVENTS, RUN, "the state of VPs"),
	ALLOW_IOCTL(KVM_SET_VCPU_EVENTS, RUN, "the state of VPs"),
	ALLOW_IOCTL(KVM_GET_DEBUGREGS, RUN, "the state of VPs"),
	ALLOW_IOCTL(KVM_SET_DEBUGREGS, RUN, "the state of VPs"),
	ALLOW_IOCTL(KVM_GET_TSC_KHZ, RUN, "the clock of VPs"),
	ALLOW_IOCTL(KVM_GET_DEVICE_ATTR, RUN, "the clock of VPs: the offset of its TSC"),
	ALLOW_IOCTL(KVM_SET_DEVICE_ATTR, RUN, "the clock of VPs: the offset of its TSC"),
	ALLOW_IOCTL(KVM_GET_IRQCHIP, RUN, "the state of interrupt controllers"),
	ALLOW_IOCTL(KVM_SET_IRQCHIP, RUN, "the state of interrupt controllers"),
};
/* clang-format on */

const size_t sandbox_n_rules = ARRAY_LEN(sandbox_rules);
