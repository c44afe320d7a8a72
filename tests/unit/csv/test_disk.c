/* SPDX-License-Identifier: MIT
 *
 * What both kinds of queue do with real files: every test runs on a ring and on threads.
 */
#include "disk_rig.h"

#include "base/thread.h"

#include <fcntl.h>
#include <stdalign.h>
#include <string.h>
#include <sys/eventfd.h>

static int set_up_ring(void **state)
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

static int set_up_direct_ring(void **state)
{
	static struct disk_rig rig;

	rig_init(&rig, false, O_DIRECT);
	*state = &rig;
	return 0;
}

static int set_up_direct_threads(void **state)
{
	static struct disk_rig rig;

	rig_init(&rig, true, O_DIRECT);
	*state = &rig;
	return 0;
}

static int tear_down(void **state)
{
	rig_fini(*state);
	return 0;
}

static void what_is_written_is_read(void **state)
{
	static alignas(4096) uint8_t out[1 << 20], in[1 << 20];
	struct disk_rig *rig = rig_of(state);

	rig_fill(out, sizeof(out), 1);
	assert_int_equal(rig_do(rig, DISK_WRITE, 65536, out, sizeof(out)), 0);
	assert_int_equal(rig_do(rig, DISK_FLUSH, 0, NULL, 0), 0);
	rig_expect_file(rig->fd, 65536, out, sizeof(out));
	assert_int_equal(rig_do(rig, DISK_READ, 65536, in, sizeof(in)), 0);
	assert_memory_equal(in, out, sizeof(in));
	assert_true(rig_file_is_zero(rig->fd, 0, 65536));
}

static void the_last_block_counts(void **state)
{
	static alignas(4096) uint8_t out[4096], in[4096];
	struct disk_rig *rig = rig_of(state);

	rig_fill(out, sizeof(out), 2);
	assert_int_equal(
		rig_do(rig, DISK_WRITE, RIG_DISK_BYTES - sizeof(out), out, sizeof(out)), 0);
	assert_int_equal(rig_do(rig, DISK_READ, RIG_DISK_BYTES - sizeof(in), in, sizeof(in)), 0);
	assert_memory_equal(in, out, sizeof(in));
}

/* Pieces as guests make them: odd addresses, odd lengths, empty ones. */
static void pieces_may_be_anything(void **state)
{
	static uint8_t memory[2][1 << 20], expected[600000 / 512 * 512];
	static struct disk_request request;
	static const size_t lengths[] = {1, 511, 0, 4096, 3, 77777, 0, 12288, 1};
	struct disk_rig *rig = rig_of(state);

	for (int write = 1; write >= 0; write--) {
		uint8_t *at = memory[write] + 1;
		size_t left = sizeof(expected), i = 0;

		request = (struct disk_request){.op = write ? DISK_WRITE : DISK_READ,
			.fua = true,
			.offset_bytes = 4096,
			.size_bytes = sizeof(expected)};
		while (left > 0) {
			size_t n = MIN(left, lengths[i++ % ARRAY_LEN(lengths)]);

			if (write) {
				rig_fill(at, n, 3);
				memcpy(expected + sizeof(expected) - left, at, n);
			}
			request.iov[request.n_iov++] = (struct iovec){at, n};
			at += n + 13;
			left -= n;
		}
		assert_true(request.n_iov <= DISK_MAX_IOV);
		assert_int_equal(rig_run(rig, rig->disk, &request), 0);
	}
	rig_expect_file(rig->fd, 4096, expected, sizeof(expected));
	for (size_t i = 0, done = 0; i < request.n_iov; i++) {
		assert_memory_equal(
			request.iov[i].iov_base, expected + done, request.iov[i].iov_len);
		done += request.iov[i].iov_len;
	}
}

static void the_largest_request_fits(void **state)
{
	static alignas(4096) uint8_t data[DISK_MAX_REQUEST_BYTES];
	static struct disk_request request;
	struct disk_rig *rig = rig_of(state);

	rig_fill(data, sizeof(data), 4);
	request = (struct disk_request){.op = DISK_WRITE,
		.fua = true,
		.offset_bytes = 4096,
		.size_bytes = sizeof(data),
		.n_iov = DISK_MAX_IOV};
	for (unsigned i = 0; i < DISK_MAX_IOV; i++)
		request.iov[i] = (struct iovec){
			data + i * (sizeof(data) / DISK_MAX_IOV), sizeof(data) / DISK_MAX_IOV};
	assert_int_equal(rig_run(rig, rig->disk, &request), 0);
	rig_expect_file(rig->fd, 4096, data, sizeof(data));
}

static void hostile_requests_get_an_answer(void **state)
{
	static alignas(4096) uint8_t data[8192];
	static const struct {
		struct disk_request request;
		int result;
	} cases[] = {
		{{.op = (enum disk_op)77, .size_bytes = 512}, -EINVAL},
		{{.op = (enum disk_op) - 1}, -EINVAL},
		{{.op = DISK_READ,
			 .offset_bytes = 1,
			 .size_bytes = 512,
			 .n_iov = 1,
			 .iov = {{data, 512}}},
			-EINVAL},
		{{.op = DISK_READ, .size_bytes = 511, .n_iov = 1, .iov = {{data, 511}}}, -EINVAL},
		{{.op = DISK_READ,
			 .offset_bytes = RIG_DISK_BYTES,
			 .size_bytes = 512,
			 .n_iov = 1,
			 .iov = {{data, 512}}},
			-EINVAL},
		{{.op = DISK_WRITE,
			 .offset_bytes = RIG_DISK_BYTES - 512,
			 .size_bytes = 1024,
			 .n_iov = 1,
			 .iov = {{data, 1024}}},
			-EINVAL},
		{{.op = DISK_WRITE,
			 .offset_bytes = UINT64_MAX - 511,
			 .size_bytes = 1024,
			 .n_iov = 1,
			 .iov = {{data, 1024}}},
			-EINVAL},
		{{.op = DISK_READ, .size_bytes = 1024, .n_iov = 1, .iov = {{data, 512}}}, -EINVAL},
		{{.op = DISK_READ, .size_bytes = 512, .n_iov = 1, .iov = {{data, 1024}}}, -EINVAL},
		{{.op = DISK_READ,
			 .size_bytes = 512,
			 .n_iov = 2,
			 .iov = {{data, SIZE_MAX}, {data, 513}}},
			-EINVAL},
		{{.op = DISK_READ, .size_bytes = 512, .n_iov = UINT32_MAX, .iov = {{data, 512}}},
			-EINVAL},
		{{.op = DISK_READ, .size_bytes = 512}, -EINVAL},
		{{.op = DISK_READ,
			 .size_bytes = DISK_MAX_REQUEST_BYTES + 512,
			 .n_iov = 1,
			 .iov = {{data, DISK_MAX_REQUEST_BYTES + 512}}},
			-EINVAL},
		{{.op = DISK_DISCARD, .size_bytes = UINT32_MAX - 511}, -EINVAL},
		{{.op = DISK_WRITE_ZEROES, .offset_bytes = 512, .size_bytes = RIG_DISK_BYTES},
			-EINVAL},
		{{.op = DISK_DISCARD, .offset_bytes = 100, .size_bytes = 512}, -EINVAL},
		{{.op = DISK_READ}, 0},
		{{.op = DISK_WRITE, .offset_bytes = RIG_DISK_BYTES}, 0},
		{{.op = DISK_DISCARD}, 0},
	};
	struct disk_rig *rig = rig_of(state);

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct disk_request request = cases[i].request;

		assert_int_equal(rig_run(rig, rig->disk, &request), cases[i].result);
	}
	assert_true(rig_file_is_zero(rig->fd, 0, RIG_DISK_BYTES));
}

/* Memory that is not there is the request's fault. */
static void memory_that_is_not_there_is_an_error(void **state)
{
	struct disk_rig *rig = rig_of(state);

	assert_int_equal(rig_do(rig, DISK_WRITE, 0, (void *)4096, 4096), -EFAULT);
	assert_int_equal(rig_do(rig, DISK_READ, 0, (void *)4096, 4096), -EFAULT);
}

static void what_is_discarded_or_zeroed_is_zero(void **state)
{
	static alignas(4096) uint8_t data[1 << 20];
	static const enum disk_op ops[] = {DISK_DISCARD, DISK_WRITE_ZEROES};
	struct disk_rig *rig = rig_of(state);
	struct disk_info info;

	disk_file_ops.get_info(rig->disk, &info);
	for (size_t i = 0; i < ARRAY_LEN(ops); i++) {
		rig_fill(data, sizeof(data), 5);
		assert_int_equal(rig_do(rig, DISK_WRITE, 0, data, sizeof(data)), 0);
		assert_int_equal(rig_do(rig, ops[i], 8192, NULL, 512 * 1024), 0);
		if (ops[i] == DISK_WRITE_ZEROES || info.discard_zeroes)
			memset(data + 8192, 0, 512 * 1024);
		rig_expect_file(rig->fd, 0, data, sizeof(data));
	}
	assert_true(info.can_write_zeroes);
}

/* The same where fallocate() knows neither. */
static void zeroes_can_be_written_everywhere(void **state)
{
	static alignas(4096) uint8_t data[1 << 20];
	static const enum disk_op ops[] = {DISK_DISCARD, DISK_WRITE_ZEROES};
	struct disk_rig *rig = rig_of(state);

	rig->disk->no_punch = rig->disk->no_zero_range = true;
	for (size_t i = 0; i < ARRAY_LEN(ops); i++) {
		struct disk_request request = {.op = ops[i],
			.fua = true,
			.offset_bytes = 4096,
			.size_bytes = 9 * (1U << 20) + 4096};

		rig_fill(data, sizeof(data), 6);
		assert_int_equal(rig_do(rig, DISK_WRITE, 0, data, sizeof(data)), 0);
		assert_int_equal(rig_do(rig, DISK_WRITE, 9 << 20, data, sizeof(data)), 0);
		assert_int_equal(rig_run(rig, rig->disk, &request), 0);
		rig_expect_file(rig->fd, 0, data, 4096);
		assert_true(rig_file_is_zero(rig->fd, 4096, 9 << 20));
		rig_expect_file(rig->fd, (9 << 20) + 8192, data + 8192, sizeof(data) - 8192);
	}
}

static void a_full_queue_says_so(void **state)
{
	static alignas(4096) uint8_t data[DISK_QUEUE_DEPTH][4096];
	static struct disk_request requests[DISK_QUEUE_DEPTH + 1];
	static struct disk_request *done[DISK_QUEUE_DEPTH];
	struct disk_rig *rig = rig_of(state);

	for (unsigned round = 0; round < 4; round++) {
		for (unsigned i = 0; i < DISK_QUEUE_DEPTH; i++) {
			rig_fill(data[i], sizeof(data[i]), i);
			requests[i] = (struct disk_request){.op = DISK_WRITE,
				.offset_bytes = i * 4096UL,
				.size_bytes = 4096,
				.n_iov = 1,
				.iov = {{data[i], 4096}}};
			rig_submit(rig, rig->disk, &requests[i]);
		}
		assert_int_equal(
			disk_file_ops.submit(rig->queue, rig->disk, &requests[DISK_QUEUE_DEPTH]),
			-EAGAIN);
		rig_wait(rig, DISK_QUEUE_DEPTH, done);
		for (unsigned i = 0; i < DISK_QUEUE_DEPTH; i++)
			assert_int_equal(requests[i].result, 0);
	}
	rig_expect_file(rig->fd, 0, data, sizeof(data));
}

/* More unaligned requests than there are bounce buffers: they wait for each other. */
static void many_unaligned_requests(void **state)
{
	enum { N = 64, BYTES = 300 * 1024 / 512 * 512 };
	static uint8_t data[N / 2][BYTES + 1];
	static struct disk_request requests[N];
	struct disk_rig *rig = rig_of(state);

	for (int write = 1; write >= 0; write--) {
		for (unsigned i = 0; i < N / 2; i++) {
			if (write)
				rig_fill(data[i] + 1, BYTES, i);
			else
				memset(data[i], 0, sizeof(data[i]));
			requests[i] = (struct disk_request){.op = write ? DISK_WRITE : DISK_READ,
				.offset_bytes = i * (uint64_t)BYTES,
				.size_bytes = BYTES,
				.n_iov = 1,
				.iov = {{data[i] + 1, BYTES}}};
			rig_submit(rig, rig->disk, &requests[i]);
		}
		rig_wait(rig, N / 2, NULL);
		for (unsigned i = 0; i < N / 2; i++)
			assert_int_equal(requests[i].result, 0);
	}
	for (unsigned i = 0; i < N / 2; i++) {
		static uint8_t expected[BYTES];

		rig_fill(expected, BYTES, i);
		assert_memory_equal(data[i] + 1, expected, BYTES);
	}
}

static void a_file_that_shrank_is_an_error(void **state)
{
	static alignas(4096) uint8_t data[8192];
	struct disk_rig *rig = rig_of(state);

	assert_int_equal(ftruncate(rig->fd, 4096), 0);
	assert_int_equal(rig_do(rig, DISK_READ, 0, data, sizeof(data)), -EIO);
	assert_int_equal(rig_do(rig, DISK_READ, 1 << 20, data, sizeof(data)), -EIO);
	assert_int_equal(rig_do(rig, DISK_READ, 0, data, 4096), 0);
}

static void what_grew_is_used_after_refresh(void **state)
{
	static alignas(4096) uint8_t data[4096];
	struct disk_rig *rig = rig_of(state);
	struct disk_info info;

	assert_int_equal(ftruncate(rig->fd, 2 * RIG_DISK_BYTES), 0);
	assert_int_equal(rig_do(rig, DISK_WRITE, RIG_DISK_BYTES, data, sizeof(data)), -EINVAL);
	assert_int_equal(disk_refresh(rig->disk), 1);
	assert_int_equal(disk_refresh(rig->disk), 0);
	disk_file_ops.get_info(rig->disk, &info);
	assert_int_equal(info.size_bytes, 2 * RIG_DISK_BYTES);
	assert_int_equal(rig_do(rig, DISK_WRITE, RIG_DISK_BYTES, data, sizeof(data)), 0);
	assert_int_equal(ftruncate(rig->fd, 2 * RIG_DISK_BYTES + 1), 0);
	assert_int_equal(disk_refresh(rig->disk), -EINVAL);
	assert_int_equal(rig_do(rig, DISK_WRITE, RIG_DISK_BYTES, data, sizeof(data)), 0);
}

static void a_disk_for_reading_is_not_written(void **state)
{
	static alignas(4096) uint8_t data[4096];
	struct disk_rig *rig = rig_of(state);
	struct disk_config config = {.fd = rig->fd, .read_only = true};
	const char *why = NULL;
	struct disk_info info;
	struct disk *disk;
	static const enum disk_op ops[] = {DISK_WRITE, DISK_DISCARD, DISK_WRITE_ZEROES};

	assert_int_equal(disk_open(rig->backend, &config, &disk, &why), 0);
	for (size_t i = 0; i < ARRAY_LEN(ops); i++) {
		struct disk_request request = {
			.op = ops[i], .size_bytes = 4096, .n_iov = 1, .iov = {{data, 4096}}};

		assert_int_equal(rig_run(rig, disk, &request), -EROFS);
	}
	struct disk_request read = {
		.op = DISK_READ, .size_bytes = 4096, .n_iov = 1, .iov = {{data, 4096}}};
	struct disk_request flush = {.op = DISK_FLUSH};

	assert_int_equal(rig_run(rig, disk, &read), 0);
	assert_int_equal(rig_run(rig, disk, &flush), 0);
	disk_file_ops.get_info(disk, &info);
	assert_true(info.read_only);
	assert_false(info.can_discard || info.can_write_zeroes || info.write_cache);
	disk_close(disk);
}

/* Disks come and go while requests for others are under way, on all queues there are. */
static void disks_come_and_go(void **state)
{
	static alignas(4096) uint8_t data[64][16384];
	static alignas(4096) uint8_t other_data[4096];
	static struct disk_request requests[64];
	struct disk_rig *rig = rig_of(state);
	int second_event = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK), first_event = rig->event_fd;
	int fd = rig_file(RIG_DISK_BYTES, fcntl(rig->fd, F_GETFL) & O_DIRECT);
	void *second, *first = rig->queue;

	assert_int_equal(disk_file_ops.queue_new(rig->backend, second_event, &second), 0);
	for (unsigned round = 0; round < 20; round++) {
		struct disk *other;

		for (unsigned i = 0; i < ARRAY_LEN(requests); i++) {
			requests[i] = (struct disk_request){.op = i % 2 ? DISK_WRITE : DISK_READ,
				.offset_bytes = i * 16384UL,
				.size_bytes = 16384,
				.n_iov = 1,
				.iov = {{data[i], 16384}}};
			rig_submit(rig, rig->disk, &requests[i]);
		}
		disk_file_ops.flush(rig->queue);
		other = rig_open(rig, fd);
		rig->queue = second;
		rig->event_fd = second_event;
		struct disk_request write = {.op = DISK_WRITE,
			.size_bytes = 4096,
			.n_iov = 1,
			.iov = {{other_data, 4096}}};
		assert_int_equal(rig_run(rig, other, &write), 0);
		disk_close(other);
		rig->queue = first;
		rig->event_fd = first_event;
		rig_wait(rig, ARRAY_LEN(requests), NULL);
		for (unsigned i = 0; i < ARRAY_LEN(requests); i++)
			assert_int_equal(requests[i].result, 0);
	}
	disk_file_ops.queue_free(second);
	close(second_event);
	close(fd);
}

struct comer {
	struct disk_rig *rig;
	int fd;
	atomic_bool end;
};

static void come_and_go(void *data)
{
	struct comer *comer = data;
	struct disk_config config = {.fd = comer->fd};
	const char *why = NULL;

	while (!comer->end) {
		struct disk *disk;

		if (disk_open(comer->rig->backend, &config, &disk, &why) == 0)
			disk_close(disk);
	}
}

static void disks_come_and_go_on_another_thread(void **state)
{
	static alignas(4096) uint8_t data[32][4096];
	static struct disk_request requests[32];
	struct disk_rig *rig = rig_of(state);
	struct comer comer = {.rig = rig, .fd = rig_file(RIG_DISK_BYTES, 0)};
	struct thread thread;

	assert_int_equal(thread_start(&thread, "comer", come_and_go, &comer), 0);
	for (unsigned round = 0; round < 50; round++) {
		for (unsigned i = 0; i < ARRAY_LEN(requests); i++) {
			requests[i] = (struct disk_request){.op = DISK_WRITE,
				.offset_bytes = i * 4096UL,
				.size_bytes = 4096,
				.n_iov = 1,
				.iov = {{data[i], 4096}}};
			rig_submit(rig, rig->disk, &requests[i]);
		}
		rig_wait(rig, ARRAY_LEN(requests), NULL);
		for (unsigned i = 0; i < ARRAY_LEN(requests); i++)
			assert_int_equal(requests[i].result, 0);
	}
	comer.end = true;
	thread_join(&thread);
	close(comer.fd);
}

struct submitter {
	struct disk_rig *rig;
	struct disk_request requests[64];
};

static void submit_all(void *data)
{
	struct submitter *submitter = data;

	for (unsigned i = 0; i < ARRAY_LEN(submitter->requests); i++) {
		submitter->requests[i] = (struct disk_request){
			.op = i % 2 ? DISK_FLUSH : DISK_WRITE_ZEROES,
			.offset_bytes = i * 4096UL,
			.size_bytes = 4096,
		};
		rig_submit(submitter->rig, submitter->rig->disk, &submitter->requests[i]);
	}
	disk_file_ops.flush(submitter->rig->queue);
}

/* The kernel cancels what it has not begun for a thread that is no more. */
static void what_an_ended_thread_submitted_completes(void **state)
{
	static struct submitter submitter;
	struct disk_rig *rig = rig_of(state);
	struct thread thread;

	submitter.rig = rig;
	for (unsigned round = 0; round < 5; round++) {
		assert_int_equal(thread_start(&thread, "submitter", submit_all, &submitter), 0);
		thread_join(&thread);
		rig_wait(rig, ARRAY_LEN(submitter.requests), NULL);
		for (unsigned i = 0; i < ARRAY_LEN(submitter.requests); i++)
			assert_int_equal(submitter.requests[i].result, 0);
	}
}

/* No request, no event; one reap() that takes less than there is, another event. */
static void the_event_tells_whether_to_reap(void **state)
{
	struct disk_rig *rig = rig_of(state);
	struct disk_request requests[3] = {{.op = DISK_FLUSH}, {.op = DISK_FLUSH}};
	struct disk_request *done;
	eventfd_t count;

	assert_int_equal(eventfd_read(rig->event_fd, &count), -1);
	assert_int_equal(disk_file_ops.reap(rig->queue, &done, 1), 0);
	for (unsigned i = 0; i < 3; i++)
		rig_submit(rig, rig->disk, &requests[i]);
	for (unsigned i = 0; i < 3; i++)
		rig_wait(rig, 1, &done);
	(void)eventfd_read(rig->event_fd, &count);
	assert_int_equal(disk_file_ops.reap(rig->queue, &done, 1), 0);
}

#define ON(test, setup)                                                                            \
	{                                                                                          \
#test "_" #setup, test, set_up_##setup, tear_down, NULL                            \
	}
#define ON_BOTH(test) ON(test, ring), ON(test, threads)
#define ON_ALL(test)  ON_BOTH(test), ON(test, direct_ring), ON(test, direct_threads)

int main(void)
{
	const struct CMUnitTest tests[] = {
		ON_ALL(what_is_written_is_read),
		ON_ALL(the_last_block_counts),
		ON_ALL(pieces_may_be_anything),
		ON_ALL(the_largest_request_fits),
		ON_ALL(hostile_requests_get_an_answer),
		ON_BOTH(memory_that_is_not_there_is_an_error),
		ON_ALL(what_is_discarded_or_zeroed_is_zero),
		ON_ALL(zeroes_can_be_written_everywhere),
		ON_ALL(a_full_queue_says_so),
		ON_ALL(many_unaligned_requests),
		ON_ALL(a_file_that_shrank_is_an_error),
		ON_ALL(what_grew_is_used_after_refresh),
		ON_ALL(a_disk_for_reading_is_not_written),
		ON_ALL(disks_come_and_go),
		ON_BOTH(disks_come_and_go_on_another_thread),
		ON_BOTH(what_an_ended_thread_submitted_completes),
		ON_BOTH(the_event_tells_whether_to_reap),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
