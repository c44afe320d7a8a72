/* SPDX-License-Identifier: MIT */
#include "base/bytes.h"

#include "tests/unit/base/cmocka_all.h"

static void test_loads_and_stores(void **state)
{
	uint8_t bytes[9] = {};

	(void)state;
	store_le16(bytes + 1, 0x1234);
	assert_int_equal(bytes[1], 0x34);
	assert_int_equal(load_le16(bytes + 1), 0x1234);
	store_le32(bytes + 1, 0x12345678);
	assert_int_equal(bytes[1], 0x78);
	assert_int_equal(load_le32(bytes + 1), 0x12345678);
	store_le64(bytes + 1, 0x123456789abcdef0ULL);
	assert_int_equal(bytes[8], 0x12);
	assert_true(load_le64(bytes + 1) == 0x123456789abcdef0ULL);
	store_be16(bytes + 1, 0x1234);
	assert_int_equal(bytes[1], 0x12);
	assert_int_equal(load_be16(bytes + 1), 0x1234);
	store_be32(bytes + 1, 0x12345678);
	assert_int_equal(bytes[4], 0x78);
	assert_int_equal(load_be32(bytes + 1), 0x12345678);
}

static void test_reader_reads_what_buf_wrote(void **state)
{
	struct buf b = {};
	struct reader r;
	char text[4];

	(void)state;
	buf_u8(&b, 7);
	buf_le16(&b, 0x1234);
	buf_le32(&b, 0x12345678);
	buf_le64(&b, 0x123456789abcdef0ULL);
	buf_bytes(&b, "abc", 4);
	buf_bytes(&b, NULL, 0);
	assert_false(b.failed);
	assert_int_equal(b.size_bytes, 1 + 2 + 4 + 8 + 4);

	r = reader_make(b.data, b.size_bytes);
	assert_int_equal(reader_u8(&r), 7);
	assert_int_equal(reader_le16(&r), 0x1234);
	assert_int_equal(reader_le32(&r), 0x12345678);
	assert_true(reader_le64(&r) == 0x123456789abcdef0ULL);
	assert_false(reader_done(&r));
	reader_bytes(&r, text, sizeof(text));
	assert_string_equal(text, "abc");
	assert_true(reader_done(&r));
	buf_fini(&b);
	assert_null(b.data);
}

static void test_reader_stops_at_the_end(void **state)
{
	const uint8_t bytes[5] = {1, 2, 3, 4, 5};
	struct reader r = reader_make(bytes, sizeof(bytes));
	uint8_t out[8];

	(void)state;
	assert_int_equal(reader_le32(&r), 0x04030201);
	assert_int_equal(reader_le32(&r), 0);
	assert_false(reader_ok(&r));
	/* The last byte would fit, but nothing is read after a failure. */
	assert_int_equal(reader_u8(&r), 0);
	assert_int_equal(reader_le16(&r), 0);
	assert_true(reader_le64(&r) == 0);
	memset(out, 0xff, sizeof(out));
	reader_bytes(&r, out, sizeof(out));
	assert_int_equal(out[0] | out[7], 0);
	assert_null(reader_take(&r, 0));
	assert_false(reader_done(&r));

	r = reader_make(bytes, sizeof(bytes));
	assert_null(reader_take(&r, SIZE_MAX));
	assert_false(reader_ok(&r));
}

static void test_empty_reader(void **state)
{
	struct reader r = reader_make(NULL, 0);

	(void)state;
	assert_true(reader_done(&r));
	assert_int_equal(reader_u8(&r), 0);
	assert_false(reader_ok(&r));
}

static void test_buf_grows_and_keeps_its_content(void **state)
{
	struct buf b = {};

	(void)state;
	for (uint32_t i = 0; i < 100000; i++)
		buf_le32(&b, i);
	assert_false(b.failed);
	assert_int_equal(b.size_bytes, 400000);
	for (uint32_t i = 0; i < 100000; i++)
		assert_int_equal(load_le32(b.data + 4 * i), i);
	buf_reset(&b);
	assert_int_equal(b.size_bytes, 0);
	assert_true(b.capacity_bytes >= 400000);
	buf_fini(&b);
}

static void test_buf_survives_failed_allocations(void **state)
{
	struct buf b = {};

	(void)state;
	buf_u8(&b, 1);
	assert_null(buf_extend(&b, SIZE_MAX));
	assert_true(b.failed);
	buf_u8(&b, 2);
	buf_le64(&b, 2);
	assert_int_equal(b.size_bytes, 1);
	buf_reset(&b);
	buf_u8(&b, 3);
	assert_false(b.failed);
	assert_int_equal(b.data[0], 3);
	buf_fini(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_loads_and_stores),
		cmocka_unit_test(test_reader_reads_what_buf_wrote),
		cmocka_unit_test(test_reader_stops_at_the_end),
		cmocka_unit_test(test_empty_reader),
		cmocka_unit_test(test_buf_grows_and_keeps_its_content),
		cmocka_unit_test(test_buf_survives_failed_allocations),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
