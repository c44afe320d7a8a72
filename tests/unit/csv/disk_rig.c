/* SPDX-License-Identifier: MIT */
#include "disk_rig.h"

#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/eventfd.h>

/* Without O_TMPFILE, which not every file system has. */
static int unnamed_file(int flags)
{
	char path[] = "/tmp/viaduct-disk-XXXXXX";
	int fd = mkostemp(path, O_CLOEXEC | flags);

	(void)unlink(path);
	return fd;
}

int rig_file(uint64_t size_bytes, int flags)
{
	int fd = unnamed_file(flags);

	assert_true(fd >= 0);
	assert_int_equal(ftruncate(fd, (off_t)size_bytes), 0);
	return fd;
}

struct disk *rig_open(struct disk_rig *rig, int fd)
{
	struct disk_config config = {.fd = fd};
	const char *why = NULL;
	struct disk *disk;

	assert_int_equal(disk_open(rig->backend, &config, &disk, &why), 0);
	return disk;
}

static bool has_flags(int flags)
{
	int fd = unnamed_file(flags);

	close_fd(fd);
	return fd >= 0;
}

void rig_init(struct disk_rig *rig, bool threads_only, int flags)
{
	*rig = (struct disk_rig){.event_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)};
	assert_true(rig->event_fd >= 0);
	assert_int_equal(disk_backend_new(&rig->backend), 0);
	rig->backend->threads_only = threads_only;
	assert_int_equal(disk_file_ops.queue_new(rig->backend, rig->event_fd, &rig->queue), 0);
	if (!threads_only && !disk_queue_is_ring(rig->queue))
		rig->missing = "the kernel refuses io_uring";
	if (!has_flags(flags))
		rig->missing = "the file system of /tmp has no O_DIRECT";
	rig->fd = rig_file(RIG_DISK_BYTES, rig->missing ? 0 : flags);
	rig->disk = rig_open(rig, rig->fd);
}

void rig_fini(struct disk_rig *rig)
{
	disk_file_ops.queue_free(rig->queue);
	disk_close(rig->disk);
	disk_backend_free(rig->backend);
	close(rig->event_fd);
	close(rig->fd);
}

struct disk_rig *rig_of(void **state)
{
	struct disk_rig *rig = *state;

	if (rig->missing) {
		print_message("%s\n", rig->missing);
		skip();
	}
	return rig;
}

void rig_submit(struct disk_rig *rig, struct disk *disk, struct disk_request *request)
{
	request->result = 1; /* no result there is */
	assert_int_equal(disk_file_ops.submit(rig->queue, disk, request), 0);
}

void rig_wait(struct disk_rig *rig, unsigned n, struct disk_request **ret_requests)
{
	struct pollfd poll_fd = {.fd = rig->event_fd, .events = POLLIN};
	struct disk_request *some[16];
	eventfd_t ignored;

	disk_file_ops.flush(rig->queue);
	while (n > 0) {
		unsigned got;

		assert_int_equal(poll(&poll_fd, 1, RIG_WAIT_MS), 1);
		assert_int_equal(eventfd_read(rig->event_fd, &ignored), 0);
		got = disk_file_ops.reap(rig->queue, some, MIN(n, (unsigned)ARRAY_LEN(some)));
		for (unsigned i = 0; ret_requests && i < got; i++)
			*ret_requests++ = some[i];
		n -= got;
	}
}

int rig_run(struct disk_rig *rig, struct disk *disk, struct disk_request *request)
{
	struct disk_request *done;

	rig_submit(rig, disk, request);
	rig_wait(rig, 1, &done);
	assert_ptr_equal(done, request);
	return request->result;
}

int rig_do(struct disk_rig *rig, enum disk_op op, uint64_t offset_bytes, void *data,
	uint32_t size_bytes)
{
	struct disk_request request = {
		.op = op,
		.offset_bytes = offset_bytes,
		.size_bytes = size_bytes,
		.n_iov = data ? 1 : 0,
		.iov = {{data, size_bytes}},
	};

	return rig_run(rig, rig->disk, &request);
}

void rig_fill(void *data, size_t size_bytes, unsigned seed)
{
	uint8_t *bytes = data;

	for (size_t i = 0; i < size_bytes; i++)
		bytes[i] = (uint8_t)((i >> 9) * 31 + i * 7 + seed * 101 + 1);
}

static void read_file(int fd, uint64_t offset_bytes, void *data, size_t size_bytes)
{
	assert_int_equal(pread(fd, data, size_bytes, (off_t)offset_bytes), size_bytes);
}

void rig_expect_file(int fd, uint64_t offset_bytes, const void *data, size_t size_bytes)
{
	_cleanup_free_ uint8_t *found = aligned_alloc(4096, ALIGN_UP(size_bytes, 4096UL));

	assert_non_null(found);
	read_file(fd, offset_bytes, found, size_bytes);
	assert_memory_equal(found, data, size_bytes);
}

bool rig_file_is_zero(int fd, uint64_t offset_bytes, size_t size_bytes)
{
	_cleanup_free_ uint8_t *found = aligned_alloc(4096, ALIGN_UP(size_bytes, 4096UL));

	assert_non_null(found);
	read_file(fd, offset_bytes, found, size_bytes);
	return found[0] == 0 && memcmp(found, found + 1, size_bytes - 1) == 0;
}
