/* SPDX-License-Identifier: MIT */
#include "node/svc/restart_times.h"

#include "tests/unit/base/cmocka_all.h"

#include <string.h>

#define NOW 1000000
#define DAY 86400

static struct json *parse(const char *text)
{
	struct json *j;

	assert_int_equal(json_parse(text, strlen(text), &j), 0);
	return j;
}

static void expect_count(const char *text, int64_t now_s, unsigned window_s, unsigned n)
{
	_cleanup_json_ struct json *times = parse(text);

	assert_int_equal(restart_times_count(times, now_s, window_s), n);
}

static void expect_with(const char *text, const char *result)
{
	_cleanup_json_ struct json *times = parse(text);
	_cleanup_json_ struct json *with = restart_times_with(times, NOW);
	_cleanup_free_ char *dumped = json_dump(with, 0);

	assert_string_equal(dumped, result);
}

static void the_window_counts(void **state _unused_)
{
	assert_int_equal(restart_times_count(NULL, NOW, 3600), 0);
	expect_count("[]", NOW, 3600, 0);
	expect_count("[996399,996400,996401,999999,1000000]", NOW, 3600, 3);
	expect_count("[999999,1000000]", NOW, 0, 0);
}

static void clocks_may_run_a_little_fast(void **state _unused_)
{
	expect_count("[1000001,1000060,1000061]", NOW, 3600, 2);
}

/* Noted by a clock that was a day ahead; after it was set back, none of that counts. */
static void a_clock_that_was_ahead_does_not_count(void **state _unused_)
{
	expect_count("[1086400,1086401,999990]", NOW, 3600, 1);
	expect_count("[9223372036854775807]", NOW, 3600, 0);
	/* A day later they may have been, for all that is known. */
	expect_count("[1086400,1086401,999990]", NOW + DAY + 2, 3600, 2);
}

static void a_clock_that_was_behind_does_not_count(void **state _unused_)
{
	expect_count("[913600,913601,-5,0]", NOW, 3600, 0);
}

static void nonsense_does_not_count(void **state _unused_)
{
	expect_count("{\"a\":1}", NOW, 3600, 0);
	expect_count("[null,\"x\",[1000000],-9223372036854775808]", NOW, 3600, 0);
}

static void what_is_written_is_without_impossible_times(void **state _unused_)
{
	expect_with("[]", "[1000000]");
	expect_with("[999000,1086400,999999]", "[999000,999999,1000000]");
	expect_with("[1000060,1000061]", "[1000060,1000000]");
}

static void the_last_ones_are_kept(void **state _unused_)
{
	_cleanup_json_ struct json *times = json_array_new();
	_cleanup_json_ struct json *with = NULL;

	for (int64_t i = 0; i < 2 * RESTART_TIMES_MAX; i++) {
		json_append(times, json_int_new(NOW - 1000 + i));
		json_append(times, json_int_new(NOW + DAY));
	}
	with = restart_times_with(times, NOW);
	assert_int_equal(json_length(with), RESTART_TIMES_MAX);
	assert_int_equal(json_int(json_at(with, 0), 0), NOW - 1000 + RESTART_TIMES_MAX + 1);
	assert_int_equal(json_int(json_at(with, RESTART_TIMES_MAX - 1), 0), NOW);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_window_counts),
		cmocka_unit_test(clocks_may_run_a_little_fast),
		cmocka_unit_test(a_clock_that_was_ahead_does_not_count),
		cmocka_unit_test(a_clock_that_was_behind_does_not_count),
		cmocka_unit_test(nonsense_does_not_count),
		cmocka_unit_test(what_is_written_is_without_impossible_times),
		cmocka_unit_test(the_last_ones_are_kept),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
