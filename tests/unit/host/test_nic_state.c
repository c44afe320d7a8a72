/* SPDX-License-Identifier: MIT */
#include "node/host/nic_state.h"

#include "node/host/nic.h"
#include "tests/unit/base/cmocka_all.h"
#include "tests/unit/host/host_rig.h"

#include <string.h>

#define FILE_NAME "nic-bindings.json"

static int set_up(void **state)
{
	*state = rig_folder_new();
	return 0;
}

static int tear_down(void **state)
{
	rig_folder_remove(*state);
	return 0;
}

static struct json *parse(const char *text)
{
	struct json *j = NULL;

	assert_int_equal(json_parse(text, strlen(text), &j), 0);
	return j;
}

static void what_was_saved_is_there_again(void **state)
{
	struct nic_state *s;
	const char *master;

	assert_int_equal(nic_state_load(*state, &s), 0);
	assert_null(nic_state_get(s, "eth0", "bridge"));
	assert_int_equal(nic_state_put(s, "eth0", "bridge", parse("{\"master\":\"br0\"}")), 0);
	assert_int_equal(nic_state_put(s, "eth0", "ipv4",
				 parse("{\"addresses\":[{\"address\":\"10.0.0.1/24\"}],\"routes\":"
				       "[{\"to\":\"0.0.0.0/0\",\"via\":\"10.0.0.254\"}]}")),
		0);
	assert_int_equal(nic_state_save(s), 0);
	nic_state_free(s);

	assert_int_equal(nic_state_load(*state, &s), 0);
	master = json_get_string(nic_state_get(s, "eth0", "bridge"), "master", "");
	assert_string_equal(master, "br0");
	assert_int_equal(json_length(json_get(nic_state_get(s, "eth0", "ipv4"), "routes")), 1);
	assert_int_equal(nic_state_put(s, "eth0", "bridge", NULL), 0);
	assert_int_equal(nic_state_put(s, "eth0", "ipv4", NULL), 0);
	assert_int_equal(nic_state_save(s), 0);
	assert_null(nic_state_get(s, "eth0", "ipv4"));
	nic_state_free(s);
}

static void what_was_not_saved_is_forgotten(void **state)
{
	struct nic_state *s;

	assert_int_equal(nic_state_load(*state, &s), 0);
	assert_int_equal(nic_state_put(s, "eth0", "team", parse("{\"master\":\"bond0\"}")), 0);
	assert_non_null(nic_state_get(s, "eth0", "team"));
	nic_state_reload(s);
	assert_null(nic_state_get(s, "eth0", "team"));
	nic_state_free(s);
}

static void damaged_files_are_refused(void **state)
{
	static const char *const files[] = {
		"",
		"[]",
		"{}",
		"{\"version\":1}",
		"{\"version\":2,\"nics\":{}}",
		"{\"version\":1,\"nics\":[]}",
		"{\"version\":1,\"nics\":{\"a/b\":{}}}",
		"{\"version\":1,\"nics\":{\"eth0\":7}}",
		"{\"version\":1,\"nics\":{\"eth0\":{\"odd\":{}}}}",
		"{\"version\":1,\"nics\":{\"eth0\":{\"bridge\":{\"master\":\"../x\"}}}}",
		"{\"version\":1,\"nics\":{\"eth0\":{\"ipv4\":{\"addresses\":[]}}}}",
		"{\"version\":1,\"nics\":{\"eth0\":{\"ipv4\":{\"addresses\":[{\"address\":\"10.0.0."
		"1/"
		"33\"}],\"routes\":[]}}}}",
		"{\"version\":1,\"nics\":{\"eth0\":{\"ipv4\":{\"addresses\":[{\"address\":\"fd00::"
		"1/"
		"64\"}],\"routes\":[]}}}}",
		"{\"version\":1,\"nics\":{\"eth0\":{\"ipv6\":{\"addresses\":[],\"routes\":[{\"to\":"
		"\"::/0\",\"via\":\"10.0.0.1\"}]}}}}",
		"{\"version\":1,\"nics\":{\"eth0\":{\"taken\":{\"switch\":\"A\"}}}}",
		"{\"version\":1,\"nics\":{\"eth0\":{\"taken\":{\"switch\":\"A\",\"up\":true,"
		"\"arp\":"
		"true,\"components\":[7]}}}}",
		"{\"version\":1,\"nics\":{\"eth0\":{}}",
	};
	struct nic_state *s;

	for (size_t i = 0; i < ARRAY_LEN(files); i++) {
		rig_write(*state, FILE_NAME, files[i]);
		assert_int_equal(nic_state_load(*state, &s), -EBADMSG);
	}
}

static void wrong_values_are_not_taken(void **state)
{
	struct nic_state *s;

	assert_int_equal(nic_state_load(*state, &s), 0);
	assert_int_equal(nic_state_put(s, "eth0", "odd", parse("{}")), -EINVAL);
	assert_int_equal(nic_state_put(s, "..", "bridge", parse("{\"master\":\"br0\"}")), -EINVAL);
	assert_int_equal(nic_state_put(s, "eth0", "taken", parse("{}")), -EINVAL);
	assert_int_equal(nic_state_put(s, "eth0", "ipv4", parse("{}")), -EINVAL);
	nic_state_free(s);
}

static void addresses_and_routes_survive_as_text(void **state _unused_)
{
	static const char *const addresses[] = {"{\"address\":\"10.0.0.1/24\",\"broadcast\":"
						"\"10.0.0.255\",\"scope\":0,\"flags\":128,"
						"\"metric\":7}",
		"{\"address\":\"fd00::1/64\",\"scope\":0,\"flags\":0,\"valid_s\":9,"
		"\"preferred_s\":8}",
		"{\"address\":\"10.0.0.1/32\",\"peer\":\"10.0.0.2/32\",\"scope\":0,\"flags\":0}"};
	static const char *const routes[] = {"{\"to\":\"10.9.0.0/16\",\"via\":\"10.0.0.254\","
					     "\"source\":\"10.0.0.1\",\"metric\":5,\"protocol\":3,"
					     "\"scope\":0}",
		"{\"to\":\"::/"
		"0\",\"via\":\"fd00::ff\",\"metric\":1024,\"protocol\":3,\"scope\":0}"};
	struct host_address address;
	struct host_route route;

	for (size_t i = 0; i < ARRAY_LEN(addresses); i++) {
		_cleanup_json_ struct json *in = parse(addresses[i]), *out = NULL;
		_cleanup_free_ char *text = NULL;

		assert_int_equal(host_address_from_json(in, &address), 0);
		out = host_address_to_json(&address);
		text = json_dump(out, 0);
		assert_string_equal(text, addresses[i]);
	}
	for (size_t i = 0; i < ARRAY_LEN(routes); i++) {
		_cleanup_json_ struct json *in = parse(routes[i]), *out = NULL;
		_cleanup_free_ char *text = NULL;

		assert_int_equal(host_route_from_json(in, &route), 0);
		out = host_route_to_json(&route);
		text = json_dump(out, 0);
		assert_string_equal(text, routes[i]);
	}
}

static void wrong_addresses_are_refused(void **state _unused_)
{
	static const char *const wrong[] = {"{}", "{\"address\":7}", "{\"address\":\"10.0.0.1\"}",
		"{\"address\":\"10.0.0.1/\"}", "{\"address\":\"10.0.0.1/-1\"}",
		"{\"address\":\"10.0.0.1/24x\"}", "{\"address\":\"10.0.0.256/24\"}",
		"{\"address\":\"/24\"}", "{\"address\":\"fd00::1/129\"}",
		"{\"address\":\"10.0.0.1/24\",\"metric\":-1}",
		"{\"address\":\"10.0.0.1/24\",\"metric\":4294967296}",
		"{\"address\":\"10.0.0.1/24\",\"flags\":\"x\"}",
		"{\"address\":\"10.0.0.1/24\",\"scope\":256}",
		"{\"address\":\"10.0.0.1/24\",\"peer\":\"fd00::1/24\"}",
		"{\"address\":\"fd00::1/64\",\"broadcast\":\"10.0.0.255\"}"};
	struct host_address address;

	for (size_t i = 0; i < ARRAY_LEN(wrong); i++) {
		_cleanup_json_ struct json *j = parse(wrong[i]);

		assert_int_equal(host_address_from_json(j, &address), -EBADMSG);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(what_was_saved_is_there_again, set_up, tear_down),
		cmocka_unit_test_setup_teardown(what_was_not_saved_is_forgotten, set_up, tear_down),
		cmocka_unit_test_setup_teardown(damaged_files_are_refused, set_up, tear_down),
		cmocka_unit_test_setup_teardown(wrong_values_are_not_taken, set_up, tear_down),
		cmocka_unit_test(addresses_and_routes_survive_as_text),
		cmocka_unit_test(wrong_addresses_are_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
