/* SPDX-License-Identifier: MIT
 *
 * A process in the sandbox of viaduct-vmhost that somebody has taken over: what it tries, and what
 * becomes of it. Each attempt has a process of its own.
 */
#include "node/vm/sandbox.h"

#include "base/log.h"
#include "base/thread.h"
#include "csv/disk.h"

#include <fcntl.h>
#include <linux/filter.h>
#include <linux/io_uring.h>
#include <linux/kvm.h>
#include <poll.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdalign.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <cmocka.h>

#define CONTROL_FD 3
#define GIVEN_FD   STDIN_FILENO /* what an attempt was given, like a descriptor from the channel */
#define WAIT_MS    20000

/* ---- processes in the sandbox ---- */

#define CHECK(condition)                                                                           \
	do {                                                                                       \
		if (!(condition))                                                                  \
			return __LINE__ % 199 + 1;                                                 \
	} while (0)

static pid_t spawn(int (*body)(void *data), void *data, int given_fd, int *ret_control_fd)
{
	int fds[2];
	pid_t child;

	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fds), 0);
	child = fork();
	assert_true(child >= 0);
	if (child == 0) {
		if (given_fd >= 0)
			dup2(given_fd, GIVEN_FD);
		if (dup2(fds[1], CONTROL_FD) < 0 || sandbox_enter(CONTROL_FD) < 0)
			_exit(255);
		_exit(body(data));
	}
	close(fds[1]);
	*ret_control_fd = fds[0];
	return child;
}

static int wait_for(pid_t child)
{
	int status;

	while (waitpid(child, &status, 0) < 0)
		assert_int_equal(errno, EINTR);
	return status;
}

static int run(int (*body)(void *data), void *data, int given_fd)
{
	int control_fd;
	pid_t child = spawn(body, data, given_fd, &control_fd);
	int status = wait_for(child);

	close(control_fd);
	return status;
}

static void need_filter(void)
{
	if (!SANDBOX_IS_WHOLE) {
		print_message("a sanitizer's process cannot be confined\n");
		skip();
	}
}

/* ---- attempts ---- */

/* How much is left of a VM's process when an attempt is made. */
enum when { COMPLETE, SETTING_UP };

/* A call with its arguments; the result of one that came back is its errno, or 0. */
struct attempt {
	const char *name;
	long call;
	uint64_t arguments[6];
	enum when when; /* the earliest at which it is refused so */
	int error;      /* 0: the process is killed */
};

#define P(pointer) ((uint64_t)(uintptr_t)(pointer))
#define AT_CWD     ((uint64_t)(int64_t)AT_FDCWD)

static char buffer[65536];
static struct iovec piece = {buffer, sizeof(buffer)};
static const struct sockaddr_un abstract = {.sun_family = AF_UNIX, .sun_path = "\0viaduct"};
static const struct msghdr empty_message;
static char *const no_strings[] = {NULL};
static struct sock_filter filter_code = BPF_STMT(BPF_RET | BPF_K, 0);
static const struct sock_fprog filter_program = {.len = 1, .filter = &filter_code};
static alignas(4096) char page[4096];

static const struct attempt attempts[] = {
	/* files */
	{"open", __NR_open, {P("/etc/passwd"), O_RDONLY}, SETTING_UP, ENOENT},
	{"openat", __NR_openat, {AT_CWD, P("/etc/passwd"), O_RDONLY}, SETTING_UP, ENOENT},
	{"openat of /proc", __NR_openat, {AT_CWD, P("/proc/self/mem"), O_RDWR}, SETTING_UP, ENOENT},
	{"readlink", __NR_readlink, {P("/proc/self/exe"), P(buffer), 100}, SETTING_UP, ENOENT},
	{"openat2", __NR_openat2, {AT_CWD, P("/etc/passwd"), P(buffer), 24}, SETTING_UP},
	{"open_by_handle_at", __NR_open_by_handle_at, {0, P(buffer), 0}, SETTING_UP},
	{"creat", __NR_creat, {P("/tmp/x"), 0600}, SETTING_UP},
	{"unlink", __NR_unlink, {P("/tmp/x")}, SETTING_UP},
	{"rename", __NR_rename, {P("/tmp/x"), P("/tmp/y")}, SETTING_UP},
	{"linkat", __NR_linkat, {0, P(""), AT_CWD, P("/x"), AT_EMPTY_PATH}, SETTING_UP},
	{"chmod", __NR_chmod, {P("/"), 0777}, SETTING_UP},
	{"fchmod", __NR_fchmod, {0, 04777}, SETTING_UP},
	{"chdir", __NR_chdir, {P("/")}, SETTING_UP},
	{"fchdir", __NR_fchdir, {0}, SETTING_UP},
	{"chroot", __NR_chroot, {P("/")}, SETTING_UP},
	{"mount", __NR_mount, {P("none"), P("/"), P("proc"), 0, 0}, SETTING_UP},
	{"umount2", __NR_umount2, {P("/"), MNT_DETACH}, SETTING_UP},
	{"pivot_root", __NR_pivot_root, {P("."), P(".")}, SETTING_UP},
	{"fsopen", __NR_fsopen, {P("tmpfs"), 0}, SETTING_UP},
	{"inotify_init1", __NR_inotify_init1, {0}, SETTING_UP},
	/* sockets */
	{"socket", __NR_socket, {AF_INET, SOCK_STREAM, 0}, SETTING_UP, EACCES},
	{"a local socket", __NR_socket, {AF_UNIX, SOCK_DGRAM, 0}, SETTING_UP, EACCES},
	{"a netlink socket", __NR_socket, {AF_NETLINK, SOCK_RAW, 0}, SETTING_UP, EACCES},
	{"socketpair", __NR_socketpair, {AF_UNIX, SOCK_DGRAM, 0, P(buffer)}, SETTING_UP},
	{"connect", __NR_connect, {GIVEN_FD, P(&abstract), sizeof(abstract)}, SETTING_UP},
	{"bind", __NR_bind, {GIVEN_FD, P(&abstract), sizeof(abstract)}, SETTING_UP},
	{"listen", __NR_listen, {GIVEN_FD, 1}, SETTING_UP},
	{"accept4", __NR_accept4, {GIVEN_FD, 0, 0, 0}, SETTING_UP},
	{"sendto somebody", __NR_sendto,
		{GIVEN_FD, P(buffer), 1, 0, P(&abstract), sizeof(abstract)}, SETTING_UP},
	{"connecting by sending", __NR_sendmsg, {GIVEN_FD, P(&empty_message), MSG_FASTOPEN},
		SETTING_UP},
	{"a filter for a socket", __NR_setsockopt,
		{GIVEN_FD, SOL_SOCKET, SO_ATTACH_FILTER, P(&filter_program),
			sizeof(filter_program)},
		SETTING_UP},
	/* programs and processes */
	{"execve", __NR_execve, {P("/bin/true"), P(no_strings), P(no_strings)}, SETTING_UP},
	{"execveat", __NR_execveat, {GIVEN_FD, P(""), P(no_strings), P(no_strings), AT_EMPTY_PATH},
		SETTING_UP},
	{"fork", __NR_fork, {0}, SETTING_UP},
	{"vfork", __NR_vfork, {0}, SETTING_UP},
	{"a process by clone", __NR_clone, {SIGCHLD, 0, 0, 0, 0}, SETTING_UP},
	{"a namespace by clone", __NR_clone, {CLONE_NEWUSER | SIGCHLD, 0, 0, 0, 0}, SETTING_UP},
	{"clone3", __NR_clone3, {P(buffer), 88}, SETTING_UP, ENOSYS},
	{"kill", __NR_kill, {1, 0}, SETTING_UP},
	{"kill of its user's processes", __NR_kill, {(uint64_t)-1, 0}, SETTING_UP},
	{"tgkill of another", __NR_tgkill, {1, 1, 0}, SETTING_UP},
	{"tkill", __NR_tkill, {1, 0}, SETTING_UP},
	{"rt_sigqueueinfo", __NR_rt_sigqueueinfo, {1, SIGTERM, P(buffer)}, SETTING_UP},
	{"pidfd_open", __NR_pidfd_open, {1, 0}, SETTING_UP},
	{"pidfd_getfd", __NR_pidfd_getfd, {GIVEN_FD, 0, 0}, SETTING_UP},
	{"pidfd_send_signal", __NR_pidfd_send_signal, {GIVEN_FD, 0, 0, 0}, SETTING_UP},
	{"ptrace", __NR_ptrace, {16 /* PTRACE_ATTACH */, 1, 0, 0}, SETTING_UP},
	{"process_vm_readv", __NR_process_vm_readv, {1, P(&piece), 1, P(&piece), 1, 0}, SETTING_UP},
	{"process_vm_writev", __NR_process_vm_writev, {1, P(&piece), 1, P(&piece), 1, 0},
		SETTING_UP},
	{"process_madvise", __NR_process_madvise, {GIVEN_FD, P(&piece), 1, 0, 0}, SETTING_UP},
	{"kcmp", __NR_kcmp, {1, 1, 0, 0, 0}, SETTING_UP},
	{"sched_setscheduler", __NR_sched_setscheduler, {0, 1, P(buffer)}, SETTING_UP},
	{"setpriority", __NR_setpriority, {0, 0, (uint64_t)-20}, SETTING_UP},
	{"another's limits", __NR_prlimit64, {1, 7, 0, P(buffer)}, SETTING_UP},
	{"its own limits", __NR_prlimit64, {0, 7, 0, P(buffer)}, COMPLETE},
	/* privileges */
	{"setuid", __NR_setuid, {0}, SETTING_UP},
	{"setresuid", __NR_setresuid, {0, 0, 0}, SETTING_UP},
	{"capset", __NR_capset, {P(buffer), P(buffer)}, SETTING_UP},
	{"unshare", __NR_unshare, {CLONE_NEWUSER}, SETTING_UP},
	{"setns", __NR_setns, {GIVEN_FD, 0}, SETTING_UP},
	{"prctl dumpable", __NR_prctl, {PR_SET_DUMPABLE, 1}, SETTING_UP},
	{"prctl ptracer", __NR_prctl, {PR_SET_PTRACER, (uint64_t)-1}, SETTING_UP},
	{"prctl keep capabilities", __NR_prctl, {PR_SET_KEEPCAPS, 1}, SETTING_UP},
	{"personality", __NR_personality, {0x0400000 /* READ_IMPLIES_EXEC */}, SETTING_UP},
	{"arch_prctl", __NR_arch_prctl, {0x1002, 0}, SETTING_UP},
	{"another filter", __NR_seccomp, {1, 0, P(&filter_program)}, COMPLETE},
	{"keyctl", __NR_keyctl, {0, 0}, SETTING_UP},
	{"add_key", __NR_add_key, {P("user"), P("x"), P("x"), 1, (uint64_t)-3}, SETTING_UP},
	/* memory */
	{"mmap of code", __NR_mmap,
		{0, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, (uint64_t)-1, 0},
		SETTING_UP},
	{"mprotect of code", __NR_mprotect, {P(page), 4096, PROT_READ | PROT_EXEC}, SETTING_UP},
	{"pkey_mprotect", __NR_pkey_mprotect, {P(page), 4096, PROT_EXEC, 0}, SETTING_UP},
	{"remap_file_pages", __NR_remap_file_pages, {P(page), 4096, 0, 0, 0}, SETTING_UP},
	{"shmget", __NR_shmget, {0, 4096, 01600}, SETTING_UP},
	{"shmat", __NR_shmat, {0, 0, 0}, SETTING_UP},
	{"msgget", __NR_msgget, {0, 01600}, SETTING_UP},
	{"memfd_create", __NR_memfd_create, {P("x"), 0}, COMPLETE},
	{"memfd_secret", __NR_memfd_secret, {0}, SETTING_UP},
	{"userfaultfd", __NR_userfaultfd, {0}, SETTING_UP},
	{"vmsplice", __NR_vmsplice, {GIVEN_FD, P(&piece), 1, 0}, SETTING_UP},
	{"splice", __NR_splice, {GIVEN_FD, 0, GIVEN_FD, 0, 1, 0}, SETTING_UP},
	/* large parts of the kernel */
	{"io_uring_setup", __NR_io_uring_setup, {8, P(buffer)}, COMPLETE},
	{"io_uring_register", __NR_io_uring_register,
		{GIVEN_FD, IORING_REGISTER_PROBE, P(buffer), 1}, COMPLETE},
	{"bpf", __NR_bpf, {0, P(buffer), 48}, SETTING_UP},
	{"perf_event_open", __NR_perf_event_open, {P(buffer), 0, (uint64_t)-1, (uint64_t)-1, 0},
		SETTING_UP},
	{"modify_ldt", __NR_modify_ldt, {0, P(buffer), 16}, SETTING_UP},
	{"init_module", __NR_init_module, {P(buffer), 1, P("")}, SETTING_UP},
	{"syslog", __NR_syslog, {3, P(buffer), 1}, SETTING_UP},
	{"timer_create", __NR_timer_create, {0, 0, P(buffer)}, SETTING_UP},
	{"landlock_create_ruleset", __NR_landlock_create_ruleset, {0, 0, 1}, SETTING_UP},
	{"a call of the x32 ABI", 0x40000000 | __NR_getpid, {0}, SETTING_UP},
	{"a call there is not", 4000, {0}, SETTING_UP},
	/* commands of calls that are allowed */
	{"fcntl: signals to others", __NR_fcntl, {GIVEN_FD, F_SETOWN, 1}, SETTING_UP},
	{"fcntl: leases", __NR_fcntl, {GIVEN_FD, F_SETLEASE, F_RDLCK}, SETTING_UP},
	{"ioctl: typing on a terminal", __NR_ioctl, {GIVEN_FD, TIOCSTI, P(buffer)}, COMPLETE},
	{"ioctl: signals to others", __NR_ioctl, {GIVEN_FD, FIOSETOWN, P(buffer)}, COMPLETE},
	{"ioctl: discarding a device", __NR_ioctl, {GIVEN_FD, _IO(0x12, 119), P(buffer)}, COMPLETE},
	{"ioctl: another VM", __NR_ioctl, {GIVEN_FD, KVM_CREATE_VM, 0}, COMPLETE},
	{"ioctl: another VP", __NR_ioctl, {GIVEN_FD, KVM_CREATE_VCPU, 1}, COMPLETE},
	{"ioctl: a device of KVM", __NR_ioctl, {GIVEN_FD, KVM_CREATE_DEVICE, P(buffer)}, COMPLETE},
	{"ioctl: interrupts from files", __NR_ioctl, {GIVEN_FD, KVM_IRQFD, P(buffer)}, COMPLETE},
	{"ioctl: capabilities of KVM", __NR_ioctl, {GIVEN_FD, KVM_ENABLE_CAP, P(buffer)}, COMPLETE},
	{"ioctl: the filter of MSRs", __NR_ioctl, {GIVEN_FD, KVM_X86_SET_MSR_FILTER, P(buffer)},
		COMPLETE},
};

static int make_attempt(const struct attempt *attempt)
{
	const uint64_t *a = attempt->arguments;

	return syscall(attempt->call, a[0], a[1], a[2], a[3], a[4], a[5]) < 0 ? errno : 0;
}

static int attempt_while_setting_up(void *data)
{
	return make_attempt(data);
}

static int attempt_when_complete(void *data)
{
	return sandbox_tighten() < 0 ? 255 : make_attempt(data);
}

static bool is_refused(const struct attempt *attempt, int status)
{
	if (attempt->error)
		return WIFEXITED(status) && WEXITSTATUS(status) == attempt->error;
	return WIFSIGNALED(status) && WTERMSIG(status) == SIGSYS;
}

static int given_socket(void)
{
	int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	assert_true(fd >= 0);
	return fd;
}

static void attempts_end(enum when when)
{
	int fd = given_socket();
	unsigned n_granted = 0;

	need_filter();
	for (size_t i = 0; i < ARRAY_LEN(attempts); i++) {
		int status;

		if (when == SETTING_UP && attempts[i].when != SETTING_UP)
			continue;
		status = run(when == COMPLETE ? attempt_when_complete : attempt_while_setting_up,
			(void *)&attempts[i], fd);
		if (!is_refused(&attempts[i], status)) {
			print_message("%s: status %#x\n", attempts[i].name, status);
			n_granted++;
		}
	}
	close(fd);
	assert_int_equal(n_granted, 0);
}

static void a_process_that_is_set_up_is_confined(void **state _unused_)
{
	attempts_end(SETTING_UP);
}

static void a_complete_process_is_confined_further(void **state _unused_)
{
	attempts_end(COMPLETE);
}

/* Calls by the numbers of another architecture. */
static int call_as_i386(void *data _unused_)
{
#ifdef __x86_64__
	long result = 20; /* getpid */

	__asm__ volatile("int $0x80" : "+a"(result) : : "memory", "r8", "r9", "r10", "r11");
#endif
	return 0;
}

static void other_architectures_are_no_way_out(void **state _unused_)
{
	int status;

	need_filter();
	status = run(call_as_i386, NULL, -1);
	/* A kernel without them says so by another signal. */
	assert_true(WIFSIGNALED(status));
	assert_true(WTERMSIG(status) == SIGSYS || WTERMSIG(status) == SIGSEGV);
}

/* ---- threads that are there already ---- */

static atomic_bool confined;

static void wait_and_try(void *data _unused_)
{
	while (!confined)
		sched_yield();
	syscall(__NR_memfd_create, "x", 0);
	_exit(0);
}

static int confine_with_threads(void *data _unused_)
{
	struct thread thread;

	CHECK(thread_start(&thread, "other", wait_and_try, NULL) == 0);
	CHECK(sandbox_tighten() == 0);
	confined = true;
	thread_join(&thread);
	return 1;
}

static void threads_are_confined_too(void **state _unused_)
{
	int status;

	need_filter();
	status = run(confine_with_threads, NULL, -1);
	assert_true(WIFSIGNALED(status));
	assert_int_equal(WTERMSIG(status), SIGSYS);
}

/* ---- what must go on ---- */

static void count_up(void *data)
{
	char *volatile memory = malloc(3 << 20);

	memset(memory, 1, 3 << 20);
	free(memory);
	atomic_fetch_add((atomic_int *)data, 1);
}

static int use_threads_and_memory(void)
{
	static atomic_int count;
	struct thread threads[16];
	void *blocks[64];

	for (size_t i = 0; i < ARRAY_LEN(threads); i++)
		CHECK(thread_start(&threads[i], "worker", count_up, &count) == 0);
	for (size_t i = 0; i < ARRAY_LEN(threads); i++)
		thread_join(&threads[i]);
	CHECK(count == (int)ARRAY_LEN(threads));
	for (size_t round = 0; round < 4; round++) {
		for (size_t i = 0; i < ARRAY_LEN(blocks); i++)
			CHECK((blocks[i] = malloc(1UL << (10 + i % 12))) != NULL);
		CHECK((blocks[0] = realloc(blocks[0], 8 << 20)) != NULL);
		for (size_t i = 0; i < ARRAY_LEN(blocks); i++)
			free(blocks[i]);
	}
	return 0;
}

static int use_descriptors(void)
{
	struct timespec nap = {.tv_nsec = 1000000};
	int event_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	struct pollfd poll_fd = {.fd = event_fd, .events = POLLIN};
	char byte = 'x';

	CHECK(event_fd >= 0 && eventfd_write(event_fd, 1) == 0);
	CHECK(poll(&poll_fd, 1, WAIT_MS) == 1);
	CHECK(nanosleep(&nap, NULL) == 0);
	log_info("%s", "a line from inside of the sandbox");
	CHECK(send(CONTROL_FD, &byte, 1, MSG_NOSIGNAL) == 1);
	CHECK(!SANDBOX_IS_WHOLE || (open("/etc/localtime", O_RDONLY) < 0 && errno == ENOENT));
	close(event_fd);
	return 0;
}

static int use_disk(struct disk_backend *backend, void *queue, int event_fd)
{
	static alignas(4096) char data[4096] = "data";
	static struct disk_request request = {.op = DISK_WRITE,
		.fua = true,
		.size_bytes = sizeof(data),
		.n_iov = 1,
		.iov = {{data, sizeof(data)}}};
	struct pollfd poll_fd = {.fd = event_fd, .events = POLLIN};
	struct disk_config config = {.fd = GIVEN_FD};
	const char *why = NULL;
	struct disk_request *done;
	eventfd_t ignored;
	struct disk *disk;

	CHECK(disk_open(backend, &config, &disk, &why) == 0);
	for (enum disk_op op = DISK_READ; op <= DISK_WRITE_ZEROES; op++) {
		request.op = op;
		CHECK(disk_file_ops.submit(queue, disk, &request) == 0);
		disk_file_ops.flush(queue);
		/* A request may take several steps, and each of them an event. */
		do
			CHECK(poll(&poll_fd, 1, WAIT_MS) == 1 &&
				eventfd_read(event_fd, &ignored) == 0);
		while (disk_file_ops.reap(queue, &done, 1) == 0);
		CHECK(done->result == 0);
	}
	CHECK(disk_refresh(disk) == 0);
	disk_close(disk);
	return 0;
}

static int be_a_vm(void *data _unused_)
{
	int event_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	struct disk_backend *backend;
	void *queue;
	int r;

	CHECK(disk_backend_new(&backend) == 0);
	CHECK(disk_file_ops.queue_new(backend, event_fd, &queue) == 0);
	CHECK(sandbox_tighten() == 0);
	r = use_threads_and_memory();
	if (r == 0)
		r = use_descriptors();
	if (r == 0)
		r = use_disk(backend, queue, event_fd);
	disk_file_ops.queue_free(queue);
	disk_backend_free(backend);
	return r;
}

static void what_a_vm_does_goes_on(void **state _unused_)
{
	char path[] = "/tmp/viaduct-disk-XXXXXX";
	int fd = mkostemp(path, O_CLOEXEC);
	int status;

	assert_true(fd >= 0);
	assert_int_equal(unlink(path), 0);
	assert_int_equal(ftruncate(fd, 1 << 20), 0);
	status = run(be_a_vm, NULL, fd);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 0);
	close(fd);
}

static int abort_in_sandbox(void *data _unused_)
{
	CHECK(sandbox_tighten() == 0);
	abort();
}

static void a_failed_assertion_is_not_taken_for_an_attack(void **state _unused_)
{
	int status = run(abort_in_sandbox, NULL, -1);

	assert_true(WIFSIGNALED(status));
	assert_int_equal(WTERMSIG(status), SIGABRT);
}

/* ---- its parent ---- */

/* As base/proc.c starts it: without privileges, and to die with its parent. */
static int die_with_parent(void *data)
{
	const int *ready_fd = data;
	char byte = 'x';

	CHECK(geteuid() != 0 || setresuid(65534, 65534, 65534) == 0);
	CHECK(prctl(PR_SET_PDEATHSIG, SIGKILL) == 0);
	CHECK(dup2(*ready_fd, CONTROL_FD) == CONTROL_FD);
	CHECK(sandbox_enter(CONTROL_FD) == 0 && sandbox_tighten() == 0);
	CHECK(write(CONTROL_FD, &byte, 1) == 1);
	for (;;)
		poll(NULL, 0, WAIT_MS);
	return 0;
}

static void it_dies_with_its_parent(void **state _unused_)
{
	struct pollfd poll_fd = {.events = POLLIN};
	int fds[2], ready[2];
	pid_t parent;
	char byte;

	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fds), 0);
	assert_int_equal(pipe2(ready, O_CLOEXEC), 0);
	parent = fork();
	assert_true(parent >= 0);
	if (parent == 0) {
		if (fork() == 0)
			_exit(die_with_parent(&fds[1]));
		_exit(read(ready[0], &byte, 1) != 1);
	}
	close(fds[1]);
	poll_fd.fd = fds[0];
	assert_int_equal(poll(&poll_fd, 1, WAIT_MS), 1);
	assert_int_equal(read(fds[0], &byte, 1), 1);
	assert_int_equal(write(ready[1], &byte, 1), 1);
	assert_int_equal(wait_for(parent), 0);
	/* The end of the other end: nobody has it any more. */
	assert_int_equal(poll(&poll_fd, 1, WAIT_MS), 1);
	assert_int_equal(read(fds[0], &byte, 1), 0);
	close(fds[0]);
	close(ready[0]);
	close(ready[1]);
}

/* ---- what others see of it ---- */

static int wait_to_be_looked_at(void *data _unused_)
{
	struct pollfd poll_fd = {.fd = CONTROL_FD, .events = POLLIN};
	char byte = 'x';

	CHECK(sandbox_tighten() == 0);
	CHECK(write(CONTROL_FD, &byte, 1) == 1);
	CHECK(poll(&poll_fd, 1, WAIT_MS) == 1);
	return 0;
}

static void expect_line(const char *status, const char *line)
{
	if (!strstr(status, line))
		print_message("no '%s' in:\n%s", line, status);
	assert_non_null(strstr(status, line));
}

static void everything_is_given_up(void **state _unused_)
{
	char path[64], status[4096] = "", byte;
	struct pollfd poll_fd = {.events = POLLIN};
	int control_fd;
	pid_t child = spawn(wait_to_be_looked_at, NULL, -1, &control_fd);
	FILE *file;

	poll_fd.fd = control_fd;
	assert_int_equal(poll(&poll_fd, 1, WAIT_MS), 1);
	assert_int_equal(read(control_fd, &byte, 1), 1);
	snprintf(path, sizeof(path), "/proc/%d/status", (int)child);
	file = fopen(path, "r");
	assert_non_null(file);
	assert_true(fread(status, 1, sizeof(status) - 1, file) > 0);
	fclose(file);
	expect_line(status, "\nNoNewPrivs:\t1\n");
	expect_line(status, "\nCapEff:\t0000000000000000\n");
	expect_line(status, "\nCapPrm:\t0000000000000000\n");
	if (SANDBOX_IS_WHOLE)
		expect_line(status, "\nSeccomp:\t2\n");
	if (geteuid() == 0)
		expect_line(status, "\nUid:\t65534\t65534\t65534\t65534\n");
	assert_int_equal(write(control_fd, &byte, 1), 1);
	assert_int_equal(wait_for(child), 0);
	close(control_fd);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_process_that_is_set_up_is_confined),
		cmocka_unit_test(a_complete_process_is_confined_further),
		cmocka_unit_test(other_architectures_are_no_way_out),
		cmocka_unit_test(threads_are_confined_too),
		cmocka_unit_test(what_a_vm_does_goes_on),
		cmocka_unit_test(a_failed_assertion_is_not_taken_for_an_attack),
		cmocka_unit_test(it_dies_with_its_parent),
		cmocka_unit_test(everything_is_given_up),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
