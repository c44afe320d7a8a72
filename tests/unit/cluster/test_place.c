/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "tests/unit/cluster/pictures.h"

/* One node, one VM, and what is said of them: "" or the reasons, with '|' between them. */
static void expect(struct place_node node, struct place_vm vm, const char *said)
{
	struct place *place = picture();
	struct place_reason reasons[PLACE_MAX_REASONS];
	char text[4096] = "";
	int n;

	add_node(place, node);
	add_vm(place, vm);
	n = place_why_not(place, vm.name, node.id, reasons, PLACE_MAX_REASONS);
	assert_true(n >= 0);
	for (int i = 0; i < n; i++) {
		strcat(text, i ? "|" : "");
		strcat(text, reasons[i].text);
	}
	assert_string_equal(text, said);
	assert_int_equal(place_count_reasons(place, vm.name, node.id), n);
	assert_int_equal(place_choose(place, vm.name, 0), n == 0 ? node.id : 0);
	place_free(place);
}

/* ---- reasons, one after another ---- */

static void a_node_speaks_against_it(void **state)
{
	struct place_node node = usual_node(1, "host1");
	struct place_vm vm = usual_vm("VM1");

	(void)state;
	expect(node, vm, "");
	node.is_up = false;
	expect(node, vm, "it is down");
	node = usual_node(1, "host1");
	node.is_paused = true;
	expect(node, vm, "it is paused");
	node.has_kvm = false;
	expect(node, vm, "it is paused|it has no usable /dev/kvm");
}

static void owners_are_restricted(void **state)
{
	static const char *const possible[] = {"host2", "host3"};
	struct place_vm vm = usual_vm("VM1");

	(void)state;
	vm.possible = possible;
	vm.n_possible = 2;
	expect(usual_node(1, "host1"), vm, "it is not among VM1's possible owners");
	expect(usual_node(3, "host3"), vm, "");
}

static void room_is_needed(void **state)
{
	struct place_node node = usual_node(1, "host1");
	struct place_vm vm = usual_vm("VM1");

	(void)state;
	node.vm_memory_bytes = 1536 * MIB;
	vm.memory_bytes = 2048 * MIB;
	expect(node, vm, "it has 1536 MiB free of 1536 MiB, VM1 needs 2048 MiB");
	vm.memory_bytes = 1536 * MIB + 1;
	expect(node, vm, "it has 1536 MiB free of 1536 MiB, VM1 needs 1537 MiB");
	vm.memory_bytes = 1536 * MIB;
	expect(node, vm, "");
	vm.vps = 5;
	expect(node, vm, "it has 4 processors, VM1 has 5 virtual ones");
	node.cpus = 1;
	expect(node, vm, "it has 1 processor, VM1 has 5 virtual ones");
	node.cpus = 0;
	expect(node, vm, "");
}

static void running_vms_take_room(void **state)
{
	struct place *place = picture();
	struct place_node node = usual_node(7, "host7");
	struct place_vm vm = usual_vm("Big");
	struct place_reason reason;

	(void)state;
	node.max_vms = 2;
	add_node(place, node);
	vm.node_id = 7;
	vm.memory_bytes = 3584 * MIB;
	add_vm(place, vm); /* off: takes none */
	vm = usual_vm("VM1");
	vm.memory_bytes = 2048 * MIB;
	add_vm(place, vm);
	assert_int_equal(place_why_not(place, "VM1", 7, &reason, 1), 0);
	assert_int_equal(place_move(place, "Big", 7), 0);
	assert_int_equal(place_why_not(place, "VM1", 7, &reason, 1), 1);
	assert_string_equal(reason.text, "it has 512 MiB free of 4096 MiB, VM1 needs 2048 MiB");
	/* Where it runs it has its room. */
	assert_int_equal(place_why_not(place, "Big", 7, &reason, 1), 0);
	vm = usual_vm("Small");
	vm.memory_bytes = 512 * MIB;
	add_vm(place, vm);
	assert_int_equal(place_choose(place, "Small", 0), 7);
	assert_int_equal(place_move(place, "Small", 7), 0);
	vm = usual_vm("None");
	vm.memory_bytes = 0;
	add_vm(place, vm);
	assert_int_equal(place_choose(place, "None", 0), 0);
	/* Lowered or not, what runs there goes on. */
	assert_int_equal(place_why_not(place, "Small", 7, &reason, 1), 0);
	assert_int_equal(place_why_not(place, "None", 7, &reason, 1), 1);
	assert_string_equal(reason.text, "it runs 2 VMs already, and 2 is its limit");
	place_free(place);
}

static void a_paused_node_keeps_what_it_has(void **state)
{
	struct place_node node = usual_node(1, "host1");
	struct place_vm vm = usual_vm("VM1");

	(void)state;
	node.is_paused = true;
	vm.node_id = 1;
	expect(node, vm, "it is paused");
	vm.is_running = true;
	expect(node, vm, "");
}

static void processors_must_be_alike(void **state)
{
	struct place_node node = usual_node(1, "host1");
	struct place_vm vm = usual_vm("VM1");

	(void)state;
	vm.cpu_digest = "aa";
	expect(node, vm, ""); /* not known */
	node.cpu_digest = "bb";
	expect(node, vm, "its processors look different (CPUID differs)");
	node.cpu_digest = "aa";
	expect(node, vm, "");
	node.cpu_digest = "bb";
	vm.cpu_digest = "";
	expect(node, vm, "");
}

static void volumes_must_be_reachable(void **state)
{
	static const char *const volumes[] = {"V1", "V2", "V1", "V9"};
	const struct place_volume reach[] = {
		{"V1", "/csv/V1: No such file or directory"}, {"V2", ""}};
	struct place_node node = usual_node(1, "host1");
	struct place_vm vm = usual_vm("VM1");

	(void)state;
	node.volumes = reach;
	node.n_volumes = 2;
	vm.volumes = volumes + 1;
	vm.n_volumes = 1;
	expect(node, vm, "");
	vm.volumes = volumes;
	vm.n_volumes = 4;
	expect(node, vm,
		"volume V1 is not reachable: /csv/V1: No such file or directory|volume V9 is not "
		"known there");
}

static void switches_must_be_there(void **state)
{
	const struct place_nic nics[] = {
		{"Prod", ""}, {"Corp", ""}, {"Lab", ""}, {"Lab", "7"}, {"", "9"}};
	struct place_node node = usual_node(1, "host1");
	struct place_vm vm = usual_vm("VM1");
	struct place_switch broken = prod;

	(void)state;
	vm.nics = nics;
	vm.n_nics = 2; /* by name and by logical name */
	expect(node, vm, "");
	vm.n_nics = 4;
	expect(node, vm, "it has no switch called 'Lab', nor one with that logical name");
	vm.nics = nics + 4; /* connected to nothing */
	vm.n_nics = 1;
	expect(node, vm, "");
	broken.state = "its uplink eth1 is gone";
	node.switches = &broken;
	vm.nics = nics;
	expect(node, vm, "switch Prod cannot be used: its uplink eth1 is gone");
	broken.state = "up";
	expect(node, vm, "");
}

static void vlans_must_be_reached(void **state)
{
	struct place_nic nics[] = {{"Prod", "2,7"}, {"Corp", "2,7"}};
	struct place_switch net = prod;
	struct place_node node = usual_node(1, "host1");
	struct place_vm vm = usual_vm("VM1");

	(void)state;
	node.switches = &net;
	vm.nics = nics;
	vm.n_nics = 1;
	expect(node, vm, "switch Prod does not reach VLAN 7");
	nics[0].vids = "1-9";
	expect(node, vm, "switch Prod does not reach VLANs 1,5-9");
	nics[0].vids = "2-4";
	expect(node, vm, "");
	nics[0].vids = "1,3,5,7,9,11,13,15,17,19,21,23,25,27,29,31,33,35,37,39,41,43,45";
	expect(node, vm, "switch Prod does not reach VLANs 1 and others (22 altogether)");
	net.vids = "";
	nics[0].vids = "2";
	expect(node, vm, "switch Prod does not reach VLAN 2");
	nics[0].vids = "";
	expect(node, vm, "");
	net.vids = NULL;
	nics[0].vids = "1-4094";
	expect(node, vm, "");
}

/* A name wins over another switch's logical name, and of two of these the first by name. */
static void a_switch_is_found_as_elsewhere(void **state)
{
	const struct place_switch nets[] = {
		{.name = "Z", .logical = "Corp", .vids = NULL},
		{.name = "B", .logical = "Corp", .state = "gone"},
		{.name = "A", .logical = "B", .vids = NULL},
	};
	struct place_nic nic = {"Corp", ""};
	struct place_node node = usual_node(1, "host1");
	struct place_vm vm = usual_vm("VM1");

	(void)state;
	node.switches = nets;
	node.n_switches = 3;
	vm.nics = &nic;
	vm.n_nics = 1;
	expect(node, vm, "switch B cannot be used: gone");
	nic.switch_name = "B";
	expect(node, vm, "switch B cannot be used: gone");
	nic.switch_name = "A";
	expect(node, vm, "");
}

static void a_long_reason_ends_with_a_whole_character(void **state)
{
	char why[512];
	struct place_volume reach = {"V1", why};
	static const char *const volumes[] = {"V1"};
	struct place_node node = usual_node(1, "host1");
	struct place_vm vm = usual_vm("VM1");

	(void)state;
	for (size_t shift = 0; shift < 2; shift++) {
		struct place *place = picture();
		struct place_reason reason;
		size_t len;

		why[0] = '\0';
		strcat(why, shift ? "x" : "");
		for (size_t i = 0; i < 200; i++)
			strcat(why, "\xc3\xa4");
		node.volumes = &reach;
		vm.volumes = volumes;
		vm.n_volumes = 1;
		add_node(place, node);
		add_vm(place, vm);
		assert_int_equal(place_why_not(place, "VM1", 1, &reason, 1), 1);
		len = strlen(reason.text);
		assert_in_range(len, PLACE_REASON_MAX_LEN - 2, PLACE_REASON_MAX_LEN);
		assert_memory_equal(reason.text + len - 2, "\xc3\xa4", 2);
		place_free(place);
	}
}

/* ---- what is refused ---- */

static void nonsense_is_refused(void **state)
{
	struct place *place = three_nodes();
	struct place_node node = usual_node(1, "other");
	struct place_vm vm = usual_vm("VM1");
	struct place_nic nic = {"Prod", "4095"};
	struct place_reason reason;
	struct place_switch net = {.name = "Prod", .vids = "4-2"};
	static const char *const bad[] = {""};
	char long_name[PLACE_NAME_MAX_LEN + 2];

	(void)state;
	memset(long_name, 'x', sizeof(long_name) - 1);
	long_name[sizeof(long_name) - 1] = '\0';
	assert_int_equal(place_add_node(place, &node), -EEXIST);
	node = usual_node(9, "host1");
	assert_int_equal(place_add_node(place, &node), -EEXIST);
	node = usual_node(0, "host0");
	assert_int_equal(place_add_node(place, &node), -EINVAL);
	node = usual_node(9, long_name);
	assert_int_equal(place_add_node(place, &node), -EINVAL);
	node = usual_node(9, "host9");
	node.vm_memory_bytes = UINT64_MAX;
	assert_int_equal(place_add_node(place, &node), -EINVAL);
	node = usual_node(9, "host9");
	node.switches = &net;
	assert_int_equal(place_add_node(place, &node), -EINVAL);

	vm.nics = &nic;
	vm.n_nics = 1;
	assert_int_equal(place_add_vm(place, &vm), -EINVAL);
	vm = usual_vm("VM1");
	vm.possible = bad;
	vm.n_possible = 1;
	assert_int_equal(place_add_vm(place, &vm), -EINVAL);
	vm = usual_vm("VM1");
	vm.memory_bytes = UINT64_MAX;
	assert_int_equal(place_add_vm(place, &vm), -EINVAL);
	vm = usual_vm("");
	assert_int_equal(place_add_vm(place, &vm), -EINVAL);
	/* A refused VM leaves nothing behind. */
	assert_int_equal(place_why_not(place, "VM1", 1, &reason, 1), -ENOENT);
	add_vm(place, usual_vm("VM1"));
	vm = usual_vm("VM1");
	assert_int_equal(place_add_vm(place, &vm), -EEXIST);
	node = usual_node(9, "host9");
	assert_int_equal(place_add_node(place, &node), -EINVAL);
	assert_int_equal(place_why_not(place, "VM1", 9, &reason, 1), -ENOENT);
	assert_int_equal(place_why_not(place, "VM1", 1, &reason, 0), -EINVAL);
	assert_int_equal(place_move(place, "VM1", 9), -ENOENT);
	assert_int_equal(place_move(place, "VM2", 1), -ENOENT);
	place_free(place);
	place_free(NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_node_speaks_against_it),
		cmocka_unit_test(owners_are_restricted),
		cmocka_unit_test(room_is_needed),
		cmocka_unit_test(running_vms_take_room),
		cmocka_unit_test(a_paused_node_keeps_what_it_has),
		cmocka_unit_test(processors_must_be_alike),
		cmocka_unit_test(volumes_must_be_reachable),
		cmocka_unit_test(switches_must_be_there),
		cmocka_unit_test(vlans_must_be_reached),
		cmocka_unit_test(a_switch_is_found_as_elsewhere),
		cmocka_unit_test(a_long_reason_ends_with_a_whole_character),
		cmocka_unit_test(nonsense_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
