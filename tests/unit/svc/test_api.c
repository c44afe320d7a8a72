/* SPDX-License-Identifier: MIT */
#include "tests/unit/svc/fake_svc.h"

#include "tests/unit/base/cmocka_all.h"

#include <stdio.h>
#include <string.h>

#define CREATE                                                                                     \
	"{\"op\":\"vm.create\",\"name\":\"VM1\",\"kernel\":\"/k\",\"memory_bytes\":67108864,"      \
	"\"nics\":[{\"switch\":\"A\",\"mode\":\"access\",\"vid\":2}]}"

static int set_up(void **state _unused_)
{
	fake_set_up();
	return 0;
}

static int tear_down(void **state _unused_)
{
	fake_tear_down();
	return 0;
}

static void nonsense_is_refused(void **state _unused_)
{
	static const char *const requests[] = {"{}", "{\"op\":7}", "{\"op\":null}", "{\"op\":\"\"}",
		"{\"op\":\"vm.\"}", "{\"op\":\"vm.listx\"}", "{\"op\":[\"vm.list\"]}",
		"[\"vm.list\"]"};

	for (size_t i = 0; i < ARRAY_LEN(requests); i++)
		assert_string_equal(fake_ask(requests[i]), "usage");
}

static void a_vm_is_made_with_a_lease_and_an_owner(void **state _unused_)
{
	const struct json *owner;

	assert_string_equal(fake_ask(CREATE), "ok");
	assert_string_equal(
		json_get_string(json_at(json_get(fake_stored("vm/VM1"), "nics"), 0), "mac", ""),
		"00:15:5d:00:00:01");
	owner = fake_stored("owner/vm/VM1");
	assert_int_equal(json_get_int(owner, "node", 0), 1);
	assert_int_equal(json_get_int(owner, "epoch", 0), 1);
	assert_string_equal(fake_ask(CREATE), "conflict");
}

static void every_wrong_field_of_a_vm_is_refused(void **state _unused_)
{
	static const struct {
		const char *key, *value;
	} wrong[] = {
		{"name", "\"\""},
		{"name", "\"../x\""},
		{"name", "\"a b\""},
		{"name", "7"},
		{"name", "\"-x\""},
		{"name", "null"},
		{"kernel", "\"relative\""},
		{"kernel", "7"},
		{"memory_bytes", "0"},
		{"memory_bytes", "-67108864"},
		{"memory_bytes", "67108865"},
		{"memory_bytes", "9223372036854775807"},
		{"memory_bytes", "\"64M\""},
		{"vps", "0"},
		{"vps", "-1"},
		{"vps", "65"},
		{"nics", "[{}]"},
		{"nics", "[7]"},
		{"nics", "[{\"switch\":\"\"}]"},
		{"nics", "[{\"switch\":\"a/b\"}]"},
		{"nics", "[{\"switch\":\"A\",\"mode\":\"magic\"}]"},
		{"nics", "[{\"switch\":\"A\",\"mode\":\"access\"}]"},
		{"nics", "[{\"switch\":\"A\",\"mode\":\"access\",\"vid\":0}]"},
		{"nics", "[{\"switch\":\"A\",\"mode\":\"access\",\"vid\":4095}]"},
		{"nics", "[{\"switch\":\"A\",\"mode\":\"access\",\"vid\":-1}]"},
		{"nics", "[{\"switch\":\"A\",\"mode\":\"trunk\"}]"},
		{"nics", "[{\"switch\":\"A\",\"mode\":\"trunk\",\"allowed\":\"2\",\"native\":4095}"
			 "]"},
		{"nics", "[{\"switch\":\"A\"},{\"switch\":\"A\"},{\"switch\":\"A\"},{\"switch\":"
			 "\"A\"},"
			 "{\"switch\":\"A\"}]"},
		{"nics", "[{\"switch\":\"A\",\"mtu\":9001}]"},
		{"initrd", "\"relative\""},
		{"min_memory_bytes", "134217728"},
		{"max_memory_bytes", "33554432"},
		{"min_memory_bytes", "33554433"},
		{"vram_bytes", "-1"},
		{"vram_bytes", "3145728"},
		{"vram_bytes", "134217728"},
		{"disks", "[{}]"},
		{"disks", "[7]"},
		{"disks", "[{\"path\":\"relative\"}]"},
		{"disks", "[{\"path\":\"/d\",\"kind\":\"tape\"}]"},
		{"disks", "[{\"path\":\"/d\",\"lun\":64}]"},
		{"disks", "[{\"path\":\"/d\",\"lun\":3},{\"path\":\"/e\",\"lun\":3}]"},
		{"disks", "[{\"path\":\"/d\",\"serial\":\"\\u0007\"}]"},
		{"disks", "[{\"path\":\"/d\",\"serial\":"
			  "\"0123456789012345678901234567890123456\"}]"},
	};

	for (size_t i = 0; i < ARRAY_LEN(wrong); i++) {
		char text[400];
		struct json *parsed = NULL;
		int n = snprintf(text, sizeof(text), "{\"v\":%s}", wrong[i].value);

		assert_int_equal(json_parse(text, (size_t)n, &parsed), 0);
		if (strcmp(fake_ask_with(CREATE, wrong[i].key, json_copy(json_get(parsed, "v"))),
			    "usage"))
			fail_msg("taken: %s = %s", wrong[i].key, wrong[i].value);
		json_unref(parsed);
		assert_null(fake_stored("vm/VM1"));
	}
}

static void disks_get_luns_and_identities(void **state _unused_)
{
	static const char create[] =
		"{\"op\":\"vm.create\",\"name\":\"VM1\",\"kernel\":\"/"
		"k\",\"memory_bytes\":67108864,"
		"\"disks\":[{\"path\":\"/a\"},{\"path\":\"/b\",\"lun\":9,\"serial\":\"S1\"},"
		"{\"kind\":\"dvd\"},{\"path\":\"/c\",\"read_only\":true,\"nonsense\":1}]}";
	static const int luns[] = {0, 9, 1, 2};
	const struct json *disks;

	assert_string_equal(fake_ask(create), "ok");
	disks = json_get(fake_stored("vm/VM1"), "disks");
	assert_int_equal(json_length(disks), ARRAY_LEN(luns));
	for (size_t i = 0; i < ARRAY_LEN(luns); i++) {
		const struct json *disk = json_at(disks, i);

		assert_int_equal(json_get_int(disk, "lun", -1), luns[i]);
		assert_int_equal(strlen(json_get_string(disk, "id", "")), 32);
		assert_null(json_get(disk, "nonsense"));
		for (size_t k = 0; k < i; k++)
			assert_string_not_equal(json_get_string(disk, "id", ""),
				json_get_string(json_at(disks, k), "id", ""));
	}
	assert_string_equal(json_get_string(json_at(disks, 1), "serial", ""), "S1");
	assert_true(json_get_bool(json_at(disks, 2), "read_only", false));
	assert_true(json_get_bool(json_at(disks, 3), "read_only", false));
}

static void disks_come_and_go_while_a_vm_is_off(void **state _unused_)
{
	const struct json *disks;

	assert_string_equal(fake_ask(CREATE), "ok");
	assert_string_equal(
		fake_ask("{\"op\":\"disk.add\",\"vm\":\"VM1\",\"disk\":{\"path\":\"/nowhere/x\"}}"),
		"refused");
	assert_string_equal(
		fake_ask("{\"op\":\"disk.add\",\"vm\":\"VM1\",\"disk\":{\"path\":\"/tmp\"}}"),
		"refused");
	assert_string_equal(fake_ask("{\"op\":\"disk.add\",\"vm\":\"VM1\",\"disk\":{\"kind\":"
				     "\"dvd\",\"lun\":5}}"),
		"ok");
	assert_string_equal(fake_ask("{\"op\":\"disk.add\",\"vm\":\"VM1\",\"disk\":{\"kind\":"
				     "\"dvd\",\"lun\":5}}"),
		"conflict");
	assert_string_equal(
		fake_ask("{\"op\":\"disk.medium\",\"vm\":\"VM1\",\"lun\":5,\"path\":\"/nowhere\"}"),
		"refused");
	assert_string_equal(
		fake_ask("{\"op\":\"disk.medium\",\"vm\":\"VM1\",\"lun\":6}"), "not-found");
	disks = json_get(fake_stored("vm/VM1"), "disks");
	assert_int_equal(json_length(disks), 1);
	assert_string_equal(
		fake_ask("{\"op\":\"disk.remove\",\"vm\":\"VM1\",\"lun\":6}"), "not-found");
	assert_string_equal(fake_ask("{\"op\":\"disk.remove\",\"vm\":\"VM1\",\"lun\":5}"), "ok");
	assert_int_equal(json_length(json_get(fake_stored("vm/VM1"), "disks")), 0);
}

static void memory_limits_are_checked_together(void **state _unused_)
{
	assert_string_equal(fake_ask(CREATE), "ok");
	assert_string_equal(
		fake_ask("{\"op\":\"vm.memory\",\"vm\":\"VM1\",\"min_memory_bytes\":134217728}"),
		"usage");
	assert_string_equal(fake_ask("{\"op\":\"vm.memory\",\"vm\":\"VM1\",\"min_memory_bytes\":"
				     "33554432,\"max_memory_bytes\":134217728}"),
		"ok");
	assert_int_equal(json_get_int(fake_stored("vm/VM1"), "max_memory_bytes", 0), 134217728);
	assert_int_equal(json_get_int(fake_stored("vm/VM1"), "memory_bytes", 0), 67108864);
}

static void what_needs_a_running_vm_says_so(void **state _unused_)
{
	static const char *const ops[] = {"vm.shutdown", "vm.pause", "vm.resume", "vm.save",
		"vm.discard", "vm.type", "vm.screenshot", "vm.item", "vm.freeze", "vm.thaw",
		"disk.resized"};

	assert_string_equal(fake_ask(CREATE), "ok");
	for (size_t i = 0; i < ARRAY_LEN(ops); i++) {
		char text[100];

		snprintf(text, sizeof(text), "{\"op\":\"%s\",\"vm\":\"VM1\"}", ops[i]);
		assert_string_equal(fake_ask(text), "conflict");
		snprintf(text, sizeof(text), "{\"op\":\"%s\",\"vm\":\"VM2\"}", ops[i]);
		assert_string_equal(fake_ask(text), "not-found");
	}
}

static void oversized_texts_are_refused(void **state _unused_)
{
	char text[1100];

	memset(text, 'x', sizeof(text));
	text[sizeof(text) - 1] = '\0';
	assert_string_equal(fake_ask_with(CREATE, "cmdline", json_string_new(text)), "usage");
	assert_string_equal(fake_ask_with(CREATE, "name", json_string_new(text)), "usage");
	assert_string_equal(
		fake_ask_with("{\"op\":\"vm.show\"}", "vm", json_string_new(text)), "not-found");
	assert_string_equal(
		fake_ask_with("{\"op\":\"vm.delete\"}", "vm", json_string_new(text)), "not-found");
	assert_string_equal(
		fake_ask_with("{\"op\":\"switch.delete\"}", "name", json_string_new(text)),
		"not-found");
	assert_string_equal(fake_ask_with("{\"op\":\"switch.create\",\"type\":\"private\"}", "name",
				    json_string_new(text)),
		"usage");
	assert_string_equal(
		fake_ask_with("{\"op\":\"switch.create\",\"type\":\"private\",\"name\":\"s\"}",
			"node", json_string_new(text)),
		"not-found");
	assert_string_equal(
		fake_ask_with("{\"op\":\"network.set\"}", "name", json_string_new(text)),
		"not-found");
	assert_string_equal(
		fake_ask_with("{\"op\":\"job.show\"}", "id", json_string_new(text)), "not-found");
}

static void a_mac_of_somebody_else_is_refused(void **state _unused_)
{
	assert_string_equal(fake_ask("{\"op\":\"vm.create\",\"name\":\"VM1\",\"kernel\":\"/k\","
				     "\"memory_bytes\":67108864,\"nics\":[{\"switch\":\"A\","
				     "\"mac\":\"00:15:5d:00:00:ff\"}]}"),
		"conflict");
	assert_null(fake_stored("vm/VM1"));
}

static void unknown_names_are_not_found(void **state _unused_)
{
	static const char *const requests[] = {
		"{\"op\":\"vm.show\",\"vm\":\"x\"}",
		"{\"op\":\"vm.start\",\"vm\":\"x\"}",
		"{\"op\":\"vm.stop\",\"vm\":\"x\"}",
		"{\"op\":\"vm.delete\",\"vm\":\"x\"}",
		"{\"op\":\"vm.serial\",\"vm\":\"x\"}",
		"{\"op\":\"vm.migrate\",\"vm\":\"x\",\"node\":\"host2\"}",
		"{\"op\":\"switch.delete\",\"name\":\"x\"}",
		"{\"op\":\"network.set\",\"name\":\"x\"}",
		"{\"op\":\"job.show\",\"id\":\"host1-1\"}",
		"{\"op\":\"job.cancel\",\"id\":\"\"}",
		"{\"op\":\"job.show\",\"id\":\"nowhere-1\"}",
		"{\"op\":\"vm.show\"}",
		"{\"op\":\"vm.show\",\"vm\":7}",
	};

	for (size_t i = 0; i < ARRAY_LEN(requests); i++) {
		if (strcmp(fake_ask(requests[i]), "not-found"))
			fail_msg("%s: %s", requests[i], fake_ask(requests[i]));
	}
}

static void without_quorum_nothing_changes(void **state _unused_)
{
	assert_string_equal(fake_ask(CREATE), "ok");
	fake.quorate = false;
	assert_string_equal(fake_ask_with(CREATE, "name", json_string_new("VM2")), "no-quorum");
	assert_string_equal(fake_ask("{\"op\":\"vm.start\",\"vm\":\"VM1\"}"), "no-quorum");
	assert_string_equal(fake_ask("{\"op\":\"vm.delete\",\"vm\":\"VM1\"}"), "no-quorum");
	assert_string_equal(
		fake_ask("{\"op\":\"vm.migrate\",\"vm\":\"VM1\",\"node\":\"host2\"}"), "no-quorum");
	assert_string_equal(
		fake_ask("{\"op\":\"switch.create\",\"name\":\"s\",\"type\":\"private\"}"),
		"no-quorum");
	assert_string_equal(
		fake_ask("{\"op\":\"network.set\",\"name\":\"10.10.3.0/24\",\"metric\":7}"),
		"no-quorum");
	assert_null(fake_stored("vm/VM2"));
	assert_non_null(fake_stored("vm/VM1"));
	/* Reading works. */
	assert_string_equal(fake_ask("{\"op\":\"vm.list\"}"), "ok");
	assert_string_equal(fake_ask("{\"op\":\"cluster.status\"}"), "ok");
}

static void switches_are_checked(void **state _unused_)
{
	assert_string_equal(
		fake_ask("{\"op\":\"switch.create\",\"name\":\"s\",\"type\":\"external\"}"),
		"usage");
	assert_string_equal(
		fake_ask("{\"op\":\"switch.create\",\"name\":\"s\",\"type\":\"private\","
			 "\"uplink\":\"eth0\"}"),
		"usage");
	assert_string_equal(
		fake_ask("{\"op\":\"switch.create\",\"name\":\"s\",\"type\":\"private\","
			 "\"management\":2}"),
		"usage");
	assert_string_equal(
		fake_ask("{\"op\":\"switch.create\",\"name\":\"s\",\"type\":\"internal\","
			 "\"management\":4095}"),
		"usage");
	assert_string_equal(
		fake_ask("{\"op\":\"switch.create\",\"name\":\"s/t\",\"type\":\"private\"}"),
		"usage");
	assert_string_equal(
		fake_ask("{\"op\":\"switch.create\",\"name\":\"s\",\"type\":\"external\","
			 "\"uplink\":\"no-such-nic\",\"logical\":\"l\",\"force\":true}"),
		"ok");
	assert_string_equal(json_get_string(fake_stored("switch/host1/s"), "logical", ""), "l");
	assert_string_equal(
		fake_ask("{\"op\":\"switch.create\",\"name\":\"s\",\"type\":\"external\","
			 "\"uplink\":\"no-such-nic\",\"force\":true}"),
		"conflict");
	assert_string_equal(
		fake_ask("{\"op\":\"switch.create\",\"name\":\"t\",\"type\":\"external\","
			 "\"uplink\":\"no-such-nic\"}"),
		"refused");
	/* Another node knows its own adapters. */
	assert_string_equal(
		fake_ask("{\"op\":\"switch.create\",\"name\":\"s\",\"type\":\"external\","
			 "\"uplink\":\"eth0\",\"node\":\"host2\"}"),
		"ok");
	assert_string_equal(fake.forwarded, "host2");
}

static void network_settings_are_checked(void **state _unused_)
{
	static const char *const wrong[] = {
		"{\"op\":\"network.set\",\"name\":\"Cluster Network 1\",\"role\":\"King\"}",
		"{\"op\":\"network.set\",\"name\":\"Cluster Network 1\",\"metric\":0}",
		"{\"op\":\"network.set\",\"name\":\"Cluster Network 1\",\"metric\":-5}",
		"{\"op\":\"network.set\",\"name\":\"Cluster Network 1\",\"metric\":268435456}",
		"{\"op\":\"network.set\",\"name\":\"Cluster Network 1\",\"rename\":\"\"}",
		"{\"op\":\"network.set\",\"name\":\"Cluster Network 1\",\"rename\":\"a,b\"}",
		"{\"op\":\"network.migration\",\"order\":\"Cluster Network 1\"}",
		"{\"op\":\"network.migration\",\"strict\":1}",
		"{\"op\":\"network.migration\",\"order\":[\"10.10.3.0/24\",\"10.10.3.0/24\"]}",
		"{\"op\":\"network.migration\",\"order\":[\"10.10.3.0/24\"],"
		"\"excluded\":[\"Cluster Network 1\"]}",
		"{\"op\":\"network.path\",\"from\":\"host1\",\"to\":\"host1\"}",
	};

	for (size_t i = 0; i < ARRAY_LEN(wrong); i++) {
		if (strcmp(fake_ask(wrong[i]), "usage"))
			fail_msg("taken: %s", wrong[i]);
	}
	assert_string_equal(fake_ask("{\"op\":\"network.set\",\"name\":\"10.10.3.0/"
				     "24\",\"rename\":\"Migration\","
				     "\"role\":\"Cluster\",\"metric\":500,\"migration_order\":1}"),
		"ok");
	assert_int_equal(
		json_get_int(fake_stored("net/10.10.3.0/24"), "role", 0), CLUSTER_ROLE_CLUSTER);
	assert_string_equal(
		fake_ask("{\"op\":\"network.set\",\"name\":\"10.10.3.0/24\",\"auto_metric\":true}"),
		"ok");
	assert_null(json_get(fake_stored("net/10.10.3.0/24"), "metric"));
	assert_string_equal(
		json_get_string(fake_stored("net/10.10.3.0/24"), "name", ""), "Migration");
}

static void the_cluster_keeps_a_network(void **state _unused_)
{
	/* A link runs over the first, so it cannot be given up; without the other it is the last.
	 */
	assert_string_equal(
		fake_ask("{\"op\":\"network.set\",\"name\":\"10.10.3.0/24\",\"role\":\"None\"}"),
		"refused");
	assert_non_null(strstr(json_get_string(fake.answer, "error", ""), "heartbeats run over"));
	assert_string_equal(
		fake_ask("{\"op\":\"network.set\",\"name\":\"10.10.4.0/24\",\"role\":\"None\"}"),
		"ok");
	assert_string_equal(
		fake_ask("{\"op\":\"network.set\",\"name\":\"10.10.3.0/24\",\"role\":\"None\"}"),
		"refused");
	assert_non_null(strstr(json_get_string(fake.answer, "error", ""), "last network"));
	assert_string_equal(fake_ask("{\"op\":\"network.set\",\"name\":\"10.10.4.0/24\","
				     "\"rename\":\"Cluster Network 1\"}"),
		"conflict");
}

static void assert_migration(const char *expected)
{
	_cleanup_free_ char *text = json_dump(fake_stored("migration/networks"), 0);

	assert_string_equal(text, expected);
}

static void networks_for_migrations_are_one_list(void **state _unused_)
{
	assert_string_equal(fake_ask("{\"op\":\"network.migration\",\"strict\":true}"), "refused");
	assert_string_equal(
		fake_ask("{\"op\":\"network.migration\",\"order\":[\"nowhere\"]}"), "not-found");
	assert_string_equal(
		fake_ask(
			"{\"op\":\"network.set\",\"name\":\"10.10.3.0/24\",\"migration_order\":5}"),
		"ok");
	assert_migration("{\"order\":[\"10.10.3.0/24\"],\"excluded\":[]}");
	assert_string_equal(
		fake_ask(
			"{\"op\":\"network.set\",\"name\":\"10.10.4.0/24\",\"migration_order\":1}"),
		"ok");
	assert_migration("{\"order\":[\"10.10.4.0/24\",\"10.10.3.0/24\"],\"excluded\":[]}");
	assert_string_equal(fake_ask("{\"op\":\"network.migration\",\"strict\":true,"
				     "\"excluded\":[\"Cluster Network 1\"]}"),
		"ok");
	assert_migration("{\"order\":[\"10.10.4.0/24\"],\"excluded\":[\"10.10.3.0/24\"],"
			 "\"strict\":true}");
	assert_string_equal(
		fake_ask(
			"{\"op\":\"network.set\",\"name\":\"10.10.4.0/24\",\"migration_order\":0}"),
		"refused");
	assert_string_equal(fake_ask("{\"op\":\"network.set\",\"name\":\"10.10.4.0/"
				     "24\",\"migration_order\":-1}"),
		"refused");
	assert_string_equal(fake_ask("{\"op\":\"network.migration\",\"strict\":false,"
				     "\"order\":[\"Cluster Network 1\"]}"),
		"ok");
	assert_migration("{\"order\":[\"10.10.3.0/24\"],\"excluded\":[],\"strict\":false}");
}

static void paths_and_classes_say_why(void **state _unused_)
{
	const struct json *item;

	assert_string_equal(
		fake_ask("{\"op\":\"network.path\",\"from\":\"host1\",\"to\":\"host2\"}"), "ok");
	item = json_at(json_get(fake.answer, "paths"), 1);
	assert_string_equal(json_get_string(item, "use", ""), "refused");
	assert_string_equal(json_get_string(item, "why", ""), "it is excluded from migrations");
	assert_string_equal(
		fake_ask("{\"op\":\"network.path\",\"from\":\"host1\",\"to\":\"host9\"}"),
		"not-found");
	assert_string_equal(fake_ask("{\"op\":\"network.classes\"}"), "ok");
	assert_int_equal(json_length(json_get(fake.answer, "classes")), CLUSTER_N_CLASSES);
	item = json_at(json_get(fake.answer, "classes"), 0);
	assert_string_equal(json_get_string(item, "class", ""), "heartbeat");
	assert_string_equal(json_get_string(item, "why", ""),
		"instead of Cluster Network 2: host1 cannot reach host2 on it");
}

static void mac_pools_are_checked(void **state _unused_)
{
	static const char *const wrong[] = {
		"\"mac.pool.add\",\"name\":\"own\"",
		"\"mac.pool.add\",\"name\":\"own\",\"first\":\"02:00:00:00:00:00\"",
		"\"mac.pool.add\",\"name\":\"a b\",\"first\":\"02:00:00:00:00:00\","
		"\"last\":\"02:00:00:00:00:ff\"",
		"\"mac.pool.add\",\"name\":\"own\",\"first\":\"03:00:00:00:00:00\","
		"\"last\":\"03:00:00:00:00:ff\"",
		"\"mac.pool.set\",\"name\":\"default\"",
		"\"mac.pool.set\",\"name\":\"default\",\"auto\":true",
		"\"mac.pool.set\",\"first\":\"02:00:00:00:00:00\",\"last\":\"02:00:00:00:00:ff\"",
	};
	char text[256];

	for (size_t i = 0; i < ARRAY_LEN(wrong); i++) {
		snprintf(text, sizeof(text), "{\"op\":%s}", wrong[i]);
		if (strcmp(fake_ask(text), "usage"))
			fail_msg("taken: %s", wrong[i]);
	}
	assert_string_equal(fake_ask("{\"op\":\"mac.pool.remove\",\"name\":\"x\"}"), "not-found");
	assert_string_equal(
		fake_ask("{\"op\":\"mac.pool.remove\",\"name\":\"default\"}"), "refused");
	assert_string_equal(fake_ask("{\"op\":\"mac.pool.add\",\"name\":\"own\",\"first\":"
				     "\"02-00-00-00-00-00\",\"last\":\"0200000000FF\"}"),
		"ok");
	assert_string_equal(fake_ask("{\"op\":\"mac.pool.add\",\"name\":\"other\",\"first\":"
				     "\"02:00:00:00:00:80\",\"last\":\"02:00:00:00:01:00\"}"),
		"conflict");
	assert_string_equal(fake_ask("{\"op\":\"mac.pool.set\",\"first\":\"02:00:00:00:00:80\","
				     "\"last\":\"02:00:00:00:00:ff\"}"),
		"ok");
	assert_string_equal(fake_ask("{\"op\":\"mac.pool.list\"}"), "ok");
	assert_int_equal(json_length(json_get(fake.answer, "pools")), 3);
	assert_string_equal(
		json_get_string(json_at(json_get(fake.answer, "pools"), 2), "name", ""), "host1");
	assert_string_equal(fake_ask("{\"op\":\"mac.list\"}"), "ok");
}

static void volumes_are_checked(void **state _unused_)
{
	assert_string_equal(
		fake_ask("{\"op\":\"volume.create\",\"name\":\"v\",\"path\":\"relative\"}"),
		"usage");
	assert_string_equal(
		fake_ask("{\"op\":\"volume.create\",\"name\":\"v/w\",\"path\":\"/x\"}"), "usage");
	assert_string_equal(
		fake_ask("{\"op\":\"volume.create\",\"name\":\"v\",\"path\":\"/nonexistent/x\"}"),
		"refused");
}

static void a_full_node_refuses(void **state _unused_)
{
	assert_string_equal(fake_ask(CREATE), "ok");
	fake.svc.options.vm_memory_bytes = 32 << 20;
	assert_string_equal(fake_ask("{\"op\":\"vm.start\",\"vm\":\"VM1\"}"), "full");
	assert_int_equal(fake.n_started, 0);
	/* and its ownership was not touched */
	assert_int_equal(json_get_int(fake_stored("owner/vm/VM1"), "epoch", 0), 1);
}

static void a_start_takes_a_new_epoch(void **state _unused_)
{
	assert_string_equal(fake_ask(CREATE), "ok");
	assert_string_equal(
		fake_ask("{\"op\":\"vm.start\",\"vm\":\"VM1\"}"), "failed"); /* no KVM here */
	assert_int_equal(fake.n_started, 1);
	assert_int_equal(json_get_int(fake_stored("owner/vm/VM1"), "epoch", 0), 2);
}

static void requests_go_to_the_node_that_must_answer(void **state _unused_)
{
	assert_string_equal(fake_ask_with(CREATE, "node", json_string_new("host2")), "ok");
	assert_string_equal(fake_ask("{\"op\":\"vm.start\",\"vm\":\"VM1\"}"), "ok");
	assert_string_equal(fake.forwarded, "host2");
	assert_string_equal(fake_ask("{\"op\":\"vm.stop\",\"vm\":\"VM1\"}"), "ok");
	assert_string_equal(fake.forwarded, "host2");
	assert_string_equal(
		fake_ask("{\"op\":\"vm.migrate\",\"vm\":\"VM1\",\"node\":\"host1\"}"), "ok");
	assert_string_equal(fake.forwarded, "host2");
	assert_string_equal(fake_ask("{\"op\":\"job.show\",\"id\":\"host2-7\"}"), "ok");
	assert_string_equal(fake.forwarded, "host2");
	assert_string_equal(fake_ask("{\"op\":\"switch.list\",\"node\":\"host2\"}"), "ok");
	assert_string_equal(fake.forwarded, "host2");
}

static void epochs_never_start_over(void **state _unused_)
{
	const struct json *owner;

	assert_string_equal(fake_ask(CREATE), "ok");
	assert_string_equal(fake_ask("{\"op\":\"vm.delete\",\"vm\":\"VM1\"}"), "ok");
	assert_null(fake_stored("vm/VM1"));
	assert_int_equal(json_get_int(fake_stored("owner/vm/VM1"), "node", 7), 0);
	assert_string_equal(fake_ask(CREATE), "ok");
	owner = fake_stored("owner/vm/VM1");
	assert_int_equal(json_get_int(owner, "node", 0), 1);
	assert_int_equal(json_get_int(owner, "epoch", 0), 3);
}

static void only_a_running_vm_moves(void **state _unused_)
{
	assert_string_equal(fake_ask(CREATE), "ok");
	assert_string_equal(
		fake_ask("{\"op\":\"vm.migrate\",\"vm\":\"VM1\",\"node\":\"host2\"}"), "conflict");
	assert_string_equal(fake_ask("{\"op\":\"vm.migrate\",\"vm\":\"VM1\",\"node\":\"nowhere\"}"),
		"not-found");
	assert_string_equal(fake_ask("{\"op\":\"vm.migrate\",\"vm\":\"VM1\"}"), "not-found");
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		T(nonsense_is_refused),
		T(a_vm_is_made_with_a_lease_and_an_owner),
		T(every_wrong_field_of_a_vm_is_refused),
		T(disks_get_luns_and_identities),
		T(disks_come_and_go_while_a_vm_is_off),
		T(memory_limits_are_checked_together),
		T(what_needs_a_running_vm_says_so),
		T(oversized_texts_are_refused),
		T(a_mac_of_somebody_else_is_refused),
		T(unknown_names_are_not_found),
		T(without_quorum_nothing_changes),
		T(switches_are_checked),
		T(network_settings_are_checked),
		T(the_cluster_keeps_a_network),
		T(networks_for_migrations_are_one_list),
		T(paths_and_classes_say_why),
		T(mac_pools_are_checked),
		T(volumes_are_checked),
		T(a_full_node_refuses),
		T(a_start_takes_a_new_epoch),
		T(requests_go_to_the_node_that_must_answer),
		T(epochs_never_start_over),
		T(only_a_running_vm_moves),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
