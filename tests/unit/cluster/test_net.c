/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "cluster/net_path.h"
#include "cluster/net_records.h"

enum { UNAVAILABLE, FAILED, UNREACHABLE, UP, UNKNOWN = -1 };

static struct net_addr ip(const char *text)
{
	struct net_addr addr;

	assert_true(net_addr_parse(text, &addr));
	return addr;
}

static struct net_addr host(const char *prefix, size_t number)
{
	char text[NET_ADDR_TEXT_BYTES];

	snprintf(text, sizeof(text), "%s%zu", prefix, number);
	return ip(text);
}

static struct net_subnet subnet(const char *text)
{
	struct net_subnet parsed;

	assert_true(net_subnet_parse(text, &parsed));
	return parsed;
}

/* Three nodes with links 0 and 1 over 10.10.2.0/24 and 10.10.1.0/24, and without a link
 * 10.10.4.0/24, where nobody has probed yet. */
static struct net_input three_nodes(void)
{
	static const char *const prefixes[] = {"10.10.2.", "10.10.1.", "10.10.4."};
	struct net_input in = {.n_nodes = 3};

	for (size_t i = 0; i < 3; i++) {
		struct net_node *node = &in.nodes[i];

		node->id = (uint32_t)i + 1;
		snprintf(node->name, sizeof(node->name), "node%zu", i + 1);
		node->is_member = node->is_reporting = true;
		for (size_t link = 0; link < 2; link++)
			node->link_address[link] = host(prefixes[link], i + 1);
		for (size_t peer = 0; peer < 3; peer++) {
			node->reports[peer] = peer != i;
			node->reaches[peer] = 3;
		}
		for (size_t net = 0; net < 3; net++) {
			struct net_interface *interface = &in.interfaces[in.n_interfaces++];

			*interface = (struct net_interface){
				.node = i,
				.address = host(prefixes[net], i + 1),
				.prefix_len = 24,
				.speed_mbps = 10000,
			};
			snprintf(interface->ifname, sizeof(interface->ifname), "eth%zu", net);
		}
	}
	return in;
}

/* Probes of 10.10.4.0/24, all answered. */
static void probe(struct net_input *in)
{
	for (size_t i = 0; i < 3; i++) {
		in->nodes[i].probed[0] = (struct net_probed){
			.subnet = subnet("10.10.4.0/24"), .reached = 7U & ~(1U << i)};
		in->nodes[i].n_probed = 1;
	}
}

/* Link 0 (10.10.2.0/24, the second network) and the probes of the third between two nodes, as both
 * see it. */
static void cut(struct net_input *in, size_t a, size_t b)
{
	in->nodes[a].reaches[b] &= 0xfe;
	in->nodes[b].reaches[a] &= 0xfe;
	in->nodes[a].probed[0].reached &= ~(1ULL << b);
	in->nodes[b].probed[0].reached &= ~(1ULL << a);
	in->nodes[a].probed[0].lost |= 1ULL << b;
	in->nodes[b].probed[0].lost |= 1ULL << a;
}

static struct cluster_net nth_net(const struct net_input *in, size_t n)
{
	struct cluster_net nets[CLUSTER_MAX_NETS];

	assert_int_equal(net_compute(in, nets, ARRAY_LEN(nets)), 3);
	return nets[n];
}

static struct cluster_net second_net(const struct net_input *in)
{
	struct cluster_net net = nth_net(in, 1);

	assert_string_equal(net.subnet, "10.10.2.0/24");
	return net;
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
			{UNREACHABLE, UP, UNREACHABLE}, "node1 cannot reach node3 on it"},
		{"one node cut off", {{0, 2}, {1, 2}}, 2, 0, CLUSTER_NET_PARTITIONED,
			{UP, UP, FAILED},
			"node1 cannot reach node3 on it, and 1 other pair cannot talk"},
		{"nobody talks", {{0, 1}, {0, 2}, {1, 2}}, 3, 0, CLUSTER_NET_DOWN,
			{FAILED, FAILED, FAILED},
			"node1 cannot reach node2 on it, and 2 other pairs cannot talk"},
		{"one node down", {}, 0, 4, CLUSTER_NET_UP, {UP, UP, UNAVAILABLE}, ""},
		{"one down, the others cut", {{0, 1}}, 1, 4, CLUSTER_NET_DOWN,
			{FAILED, FAILED, UNAVAILABLE}, "node1 cannot reach node2 on it"},
		{"one left", {}, 0, 6, CLUSTER_NET_UP, {UP, UNAVAILABLE, UNAVAILABLE}, ""},
		{"all down", {}, 0, 7, CLUSTER_NET_UNAVAILABLE,
			{UNAVAILABLE, UNAVAILABLE, UNAVAILABLE}, "down"},
	};

	(void)state;
	for (size_t i = 0; i < 2 * ARRAY_LEN(cases); i++) {
		__typeof__(&cases[0]) c = &cases[i / 2];
		struct net_input in = three_nodes();
		struct cluster_net net;

		probe(&in);
		for (size_t k = 0; k < c->n_cuts; k++)
			cut(&in, (size_t)c->cuts[k][0], (size_t)c->cuts[k][1]);
		for (size_t n = 0; n < 3; n++)
			in.nodes[n].is_member = !(c->down & 1U << n);
		net = nth_net(&in, 1 + i % 2); /* by its link, by probes */
		if (net.state != c->net || !strstr(net.reason, c->reason))
			fail_msg("%s, %s: state %d, reason '%s'", c->what, net.subnet, net.state,
				net.reason);
		assert_true((net.reason[0] == '\0') == (net.state == CLUSTER_NET_UP));
		for (size_t n = 0; n < 3; n++) {
			if (net.interfaces[n].state != c->interfaces[n])
				fail_msg("%s, %s: interface of node %zu is %d", c->what, net.subnet,
					n + 1, net.interfaces[n].state);
		}
	}
}

/* A ring of five of which one link is cut, two halves, one switched off, ... */
static void five_nodes_follow_the_matrix(void **state)
{
	static const struct {
		const char *what;
		uint64_t lost[5];
		unsigned down, off; /* bit per node */
		enum cluster_net_state net;
		int interfaces[5];
		const char *reason;
	} cases[] = {
		{"one pair", {1 << 1}, 0, 0, CLUSTER_NET_PARTITIONED,
			{UNREACHABLE, UNREACHABLE, UP, UP, UP}, "n1 cannot reach n2 on it"},
		{"one way", {0, 1 << 0}, 0, 0, CLUSTER_NET_PARTITIONED,
			{UNREACHABLE, UNREACHABLE, UP, UP, UP}, "n2 cannot reach n1 on it"},
		{"halves", {0x1c, 0x1c}, 0, 0, CLUSTER_NET_PARTITIONED,
			{UNREACHABLE, UNREACHABLE, UNREACHABLE, UNREACHABLE, UNREACHABLE},
			"and 5 other pairs"},
		{"one cut off", {0x1e}, 0, 0, CLUSTER_NET_PARTITIONED, {FAILED, UP, UP, UP, UP},
			"and 3 other pairs"},
		{"two cut off", {0x1e, 0x1c}, 0, 0, CLUSTER_NET_PARTITIONED,
			{FAILED, FAILED, UP, UP, UP}, "and 6 other pairs"},
		{"one pair left", {0x1e, 0x1c, 0x18}, 0, 0, CLUSTER_NET_PARTITIONED,
			{FAILED, FAILED, FAILED, UP, UP}, "and 8 other pairs"},
		{"none left", {0x1e, 0x1c, 0x18, 0x10}, 0, 0, CLUSTER_NET_DOWN,
			{FAILED, FAILED, FAILED, FAILED, FAILED}, "and 9 other pairs"},
		{"switched off", {}, 0, 1, CLUSTER_NET_PARTITIONED, {FAILED, UP, UP, UP, UP},
			"n1 cannot reach n2 on it, and 3 other pairs"},
		{"a node down and a pair cut", {1 << 1}, 0x10, 0, CLUSTER_NET_PARTITIONED,
			{UNREACHABLE, UNREACHABLE, UP, UP, UNAVAILABLE}, "n1 cannot reach n2"},
		{"what lost a node that is down is well", {1 << 4}, 0x10, 0, CLUSTER_NET_UP,
			{UP, UP, UP, UP, UNAVAILABLE}, ""},
		{"the last one is off", {}, 0x1e, 1, CLUSTER_NET_DOWN,
			{FAILED, UNAVAILABLE, UNAVAILABLE, UNAVAILABLE, UNAVAILABLE},
			"switched off"},
	};

	(void)state;
	for (size_t c = 0; c < ARRAY_LEN(cases); c++) {
		struct net_input in = {.n_nodes = 5, .n_interfaces = 5};
		struct cluster_net net;

		for (size_t i = 0; i < 5; i++) {
			struct net_node *node = &in.nodes[i];

			node->id = (uint32_t)i + 1;
			snprintf(node->name, sizeof(node->name), "n%zu", i + 1);
			node->is_reporting = node->is_member = !(cases[c].down & 1U << i);
			node->n_probed = 1;
			node->probed[0] = (struct net_probed){.subnet = subnet("fd00:1::/64"),
				.reached = 0x1fU & ~(1U << i) & ~cases[c].lost[i],
				.lost = cases[c].lost[i]};
			in.interfaces[i] = (struct net_interface){.node = i,
				.address = host("fd00:1::", i + 1),
				.prefix_len = 64,
				.is_down = cases[c].off & 1U << i};
		}
		assert_int_equal(net_compute(&in, &net, 1), 1);
		assert_string_equal(net.subnet, "fd00:1::/64");
		if (net.state != cases[c].net || !strstr(net.reason, cases[c].reason))
			fail_msg("%s: state %d, reason '%s'", cases[c].what, net.state, net.reason);
		for (size_t i = 0; i < 5; i++) {
			if (net.interfaces[i].state != cases[c].interfaces[i])
				fail_msg("%s: interface of n%zu is %d", cases[c].what, i + 1,
					net.interfaces[i].state);
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
	assert_non_null(strstr(nets[2].reason, "reported whom it reaches"));
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
		.subnet = subnet("10.10.1.0/24"), .role = CLUSTER_ROLE_CLUSTER};
	in.overrides[in.n_overrides++] = (struct net_override){
		.subnet = subnet("10.10.4.0/24"), .role = -1, .metric = 39840, .name = "Storage"};
	net_compute(&in, nets, ARRAY_LEN(nets));
	assert_int_equal(nets[0].metric, 39841); /* gives way to the one that was chosen */
	assert_true(nets[0].auto_metric);
	assert_int_equal(nets[1].metric, 80000 - 16);
	assert_int_equal(nets[2].metric, 39840);
	assert_false(nets[2].auto_metric);
	assert_string_equal(nets[2].name, "Storage");

	/* What one of them cannot do does not count; a metric does not fall below 1. */
	for (size_t i = 1; i < in.n_interfaces; i++)
		in.interfaces[i].has_rss = true;
	net_compute(&in, nets, ARRAY_LEN(nets));
	assert_int_equal(nets[1].metric, 80000 - 16);
	in.interfaces[0].has_rss = in.interfaces[0].has_rdma = true;
	for (size_t i = 1; i < in.n_interfaces; i++)
		in.interfaces[i].has_rdma = true;
	net_compute(&in, nets, ARRAY_LEN(nets));
	assert_int_equal(nets[1].metric, 80000 - 9600 - 19200 - 16);
	assert_int_equal(nets[0].metric, 40000 - 9600 - 19200 - 160);
	for (size_t i = 0; i < in.n_interfaces; i++)
		in.interfaces[i].speed_mbps = 100000000;
	net_compute(&in, nets, ARRAY_LEN(nets));
	assert_int_equal(nets[0].metric, 1);
	assert_int_equal(nets[1].metric, 2);
}

static void override_at(
	struct net_input *in, const char *text, enum cluster_net_role role, int order)
{
	in->overrides[in->n_overrides++] =
		(struct net_override){.subnet = subnet(text), .role = (int)role};
	if (order > 0) {
		in->migration.order[order - 1] = subnet(text);
		in->migration.n_order = MAX(in->migration.n_order, (size_t)order);
	} else if (order < 0) {
		in->migration.excluded[in->migration.n_excluded++] = subnet(text);
	}
}

/* Five networks, all with links: 10.0.1.0/24 to 10.0.5.0/24. */
static struct net_input five_networks(void)
{
	struct net_input in = {.n_nodes = 2};

	for (uint32_t node = 0; node < 2; node++) {
		in.nodes[node].id = node + 1;
		snprintf(in.nodes[node].name, sizeof(in.nodes[node].name), "node%u", node + 1);
		in.nodes[node].is_member = true;
		in.nodes[node].reports[1 - node] = true;
		in.nodes[node].reaches[1 - node] = 0xff;
		for (uint32_t net = 0; net < 5; net++) {
			char text[NET_ADDR_TEXT_BYTES];

			snprintf(text, sizeof(text), "10.0.%u.%u", net + 1, node + 1);
			in.nodes[node].link_address[net] = ip(text);
			in.interfaces[in.n_interfaces++] = (struct net_interface){
				.node = node, .address = ip(text), .prefix_len = 24};
		}
	}
	return in;
}

/* The usable ones in order; behind '|' those that are allowed but do not work, behind '!' the
 * others. */
static void assert_plan(const struct net_input *in, enum cluster_class class, const char *expected)
{
	struct cluster_net nets[CLUSTER_MAX_NETS];
	struct cluster_path paths[CLUSTER_MAX_NETS];
	size_t n = net_compute(in, nets, ARRAY_LEN(nets));
	char text[64] = "";

	assert_int_equal(net_path_plan(in, nets, n, class, 1, 2, paths), n);
	for (size_t i = 0; i < n; i++) {
		assert_true(paths[i].why[0]);
		if (paths[i].is_usable)
			assert_true(paths[i].is_allowed);
		else
			strcat(text, paths[i].is_allowed ? "|" : "!");
		strncat(text, &nets[paths[i].net].subnet[5], 1);
	}
	assert_string_equal(text, expected);
}

static const char *why(const struct net_input *in, enum cluster_class class, size_t net)
{
	static struct cluster_path paths[CLUSTER_MAX_NETS];
	struct cluster_net nets[CLUSTER_MAX_NETS];
	size_t n = net_compute(in, nets, ARRAY_LEN(nets));

	net_path_plan(in, nets, n, class, 1, 2, paths);
	for (size_t i = 0; i < n; i++) {
		if (paths[i].net == net - 1)
			return paths[i].why;
	}
	return "";
}

static void migration_networks_are_chosen(void **state)
{
	struct net_input in = five_networks();

	(void)state;
	/* Metrics ascend with the number: the second lowest first, the lowest last. */
	assert_plan(&in, CLUSTER_CLASS_MIGRATION, "23451");
	assert_non_null(strstr(why(&in, CLUSTER_CLASS_MIGRATION, 1), "the lowest"));
	override_at(&in, "10.0.5.0/24", CLUSTER_ROLE_CLUSTER, 0);
	/* Cluster only has the lowest metric now, and so carries the heartbeats. */
	assert_plan(&in, CLUSTER_CLASS_MIGRATION, "12345");
	override_at(&in, "10.0.4.0/24", CLUSTER_ROLE_CLUSTER, 0);
	/* 4 is the heartbeat, 5 cluster only too, then the others. */
	assert_plan(&in, CLUSTER_CLASS_MIGRATION, "51234");
	override_at(&in, "10.0.3.0/24", CLUSTER_ROLE_NONE, 0);
	assert_plan(&in, CLUSTER_CLASS_MIGRATION, "5124!3");
	assert_string_equal(why(&in, CLUSTER_CLASS_MIGRATION, 3), "its role is None");
	override_at(&in, "10.0.2.0/24", CLUSTER_ROLE_CLUSTER_AND_CLIENT, -1);
	assert_plan(&in, CLUSTER_CLASS_MIGRATION, "514!2!3");
	assert_string_equal(why(&in, CLUSTER_CLASS_MIGRATION, 2), "it is excluded from migrations");
}

static void migration_order_comes_first(void **state)
{
	struct net_input in = five_networks();

	(void)state;
	override_at(&in, "10.0.4.0/24", CLUSTER_ROLE_CLUSTER_AND_CLIENT, 1);
	override_at(&in, "10.0.3.0/24", CLUSTER_ROLE_NONE, 2);
	override_at(&in, "10.0.1.0/24", CLUSTER_ROLE_CLUSTER_AND_CLIENT, 3);
	assert_plan(&in, CLUSTER_CLASS_MIGRATION, "43125");
	/* Only what works between the two. */
	in.nodes[0].reaches[1] = (uint8_t) ~(1U << 3);
	assert_plan(&in, CLUSTER_CLASS_MIGRATION, "|43125");
	assert_string_equal(why(&in, CLUSTER_CLASS_MIGRATION, 4), "node1 cannot reach node2 on it");
	in.migration.strict = true;
	assert_plan(&in, CLUSTER_CLASS_MIGRATION, "|431!2!5");
	assert_string_equal(why(&in, CLUSTER_CLASS_MIGRATION, 2),
		"strict mode: it is not in the migration order");
	in.nodes[1].is_member = false;
	assert_plan(&in, CLUSTER_CLASS_MIGRATION, "|4|3|1!2!5");
	assert_string_equal(why(&in, CLUSTER_CLASS_MIGRATION, 1), "node2 is down");
}

static void a_listed_network_is_missed_where_a_node_has_none(void **state)
{
	struct net_input in = five_networks();

	(void)state;
	in.n_interfaces--; /* 10.0.5.2 */
	assert_plan(&in, CLUSTER_CLASS_MIGRATION, "2341!5");
	assert_string_equal(why(&in, CLUSTER_CLASS_MIGRATION, 5), "node2 has no interface on it");
	override_at(&in, "10.0.5.0/24", CLUSTER_ROLE_CLUSTER_AND_CLIENT, 1);
	assert_plan(&in, CLUSTER_CLASS_MIGRATION, "|52341");
}

static void classes_have_their_own_order(void **state)
{
	struct net_input in = five_networks();

	(void)state;
	override_at(&in, "10.0.4.0/24", CLUSTER_ROLE_CLUSTER, 1);
	override_at(&in, "10.0.2.0/24", CLUSTER_ROLE_NONE, 0);
	assert_plan(&in, CLUSTER_CLASS_HEARTBEAT, "12345");
	assert_plan(&in, CLUSTER_CLASS_VOLUME, "4135!2");
	assert_plan(&in, CLUSTER_CLASS_MANAGEMENT, "1354!2");
	assert_string_equal(why(&in, CLUSTER_CLASS_HEARTBEAT, 1), "corosync's link 0");
	in.link_priority[2] = 7;
	assert_plan(&in, CLUSTER_CLASS_HEARTBEAT, "31245");
	in.nodes[1].reaches[0] = (uint8_t) ~(1U << 2); /* one of the two says so */
	assert_plan(&in, CLUSTER_CLASS_HEARTBEAT, "|31245");
	assert_plan(&in, CLUSTER_CLASS_VOLUME, "41|35!2");
	in.nodes[0].link_address[0] = (struct net_addr){};
	assert_plan(&in, CLUSTER_CLASS_HEARTBEAT, "|3245!1");
}

static void nobody_migrates_to_itself_or_to_strangers(void **state)
{
	struct net_input in = five_networks();
	struct cluster_net nets[CLUSTER_MAX_NETS];
	struct cluster_path paths[CLUSTER_MAX_NETS];
	size_t n = net_compute(&in, nets, ARRAY_LEN(nets));
	static const uint32_t targets[] = {1, 9};

	(void)state;
	for (size_t t = 0; t < ARRAY_LEN(targets); t++) {
		for (unsigned class = 0; class < CLUSTER_N_CLASSES; class ++) {
			assert_int_equal(net_path_plan(&in, nets, n, (enum cluster_class) class, 1,
						 targets[t], paths),
				n);
			for (size_t i = 0; i < n; i++)
				assert_false(paths[i].is_usable);
		}
	}
}

static void subnets_have_one_form(void **state)
{
	static const char *const bad[] = {"", "10.0.0.0", "10.0.0.0/", "10.0.0.0/0", "10.0.0.0/33",
		"10.0.0.1/24", "10.0.0.0/024", "10.0.0.0/24x", " 10.0.0.0/24", "10.0.0/24",
		"fd00::/129", "fd00::1/64", "fd00:0::/64", "FD00::/64", "fd00::/0", "::/64/64",
		"/24", "x/24"};
	static const char *const good[] = {"10.0.0.0/24", "128.0.0.0/1", "10.1.2.3/32", "fd00::/64",
		"fd00::1/128", "8000::/1", "::ffff:10.0.0.0/120"};
	struct net_subnet parsed;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		if (net_subnet_parse(bad[i], &parsed))
			fail_msg("'%s' is taken", bad[i]);
	}
	for (size_t i = 0; i < ARRAY_LEN(good); i++) {
		char text[NET_SUBNET_TEXT_BYTES];

		if (!net_subnet_parse(good[i], &parsed))
			fail_msg("'%s' is refused", good[i]);
		net_subnet_text(&parsed, text);
		assert_string_equal(text, good[i]);
	}
	parsed = subnet("fd00:0:0:50::/60");
	assert_true(net_subnet_has(&parsed, &(struct net_addr){.family = NET_FAMILY_IPV6,
						    .bytes = {0xfd, 0, 0, 0, 0, 0, 0, 0x5f, 1}}));
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
	store_text(store, "links/node1",
		"{\"addresses\":[\"10.1.0.1\"],\"reaches\":{\"2\":[0,7]},"
		"\"probed\":{\"fd00::/64\":{\"reached\":[2,9],\"lost\":[1]},\"y\":{}}}");
	store_text(store, "links/node2", "{\"addresses\":[\"10.1.0.2\"],\"reaches\":{\"1\":[0]}}");
	store_text(store, "net/10.1.0.0/16", "{\"name\":\"Blue\",\"role\":1,\"metric\":7}");
	store_text(store, "migration/networks",
		"{\"order\":[\"fd00::/64\",\"x\",7],\"excluded\":[\"10.1.0.0/"
		"16\"],\"strict\":true}");
	net_records_read(store, &in);
	assert_int_equal(in.n_interfaces, 1);
	assert_int_equal(in.interfaces[0].speed_mbps, 2500);
	assert_int_equal(in.interfaces[0].prefix_len, 16);
	assert_true(in.nodes[0].reports[1]);
	assert_int_equal(in.nodes[0].reaches[1], 0x81);
	assert_int_equal(in.nodes[1].link_address[0].bytes[3], 2);
	assert_false(in.nodes[1].reports[0]); /* its daemon is away */
	assert_int_equal(in.n_overrides, 1);
	assert_string_equal(in.overrides[0].name, "Blue");
	assert_int_equal(net_subnet_compare(&in.overrides[0].subnet, &in.migration.excluded[0]), 0);
	assert_int_equal(in.migration.n_order, 1);
	assert_int_equal(in.migration.order[0].prefix_len, 64);
	assert_true(in.migration.strict);
	assert_int_equal(in.nodes[0].n_probed, 1);
	assert_int_equal(in.nodes[0].probed[0].reached, 2);
	assert_int_equal(in.nodes[0].probed[0].lost, 1);
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
		{"links/node1", "{\"addresses\":[1,null,\"::x\",\"300.1.1.1\"],\"reaches\":[]}"},
		{"links/node1", "{\"probed\":{\"fd00::1/64\":{},\"a\":7,\"10.0.0.0/8/8\":null}}"},
		{"links/node1", "{\"probed\":[]}"},
		{"migration/networks", "[]"},
		{"migration/networks", "{\"order\":{},\"excluded\":\"x\",\"strict\":1}"},
		{"migration/networks", "{\"order\":[null,1,\"10.0.0.1/8\"]}"},
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
		"{\"role\":2,\"metric\":-5}",
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
		assert_int_equal(in.nodes[0].link_address[0].family, NET_FAMILY_NONE);
		assert_int_equal(in.nodes[0].n_probed, 0);
		assert_int_equal(in.migration.n_order + in.migration.n_excluded, 0);
		assert_false(in.migration.strict);
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
		store_free(store);
	}
}

static void rows_and_interfaces_come_back_from_json(void **state)
{
	const struct net_row row = {
		.address = {ip("10.1.0.1"), {}, ip("fd00:3::1")},
		.peers = {{2, 5}, {3, 0}},
		.n_peers = 2,
		.probed = {{subnet("10.4.0.0/24"), 2, true}, {subnet("fd00:4::/64"), 2, false},
			{subnet("fd00:4::/64"), 3, true}},
		.n_probed = 3,
	};
	const struct net_interface interface = {.ifname = "eth0",
		.address = ip("10.1.0.1"),
		.prefix_len = 24,
		.speed_mbps = 1000,
		.is_down = true,
		.has_rss = true};
	_cleanup_json_ struct json *links = net_row_to_json(&row);
	_cleanup_json_ struct json *netif = net_interfaces_to_json(&interface, 1);
	_cleanup_free_ char *links_text = json_dump(links, 0);
	_cleanup_free_ char *netif_text = json_dump(netif, 0);
	struct net_input in = {.n_nodes = 3,
		.nodes = {{.id = 1, .name = "node1", .is_reporting = true}, {.id = 2}, {.id = 3}}};
	struct store *store;

	(void)state;
	assert_string_equal(links_text, "{\"addresses\":[\"10.1.0.1\",\"\",\"fd00:3::1\"],"
					"\"reaches\":{\"2\":[0,2],\"3\":[]},"
					"\"probed\":{\"10.4.0.0/24\":{\"reached\":[],\"lost\":[2]},"
					"\"fd00:4::/64\":{\"reached\":[2],\"lost\":[3]}}}");
	assert_string_equal(netif_text,
		"{\"interfaces\":[{\"name\":\"eth0\",\"address\":\"10.1.0.1\",\"prefix\":24,"
		"\"speed_mbps\":1000,\"down\":true,\"rss\":true}]}");
	assert_int_equal(store_new(&store), 0);
	store_text(store, "links/node1", links_text);
	store_text(store, "netif/node1", netif_text);
	net_records_read(store, &in);
	assert_int_equal(in.nodes[0].link_address[2].bytes[15], 1);
	assert_int_equal(in.nodes[0].n_probed, 2);
	assert_int_equal(in.nodes[0].probed[1].lost, 4);
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
		cmocka_unit_test(five_nodes_follow_the_matrix),
		cmocka_unit_test(one_report_of_a_cut_is_enough),
		cmocka_unit_test(what_nobody_measures_is_unknown),
		cmocka_unit_test(metrics_are_by_role_and_speed_and_unique),
		cmocka_unit_test(migration_networks_are_chosen),
		cmocka_unit_test(migration_order_comes_first),
		cmocka_unit_test(a_listed_network_is_missed_where_a_node_has_none),
		cmocka_unit_test(classes_have_their_own_order),
		cmocka_unit_test(subnets_have_one_form),
		cmocka_unit_test(nobody_migrates_to_itself_or_to_strangers),
		cmocka_unit_test(records_are_read),
		cmocka_unit_test(nonsense_in_records_is_left_out),
		cmocka_unit_test(rows_and_interfaces_come_back_from_json),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
