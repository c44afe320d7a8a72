/* SPDX-License-Identifier: MIT
 *
 * The memory workload: its pages, its pace, its checks.
 */
#include "vmbus/guest/crc.h"
#include "vmbus/guest/work.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <cmocka.h>

#define MB (1U << 20)

static uint8_t *memory;

static int set_up(void **state)
{
	(void)state;
	memory = aligned_alloc(WORK_PAGE_BYTES, 4 * MB);
	return memory ? 0 : -1;
}

static int tear_down(void **state)
{
	(void)state;
	free(memory);
	return 0;
}

static void test_page_life(void **state)
{
	(void)state;
	work_page_fill(memory, 7);
	for (uint32_t pass = 0; pass < 100; pass++) {
		assert_true(work_page_verify(memory, 7, pass));
		assert_false(work_page_verify(memory, 8, pass));
		assert_false(work_page_verify(memory, 7, pass + 1));
		assert_true(work_page_touch(memory, 7, pass));
	}
}

/* Every byte of the page counts, whatever its age. */
static void test_page_corruption(void **state)
{
	(void)state;
	for (uint32_t passes = 0; passes < 40; passes += 13) {
		work_page_fill(memory, 3);
		for (uint32_t pass = 0; pass < passes; pass++)
			work_page_touch(memory, 3, pass);
		for (size_t i = 0; i < WORK_PAGE_BYTES; i++) {
			memory[i] ^= 0x10;
			assert_false(work_page_verify(memory, 3, passes));
			memory[i] ^= 0x10;
		}
		assert_true(work_page_verify(memory, 3, passes));
	}
}

static void test_touch_notices(void **state)
{
	(void)state;
	work_page_fill(memory, 3);
	memory[0] ^= 1;
	assert_false(work_page_touch(memory, 3, 0));
	assert_true(work_page_touch(memory, 3, 1));
	/* The line that the third touch rewrites. */
	memory[64 * 4 + 5] ^= 1;
	assert_false(work_page_touch(memory, 3, 2));
	assert_true(work_page_verify(memory, 3, 3));
}

static void fill(struct work *work, uint64_t now_ns)
{
	while (work->state == WORK_FILLING)
		assert_true(work_run(work, now_ns));
}

static void run_until(struct work *work, uint64_t now_ns)
{
	while (work_run(work, now_ns))
		;
}

static void verify(struct work *work, uint64_t now_ns)
{
	assert_int_equal(work_verify_start(work), 0);
	assert_int_equal(work_verify_start(work), -EBUSY);
	while (!work_verify_step(work, now_ns))
		assert_false(work_run(work, now_ns + NS_PER_S));
}

static void test_rate(void **state)
{
	struct work work;

	(void)state;
	work_init(&work, memory, 4 * MB);
	assert_int_equal(work_set(&work, 20000, 1, 5 * NS_PER_S), 0);
	fill(&work, 6 * NS_PER_S);
	assert_int_equal(work.state, WORK_TOUCHING);
	run_until(&work, 6 * NS_PER_S + 50 * NS_PER_US);
	assert_int_equal(work.n_touched, 1);
	run_until(&work, 7 * NS_PER_S);
	assert_int_equal(work.n_touched, 20000);
	/* A pause is made up for. */
	run_until(&work, 12 * NS_PER_S);
	assert_int_equal(work.n_touched, 120000);
	assert_int_equal(work.n_bad, 0);
	verify(&work, 12 * NS_PER_S);
	assert_int_equal(work.verify_bad, 0);
	/* A clock that does not move, or goes back a little, hurts nobody. */
	assert_false(work_run(&work, 12 * NS_PER_S));
}

static void test_changes(void **state)
{
	struct work work;

	(void)state;
	work_init(&work, memory, 4 * MB);
	assert_false(work_is_busy(&work));
	assert_false(work_run(&work, 1));
	assert_int_equal(work_set(&work, 1000, 5, 0), -ENOMEM);
	assert_int_equal(work_set(&work, 1000, UINT32_MAX, 0), -ENOMEM);
	assert_int_equal(work_set(&work, 0, 4, 0), 0);
	assert_true(work_is_busy(&work));
	assert_int_equal(work_verify_start(&work), -EBUSY);
	fill(&work, 0);
	assert_false(work_is_busy(&work));
	/* Same size, another rate: the content stays. */
	assert_int_equal(work_set(&work, 100000, 4, 0), 0);
	run_until(&work, 50 * NS_PER_MS);
	assert_int_equal(work.n_touched, 5000);
	assert_int_equal(work_set(&work, 0, 4, 60 * NS_PER_MS), 0);
	assert_false(work_run(&work, NS_PER_S));
	verify(&work, NS_PER_S);
	assert_int_equal(work.verify_bad, 0);
	/* Another size starts anew. */
	assert_int_equal(work_set(&work, 1000, 2, NS_PER_S), 0);
	fill(&work, NS_PER_S);
	verify(&work, NS_PER_S);
	assert_int_equal(work.verify_bad, 0);
	assert_int_equal(work.verify_crc, crc32_update(0, memory, 2 * MB));
	assert_int_equal(work_set(&work, 1000, 0, NS_PER_S), 0);
	assert_false(work_is_busy(&work));
}

static void test_verify_finds(void **state)
{
	struct work work;

	(void)state;
	work_init(&work, memory, 4 * MB);
	work_set(&work, 100000, 1, 0);
	fill(&work, 0);
	run_until(&work, 10 * NS_PER_MS);
	/* In a page of each pass: 1000 touches of 256 pages end at page 232. */
	memory[5] ^= 1;
	memory[255 * WORK_PAGE_BYTES + 4095] ^= 1;
	verify(&work, NS_PER_S);
	assert_int_equal(work.verify_bad, 2);
}

static void test_crc(void **state)
{
	uint8_t data[1000];

	(void)state;
	assert_int_equal(crc32_update(0, "123456789", 9), 0xcbf43926);
	for (size_t i = 0; i < sizeof(data); i++)
		data[i] = (uint8_t)(i * i);
	for (size_t cut = 0; cut < 40; cut++)
		assert_int_equal(
			crc32_update(crc32_update(0, data, cut), data + cut, sizeof(data) - cut),
			crc32_update(0, data, sizeof(data)));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_page_life),
		cmocka_unit_test(test_page_corruption),
		cmocka_unit_test(test_touch_notices),
		cmocka_unit_test(test_rate),
		cmocka_unit_test(test_changes),
		cmocka_unit_test(test_verify_finds),
		cmocka_unit_test(test_crc),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
