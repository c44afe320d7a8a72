/* SPDX-License-Identifier: MIT */
#include "fabric/vlan.h"
#include "tests/unit/fabric/support.h"

#include <stdio.h>

typedef uint64_t vlan_map[BITMAP_WORDS(VLAN_N_VIDS)];

static void test_list(void **state)
{
	static const struct {
		const char *text, *shortest;
	} lists[] = {
		{"1", "1"},
		{"4094", "4094"},
		{"2-4,7", "2-4,7"},
		{"7,2,4,3", "2-4,7"},
		{"1-4094", "1-4094"},
		{"5-5", "5"},
		{"10-20,15-30", "10-30"},
		{"2,3", "2-3"},
		{"0002", "2"},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(lists); i++) {
		_cleanup_free_ char *text = NULL;
		vlan_map map;

		assert_int_equal(vlan_list_parse(lists[i].text, map), 0);
		text = vlan_list_format(map);
		assert_string_equal(text, lists[i].shortest);
	}
}

static void test_list_refused(void **state)
{
	static const char *const lists[] = {"", "0", "4095", "0-5", "4000-4095", "4-2", "2-", "-2",
		",", "2,", ",2", "2,,3", " 2", "2 ", "+2", "a", "2-4-6", "99999999999999999999",
		"1;2", "0x10"};
	vlan_map map = {42};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(lists); i++)
		assert_int_equal(vlan_list_parse(lists[i], map), -EINVAL);
	assert_int_equal(map[0], 42);
}

static void test_longest_list(void **state)
{
	_cleanup_free_ char *text = NULL;
	vlan_map map = {0}, again;

	(void)state;
	for (unsigned vid = VLAN_VID_MIN; vid <= VLAN_VID_MAX; vid += 2)
		bitmap_set(map, vid);
	text = vlan_list_format(map);
	assert_true(strlen(text) <= VLAN_LIST_MAX_LEN);
	assert_int_equal(vlan_list_parse(text, again), 0);
	assert_memory_equal(map, again, sizeof(map));
}

static void test_reserved_vids(void **state)
{
	struct vlan_policy policy;
	vlan_map map = {0};

	(void)state;
	assert_int_equal(vlan_policy_access(&policy, 0), -EINVAL);
	assert_int_equal(vlan_policy_access(&policy, 4095), -EINVAL);
	assert_int_equal(vlan_policy_access(&policy, 4096 + 5), -EINVAL);
	assert_int_equal(vlan_policy_access(&policy, 4094), 0);
	assert_int_equal(vlan_policy_trunk(&policy, 4095, map), -EINVAL);
	assert_int_equal(vlan_policy_trunk(&policy, 0, map), 0);
	bitmap_set(map, 0);
	assert_int_equal(vlan_policy_trunk(&policy, 1, map), -EINVAL);
	bitmap_clear(map, 0);
	bitmap_set(map, 4095);
	assert_int_equal(vlan_policy_trunk(&policy, 1, map), -EINVAL);
}

static void test_policies(void **state)
{
	struct vlan_policy policy;
	vlan_map map = {0};

	(void)state;
	vlan_policy_untagged(&policy);
	assert_true(vlan_carries(&policy, 0));
	assert_false(vlan_carries(&policy, 1));
	assert_int_equal(vlan_next(&policy, -1), 0);
	assert_int_equal(vlan_next(&policy, 0), -1);

	vlan_policy_access(&policy, 7);
	assert_false(vlan_carries(&policy, 0));
	assert_true(vlan_carries(&policy, 7));
	assert_false(vlan_leaves_tagged(&policy, 7));

	vlan_list_parse("2-4", map);
	vlan_policy_trunk(&policy, 9, map);
	assert_false(vlan_carries(&policy, 0));
	assert_true(vlan_carries(&policy, 3));
	assert_true(vlan_leaves_tagged(&policy, 3));
	assert_true(vlan_carries(&policy, 9));
	assert_false(vlan_leaves_tagged(&policy, 9));
	assert_int_equal(vlan_next(&policy, 4), 9);
	assert_int_equal(vlan_next(&policy, 9), -1);

	vlan_policy_uplink(&policy);
	for (unsigned vid = 0; vid <= VLAN_VID_MAX; vid++) {
		assert_true(vlan_carries(&policy, vid));
		assert_int_equal(vlan_leaves_tagged(&policy, vid), vid != 0);
	}
	assert_false(vlan_carries(&policy, 4095));
}

static void test_mode_names(void **state)
{
	enum vlan_mode mode;

	(void)state;
	for (unsigned i = VLAN_UNTAGGED; i <= VLAN_TRUNK; i++) {
		assert_int_equal(vlan_mode_parse(vlan_mode_name((enum vlan_mode)i), &mode), 0);
		assert_int_equal(mode, i);
	}
	assert_int_equal(vlan_mode_parse("Access", &mode), -EINVAL);
	assert_int_equal(vlan_mode_parse("", &mode), -EINVAL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_list),
		cmocka_unit_test(test_list_refused),
		cmocka_unit_test(test_longest_list),
		cmocka_unit_test(test_reserved_vids),
		cmocka_unit_test(test_policies),
		cmocka_unit_test(test_mode_names),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
