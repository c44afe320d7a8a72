/* SPDX-License-Identifier: MIT */
#include "base/gpa.h"
#include "base/bitmap.h"
#include "base/thread.h"

#include <string.h>

#include "tests/unit/base/cmocka_all.h"

#define LOW_PAGES  8
#define HIGH_PAGES 130
#define HIGH_BASE  0x100000000ULL

struct fixture {
	struct gpa_space *space;
	uint8_t *low, *high;
};

static uint8_t *ram_new(size_t n_pages)
{
	uint8_t *ram = aligned_alloc(GPA_PAGE_SIZE, n_pages * GPA_PAGE_SIZE);

	assert_non_null(ram);
	memset(ram, 0, n_pages * GPA_PAGE_SIZE);
	return ram;
}

/* Low RAM from 0 in two adjacent regions of the same size, and high RAM. */
static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	assert_non_null(f);
	f->low = ram_new(LOW_PAGES);
	f->high = ram_new(HIGH_PAGES);
	assert_int_equal(gpa_space_new(&f->space), 0);
	assert_int_equal(gpa_space_add(f->space, gpa(0), LOW_PAGES / 2 * GPA_PAGE_SIZE, f->low), 0);
	assert_int_equal(
		gpa_space_add(f->space, gpa(LOW_PAGES / 2 * GPA_PAGE_SIZE),
			LOW_PAGES / 2 * GPA_PAGE_SIZE, f->low + LOW_PAGES / 2 * GPA_PAGE_SIZE),
		0);
	assert_int_equal(
		gpa_space_add(f->space, gpa(HIGH_BASE), HIGH_PAGES * GPA_PAGE_SIZE, f->high), 0);
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	gpa_space_free(f->space);
	free(f->low);
	free(f->high);
	free(f);
	return 0;
}

static size_t dirty_pages(struct fixture *f, size_t region)
{
	const struct gpa_region *r = gpa_space_region(f->space, region);

	return bitmap_count(r->dirty, BITMAP_WORDS(r->size_bytes / GPA_PAGE_SIZE));
}

static void test_set_up_is_checked(void **state)
{
	struct fixture *f = *state;
	struct gpa_space *s = f->space;
	void *host = f->high;

	assert_int_equal(gpa_space_add(s, gpa(1), GPA_PAGE_SIZE, host), -EINVAL);
	assert_int_equal(gpa_space_add(s, gpa(1 << 30), 100, host), -EINVAL);
	assert_int_equal(gpa_space_add(s, gpa(1 << 30), 0, host), -EINVAL);
	assert_int_equal(gpa_space_add(s, gpa(1 << 30), GPA_PAGE_SIZE, NULL), -EINVAL);
	assert_int_equal(gpa_space_add(s, gpa(1 << 30), GPA_PAGE_SIZE, f->high + 1), -EINVAL);
	assert_int_equal(gpa_space_add(s, gpa(-GPA_PAGE_SIZE), 2 * GPA_PAGE_SIZE, host), -EINVAL);
	assert_int_equal(gpa_space_add(s, gpa(-GPA_PAGE_SIZE), GPA_PAGE_SIZE, host), -EINVAL);
	assert_int_equal(gpa_space_add(s, gpa(0), GPA_PAGE_SIZE, host), -EEXIST);
	assert_int_equal(
		gpa_space_add(s, gpa(HIGH_BASE - GPA_PAGE_SIZE), 2 * GPA_PAGE_SIZE, host), -EEXIST);
	for (size_t i = gpa_space_n_regions(s); i < GPA_MAX_REGIONS; i++)
		assert_int_equal(gpa_space_add(s, gpa((i << 40)), GPA_PAGE_SIZE, host), 0);
	assert_int_equal(gpa_space_add(s, gpa(1ULL << 50), GPA_PAGE_SIZE, host), -ENOSPC);
	assert_int_equal(gpa_space_n_regions(s), GPA_MAX_REGIONS);
}

static void test_regions(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(gpa_space_n_regions(f->space), 3);
	assert_true(gpa_space_region(f->space, 2)->base.v == HIGH_BASE);
	assert_null(gpa_space_region(f->space, 3));
	assert_int_equal(gpa_space_size_bytes(f->space), (LOW_PAGES + HIGH_PAGES) * GPA_PAGE_SIZE);
}

static void test_copies_cross_regions(void **state)
{
	struct fixture *f = *state;
	uint64_t at = LOW_PAGES / 2 * GPA_PAGE_SIZE - 3;
	char text[8] = {};

	assert_int_equal(gpa_write(f->space, gpa(at), "abcdefg", 8), 0);
	assert_memory_equal(f->low + at, "abcdefg", 8);
	assert_int_equal(gpa_read(f->space, gpa(at), text, 8), 0);
	assert_string_equal(text, "abcdefg");
	assert_int_equal(dirty_pages(f, 0), 1);
	assert_true(bitmap_test(gpa_space_region(f->space, 0)->dirty, LOW_PAGES / 2 - 1));
	assert_int_equal(dirty_pages(f, 1), 1);
	assert_true(bitmap_test(gpa_space_region(f->space, 1)->dirty, 0));
	assert_int_equal(dirty_pages(f, 2), 0);
}

static void test_refused_accesses_change_nothing(void **state)
{
	struct fixture *f = *state;
	uint64_t end = LOW_PAGES * GPA_PAGE_SIZE;
	char text[16] = "unchanged";

	assert_int_equal(gpa_write(f->space, gpa(end - 4), text, 8), -EFAULT);
	assert_int_equal(f->low[end - 4], 0);
	assert_int_equal(gpa_write(f->space, gpa(end), text, 1), -EFAULT);
	assert_int_equal(gpa_write(f->space, gpa(UINT64_MAX), text, 2), -EFAULT);
	assert_int_equal(gpa_write(f->space, gpa(0), text, SIZE_MAX), -EFAULT);
	assert_int_equal(gpa_write(f->space, gpa(HIGH_BASE - 1), text, 2), -EFAULT);
	assert_int_equal(gpa_read(f->space, gpa(end - 4), text, 8), -EFAULT);
	assert_int_equal(gpa_read(f->space, gpa(UINT64_MAX - 3), text, 8), -EFAULT);
	assert_string_equal(text, "unchanged");
	for (size_t i = 0; i < 3; i++)
		assert_int_equal(dirty_pages(f, i), 0);
	assert_int_equal(gpa_read(f->space, gpa(end), text, 0), 0);
}

static void test_windows_stay_in_one_region(void **state)
{
	struct fixture *f = *state;
	uint64_t border = LOW_PAGES / 2 * GPA_PAGE_SIZE;

	assert_ptr_equal(gpa_window(f->space, gpa(0), border), f->low);
	assert_null(gpa_window(f->space, gpa(0), border + 1));
	assert_ptr_equal(gpa_window(f->space, gpa(HIGH_BASE + 5), 7), f->high + 5);
	assert_null(gpa_window(f->space, gpa(HIGH_BASE), SIZE_MAX));
	assert_null(gpa_window(f->space, gpa(2 * border), 0));
	assert_null(gpa_window(f->space, gpa(UINT64_MAX), 1));
}

static void test_marks(void **state)
{
	struct fixture *f = *state;
	const struct gpa_region *high = gpa_space_region(f->space, 2);
	uint64_t drained[BITMAP_WORDS(HIGH_PAGES)] = {};

	gpa_mark_dirty(f->space, gpa(HIGH_BASE + 64 * GPA_PAGE_SIZE - 1), 2);
	assert_int_equal(dirty_pages(f, 2), 2);
	assert_true(bitmap_test(high->dirty, 63) && bitmap_test(high->dirty, 64));
	bitmap_drain_atomic(drained, high->dirty, ARRAY_LEN(drained));
	assert_int_equal(dirty_pages(f, 2), 0);
	assert_int_equal(bitmap_count(drained, ARRAY_LEN(drained)), 2);

	/* Only the part that is RAM. */
	gpa_mark_dirty(f->space, gpa(HIGH_BASE - 1), GPA_PAGE_SIZE);
	assert_int_equal(dirty_pages(f, 2), 1);
	gpa_mark_dirty(f->space, gpa(HIGH_BASE + 100 * GPA_PAGE_SIZE), SIZE_MAX);
	assert_int_equal(dirty_pages(f, 2), 1 + 30);
	gpa_mark_dirty(f->space, gpa(1ULL << 40), GPA_PAGE_SIZE);
	gpa_mark_dirty(f->space, gpa(0), 0);
	assert_int_equal(dirty_pages(f, 0), 0);
}

static void test_marks_by_host_address(void **state)
{
	struct fixture *f = *state;

	/* Neighbours in the host, two regions. */
	gpa_mark_dirty_host(f->space, f->low + LOW_PAGES / 2 * GPA_PAGE_SIZE - 1, 2);
	assert_int_equal(dirty_pages(f, 0), 1);
	assert_true(bitmap_test(gpa_space_region(f->space, 0)->dirty, LOW_PAGES / 2 - 1));
	assert_int_equal(dirty_pages(f, 1), 1);
	assert_true(bitmap_test(gpa_space_region(f->space, 1)->dirty, 0));
	gpa_mark_dirty_host(f->space, f->high + 7 * GPA_PAGE_SIZE, GPA_PAGE_SIZE);
	assert_int_equal(dirty_pages(f, 2), 1);
	assert_true(bitmap_test(gpa_space_region(f->space, 2)->dirty, 7));

	/* Nothing of nothing, and nothing that is not RAM. */
	gpa_mark_dirty_host(f->space, f->high, 0);
	gpa_mark_dirty_host(f->space, &f, sizeof(f));
	gpa_mark_dirty_host(f->space, f->high + HIGH_PAGES * GPA_PAGE_SIZE, 1);
	assert_int_equal(dirty_pages(f, 2), 1);
}

static void marker(void *data)
{
	struct fixture *f = data;

	for (uint64_t i = 0; i < 50 * HIGH_PAGES; i++)
		gpa_mark_dirty(f->space, gpa(HIGH_BASE + i % HIGH_PAGES * GPA_PAGE_SIZE), 1);
}

static void test_marks_of_threads_are_not_lost(void **state)
{
	struct fixture *f = *state;
	struct thread threads[3] = {};

	for (size_t i = 0; i < ARRAY_LEN(threads); i++)
		assert_int_equal(thread_start(&threads[i], "marker", marker, f), 0);
	for (size_t i = 0; i < ARRAY_LEN(threads); i++)
		thread_join(&threads[i]);
	assert_int_equal(dirty_pages(f, 2), HIGH_PAGES);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_set_up_is_checked, setup, teardown),
		cmocka_unit_test_setup_teardown(test_regions, setup, teardown),
		cmocka_unit_test_setup_teardown(test_copies_cross_regions, setup, teardown),
		cmocka_unit_test_setup_teardown(
			test_refused_accesses_change_nothing, setup, teardown),
		cmocka_unit_test_setup_teardown(test_windows_stay_in_one_region, setup, teardown),
		cmocka_unit_test_setup_teardown(test_marks, setup, teardown),
		cmocka_unit_test_setup_teardown(test_marks_by_host_address, setup, teardown),
		cmocka_unit_test_setup_teardown(
			test_marks_of_threads_are_not_lost, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
