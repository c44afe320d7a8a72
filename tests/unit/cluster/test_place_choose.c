/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "tests/unit/cluster/pictures.h"

static void ties_go_to_the_lower_id(void **state)
{
	struct place *place = three_nodes();

	(void)state;
	add_vm(place, usual_vm("VM1"));
	assert_int_equal(place_choose(place, "VM1", 0), 1);
	assert_int_equal(place_choose(place, "VM1", 1), 2);
	assert_int_equal(place_choose(place, "nobody", 0), 0);
	place_free(place);
}

static void vms_spread_by_memory_then_by_processors(void **state)
{
	struct place *place = three_nodes();
	static const char *const names[] = {"A", "B", "C", "D"};
	static const uint32_t chosen[] = {1, 2, 3, 1};
	struct place_vm vm = usual_vm("");

	(void)state;
	for (size_t i = 0; i < 4; i++) {
		vm.name = names[i];
		add_vm(place, vm);
		assert_int_equal(place_choose(place, names[i], 0), chosen[i]);
		assert_int_equal(place_move(place, names[i], chosen[i]), 0);
	}
	place_free(place);

	place = three_nodes();
	vm.memory_bytes = 0;
	vm.name = "A";
	add_vm(place, vm);
	assert_int_equal(place_move(place, "A", 1), 0);
	vm.name = "B";
	add_vm(place, vm);
	assert_int_equal(place_choose(place, "B", 0), 2);
	place_free(place);
}

static void preferred_owners_come_first(void **state)
{
	static const char *const preferred[] = {"host9", "host3", "host2"};
	struct place *place = three_nodes();
	struct place_vm vm = usual_vm("Load");

	(void)state;
	vm.memory_bytes = 2048 * MIB;
	vm.node_id = 3;
	vm.is_running = true;
	add_vm(place, vm);
	vm = usual_vm("VM1");
	vm.preferred = preferred;
	vm.n_preferred = 3;
	add_vm(place, vm);
	assert_int_equal(place_choose(place, "VM1", 0), 3);
	assert_int_equal(place_choose(place, "VM1", 3), 2);
	place_free(place);
}

static void a_class_keeps_apart_where_it_can(void **state)
{
	static const char *const names[] = {"A", "B", "C", "D", "E"};
	static const uint32_t chosen[] = {1, 2, 3, 1, 2};
	struct place *place = picture();
	struct place_node node = usual_node(1, "host1");
	struct place_vm vm = usual_vm("");

	(void)state;
	node.vm_memory_bytes = 64 * 1024 * MIB; /* always most memory left */
	add_node(place, node);
	add_node(place, usual_node(2, "host2"));
	add_node(place, usual_node(3, "host3"));
	vm.anti_affinity = "dc";
	vm.memory_bytes = 512 * MIB;
	for (size_t i = 0; i < 5; i++) {
		vm.name = names[i];
		add_vm(place, vm);
		assert_int_equal(place_choose(place, names[i], 0), chosen[i]);
		assert_int_equal(place_move(place, names[i], chosen[i]), 0);
		/* Itself is no reason to go elsewhere. */
		if (i < 3)
			assert_int_equal(place_choose(place, names[i], 0), chosen[i]);
	}
	vm.anti_affinity = "web";
	vm.name = "W";
	add_vm(place, vm);
	assert_int_equal(place_choose(place, "W", 0), 1);
	place_free(place);
}

static void a_numa_node_that_fits_is_better(void **state)
{
	struct place *place = picture();
	struct place_node node = usual_node(1, "host1");
	struct place_vm vm = usual_vm("VM1");

	(void)state;
	node.vm_memory_bytes = 65536 * MIB;
	node.numa_memory_bytes = 2048 * MIB;
	add_node(place, node);
	add_node(place, usual_node(2, "host2"));
	vm.memory_bytes = 2049 * MIB;
	add_vm(place, vm);
	assert_int_equal(place_count_reasons(place, "VM1", 1), 0);
	assert_int_equal(place_choose(place, "VM1", 0), 2);
	assert_int_equal(place_choose(place, "VM1", 2), 1);
	vm.name = "VM2";
	vm.memory_bytes = 2048 * MIB;
	add_vm(place, vm);
	assert_int_equal(place_choose(place, "VM2", 0), 1);
	place_free(place);
}

static void priorities_have_names(void **state)
{
	enum place_priority priority;

	(void)state;
	for (enum place_priority p = PLACE_NO_AUTO_START; p <= PLACE_HIGH; p++) {
		assert_int_equal(place_priority_from_name(place_priority_name(p), &priority), 0);
		assert_int_equal(priority, p);
	}
	assert_int_equal(place_priority_from_name("urgent", &priority), -EINVAL);
}

static void a_list_is_ordered_as_they_start(void **state)
{
	static const char *const names[] = {"b", "a", "d", "c"};
	static const enum place_priority priorities[] = {
		PLACE_LOW, PLACE_LOW, PLACE_NO_AUTO_START, PLACE_HIGH};
	static const char *const expected[] = {"c", "a", "b", "d"};
	struct place *place = three_nodes();
	struct place_listed *list;
	size_t n;

	(void)state;
	for (size_t i = 0; i < 4; i++) {
		struct place_vm vm = usual_vm(names[i]);

		vm.priority = priorities[i];
		add_vm(place, vm);
	}
	assert_int_equal(place_move(place, "c", 2), 0);
	assert_int_equal(place_list(place, &list, &n), 0);
	assert_int_equal(n, 4);
	for (size_t i = 0; i < n; i++)
		assert_string_equal(list[i].name, expected[i]);
	assert_int_equal(list[0].node_id, 2);
	assert_true(list[0].is_running);
	assert_false(list[3].is_running);
	free(list);
	place_free(place);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(ties_go_to_the_lower_id),
		cmocka_unit_test(vms_spread_by_memory_then_by_processors),
		cmocka_unit_test(preferred_owners_come_first),
		cmocka_unit_test(a_class_keeps_apart_where_it_can),
		cmocka_unit_test(a_numa_node_that_fits_is_better),
		cmocka_unit_test(priorities_have_names),
		cmocka_unit_test(a_list_is_ordered_as_they_start),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
