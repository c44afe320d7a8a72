/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "cluster/net.h"
#include "cluster/net_records.h"

enum { UNAVAILABLE, FAILED, UNREACHABLE, UP, UNKNOWN = -1 };

/* Three nodes with links 0 and 1 over 10.10.2.0/24 and 10.10.1.0/24, and 10.10.4.0/24 without one.
 */
static struct net_input three_nodes(void)
{
	static const uint32_t subnets[] = {0x0a0a0200, 0x0a0a0100, 0x0a0a0400};
	struct net_input in = {.n_nodes = 3};

	for (size_t i = 0; i < 3; i++) {
		struct net_node *node = &in.nodes[i];

		node->id = (uint32_t)i + 1;
		snprintf(node->name, sizeof(node->name), "node%zu", i + 1);
		node->is_member = node->is_reporting = true;
		node->link_address[0] = subnets[0] + (uint32_t)i + 1;
		node->link_address[1] = subnets[1] + (uint32_t)i + 1;
		for (size_t peer = 0; peer < 3; peer++) {
			node->reports[peer] = peer != i;
			node->reaches[peer] = 3;
		}
		for (size_t net = 0; net < 3; net++) {
			struct net_interface *interface = &in.interfaces[in.n_interfaces++];

			*interface = (struct net_interface){
				.node = i,
				.address = subnets[net] + (uint32_t)i + 1,
				.prefix_len = 24,
				.speed_mbps = 10000,
			};
			snprintf(interface->ifname, sizeof(interface->ifname), "eth%zu", net);
		}
	}
	return in;
}

/* Link 0 (10.10.2.0/24, the second network) between two nodes, as both see it. */
static void cut(struct net_input *in, size_t a, size_t b)
{
	in->nodes[a].reaches[b] &= 0xfe;
	in->nodes[b].reaches[a] &= 0xfe;
}

static struct cluster_net second_net(const struct net_input *in)
{
	struct cluster_net nets[CLUSTER_MAX_NETS];

	assert_int_equal(net_compute(in, nets, ARRAY_LEN(nets)), 3);
	assert_string_equal(nets[1].subnet, "10.10.2.0/24");
	return nets[1];
}

static void networks_are_found_and_named(void **state)
{
	struct net_input in = three_nodes();
	struct cluster_net nets[CLUSTER_MAX_NETS];

	(void)state;
	assert_int_equal(net_compute(&in, nets, ARRAY_LEN(nets)), 3);
	assert_string_equal(nets[0].subnet, "10.10.1.0/24");
	assert_string_equal(nets[0].name, "Cluster Network 1");
	assert_string_equal(nets[2].subnet, "10.10.4.0/24");
	assert_string_equal(nets[2].name, "Cluster Network 3");
	assert_int_equal(nets[0].n_interfaces, 3);
	assert_int_equal(nets[0].interfaces[2].node_id, 3);
	assert_string_equal(nets[0].interfaces[2].address, "10.10.1.3");
	assert_string_equal(nets[0].interfaces[2].ifname, "eth1");
	assert_int_equal(nets[0].role, CLUSTER_ROLE_CLUSTER_AND_CLIENT);
	assert_int_equal(net_compute(&in, nets, 2), 2);
	in.n_interfaces = 0;
	assert_int_equal(net_compute(&in, nets, 2), 0);
}

static void states_follow_the_matrix(void **state)
{
	static const struct {
		const char *what;
		int cuts[3][2];
		size_t n_cuts;
		unsigned down; /* bit per node */
		enum cluster_net_state net;
		int interfaces[3];
		const char *reason; /* part of it */
	} cases[] = {
		{"all well", {}, 0, 0, CLUSTER_NET_UP, {UP, UP, UP}, ""},
		{"one pair cut", {{0, 2}}, 1, 0, CLUSTER_NET_PARTITIONED,
			{UNREACHABLE, UP, UNREACHABLE}, "node1 and node3 do not reach each other"},
		{"one node cut off", {{0, 2}, {1, 2}}, 2, 0, CLUSTER_NET_PARTITIONED,
			{UP, UP, FAILED}, "nor do others"},
		{"nobody talks", {{0, 1}, {0, 2}, {1, 2}}, 3, 0, CLUSTER_NET_DOWN,
			{FAILED, FAILED, FAILED}, "no two nodes"},
		{"one node down", {}, 0, 4, CLUSTER_NET_UP, {UP, UP, UNAVAILABLE}, ""},
		{"one down, the others cut", {{0, 1}}, 1, 4, CLUSTER_NET_DOWN,
			{FAILED, FAILED, UNAVAILABLE}, "no two nodes"},
		{"one left", {}, 0, 6, CLUSTER_NET_UP, {UP, UNAVAILABLE, UNAVAILABLE}, ""},
		{"all down", {}, 0, 7, CLUSTER_NET_UNAVAILABLE,
			{UNAVAILABLE, UNAVAILABLE, UNAVAILABLE}, "down"},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct net_input in = three_nodes();
		struct cluster_net net;

		for (size_t c = 0; c < cases[i].n_cuts; c++)
			cut(&in, (size_t)cases[i].cuts[c][0], (size_t)cases[i].cuts[c][1]);
		for (size_t n = 0; n < 3; n++)
			in.nodes[n].is_member = !(cases[i].down & 1U << n);
		net = second_net(&in);
		if (net.state != cases[i].net || !strstr(net.reason, cases[i].reason))
			fail_msg("%s: state %d, reason '%s'", cases[i].what, net.state, net.reason);
		assert_true((net.reason[0] == '\0') == (net.state == CLUSTER_NET_UP));
		for (size_t n = 0; n < 3; n++) {
			if (net.interfaces[n].state != cases[i].interfaces[n])
				fail_msg("%s: interface of node %zu is %d", cases[i].what, n + 1,
					net.interfaces[n].state);
		}
	}
}

static void one_report_of_a_cut_is_enough(void **state)
{
	struct net_input in = three_nodes();

	(void)state;
	in.nodes[0].reaches[1] = 2;
	assert_int_equal(second_net(&in).state, CLUSTER_NET_PARTITIONED);
	/* A node whose daemon is away says nothing; its peers do. */
	for (size_t peer = 0; peer < 3; peer++)
		in.nodes[0].reports[peer] = false;
	assert_int_equal(second_net(&in).state, CLUSTER_NET_UP);
}

static void what_nobody_measures_is_unknown(void **state)
{
	struct net_input in = three_nodes();
	struct cluster_net nets[CLUSTER_MAX_NETS];

	(void)state;
	net_compute(&in, nets, ARRAY_LEN(nets));
	assert_int_equal(nets[2].state, CLUSTER_NET_UNKNOWN);
	assert_non_null(strstr(nets[2].reason, "no corosync link runs over it"));
	assert_int_equal(nets[2].interfaces[0].state, UNKNOWN);
	for (size_t i = 0; i < 3; i++)
		memset(in.nodes[i].reports, 0, sizeof(in.nodes[i].reports));
	assert_int_equal(second_net(&in).state, CLUSTER_NET_UNKNOWN);
	assert_non_null(strstr(second_net(&in).reason, "reported"));
}

static void metrics_are_by_role_and_speed_and_unique(void **state)
{
	struct net_input in = three_nodes();
	struct cluster_net nets[CLUSTER_MAX_NETS];

	(void)state;
	net_compute(&in, nets, ARRAY_LEN(nets));
	assert_int_equal(nets[0].metric, 80000 - 160);
	assert_int_equal(nets[1].metric, 80000 - 160 + 1);
	assert_int_equal(nets[2].metric, 80000 - 160 + 2);

	in.interfaces[0].speed_mbps = 1000; /* 10.10.2.1: the slowest one counts */
	in.overrides[in.n_overrides++] = (struct net_override){
		.subnet = 0x0a0a0100, .prefix_len = 24, .role = CLUSTER_ROLE_CLUSTER};
	in.overrides[in.n_overrides++] = (struct net_override){.subnet = 0x0a0a0400,
		.prefix_len = 24,
		.role = -1,
		.metric = 39840,
		.name = "Storage"};
	net_compute(&in, nets, ARRAY_LEN(nets));
	assert_int_equal(nets[0].metric, 39841); /* gives way to the one that was chosen */
	assert_true(nets[0].auto_metric);
	assert_int_equal(nets[1].metric, 80000 - 16);
	assert_int_equal(nets[2].metric, 39840);
	assert_false(nets[2].auto_metric);
	assert_string_equal(nets[2].name, "Storage");
}

static void override_at(struct net_input *in, uint32_t subnet, enum cluster_net_role role,
	uint32_t metric, int order)
{
	in->overrides[in->n_overrides++] = (struct net_override){
		.subnet = subnet,
		.prefix_len = 24,
		.role = (int)role,
		.metric = metric,
		.migration_order = order,
	};
}

/* Five networks, all with links: 10.0.1.0/24 to 10.0.5.0/24. */
static struct net_input five_networks(void)
{
	struct net_input in = {.n_nodes = 2};

	for (uint32_t node = 0; node < 2; node++) {
		in.nodes[node].id = node + 1;
		in.nodes[node].is_member = true;
		in.nodes[node].reports[1 - node] = true;
		in.nodes[node].reaches[1 - node] = 0xff;
		for (uint32_t net = 0; net < 5; net++) {
			uint32_t address = 0x0a000100 + (net << 8) + node + 1;

			in.nodes[node].link_address[net] = address;
			in.interfaces[in.n_interfaces++] = (struct net_interface){
				.node = node, .address = address, .prefix_len = 24};
		}
	}
	return in;
}

static void assert_choice(const struct net_input *in, const char *expected)
{
	struct cluster_net nets[CLUSTER_MAX_NETS], chosen[CLUSTER_MAX_NETS];
	size_t n = net_compute(in, nets, ARRAY_LEN(nets));
	char text[64] = "";

	n = net_choose_migration(in, nets, n, 1, 2, chosen, ARRAY_LEN(chosen));
	for (size_t i = 0; i < n; i++)
		strncat(text, &chosen[i].subnet[5], 1);
	assert_string_equal(text, expected);
}

static void migration_networks_are_chosen(void **state)
{
	struct net_input in = five_networks();

	(void)state;
	/* Metrics ascend with the number: the second lowest first, the lowest last. */
	assert_choice(&in, "23451");
	override_at(&in, 0x0a000500, CLUSTER_ROLE_CLUSTER, 0, 0);
	/* Cluster only has the lowest metric now, and so carries the heartbeats. */
	assert_choice(&in, "12345");
	override_at(&in, 0x0a000400, CLUSTER_ROLE_CLUSTER, 0, 0);
	/* 4 is the heartbeat, 5 cluster only too, then the others. */
	assert_choice(&in, "51234");
	override_at(&in, 0x0a000300, CLUSTER_ROLE_NONE, 0, 0);
	assert_choice(&in, "5124");
	override_at(&in, 0x0a000200, CLUSTER_ROLE_CLUSTER_AND_CLIENT, 0, -1);
	assert_choice(&in, "514");
}

static void migration_order_comes_first(void **state)
{
	struct net_input in = five_networks();

	(void)state;
	override_at(&in, 0x0a000400, CLUSTER_ROLE_CLUSTER_AND_CLIENT, 0, 1);
	override_at(&in, 0x0a000300, CLUSTER_ROLE_NONE, 0, 2);
	override_at(&in, 0x0a000100, CLUSTER_ROLE_CLUSTER_AND_CLIENT, 0, 3);
	assert_choice(&in, "43125");
	/* Only what works between the two. */
	in.nodes[0].reaches[1] = (uint8_t) ~(1U << 3);
	assert_choice(&in, "3125");
	in.nodes[1].is_member = false;
	assert_choice(&in, "");
}

static void nobody_migrates_to_itself_or_to_strangers(void **state)
{
	struct net_input in = five_networks();
	struct cluster_net nets[CLUSTER_MAX_NETS], chosen[CLUSTER_MAX_NETS];
	size_t n = net_compute(&in, nets, ARRAY_LEN(nets));

	(void)state;
	assert_int_equal(net_choose_migration(&in, nets, n, 1, 1, chosen, 16), 0);
	assert_int_equal(net_choose_migration(&in, nets, n, 1, 9, chosen, 16), 0);
	assert_int_equal(net_choose_migration(&in, nets, n, 1, 2, chosen, 2), 2);
}

static void store_text(struct store *store, const char *key, const char *value)
{
	assert_int_equal(store_put(store, key, strlen(key), value, strlen(value), 1), 0);
}

static void records_are_read(void **state)
{
	struct net_input in = {.n_nodes = 2,
		.nodes = {{.id = 1, .name = "node1", .is_member = true, .is_reporting = true},
			{.id = 2, .name = "node2", .is_member = true}}};
	struct store *store;

	(void)state;
	assert_int_equal(store_new(&store), 0);
	store_text(store, "netif/node1",
		"{\"interfaces\":[{\"name\":\"eth0\",\"address\":\"10.1.0.1\",\"prefix\":16,"
		"\"speed_mbps\":2500}]}");
	store_text(
		store, "links/node1", "{\"addresses\":[\"10.1.0.1\"],\"reaches\":{\"2\":[0,7]}}");
	store_text(store, "links/node2", "{\"addresses\":[\"10.1.0.2\"],\"reaches\":{\"1\":[0]}}");
	store_text(store, "net/10.1.0.0/16",
		"{\"name\":\"Blue\",\"role\":1,\"metric\":7,\"migration_order\":-1}");
	net_records_read(store, &in);
	assert_int_equal(in.n_interfaces, 1);
	assert_int_equal(in.interfaces[0].speed_mbps, 2500);
	assert_int_equal(in.interfaces[0].prefix_len, 16);
	assert_true(in.nodes[0].reports[1]);
	assert_int_equal(in.nodes[0].reaches[1], 0x81);
	assert_int_equal(in.nodes[1].link_address[0], 0x0a010002);
	assert_false(in.nodes[1].reports[0]); /* its daemon is away */
	assert_int_equal(in.n_overrides, 1);
	assert_string_equal(in.overrides[0].name, "Blue");
	assert_int_equal(in.overrides[0].subnet, 0x0a010000);
	assert_int_equal(in.overrides[0].migration_order, -1);
	store_free(store);
}

static void nonsense_in_records_is_left_out(void **state)
{
	static const char *const records[][2] = {
		{"netif/node1", "[1,2]"},
		{"netif/node1", "{\"interfaces\":7}"},
		{"netif/node1", "{\"interfaces\":[null,{},{\"name\":\"\",\"address\":\"1.2.3.4\","
				"\"prefix\":8},{\"name\":\"a\",\"address\":\"1.2.3\",\"prefix\":8},"
				"{\"name\":\"a\",\"address\":\"1.2.3.4\",\"prefix\":33},"
				"{\"name\":\"a\\u0007\",\"address\":\"1.2.3.4\",\"prefix\":8},"
				"{\"name\":\"12345678901234567890123456789012\","
				"\"address\":\"1.2.3.4\",\"prefix\":8}]}"},
		{"links/node1", "\"up\""},
		{"links/node1", "{\"addresses\":[1,null,\"::1\",\"300.1.1.1\"],\"reaches\":[]}"},
		{"links/node1", "{\"reaches\":{\"2\":[8,-1,null,99999999999]}}"},
		{"net/10.0.0.0", "{}"},
		{"net/10.0.0.0/", "{}"},
		{"net/10.0.0.0/0", "{}"},
		{"net/10.0.0.0/33", "{}"},
		{"net/10.0.0.0/24x", "{}"},
		{"net/10.0.0/24", "{}"},
		{"net/x", "{}"},
	};
	static const char *const worthless[] = {"null", "[]", "{\"name\":7,\"role\":\"x\"}",
		"{\"role\":2,\"metric\":-5,\"migration_order\":99}",
		"{\"role\":9,\"metric\":4294967297,\"name\":\"\\n\"}"};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(records); i++) {
		struct net_input in = {.n_nodes = 2,
			.nodes = {{.id = 1, .name = "node1", .is_reporting = true},
				{.id = 2, .name = "node2"}}};
		struct store *store;

		assert_int_equal(store_new(&store), 0);
		store_text(store, records[i][0], records[i][1]);
		net_records_read(store, &in);
		assert_int_equal(in.n_interfaces, 0);
		assert_int_equal(in.n_overrides, 0);
		assert_int_equal(in.nodes[0].reaches[1], 0);
		assert_int_equal(in.nodes[0].link_address[0], 0);
		store_free(store);
	}
	for (size_t i = 0; i < ARRAY_LEN(worthless); i++) {
		struct net_input in = {};
		struct store *store;

		assert_int_equal(store_new(&store), 0);
		store_text(store, "net/10.0.0.0/24", worthless[i]);
		net_records_read(store, &in);
		assert_int_equal(in.n_overrides, 1);
		assert_string_equal(in.overrides[0].name, "");
		assert_int_equal(in.overrides[0].role, -1);
		assert_int_equal(in.overrides[0].metric, 0);
		assert_int_equal(in.overrides[0].migration_order, 0);
		store_free(store);
	}
}

static void rows_and_interfaces_come_back_from_json(void **state)
{
	const struct net_row row = {
		.address = {0x0a010001, 0, 0x0a030001}, .peers = {{2, 5}, {3, 0}}, .n_peers = 2};
	const struct net_interface interface = {
		.ifname = "eth0", .address = 0x0a010001, .prefix_len = 24, .speed_mbps = 1000};
	_cleanup_json_ struct json *links = net_row_to_json(&row);
	_cleanup_json_ struct json *netif = net_interfaces_to_json(&interface, 1);
	_cleanup_free_ char *links_text = json_dump(links, 0);
	_cleanup_free_ char *netif_text = json_dump(netif, 0);
	struct net_input in = {.n_nodes = 3,
		.nodes = {{.id = 1, .name = "node1", .is_reporting = true}, {.id = 2}, {.id = 3}}};
	struct store *store;

	(void)state;
	assert_string_equal(links_text, "{\"addresses\":[\"10.1.0.1\",\"\",\"10.3.0.1\"],"
					"\"reaches\":{\"2\":[0,2],\"3\":[]}}");
	assert_string_equal(netif_text,
		"{\"interfaces\":[{\"name\":\"eth0\",\"address\":\"10.1.0.1\",\"prefix\":24,"
		"\"speed_mbps\":1000}]}");
	assert_int_equal(store_new(&store), 0);
	store_text(store, "links/node1", links_text);
	store_text(store, "netif/node1", netif_text);
	net_records_read(store, &in);
	assert_int_equal(in.nodes[0].link_address[2], 0x0a030001);
	assert_int_equal(in.nodes[0].reaches[1], 5);
	assert_true(in.nodes[0].reports[2]);
	assert_int_equal(in.nodes[0].reaches[2], 0);
	assert_int_equal(in.n_interfaces, 1);
	assert_string_equal(in.interfaces[0].ifname, "eth0");
	store_free(store);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(networks_are_found_and_named),
		cmocka_unit_test(states_follow_the_matrix),
		cmocka_unit_test(one_report_of_a_cut_is_enough),
		cmocka_unit_test(what_nobody_measures_is_unknown),
		cmocka_unit_test(metrics_are_by_role_and_speed_and_unique),
		cmocka_unit_test(migration_networks_are_chosen),
		cmocka_unit_test(migration_order_comes_first),
		cmocka_unit_test(nobody_migrates_to_itself_or_to_strangers),
		cmocka_unit_test(records_are_read),
		cmocka_unit_test(nonsense_in_records_is_left_out),
		cmocka_unit_test(rows_and_interfaces_come_back_from_json),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
