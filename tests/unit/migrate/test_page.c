/* SPDX-License-Identifier: MIT */
#include "migrate/page.h"

#include "base/bitmap.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

#define N_PAGES 600

static void test_zero(void **state)
{
	static _Alignas(4096) uint8_t page[4096];

	(void)state;
	assert_true(page_is_zero(page));
	for (size_t i = 0; i < sizeof(page); i++) {
		page[i] = 1;
		assert_false(page_is_zero(page));
		page[i] = 0;
	}
}

static void test_copy(void **state)
{
	static _Alignas(4096) uint8_t from[3 * 4096], to[4 * 4096];

	(void)state;
	for (size_t i = 0; i < sizeof(from); i++)
		from[i] = (uint8_t)(i / 7);
	page_copy(to, from, 3);
	assert_memory_equal(from, to, sizeof(from));
	assert_true(page_is_zero(to + sizeof(from)));
}

static void find_untouched(void *host)
{
	uint64_t bitmap[BITMAP_WORDS(N_PAGES)] = {0};
	struct gpa_region region = {.host = host, .size_bytes = N_PAGES * GPA_PAGE_SIZE};
	size_t n_found;

	for (size_t i = 0; i < N_PAGES; i += 3)
		((volatile uint8_t *)host)[i * GPA_PAGE_SIZE] = 0;
	n_found = page_find_untouched(&region, true, bitmap);
	assert_int_equal(n_found, N_PAGES - N_PAGES / 3);
	for (size_t i = 0; i < N_PAGES; i++)
		assert_int_equal(bitmap_test(bitmap, i), i % 3 != 0);
	/* With swap on this host nothing may be found; without, the same. */
	memset(bitmap, 0, sizeof(bitmap));
	n_found = page_find_untouched(&region, false, bitmap);
	assert_true(n_found == 0 || n_found == N_PAGES - N_PAGES / 3);
}

static void test_untouched_private(void **state)
{
	size_t size = N_PAGES * GPA_PAGE_SIZE;
	void *at = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	(void)state;
	assert_ptr_not_equal(at, MAP_FAILED);
	assert_int_equal(madvise(at, size, MADV_NOHUGEPAGE), 0);
	find_untouched(at);
	munmap(at, size);
}

static void test_untouched_memfd(void **state)
{
	size_t size = N_PAGES * GPA_PAGE_SIZE;
	int fd = memfd_create("test", MFD_CLOEXEC);
	void *at;

	(void)state;
	assert_true(fd >= 0);
	assert_int_equal(ftruncate(fd, (off_t)size), 0);
	at = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	assert_ptr_not_equal(at, MAP_FAILED);
	find_untouched(at);
	munmap(at, size);
	close(fd);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_zero),
		cmocka_unit_test(test_copy),
		cmocka_unit_test(test_untouched_private),
		cmocka_unit_test(test_untouched_memfd),
	};

	return cmocka_run_group_tests_name("page", tests, NULL, NULL);
}
