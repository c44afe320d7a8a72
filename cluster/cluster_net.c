/* SPDX-License-Identifier: MIT
 *
 * Cluster networks of the running cluster: this node's part of the records, and the answers.
 */
#include "base/clock.h"
#include "cluster/cluster_impl.h"
#include "cluster/net.h"
#include "cluster/net_records.h"
#include "cluster/net_path.h"
#include "cluster/netif.h"

#include <string.h>

#define POLL_NS (200 * NS_PER_MS)

/* Peers that are members: a link to a node that is gone says nothing that membership does not. */
static size_t list_peers(const struct cluster *cluster, uint32_t ids[CLUSTER_MAX_NODES])
{
	size_t n = 0;

	for (size_t i = 0; i < cluster->members.n_nodes; i++) {
		const struct cluster_node *node = &cluster->members.nodes[i];

		if (node->is_member && node->id != cluster->local_id)
			ids[n++] = node->id;
	}
	return n;
}

/* What is lost is published at once; what comes back when it was seen twice, so that a link that
 * flaps is not a write each time. */
static void take_row(struct cluster *cluster, bool is_latest)
{
	struct net_row row = cluster->links;
	bool is_due;

	if (cluster->netprobe)
		netprobe_udp_fill_row(cluster->netprobe, &row);
	net_row_leave_silent_out(&row, is_latest);
	is_due = net_row_equal(&row, &cluster->row) || net_row_is_worse(&row, &cluster->row);
	cluster->row = row;
	if (is_due && cluster_is_synced(cluster))
		publish(&cluster->links_publisher, cluster, "links/", net_row_to_json(&row));
}

static void on_answered(const struct net_row *links, void *data)
{
	struct cluster *cluster = data;

	cluster->links = *links;
	take_row(cluster, true);
	cluster_turn_end(cluster);
}

const struct cfg_link_ops cluster_cfg_ops = {
	.answered = on_answered,
	.lost = cluster_on_lost,
};

static struct net_input *make_input(const struct cluster *cluster);

/* After any change of members, of their interfaces or of the links. */
static void find_paths(struct cluster *cluster)
{
	struct netprobe_path *paths = cluster->net_paths;
	const struct net_input *in;
	size_t self;

	if (!cluster->netprobe)
		return;
	in = make_input(cluster);
	self = net_find_node(in, cluster->local_id);
	if (self == in->n_nodes ||
		netprobe_udp_set_paths(cluster->netprobe, paths,
			netprobe_find_paths(in, self, paths, NETPROBE_MAX_PATHS)) == 0)
		cluster->paths_are_old = false;
}

void cluster_net_heard(struct cluster *cluster)
{
	uint32_t ids[CLUSTER_MAX_NODES];

	if (!cluster->links_are_due || quorum_link_info(cluster->quorum)->is_settling)
		return;
	cluster->links_are_due = false;
	cfg_link_ask(cluster->cfg, ids, list_peers(cluster, ids));
}

static void on_poll(void *data)
{
	struct cluster *cluster = data;

	cluster->poll_timer = 0;
	if (cluster->paths_are_old)
		find_paths(cluster);
	if (cluster->probes_have_news)
		take_row(cluster, false);
	cluster->probes_have_news = false;
	cluster->links_are_due = true;
	cluster_poll_start(cluster);
	cluster_turn_end(cluster);
}

/* A probe has found something out: as soon as the loop is back from wherever it was noticed. */
static void on_probes_changed(void *data)
{
	struct cluster *cluster = data;

	if (!cluster->poll_timer)
		return;
	cluster->probes_have_news = true;
	loop_timer_remove(cluster->loop, cluster->poll_timer);
	loop_timer_add(cluster->loop, 0, on_poll, cluster, &cluster->poll_timer);
}

void cluster_poll_start(struct cluster *cluster)
{
	if (!cluster->netprobe)
		(void)netprobe_udp_new(cluster->loop, cluster->local_id, on_probes_changed, cluster,
			&cluster->netprobe);
	loop_timer_add(cluster->loop, POLL_NS, on_poll, cluster, &cluster->poll_timer);
}

void cluster_poll_stop(struct cluster *cluster)
{
	loop_timer_remove(cluster->loop, cluster->poll_timer);
	cluster->poll_timer = 0;
	cluster->links = cluster->row = (struct net_row){};
	cluster->links_are_due = cluster->probes_have_news = false;
	netprobe_udp_free(cluster->netprobe);
	cluster->netprobe = NULL;
	cluster->paths_are_old = true;
}

void cluster_net_note(struct cluster *cluster, const char *key)
{
	if (!key || strncmp(key, "netif/", 6) == 0 || strncmp(key, "links/", 6) == 0)
		cluster->paths_are_old = true;
}

int cluster_net_new(struct cluster *cluster)
{
	cluster->net_input = calloc(1, sizeof(*cluster->net_input));
	cluster->net_paths = calloc(NETPROBE_MAX_PATHS, sizeof(*cluster->net_paths));
	return cluster->net_input && cluster->net_paths ? 0 : -ENOMEM;
}

void cluster_net_free(struct cluster *cluster)
{
	free(take_ptr(cluster->net_input));
	free(take_ptr(cluster->net_paths));
}

int cluster_publish_interfaces(struct cluster *cluster)
{
	struct net_interface interfaces[64];
	size_t n;
	int r;

	if (!cluster_is_synced(cluster))
		return -EHOSTDOWN;
	r = netif_enumerate(interfaces, ARRAY_LEN(interfaces), &n);
	if (r < 0)
		return r;
	return publish(&cluster->netif_publisher, cluster, "netif/",
		net_interfaces_to_json(interfaces, n));
}

/* Lent until the next call. */
static struct net_input *make_input(const struct cluster *cluster)
{
	struct member_table table = cluster->members;
	struct net_input *in = cluster->net_input;

	*in = (struct net_input){.n_nodes = table.n_nodes};
	memcpy(in->link_priority, cluster->link_priority, sizeof(in->link_priority));
	member_ask_store(&table, cluster->rs);
	for (size_t i = 0; i < table.n_nodes; i++) {
		struct net_node *node = &in->nodes[i];

		node->id = table.nodes[i].id;
		node->is_member = table.nodes[i].is_member;
		node->is_reporting = table.nodes[i].has_service;
		memcpy(node->name, table.nodes[i].name, sizeof(node->name));
		for (size_t link = 0; link < NET_MAX_LINKS; link++)
			net_addr_parse(table.nodes[i].ring_addr[link], &node->link_address[link]);
	}
	net_records_read(rs_store(cluster->rs), in);
	return in;
}

size_t cluster_nets(const struct cluster *cluster, struct cluster_net *ret_nets, size_t max)
{
	return net_compute(make_input(cluster), ret_nets, max);
}

size_t cluster_paths(const struct cluster *cluster, enum cluster_class class, uint32_t from_node,
	uint32_t to_node, struct cluster_net *ret_nets, struct cluster_path *ret_paths)
{
	const struct net_input *in = make_input(cluster);
	size_t n = net_compute(in, ret_nets, CLUSTER_MAX_NETS);

	return net_path_plan(in, ret_nets, n, class, from_node, to_node, ret_paths);
}

static struct cluster_use first_use(const struct cluster_path *paths, size_t n)
{
	struct cluster_use use = {.net = -1, .preferred = -1};

	for (size_t i = 0; i < n && paths[i].is_allowed; i++) {
		if (use.preferred < 0) {
			use.preferred = (int)paths[i].net;
			memcpy(use.why, paths[i].why, sizeof(use.why));
		}
		if (paths[i].is_usable) {
			use.net = (int)paths[i].net;
			break;
		}
	}
	return use;
}

size_t cluster_uses(const struct cluster *cluster, uint32_t from_node, struct cluster_net *ret_nets,
	struct cluster_use *ret_uses)
{
	const struct net_input *in = make_input(cluster);
	size_t n_nets = net_compute(in, ret_nets, CLUSTER_MAX_NETS), n = 0;
	struct cluster_path paths[CLUSTER_MAX_NETS];

	for (unsigned class = 0; class < CLUSTER_N_CLASSES; class ++) {
		for (size_t i = 0; i < in->n_nodes; i++) {
			if (in->nodes[i].id == from_node || !in->nodes[i].is_member)
				continue;
			net_path_plan(in, ret_nets, n_nets, (enum cluster_class) class, from_node,
				in->nodes[i].id, paths);
			ret_uses[n] = first_use(paths, n_nets);
			ret_uses[n].class = (enum cluster_class) class;
			ret_uses[n++].peer = in->nodes[i].id;
		}
	}
	return n;
}

size_t cluster_migration_nets(const struct cluster *cluster, uint32_t from_node, uint32_t to_node,
	struct cluster_net *ret_nets, size_t max)
{
	struct cluster_path paths[CLUSTER_MAX_NETS];
	struct cluster_net nets[CLUSTER_MAX_NETS];
	size_t n = cluster_paths(cluster, CLUSTER_CLASS_MIGRATION, from_node, to_node, nets, paths);
	size_t n_usable = 0;

	for (size_t i = 0; i < n && n_usable < max; i++) {
		if (paths[i].is_usable)
			ret_nets[n_usable++] = nets[paths[i].net];
	}
	return n_usable;
}
