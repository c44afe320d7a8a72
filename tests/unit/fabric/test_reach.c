/* SPDX-License-Identifier: MIT */
#include "fabric/reach.h"
#include "tests/unit/fabric/support.h"

#define T0 (1000 * NS_PER_SEC)

static struct reach *reach;
static const uint8_t token[REACH_TOKEN_BYTES] = {1, 2, 3}, other[REACH_TOKEN_BYTES] = {9};
static uint64_t vids[BITMAP_WORDS(VLAN_N_VIDS)];
static uint8_t frame[REACH_FRAME_BYTES];

static int setup(void **state)
{
	(void)state;
	return reach_new(&reach);
}

static int teardown(void **state)
{
	(void)state;
	reach_free(reach);
	return 0;
}

static void test_what_arrived_is_known(void **state)
{
	(void)state;
	assert_int_equal(reach_begin(reach, token, T0), 0);
	assert_int_equal(reach_begin(reach, token, T0), -EEXIST);
	for (unsigned vid = 0; vid <= VLAN_VID_MAX; vid += 7) {
		reach_build(token, (uint16_t)vid, frame);
		assert_true(reach_is_probe(frame, sizeof(frame)));
		assert_int_equal(frame[0] & 1, 1);
		assert_int_equal(frame[ETH_ADDR_LEN] & 1, 0);
		reach_take(reach, vid, frame, sizeof(frame), T0);
	}
	assert_int_equal(reach_result(reach, token, T0, vids), 0);
	for (unsigned vid = 0; vid <= VLAN_VID_MAX; vid++)
		assert_int_equal(bitmap_test(vids, vid), vid % 7 == 0);
	reach_end(reach, token);
	assert_int_equal(reach_result(reach, token, T0, vids), -ENOENT);
}

/* Somebody on the way changed the tag: the VLAN does not reach, whatever arrived. */
static void test_a_translated_vlan_does_not_count(void **state)
{
	(void)state;
	assert_int_equal(reach_begin(reach, token, T0), 0);
	reach_build(token, 5, frame);
	reach_take(reach, 6, frame, sizeof(frame), T0);
	assert_int_equal(reach_result(reach, token, T0, vids), 0);
	assert_int_equal(bitmap_count(vids, ARRAY_LEN(vids)), 0);
}

static void test_only_expected_probes_count(void **state)
{
	(void)state;
	assert_int_equal(reach_begin(reach, token, T0), 0);
	reach_build(other, 5, frame);
	reach_take(reach, 5, frame, sizeof(frame), T0);
	reach_build(token, 5, frame);
	for (size_t n = 0; n < 40; n++) { /* cut off anywhere */
		assert_false(reach_is_probe(frame, n));
		reach_take(reach, 5, frame, n, T0);
	}
	frame[ETH_HEADER_BYTES] ^= 1;
	assert_false(reach_is_probe(frame, sizeof(frame)));
	reach_take(reach, 5, frame, sizeof(frame), T0);
	assert_int_equal(reach_result(reach, token, T0, vids), 0);
	assert_int_equal(bitmap_count(vids, ARRAY_LEN(vids)), 0);
}

static void test_trials_end_and_are_few(void **state)
{
	uint8_t many[REACH_TOKEN_BYTES] = {0};

	(void)state;
	for (unsigned i = 0; i < REACH_MAX_TRIALS; i++) {
		many[15] = (uint8_t)i;
		assert_int_equal(reach_begin(reach, many, T0), 0);
	}
	assert_int_equal(reach_begin(reach, token, T0), -ENOSPC);
	assert_int_equal(reach_begin(reach, token, T0 + REACH_TRIAL_NS), 0);
	assert_int_equal(reach_result(reach, many, T0 + REACH_TRIAL_NS, vids), -ENOENT);
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_what_arrived_is_known),
		TEST(test_a_translated_vlan_does_not_count),
		TEST(test_only_expected_probes_count),
		TEST(test_trials_end_and_are_few),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
