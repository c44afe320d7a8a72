/* SPDX-License-Identifier: MIT
 *
 * How a request is cut into parts: whatever the pieces of guest memory, the backend gets whole
 * blocks inside its limits, and every byte goes where it belongs.
 */
#include "vmbus/stor_request.h"

#include "base/bytes.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

#define MEMORY_BYTES (12U << 20)
#define N_ROUNDS     300

static uint8_t *memory, *disk;
static struct stor_request request;
static uint64_t seed;

static uint32_t random_below(uint32_t limit)
{
	seed = seed * 6364136223846793005ULL + 1442695040888963407ULL;
	return (uint32_t)(seed >> 33) % limit;
}

static int setup(void **state)
{
	(void)state;
	memory = malloc(MEMORY_BYTES);
	disk = malloc(MEMORY_BYTES);
	for (size_t i = 0; i < MEMORY_BYTES; i++) {
		memory[i] = (uint8_t)(i * 31 + i / 509);
		disk[i] = (uint8_t)(i * 17 + i / 257);
	}
	memset(&request, 0, sizeof(request));
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	stor_request_end(&request);
	free(memory);
	free(disk);
	return 0;
}

/* A backend that insists on the contract. */
static void carry_out(struct disk_request *io, uint32_t block_bytes)
{
	size_t at = io->offset_bytes;
	size_t pieces_bytes = 0;

	assert_true(io->size_bytes > 0);
	assert_int_equal(io->size_bytes % block_bytes, 0);
	assert_true(io->offset_bytes + io->size_bytes <= MEMORY_BYTES);
	assert_true(io->size_bytes <= DISK_MAX_REQUEST_BYTES);
	assert_in_range(io->n_iov, 1, DISK_MAX_IOV);
	for (unsigned i = 0; i < io->n_iov; i++) {
		if (io->op == DISK_READ)
			memcpy(io->iov[i].iov_base, disk + at, io->iov[i].iov_len);
		else
			memcpy(disk + at, io->iov[i].iov_base, io->iov[i].iov_len);
		at += io->iov[i].iov_len;
		pieces_bytes += io->iov[i].iov_len;
	}
	assert_int_equal(pieces_bytes, io->size_bytes);
}

/* Pieces of up to `max_piece_bytes`, at random places in order, and their bytes in a row. */
static void make_pieces(size_t size_bytes, uint32_t max_piece_bytes)
{
	static struct iovec pieces[40000];
	size_t left_bytes = size_bytes, slack_bytes = MEMORY_BYTES - size_bytes, at = 0;
	unsigned n = 0;
	struct iovec *room;

	while (left_bytes) {
		size_t len = MIN(left_bytes, (size_t)(1 + random_below(max_piece_bytes)));
		size_t gap = MIN(slack_bytes, (size_t)random_below(50));

		at += gap;
		slack_bytes -= gap;
		pieces[n++] = (struct iovec){memory + at, len};
		assert_true(n < ARRAY_LEN(pieces));
		at += len;
		left_bytes -= len;
	}
	room = stor_request_room(&request, n, size_bytes);
	assert_non_null(room);
	memcpy(room, pieces, n * sizeof(pieces[0]));
	request.n_pieces = n;
}

static uint8_t *flatten(size_t size_bytes)
{
	uint8_t *flat = malloc(size_bytes), *at = flat;

	for (unsigned i = 0; i < request.n_pieces; i++) {
		memcpy(at, request.pieces[i].iov_base, request.pieces[i].iov_len);
		at += request.pieces[i].iov_len;
	}
	return flat;
}

static void transfer(enum disk_op op, uint32_t block_bytes, size_t n_blocks, uint32_t max_piece)
{
	struct scsi_result result = {.op = op, .has_blocks = true, .n_extents = 1};
	size_t size_bytes = n_blocks * block_bytes;
	size_t offset =
		(size_t)random_below((MEMORY_BYTES - (uint32_t)size_bytes) / block_bytes + 1) *
		block_bytes;
	uint8_t *flat;

	result.extents[0] = (struct scsi_extent){offset, size_bytes};
	request.block_bytes = block_bytes;
	make_pieces(size_bytes, max_piece);
	assert_int_equal(stor_request_begin(&request, &result, NULL), 0);
	while (stor_request_next(&request)) {
		assert_int_equal(request.io.op, op);
		carry_out(&request.io, block_bytes);
		stor_request_advance(&request);
	}
	assert_int_equal(request.moved_bytes, size_bytes);
	flat = flatten(size_bytes);
	assert_memory_equal(flat, disk + offset, size_bytes);
	free(flat);
	stor_request_end(&request);
}

static void any_pieces_of_any_size(void **state)
{
	static const uint32_t max_pieces[] = {3, 100, 4096, 70000, 5U << 20};
	static const uint32_t blocks[] = {512, 2048, 4096};

	(void)state;
	for (unsigned round = 0; round < N_ROUNDS; round++) {
		uint32_t max_piece = max_pieces[round % ARRAY_LEN(max_pieces)];
		uint32_t block_bytes = blocks[round / 5 % ARRAY_LEN(blocks)];
		uint32_t max_bytes = MIN(max_piece * 10000U, 1U << 20);
		size_t n_blocks = 1 + random_below(max_bytes / block_bytes);

		transfer(round & 1 ? DISK_READ : DISK_WRITE, block_bytes, n_blocks, max_piece);
	}
}

static void larger_than_one_request(void **state)
{
	(void)state;
	transfer(DISK_WRITE, 512, (9U << 20) / 512, 5U << 20);
	transfer(DISK_READ, 4096, (9U << 20) / 4096, 5U << 20);
	transfer(DISK_READ, 512, (5U << 20) / 512, 10U << 20);
}

static void run(const struct scsi_result *result, const uint8_t *block)
{
	stor_request_end(&request);
	assert_int_equal(stor_request_begin(&request, result, block), 0);
	while (stor_request_next(&request)) {
		if (request.io.op == DISK_WRITE)
			carry_out(&request.io, request.block_bytes);
		stor_request_advance(&request);
	}
}

static void a_block_is_repeated(void **state)
{
	static const uint32_t blocks[] = {512, 4096};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(blocks); i++) {
		struct scsi_result result = {.op = DISK_WRITE,
			.repeats_block = true,
			.has_blocks = true,
			.n_extents = 1};
		size_t n_blocks = (9U << 20) / blocks[i] + 1;

		result.extents[0] = (struct scsi_extent){blocks[i], n_blocks * blocks[i]};
		request.block_bytes = blocks[i];
		run(&result, memory);
		for (size_t n = 1; n <= n_blocks; n++)
			assert_memory_equal(disk + n * blocks[i], memory, blocks[i]);
		result.extents[0].size_bytes = blocks[i];
		run(&result, NULL);
		for (size_t n = 0; n < blocks[i]; n++)
			assert_int_equal(disk[blocks[i] + n], 0);
	}
}

/* Extents one after the other; a huge one in several parts. */
static void quiet_operations_have_parts_too(void **state)
{
	struct scsi_result result = {.op = DISK_DISCARD, .has_blocks = true, .n_extents = 3};
	uint64_t total_bytes = 0;
	unsigned n = 0;

	(void)state;
	result.extents[0] = (struct scsi_extent){512, 1024};
	result.extents[1] = (struct scsi_extent){1ULL << 40, 5ULL << 30};
	result.extents[2] = (struct scsi_extent){0, 512};
	request.block_bytes = 512;
	assert_int_equal(stor_request_begin(&request, &result, NULL), 0);
	for (; stor_request_next(&request); n++) {
		assert_int_equal(request.io.n_iov, 0);
		total_bytes += request.io.size_bytes;
		stor_request_advance(&request);
	}
	assert_int_equal(n, 1 + 5 + 1);
	assert_int_equal(total_bytes, 1024 + (5ULL << 30) + 512);

	result = (struct scsi_result){.op = DISK_FLUSH, .has_blocks = true, .n_extents = 1};
	assert_int_equal(stor_request_begin(&request, &result, NULL), 0);
	assert_true(stor_request_next(&request));
	stor_request_advance(&request);
	assert_false(stor_request_next(&request));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(any_pieces_of_any_size),
		TEST(larger_than_one_request),
		TEST(a_block_is_repeated),
		TEST(quiet_operations_have_parts_too),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
