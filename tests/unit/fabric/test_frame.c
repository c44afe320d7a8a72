/* SPDX-License-Identifier: MIT */
#include "fabric/frame.h"
#include "tests/unit/fabric/support.h"

static uint8_t bytes[ETH_FRAME_MAX_BYTES + 64];

static enum drop normalise(struct frame *frame, size_t size_bytes)
{
	frame->data = bytes;
	frame->size_bytes = (uint32_t)size_bytes;
	return frame_normalise(frame);
}

static size_t join(const struct iovec *iov, unsigned n_iov, uint8_t *out)
{
	size_t at = 0;

	for (unsigned i = 0; i < n_iov; i++) {
		memcpy(out + at, iov[i].iov_base, iov[i].iov_len);
		at += iov[i].iov_len;
	}
	return at;
}

static void test_sizes(void **state)
{
	struct frame frame = {0};

	(void)state;
	memset(bytes, 2, sizeof(bytes));
	for (size_t size_bytes = 0; size_bytes < 14; size_bytes++)
		assert_int_equal(normalise(&frame, size_bytes), DROP_RUNT);
	assert_int_equal(normalise(&frame, 14), DROP_NONE);
	assert_int_equal(normalise(&frame, ETH_FRAME_MAX_BYTES), DROP_NONE);
	assert_int_equal(normalise(&frame, ETH_FRAME_MAX_BYTES + 1), DROP_GIANT);
	/* A tag needs room behind the addresses. */
	store_be16(bytes + 12, 0x8100);
	for (size_t size_bytes = 14; size_bytes < 18; size_bytes++)
		assert_int_equal(normalise(&frame, size_bytes), DROP_RUNT);
	assert_int_equal(normalise(&frame, 18), DROP_NONE);
	assert_int_equal(frame.size_bytes, 14);
}

static void test_tag_round_trip(void **state)
{
	uint8_t before[256], after[256];
	struct frame frame = {0};
	struct eth_hdr hdr;
	struct iovec iov[FRAME_MAX_PIECES];
	size_t size_bytes = make_frame(bytes, 1, 2, 0xe123, 77);
	int tci;

	(void)state;
	memcpy(before, bytes, size_bytes);
	assert_int_equal(normalise(&frame, size_bytes), DROP_NONE);
	assert_true(frame.tagged);
	assert_false(frame.inner_tag);
	assert_int_equal(frame.tci, 0xe123);
	assert_int_equal(
		join(iov, frame_pieces(&frame, true, frame.tci, &hdr, iov), after), size_bytes);
	assert_memory_equal(before, after, size_bytes);
	assert_int_equal(
		join(iov, frame_pieces(&frame, false, 0, &hdr, iov), after), size_bytes - 4);
	assert_int_equal(read_mark(after, &tci), 77);
	assert_int_equal(tci, -1);
	assert_memory_equal(before, after, 12);
	assert_int_equal(join(iov, frame_pieces(&frame, true, 5, &hdr, iov), after), size_bytes);
	assert_int_equal(read_mark(after, &tci), 77);
	assert_int_equal(tci, 5);
}

static void test_out_of_line_tag(void **state)
{
	struct frame frame = {.tagged = true, .tci = 7};
	size_t size_bytes = make_frame(bytes, 1, 2, 9, 1);

	(void)state;
	/* With the outer tag out of line, the one in line is the inner one. */
	assert_int_equal(normalise(&frame, size_bytes), DROP_NONE);
	assert_int_equal(frame.tci, 7);
	assert_true(frame.inner_tag);
	assert_int_equal(frame.size_bytes, size_bytes);
}

static void test_inner_tags(void **state)
{
	static const uint16_t protocols[] = {0x8100, 0x88a8, 0x9100, 0x9200};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(protocols); i++) {
		struct frame frame = {0};
		size_t size_bytes = make_frame(bytes, 1, 2, 9, 1);

		store_be16(bytes + 16, protocols[i]);
		assert_int_equal(normalise(&frame, size_bytes), DROP_NONE);
		assert_true(frame.tagged);
		assert_true(frame.inner_tag);
	}
	for (size_t i = 1; i < ARRAY_LEN(protocols); i++) {
		struct frame frame = {0};
		size_t size_bytes = make_frame(bytes, 1, 2, -1, 1);

		store_be16(bytes + 12, protocols[i]);
		assert_int_equal(normalise(&frame, size_bytes), DROP_NONE);
		assert_false(frame.tagged);
		assert_true(frame.inner_tag);
	}
}

static void test_csum_start_moves_with_the_tag(void **state)
{
	struct frame frame = {
		.hdr = {.flags = ETH_HDR_NEEDS_CSUM, .csum_start = 38, .csum_offset = 16}};
	size_t size_bytes = make_frame(bytes, 1, 2, 9, 1);
	struct iovec iov[FRAME_MAX_PIECES];
	struct eth_hdr hdr;

	(void)state;
	assert_int_equal(normalise(&frame, size_bytes), DROP_NONE);
	assert_int_equal(frame.hdr.csum_start, 34);
	frame_pieces(&frame, false, 0, &hdr, iov);
	assert_int_equal(hdr.csum_start, 34);
	frame_pieces(&frame, true, 3, &hdr, iov);
	assert_int_equal(hdr.csum_start, 38);
	assert_int_equal(hdr.csum_offset, 16);
}

static void test_csum_request_out_of_bounds(void **state)
{
	static const struct {
		uint16_t start, offset;
		enum drop drop;
	} requests[] = {
		{0, 0, DROP_OFFLOAD},
		{13, 0, DROP_OFFLOAD},
		{17, 16, DROP_OFFLOAD}, /* before the tag's end */
		{18, 16, DROP_NONE},
		{68, 16, DROP_NONE}, /* the last two of 86 bytes */
		{69, 16, DROP_OFFLOAD},
		{65535, 65535, DROP_OFFLOAD},
		{18, 65535, DROP_OFFLOAD},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(requests); i++) {
		size_t size_bytes = make_frame(bytes, 1, 2, 9, 1);
		struct frame frame = {.hdr = {
					      .flags = ETH_HDR_NEEDS_CSUM,
					      .csum_start = requests[i].start,
					      .csum_offset = requests[i].offset,
				      }};

		assert_int_equal(size_bytes, 86);
		assert_int_equal(normalise(&frame, size_bytes), requests[i].drop);
	}
}

static void test_meaningless_fields_are_cleared(void **state)
{
	struct frame frame = {.hdr = {.flags = 0xf8,
				      .hdr_len = 7,
				      .gso_size = 8,
				      .csum_start = 9,
				      .csum_offset = 10}};
	static const struct eth_hdr none;

	(void)state;
	assert_int_equal(normalise(&frame, make_frame(bytes, 1, 2, -1, 1)), DROP_NONE);
	assert_memory_equal(&frame.hdr, &none, sizeof(none));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_sizes),
		cmocka_unit_test(test_tag_round_trip),
		cmocka_unit_test(test_out_of_line_tag),
		cmocka_unit_test(test_inner_tags),
		cmocka_unit_test(test_csum_start_moves_with_the_tag),
		cmocka_unit_test(test_csum_request_out_of_bounds),
		cmocka_unit_test(test_meaningless_fields_are_cleared),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
