/* SPDX-License-Identifier: MIT
 *
 * The ranges of GPA-direct packets: copies in and out, host windows, and every way in which a guest
 * can name memory that it does not have.
 */
#include "guest_ring.h"
#include "vmbus/ranges.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <cmocka.h>

static struct guest_memory memory;

static int setup(void **state _unused_)
{
	guest_memory_init(&memory, 16);
	guest_clean_pages(&memory);
	return 0;
}

static int teardown(void **state _unused_)
{
	guest_memory_fini(&memory);
	return 0;
}

/* 30 bytes in three ranges, one of them empty: 10 in page 3, then 6 and 14 in pages 8 and 2. */
static const struct vmbus_range *scattered(void)
{
	static uint64_t pfns[3];
	static struct vmbus_range ranges[3];

	pfns[0] = guest_pfn(3);
	pfns[1] = guest_pfn(8);
	pfns[2] = guest_pfn(2);
	ranges[0] = (struct vmbus_range){10, 100, (uint8_t *)pfns, 1};
	ranges[1] = (struct vmbus_range){0, 0, (uint8_t *)pfns, 0};
	ranges[2] = (struct vmbus_range){20, 4090, (uint8_t *)&pfns[1], 2};
	return ranges;
}

static void test_read(void **state _unused_)
{
	const struct vmbus_range *ranges = scattered();
	uint8_t got[32];

	memcpy(guest_page(&memory, 3) + 100, "0123456789", 10);
	memcpy(guest_page(&memory, 8) + 4090, "abcdef", 6);
	memcpy(guest_page(&memory, 2), "ghijklmnopqrst", 14);
	assert_int_equal(ranges_read(memory.space, ranges, 3, 0, got, 30), 0);
	assert_memory_equal(got, "0123456789abcdefghijklmnopqrst", 30);
	assert_int_equal(ranges_read(memory.space, ranges, 3, 8, got, 5), 0);
	assert_memory_equal(got, "89abc", 5);
	assert_int_equal(ranges_read(memory.space, ranges, 3, 17, got, 13), 0);
	assert_memory_equal(got, "hijklmnopqrst", 13);
	assert_int_equal(ranges_read(memory.space, ranges, 3, 30, got, 0), 0);
	assert_int_equal(ranges_read(memory.space, ranges, 3, 17, got, 14), -EFAULT);
	assert_int_equal(ranges_read(memory.space, ranges, 3, 0xffffffff, got, 1), -EFAULT);
	assert_int_equal(ranges_read(memory.space, ranges, 0, 0, got, 1), -EFAULT);
}

static void test_write(void **state _unused_)
{
	const struct vmbus_range *ranges = scattered();

	assert_int_equal(ranges_write(memory.space, ranges, 3, 8, "89abcdefg", 9), 0);
	assert_memory_equal(guest_page(&memory, 3) + 107,
		"\0"
		"89\0",
		4);
	assert_memory_equal(guest_page(&memory, 8) + 4089, "\0abcdef", 7);
	assert_memory_equal(guest_page(&memory, 2), "g\0", 2);
	for (uint32_t i = 0; i < 16; i++)
		assert_int_equal(guest_page_is_dirty(&memory, i), i == 2 || i == 3 || i == 8);

	guest_clean_pages(&memory);
	assert_int_equal(ranges_write(memory.space, ranges, 3, 16, "G", 1), 0);
	for (uint32_t i = 0; i < 16; i++)
		assert_int_equal(guest_page_is_dirty(&memory, i), i == 2);
	assert_int_equal(ranges_write(memory.space, ranges, 3, 30, "x", 1), -EFAULT);
	assert_int_equal(ranges_write(memory.space, ranges, 3, 0, "x", 0), 0);
}

/* An offset beyond the first page, PFNs that are no memory. */
static void test_odd_ranges(void **state _unused_)
{
	uint64_t pfns[] = {UINT64_MAX, guest_pfn(4)};
	struct vmbus_range range = {4, 4096 + 7, (uint8_t *)pfns, 2};
	struct iovec iov;
	uint8_t got[8];

	memcpy(guest_page(&memory, 4) + 7, "wxyz", 4);
	assert_int_equal(ranges_read(memory.space, &range, 1, 0, got, 4), 0);
	assert_memory_equal(got, "wxyz", 4);
	range.byte_offset = 4095;
	assert_int_equal(ranges_read(memory.space, &range, 1, 1, got, 1), 0);
	for (int i = 0; i < 2; i++) {
		assert_int_equal(ranges_read(memory.space, &range, 1, 0, got, 1), -EFAULT);
		assert_int_equal(ranges_write(memory.space, &range, 1, 0, got, 1), -EFAULT);
		assert_int_equal(ranges_iov(memory.space, &range, 1, 0, 1, &iov, 1), -EFAULT);
		pfns[0] = guest_pfn(16);
	}
}

static void test_windows(void **state _unused_)
{
	const struct vmbus_range *ranges = scattered();
	struct iovec iov[3];

	assert_int_equal(ranges_iov(memory.space, ranges, 3, 2, 28, iov, 3), 3);
	assert_ptr_equal(iov[0].iov_base, guest_page(&memory, 3) + 102);
	assert_int_equal(iov[0].iov_len, 8);
	assert_ptr_equal(iov[1].iov_base, guest_page(&memory, 8) + 4090);
	assert_int_equal(iov[1].iov_len, 6);
	assert_ptr_equal(iov[2].iov_base, guest_page(&memory, 2));
	assert_int_equal(iov[2].iov_len, 14);
	assert_int_equal(ranges_iov(memory.space, ranges, 3, 2, 28, iov, 2), -E2BIG);
	assert_int_equal(ranges_iov(memory.space, ranges, 3, 2, 14, iov, 2), 2);
	assert_int_equal(ranges_iov(memory.space, ranges, 3, 2, 29, iov, 3), -EFAULT);
	assert_int_equal(ranges_iov(memory.space, ranges, 3, 30, 0, iov, 0), 0);
	/* Whoever looks does not write. */
	for (uint32_t i = 0; i < 16; i++)
		assert_false(guest_page_is_dirty(&memory, i));
}

/* Pages that lie side by side in the host make one piece, also across ranges. */
static void test_windows_merge(void **state _unused_)
{
	uint64_t pfns[] = {guest_pfn(4), guest_pfn(5), guest_pfn(6), guest_pfn(7), guest_pfn(9)};
	struct vmbus_range ranges[] = {
		{3 * 4096 - 8, 8, (uint8_t *)pfns, 3},
		{4096 + 4, 0, (uint8_t *)&pfns[3], 2},
	};
	struct iovec iov[2];

	assert_int_equal(ranges_iov(memory.space, ranges, 2, 0, 4 * 4096 - 4, iov, 2), 2);
	assert_ptr_equal(iov[0].iov_base, guest_page(&memory, 4) + 8);
	assert_int_equal(iov[0].iov_len, 4 * 4096 - 8);
	assert_ptr_equal(iov[1].iov_base, guest_page(&memory, 9));
	assert_int_equal(iov[1].iov_len, 4);
	/* The same page twice is not its own neighbour. */
	pfns[1] = pfns[0];
	assert_int_equal(ranges_iov(memory.space, ranges, 2, 0, 4096, iov, 2), 2);
	assert_int_equal(iov[0].iov_len, 4088);
	assert_ptr_equal(iov[1].iov_base, guest_page(&memory, 4));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_read, setup, teardown),
		cmocka_unit_test_setup_teardown(test_write, setup, teardown),
		cmocka_unit_test_setup_teardown(test_odd_ranges, setup, teardown),
		cmocka_unit_test_setup_teardown(test_windows, setup, teardown),
		cmocka_unit_test_setup_teardown(test_windows_merge, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
