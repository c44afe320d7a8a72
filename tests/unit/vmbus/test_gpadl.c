/* SPDX-License-Identifier: MIT
 *
 * GPADLs as runs of bytes.
 */
#include "guest_ring.h"
#include "vmbus/gpadl.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <cmocka.h>

static struct guest_memory memory;

static int setup(void **state _unused_)
{
	guest_memory_init(&memory, 16);
	return 0;
}

static int teardown(void **state _unused_)
{
	guest_memory_fini(&memory);
	return 0;
}

static int make(const uint64_t *pfns, uint32_t n, struct vmbus_gpadl **ret_gpadl)
{
	struct vmbus_gpa_range range = {.byte_count = n * 4096};

	return gpadl_new(memory.space, 5, range, (const uint8_t *)pfns, ret_gpadl);
}

static void check_bytes(const uint32_t *pages, uint32_t n_pages)
{
	uint64_t pfns[8];
	struct vmbus_gpadl *gpadl;
	uint8_t out[9000], in[9000];

	for (uint32_t i = 0; i < n_pages; i++)
		pfns[i] = guest_pfn(pages[i]);
	assert_int_equal(make(pfns, n_pages, &gpadl), 0);
	assert_int_equal(vmbus_gpadl_size_bytes(gpadl), n_pages * 4096);
	for (size_t i = 0; i < sizeof(out); i++)
		out[i] = (uint8_t)(i * 13);
	guest_clean_pages(&memory);
	assert_int_equal(vmbus_gpadl_write(gpadl, 4000, out, 8000), 0);
	assert_int_equal(vmbus_gpadl_read(gpadl, 4000, in, 8000), 0);
	assert_memory_equal(in, out, 8000);
	assert_memory_equal(guest_page(&memory, pages[0]) + 4000, out, 96);
	assert_memory_equal(guest_page(&memory, pages[1]), out + 96, 4096);
	assert_memory_equal(guest_page(&memory, pages[2]), out + 96 + 4096, 8000 - 96 - 4096);
	for (uint32_t i = 0; i < n_pages; i++)
		assert_int_equal(guest_page_is_dirty(&memory, pages[i]), i < 3);

	assert_int_equal(vmbus_gpadl_read(gpadl, n_pages * 4096, in, 0), 0);
	assert_int_equal(vmbus_gpadl_read(gpadl, n_pages * 4096 - 1, in, 2), -EFAULT);
	assert_int_equal(vmbus_gpadl_read(gpadl, n_pages * 4096 + 1, in, 0), -EFAULT);
	assert_int_equal(vmbus_gpadl_write(gpadl, 0xffffffff, out, 1), -EFAULT);
	assert_int_equal(vmbus_gpadl_write(gpadl, 8, out, SIZE_MAX - 4), -EFAULT);
	gpadl_free(gpadl);
}

static void test_neighbours(void **state _unused_)
{
	static const uint32_t pages[] = {4, 5, 6, 7};

	check_bytes(pages, ARRAY_LEN(pages));
}

static void test_scattered(void **state _unused_)
{
	static const uint32_t pages[] = {9, 1, 15, 0};

	check_bytes(pages, ARRAY_LEN(pages));
}

/* A run that begins and ends inside pages. */
static void test_offset(void **state _unused_)
{
	static const uint32_t kinds[][3] = {{4, 5, 6}, {9, 1, 12}};

	for (size_t k = 0; k < ARRAY_LEN(kinds); k++) {
		const struct vmbus_gpa_range range = {.byte_count = 6000, .byte_offset = 4000};
		const uint32_t *pages = kinds[k];
		uint64_t pfns[] = {guest_pfn(pages[0]), guest_pfn(pages[1]), guest_pfn(pages[2])};
		struct vmbus_gpadl *gpadl;
		uint8_t out[6000], in[6000];

		for (size_t i = 0; i < sizeof(out); i++)
			out[i] = (uint8_t)(i * 7 + k);
		assert_int_equal(
			gpadl_new(memory.space, 5, range, (const uint8_t *)pfns, &gpadl), 0);
		assert_int_equal(vmbus_gpadl_size_bytes(gpadl), 6000);
		guest_clean_pages(&memory);
		assert_int_equal(vmbus_gpadl_write(gpadl, 0, out, 6000), 0);
		assert_memory_equal(guest_page(&memory, pages[0]) + 4000, out, 96);
		assert_memory_equal(guest_page(&memory, pages[1]), out + 96, 4096);
		assert_memory_equal(guest_page(&memory, pages[2]), out + 4192, 1808);
		assert_int_equal(guest_page(&memory, pages[2])[1808], 0);
		assert_int_equal(vmbus_gpadl_read(gpadl, 90, in, 5910), 0);
		assert_memory_equal(in, out + 90, 5910);
		for (uint32_t i = 0; i < 16; i++)
			assert_int_equal(guest_page_is_dirty(&memory, i),
				i == pages[0] || i == pages[1] || i == pages[2]);
		guest_clean_pages(&memory);
		assert_int_equal(vmbus_gpadl_write(gpadl, 96, out, 1), 0);
		assert_true(guest_page_is_dirty(&memory, pages[1]));
		assert_false(guest_page_is_dirty(&memory, pages[0]));
		assert_int_equal(vmbus_gpadl_write(gpadl, 5999, out, 2), -EFAULT);
		assert_int_equal(vmbus_gpadl_read(gpadl, 6000, in, 0), 0);
		gpadl_free(gpadl);
		memset(memory.host, 0, memory.n_pages * GPA_PAGE_SIZE);
	}
}

static void test_not_ram(void **state _unused_)
{
	static const uint64_t bad[] = {0, 1ULL << 40, 1ULL << 52, UINT64_MAX,
		(1ULL << 52) + GUEST_MEMORY_BASE / GPA_PAGE_SIZE};
	struct vmbus_gpadl *gpadl;

	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		uint64_t first[] = {bad[i], guest_pfn(1)};
		uint64_t second[] = {guest_pfn(1), bad[i]};

		assert_int_equal(make(first, 2, &gpadl), -EFAULT);
		assert_int_equal(make(second, 2, &gpadl), -EFAULT);
	}
	/* Neighbours that run out of memory. */
	uint64_t edge[] = {guest_pfn(14), guest_pfn(15), guest_pfn(16)};

	assert_int_equal(make(edge, 2, &gpadl), 0);
	gpadl_free(gpadl);
	assert_int_equal(make(edge, 3, &gpadl), -EFAULT);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_neighbours, setup, teardown),
		cmocka_unit_test_setup_teardown(test_scattered, setup, teardown),
		cmocka_unit_test_setup_teardown(test_offset, setup, teardown),
		cmocka_unit_test_setup_teardown(test_not_ram, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
