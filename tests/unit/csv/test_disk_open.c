/* SPDX-License-Identifier: MIT
 *
 * What may become a disk, and what is known of it; block devices, where this test may make some.
 */
#include "disk_rig.h"

#include <fcntl.h>
#include <linux/loop.h>
#include <stdalign.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>

static int set_up(void **state)
{
	static struct disk_rig rig;

	rig_init(&rig, false, 0);
	*state = &rig;
	return 0;
}

static int set_up_threads(void **state)
{
	static struct disk_rig rig;

	rig_init(&rig, true, 0);
	*state = &rig;
	return 0;
}

static int tear_down(void **state)
{
	rig_fini(*state);
	return 0;
}

static int try_open(struct disk_rig *rig, struct disk_config config)
{
	struct disk *disk = NULL;
	const char *why = NULL;
	int r = disk_open(rig->backend, &config, &disk, &why);

	if (r == -EINVAL)
		assert_non_null(why);
	if (r < 0)
		assert_null(disk);
	disk_close(disk);
	return r;
}

static void only_files_and_devices_are_disks(void **state)
{
	struct disk_rig *rig = rig_of(state);
	int pipes[2], sockets[2], directory = open("/tmp", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);

	assert_int_equal(pipe2(pipes, O_CLOEXEC), 0);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sockets), 0);
	assert_int_equal(try_open(rig, (struct disk_config){.fd = directory}), -EINVAL);
	assert_int_equal(try_open(rig, (struct disk_config){.fd = null}), -EINVAL);
	assert_int_equal(try_open(rig, (struct disk_config){.fd = pipes[0]}), -EINVAL);
	assert_int_equal(try_open(rig, (struct disk_config){.fd = sockets[0]}), -EINVAL);
	assert_int_equal(try_open(rig, (struct disk_config){.fd = -1}), -EBADF);
	assert_int_equal(try_open(rig, (struct disk_config){.fd = 100000}), -EBADF);
	for (unsigned i = 0; i < 2; i++) {
		close(pipes[i]);
		close(sockets[i]);
	}
	close(directory);
	close(null);
}

static int reopen(int fd, int flags)
{
	char path[64];
	int again;

	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	again = open(path, flags | O_CLOEXEC);
	assert_true(again >= 0);
	return again;
}

static void what_a_file_was_opened_for_counts(void **state)
{
	static const struct {
		int flags;
		bool read_only;
		int result;
	} cases[] = {
		{O_RDWR, false, 0},
		{O_RDWR, true, 0},
		{O_RDONLY, true, 0},
		{O_RDONLY, false, -EINVAL},
		{O_WRONLY, false, -EINVAL},
		{O_RDWR | O_APPEND, false, -EINVAL},
		{O_PATH, true, -EINVAL},
	};
	struct disk_rig *rig = rig_of(state);

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		int fd = reopen(rig->fd, cases[i].flags);

		assert_int_equal(try_open(rig, (struct disk_config){.fd = fd,
						       .read_only = cases[i].read_only}),
			cases[i].result);
		close(fd);
	}
}

static void sizes_are_whole_blocks(void **state)
{
	static const struct {
		uint64_t size_bytes;
		uint32_t block_bytes;
		int result;
	} cases[] = {
		{0, 0, -EINVAL},
		{1, 0, -EINVAL},
		{511, 0, -EINVAL},
		{512, 0, 0},
		{1ULL << 40, 0, 0},
		{2048, 2048, 0},
		{2048 * 5, 4096, -EINVAL},
		{2048 * 5 + 512, 2048, -EINVAL},
		{8192, 1, -EINVAL},
		{8192, 256, -EINVAL},
		{8192, 1000, -EINVAL},
		{8192, 8192, -EINVAL},
		{8192, UINT32_MAX, -EINVAL},
		{8192, 1U << 31, -EINVAL},
	};
	struct disk_rig *rig = rig_of(state);

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		assert_int_equal(ftruncate(rig->fd, (off_t)cases[i].size_bytes), 0);
		assert_int_equal(try_open(rig, (struct disk_config){.fd = rig->fd,
						       .block_bytes = cases[i].block_bytes}),
			cases[i].result);
	}
}

static void what_was_said_is_what_is_known(void **state)
{
	struct disk_rig *rig = rig_of(state);
	struct disk_config config = {.fd = rig->fd,
		.read_only = true,
		.block_bytes = 2048,
		.id = {1, 2, 3},
		.serial = "123456789012345678901234567890123456"};
	const char *why = NULL;
	struct disk_info info;
	struct disk *disk;

	assert_int_equal(disk_open(rig->backend, &config, &disk, &why), 0);
	disk_file_ops.get_info(disk, &info);
	assert_int_equal(info.size_bytes, RIG_DISK_BYTES);
	assert_int_equal(info.block_bytes, 2048);
	assert_int_equal(info.physical_bytes, 4096);
	assert_memory_equal(info.id, config.id, sizeof(config.id));
	assert_string_equal(info.serial, config.serial);
	disk_close(disk);
	memset(config.serial, 'x', sizeof(config.serial));
	assert_int_equal(disk_open(rig->backend, &config, &disk, &why), -EINVAL);
}

static void the_table_of_disks_is_bounded(void **state)
{
	struct disk *disks[DISK_BACKEND_MAX_DISKS - 1];
	struct disk_rig *rig = rig_of(state);

	for (unsigned round = 0; round < 2; round++) {
		for (size_t i = 0; i < ARRAY_LEN(disks); i++)
			disks[i] = rig_open(rig, rig->fd);
		assert_int_equal(try_open(rig, (struct disk_config){.fd = rig->fd}), -ENOSPC);
		disk_close(disks[17]);
		assert_int_equal(try_open(rig, (struct disk_config){.fd = rig->fd}), 0);
		disks[17] = NULL;
		for (size_t i = 0; i < ARRAY_LEN(disks); i++)
			disk_close(disks[i]);
	}
}

/* A file system in memory knows holes but no zeroed ranges. */
static void files_in_memory_are_disks(void **state)
{
	static alignas(4096) uint8_t data[65536];
	struct disk_rig *rig = rig_of(state);
	int fd = memfd_create("disk", MFD_CLOEXEC);
	struct disk_request request = {
		.op = DISK_WRITE, .size_bytes = 65536, .n_iov = 1, .iov = {{data, 65536}}};
	struct disk *disk;

	assert_true(fd >= 0);
	assert_int_equal(ftruncate(fd, 1 << 20), 0);
	disk = rig_open(rig, fd);
	rig_fill(data, sizeof(data), 1);
	assert_int_equal(rig_run(rig, disk, &request), 0);
	request.op = DISK_WRITE_ZEROES;
	request.size_bytes = 8192;
	assert_int_equal(rig_run(rig, disk, &request), 0);
	memset(data, 0, 8192);
	rig_expect_file(fd, 0, data, sizeof(data));
	disk_close(disk);
	close(fd);
}

/* ---- block devices ---- */

/* A loop device over `backing_fd`, gone when it is closed; or a skipped test. */
static int loop_device(int backing_fd, uint32_t block_bytes, int flags)
{
	_cleanup_close_ int control = open("/dev/loop-control", O_RDWR | O_CLOEXEC);
	struct loop_config config = {
		.fd = (uint32_t)backing_fd,
		.block_size = block_bytes,
		.info = {.lo_flags = LO_FLAGS_AUTOCLEAR},
	};

	for (unsigned i = 0; control >= 0 && i < 16; i++) {
		char path[32];
		int number = ioctl(control, LOOP_CTL_GET_FREE), fd;

		if (number < 0)
			break;
		snprintf(path, sizeof(path), "/dev/loop%d", number);
		fd = open(path, O_RDWR | O_CLOEXEC);
		if (fd >= 0 && ioctl(fd, LOOP_CONFIGURE, &config) == 0) {
			int again = open(path, O_RDWR | O_CLOEXEC | flags);

			close(fd);
			assert_true(again >= 0);
			return again;
		}
		close_fd(fd);
	}
	print_message("no loop device can be made (they need root)\n");
	skip();
	return -1;
}

static void use_device(struct disk_rig *rig, uint32_t block_bytes, int flags)
{
	static alignas(4096) uint8_t out[1 << 20], in[1 << 20];
	int fd = loop_device(rig->fd, block_bytes, flags);
	struct disk_request request = {
		.op = DISK_WRITE, .fua = true, .size_bytes = sizeof(out), .n_iov = 1};
	static const enum disk_op others[] = {DISK_FLUSH, DISK_DISCARD, DISK_WRITE_ZEROES};
	struct disk_info info;
	struct disk *disk = rig_open(rig, fd);

	disk_file_ops.get_info(disk, &info);
	assert_int_equal(info.size_bytes, RIG_DISK_BYTES);
	assert_int_equal(info.block_bytes, block_bytes);
	assert_true(info.write_cache && info.can_write_zeroes);
	rig_fill(out, sizeof(out), 1);
	request.iov[0] = (struct iovec){out, sizeof(out)};
	assert_int_equal(rig_run(rig, disk, &request), 0);
	for (size_t i = 0; i < ARRAY_LEN(others); i++) {
		struct disk_request other = {
			.op = others[i], .offset_bytes = 65536, .size_bytes = 65536};

		assert_int_equal(rig_run(rig, disk, &other), 0);
	}
	memset(out + 65536, 0, 65536);
	request.op = DISK_READ;
	request.size_bytes = sizeof(in) - 4096;
	request.iov[0] = (struct iovec){in + 3, request.size_bytes};
	assert_int_equal(rig_run(rig, disk, &request), 0);
	assert_memory_equal(in + 3, out, request.size_bytes);
	if (block_bytes == 4096)
		assert_int_equal(
			try_open(rig, (struct disk_config){.fd = fd, .block_bytes = 512}), -EINVAL);
	assert_int_equal(try_open(rig, (struct disk_config){.fd = fd, .block_bytes = 4096}), 0);
	disk_close(disk);
	close(fd);
}

static void devices_are_disks(void **state)
{
	use_device(rig_of(state), 512, 0);
	use_device(rig_of(state), 4096, 0);
	use_device(rig_of(state), 512, O_DIRECT);
	use_device(rig_of(state), 4096, O_DIRECT);
}

#define TEST(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)
#define TEST_ON(test)                                                                              \
	{                                                                                          \
#test "_on_threads", test, set_up_threads, tear_down, NULL                         \
	}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(only_files_and_devices_are_disks),
		TEST(what_a_file_was_opened_for_counts),
		TEST(sizes_are_whole_blocks),
		TEST(what_was_said_is_what_is_known),
		TEST(the_table_of_disks_is_bounded),
		TEST_ON(the_table_of_disks_is_bounded),
		TEST(files_in_memory_are_disks),
		TEST_ON(files_in_memory_are_disks),
		TEST(devices_are_disks),
		TEST_ON(devices_are_disks),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
