/* SPDX-License-Identifier: MIT */
#include "cluster/net.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

#define METRIC_CLUSTER            40000
#define METRIC_CLUSTER_AND_CLIENT 80000
#define METRIC_NOT_USED           120000
#define METRIC_RDMA               19200
#define METRIC_RSS                9600
#define METRIC_PER_GBPS           16

/* MSCluster_NetworkInterface */
enum {
	IF_UNKNOWN = -1,
	IF_UNAVAILABLE = 0,
	IF_FAILED = 1,
	IF_UNREACHABLE = 2,
	IF_UP = 3,
};

/* A network while it is being computed; nodes by index. */
struct draft {
	struct net_subnet subnet;
	const struct net_interface *interface_of[CLUSTER_MAX_NODES];
	uint8_t links[CLUSTER_MAX_NODES]; /* those that have an address of the node's there */
	const struct net_probed *probed[CLUSTER_MAX_NODES];
	int8_t talks[CLUSTER_MAX_NODES][CLUSTER_MAX_NODES]; /* enum net_talk */
};

size_t net_find_node(const struct net_input *in, uint32_t id)
{
	size_t i = 0;

	while (i < in->n_nodes && in->nodes[i].id != id)
		i++;
	return i;
}

static int order_subnets(const void *a, const void *b)
{
	return net_subnet_compare(a, b);
}

/* The distinct subnets with an interface that is not switched off, ordered. */
static size_t find_subnets(const struct net_input *in, struct net_subnet *ret_subnets, size_t max)
{
	struct net_subnet subnets[NET_MAX_INTERFACES];
	size_t n = 0, n_distinct = 0;

	for (size_t i = 0; i < in->n_interfaces; i++) {
		const struct net_interface *interface = &in->interfaces[i];

		if (!interface->is_down)
			subnets[n++] = net_subnet_of(&interface->address, interface->prefix_len);
	}
	qsort(subnets, n, sizeof(subnets[0]), order_subnets);
	for (size_t i = 0; i < n && n_distinct < max; i++) {
		if (i == 0 || net_subnet_compare(&subnets[i], &subnets[i - 1]) != 0)
			ret_subnets[n_distinct++] = subnets[i];
	}
	return n_distinct;
}

static bool is_of_a_link(const struct net_node *node, const struct net_addr *address)
{
	for (size_t i = 0; i < NET_MAX_LINKS; i++) {
		if (net_addr_compare(&node->link_address[i], address) == 0)
			return true;
	}
	return false;
}

/* One interface a node: the one that a link uses, else the first that is not switched off. */
static void find_interfaces(const struct net_input *in, struct draft *draft)
{
	for (size_t i = 0; i < in->n_interfaces; i++) {
		const struct net_interface *interface = &in->interfaces[i];
		const struct net_interface **present = &draft->interface_of[interface->node];

		if (interface->prefix_len != draft->subnet.prefix_len ||
			!net_subnet_has(&draft->subnet, &interface->address))
			continue;
		if (!*present || ((*present)->is_down && !interface->is_down) ||
			is_of_a_link(&in->nodes[interface->node], &interface->address))
			*present = interface;
	}
}

static uint8_t links_in(const struct net_node *node, const struct net_subnet *subnet)
{
	uint8_t links = 0;

	for (unsigned link = 0; link < NET_MAX_LINKS; link++) {
		if (net_subnet_has(subnet, &node->link_address[link]))
			links |= (uint8_t)(1U << link);
	}
	return links;
}

int net_pair_link(const struct net_input *in, const struct net_subnet *subnet, size_t a, size_t b)
{
	return ffs(links_in(&in->nodes[a], subnet) & links_in(&in->nodes[b], subnet)) - 1;
}

/* All but `talks`. */
static void open_draft(
	const struct net_input *in, const struct net_subnet *subnet, struct draft *ret_draft)
{
	*ret_draft = (struct draft){.subnet = *subnet};
	find_interfaces(in, ret_draft);
	for (size_t i = 0; i < in->n_nodes; i++) {
		const struct net_node *node = &in->nodes[i];

		ret_draft->links[i] = links_in(node, subnet);
		for (size_t k = 0; k < node->n_probed && !ret_draft->probed[i]; k++) {
			if (net_subnet_compare(&node->probed[k].subnet, subnet) == 0)
				ret_draft->probed[i] = &node->probed[k];
		}
	}
}

/* What node `a` says about `b`. */
static enum net_talk say(const struct net_input *in, const struct draft *draft, size_t a, size_t b)
{
	const struct net_node *node = &in->nodes[a];
	const struct net_probed *probed = draft->probed[a];
	int link = ffs(draft->links[a] & draft->links[b]) - 1;

	if (link >= 0 && !node->reports[b])
		return NET_TALK_UNKNOWN;
	if (probed && (probed->lost & 1ULL << b))
		return NET_TALK_NO;
	if (link >= 0)
		return node->reaches[b] & 1U << link ? NET_TALK_YES : NET_TALK_NO;
	return probed && (probed->reached & 1ULL << b) ? NET_TALK_YES : NET_TALK_UNKNOWN;
}

/* Of two nodes with an interface there. */
static enum net_talk ask_both(
	const struct net_input *in, const struct draft *draft, size_t a, size_t b)
{
	enum net_talk one = say(in, draft, a, b), other = say(in, draft, b, a);

	if (draft->interface_of[a]->is_down || draft->interface_of[b]->is_down ||
		one == NET_TALK_NO || other == NET_TALK_NO)
		return NET_TALK_NO;
	return one == NET_TALK_YES || other == NET_TALK_YES ? NET_TALK_YES : NET_TALK_UNKNOWN;
}

static enum net_talk talk(const struct draft *draft, size_t a, size_t b)
{
	return (enum net_talk)draft->talks[a][b];
}

static bool is_present(const struct net_input *in, const struct draft *draft, size_t node)
{
	return draft->interface_of[node] && in->nodes[node].is_member;
}

/* Before the second pass tells Unreachable from Up. */
static int first_interface_state(const struct net_input *in, const struct draft *draft, size_t node)
{
	size_t n_peers = 0, n_yes = 0, n_no = 0;

	if (!in->nodes[node].is_member)
		return IF_UNAVAILABLE;
	if (!draft->interface_of[node] || draft->interface_of[node]->is_down)
		return IF_FAILED;
	for (size_t peer = 0; peer < in->n_nodes; peer++) {
		if (peer == node || !is_present(in, draft, peer))
			continue;
		n_peers++;
		n_yes += talk(draft, node, peer) == NET_TALK_YES;
		n_no += talk(draft, node, peer) == NET_TALK_NO;
	}
	if (n_peers > 0 && n_yes == 0)
		return n_no > 0 ? IF_FAILED : IF_UNKNOWN;
	return IF_UP;
}

static void fill_interfaces(
	const struct net_input *in, const struct draft *draft, struct cluster_net *net)
{
	int states[CLUSTER_MAX_NODES];

	for (size_t node = 0; node < in->n_nodes; node++)
		states[node] = first_interface_state(in, draft, node);
	for (size_t node = 0; node < in->n_nodes; node++) {
		const struct net_interface *interface = draft->interface_of[node];
		__typeof__(&net->interfaces[0]) out = &net->interfaces[net->n_interfaces];

		if (!interface)
			continue;
		net->n_interfaces++;
		out->node_id = in->nodes[node].id;
		out->state = states[node];
		snprintf(out->ifname, sizeof(out->ifname), "%s", interface->ifname);
		net_addr_text(&interface->address, out->address);
		/* Missing a peer that is well otherwise. */
		for (size_t peer = 0; states[node] == IF_UP && peer < in->n_nodes; peer++) {
			if (peer != node && is_present(in, draft, peer) && states[peer] == IF_UP &&
				talk(draft, node, peer) == NET_TALK_NO)
				out->state = IF_UNREACHABLE;
		}
	}
}

static void set_state(struct cluster_net *net, enum cluster_net_state state, const char *reason)
{
	net->state = state;
	snprintf(net->reason, sizeof(net->reason), "%s", reason);
}

/* The pairs there, and one that cannot talk: the first, told by whoever noticed. */
struct pairs {
	size_t n, n_yes, n_no, from, to;
};

static struct pairs count_pairs(const struct net_input *in, const struct draft *draft)
{
	struct pairs pairs = {};

	for (size_t a = 0; a < in->n_nodes; a++) {
		for (size_t b = a + 1; is_present(in, draft, a) && b < in->n_nodes; b++) {
			enum net_talk state;

			if (!is_present(in, draft, b))
				continue;
			pairs.n++;
			state = talk(draft, a, b);
			pairs.n_yes += state == NET_TALK_YES;
			if (state == NET_TALK_NO && pairs.n_no++ == 0) {
				bool told_by_b = say(in, draft, b, a) == NET_TALK_NO &&
						 say(in, draft, a, b) != NET_TALK_NO;

				pairs.from = told_by_b ? b : a;
				pairs.to = told_by_b ? a : b;
			}
		}
	}
	return pairs;
}

static void describe_cut(
	const struct net_input *in, const struct pairs *pairs, struct cluster_net *net)
{
	size_t others = pairs->n_no - 1;
	char more[64] = "";

	if (others > 0)
		snprintf(more, sizeof(more), ", and %zu other pair%s cannot talk", others,
			others == 1 ? "" : "s");
	snprintf(net->reason, sizeof(net->reason), "%.40s cannot reach %.40s on it%s",
		in->nodes[pairs->from].name, in->nodes[pairs->to].name, more);
}

static void fill_state(
	const struct net_input *in, const struct draft *draft, struct cluster_net *net)
{
	struct pairs pairs = count_pairs(in, draft);
	size_t n_present = 0, n_down = 0;

	for (size_t i = 0; i < in->n_nodes; i++) {
		n_present += is_present(in, draft, i);
		n_down += is_present(in, draft, i) && draft->interface_of[i]->is_down;
	}
	if (n_present == 0) {
		set_state(
			net, CLUSTER_NET_UNAVAILABLE, "every node with an interface there is down");
	} else if (pairs.n == 0 && n_down > 0) {
		set_state(net, CLUSTER_NET_DOWN, "its only interface is switched off");
	} else if (pairs.n > 0 && pairs.n_yes + pairs.n_no == 0) {
		set_state(net, CLUSTER_NET_UNKNOWN, "no node there has reported whom it reaches");
	} else if (pairs.n > 0 && pairs.n_yes == 0) {
		net->state = CLUSTER_NET_DOWN;
		describe_cut(in, &pairs, net);
	} else if (pairs.n_no > 0) {
		net->state = CLUSTER_NET_PARTITIONED;
		describe_cut(in, &pairs, net);
	} else {
		set_state(net, CLUSTER_NET_UP, "");
	}
}

static const struct net_override *find_override(
	const struct net_input *in, const struct net_subnet *subnet)
{
	for (size_t i = 0; i < in->n_overrides; i++) {
		if (net_subnet_compare(&in->overrides[i].subnet, subnet) == 0)
			return &in->overrides[i];
	}
	return NULL;
}

static uint32_t automatic_metric(const struct draft *draft, enum cluster_net_role role)
{
	uint32_t base = role == CLUSTER_ROLE_CLUSTER              ? METRIC_CLUSTER
			: role == CLUSTER_ROLE_CLUSTER_AND_CLIENT ? METRIC_CLUSTER_AND_CLIENT
								  : METRIC_NOT_USED;
	bool has_rdma = true, has_rss = true;
	uint32_t slowest_mbps = 0, minus;

	for (size_t i = 0; i < CLUSTER_MAX_NODES; i++) {
		const struct net_interface *interface = draft->interface_of[i];

		if (!interface)
			continue;
		has_rdma &= interface->has_rdma;
		has_rss &= interface->has_rss;
		if (interface->speed_mbps &&
			(!slowest_mbps || interface->speed_mbps < slowest_mbps))
			slowest_mbps = interface->speed_mbps;
	}
	minus = slowest_mbps / 1000 * METRIC_PER_GBPS + (has_rdma ? METRIC_RDMA : 0) +
		(has_rss ? METRIC_RSS : 0);
	return minus < base ? base - minus : 1;
}

static int place_in(const struct net_subnet *subnets, size_t n, const struct net_subnet *subnet)
{
	for (size_t i = 0; i < n; i++) {
		if (net_subnet_compare(&subnets[i], subnet) == 0)
			return (int)i + 1;
	}
	return 0;
}

static void fill_policy(const struct net_input *in, const struct draft *draft, size_t number,
	struct cluster_net *net)
{
	const struct net_override *override = find_override(in, &draft->subnet);
	const struct net_migration *m = &in->migration;

	net_subnet_text(&draft->subnet, net->subnet);
	if (override && override->name[0])
		snprintf(net->name, sizeof(net->name), "%s", override->name);
	else
		snprintf(net->name, sizeof(net->name), "Cluster Network %zu", number);
	net->role = override && override->role >= 0 ? (enum cluster_net_role) override->role
						    : CLUSTER_ROLE_CLUSTER_AND_CLIENT;
	net->migration_order = place_in(m->order, m->n_order, &draft->subnet);
	if (place_in(m->excluded, m->n_excluded, &draft->subnet))
		net->migration_order = -1;
	net->auto_metric = !override || !override->metric;
	net->metric = net->auto_metric ? automatic_metric(draft, net->role) : override->metric;
}

/* Metrics that somebody chose stay; automatic ones give way. */
static void make_metrics_unique(struct cluster_net *nets, size_t n_nets)
{
	for (size_t i = 0; i < n_nets; i++) {
		for (size_t j = 0; nets[i].auto_metric && j < n_nets; j++) {
			if (j == i || nets[j].metric != nets[i].metric ||
				(nets[j].auto_metric && j > i))
				continue;
			nets[i].metric++;
			j = (size_t)-1; /* from the start again */
		}
	}
}

static void fill_talks(const struct net_input *in, struct draft *draft)
{
	for (size_t a = 0; a < in->n_nodes; a++) {
		for (size_t b = 0; b < a; b++) {
			if (is_present(in, draft, a) && is_present(in, draft, b))
				draft->talks[a][b] = draft->talks[b][a] =
					(int8_t)ask_both(in, draft, a, b);
		}
	}
}

size_t net_compute(const struct net_input *in, struct cluster_net *ret_nets, size_t max)
{
	struct net_subnet subnets[CLUSTER_MAX_NETS];
	size_t n = find_subnets(in, subnets, MIN(max, (size_t)CLUSTER_MAX_NETS));

	for (size_t i = 0; i < n; i++) {
		struct draft draft;

		open_draft(in, &subnets[i], &draft);
		fill_talks(in, &draft);
		ret_nets[i] = (struct cluster_net){};
		fill_policy(in, &draft, i + 1, &ret_nets[i]);
		fill_interfaces(in, &draft, &ret_nets[i]);
		fill_state(in, &draft, &ret_nets[i]);
	}
	make_metrics_unique(ret_nets, n);
	return n;
}

enum net_talk net_talk(
	const struct net_input *in, const struct cluster_net *net, uint32_t a, uint32_t b)
{
	size_t x = net_find_node(in, a), y = net_find_node(in, b);
	struct net_subnet subnet;
	struct draft draft;

	if (x == y || x == in->n_nodes || y == in->n_nodes ||
		!net_subnet_parse(net->subnet, &subnet))
		return NET_TALK_NO;
	open_draft(in, &subnet, &draft);
	return is_present(in, &draft, x) && is_present(in, &draft, y) ? ask_both(in, &draft, x, y)
								      : NET_TALK_NO;
}
