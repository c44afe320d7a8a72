/* SPDX-License-Identifier: MIT */
#include "node/host/bindings.h"

#include "tests/unit/base/cmocka_all.h"
#include "tests/unit/host/host_rig.h"

#include <string.h>

#define STATE                                                                                      \
	"{\"version\":1,\"nics\":{\"eth1\":{\"ipv4\":{\"addresses\":[],\"routes\":[]}},\"eth2\":{" \
	"\"taken\":{\"switch\":\"A\",\"up\":true,\"arp\":true,\"components\":[]}}}}"

struct rig {
	char *folder;
	struct host *host;
	struct host_net net;
};

static int set_up(void **state)
{
	static struct rig rig;

	memset(&rig, 0, sizeof(rig));
	rig.folder = rig_folder_new();
	rig_write(rig.folder, "nic-bindings.json", STATE);
	assert_int_equal(host_new(rig.folder, &rig.host), 0);
	rig_add_nic(&rig.net, "eth0", HOST_NIC_PHYSICAL);
	rig_add_nic(&rig.net, "eth1", HOST_NIC_PHYSICAL);
	rig_add_nic(&rig.net, "eth2", HOST_NIC_PHYSICAL);
	rig_add_nic(&rig.net, "br0", HOST_NIC_BRIDGE);
	rig_add_nic(&rig.net, "bond0", HOST_NIC_TEAM);
	*state = &rig;
	return 0;
}

static int tear_down(void **state)
{
	struct rig *rig = *state;

	host_free(rig->host);
	host_net_fini(&rig->net);
	rig_folder_remove(rig->folder);
	return 0;
}

static struct host_bindings get(
	struct rig *rig, size_t nic, const struct host_use *uses, size_t n_uses)
{
	struct host_bindings b;

	host_bindings_get(rig->host, &rig->net, &rig->net.nics[nic], uses, n_uses, &b);
	return b;
}

static void ipv4_is_on_unless_something_keeps_it_off(void **state)
{
	const struct host_use uses[] = {{"A", "eth0"}};
	struct rig *rig = *state;

	assert_true(get(rig, 0, NULL, 0).enabled[HOST_IPV4]);
	assert_false(get(rig, 0, uses, 1).enabled[HOST_IPV4]);
	assert_false(get(rig, 1, NULL, 0).enabled[HOST_IPV4]);
	assert_true(get(rig, 1, NULL, 0).remembered[HOST_IPV4]);
	assert_false(get(rig, 2, NULL, 0).enabled[HOST_IPV4]);
	rig_add_address(&rig->net, 2, "10.0.0.1/24", 0);
	assert_true(get(rig, 1, NULL, 0).enabled[HOST_IPV4]);
}

static void members_are_seen(void **state)
{
	struct rig *rig = *state;
	struct host_bindings b;

	rig->net.nics[0].master_ifindex = 4;
	b = get(rig, 0, NULL, 0);
	assert_true(b.enabled[HOST_BRIDGE] && !b.enabled[HOST_TEAM] && !b.enabled[HOST_IPV4]);
	assert_string_equal(b.master, "br0");
	rig->net.nics[0].master_ifindex = 5;
	b = get(rig, 0, NULL, 0);
	assert_true(b.enabled[HOST_TEAM] && !b.enabled[HOST_BRIDGE]);
	rig->net.nics[0].master_ifindex = 99; /* gone meanwhile */
	b = get(rig, 0, NULL, 0);
	assert_false(b.enabled[HOST_TEAM] || b.enabled[HOST_BRIDGE]);
}

static bool judge(struct rig *rig, size_t nic, const struct host_use *uses, size_t n_uses,
	char problem[256], char cure[256])
{
	struct host_bindings b = get(rig, nic, uses, n_uses);

	problem[0] = cure[0] = '\0';
	return host_bindings_judge(&rig->net.nics[nic], &b, uses, n_uses, problem, cure, 256);
}

static void broken_invariants_have_a_cure(void **state)
{
	const struct host_use uses[] = {{"A", "eth0"}, {"B", "eth0"}};
	struct rig *rig = *state;
	char problem[256], cure[256];

	assert_true(judge(rig, 0, NULL, 0, problem, cure));
	assert_true(judge(rig, 0, uses, 1, problem, cure));
	assert_true(judge(rig, 1, uses, 2, problem, cure));

	rig_add_address(&rig->net, 1, "10.0.0.1/24", 0);
	rig->net.nics[0].ipv6 = true;
	assert_true(judge(rig, 0, NULL, 0, problem, cure));
	assert_false(judge(rig, 0, uses, 1, problem, cure));
	assert_non_null(strstr(problem, "ipv4, ipv6"));
	assert_string_equal(cure, "viaduct nic bindings --repair eth0");

	assert_false(judge(rig, 0, uses, 2, problem, cure));
	assert_non_null(strstr(problem, "switch A and of switch B"));

	assert_false(judge(rig, 2, NULL, 0, problem, cure));
	assert_string_equal(cure, "viaduct nic bindings --unbind eth2");
}

static void names_of_the_original_are_known(void **state _unused_)
{
	enum host_component component;

	for (int i = 0; i < HOST_N_COMPONENTS; i++) {
		assert_true(host_component_from_name(host_component_name(i), &component));
		assert_int_equal(component, i);
	}
	assert_true(host_component_from_name("vms_pp", &component));
	assert_int_equal(component, HOST_VIADUCT_SWITCH);
	assert_true(host_component_from_name("ms_tcpip6", &component));
	assert_int_equal(component, HOST_IPV6);
	assert_false(host_component_from_name("ms_tcp", &component));
	assert_false(host_component_from_name("", &component));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(
			ipv4_is_on_unless_something_keeps_it_off, set_up, tear_down),
		cmocka_unit_test_setup_teardown(members_are_seen, set_up, tear_down),
		cmocka_unit_test_setup_teardown(broken_invariants_have_a_cure, set_up, tear_down),
		cmocka_unit_test(names_of_the_original_are_known),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
