/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "cluster/failover.h"

#define MIB     (1ULL << 20)
#define N_NODES 4

static const struct failover_node nodes[] = {{1, "one"}, {2, "two"}, {3, "three"}, {4, "four"}};

/* Node 4 is down, and all VMs were there; the others have room for `room` VMs each. */
static struct place *picture(unsigned room)
{
	struct place *place;

	assert_int_equal(place_new(&place), 0);
	for (uint32_t id = 1; id <= N_NODES; id++) {
		const struct place_node node = {
			.id = id,
			.name = nodes[id - 1].name,
			.why_not = "",
			.is_up = id != 4,
			.has_kvm = true,
			.vm_memory_bytes = room * 64 * MIB,
			.cpus = 4,
			.cpu_digest = "",
		};

		assert_int_equal(place_add_node(place, &node), 0);
	}
	return place;
}

static void add_vm(struct place *place, const char *name, const char *preferred)
{
	const char *const list[] = {preferred};
	const struct place_vm vm = {
		.name = name,
		.node_id = 4,
		.cpu_digest = "",
		.memory_bytes = 64 * MIB,
		.vps = 1,
		.priority = PLACE_MEDIUM,
		.preferred = list,
		.n_preferred = preferred ? 1 : 0,
		.anti_affinity = "",
	};

	assert_int_equal(place_add_vm(place, &vm), 0);
}

static void high_comes_before_low(void **state)
{
	const struct failover_vm vms[] = {
		{"a-low", PLACE_LOW, 0, 3, 0},
		{"medium", PLACE_MEDIUM, 0, 3, 0},
		{"b-low", PLACE_LOW, 0, 3, 0},
		{"high", PLACE_HIGH, 0, 3, 0},
		{"never", PLACE_NO_AUTO_START, 0, 3, 0},
	};
	static const char *const order[] = {"high", "medium", "a-low", "b-low", "never"};
	struct failover_step steps[ARRAY_LEN(vms)];
	struct place *place = picture(1);

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(vms); i++)
		add_vm(place, vms[i].name, NULL);
	assert_int_equal(
		failover_plan(place, vms, ARRAY_LEN(vms), nodes, ARRAY_LEN(nodes), steps), 0);
	for (size_t i = 0; i < ARRAY_LEN(vms); i++)
		assert_string_equal(vms[steps[i].vm].name, order[i]);
	/* There is room for three: the last of the low ones waits, and all reasons are said. */
	assert_true(steps[0].to && steps[1].to && steps[2].to);
	assert_true(steps[0].to != steps[1].to && steps[1].to != steps[2].to);
	assert_true(steps[3].to == 0 && !steps[3].is_final);
	for (size_t i = 0; i < ARRAY_LEN(nodes); i++)
		assert_non_null(strstr(steps[3].why, nodes[i].name));
	assert_true(steps[4].to == 0 && steps[4].is_final);
	place_free(place);
}

static void what_is_preferred_counts(void **state)
{
	const struct failover_vm vm = {"VM1", PLACE_MEDIUM, 0, 3, 0};
	struct failover_vm again = vm;
	struct failover_step step;
	struct place *place = picture(4);

	(void)state;
	add_vm(place, "VM1", "three");
	assert_int_equal(failover_plan(place, &vm, 1, nodes, ARRAY_LEN(nodes), &step), 0);
	assert_int_equal(step.to, 3);
	again.avoid = 3; /* it did not start there */
	assert_int_equal(failover_plan(place, &again, 1, nodes, ARRAY_LEN(nodes), &step), 0);
	assert_true(step.to && step.to != 3);
	place_free(place);
}

static void where_it_failed_is_better_than_nowhere(void **state)
{
	const struct failover_vm vm = {"VM1", PLACE_MEDIUM, 0, 3, 2};
	const struct place_node node = {
		.id = 2,
		.name = "two",
		.why_not = "",
		.is_up = true,
		.has_kvm = true,
		.vm_memory_bytes = 64 * MIB,
		.cpus = 1,
		.cpu_digest = "",
	};
	struct failover_step step;
	struct place *place;

	(void)state;
	assert_int_equal(place_new(&place), 0);
	assert_int_equal(place_add_node(place, &node), 0);
	add_vm(place, "VM1", NULL);
	assert_int_equal(failover_plan(place, &vm, 1, nodes, 1, &step), 0);
	assert_int_equal(step.to, 2);
	place_free(place);
}

static void it_ends_at_some_time(void **state)
{
	const struct failover_vm vms[] = {{"VM1", PLACE_HIGH, 3, 3, 0},
		{"VM2", PLACE_HIGH, 2, 3, 0}, {"VM3", PLACE_HIGH, 0, 0, 0}};
	struct failover_step steps[3];
	struct place *place = picture(4);

	(void)state;
	for (size_t i = 0; i < 3; i++)
		add_vm(place, vms[i].name, NULL);
	assert_int_equal(failover_plan(place, vms, 3, nodes, ARRAY_LEN(nodes), steps), 0);
	assert_true(steps[0].to == 0 && steps[0].is_final);
	assert_true(steps[1].to != 0);
	assert_true(steps[2].to == 0 && steps[2].is_final);
	place_free(place);
}

static void nothing_to_do_is_done(void **state)
{
	struct failover_step step;
	struct place *place = picture(1);

	(void)state;
	assert_int_equal(failover_plan(place, NULL, 0, nodes, ARRAY_LEN(nodes), &step), 0);
	place_free(place);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(high_comes_before_low),
		cmocka_unit_test(what_is_preferred_counts),
		cmocka_unit_test(where_it_failed_is_better_than_nowhere),
		cmocka_unit_test(it_ends_at_some_time),
		cmocka_unit_test(nothing_to_do_is_done),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
