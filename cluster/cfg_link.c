/* SPDX-License-Identifier: MIT */
#include "cluster/cfg_link.h"
#include "cluster/corosync_error.h"

#include <netinet/in.h>

#include <corosync/cfg.h>

_Static_assert(CFG_MAX_LINKS == NET_MAX_LINKS, "corosync has as many links as we think");

struct cfg_link {
	corosync_cfg_handle_t handle;
};

int cfg_link_new(struct cfg_link **ret_link)
{
	const corosync_cfg_callbacks_t callbacks = {};
	struct cfg_link *link = calloc(1, sizeof(*link));
	cs_error_t error;

	if (!link)
		return -ENOMEM;
	error = corosync_cfg_initialize(&link->handle, &callbacks);
	if (error != CS_OK) {
		free(link);
		return corosync_errno(error);
	}
	*ret_link = link;
	return 0;
}

void cfg_link_free(struct cfg_link *link)
{
	if (!link)
		return;
	corosync_cfg_finalize(link->handle);
	free(link);
}

static void add_peer(
	const struct corosync_cfg_node_status_v1 *status, uint32_t id, struct net_row *row)
{
	uint8_t links = 0;

	for (unsigned i = 0; i < CFG_MAX_LINKS; i++) {
		const struct corosync_knet_link_status_v1 *link = &status->link_status[i];

		if (!link->enabled)
			continue;
		if (link->connected)
			links |= (uint8_t)(1U << i);
		if (row->address[i].family == NET_FAMILY_NONE)
			net_addr_parse(link->src_ipaddr, &row->address[i]);
	}
	row->peers[row->n_peers].id = id;
	row->peers[row->n_peers++].links = links;
}

int cfg_link_row(
	struct cfg_link *link, const uint32_t *peers, size_t n_peers, struct net_row *ret_row)
{
	struct corosync_cfg_node_status_v1 status;
	struct net_row row = {};
	cs_error_t error;

	for (size_t i = 0; i < n_peers && row.n_peers < CLUSTER_MAX_NODES; i++) {
		error = corosync_cfg_node_status_get(
			link->handle, peers[i], CFG_NODE_STATUS_V1, &status);
		if (error == CS_OK)
			add_peer(&status, peers[i], &row);
		else if (error == CS_ERR_LIBRARY || error == CS_ERR_BAD_HANDLE)
			return corosync_errno(error);
	}
	*ret_row = row;
	return 0;
}

int cfg_link_reload(struct cfg_link *link)
{
	return corosync_errno(corosync_cfg_reload_config(link->handle));
}

int cfg_link_shutdown(struct cfg_link *link)
{
	return corosync_errno(
		corosync_cfg_try_shutdown(link->handle, COROSYNC_CFG_SHUTDOWN_FLAG_IMMEDIATE));
}
