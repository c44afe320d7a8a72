/* SPDX-License-Identifier: MIT
 *
 * What a ring must refuse once it is made, and what takes its place where the kernel refuses rings.
 */
#include "disk_rig.h"

#include <fcntl.h>
#include <liburing.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stdalign.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>

static int set_up(void **state)
{
	static struct disk_rig rig;

	rig_init(&rig, false, 0);
	*state = &rig;
	return 0;
}

static int tear_down(void **state)
{
	rig_fini(*state);
	return 0;
}

/* What becomes of a raw submission. */
static int submit_raw(struct disk_rig *rig, void (*prepare)(struct io_uring_sqe *sqe))
{
	struct io_uring *ring = disk_ring_of(rig->queue);
	struct io_uring_sqe *sqe = io_uring_get_sqe(ring);
	struct io_uring_cqe *cqe;
	eventfd_t ignored;
	int result;

	assert_non_null(sqe);
	prepare(sqe);
	assert_int_equal(io_uring_submit(ring), 1);
	assert_int_equal(io_uring_wait_cqe(ring, &cqe), 0);
	result = cqe->res;
	io_uring_cqe_seen(ring, cqe);
	(void)eventfd_read(rig->event_fd, &ignored);
	return result;
}

static void prepare_openat(struct io_uring_sqe *sqe)
{
	io_uring_prep_openat(sqe, AT_FDCWD, "/etc/passwd", O_RDONLY, 0);
}

static void prepare_fixed_openat(struct io_uring_sqe *sqe)
{
	io_uring_prep_openat_direct(sqe, AT_FDCWD, "/etc/passwd", O_RDONLY, 0, 1);
}

static void prepare_socket(struct io_uring_sqe *sqe)
{
	io_uring_prep_socket(sqe, AF_UNIX, SOCK_STREAM, 0, 0);
}

static void prepare_connect(struct io_uring_sqe *sqe)
{
	static const struct sockaddr address = {.sa_family = AF_UNIX};

	io_uring_prep_connect(sqe, 0, &address, sizeof(address));
	sqe->flags |= IOSQE_FIXED_FILE;
}

static void prepare_nop(struct io_uring_sqe *sqe)
{
	io_uring_prep_nop(sqe);
	sqe->flags |= IOSQE_FIXED_FILE;
}

static char some_bytes[512];
static struct iovec some_memory = {some_bytes, sizeof(some_bytes)};
static int some_fd;

/* Allowed, if it were for a registered file. */
static void prepare_readv_of_descriptor(struct io_uring_sqe *sqe)
{
	io_uring_prep_readv(sqe, some_fd, &some_memory, 1, 0);
}

static void prepare_readv_of_empty_slot(struct io_uring_sqe *sqe)
{
	io_uring_prep_readv(sqe, DISK_BACKEND_MAX_DISKS - 1, &some_memory, 1, 0);
	sqe->flags |= IOSQE_FIXED_FILE;
}

static void prepare_readv_with_flags(struct io_uring_sqe *sqe)
{
	io_uring_prep_readv(sqe, 0, &some_memory, 1, 0);
	sqe->flags |= IOSQE_FIXED_FILE | IOSQE_ASYNC;
}

static void prepare_readv(struct io_uring_sqe *sqe)
{
	io_uring_prep_readv(sqe, 0, &some_memory, 1, 0);
	sqe->flags |= IOSQE_FIXED_FILE;
}

static void only_disk_io_can_be_submitted(void **state)
{
	struct disk_rig *rig = rig_of(state);

	some_fd = rig->fd;
	assert_int_equal(submit_raw(rig, prepare_readv), sizeof(some_bytes));
	assert_int_equal(submit_raw(rig, prepare_openat), -EACCES);
	assert_int_equal(submit_raw(rig, prepare_fixed_openat), -EACCES);
	assert_int_equal(submit_raw(rig, prepare_socket), -EACCES);
	assert_int_equal(submit_raw(rig, prepare_connect), -EACCES);
	assert_int_equal(submit_raw(rig, prepare_nop), -EACCES);
	assert_int_equal(submit_raw(rig, prepare_readv_of_descriptor), -EACCES);
	assert_int_equal(submit_raw(rig, prepare_readv_with_flags), -EACCES);
	assert_int_equal(submit_raw(rig, prepare_readv_of_empty_slot), -EBADF);
	assert_int_equal(submit_raw(rig, prepare_readv), sizeof(some_bytes));
}

static int register_raw(struct io_uring *ring, unsigned operation, const void *what, unsigned n)
{
	return syscall(__NR_io_uring_register, ring->ring_fd, operation, what, n) < 0 ? -errno : 0;
}

static void nothing_but_files_can_be_registered(void **state)
{
	struct disk_rig *rig = rig_of(state);
	struct io_uring *ring = disk_ring_of(rig->queue);
	struct io_uring_restriction anything = {
		.opcode = IORING_RESTRICTION_SQE_OP, .sqe_op = IORING_OP_OPENAT};

	assert_int_equal(register_raw(ring, IORING_REGISTER_RESTRICTIONS, &anything, 1), -EACCES);
	assert_int_not_equal(register_raw(ring, IORING_REGISTER_ENABLE_RINGS, NULL, 0), 0);
	assert_int_equal(io_uring_register_buffers(ring, &some_memory, 1), -EACCES);
	assert_int_equal(io_uring_register_eventfd(ring, rig->event_fd), -EACCES);
	assert_int_equal(io_uring_unregister_files(ring), -EACCES);
	assert_int_equal(io_uring_register_personality(ring), -EACCES);
}

static void a_closed_disk_leaves_the_table(void **state)
{
	struct disk_rig *rig = rig_of(state);

	assert_int_equal(submit_raw(rig, prepare_readv), sizeof(some_bytes));
	disk_close(rig->disk);
	assert_int_equal(submit_raw(rig, prepare_readv), -EBADF);
	rig->disk = rig_open(rig, rig->fd);
	assert_int_equal(submit_raw(rig, prepare_readv), sizeof(some_bytes));
}

static void disks_opened_before_a_queue_are_in_it(void **state)
{
	struct disk_rig *rig = rig_of(state);
	static alignas(4096) uint8_t data[4096];

	disk_file_ops.queue_free(rig->queue);
	assert_int_equal(disk_file_ops.queue_new(rig->backend, rig->event_fd, &rig->queue), 0);
	assert_int_equal(rig_do(rig, DISK_WRITE, 0, data, sizeof(data)), 0);
}

static void refuse_rings(int error)
{
	struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, __NR_io_uring_setup, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | (unsigned)error),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog program = {.len = ARRAY_LEN(code), .filter = code};

	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 ||
		prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) < 0)
		_exit(77);
}

/* In a child, which no filter leaves any more: 0 when disks work without rings. */
static int use_disk_without_rings(int error)
{
	static alignas(4096) uint8_t out[4096], in[4096];
	struct disk_rig rig;
	bool is_ring;

	refuse_rings(error);
	rig_init(&rig, true, 0);
	disk_file_ops.queue_free(rig.queue);
	rig.backend->threads_only = false;
	assert_int_equal(disk_file_ops.queue_new(rig.backend, rig.event_fd, &rig.queue), 0);
	is_ring = disk_queue_is_ring(rig.queue);
	rig_fill(out, sizeof(out), 9);
	if (rig_do(&rig, DISK_WRITE, 0, out, sizeof(out)) < 0 ||
		rig_do(&rig, DISK_READ, 0, in, sizeof(in)) < 0)
		return 1;
	rig_fini(&rig);
	return is_ring || memcmp(in, out, sizeof(in)) != 0;
}

static void threads_take_the_place_of_refused_rings(void **state _unused_)
{
	static const int errors[] = {ENOSYS, EPERM, EACCES, EINVAL};

	for (size_t i = 0; i < ARRAY_LEN(errors); i++) {
		pid_t child = fork();
		int status;

		assert_true(child >= 0);
		if (child == 0)
			_exit(use_disk_without_rings(errors[i]));
		assert_int_equal(waitpid(child, &status, 0), child);
		assert_true(WIFEXITED(status));
		if (WEXITSTATUS(status) == 77)
			skip();
		assert_int_equal(WEXITSTATUS(status), 0);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(only_disk_io_can_be_submitted, set_up, tear_down),
		cmocka_unit_test_setup_teardown(
			nothing_but_files_can_be_registered, set_up, tear_down),
		cmocka_unit_test_setup_teardown(a_closed_disk_leaves_the_table, set_up, tear_down),
		cmocka_unit_test_setup_teardown(
			disks_opened_before_a_queue_are_in_it, set_up, tear_down),
		cmocka_unit_test(threads_take_the_place_of_refused_rings),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
