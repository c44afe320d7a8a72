/* SPDX-License-Identifier: MIT
 *
 * Cluster networks of the running cluster: this node's part of the records, and the answers.
 */
#include "base/clock.h"
#include "cluster/cluster_impl.h"
#include "cluster/net.h"
#include "cluster/net_records.h"
#include "cluster/netif.h"

#include <stdio.h>
#include <string.h>

#define POLL_NS (200 * NS_PER_MS)

static bool rows_equal(const struct net_row *a, const struct net_row *b)
{
	if (a->n_peers != b->n_peers || memcmp(a->address, b->address, sizeof(a->address)) != 0)
		return false;
	for (size_t i = 0; i < a->n_peers; i++) {
		if (a->peers[i].id != b->peers[i].id || a->peers[i].links != b->peers[i].links)
			return false;
	}
	return true;
}

/* Peers that are members: a link to a node that is gone says nothing that membership does not, and
 * the row would change, and be written, just when everybody is busy with that. */
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

/* A row is published when it was seen twice, so that a link that flaps is not a write each time. */
static int poll_links(struct cluster *cluster)
{
	uint32_t ids[CLUSTER_MAX_NODES];
	struct net_row row;
	int r;

	r = cfg_link_row(cluster->cfg, ids, list_peers(cluster, ids), &row);
	if (r < 0)
		return r;
	cluster->row_is_stable = rows_equal(&row, &cluster->row);
	cluster->row = row;
	if (cluster->row_is_stable && cluster_is_synced(cluster))
		publish(&cluster->links_publisher, cluster, "links/", net_row_to_json(&row));
	return 0;
}

static void on_poll(void *data)
{
	struct cluster *cluster = data;

	cluster->poll_timer = 0;
	if (poll_links(cluster) < 0)
		cluster_disconnect(cluster);
	else
		cluster_poll_start(cluster);
	cluster_turn_end(cluster);
}

void cluster_poll_start(struct cluster *cluster)
{
	loop_timer_add(cluster->loop, POLL_NS, on_poll, cluster, &cluster->poll_timer);
}

void cluster_poll_stop(struct cluster *cluster)
{
	loop_timer_remove(cluster->loop, cluster->poll_timer);
	cluster->poll_timer = 0;
	cluster->row = (struct net_row){};
	cluster->row_is_stable = false;
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

static void make_input(const struct cluster *cluster, struct net_input *in)
{
	struct member_table table = cluster->members;

	*in = (struct net_input){.n_nodes = table.n_nodes};
	member_ask_store(&table, cluster->rs);
	for (size_t i = 0; i < table.n_nodes; i++) {
		struct net_node *node = &in->nodes[i];

		node->id = table.nodes[i].id;
		node->is_member = table.nodes[i].is_member;
		node->is_reporting = table.nodes[i].has_service;
		memcpy(node->name, table.nodes[i].name, sizeof(node->name));
		for (size_t link = 0; link < NET_MAX_LINKS; link++)
			node->link_address[link] =
				net_parse_address(table.nodes[i].ring_addr[link]);
	}
	net_records_read(rs_store(cluster->rs), in);
}

size_t cluster_nets(const struct cluster *cluster, struct cluster_net *ret_nets, size_t max)
{
	struct net_input in;

	make_input(cluster, &in);
	return net_compute(&in, ret_nets, max);
}

size_t cluster_migration_nets(const struct cluster *cluster, uint32_t from_node, uint32_t to_node,
	struct cluster_net *ret_nets, size_t max)
{
	struct cluster_net nets[CLUSTER_MAX_NETS];
	struct net_input in;
	size_t n;

	make_input(cluster, &in);
	n = net_compute(&in, nets, ARRAY_LEN(nets));
	return net_choose_migration(&in, nets, n, from_node, to_node, ret_nets, max);
}

int cluster_reload_config(struct cluster *cluster)
{
	return cluster->cfg ? cfg_link_reload(cluster->cfg) : -EHOSTDOWN;
}

int cluster_stop_corosync(struct cluster *cluster)
{
	return cluster->cfg ? cfg_link_shutdown(cluster->cfg) : -EHOSTDOWN;
}
