/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "cluster/member.h"

static const struct cmap_node configured[] = {
	{.id = 1, .name = "host1", .ring_addr = {"10.0.0.1", "10.1.0.1"}},
	{.id = 2, .name = "host2"},
	{.id = 7, .name = "host7"},
};

static void nodes_are_found(void **state)
{
	struct member_table table = {};

	(void)state;
	member_configure(&table, configured, ARRAY_LEN(configured));
	assert_int_equal(table.n_nodes, 3);
	assert_string_equal(member_find(&table, 7)->name, "host7");
	assert_int_equal(member_find_name(&table, "host2")->id, 2);
	assert_string_equal(member_find(&table, 1)->ring_addr[1], "10.1.0.1");
	assert_null(member_find(&table, 3));
	assert_null(member_find_name(&table, "host"));
}

static void membership_outlives_a_change_of_configuration(void **state)
{
	const uint32_t present[] = {2, 7, 99};
	struct member_table table = {};

	(void)state;
	member_configure(&table, configured, 2);
	member_set_present(&table, present, ARRAY_LEN(present));
	assert_false(member_find(&table, 1)->is_member);
	assert_true(member_find(&table, 2)->is_member);
	member_configure(&table, configured, ARRAY_LEN(configured));
	assert_true(member_find(&table, 2)->is_member);
	assert_false(member_find(&table, 7)->is_member);
	member_set_present(&table, present, ARRAY_LEN(present));
	assert_true(member_find(&table, 7)->is_member);
	member_set_present(&table, NULL, 0);
	assert_false(member_find(&table, 2)->is_member);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(nodes_are_found),
		cmocka_unit_test(membership_outlives_a_change_of_configuration),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
