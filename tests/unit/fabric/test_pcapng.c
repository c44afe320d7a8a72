/* SPDX-License-Identifier: MIT
 *
 * The stream is walked block by block, as a reader of such files does.
 */
#include "fabric/pcapng.h"
#include "tests/unit/fabric/support.h"

#define RING_BYTES 4096
#define SNAP_BYTES 512

static struct capture *capture;
static struct buf stream;

static int setup(void **state)
{
	(void)state;
	stream = (struct buf){0};
	return capture_new("VM1/nic0", RING_BYTES, SNAP_BYTES, &capture);
}

static int teardown(void **state)
{
	(void)state;
	capture_free(capture);
	buf_fini(&stream);
	return 0;
}

/* A frame of `size_bytes` bytes of value `fill`, in two pieces. */
static void add(enum capture_direction direction, size_t size_bytes, uint8_t fill, uint64_t ns)
{
	static uint8_t bytes[8192];
	struct iovec iov[2] = {{bytes, size_bytes / 3}, {bytes + 1, size_bytes - size_bytes / 3}};

	memset(bytes, fill, sizeof(bytes));
	capture_frame(capture, direction, iov, 2, ns);
}

/* The block at `at`: its type, and where the next one is. */
static uint32_t block(size_t at, size_t *ret_next)
{
	uint32_t size_bytes;

	assert_true(at + 12 <= stream.size_bytes);
	size_bytes = load_le32(stream.data + at + 4);
	assert_int_equal(size_bytes % 4, 0);
	assert_true(at + size_bytes <= stream.size_bytes);
	assert_int_equal(load_le32(stream.data + at + size_bytes - 4), size_bytes);
	*ret_next = at + size_bytes;
	return load_le32(stream.data + at);
}

static size_t skip_header(void)
{
	size_t at;

	assert_int_equal(block(0, &at), 0x0a0d0d0a);
	assert_int_equal(load_le32(stream.data + 8), 0x1a2b3c4d);
	assert_int_equal(load_le16(stream.data + 12), 1);
	assert_int_equal(block(at, &at), 1);
	return at;
}

static size_t expect_packet(
	size_t at, uint32_t captured, uint32_t original, uint8_t fill, uint32_t flags, uint64_t ns)
{
	const uint8_t *p = stream.data + at;
	size_t next;

	assert_int_equal(block(at, &next), 6);
	assert_int_equal(load_le32(p + 12), (uint32_t)(ns >> 32));
	assert_int_equal(load_le32(p + 16), (uint32_t)ns);
	assert_int_equal(load_le32(p + 20), captured);
	assert_int_equal(load_le32(p + 24), original);
	for (uint32_t i = 0; i < captured; i++)
		assert_int_equal(p[28 + i], fill);
	p += 28 + ALIGN_UP(captured, 4U);
	assert_int_equal(load_le16(p), 2);
	assert_int_equal(load_le16(p + 2), 4);
	assert_int_equal(load_le32(p + 4), flags);
	return next;
}

static void test_stream(void **state)
{
	const uint64_t ns = 0x123456789abcdef0ULL;
	size_t at;

	(void)state;
	add(CAPTURE_FROM_PORT, 61, 0xaa, ns);
	add(CAPTURE_TO_PORT, 2000, 0xbb, ns + 1);
	capture_read(capture, &stream, 65536);
	at = skip_header();
	assert_non_null(memmem(stream.data, at, "VM1/nic0", 8));
	at = expect_packet(at, 61, 61, 0xaa, 2, ns);
	at = expect_packet(at, SNAP_BYTES, 2000, 0xbb, 1, ns + 1);
	assert_int_equal(at, stream.size_bytes);
	/* Nothing new, nothing said; and no second header. */
	capture_read(capture, &stream, 65536);
	assert_int_equal(at, stream.size_bytes);
	add(CAPTURE_TO_PORT, 0, 0, ns + 2);
	capture_read(capture, &stream, 65536);
	assert_int_equal(expect_packet(at, 0, 0, 0, 1, ns + 2), stream.size_bytes);
}

static void test_pieces_are_whole_blocks(void **state)
{
	size_t at, n = 0;

	(void)state;
	for (unsigned i = 0; i < 10; i++)
		add(CAPTURE_FROM_PORT, 200 + i, (uint8_t)i, i);
	for (unsigned i = 0; i < 20; i++) {
		size_t before = stream.size_bytes;

		capture_read(capture, &stream, SNAP_BYTES + 128);
		assert_true(stream.size_bytes - before <= SNAP_BYTES + 128);
	}
	for (at = skip_header(); at < stream.size_bytes; n++)
		at = expect_packet(at, 200 + (uint32_t)n, 200 + (uint32_t)n, (uint8_t)n, 2, n);
	assert_int_equal(n, 10);
}

static void test_loss_is_told(void **state)
{
	size_t at, next, n = 0;

	(void)state;
	for (unsigned i = 0; i < 100; i++)
		add(CAPTURE_FROM_PORT, 300, 1, i);
	assert_int_equal(capture_lost(capture), 100 - RING_BYTES / (300 + 24));
	capture_read(capture, &stream, 65536);
	for (at = skip_header(); block(at, &next) == 6; at = next)
		n++;
	assert_int_equal(n, RING_BYTES / (300 + 24));
	assert_int_equal(block(at, &next), 5);
	assert_int_equal(load_le16(stream.data + at + 20), 5);
	assert_int_equal(load_le64(stream.data + at + 24), 100 - n);
	assert_int_equal(next, stream.size_bytes);
	/* Once. */
	capture_read(capture, &stream, 65536);
	assert_int_equal(next, stream.size_bytes);
}

/* Around the end of the ring, over and over. */
static void test_ring_wraps(void **state)
{
	uint64_t seed = 7;
	size_t at = 0;

	(void)state;
	capture_read(capture, &stream, 65536);
	for (unsigned i = 0; i < 5000; i++) {
		uint32_t size_bytes = random_below(&seed, SNAP_BYTES + 1);

		add(CAPTURE_TO_PORT, size_bytes, (uint8_t)i, i);
		buf_reset(&stream);
		capture_read(capture, &stream, 65536);
		at = expect_packet(0, size_bytes, size_bytes, (uint8_t)i, 1, i);
		assert_int_equal(at, stream.size_bytes);
	}
	assert_int_equal(capture_lost(capture), 0);
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_stream),
		TEST(test_pieces_are_whole_blocks),
		TEST(test_loss_is_told),
		TEST(test_ring_wraps),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
