/* SPDX-License-Identifier: MIT
 *
 * Sets of pages as runs, against a plain array of bits.
 */
#include "vmbus/dynmem_runs.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <cmocka.h>

#define N_PAGES 2048UL

static struct dynmem_runs runs;
static bool bits[N_PAGES];

static int teardown(_unused_ void **state)
{
	dynmem_runs_fini(&runs);
	memset(bits, 0, sizeof(bits));
	return 0;
}

static void check(void)
{
	uint64_t n_pages = 0, at = 0;

	for (size_t i = 0; i < runs.n_runs; i++) {
		const struct dynmem_run *run = &runs.runs[i];

		/* Sorted and merged. */
		assert_true(run->n_pages > 0);
		assert_true(i == 0 || run->first > at);
		for (at = run->first; at < run->first + run->n_pages; at++)
			assert_true(bits[at]);
		n_pages += run->n_pages;
	}
	assert_int_equal(runs.n_pages, n_pages);
	for (size_t i = 0; i < N_PAGES; i++)
		n_pages -= bits[i];
	assert_int_equal(n_pages, 0);
}

static int add(uint64_t first, uint64_t n_pages)
{
	struct dynmem_run run = {first, n_pages};
	int r = dynmem_runs_add(&runs, &run, 1);

	assert_true(r || (n_pages <= N_PAGES && first <= N_PAGES - n_pages));
	for (uint64_t i = 0; r == 0 && i < MIN(n_pages, N_PAGES); i++)
		bits[(first + i) % N_PAGES] = true;
	check();
	return r;
}

static void test_merge(_unused_ void **state)
{
	assert_int_equal(add(10, 5), 0);
	assert_int_equal(add(20, 5), 0);
	assert_int_equal(runs.n_runs, 2);
	assert_int_equal(add(15, 5), 0);
	assert_int_equal(runs.n_runs, 1);
	assert_int_equal(add(5, 5), 0);
	assert_int_equal(add(25, 1), 0);
	assert_int_equal(runs.n_runs, 1);
	assert_int_equal(runs.n_pages, 21);
	assert_int_equal(dynmem_runs_add(&runs, NULL, 0), 0);
}

static void test_refused(_unused_ void **state)
{
	struct dynmem_run twice[] = {{100, 2}, {200, 4}, {203, 1}};
	struct dynmem_run partly[] = {{100, 2}, {9, 2}};

	assert_int_equal(add(10, 5), 0);
	assert_int_equal(add(10, 1), -EEXIST);
	assert_int_equal(add(14, 1), -EEXIST);
	assert_int_equal(add(9, 2), -EEXIST);
	assert_int_equal(add(0, 1000), -EEXIST);
	assert_int_equal(add(12, 1), -EEXIST);
	assert_int_equal(dynmem_runs_add(&runs, twice, 3), -EEXIST);
	assert_int_equal(dynmem_runs_add(&runs, partly, 2), -EEXIST);
	assert_int_equal(add(0, 0), -EINVAL);
	assert_int_equal(add(UINT64_MAX, 1), -EINVAL);
	assert_int_equal(add(UINT64_MAX, 2), -EINVAL);
	assert_int_equal(add(1ULL << 52, 1), -EINVAL);
	assert_int_equal(add(1, UINT64_MAX), -EINVAL);
	assert_int_equal(runs.n_runs, 1);
	check();
}

static void test_remove(_unused_ void **state)
{
	const struct dynmem_run parts[] = {{12, 2}, {10, 1}, {19, 1}, {15, 4}, {11, 1}, {14, 1}};
	const struct dynmem_run absent[] = {{9, 2}, {19, 2}, {5, 1}, {25, 1}, {0, 100}, {10, 0},
		{UINT64_MAX, 1}, {1, UINT64_MAX}};

	add(10, 10);
	for (size_t i = 0; i < ARRAY_LEN(absent); i++)
		assert_int_equal(dynmem_runs_remove(&runs, &absent[i]), -ENOENT);
	for (size_t i = 0; i < ARRAY_LEN(parts); i++) {
		assert_int_equal(dynmem_runs_remove(&runs, &parts[i]), 0);
		assert_int_equal(dynmem_runs_remove(&runs, &parts[i]), -ENOENT);
		memset(bits + parts[i].first, 0, parts[i].n_pages);
		check();
	}
	assert_int_equal(runs.n_runs, 0);
}

static void test_bounded(_unused_ void **state)
{
	struct dynmem_run *many = calloc(DYNMEM_MAX_RUNS, sizeof(*many));
	struct dynmem_run one = {1, 1};

	assert_non_null(many);
	for (uint64_t i = 0; i < DYNMEM_MAX_RUNS; i++)
		many[i] = (struct dynmem_run){3 * (DYNMEM_MAX_RUNS - i), 1};
	assert_int_equal(dynmem_runs_add(&runs, many, DYNMEM_MAX_RUNS), 0);
	assert_int_equal(runs.n_runs, DYNMEM_MAX_RUNS);
	assert_int_equal(dynmem_runs_add(&runs, &one, 1), -ENOSPC);
	assert_int_equal(runs.n_runs, DYNMEM_MAX_RUNS);
	/* One that joins others still fits. */
	one.first = 4;
	assert_int_equal(dynmem_runs_add(&runs, &one, 1), 0);
	assert_int_equal(runs.n_pages, DYNMEM_MAX_RUNS + 1);
	free(many);
}

static void test_take(_unused_ void **state)
{
	struct dynmem_run taken[3];

	assert_int_equal(dynmem_runs_take(&runs, 10, 10, taken, 3), 0);
	add(10, 5);
	add(20, 5);
	add(30, 5);
	assert_int_equal(dynmem_runs_take(&runs, 7, 100, taken, 3), 2);
	assert_int_equal(taken[0].first, 30);
	assert_int_equal(taken[0].n_pages, 5);
	assert_int_equal(taken[1].first, 23);
	assert_int_equal(taken[1].n_pages, 2);
	assert_int_equal(runs.n_pages, 8);
	/* Short runs, few of them. */
	assert_int_equal(dynmem_runs_take(&runs, 100, 2, taken, 3), 3);
	assert_int_equal(taken[0].first, 21);
	assert_int_equal(taken[1].first, 20);
	assert_int_equal(taken[1].n_pages, 1);
	assert_int_equal(taken[2].first, 13);
	assert_int_equal(dynmem_runs_take(&runs, 100, 100, taken, 3), 1);
	assert_int_equal(runs.n_pages, 0);
	assert_int_equal(runs.n_runs, 0);
}

static uint32_t next_random(uint32_t *seed)
{
	*seed = *seed * 1664525 + 1013904223;
	return *seed >> 8;
}

static void test_against_bits(_unused_ void **state)
{
	uint32_t seed = 1;

	for (unsigned round = 0; round < 3000; round++) {
		uint64_t first = next_random(&seed) % N_PAGES;
		uint64_t n = next_random(&seed) % 16 + 1;
		struct dynmem_run taken[8];
		bool is_free = true;
		size_t n_taken;

		n = MIN(n, N_PAGES - first);
		for (uint64_t i = first; i < first + n; i++)
			is_free &= !bits[i];
		assert_int_equal(add(first, n), is_free ? 0 : -EEXIST);
		if (round % 5)
			continue;
		n_taken = dynmem_runs_take(&runs, next_random(&seed) % 64, 7, taken, 8);
		for (size_t i = 0; i < n_taken; i++) {
			assert_true(taken[i].n_pages <= 7);
			for (uint64_t k = 0; k < taken[i].n_pages; k++) {
				assert_true(bits[taken[i].first + k]);
				bits[taken[i].first + k] = false;
			}
		}
		check();
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_teardown(test_merge, teardown),
		cmocka_unit_test_teardown(test_refused, teardown),
		cmocka_unit_test_teardown(test_remove, teardown),
		cmocka_unit_test_teardown(test_bounded, teardown),
		cmocka_unit_test_teardown(test_take, teardown),
		cmocka_unit_test_teardown(test_against_bits, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
