/* SPDX-License-Identifier: MIT
 *
 * Requests about adapters and scrubbing, as strangers might write them; and the steps of a scrub on
 * a store in memory. What changes real adapters is in tests/system/host_nic.py.
 */
#include "tests/unit/svc/fake_svc.h"

#include "tests/unit/base/cmocka_all.h"

#include <stdio.h>
#include <string.h>

static char folder[64];

static int set_up(void **state _unused_)
{
	const char *base = getenv("TMPDIR");

	fake_set_up();
	snprintf(folder, sizeof(folder), "%.40s/viaduct-nic-XXXXXX", base ? base : "/tmp");
	assert_non_null(mkdtemp(folder));
	fake.svc.options.state_dir = folder;
	assert_int_equal(host_new(folder, &fake.svc.host), 0);
	return 0;
}

static int tear_down(void **state _unused_)
{
	host_free(fake.svc.host);
	assert_int_equal(rmdir(folder), 0); /* nothing was written */
	fake_tear_down();
	return 0;
}

static void check_all(const char *const *requests, size_t n, const char *code)
{
	for (size_t i = 0; i < n; i++)
		assert_string_equal(fake_ask(requests[i]), code);
}

static void nonsense_is_refused(void **state _unused_)
{
	static const char *const requests[] = {
		"{\"op\":\"nic.change\"}",
		"{\"op\":\"nic.change\",\"action\":\"disable\",\"nic\":\"eth0\"}",
		"{\"op\":\"nic.change\",\"action\":\"repair\",\"nic\":\"eth0\",\"protocol\":"
		"\"ipv4\"}",
		"{\"op\":\"nic.change\",\"action\":\"explode\",\"nic\":\"eth0\"}",
		"{\"op\":\"nic.change\",\"action\":\"disable\",\"nic\":\"eth0\",\"protocol\":"
		"\"ipx\"}",
		"{\"op\":\"nic.change\",\"action\":\"disable\",\"nic\":\"../"
		"x\",\"protocol\":\"ipv4\"}",
		"{\"op\":\"nic.change\",\"action\":\"bind\",\"nic\":\"*\"}",
		"{\"op\":\"nic.change\",\"action\":\"bind\",\"nic\":\"no-such-nic\"}",
		"{\"op\":\"nic.change\",\"action\":\"bind\",\"nic\":\"no-such-nic\",\"switch\":\".."
		"/\"}",
		"{\"op\":\"nic.change\",\"action\":7,\"nic\":[]}",
		"{\"op\":\"nic.order\"}",
		"{\"op\":\"nic.order\",\"protocol\":\"bridge\"}",
		"{\"op\":\"nic.order\",\"protocol\":\"ipv4\",\"move\":\"sideways\",\"nic\":"
		"\"eth0\"}",
		"{\"op\":\"scrub.begin\"}",
		"{\"op\":\"scrub.begin\",\"mode\":\"all\"}",
		"{\"op\":\"scrub.undo\"}",
		"{\"op\":\"scrub.undo\",\"file\":\"relative\"}",
		"{\"op\":\"scrub.step\"}",
		"{\"op\":\"scrub.step\",\"step\":[]}",
		"{\"op\":\"scrub.step\",\"step\":{\"kind\":\"odd\",\"switch\":\"A\"}}",
		"{\"op\":\"scrub.step\",\"step\":{\"kind\":\"switch\",\"switch\":\"../A\"}}",
		"{\"op\":\"scrub.step\",\"step\":{\"kind\":\"unbind\",\"nic\":\"../x\"}}",
		"{\"op\":\"scrub.step\",\"step\":{\"kind\":\"restore\",\"switch\":\"A\"}}",
		"{\"op\":\"scrub.step\",\"step\":{\"kind\":\"restore\",\"switch\":\"A\",\"record\":"
		"{"
		"\"type\":\"odd\"}}}",
		"{\"op\":\"scrub.step\",\"step\":{\"kind\":\"restore\",\"switch\":\"A\",\"record\":"
		"{"
		"\"type\":\"external\"}}}",
		"{\"op\":\"scrub.step\",\"step\":{\"kind\":\"restore\",\"switch\":\"A\",\"record\":"
		"{"
		"\"type\":\"private\",\"uplink\":\"eth0\"}}}",
		"{\"op\":\"scrub.step\",\"step\":{\"kind\":\"restore\",\"switch\":\"A\",\"record\":"
		"{"
		"\"type\":\"internal\",\"management\":4095}}}",
		"{\"op\":\"offload.set\"}",
		"{\"op\":\"offload.set\",\"nic\":\"eth0\",\"chimney\":\"enabled\"}",
		"{\"op\":\"offload.set\",\"chimney\":\"on\"}",
		"{\"op\":\"offload.set\",\"nic\":\"no-such-nic\",\"lso\":\"x\"}",
		"{\"op\":\"offload.set\",\"nic\":\"no-such-nic\"}",
		"{\"op\":\"offload.show\",\"host\":\"eth0\",\"vm\":\"VM1\"}",
	};

	check_all(requests, ARRAY_LEN(requests), "usage");
}

static void what_is_not_there_is_not_found(void **state _unused_)
{
	static const char *const requests[] = {
		"{\"op\":\"nic.bindings\",\"nic\":\"no-such-nic\"}",
		"{\"op\":\"nic.change\",\"action\":\"disable\",\"nic\":\"no-such-nic\","
		"\"protocol\":"
		"\"ipv4\"}",
		"{\"op\":\"nic.order\",\"protocol\":\"ipv4\",\"move\":\"up\",\"nic\":\"no-such-"
		"nic\"}",
		"{\"op\":\"offload.show\",\"host\":\"no-such-nic\"}",
		"{\"op\":\"offload.show\",\"switch\":\"X\"}",
		"{\"op\":\"offload.set\",\"nic\":\"no-such-nic\",\"lso\":\"on\"}",
		"{\"op\":\"scrub.begin\",\"mode\":\"name\",\"nic\":\"vs-X\"}",
		"{\"op\":\"scrub.undo\",\"file\":\"/no/such/file\"}",
		"{\"op\":\"scrub.step\",\"step\":{\"kind\":\"switch\",\"switch\":\"X\"}}",
	};

	check_all(requests, ARRAY_LEN(requests), "not-found");
}

static void other_nodes_are_asked(void **state _unused_)
{
	static const char *const ops[] = {"nic.list", "nic.bindings", "nic.change", "nic.order",
		"scrub.begin", "scrub.undo", "scrub.step", "offload.show", "offload.set"};
	char text[128];

	for (size_t i = 0; i < ARRAY_LEN(ops); i++) {
		snprintf(text, sizeof(text), "{\"op\":\"%s\",\"node\":\"host2\"}", ops[i]);
		assert_string_equal(fake_ask(text), "ok");
		assert_string_equal(fake.forwarded, "host2");
	}
	assert_string_equal(fake_ask("{\"op\":\"nic.list\",\"node\":\"host1\"}"), "ok");
	assert_string_equal(fake.forwarded, "");
}

static void nothing_is_changed_without_quorum(void **state _unused_)
{
	fake.quorate = false;
	assert_string_equal(fake_ask("{\"op\":\"scrub.begin\",\"mode\":\"purge\"}"), "no-quorum");
	assert_string_equal(
		fake_ask("{\"op\":\"scrub.step\",\"step\":{\"kind\":\"switch\",\"switch\":\"A\"}}"),
		"no-quorum");
	assert_string_equal(
		fake_ask("{\"op\":\"offload.set\",\"chimney\":\"enabled\"}"), "no-quorum");
	assert_string_equal(fake_ask("{\"op\":\"nic.list\"}"), "ok");
}

static void a_dry_run_plans_and_steps_remove(void **state _unused_)
{
	_cleanup_json_ struct json *steps = NULL;

	assert_string_equal(
		fake_ask("{\"op\":\"switch.create\",\"name\":\"B\",\"type\":\"internal\"}"), "ok");
	assert_string_equal(
		fake_ask("{\"op\":\"switch.create\",\"name\":\"C\",\"type\":\"external\","
			 "\"uplink\":\"no-such-nic\",\"management\":0,\"force\":true}"),
		"ok");
	assert_string_equal(
		fake_ask("{\"op\":\"scrub.begin\",\"mode\":\"purge\",\"dry_run\":true}"), "ok");
	assert_null(json_get(fake.answer, "undo_file"));
	steps = json_copy(json_get(fake.answer, "steps"));
	assert_int_equal(json_length(steps), 5); /* two adapters, two switches, one uplink */

	assert_string_equal(
		fake_ask_with("{\"op\":\"scrub.step\"}", "step", json_copy(json_at(steps, 0))),
		"ok");
	assert_int_equal(json_get_int(fake_stored("switch/host1/B"), "management", 0), -1);
	assert_string_equal(
		fake_ask_with("{\"op\":\"scrub.step\"}", "step", json_copy(json_at(steps, 1))),
		"ok");
	assert_null(json_get(fake_stored("switch/host1/C"), "management"));
	/* Out of order: the adapter is still a switch's. */
	assert_string_equal(
		fake_ask_with("{\"op\":\"scrub.step\"}", "step", json_copy(json_at(steps, 4))),
		"conflict");
	for (size_t i = 2; i < 5; i++)
		assert_string_equal(fake_ask_with("{\"op\":\"scrub.step\"}", "step",
					    json_copy(json_at(steps, i))),
			"ok");
	assert_null(fake_stored("switch/host1/B"));
	assert_null(fake_stored("switch/host1/C"));
}

static void records_are_restored_with_what_is_unknown(void **state _unused_)
{
	const char *request =
		"{\"op\":\"scrub.step\",\"step\":{\"kind\":\"restore\",\"switch\":\"B\","
		"\"record\":{\"type\":\"internal\",\"later\":{\"x\":1}}}}";

	assert_string_equal(fake_ask(request), "ok");
	assert_int_equal(json_get_int(json_get(fake_stored("switch/host1/B"), "later"), "x", 0), 1);
	assert_string_equal(fake_ask(request), "ok"); /* again does no harm */
}

static void switches_of_running_vms_are_spared(void **state _unused_)
{
	const char *step =
		"{\"op\":\"scrub.step\",\"step\":{\"kind\":\"switch\",\"switch\":\"A\"}}";
	const char *config = "{\"nics\":[{\"switch\":\"A\"}]}";
	struct vmproc vp = {.name = "VM1", .svc = &fake.svc};

	assert_int_equal(json_parse(config, strlen(config), &vp.config), 0);
	list_append(&fake.svc.vms, &vp.link);
	assert_string_equal(
		fake_ask("{\"op\":\"switch.create\",\"name\":\"A\",\"type\":\"private\"}"), "ok");
	assert_string_equal(fake_ask("{\"op\":\"scrub.begin\",\"mode\":\"purge\"}"), "refused");
	assert_non_null(strstr(json_get_string(fake.answer, "error", ""), "VM1"));
	assert_string_equal(fake_ask(step), "refused");
	assert_string_equal(fake_ask("{\"op\":\"scrub.begin\",\"mode\":\"purge\",\"dry_run\":true,"
				     "\"force\":true}"),
		"ok");
	assert_string_equal(fake_ask_with("{\"op\":\"scrub.step\"}", "step",
				    json_copy(json_at(json_get(fake.answer, "steps"), 0))),
		"ok");
	assert_null(fake_stored("switch/host1/A"));
	list_remove(&vp.link);
	json_unref(vp.config);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(nonsense_is_refused, set_up, tear_down),
		cmocka_unit_test_setup_teardown(what_is_not_there_is_not_found, set_up, tear_down),
		cmocka_unit_test_setup_teardown(other_nodes_are_asked, set_up, tear_down),
		cmocka_unit_test_setup_teardown(
			nothing_is_changed_without_quorum, set_up, tear_down),
		cmocka_unit_test_setup_teardown(
			a_dry_run_plans_and_steps_remove, set_up, tear_down),
		cmocka_unit_test_setup_teardown(
			records_are_restored_with_what_is_unknown, set_up, tear_down),
		cmocka_unit_test_setup_teardown(
			switches_of_running_vms_are_spared, set_up, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
