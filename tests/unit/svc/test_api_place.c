/* SPDX-License-Identifier: MIT
 *
 * The picture that is made of a store, by what `vm.where` says of it; policies by their requests.
 */
#include "tests/unit/svc/fake_svc.h"

#include "node/svc/vlan_watch.h"
#include "tests/unit/base/cmocka_all.h"

#include <stdio.h>
#include <string.h>

#define CREATE                                                                                     \
	"{\"op\":\"vm.create\",\"name\":\"VM1\",\"kernel\":\"/k\",\"memory_bytes\":67108864,"      \
	"\"nics\":[{\"switch\":\"lan\",\"mode\":\"access\",\"vid\":7}],"                           \
	"\"disks\":[{\"path\":\"/csv/V1/disk\"}]}"
#define FACTS                                                                                      \
	"{\"vm_memory_bytes\":134217728,\"kvm\":true,\"cpus\":2,\"cpu_digest\":\"aa\","            \
	"\"volumes\":{\"V1\":\"\"}}"

static void store(const char *key, const char *text)
{
	struct json *value;

	assert_int_equal(json_parse(text, strlen(text), &value), 0);
	fake_store(key, value);
}

static int set_up(void **state _unused_)
{
	fake_set_up();
	assert_string_equal(fake_ask(CREATE), "ok");
	store("node/host1", FACTS);
	store("node/host2", FACTS);
	store("switch/host1/A", "{\"type\":\"external\",\"logical\":\"lan\"}");
	store("switch/host2/lan", "{\"type\":\"external\"}");
	store("volume/V1", "{\"path\":\"/csv/V1/\"}");
	return 0;
}

static int tear_down(void **state _unused_)
{
	fake_tear_down();
	return 0;
}

/* Of VM1: the reasons against host2, with '|' between them. */
static const char *against(const char *node)
{
	static char text[2048];
	const struct json *vm, *nodes;

	assert_string_equal(fake_ask("{\"op\":\"vm.where\",\"vm\":\"VM1\"}"), "ok");
	vm = json_at(json_get(fake.answer, "vms"), 0);
	nodes = json_get(vm, "nodes");
	text[0] = '\0';
	assert_int_equal(json_length(nodes), 2);
	for (size_t i = 0; i < json_length(nodes); i++) {
		const struct json *reasons = json_get(json_at(nodes, i), "reasons");

		if (strcmp(json_get_string(json_at(nodes, i), "node", ""), node) != 0)
			continue;
		for (size_t k = 0; k < json_length(reasons); k++) {
			strcat(text, k ? "|" : "");
			strcat(text, json_string(json_at(reasons, k), ""));
		}
	}
	return text;
}

static const char *chosen(void)
{
	assert_string_equal(fake_ask("{\"op\":\"vm.where\",\"vm\":\"VM1\"}"), "ok");
	return json_get_string(json_at(json_get(fake.answer, "vms"), 0), "chosen", "?");
}

static void run_on_host1(void)
{
	store("vmstate/VM1", "{\"node\":\"host1\",\"epoch\":1,\"state\":\"Running\"}");
}

static void a_vm_that_is_off_starts_where_it_fits(void **state _unused_)
{
	assert_string_equal(against("host1"), "");
	assert_string_equal(against("host2"), "");
	assert_string_equal(chosen(), "host1");
	run_on_host1();
	assert_string_equal(chosen(), "host2"); /* where it would be moved to */
}

static void facts_are_taken_from_the_store(void **state _unused_)
{
	store("node/host2", "{\"vm_memory_bytes\":33554432,\"kvm\":false,\"cpus\":2,\"volumes\":"
			    "{\"V1\":\"/csv/V1: No such file or directory\"}}");
	assert_string_equal(against("host2"),
		"it has no usable /dev/kvm|it has 32 MiB free of 32 MiB, VM1 needs 64 MiB|volume "
		"V1 "
		"is not reachable: /csv/V1: No such file or directory");
	store("node/host2", "{\"vm_memory_bytes\":\"much\",\"numa\":7,\"volumes\":[]}");
	assert_string_equal(against("host2"), "it has no usable /dev/kvm|it has 0 MiB free of 0 "
					      "MiB, VM1 needs 64 MiB|volume V1 is "
					      "not known there");
}

static void a_node_without_facts_takes_nothing(void **state _unused_)
{
	assert_string_equal(fake_ask("{\"op\":\"vm.where\"}"), "ok");
	fake_tear_down();
	fake_set_up();
	assert_string_equal(fake_ask(CREATE), "ok");
	assert_non_null(strstr(against("host2"), "its service has not said yet what it can do"));
}

static void processors_count_for_what_goes_on(void **state _unused_)
{
	store("node/host2", "{\"vm_memory_bytes\":134217728,\"kvm\":true,\"cpu_digest\":\"bb\","
			    "\"volumes\":{\"V1\":\"\"}}");
	assert_string_equal(against("host2"), "");
	run_on_host1();
	assert_string_equal(against("host2"), "its processors look different (CPUID differs)");
	store("vmstate/VM1", "{\"node\":\"host1\",\"epoch\":1,\"state\":\"Saved\"}");
	assert_string_equal(against("host2"), "its processors look different (CPUID differs)");
	store("vmstate/VM1", "{\"node\":\"host1\",\"epoch\":1,\"state\":\"Failed\"}");
	assert_string_equal(against("host2"), "");
}

static void a_paused_node_takes_nothing_new(void **state _unused_)
{
	store("nodestate/host2", "{\"state\":\"paused\"}");
	assert_string_equal(against("host2"), "it is paused");
	store("nodestate/host2", "{\"state\":\"up\"}");
	assert_string_equal(against("host2"), "");
	store("nodestate/host1", "{\"state\":\"paused\"}");
	run_on_host1();
	assert_string_equal(against("host1"), "");
}

static void a_node_has_as_many_as_it_may(void **state _unused_)
{
	static const char *const nonsense[] = {"7", "[]", "{}", "{\"max_vms\":0}",
		"{\"max_vms\":-1}", "{\"max_vms\":\"1\"}", "{\"max_vms\":4294967297}"};

	store("vm/Other", "{\"memory_bytes\":1}");
	store("owner/vm/Other", "{\"node\":2,\"epoch\":1}");
	store("vmstate/Other", "{\"node\":\"host2\",\"epoch\":1,\"state\":\"Running\"}");
	assert_string_equal(against("host2"), "");
	store("nodepolicy/host2", "{\"max_vms\":1}");
	assert_string_equal(against("host2"), "it runs 1 VM already, and 1 is its limit");
	assert_string_equal(chosen(), "host1");
	store("nodepolicy/host2", "{\"max_vms\":2}");
	assert_string_equal(against("host2"), "");
	for (size_t i = 0; i < ARRAY_LEN(nonsense); i++) {
		store("nodepolicy/host2", nonsense[i]);
		assert_string_equal(against("host2"), "");
	}
	/* Where it runs it has its place. */
	run_on_host1();
	store("nodepolicy/host1", "{\"max_vms\":1}");
	assert_string_equal(against("host1"), "");
}

static void switches_must_work(void **state _unused_)
{
	store("switchstate/host2/lan", "{\"state\":\"not bound\",\"reason\":\"eth9 is gone\"}");
	assert_string_equal(against("host2"), "switch lan cannot be used: eth9 is gone");
	store("switchstate/host2/lan", "{\"state\":\"up\",\"reason\":\"a setting was refused\"}");
	assert_string_equal(against("host2"), "");
	fake_store("switch/host2/lan", json_object_new());
	store("switch/host1/A", "{\"type\":\"external\"}");
	assert_string_equal(
		against("host1"), "it has no switch called 'lan', nor one with that logical name");
}

static void vlans_must_get_through(void **state _unused_)
{
	store("vlan/host2/lan", "{\"cut\":\"5-7\",\"tried\":[\"host1\"]}");
	assert_string_equal(against("host2"), "switch lan does not reach VLAN 7");
	/* Nobody of those is there to say so. */
	store("vlan/host2/lan", "{\"cut\":\"5-7\",\"tried\":[\"host9\"]}");
	assert_string_equal(against("host2"), "");
	store("vlan/host2/lan", "{\"cut\":\"1,2\",\"tried\":[\"host1\"]}");
	assert_string_equal(against("host2"), "");
	/* Where it is it stays. */
	store("vlan/host1/A", "{\"cut\":\"7\",\"tried\":[\"host2\"]}");
	assert_string_equal(against("host1"), "");
}

static void what_is_reached_is_what_is_not_cut(void **state _unused_)
{
	const struct cluster_node nodes[] = {
		{.id = 1, .name = "host1", .is_member = true, .has_service = true},
		{.id = 2, .name = "host2"}};
	static const struct {
		const char *record, *reached;
	} cases[] = {
		{"{\"cut\":\"2,4-4094\",\"tried\":[\"host2\",\"host1\"]}", "1,3"},
		{"{\"cut\":\"1-4094\",\"tried\":[\"host1\"]}", ""},
		{"{\"cut\":\"7\",\"tried\":[\"host2\"]}", NULL},
		{"{\"cut\":\"7\",\"tried\":[]}", NULL},
		{"{\"cut\":\"x\",\"tried\":[\"host1\"]}", NULL},
		{"{\"cut\":7,\"tried\":7}", NULL},
		{"[]", NULL},
	};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		_cleanup_json_ struct json *record = NULL;
		_cleanup_free_ char *reached = NULL;

		assert_int_equal(json_parse(cases[i].record, strlen(cases[i].record), &record), 0);
		reached = vlan_watch_reached(record, nodes, 2);
		if (cases[i].reached)
			assert_string_equal(reached, cases[i].reached);
		else
			assert_null(reached);
	}
	assert_null(vlan_watch_reached(NULL, nodes, 2));
}

static void the_whole_table_comes_in_parts(void **state _unused_)
{
	char text[256];
	size_t n = 0;

	for (unsigned i = 0; i < 20; i++) {
		snprintf(text, sizeof(text),
			"{\"op\":\"vm.create\",\"name\":\"W%02u\",\"kernel\":\"/k\","
			"\"memory_bytes\":67108864}",
			i);
		assert_string_equal(fake_ask(text), "ok");
	}
	assert_string_equal(fake_ask("{\"op\":\"vm.where\"}"), "ok");
	n = json_length(json_get(fake.answer, "vms"));
	assert_int_equal(n, 21);
	assert_null(json_get(fake.answer, "next"));
	assert_string_equal(fake_ask("{\"op\":\"vm.where\",\"from\":\"W15\"}"), "ok");
	assert_int_equal(json_length(json_get(fake.answer, "vms")), 5);
	assert_string_equal(fake_ask("{\"op\":\"vm.where\",\"vm\":\"VM9\"}"), "not-found");
}

/* ---- policies ---- */

static const char *set(const char *settings)
{
	char text[400];

	snprintf(text, sizeof(text), "{\"op\":\"vm.policy.set\",\"vm\":\"VM1\",\"set\":%s}",
		settings);
	return fake_ask(text);
}

static void owners_of_a_policy_count(void **state _unused_)
{
	assert_string_equal(set("{\"preferred\":[\"host2\"]}"), "ok");
	assert_string_equal(chosen(), "host2");
	assert_string_equal(
		set("{\"preferred\":[],\"possible\":[\"host1\"],\"priority\":\"high\"}"), "ok");
	assert_string_equal(against("host2"), "it is not among VM1's possible owners");
	assert_string_equal(
		json_get_string(json_at(json_get(fake.answer, "vms"), 0), "priority", ""), "high");
	assert_string_equal(fake_ask("{\"op\":\"vm.policy.show\",\"vm\":\"VM1\"}"), "ok");
	assert_string_equal(
		json_get_string(json_at(json_get(fake.answer, "policies"), 0), "priority", ""),
		"high");
}

static void nodes_of_a_policy_are_checked(void **state _unused_)
{
	assert_string_equal(set("{\"possible\":[\"host9\"]}"), "not-found");
	assert_string_equal(set("{\"possible\":[7]}"), "usage");
	assert_string_equal(set("{\"failback\":\"soon\"}"), "usage");
	assert_string_equal(set("7"), "usage");
	assert_string_equal(
		fake_ask("{\"op\":\"vm.policy.set\",\"vm\":\"VM9\",\"set\":{}}"), "not-found");
	fake.quorate = false;
	assert_string_equal(set("{\"priority\":\"low\"}"), "no-quorum");
	assert_null(fake_stored("policy/VM1"));
}

static void a_policy_of_defaults_is_no_record(void **state _unused_)
{
	assert_string_equal(set("{\"priority\":\"medium\"}"), "ok");
	assert_null(fake_stored("policy/VM1"));
	assert_string_equal(set("{\"priority\":\"low\"}"), "ok");
	assert_non_null(fake_stored("policy/VM1"));
	assert_string_equal(set("{\"priority\":null}"), "ok");
	assert_null(fake_stored("policy/VM1"));
}

static void a_policy_goes_with_its_vm(void **state _unused_)
{
	assert_string_equal(set("{\"priority\":\"low\"}"), "ok");
	assert_string_equal(fake_ask("{\"op\":\"vm.delete\",\"vm\":\"VM1\"}"), "ok");
	assert_null(fake_stored("policy/VM1"));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_vm_that_is_off_starts_where_it_fits),
		TEST(facts_are_taken_from_the_store),
		TEST(a_node_without_facts_takes_nothing),
		TEST(processors_count_for_what_goes_on),
		TEST(a_paused_node_takes_nothing_new),
		TEST(a_node_has_as_many_as_it_may),
		TEST(switches_must_work),
		TEST(vlans_must_get_through),
		TEST(what_is_reached_is_what_is_not_cut),
		TEST(the_whole_table_comes_in_parts),
		TEST(owners_of_a_policy_count),
		TEST(nodes_of_a_policy_are_checked),
		TEST(a_policy_of_defaults_is_no_record),
		TEST(a_policy_goes_with_its_vm),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
