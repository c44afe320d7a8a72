/* SPDX-License-Identifier: MIT */
#include "tests/unit/svc/fake_svc.h"

#include "tests/unit/base/cmocka_all.h"

#include <stdio.h>
#include <string.h>

static int set_up(void **state _unused_)
{
	fake_set_up();
	assert_string_equal(fake_ask("{\"op\":\"switch.create\",\"name\":\"A\",\"type\":"
				     "\"external\",\"uplink\":\"lo\",\"management\":7}"),
		"ok");
	assert_string_equal(
		fake_ask("{\"op\":\"switch.create\",\"name\":\"P\",\"type\":\"private\"}"), "ok");
	return 0;
}

static int tear_down(void **state _unused_)
{
	fake_tear_down();
	return 0;
}

static const char *error(void)
{
	return json_get_string(fake.answer, "error", "");
}

static const char *ask(const char *op, const char *rest)
{
	char text[400];

	snprintf(text, sizeof(text), "{\"op\":\"%s\",%s}", op, rest);
	return fake_ask(text);
}

static const struct json *adapter(const char *key, size_t at)
{
	return json_at(json_get(fake_stored(key), "adapters"), at);
}

/* ---- settings ---- */

static void wrong_settings_are_refused(void **state _unused_)
{
	static const char *const wrong[] = {
		"\"uplinks\":[]",
		"\"uplinks\":7",
		"\"uplinks\":[7]",
		"\"uplinks\":[\"\"]",
		"\"uplinks\":[\"a/b\"]",
		"\"uplinks\":[\"..\"]",
		"\"uplinks\":[\"0123456789abcdef\"]",
		"\"uplinks\":[\"e1\",\"e1\"]",
		"\"uplinks\":[\"e1\",\"e2\",\"e3\",\"e4\",\"e5\",\"e6\",\"e7\",\"e8\",\"e9\"]",
		"\"uplink\":7",
		"\"team\":{\"mode\":\"hash\"}",
		"\"uplinks\":[\"e1\",\"e2\"],\"team\":{\"mode\":\"lacp\"}",
		"\"uplinks\":[\"e1\",\"e2\"],\"team\":\"hash\"",
		"\"uplinks\":[\"e1\",\"e2\"],\"team\":{}",
		"\"bandwidth_mode\":\"fair\"",
		"\"bandwidth_mode\":1",
		"\"link_bps\":\"10G\"",
		"\"link_bps\":-1",
		"\"link_bps\":999999",
		"\"link_bps\":1000000000001",
		"\"logical\":\"a/b\"",
		"\"logical\":7",
		"\"management\":4095",
		"\"add_static\":7",
		"\"add_static\":{\"mac\":\"01:00:5e:00:00:01\"}",
		"\"add_static\":{\"mac\":\"00:15:5d:00:00:01\",\"vlan\":4095}",
		"\"remove_static\":{\"mac\":\"00:15:5d:00:00:01\"}",
	};
	_cleanup_free_ char *before = json_dump(fake_stored("switch/host1/A"), 0);
	_cleanup_free_ char *after = NULL;

	for (size_t i = 0; i < ARRAY_LEN(wrong); i++) {
		char rest[200];

		snprintf(rest, sizeof(rest), "\"name\":\"A\",%s", wrong[i]);
		if (strcmp(ask("switch.set", rest), "usage"))
			fail_msg("set: %s", wrong[i]);
		snprintf(rest, sizeof(rest), "\"name\":\"B\",\"type\":\"external\",%s%s",
			strstr(wrong[i], "uplink") ? "" : "\"uplink\":\"lo\",", wrong[i]);
		if (strcmp(ask("switch.create", rest), "usage"))
			fail_msg("create: %s", wrong[i]);
		assert_null(fake_stored("switch/host1/B"));
	}
	assert_string_equal(ask("switch.set", "\"name\":\"P\",\"uplinks\":[\"lo\"]"), "usage");
	assert_string_equal(
		ask("switch.set", "\"name\":\"P\",\"add_static\":{\"mac\":\"00:15:5d:00:00:01\"}"),
		"usage");
	assert_string_equal(ask("switch.set", "\"name\":\"X\""), "not-found");
	assert_string_equal(ask("switch.set", "\"name\":\"A\",\"uplinks\":[\"none0\"]"), "refused");
	after = json_dump(fake_stored("switch/host1/A"), 0);
	assert_string_equal(before, after);
}

static void static_addresses_come_and_go(void **state _unused_)
{
	const char *upper =
		"\"name\":\"A\",\"add_static\":{\"mac\":\"00:15:5D:00:00:0A\",\"vlan\":7}";
	const struct json *list;

	assert_string_equal(ask("switch.set", upper), "ok");
	assert_string_equal(ask("switch.set", upper), "ok"); /* once more is not twice */
	assert_string_equal(ask("switch.set", "\"name\":\"A\",\"add_static\":{\"mac\":"
					      "\"00:15:5d:00:00:0a\"}"),
		"ok");
	list = json_get(fake_stored("switch/host1/A"), "static");
	assert_int_equal(json_length(list), 2);
	assert_string_equal(json_get_string(json_at(list, 0), "mac", ""), "00:15:5d:00:00:0a");
	assert_int_equal(json_get_int(json_at(list, 0), "vlan", 0), 7);
	assert_string_equal(ask("switch.set", "\"name\":\"A\",\"remove_static\":{\"mac\":"
					      "\"00:15:5d:00:00:0a\",\"vlan\":7}"),
		"ok");
	list = json_get(fake_stored("switch/host1/A"), "static");
	assert_int_equal(json_length(list), 1);
	assert_int_equal(json_get_int(json_at(list, 0), "vlan", 7), 0);
	for (unsigned i = 1; i <= 256; i++) {
		char rest[100];

		snprintf(rest, sizeof(rest),
			"\"name\":\"A\",\"add_static\":{\"mac\":\"00:15:5d:00:%02x:%02x\"}",
			i >> 8 | 2, i & 255);
		assert_string_equal(ask("switch.set", rest), i < 256 ? "ok" : "usage");
	}
}

static void settings_are_kept(void **state _unused_)
{
	const struct json *record;

	assert_string_equal(
		ask("switch.create",
			"\"force\":true,\"name\":\"T\",\"type\":\"external\",\"uplinks\":[\"e1\","
			"\"e2\"],\"team\":{\"mode\":\"hash\"},\"bandwidth_mode\":"
			"\"weight\",\"link_bps\":10000000000"),
		"ok");
	record = fake_stored("switch/host1/T");
	assert_int_equal(json_length(json_get(record, "uplinks")), 2);
	assert_string_equal(json_get_string(json_get(record, "team"), "mode", ""), "hash");
	/* With one uplink there is no team. */
	assert_string_equal(ask("switch.set", "\"name\":\"T\",\"uplinks\":[\"lo\"]"), "ok");
	record = fake_stored("switch/host1/T");
	assert_string_equal(json_get_string(record, "uplink", ""), "lo");
	assert_null(json_get(record, "uplinks"));
	assert_null(json_get(record, "team"));
	assert_string_equal(json_get_string(record, "bandwidth_mode", ""), "weight");
	assert_string_equal(
		ask("switch.set", "\"name\":\"A\",\"bandwidth_mode\":\"absolute\""), "ok");
	record = fake_stored("switch/host1/A");
	assert_string_equal(json_get_string(record, "uplink", ""), "lo");
	assert_int_equal(json_get_int(record, "management", 0), 7);
	assert_string_equal(ask("switch.set", "\"name\":\"A\",\"node\":\"host2\""), "not-found");
	fake.quorate = false;
	assert_string_equal(
		ask("switch.set", "\"name\":\"A\",\"bandwidth_mode\":\"none\""), "no-quorum");
}

/* ---- the list ---- */

static void expect_listed(const char *node, const char *name, const char *state, const char *why)
{
	const struct json *list, *found = NULL;

	assert_string_equal(fake_ask("{\"op\":\"switch.list\"}"), "ok");
	list = json_get(fake.answer, "switches");
	for (size_t i = 0; i < json_length(list); i++) {
		const struct json *entry = json_at(list, i);

		if (strcmp(json_get_string(entry, "name", ""), name) == 0 &&
			strcmp(json_get_string(entry, "node", ""), node) == 0)
			found = entry;
	}
	assert_non_null(found);
	assert_string_equal(json_get_string(found, "state", ""), state);
	assert_string_equal(json_get_string(found, "reason", "?"), why);
}

static void store_text(const char *key, const char *text)
{
	struct json *value = NULL;

	assert_int_equal(json_parse(text, strlen(text), &value), 0);
	fake_store(key, value);
}

/* Of this node by its own switch process, of others by what they told last. */
static void the_list_has_what_is_not_there(void **state _unused_)
{
	expect_listed("host1", "A", "not made", "it is gone");
	fake.switch_is_gone = false;
	store_text("switchstate/host1/A", "{\"state\":\"not bound\",\"reason\":\"long ago\"}");
	expect_listed("host1", "A", "up", "");
	store_text("switch/host2/A", "{\"type\":\"external\",\"uplink\":\"e1\"}");
	expect_listed("host2", "A", "up", "");
	store_text("switchstate/host2/A", "{\"state\":\"not bound\",\"reason\":\"no e1\"}");
	expect_listed("host2", "A", "not bound", "no e1");
	store_text("switchstate/host2/A", "7");
	expect_listed("host2", "A", "up", "");
	store_text("switch/host3/A", "{\"type\":\"private\"}");
	expect_listed("host3", "A", "unknown", "viaductd does not run on host3");
}

/* ---- the host's adapters ---- */

static void adapters_come_and_go(void **state _unused_)
{
	assert_string_equal(ask("switch.adapter.add",
				    "\"name\":\"A\",\"adapter\":{\"name\":\"backup\",\"mode\":"
				    "\"access\",\"vid\":30,\"mac\":\"00:15:5d:00:00:33\"}"),
		"ok");
	/* The one that was there before is kept beside it, interface and address too. */
	assert_null(json_get(fake_stored("switch/host1/A"), "management"));
	assert_string_equal(json_get_string(adapter("switch/host1/A", 0), "ifname", ""), "vs-A");
	assert_string_equal(
		json_get_string(adapter("switch/host1/A", 0), "lease", ""), "switch/host1/A");
	assert_int_equal(json_get_int(adapter("switch/host1/A", 0), "vid", 0), 7);
	assert_string_equal(
		json_get_string(adapter("switch/host1/A", 1), "ifname", ""), "vs-backup");
	assert_string_equal(
		json_get_string(adapter("switch/host1/A", 1), "mac", ""), "00:15:5d:00:00:33");
	assert_string_equal(
		ask("switch.adapter.set", "\"name\":\"A\",\"adapter\":\"backup\",\"set\":{\"mode\":"
					  "\"access\",\"vid\":31}"),
		"ok");
	assert_int_equal(json_get_int(adapter("switch/host1/A", 1), "vid", 0), 31);
	assert_string_equal(ask("switch.adapter.list", "\"name\":\"A\""), "ok");
	assert_int_equal(json_length(json_get(fake.answer, "adapters")), 2);
	assert_string_equal(ask("switch.adapter.remove", "\"name\":\"A\",\"adapter\":\"A\""), "ok");
	assert_int_equal(json_length(json_get(fake_stored("switch/host1/A"), "adapters")), 1);
	assert_string_equal(
		ask("switch.adapter.remove", "\"name\":\"A\",\"adapter\":\"A\""), "not-found");
	assert_string_equal(
		ask("switch.adapter.remove", "\"name\":\"A\",\"adapter\":\"backup\""), "ok");
}

static void wrong_adapters_are_refused(void **state _unused_)
{
	static const struct {
		const char *adapter, *code, *because;
	} wrong[] = {
		{"7", "usage", "needs a name"},
		{"{}", "usage", "needs a name"},
		{"{\"name\":\"a/b\"}", "usage", "needs a name"},
		{"{\"name\":\"A\"}", "conflict", "already"},
		{"{\"name\":\"x\",\"mode\":\"access\",\"vid\":0}", "usage", "802.1Q keeps it"},
		{"{\"name\":\"x\",\"mode\":\"access\",\"vid\":4095}", "usage", "reserved"},
		{"{\"name\":\"x\",\"ifname\":\"eth0\"}", "usage", "no setting"},
		{"{\"name\":\"x\",\"lease\":\"vm/VM1/nic0\"}", "usage", "no setting"},
		{"{\"name\":\"x\",\"offload\":{}}", "usage", "no setting"},
		{"{\"name\":\"a-very-long-name\"}", "conflict", "first 12 characters"},
	};

	assert_string_equal(ask("switch.create", "\"name\":\"I\",\"type\":\"internal\""), "ok");
	assert_string_equal(ask("switch.adapter.add",
				    "\"name\":\"I\",\"adapter\":{\"name\":\"a-very-long-other\"}"),
		"ok");
	for (size_t i = 0; i < ARRAY_LEN(wrong); i++) {
		char rest[200];

		snprintf(rest, sizeof(rest), "\"name\":\"A\",\"adapter\":%s", wrong[i].adapter);
		if (strcmp(ask("switch.adapter.add", rest), wrong[i].code) ||
			!strstr(error(), wrong[i].because))
			fail_msg("%s: %s", wrong[i].adapter, error());
	}
	assert_string_equal(
		ask("switch.adapter.add", "\"name\":\"P\",\"adapter\":{\"name\":\"x\"}"),
		"refused");
	assert_string_equal(ask("switch.adapter.remove", "\"name\":\"I\",\"adapter\":\"I\""), "ok");
	assert_string_equal(
		ask("switch.adapter.remove", "\"name\":\"I\",\"adapter\":\"a-very-long-other\""),
		"refused");
	/* A switch whose own adapter would have that interface. */
	assert_string_equal(
		ask("switch.create", "\"name\":\"a-very-long-switch\",\"type\":\"internal\""),
		"conflict");
	assert_string_equal(
		ask("switch.create", "\"name\":\"a-very-long-switch\",\"type\":\"private\""), "ok");
}

static void adapters_are_bounded(void **state _unused_)
{
	for (unsigned i = 0; i < 7; i++) {
		char rest[80];

		snprintf(rest, sizeof(rest), "\"name\":\"A\",\"adapter\":{\"name\":\"x%u\"}", i);
		assert_string_equal(ask("switch.adapter.add", rest), "ok");
	}
	assert_string_equal(
		ask("switch.adapter.add", "\"name\":\"A\",\"adapter\":{\"name\":\"y\"}"),
		"conflict");
}

/* ---- renaming ---- */

#define CREATE_VM(name, node)                                                                      \
	"{\"op\":\"vm.create\",\"name\":\"" name "\",\"node\":\"" node                             \
	"\",\"kernel\":\"/k\",\"memory_bytes\":67108864,\"nics\":[{\"switch\":\"P\"},"             \
	"{\"switch\":\"A\"}]}"

static const char *switch_of(const char *vm_key)
{
	return json_get_string(json_at(json_get(fake_stored(vm_key), "nics"), 1), "switch", "");
}

static void a_new_name_reaches_everything(void **state _unused_)
{
	assert_string_equal(fake_ask(CREATE_VM("VM1", "host1")), "ok");
	assert_string_equal(fake_ask(CREATE_VM("VM2", "host1")), "ok");
	assert_string_equal(fake_ask(CREATE_VM("VM3", "host2")), "ok");
	fake.switch_is_gone = false;
	strcpy(fake.known_switch, "B");
	assert_string_equal(ask("switch.rename", "\"name\":\"A\",\"to\":\"B\""), "ok");
	assert_null(fake_stored("switch/host1/A"));
	assert_non_null(fake_stored("switch/host1/B"));
	assert_null(json_get(fake_stored("switch/host1/B"), "renamed_from"));
	assert_string_equal(switch_of("vm/VM1"), "B");
	assert_string_equal(switch_of("vm/VM2"), "B");
	assert_string_equal(switch_of("vm/VM3"), "A"); /* it means the one of its own node */
	assert_string_equal(json_get_string(adapter("switch/host1/B", 0), "ifname", ""), "vs-A");
	assert_int_equal(json_get_int(adapter("switch/host1/B", 0), "vid", 0), 7);
}

static void a_name_that_cannot_be_is_refused(void **state _unused_)
{
	assert_string_equal(ask("switch.rename", "\"name\":\"A\""), "usage");
	assert_string_equal(ask("switch.rename", "\"name\":\"A\",\"to\":\"A\""), "usage");
	assert_string_equal(ask("switch.rename", "\"name\":\"A\",\"to\":\"x/y\""), "usage");
	assert_string_equal(ask("switch.rename", "\"name\":\"A\",\"to\":7"), "usage");
	assert_string_equal(ask("switch.rename", "\"name\":\"A\",\"to\":\"P\""), "conflict");
	assert_string_equal(ask("switch.rename", "\"name\":\"X\",\"to\":\"Y\""), "not-found");
	assert_non_null(fake_stored("switch/host1/A"));
}

static void a_vm_that_cannot_be_told_is_named(void **state _unused_)
{
	assert_string_equal(fake_ask(CREATE_VM("VM1", "host1")), "ok");
	fake_run("VM1");
	fake.vm->n_changes = 1;
	assert_string_equal(ask("switch.rename", "\"name\":\"A\",\"to\":\"B\""), "conflict");
	assert_non_null(strstr(error(), "VM1"));
	assert_null(fake_stored("switch/host1/B"));
	assert_string_equal(switch_of("vm/VM1"), "A");
}

static void what_the_switch_process_refuses_is_taken_back(void **state _unused_)
{
	assert_string_equal(fake_ask(CREATE_VM("VM1", "host1")), "ok");
	fake.switch_is_gone = false;
	strcpy(fake.known_switch, "A");
	assert_string_equal(ask("switch.rename", "\"name\":\"A\",\"to\":\"B\""), "refused");
	assert_null(fake_stored("switch/host1/B"));
	assert_non_null(fake_stored("switch/host1/A"));
	assert_string_equal(switch_of("vm/VM1"), "A");
}

/* As a crash between two steps leaves it. */
static void an_interrupted_renaming_goes_on(void **state _unused_)
{
	struct json *record = json_copy(fake_stored("switch/host1/A"));

	assert_string_equal(fake_ask(CREATE_VM("VM1", "host1")), "ok");
	json_set_string(record, "renamed_from", "A");
	fake_store("switch/host1/B", record);
	assert_string_equal(
		ask("switch.create", "\"name\":\"A\",\"type\":\"private\""), "conflict");
	assert_string_equal(ask("switch.rename", "\"name\":\"B\",\"to\":\"C\""), "conflict");
	assert_string_equal(ask("switch.rename", "\"name\":\"A\",\"to\":\"B\""), "ok");
	assert_null(fake_stored("switch/host1/A"));
	assert_null(json_get(fake_stored("switch/host1/B"), "renamed_from"));
	assert_string_equal(switch_of("vm/VM1"), "B");
	/* The old record went, but the new one had not yet forgotten it. */
	record = json_copy(fake_stored("switch/host1/B"));
	json_set_string(record, "renamed_from", "A");
	fake_store("switch/host1/B", record);
	assert_string_equal(ask("switch.rename", "\"name\":\"A\",\"to\":\"B\""), "ok");
	assert_null(json_get(fake_stored("switch/host1/B"), "renamed_from"));
	assert_string_equal(ask("switch.create", "\"name\":\"A\",\"type\":\"private\""), "ok");
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		T(wrong_settings_are_refused),
		T(static_addresses_come_and_go),
		T(settings_are_kept),
		T(the_list_has_what_is_not_there),
		T(adapters_come_and_go),
		T(wrong_adapters_are_refused),
		T(adapters_are_bounded),
		T(a_new_name_reaches_everything),
		T(a_name_that_cannot_be_is_refused),
		T(a_vm_that_cannot_be_told_is_named),
		T(what_the_switch_process_refuses_is_taken_back),
		T(an_interrupted_renaming_goes_on),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
