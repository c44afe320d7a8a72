/* SPDX-License-Identifier: MIT
 *
 * What must be done so that a cluster is as its file says.
 */
#include "node/deploy/cluster_file.h"
#include "node/deploy/differ.h"

#include "tests/unit/base/cmocka_all.h"

#include <stdio.h>
#include <string.h>

static const char one_network[] =
	"networks: [{name: N, subnet: 10.1.0.0/24, link: 0, role: Cluster, metric: "
	"auto, migration-order: 1}]\n";
static const char *networks = one_network;
static const char two_nodes[] =
	"cluster: {name: c}\n"
	"nodes: [{name: h1, id: 1, addresses: {N: 10.1.0.1}}, {name: h2, id: 2, "
	"addresses: {N: 10.1.0.2}}]\n";

/* As cluster.describe tells, when nothing has been made. */
#define NODES                                                                                      \
	"\"nodes\":[{\"name\":\"h1\",\"id\":1,\"addresses\":[\"10.1.0.1\"]},{\"name\":\"h2\","     \
	"\"id\":2,\"addresses\":[\"10.1.0.2\"]}]"
#define NETWORKS                                                                                   \
	"\"networks\":[{\"name\":\"N\",\"subnet\":\"10.1.0.0/"                                     \
	"24\",\"role\":\"Cluster\",\"metric\":"                                                    \
	"19600,\"auto_metric\":true,\"migration_order\":1}]"

static const char *head = two_nodes;

static struct json *parse(const char *text)
{
	struct json *j = NULL;

	if (json_parse(text, strlen(text), &j) < 0)
		fail_msg("no JSON: %s", text);
	return j;
}

static struct json *plan(const char *more, const char *cluster_text, bool prune)
{
	static struct problems problems;
	_cleanup_json_ struct json *file = NULL, *cluster = parse(cluster_text);
	char text[4096];

	memset(&problems, 0, sizeof(problems));
	snprintf(text, sizeof(text), "%s%s%s", head, networks, more);
	if (cluster_file_read(text, strlen(text), &problems, &file) < 0)
		fail_msg("%s", problems.list[0].text);
	return differ_plan(file, cluster, prune);
}

/* Each step as "action object [details] (disruptive) <why> request". */
static void is_planned(
	const char *more, const char *cluster_text, bool prune, const char *const *wanted)
{
	_cleanup_json_ struct json *steps = plan(more, cluster_text, prune);
	size_t i;

	for (i = 0; i < json_length(steps); i++) {
		const struct json *step = json_at(steps, i);
		_cleanup_free_ char *details = json_dump(json_get(step, "details"), 0);
		_cleanup_free_ char *request =
			json_get(step, "request") ? json_dump(json_get(step, "request"), 0) : NULL;
		char text[2048];

		snprintf(text, sizeof(text), "%s %s %s%s%s%s%s %s",
			json_get_string(step, "action", "?"), json_get_string(step, "object", "?"),
			details, json_get(step, "disruptive") ? " !" : "",
			json_get_string(step, "disruptive", ""), json_get(step, "why") ? " <" : "",
			json_get_string(step, "why", ""), request ? request : "-");
		if (!wanted[i] || strcmp(text, wanted[i]) != 0)
			fail_msg("step %zu is\n%s\nnot\n%s", i, text,
				wanted[i] ? wanted[i] : "there");
	}
	if (wanted[i])
		fail_msg("missing: %s", wanted[i]);
}

static const char *const nothing[] = {NULL};

static void all_is_as_it_should_be(void **state _unused_)
{
	is_planned("", "{" NODES "," NETWORKS "}", true, nothing);
}

static void is_planned_with(const char *setting, const char *present, const char *const *wanted)
{
	char text[512], cluster[1024];

	snprintf(text, sizeof(text),
		"cluster: {name: c}\nnodes: [{name: h1, id: 1, addresses: {N: 10.1.0.1}, %s}]\n",
		setting);
	snprintf(cluster, sizeof(cluster),
		"{\"nodes\":[{\"name\":\"h1\",\"id\":1,\"addresses\":[\"10.1.0.1\"],"
		"\"max_vms\":%s}]," NETWORKS "}",
		present);
	head = text;
	is_planned("", cluster, true, wanted);
	head = two_nodes;
}

static void limits_of_nodes(void **state _unused_)
{
	static const char *const wanted[] = {
		"change node h1 [\"max-vms: none -> 5\"] "
		"{\"op\":\"node.set\",\"node\":\"h1\",\"max_vms\":5}",
		NULL,
	};
	static const char *const other[] = {
		"change node h1 [\"max-vms: 7 -> 5\"] "
		"{\"op\":\"node.set\",\"node\":\"h1\",\"max_vms\":5}",
		NULL,
	};

	is_planned_with("max-vms: 5", "null", wanted);
	is_planned_with("max-vms: 5", "7", other);
	is_planned_with("max-vms: 5", "5", nothing);
	is_planned_with("uplinks: [p1]", "7", nothing);
}

static void nodes_and_networks(void **state _unused_)
{
	static const char *const wanted[] = {
		"wait node h2 [] <a node joins by itself: 'viaduct node invite h2 --id 2 --address "
		"10.1.0.2' here, then 'viaduct node join' there -",
		"wait node h3 [] <a node is not removed in passing: 'viaduct node evict h3' -",
		"change network N (10.1.0.0/24) [\"name: Net 1 -> N\",\"role: None -> Cluster\","
		"\"metric: 5 -> automatic\"] "
		"{\"op\":\"network.set\",\"name\":\"10.1.0.0/24\",\"rename\":\"N\",\"role\":"
		"\"Cluster\",\"auto_metric\":true}",
		"change networks for migrations [\"order: none -> N\",\"excluded: N -> none\"] "
		"{\"op\":\"network.migration\",\"order\":[\"10.1.0.0/24\"],\"excluded\":[]}",
		NULL,
	};
	static const char *const moved[] = {
		"wait node h1 [\"id: 9 -> 1\",\"addresses: 10.1.0.9 -> 10.1.0.1\"] <a node keeps "
		"its "
		"id and addresses; evict it and let it join with the new ones, or correct the file "
		"-",
		"wait network N (10.1.0.0/24) [] <networks are found, not made: no node has an "
		"address in this subnet yet; give them theirs -",
		NULL,
	};

	is_planned("",
		"{\"nodes\":[{\"name\":\"h1\",\"id\":1,\"addresses\":[\"10.1.0.1\"]},{\"name\":"
		"\"h3\","
		"\"id\":3}],\"networks\":[{\"name\":\"Net "
		"1\",\"subnet\":\"10.1.0.0/"
		"24\",\"role\":\"None\",\"metric\":5,\"auto_metric\":false,"
		"\"migration_order\":-1}]}",
		true, wanted);
	is_planned("",
		"{\"nodes\":[{\"name\":\"h1\",\"id\":9,\"addresses\":[\"10.1.0.9\"]},{\"name\":"
		"\"h2\","
		"\"id\":2,\"addresses\":[\"10.1.0.2\"]}]}",
		false, moved);
}

/* The list has one order: what the file places goes to its places, what it does not mention stays
 * in order around it, and what was planned once is not planned again. */
static void networks_for_migrations(void **state _unused_)
{
	static const char *const wanted[] = {
		"change networks for migrations [\"order: A, B, N -> N, B, A\"] "
		"{\"op\":\"network.migration\",\"order\":[\"10.1.0.0/24\",\"10.3.0.0/24\","
		"\"10.2.0.0/24\"],\"excluded\":[\"10.4.0.0/24\"]}",
		NULL,
	};
#define NET(name, subnet, order)                                                                   \
	"{\"name\":\"" name "\",\"subnet\":\"" subnet                                              \
	"\",\"role\":\"Cluster\",\"auto_metric\":true,\"migration_order\":" order "}"
#define NETS(n, a, b)                                                                              \
	"{" NODES ",\"networks\":[" NET("N", "10.1.0.0/24", n) "," NET("A", "10.2.0.0/24",         \
		a) "," NET("B", "10.3.0.0/24", b) "," NET("C", "10.4.0.0/24", "-1") "]}"
	static const char two[] = "networks: [{name: N, subnet: 10.1.0.0/24, link: 0, "
				  "migration-order: 1}, {name: A, subnet: 10.2.0.0/24, "
				  "migration-order: 9}]\n";

	networks = two;
	is_planned("", NETS("3", "1", "2"), false, wanted);
	is_planned("", NETS("1", "3", "2"), false, nothing);
	networks = one_network;
#undef NETS
#undef NET
}

static void switches_are_made(void **state _unused_)
{
	static const char *const wanted[] = {
		"create switch E on h1 [\"type: external\",\"uplink: p1,p2\",\"logical: none -> "
		"L\"] "
		"{\"op\":\"switch.create\",\"name\":\"E\",\"node\":\"h1\",\"type\":\"external\","
		"\"uplinks\":[\"p1\",\"p2\"],\"team\":{\"mode\":\"hash\"},\"logical\":\"L\"}",
		"create switch I on h2 [\"type: internal\"] "
		"{\"op\":\"switch.create\",\"name\":\"I\",\"node\":\"h2\",\"type\":\"internal\"}",
		"create adapter x of switch I on h2 [\"VLAN: access 3\"] "
		"{\"op\":\"switch.adapter.add\",\"name\":\"I\",\"node\":\"h2\",\"adapter\":{"
		"\"mode\":\"access\",\"vid\":3,\"name\":\"x\"}}",
		NULL,
	};

	is_planned("switches: [{name: E, node: h1, type: external, uplinks: [p1, p2], team: hash, "
		   "logical: L},"
		   "{name: I, node: h2, type: internal, adapters: [{name: x, vlan: 3}]}]\n",
		"{" NODES "," NETWORKS "}", false, wanted);
}

static void switches_change(void **state _unused_)
{
	static const char *const wanted[] = {
		"change switch E on h1 [\"uplink: p1 -> p1,p2\",\"logical: L -> none\",\"link_bps: "
		"1000000000 -> 0\"] !the switch is bound anew: its VMs lose frames meanwhile "
		"{\"op\":\"switch.set\",\"name\":\"E\",\"node\":\"h1\",\"force\":true,\"uplinks\":["
		"\"p1\",\"p2\"],\"team\":{\"mode\":\"standby\"},\"logical\":null,\"link_bps\":0}",
		"change adapter a of switch E on h1 [\"VLAN: access 2 -> trunk 2-4 native 9\"] "
		"!the host's traffic on it changes at once {\"op\":\"switch.adapter.set\",\"name\":"
		"\"E\",\"node\":\"h1\",\"force\":true,\"adapter\":\"a\",\"set\":{\"mode\":"
		"\"trunk\","
		"\"allowed\":\"2-4\",\"native\":9}}",
		"wait adapter b of switch E on h1 [\"mac: none -> 00:15:5d:00:00:01\"] <an adapter "
		"keeps its MAC: remove it, then apply again -",
		NULL,
	};
	static const char cluster[] =
		"{" NODES "," NETWORKS ",\"switches\":[{\"name\":\"E\",\"node\":\"h1\",\"type\":"
		"\"external\",\"uplinks\":[\"p1\"],\"logical\":\"L\",\"link_bps\":1000000000,"
		"\"adapters\":[{\"name\":\"a\",\"ifname\":\"vs-a\",\"lease\":\"x\",\"mode\":"
		"\"access\",\"vid\":2},{\"name\":\"b\"}]}]}";

	is_planned("switches: [{name: E, node: h1, type: external, force: on, uplinks: [p1, p2], "
		   "adapters: [{name: a, trunk: 2-4, native: 9}, {name: b, mac: "
		   "00:15:5d:00:00:01}]}]\n",
		cluster, false, wanted);
	is_planned("switches: [{name: E, node: h1, type: external, uplink: p1, logical: L, "
		   "link-speed: 1G, adapters: [{name: a, vlan: 2}, {name: b, untagged: on}]}]\n",
		cluster, true, nothing);
}

static void what_the_file_does_not_have(void **state _unused_)
{
	static const char cluster[] =
		"{" NODES "," NETWORKS ",\"switches\":[{\"name\":\"P\",\"node\":\"h1\",\"type\":"
		"\"private\",\"uplinks\":[],\"adapters\":[]},{\"name\":\"I\",\"node\":\"h1\","
		"\"type\":"
		"\"internal\",\"uplinks\":[],\"adapters\":[{\"name\":\"I\"},{\"name\":\"z\"}]}],"
		"\"vms\":[{\"name\":\"v\",\"state\":\"Off\"},{\"name\":\"w\",\"state\":\"Running\"}"
		"]}";
	static const char *const wanted[] = {
		"remove VM v [] !its configuration is gone; its disks stay "
		"{\"op\":\"vm.delete\",\"vm\":\"v\"}",
		"wait VM w [] !its configuration is gone; its disks stay <w is Running, and this "
		"is "
		"possible only while it is off; 'viaduct vm stop w', then apply again -",
		"remove switch P on h1 [] !VMs and the host lose their connection to it "
		"{\"op\":\"switch.delete\",\"name\":\"P\",\"node\":\"h1\"}",
		"remove adapter z of switch I on h1 [] !the host loses its interface "
		"{\"op\":\"switch.adapter.remove\",\"name\":\"I\",\"node\":\"h1\",\"adapter\":"
		"\"z\"}",
		NULL,
	};

	is_planned("switches: [{name: I, node: h1, type: internal}]\n", cluster, false, nothing);
	is_planned("switches: [{name: I, node: h1, type: internal}]\n", cluster, true, wanted);
}

static void the_type_of_a_switch(void **state _unused_)
{
	static const char *const wanted[] = {
		"remove switch P on h1 [] !it is made anew with another type "
		"{\"op\":\"switch.delete\",\"name\":\"P\",\"node\":\"h1\"}",
		"create switch P on h1 [\"type: internal\"] !VMs on it are without a network "
		"meanwhile {\"op\":\"switch.create\",\"name\":\"P\",\"node\":\"h1\",\"type\":"
		"\"internal\"}",
		NULL,
	};

	is_planned("switches: [{name: P, node: h1, type: internal}]\n",
		"{" NODES "," NETWORKS ",\"switches\":[{\"name\":\"P\",\"node\":\"h1\",\"type\":"
		"\"private\",\"uplinks\":[],\"adapters\":[]}]}",
		true, wanted);
}

#define VM_FILE                                                                                    \
	"switches: [{name: S, node: h1, type: private}]\n"                                         \
	"volumes: [{name: V, path: /v}]\n"                                                         \
	"vms:\n- name: v\n  node: h1\n  kernel: /k\n  memory: 128M\n"                              \
	"  nics: [{switch: S, vlan: 2, dhcp-guard: on}]\n"                                         \
	"  disks: [{path: /d}, {kind: dvd, path: /iso}]\n"                                         \
	"  policy: {priority: high, possible: [h1]}\n"
#define MADE                                                                                       \
	"\"switches\":[{\"name\":\"S\",\"node\":\"h1\",\"type\":\"private\",\"uplinks\":[],"       \
	"\"adapters\":[]}],\"volumes\":[{\"name\":\"V\",\"path\":\"/v\"}]"
#define VM(state, vps, vlan, dvd)                                                                  \
	"{" NODES "," NETWORKS "," MADE                                                            \
	",\"vms\":[{\"name\":\"v\",\"node\":\"h2\",\"state\":\"" state                             \
	"\",\"kernel\":\"/k\",\"cmdline\":\"\",\"vps\":" vps                                       \
	",\"vram_bytes\":8388608,\"memory_bytes\":134217728,\"min_memory_bytes\":134217728,\"max_" \
	"memory_bytes\":134217728,\"nics\":[{\"switch\":\"S\",\"mac\":\"00:15:5d:00:00:01\","      \
	"\"mode\":\"access\",\"vid\":" vlan                                                        \
	",\"guards\":{\"dhcp\":true,\"router\":false}}],\"disks\":[{\"lun\":0,\"kind\":\"disk\","  \
	"\"path\":\"/d\",\"read_only\":false,\"id\":\"x\",\"serial\":\"y\"},{\"lun\":1,\"kind\":"  \
	"\"dvd\",\"path\":\"" dvd                                                                  \
	"\",\"read_only\":true}],\"policy\":{\"possible\":[\"h1\"],\"priority\":\"high\"}}]}"

static void vms_are_made(void **state _unused_)
{
	static const char *const wanted[] = {
		"create volume V [\"path: /v\"] "
		"{\"op\":\"volume.create\",\"name\":\"V\",\"path\":\"/v\"}",
		"create switch S on h1 [\"type: private\"] "
		"{\"op\":\"switch.create\",\"name\":\"S\",\"node\":\"h1\",\"type\":\"private\"}",
		"create VM v [\"on h1: memory 128M, 1 virtual processors, 1 network adapters, 2 "
		"disks\"] {\"op\":\"vm.create\",\"name\":\"v\",\"node\":\"h1\",\"kernel\":\"/k\","
		"\"memory_bytes\":134217728,\"nics\":[{\"switch\":\"S\",\"guards\":{\"dhcp\":true},"
		"\"mode\":\"access\",\"vid\":2}],\"disks\":[{\"path\":\"/d\",\"lun\":0,\"kind\":"
		"\"disk\",\"read_only\":false},{\"kind\":\"dvd\",\"path\":\"/"
		"iso\",\"lun\":1,\"read_"
		"only\":true}],\"min_memory_bytes\":134217728,\"max_memory_bytes\":134217728,"
		"\"vram_"
		"bytes\":8388608,\"vps\":1,\"cmdline\":\"\"}",
		"change policy of VM v [\"priority: medium -> high\",\"possible: [] -> "
		"[\\\"h1\\\"]\"] "
		"{\"op\":\"vm.change\",\"vm\":\"v\",\"policy\":{\"priority\":\"high\",\"possible\":"
		"["
		"\"h1\"]}}",
		NULL,
	};

	is_planned(VM_FILE, "{" NODES "," NETWORKS "}", false, wanted);
}

static void a_vm_that_moved_is_the_same(void **state _unused_)
{
	is_planned(VM_FILE, VM("Running", "1", "2", "/iso"), true, nothing);
}

static void vms_change(void **state _unused_)
{
	static const char *const off[] = {
		"change VM v [\"vps: 4 -> 1\"] {\"op\":\"vm.change\",\"vm\":\"v\",\"vps\":1}",
		"change network adapter 0 of VM v [\"VLAN: access 7 -> access 2\"] "
		"{\"op\":\"vm.nic.set\",\"vm\":\"v\",\"nic\":0,\"set\":{\"mode\":\"access\","
		"\"vid\":"
		"2}}",
		"change disk at LUN 1 of VM v [\"medium: /old -> /iso\"] "
		"{\"op\":\"disk.medium\",\"vm\":\"v\",\"lun\":1,\"path\":\"/iso\"}",
		NULL,
	};
	static const char *const running[] = {
		"wait VM v [\"vps: 4 -> 1\"] <v is Running, and this is possible only while it is "
		"off; 'viaduct vm stop v', then apply again -",
		"change network adapter 0 of VM v [\"VLAN: access 7 -> access 2\"] !the running "
		"VM's "
		"port changes at once "
		"{\"op\":\"vm.nic.set\",\"vm\":\"v\",\"nic\":0,\"set\":{\"mode\":"
		"\"access\",\"vid\":2}}",
		"change disk at LUN 1 of VM v [\"medium: /old -> /iso\"] !the medium in the "
		"running "
		"VM's drive changes "
		"{\"op\":\"disk.medium\",\"vm\":\"v\",\"lun\":1,\"path\":\"/iso\"}",
		NULL,
	};

	is_planned(VM_FILE, VM("Off", "4", "7", "/old"), false, off);
	is_planned(VM_FILE, VM("Running", "4", "7", "/old"), false, running);
}

static void parts_of_a_vm_come_and_go(void **state _unused_)
{
	static const char *const wanted[] = {
		"change memory of VM v [\"memory: 128M -> 64M\",\"min-memory: 128M -> 64M\","
		"\"max-memory: 128M -> 64M\"] {\"op\":\"vm.memory\",\"vm\":\"v\",\"memory_bytes\":"
		"67108864,\"min_memory_bytes\":67108864,\"max_memory_bytes\":67108864}",
		"remove network adapter 0 of VM v [] "
		"{\"op\":\"vm.nic.remove\",\"vm\":\"v\",\"nic\":0}",
		"remove disk at LUN 1 of VM v [] {\"op\":\"disk.remove\",\"vm\":\"v\",\"lun\":1}",
		"remove disk at LUN 0 of VM v [] {\"op\":\"disk.remove\",\"vm\":\"v\",\"lun\":0}",
		"create disk at LUN 0 of VM v [\"disk: /e\"] "
		"{\"op\":\"disk.add\",\"vm\":\"v\",\"disk\":{\"path\":\"/e\",\"lun\":0,\"kind\":"
		"\"disk\",\"read_only\":false}}",
		"create disk at LUN 5 of VM v [\"dvd: empty\"] "
		"{\"op\":\"disk.add\",\"vm\":\"v\",\"disk\":{\"kind\":\"dvd\",\"lun\":5,\"read_"
		"only\":"
		"true}}",
		NULL,
	};

	is_planned(
		"switches: [{name: S, node: h1, type: private}]\nvolumes: [{name: V, path: /v}]\n"
		"vms: [{name: v, node: h1, kernel: /k, memory: 64M, disks: [{path: /e}, {kind: "
		"dvd, lun: 5}]}]\n",
		VM("Off", "1", "2", "/iso"), true, wanted);
}

static void steps_are_counted(void **state _unused_)
{
	_cleanup_json_ struct json *steps = plan(VM_FILE, "{" NODES "}", false);

	assert_int_equal(differ_count(steps, "create"), 3);
	assert_int_equal(differ_count(steps, "wait"), 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(all_is_as_it_should_be),
		cmocka_unit_test(limits_of_nodes),
		cmocka_unit_test(nodes_and_networks),
		cmocka_unit_test(networks_for_migrations),
		cmocka_unit_test(switches_are_made),
		cmocka_unit_test(switches_change),
		cmocka_unit_test(what_the_file_does_not_have),
		cmocka_unit_test(the_type_of_a_switch),
		cmocka_unit_test(vms_are_made),
		cmocka_unit_test(a_vm_that_moved_is_the_same),
		cmocka_unit_test(vms_change),
		cmocka_unit_test(parts_of_a_vm_come_and_go),
		cmocka_unit_test(steps_are_counted),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
