/* SPDX-License-Identifier: MIT
 *
 * Offloads of a VM's adapters: recorded at any time, in force as the guest found them when its
 * driver bound, wherever it went since.
 */
#include "tests/unit/svc/fake_svc.h"

#include "tests/unit/base/cmocka_all.h"

#include <stdio.h>
#include <string.h>

#define CREATE                                                                                     \
	"{\"op\":\"vm.create\",\"name\":\"VM1\",\"kernel\":\"/k\",\"memory_bytes\":67108864,"      \
	"\"nics\":[{\"switch\":\"A\"},{\"switch\":\"B\"}]}"

static int set_up(void **state _unused_)
{
	fake_set_up();
	fake.svc.host = (struct host *)&fake; /* only ever looked at whether it is there */
	assert_string_equal(fake_ask(CREATE), "ok");
	return 0;
}

static int tear_down(void **state _unused_)
{
	fake_tear_down();
	return 0;
}

static const struct json *recorded(size_t at)
{
	const struct json *nics = json_get(fake_stored("vm/VM1"), "nics");

	return json_get(json_at(nics, at), "offload");
}

static const char *set(unsigned at, const char *settings)
{
	char text[400];

	snprintf(text, sizeof(text), "{\"op\":\"vm.nic.set\",\"vm\":\"VM1\",\"nic\":%u,\"set\":%s}",
		at, settings);
	return fake_ask(text);
}

/* Adapter `at` of VM1 as 'offload show' has it. */
static const struct json *shown(size_t at)
{
	assert_string_equal(fake_ask("{\"op\":\"offload.show\",\"vm\":\"VM1\"}"), "ok");
	assert_int_equal(json_length(json_get(fake.answer, "adapters")), 2);
	return json_at(json_get(fake.answer, "adapters"), at);
}

static void shows(size_t at, const char *key, const char *now, const char *next)
{
	const struct json *adapter = shown(at);

	assert_string_equal(json_get_string(adapter, key, ""), now);
	assert_string_equal(json_get_string(json_get(adapter, "next"), key, "the same"), next);
}

static const char *note(void)
{
	return json_get_string(fake.answer, "note", "");
}

static void those_of_a_vm_that_is_off_are_those_of_its_start(void **state _unused_)
{
	shows(0, "lso", "Enabled", "the same");
	assert_string_equal(set(0, "{\"offload\":{\"csum\":\"rx\"}}"), "ok");
	assert_string_equal(note(), "");
	shows(0, "tcp_checksum", "Rx Enabled", "the same");
	shows(0, "lso", "Disabled", "the same"); /* it needs checksums */
	shows(1, "tcp_checksum", "Rx & Tx Enabled", "the same");
	assert_string_equal(json_get_string(shown(0), "vm_state", ""), "Off");
	assert_null(json_get(shown(0), "next"));
}

static void those_of_a_running_guest_wait_for_its_next_start(void **state _unused_)
{
	fake_run("VM1");
	fake.switch_is_gone = false;
	assert_string_equal(set(0, "{\"offload\":{\"lso\":false}}"), "ok");
	assert_non_null(strstr(note(), "when VM1 starts next or its guest restarts"));
	assert_null(strchr(note(), '\n'));
	assert_null(fake.to_switch);
	assert_false(json_get_bool(recorded(0), "lso", true));
	assert_true(json_get_bool(json_at(fake.vm->offloads, 0), "lso", false));
	shows(0, "lso", "Enabled", "Disabled");
	shows(0, "rsc", "Enabled", "the same");
	shows(1, "lso", "Enabled", "the same");
	assert_null(json_get(shown(1), "next"));
	assert_string_equal(json_get_string(shown(0), "vm_state", ""), "Running");
	/* Something else has no such consequence; the same again has. */
	assert_string_equal(set(0, "{\"spoofing\":true}"), "ok");
	assert_string_equal(note(), "");
	assert_string_equal(set(0, "{\"offload\":{\"lso\":false}}"), "ok");
	assert_string_not_equal(note(), "");
	/* What is in force is no news, in whatever words. */
	assert_string_equal(set(0, "{\"offload\":{\"lso\":true}}"), "ok");
	assert_string_equal(note(), "");
	shows(0, "lso", "Enabled", "the same");
}

static void those_of_a_guest_that_came_from_elsewhere(void **state _unused_)
{
	assert_string_equal(set(0, "{\"offload\":{\"rss\":false}}"), "ok");
	fake_run("VM1");
	json_set_bool(json_at(fake.vm->offloads, 0), "rss", true);
	shows(0, "rss", "Enabled", "Disabled");
}

#define SAVED(epoch, offloads)                                                                     \
	"{\"epoch\":" epoch                                                                        \
	",\"state\":\"Saved\",\"volume\":\"V\",\"file\":\"F\",\"offloads\":" offloads "}"

static void save_with(const char *text)
{
	struct json *state = NULL;

	assert_int_equal(json_parse(text, strlen(text), &state), 0);
	fake_store("vmstate/VM1", state);
}

static void those_of_a_saved_guest_stay_with_it(void **state _unused_)
{
	static const char saved[] = SAVED("1", "[{\"csum\":\"tx\",\"lso\":true,\"rsc\":false,"
					       "\"rss\":true},{\"csum\":\"both\",\"lso\":true,"
					       "\"rsc\":true,\"rss\":true}]");
	static const char damaged[] = SAVED("2", "[{\"csum\":\"tx\"}]");

	save_with(saved);
	assert_string_equal(set(1, "{\"offload\":{\"rss\":false}}"), "ok");
	assert_non_null(strstr(note(), "starts without its saved state"));
	shows(0, "tcp_checksum", "Tx Enabled", "Rx & Tx Enabled");
	shows(1, "rss", "Enabled", "Disabled");
	fake_ask("{\"op\":\"vm.start\",\"vm\":\"VM1\"}");
	assert_int_equal(fake.n_started, 1);
	assert_string_equal(json_get_string(json_at(fake.started_with, 0), "csum", ""), "tx");
	assert_true(json_get_bool(json_at(fake.started_with, 1), "rss", false));

	save_with(damaged);
	shows(0, "tcp_checksum", "Rx & Tx Enabled", "the same");
	fake_ask("{\"op\":\"vm.start\",\"vm\":\"VM1\"}");
	assert_int_equal(fake.n_started, 2);
	assert_null(fake.started_with);
}

static void those_that_nobody_tells_are_unknown(void **state _unused_)
{
	struct json *vm_state = json_object_new();

	json_set_int(vm_state, "epoch", 0);
	json_set_string(vm_state, "state", "Running");
	fake_store("vmstate/VM1", vm_state);
	shows(0, "lso", "Unknown", "Enabled");
}

static void they_are_asked_where_the_vm_is(void **state _unused_)
{
	struct json *owner = json_object_new();

	json_set_int(owner, "node", 2);
	json_set_int(owner, "epoch", 3);
	fake_store("owner/vm/VM1", owner);
	fake_ask("{\"op\":\"offload.show\",\"vm\":\"VM1\"}");
	assert_string_equal(fake.forwarded, "host2");
	assert_string_equal(fake_ask("{\"op\":\"offload.show\"}"), "ok");
	assert_string_equal(fake.forwarded, "");
	for (size_t i = 0; i < json_length(json_get(fake.answer, "adapters")); i++)
		assert_string_equal(
			json_get_string(json_at(json_get(fake.answer, "adapters"), i), "of", ""),
			"host");
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		T(those_of_a_vm_that_is_off_are_those_of_its_start),
		T(those_of_a_running_guest_wait_for_its_next_start),
		T(those_of_a_guest_that_came_from_elsewhere),
		T(those_of_a_saved_guest_stay_with_it),
		T(those_that_nobody_tells_are_unknown),
		T(they_are_asked_where_the_vm_is),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
