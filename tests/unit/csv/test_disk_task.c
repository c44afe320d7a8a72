/* SPDX-License-Identifier: MIT
 *
 * A request as a sequence of I/Os, against a kernel that answers as it likes.
 */
#include "csv/disk_int.h"

#include <fcntl.h>
#include <linux/falloc.h>
#include <setjmp.h>
#include <stdalign.h>
#include <stdarg.h>
#include <string.h>
#include <cmocka.h>

#define DISK_BYTES (64U << 20)

static alignas(DISK_BOUNCE_ALIGN) uint8_t bounce[DISK_BOUNCE_BYTES];

static struct disk plain_disk(void)
{
	return (struct disk){.block_bytes = 512,
		.physical_bytes = 4096,
		.memory_align = 1,
		.length_align = 1,
		.can_discard = true,
		.size_bytes = DISK_BYTES};
}

static struct disk direct_disk(void)
{
	struct disk disk = plain_disk();

	disk.memory_align = disk.length_align = 512;
	return disk;
}

/* The next I/O must be that, and is answered so. Returns whether there is more. */
static bool step(struct disk_task *task, enum disk_io_kind kind, uint64_t offset_bytes,
	uint64_t size_bytes, int result)
{
	uint64_t iov_bytes = 0;
	struct disk_io io;

	if (disk_task_needs_bounce(task))
		task->bounce = bounce;
	disk_task_next(task, &io);
	assert_int_equal(io.kind, kind);
	assert_int_equal(io.offset_bytes, offset_bytes);
	assert_int_equal(io.size_bytes, size_bytes);
	if (kind == DISK_IO_READ || kind == DISK_IO_WRITE) {
		for (unsigned i = 0; i < io.n_iov; i++)
			iov_bytes += io.iov[i].iov_len;
		assert_int_equal(iov_bytes, size_bytes);
	}
	return disk_task_result(task, result);
}

/* Every length of every first transfer: the rest follows, and the pieces are as they were. */
static void short_transfers_go_on(void **state _unused_)
{
	static uint8_t data[1536];
	const struct disk_request pristine = {.op = DISK_WRITE,
		.offset_bytes = 1024,
		.size_bytes = 1536,
		.n_iov = 5,
		.iov = {{data, 500}, {data + 500, 0}, {data + 500, 36}, {data + 536, 1000},
			{data + 1536, 0}}};
	struct disk disk = plain_disk();

	for (int first = 1; first < 1536; first++) {
		struct disk_request request = pristine;
		struct disk_task task;

		assert_true(disk_task_begin(&task, &disk, &request));
		assert_true(step(&task, DISK_IO_WRITE, 1024, 1536, first));
		assert_memory_equal(request.iov, pristine.iov, sizeof(request.iov));
		assert_false(step(
			&task, DISK_IO_WRITE, 1024 + (uint64_t)first, 1536 - first, 1536 - first));
		assert_int_equal(request.result, 0);
		assert_memory_equal(request.iov, pristine.iov, sizeof(request.iov));
	}
}

static void one_byte_at_a_time_ends(void **state _unused_)
{
	static uint8_t data[512];
	struct disk disk = plain_disk();
	struct disk_request request = {
		.op = DISK_READ, .size_bytes = 512, .n_iov = 2, .iov = {{data, 100}, {data, 412}}};
	struct disk_task task;

	assert_true(disk_task_begin(&task, &disk, &request));
	for (unsigned i = 0; i < 512; i++)
		assert_int_equal(step(&task, DISK_IO_READ, i, 512 - i, 1), i < 511);
	assert_int_equal(request.result, 0);
}

static void direct_transfers_go_on_where_they_may(void **state _unused_)
{
	static alignas(512) uint8_t data[2048];
	struct disk disk = direct_disk();
	struct disk_request request = {
		.op = DISK_READ, .size_bytes = 2048, .n_iov = 1, .iov = {{data, 2048}}};
	struct disk_task task;

	assert_true(disk_task_begin(&task, &disk, &request));
	assert_false(disk_task_needs_bounce(&task));
	assert_true(step(&task, DISK_IO_READ, 0, 2048, 1023));
	assert_false(step(&task, DISK_IO_READ, 512, 1536, 511)); /* less than a block: the end */
	assert_int_equal(request.result, -EIO);
}

static void lies_of_the_kernel_are_errors(void **state _unused_)
{
	static uint8_t data[512];
	static const int results[] = {0, 513, INT32_MAX};
	struct disk disk = plain_disk();

	for (size_t i = 0; i < ARRAY_LEN(results); i++) {
		struct disk_request request = {
			.op = DISK_READ, .size_bytes = 512, .n_iov = 1, .iov = {{data, 512}}};
		struct disk_task task;

		assert_true(disk_task_begin(&task, &disk, &request));
		assert_false(step(&task, DISK_IO_READ, 0, 512, results[i]));
		assert_int_equal(request.result, -EIO);
	}
}

static void interruptions_are_retried_but_not_for_ever(void **state _unused_)
{
	static const int errors[] = {-EAGAIN, -EINTR, -ECANCELED};
	static uint8_t data[512];
	struct disk disk = plain_disk();

	for (size_t i = 0; i < ARRAY_LEN(errors); i++) {
		struct disk_request request = {
			.op = DISK_WRITE, .size_bytes = 512, .n_iov = 1, .iov = {{data, 512}}};
		struct disk_task task;
		unsigned n = 0;

		assert_true(disk_task_begin(&task, &disk, &request));
		assert_true(step(&task, DISK_IO_WRITE, 0, 512, errors[i]));
		assert_true(step(&task, DISK_IO_WRITE, 0, 512, 100));
		while (step(&task, DISK_IO_WRITE, 100, 412, errors[i]))
			assert_true(++n < 1000);
		assert_int_equal(request.result, -EIO);
	}
}

static void errors_are_passed_on(void **state _unused_)
{
	static const int errors[] = {-EIO, -ENOSPC, -EFAULT, -EDQUOT, -ENXIO};
	static uint8_t data[512];
	struct disk disk = plain_disk();

	for (size_t i = 0; i < ARRAY_LEN(errors); i++) {
		for (enum disk_op op = DISK_READ; op <= DISK_WRITE_ZEROES; op++) {
			struct disk_request request = {
				.op = op, .size_bytes = 512, .n_iov = 1, .iov = {{data, 512}}};
			struct disk_task task;
			struct disk_io io;

			assert_true(disk_task_begin(&task, &disk, &request));
			disk_task_next(&task, &io);
			assert_false(disk_task_result(&task, errors[i]));
			assert_int_equal(request.result, errors[i]);
		}
	}
}

static void durable_writes_ask_for_it(void **state _unused_)
{
	static uint8_t data[512];
	struct disk disk = plain_disk();
	struct disk_request request = {
		.op = DISK_WRITE, .fua = true, .size_bytes = 512, .n_iov = 1, .iov = {{data, 512}}};
	struct disk_task task;
	struct disk_io io;

	assert_true(disk_task_begin(&task, &disk, &request));
	disk_task_next(&task, &io);
	assert_true(io.dsync);
	assert_false(disk_task_result(&task, 512));

	/* Unsupported: a sync afterwards, and from then on. */
	assert_true(disk_task_begin(&task, &disk, &request));
	assert_true(step(&task, DISK_IO_WRITE, 0, 512, -EOPNOTSUPP));
	disk_task_next(&task, &io);
	assert_false(io.dsync);
	assert_true(disk_task_result(&task, 512));
	assert_false(step(&task, DISK_IO_SYNC, 0, 0, -EIO));
	assert_int_equal(request.result, -EIO);
	assert_true(disk_task_begin(&task, &disk, &request));
	assert_true(step(&task, DISK_IO_WRITE, 0, 512, 512));
	assert_false(step(&task, DISK_IO_SYNC, 0, 0, 0));
	assert_int_equal(request.result, 0);

	/* Plain writes that are not supported have no other way. */
	request.fua = false;
	assert_true(disk_task_begin(&task, &disk, &request));
	while (step(&task, DISK_IO_WRITE, 0, 512, -EOPNOTSUPP))
		;
	assert_int_equal(request.result, -EIO);
}

static void zeroing_falls_back_once(void **state _unused_)
{
	struct disk disk = plain_disk();
	struct disk_request request = {
		.op = DISK_WRITE_ZEROES, .fua = true, .size_bytes = 70 * 1024};
	struct disk_task task;

	assert_true(disk_task_begin(&task, &disk, &request));
	assert_true(step(&task, DISK_IO_FALLOCATE, 0, 70 * 1024, -EOPNOTSUPP));
	assert_int_equal(task.step, DISK_STEP_PUNCH);
	assert_true(step(&task, DISK_IO_FALLOCATE, 0, 70 * 1024, -EOPNOTSUPP));
	assert_true(step(&task, DISK_IO_WRITE, 0, 64 * 1024, 64 * 1024));
	assert_true(step(&task, DISK_IO_WRITE, 64 * 1024, 6 * 1024, 6 * 1024));
	assert_false(step(&task, DISK_IO_SYNC, 0, 0, 0));
	assert_int_equal(request.result, 0);

	assert_true(disk_task_begin(&task, &disk, &request));
	assert_int_equal(task.step, DISK_STEP_ZERO_WRITES);
	assert_true(step(&task, DISK_IO_WRITE, 0, 64 * 1024, 512));
	assert_true(step(&task, DISK_IO_WRITE, 512, 64 * 1024, 64 * 1024));
}

static void discards_keep_what_was_promised(void **state _unused_)
{
	struct disk file = plain_disk(), device = plain_disk(), none = plain_disk();
	struct disk_request request = {.op = DISK_DISCARD, .size_bytes = 4096};
	struct disk_task task;

	/* A file's holes read as zeroes, even where holes turn out to be impossible. */
	assert_true(disk_task_begin(&task, &file, &request));
	assert_true(step(&task, DISK_IO_FALLOCATE, 0, 4096, -EOPNOTSUPP));
	assert_false(step(&task, DISK_IO_WRITE, 0, 4096, 4096));
	assert_int_equal(request.result, 0);

	/* A device's discards are advice. */
	device.is_device = true;
	assert_true(disk_task_begin(&task, &device, &request));
	request.result = -1;
	assert_false(step(&task, DISK_IO_FALLOCATE, 0, 4096, -EOPNOTSUPP));
	assert_int_equal(request.result, 0);
	assert_false(disk_task_begin(&task, &device, &request));
	assert_int_equal(request.result, 0);

	/* And a device whose holes are unknown is not asked to make some for zeroes. */
	request.op = DISK_WRITE_ZEROES;
	device.no_punch = false;
	device.no_zero_range = true;
	assert_true(disk_task_begin(&task, &device, &request));
	assert_int_equal(task.step, DISK_STEP_ZERO_WRITES);

	request.op = DISK_DISCARD;
	none.can_discard = false;
	none.no_punch = true;
	request.result = -1;
	assert_false(disk_task_begin(&task, &none, &request));
	assert_int_equal(request.result, 0);
}

static void bounced_pieces_arrive_where_they_belong(void **state _unused_)
{
	static alignas(512) uint8_t data[DISK_BOUNCE_BYTES * 2 + 1024];
	const uint32_t size_bytes = DISK_BOUNCE_BYTES + 1024;
	struct disk disk = direct_disk();
	struct disk_request request = {.size_bytes = size_bytes,
		.n_iov = 3,
		.iov = {{data + 1, 700}, {data + 4096, 324}, {data + 8192, DISK_BOUNCE_BYTES}}};
	struct disk_task task;
	struct disk_io io;

	request.op = DISK_READ;
	assert_true(disk_task_begin(&task, &disk, &request));
	assert_true(disk_task_needs_bounce(&task));
	task.bounce = bounce;
	memset(bounce, 1, sizeof(bounce));
	disk_task_next(&task, &io);
	assert_ptr_equal(io.iov[0].iov_base, bounce);
	assert_int_equal(io.size_bytes, DISK_BOUNCE_BYTES);
	assert_true(disk_task_result(&task, 1024)); /* short: the rest again */
	assert_int_equal(data[0], 0);
	assert_int_equal(data[1], 1);
	assert_int_equal(data[700], 1);
	assert_int_equal(data[701], 0);
	assert_int_equal(data[4096 + 323], 1);
	assert_int_equal(data[4096 + 324], 0);
	assert_int_equal(data[8192], 0);
	assert_false(step(&task, DISK_IO_READ, 1024, DISK_BOUNCE_BYTES, (int)DISK_BOUNCE_BYTES));
	assert_int_equal(data[8192], 1);
	assert_int_equal(data[8191 + DISK_BOUNCE_BYTES], 1);
	assert_int_equal(data[8192 + DISK_BOUNCE_BYTES], 0);

	request.op = DISK_WRITE;
	memset(data, 7, 4096);
	assert_true(disk_task_begin(&task, &disk, &request));
	task.bounce = bounce;
	disk_task_next(&task, &io);
	assert_int_equal(bounce[0], 7);
	assert_int_equal(bounce[699], 7);
	assert_int_equal(bounce[700], 1);
	assert_true(disk_task_result(&task, (int)DISK_BOUNCE_BYTES));
	assert_false(step(&task, DISK_IO_WRITE, DISK_BOUNCE_BYTES, 1024, 1024));
}

static void flushing_is_a_sync(void **state _unused_)
{
	struct disk disk = plain_disk();
	struct disk_request request = {
		.op = DISK_FLUSH, .fua = true, .offset_bytes = 77, .size_bytes = 33};
	struct disk_task task;

	assert_true(disk_task_begin(&task, &disk, &request));
	assert_true(step(&task, DISK_IO_SYNC, 0, 0, -EINTR));
	assert_false(step(&task, DISK_IO_SYNC, 0, 0, 0));
	assert_int_equal(request.result, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(short_transfers_go_on),
		cmocka_unit_test(one_byte_at_a_time_ends),
		cmocka_unit_test(direct_transfers_go_on_where_they_may),
		cmocka_unit_test(lies_of_the_kernel_are_errors),
		cmocka_unit_test(interruptions_are_retried_but_not_for_ever),
		cmocka_unit_test(errors_are_passed_on),
		cmocka_unit_test(durable_writes_ask_for_it),
		cmocka_unit_test(zeroing_falls_back_once),
		cmocka_unit_test(discards_keep_what_was_promised),
		cmocka_unit_test(bounced_pieces_arrive_where_they_belong),
		cmocka_unit_test(flushing_is_a_sync),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
