/* SPDX-License-Identifier: MIT */
#include "tests/unit/svc/fake_svc.h"

#include "tests/unit/base/cmocka_all.h"

#include <stdio.h>
#include <string.h>

#define CREATE                                                                                     \
	"{\"op\":\"vm.create\",\"name\":\"VM1\",\"kernel\":\"/k\",\"memory_bytes\":67108864,"      \
	"\"nics\":[{\"switch\":\"A\",\"mode\":\"access\",\"vid\":2},{\"switch\":\"B\"}]}"

static int set_up(void **state _unused_)
{
	fake_set_up();
	assert_string_equal(fake_ask(CREATE), "ok");
	return 0;
}

static int tear_down(void **state _unused_)
{
	fake_tear_down();
	return 0;
}

static const struct json *nic(size_t at)
{
	return json_at(json_get(fake_stored("vm/VM1"), "nics"), at);
}

static const char *set(unsigned at, const char *settings)
{
	char text[400];

	snprintf(text, sizeof(text), "{\"op\":\"vm.nic.set\",\"vm\":\"VM1\",\"nic\":%u,\"set\":%s}",
		at, settings);
	return fake_ask(text);
}

static const char *error(void)
{
	return json_get_string(fake.answer, "error", "");
}

static void a_vm_that_is_off_is_changed_in_the_store(void **state _unused_)
{
	assert_string_equal(set(0, "{\"mode\":\"access\",\"vid\":3}"), "ok");
	assert_int_equal(json_get_int(nic(0), "vid", 0), 3);
	assert_string_equal(
		set(1, "{\"guards\":{\"dhcp\":true},\"offload\":{\"lso\":false}}"), "ok");
	assert_true(json_get_bool(json_get(nic(1), "guards"), "dhcp", false));
	assert_string_equal(json_get_string(nic(1), "switch", ""), "B");
	assert_null(fake.to_switch);
}

static void a_running_vm_is_changed_at_its_port(void **state _unused_)
{
	fake_run("VM1");
	fake.switch_is_gone = false;
	assert_string_equal(set(1, "{\"mode\":\"access\",\"vid\":3}"), "ok");
	assert_string_equal(json_get_string(fake.to_switch, "op", ""), "port.set");
	assert_string_equal(json_get_string(fake.to_switch, "port", ""), "VM1/nic1");
	assert_int_equal(json_get_int(fake.to_switch, "vid", 0), 3);
	assert_null(json_get(fake.to_switch, "spoofing"));
	assert_int_equal(json_get_int(nic(1), "vid", 0), 3);
	assert_int_equal(json_get_int(json_at(json_get(fake.vm->config, "nics"), 1), "vid", 0), 3);
	assert_int_equal(fake.vm->n_changes, 0);
}

static void what_the_switch_refuses_is_taken_back(void **state _unused_)
{
	fake_run("VM1");
	fake.switch_is_gone = false;
	fake.switch_refusal = "the switch has no such mode";
	assert_string_equal(set(0, "{\"mode\":\"access\",\"vid\":3}"), "refused");
	assert_non_null(strstr(error(), "the switch has no such mode"));
	assert_int_equal(json_get_int(nic(0), "vid", 0), 2);
	assert_int_equal(json_get_int(json_at(json_get(fake.vm->config, "nics"), 0), "vid", 0), 2);
	assert_int_equal(fake.vm->n_changes, 0);

	fake.switch_is_gone = true;
	assert_string_equal(set(0, "{\"mode\":\"access\",\"vid\":3}"), "refused");
	assert_int_equal(json_get_int(nic(0), "vid", 0), 2);
	assert_int_equal(fake.vm->n_changes, 0);
}

static void what_cannot_be_taken_back_is_said(void **state _unused_)
{
	fake_run("VM1");
	fake.switch_is_gone = false;
	fake.switch_refusal = "no";
	fake.break_store = true;
	assert_string_equal(set(0, "{\"mode\":\"access\",\"vid\":3}"), "failed");
	assert_non_null(strstr(error(), "could not be set back"));
	assert_int_equal(fake.vm->n_changes, 0);
}

static void the_guests_machine_stays_while_it_runs(void **state _unused_)
{
	static const char *const fixed[] = {"{\"mtu\":9000}", "{\"switch\":\"B\"}",
		"{\"mtu\":9000,\"offload\":{\"lso\":false}}"};

	fake_run("VM1");
	fake.switch_is_gone = false;
	for (size_t i = 0; i < ARRAY_LEN(fixed); i++)
		assert_string_equal(set(0, fixed[i]), "conflict");
	assert_string_equal(
		fake_ask("{\"op\":\"vm.nic.add\",\"vm\":\"VM1\",\"nic\":{\"switch\":\"A\"}}"),
		"conflict");
	assert_string_equal(
		fake_ask("{\"op\":\"vm.nic.remove\",\"vm\":\"VM1\",\"nic\":0}"), "conflict");
	assert_int_equal(json_length(json_get(fake_stored("vm/VM1"), "nics")), 2);
	assert_null(fake.to_switch);
	/* What does not differ is no change. */
	assert_string_equal(set(0, "{\"switch\":\"A\"}"), "ok");
	assert_null(fake.to_switch);
}

static void only_one_thing_happens_to_a_vm_at_a_time(void **state _unused_)
{
	fake_run("VM1");
	fake.switch_is_gone = false;
	fake.vm->n_changes = 1;
	assert_string_equal(set(0, "{\"spoofing\":true}"), "conflict");
	assert_string_equal(
		fake_ask("{\"op\":\"vm.migrate\",\"vm\":\"VM1\",\"node\":\"host2\"}"), "conflict");
	assert_string_equal(
		fake_ask("{\"op\":\"disk.add\",\"vm\":\"VM1\",\"disk\":{\"kind\":\"dvd\"}}"),
		"conflict");
	fake.vm->n_changes = 0;
	fake.vm->out = (struct mig_out *)&fake;
	assert_string_equal(set(0, "{\"spoofing\":true}"), "conflict");
	fake.vm->out = NULL;
	assert_string_equal(set(0, "{\"spoofing\":true}"), "ok");
}

static void which_adapter_must_be_clear(void **state _unused_)
{
	assert_string_equal(fake_ask("{\"op\":\"vm.nic.set\",\"vm\":\"VM1\",\"set\":{}}"), "usage");
	assert_string_equal(set(2, "{}"), "not-found");
	assert_string_equal(
		fake_ask("{\"op\":\"vm.nic.set\",\"vm\":\"VM1\",\"nic\":\"0\",\"set\":{}}"),
		"not-found");
	assert_string_equal(
		fake_ask("{\"op\":\"vm.nic.set\",\"vm\":\"VM1\",\"nic\":-1,\"set\":{}}"),
		"not-found");
	assert_string_equal(fake_ask("{\"op\":\"vm.nic.set\",\"vm\":\"VM2\",\"nic\":0,\"set\":{}}"),
		"not-found");
	assert_string_equal(fake_ask("{\"op\":\"vm.nic.remove\",\"vm\":\"VM1\",\"nic\":1}"), "ok");
	assert_string_equal(
		fake_ask("{\"op\":\"vm.nic.set\",\"vm\":\"VM1\",\"set\":{\"mirror\":\"source\"}}"),
		"ok");
	assert_string_equal(json_get_string(nic(0), "mirror", ""), "source");
}

static void nonsense_changes_nothing(void **state _unused_)
{
	static const char *const wrong[] = {"7", "[]", "null", "{\"vid\":3}", "{\"mac\":\"x\"}",
		"{\"mac\":\"00:15:5d:00:00:09\"}", "{\"mode\":\"access\",\"vid\":4095}",
		"{\"acl\":[{}]}", "{\"unheard\":1}"};
	_cleanup_free_ char *before = json_dump(fake_stored("vm/VM1"), 0);
	_cleanup_free_ char *after = NULL;

	for (size_t i = 0; i < ARRAY_LEN(wrong); i++) {
		if (strcmp(set(0, wrong[i]), "usage"))
			fail_msg("taken: %s", wrong[i]);
	}
	fake.quorate = false;
	assert_string_equal(set(0, "{\"spoofing\":true}"), "no-quorum");
	after = json_dump(fake_stored("vm/VM1"), 0);
	assert_string_equal(before, after);
}

static void leases_stay_with_their_adapters(void **state _unused_)
{
	assert_string_equal(fake_ask("{\"op\":\"vm.nic.remove\",\"vm\":\"VM1\",\"nic\":0}"), "ok");
	assert_string_equal(json_get_string(nic(0), "mac", ""), "00:15:5d:00:00:02");
	assert_int_equal(json_get_int(nic(0), "lease", -1), 1);
	assert_string_equal(
		fake_ask("{\"op\":\"vm.nic.add\",\"vm\":\"VM1\",\"nic\":{\"switch\":\"C\"}}"),
		"ok");
	assert_int_equal(json_get_int(fake.answer, "nic", -1), 1);
	assert_int_equal(json_get_int(nic(1), "lease", -1), 0);
	assert_string_equal(
		fake_ask("{\"op\":\"vm.nic.add\",\"vm\":\"VM1\",\"nic\":{\"switch\":\"C\"}}"),
		"ok");
	assert_int_equal(json_get_int(nic(2), "lease", -1), 2);
	assert_string_equal(fake_ask("{\"op\":\"vm.nic.add\",\"vm\":\"VM1\",\"nic\":{\"switch\":"
				     "\"C\",\"mac\":\"00:15:5d:00:00:ff\"}}"),
		"conflict");
	assert_string_equal(fake_ask("{\"op\":\"vm.nic.add\",\"vm\":\"VM1\",\"nic\":{}}"), "usage");
	assert_string_equal(
		fake_ask("{\"op\":\"vm.nic.add\",\"vm\":\"VM1\",\"nic\":{\"switch\":\"C\"}}"),
		"ok");
	assert_string_equal(
		fake_ask("{\"op\":\"vm.nic.add\",\"vm\":\"VM1\",\"nic\":{\"switch\":\"C\"}}"),
		"conflict");
	assert_int_equal(json_length(json_get(fake_stored("vm/VM1"), "nics")), SVC_MAX_NICS);
	assert_string_equal(fake_ask("{\"op\":\"vm.delete\",\"vm\":\"VM1\"}"), "ok");
}

static void rules_come_and_go(void **state _unused_)
{
	static const char add[] = "{\"op\":\"vm.nic.acl.add\",\"vm\":\"VM1\",\"nic\":0,\"rule\":"
				  "{\"action\":\"deny\"}}";
	const struct json *rules;

	assert_string_equal(fake_ask(add), "ok");
	assert_string_equal(fake_ask("{\"op\":\"vm.nic.acl.add\",\"vm\":\"VM1\",\"nic\":0,\"rule\":"
				     "{\"action\":\"meter\",\"remote\":\"10.0.0.1\"}}"),
		"ok");
	assert_string_equal(
		fake_ask("{\"op\":\"vm.nic.acl.add\",\"vm\":\"VM1\",\"nic\":0,\"rule\":7}"),
		"usage");
	assert_string_equal(
		fake_ask("{\"op\":\"vm.nic.acl.add\",\"vm\":\"VM1\",\"nic\":0}"), "usage");
	assert_string_equal(
		fake_ask("{\"op\":\"vm.nic.acl.remove\",\"vm\":\"VM1\",\"nic\":0,\"rule\":2}"),
		"not-found");
	assert_string_equal(
		fake_ask("{\"op\":\"vm.nic.acl.remove\",\"vm\":\"VM1\",\"nic\":0}"), "not-found");
	assert_string_equal(
		fake_ask("{\"op\":\"vm.nic.acl.remove\",\"vm\":\"VM1\",\"nic\":0,\"rule\":0}"),
		"ok");
	rules = json_get(nic(0), "acl");
	assert_int_equal(json_length(rules), 1);
	assert_string_equal(json_get_string(json_at(rules, 0), "action", ""), "meter");
	for (unsigned i = 1; i < 256; i++)
		assert_string_equal(fake_ask(add), "ok");
	assert_string_equal(fake_ask(add), "usage");
	assert_int_equal(json_length(json_get(nic(0), "acl")), 256);
}

static void counters_come_from_the_port(void **state _unused_)
{
	static const char list[] = "{\"op\":\"vm.nic.acl.list\",\"vm\":\"VM1\",\"nic\":0}";
	static const char port[] = "{\"acl\":[{\"frames\":3,\"bytes\":300}],\"conversations\":2}";
	const struct json *rule;

	assert_string_equal(
		set(0, "{\"acl\":[{\"action\":\"meter\"},{\"action\":\"deny\"}]}"), "ok");
	assert_string_equal(fake_ask(list), "ok");
	rule = json_at(json_get(fake.answer, "rules"), 0);
	assert_string_equal(json_get_string(rule, "action", ""), "meter");
	assert_null(json_get(rule, "frames"));

	fake_run("VM1");
	fake.switch_is_gone = false;
	assert_int_equal(json_parse(port, strlen(port), &fake.switch_port), 0);
	assert_string_equal(fake_ask(list), "ok");
	assert_int_equal(json_get_int(fake.answer, "conversations", 0), 2);
	rule = json_at(json_get(fake.answer, "rules"), 0);
	assert_int_equal(json_get_int(rule, "frames", 0), 3);
	rule = json_at(json_get(fake.answer, "rules"), 1);
	assert_int_equal(json_get_int(rule, "rule", 0), 1);
	assert_null(json_get(rule, "frames"));
}

static void adapters_are_listed(void **state _unused_)
{
	const struct json *entry;

	assert_string_equal(fake_ask("{\"op\":\"vm.nic.list\"}"), "ok");
	assert_int_equal(json_length(json_get(fake.answer, "nics")), 2);
	assert_string_equal(fake_ask("{\"op\":\"vm.nic.list\",\"vm\":\"VM2\"}"), "not-found");
	assert_string_equal(fake_ask("{\"op\":\"vm.nic.list\",\"vm\":\"VM1\"}"), "ok");
	entry = json_at(json_get(fake.answer, "nics"), 1);
	assert_string_equal(json_get_string(entry, "vm", ""), "VM1");
	assert_int_equal(json_get_int(entry, "nic", 0), 1);
	assert_string_equal(json_get_string(entry, "vm_state", ""), "Off");
}

static void a_port_follows_the_store(void **state _unused_)
{
	struct json *config;

	fake_run("VM1");
	fake.switch_is_gone = false;
	vmproc_sync_nics(fake.vm);
	assert_null(fake.to_switch);
	config = json_copy(fake_stored("vm/VM1"));
	json_set_bool(json_at(json_get(config, "nics"), 1), "spoofing", true);
	fake_store("vm/VM1", config);
	fake.vm->n_changes = 1; /* whoever changes it tells the port as well */
	vmproc_sync_nics(fake.vm);
	assert_null(fake.to_switch);
	fake.vm->n_changes = 0;
	vmproc_sync_nics(fake.vm);
	assert_string_equal(json_get_string(fake.to_switch, "port", ""), "VM1/nic1");
	assert_true(json_get_bool(fake.to_switch, "spoofing", false));
	json_unref(take_ptr(fake.to_switch));
	vmproc_sync_nics(fake.vm);
	assert_null(fake.to_switch);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		T(a_vm_that_is_off_is_changed_in_the_store),
		T(a_running_vm_is_changed_at_its_port),
		T(what_the_switch_refuses_is_taken_back),
		T(what_cannot_be_taken_back_is_said),
		T(the_guests_machine_stays_while_it_runs),
		T(only_one_thing_happens_to_a_vm_at_a_time),
		T(which_adapter_must_be_clear),
		T(nonsense_changes_nothing),
		T(leases_stay_with_their_adapters),
		T(rules_come_and_go),
		T(counters_come_from_the_port),
		T(adapters_are_listed),
		T(a_port_follows_the_store),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
