/* SPDX-License-Identifier: MIT */
#include "cluster/net.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>

#define METRIC_CLUSTER            40000
#define METRIC_CLUSTER_AND_CLIENT 80000
#define METRIC_NOT_USED           120000
#define METRIC_PER_GBPS           16

/* MSCluster_NetworkInterface */
enum {
	IF_UNKNOWN = -1,
	IF_UNAVAILABLE = 0,
	IF_FAILED = 1,
	IF_UNREACHABLE = 2,
	IF_UP = 3,
};

enum talk { TALK_UNKNOWN = -1, TALK_NO, TALK_YES };

/* A network while it is being computed; nodes by index. */
struct draft {
	uint32_t subnet;
	unsigned prefix_len;
	int link; /* -1: none runs over it */
	const struct net_interface *interface_of[CLUSTER_MAX_NODES];
};

static bool is_inside(const struct draft *draft, uint32_t address)
{
	return address && (address & net_mask(draft->prefix_len)) == draft->subnet;
}

static size_t find_node(const struct net_input *in, uint32_t id)
{
	size_t i = 0;

	while (i < in->n_nodes && in->nodes[i].id != id)
		i++;
	return i;
}

static int find_link(const struct net_input *in, const struct draft *draft)
{
	for (int link = 0; link < NET_MAX_LINKS; link++) {
		for (size_t i = 0; i < in->n_nodes; i++) {
			if (is_inside(draft, in->nodes[i].link_address[link]))
				return link;
		}
	}
	return -1;
}

static int order_drafts(const void *a, const void *b)
{
	const struct draft *x = a, *y = b;

	if (x->subnet != y->subnet)
		return x->subnet < y->subnet ? -1 : 1;
	return (int)x->prefix_len - (int)y->prefix_len;
}

/* The distinct subnets, ordered. */
static size_t find_subnets(const struct net_input *in, struct draft *ret_drafts, size_t max)
{
	struct draft drafts[NET_MAX_INTERFACES];
	size_t n = 0, n_distinct = 0;

	for (; n < in->n_interfaces; n++) {
		const struct net_interface *interface = &in->interfaces[n];

		drafts[n] = (struct draft){
			.subnet = interface->address & net_mask(interface->prefix_len),
			.prefix_len = interface->prefix_len,
		};
	}
	qsort(drafts, n, sizeof(drafts[0]), order_drafts);
	for (size_t i = 0; i < n && n_distinct < max; i++) {
		if (i == 0 || order_drafts(&drafts[i], &drafts[i - 1]) != 0)
			ret_drafts[n_distinct++] = drafts[i];
	}
	return n_distinct;
}

/* One interface a node: the one that the link uses, else the first. */
static void find_interfaces(const struct net_input *in, struct draft *draft)
{
	draft->link = find_link(in, draft);
	for (size_t i = 0; i < in->n_interfaces; i++) {
		const struct net_interface *interface = &in->interfaces[i];
		const struct net_node *node = &in->nodes[interface->node];

		if (interface->prefix_len != draft->prefix_len ||
			!is_inside(draft, interface->address))
			continue;
		if (!draft->interface_of[interface->node] ||
			(draft->link >= 0 && node->link_address[draft->link] == interface->address))
			draft->interface_of[interface->node] = interface;
	}
}

/* Over the link, or nothing known when either has no address on it. */
static enum talk talk(const struct net_input *in, const struct draft *draft, size_t a, size_t b)
{
	const struct net_node *x = &in->nodes[a], *y = &in->nodes[b];
	uint8_t link;

	if (draft->link < 0 || !is_inside(draft, x->link_address[draft->link]) ||
		!is_inside(draft, y->link_address[draft->link]))
		return TALK_UNKNOWN;
	link = (uint8_t)(1U << draft->link);
	if (!x->reports[b] && !y->reports[a])
		return TALK_UNKNOWN;
	if ((x->reports[b] && !(x->reaches[b] & link)) ||
		(y->reports[a] && !(y->reaches[a] & link)))
		return TALK_NO;
	return TALK_YES;
}

static bool is_present(const struct net_input *in, const struct draft *draft, size_t node)
{
	return draft->interface_of[node] && in->nodes[node].is_member;
}

/* Unknown until the second pass can tell Unreachable from Up. */
static int first_interface_state(const struct net_input *in, const struct draft *draft, size_t node)
{
	size_t n_peers = 0, n_yes = 0, n_no = 0;

	if (!in->nodes[node].is_member)
		return IF_UNAVAILABLE;
	if (draft->link < 0 || !is_inside(draft, in->nodes[node].link_address[draft->link]))
		return IF_UNKNOWN;
	for (size_t peer = 0; peer < in->n_nodes; peer++) {
		if (peer == node || !is_present(in, draft, peer))
			continue;
		n_peers++;
		n_yes += talk(in, draft, node, peer) == TALK_YES;
		n_no += talk(in, draft, node, peer) == TALK_NO;
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
		struct in_addr address;

		if (!interface)
			continue;
		net->n_interfaces++;
		out->node_id = in->nodes[node].id;
		out->state = states[node];
		snprintf(out->ifname, sizeof(out->ifname), "%s", interface->ifname);
		address.s_addr = htonl(interface->address);
		inet_ntop(AF_INET, &address, out->address, sizeof(out->address));
		/* Missing a peer that is well otherwise. */
		for (size_t peer = 0; states[node] == IF_UP && peer < in->n_nodes; peer++) {
			if (peer != node && is_present(in, draft, peer) && states[peer] == IF_UP &&
				talk(in, draft, node, peer) == TALK_NO)
				out->state = IF_UNREACHABLE;
		}
	}
}

static void set_state(struct cluster_net *net, enum cluster_net_state state, const char *reason)
{
	net->state = state;
	snprintf(net->reason, sizeof(net->reason), "%s", reason);
}

static void fill_state(
	const struct net_input *in, const struct draft *draft, struct cluster_net *net)
{
	size_t n_present = 0, n_yes = 0, n_no = 0, n_pairs = 0, no_a = 0, no_b = 0;

	for (size_t a = 0; a < in->n_nodes; a++) {
		n_present += is_present(in, draft, a);
		for (size_t b = 0; is_present(in, draft, a) && b < a; b++) {
			if (!is_present(in, draft, b))
				continue;
			n_pairs++;
			n_yes += talk(in, draft, a, b) == TALK_YES;
			if (talk(in, draft, a, b) == TALK_NO && n_no++ == 0) {
				no_a = b;
				no_b = a;
			}
		}
	}
	if (n_present == 0) {
		set_state(
			net, CLUSTER_NET_UNAVAILABLE, "every node with an interface there is down");
	} else if (draft->link < 0) {
		set_state(net, CLUSTER_NET_UNKNOWN,
			"no corosync link runs over it, so nothing measures it");
	} else if (n_pairs > 0 && n_yes + n_no == 0) {
		set_state(net, CLUSTER_NET_UNKNOWN, "no node there has reported its links");
	} else if (n_pairs > 0 && n_yes == 0) {
		set_state(net, CLUSTER_NET_DOWN, "no two nodes reach each other over it");
	} else if (n_no > 0) {
		net->state = CLUSTER_NET_PARTITIONED;
		snprintf(net->reason, sizeof(net->reason),
			"%.40s and %.40s do not reach each other%s", in->nodes[no_a].name,
			in->nodes[no_b].name, n_no > 1 ? ", nor do others" : "");
	} else {
		set_state(net, CLUSTER_NET_UP, "");
	}
}

static const struct net_override *find_override(
	const struct net_input *in, const struct draft *draft)
{
	for (size_t i = 0; i < in->n_overrides; i++) {
		if (in->overrides[i].subnet == draft->subnet &&
			in->overrides[i].prefix_len == draft->prefix_len)
			return &in->overrides[i];
	}
	return NULL;
}

static uint32_t automatic_metric(const struct draft *draft, enum cluster_net_role role)
{
	uint32_t base = role == CLUSTER_ROLE_CLUSTER              ? METRIC_CLUSTER
			: role == CLUSTER_ROLE_CLUSTER_AND_CLIENT ? METRIC_CLUSTER_AND_CLIENT
								  : METRIC_NOT_USED;
	uint32_t slowest_mbps = 0, minus;

	for (size_t i = 0; i < CLUSTER_MAX_NODES; i++) {
		const struct net_interface *interface = draft->interface_of[i];

		if (interface && interface->speed_mbps &&
			(!slowest_mbps || interface->speed_mbps < slowest_mbps))
			slowest_mbps = interface->speed_mbps;
	}
	minus = slowest_mbps / 1000 * METRIC_PER_GBPS;
	return minus < base ? base - minus : 1;
}

static void fill_policy(const struct net_override *override, const struct draft *draft,
	size_t number, struct cluster_net *net)
{
	struct in_addr subnet = {.s_addr = htonl(draft->subnet)};
	char address[INET_ADDRSTRLEN];

	inet_ntop(AF_INET, &subnet, address, sizeof(address));
	snprintf(net->subnet, sizeof(net->subnet), "%s/%u", address, draft->prefix_len);
	if (override && override->name[0])
		snprintf(net->name, sizeof(net->name), "%s", override->name);
	else
		snprintf(net->name, sizeof(net->name), "Cluster Network %zu", number);
	net->role = override && override->role >= 0 ? (enum cluster_net_role) override->role
						    : CLUSTER_ROLE_CLUSTER_AND_CLIENT;
	net->migration_order = override ? override->migration_order : 0;
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

size_t net_compute(const struct net_input *in, struct cluster_net *ret_nets, size_t max)
{
	struct draft drafts[CLUSTER_MAX_NETS];
	size_t n = find_subnets(in, drafts, MIN(max, (size_t)CLUSTER_MAX_NETS));

	for (size_t i = 0; i < n; i++) {
		struct draft *draft = &drafts[i];

		find_interfaces(in, draft);
		ret_nets[i] = (struct cluster_net){};
		fill_policy(find_override(in, draft), draft, i + 1, &ret_nets[i]);
		fill_interfaces(in, draft, &ret_nets[i]);
		fill_state(in, draft, &ret_nets[i]);
	}
	make_metrics_unique(ret_nets, n);
	return n;
}

bool net_can_talk(const struct net_input *in, const struct cluster_net *net, uint32_t a, uint32_t b)
{
	size_t x = find_node(in, a), y = find_node(in, b);
	struct draft draft = {};
	struct in_addr subnet;
	char address[sizeof(net->subnet)];

	if (x == y || x == in->n_nodes || y == in->n_nodes)
		return false;
	if (sscanf(net->subnet, "%63[^/]/%u", address, &draft.prefix_len) != 2 ||
		draft.prefix_len > 32 || inet_pton(AF_INET, address, &subnet) != 1)
		return false;
	draft.subnet = ntohl(subnet.s_addr);
	find_interfaces(in, &draft);
	return is_present(in, &draft, x) && is_present(in, &draft, y) &&
	       talk(in, &draft, x, y) == TALK_YES;
}

static bool is_clustered(const struct cluster_net *net)
{
	return net->role == CLUSTER_ROLE_CLUSTER || net->role == CLUSTER_ROLE_CLUSTER_AND_CLIENT;
}

/* The one that heartbeats prefer; migrations leave it alone as long as there is another. */
static const struct cluster_net *find_heartbeat(const struct cluster_net *nets, size_t n_nets)
{
	const struct cluster_net *lowest = NULL;

	for (size_t i = 0; i < n_nets; i++) {
		if (is_clustered(&nets[i]) && (!lowest || nets[i].metric < lowest->metric))
			lowest = &nets[i];
	}
	return lowest;
}

/* Whether a migration rather takes `a` than `b`. */
static bool is_better(const struct cluster_net *a, const struct cluster_net *b,
	const struct cluster_net *heartbeat)
{
	if ((a->migration_order > 0) != (b->migration_order > 0))
		return a->migration_order > 0;
	if (a->migration_order != b->migration_order)
		return a->migration_order < b->migration_order;
	if (a->migration_order == 0 && (a == heartbeat || b == heartbeat))
		return b == heartbeat;
	if (a->role != b->role)
		return a->role < b->role;
	return a->metric < b->metric;
}

size_t net_choose_migration(const struct net_input *in, const struct cluster_net *nets,
	size_t n_nets, uint32_t from, uint32_t to, struct cluster_net *ret_nets, size_t max)
{
	const struct cluster_net *heartbeat = find_heartbeat(nets, n_nets);
	const struct cluster_net *chosen[CLUSTER_MAX_NETS];
	size_t n = 0;

	for (size_t i = 0; i < n_nets && i < CLUSTER_MAX_NETS; i++) {
		const struct cluster_net *net = &nets[i];
		size_t at = n;

		if (net->migration_order < 0 || (net->migration_order == 0 && !is_clustered(net)) ||
			!net_can_talk(in, net, from, to))
			continue;
		for (; at > 0 && is_better(net, chosen[at - 1], heartbeat); at--)
			chosen[at] = chosen[at - 1];
		chosen[at] = net;
		n++;
	}
	for (size_t i = 0; i < MIN(n, max); i++)
		ret_nets[i] = *chosen[i];
	return MIN(n, max);
}
