/* SPDX-License-Identifier: MIT */
#include "cluster/cfg_link.h"
#include "cluster/corosync_error.h"

#include <netinet/in.h>
#include <string.h>

#include <corosync/cfg.h>

_Static_assert(CFG_MAX_LINKS == NET_MAX_LINKS, "corosync has as many links as we think");

struct cfg_link {
	struct worker *worker;
	struct worker_job ask, close;
	const struct cfg_link_ops *ops; /* NULL: nobody listens any more */
	void *data;
	corosync_cfg_handle_t handle;

	/* The question, which is the thread's while it is under way. */
	uint32_t peers[CLUSTER_MAX_NODES];
	size_t n_peers;
	struct net_row row;
	int error;
};

/* ---- the thread ---- */

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

static int ask(struct cfg_link *link)
{
	struct corosync_cfg_node_status_v1 status;
	cs_error_t error;

	link->row = (struct net_row){};
	for (size_t i = 0; i < link->n_peers; i++) {
		error = corosync_cfg_node_status_get(
			link->handle, link->peers[i], CFG_NODE_STATUS_V1, &status);
		if (error == CS_OK)
			add_peer(&status, link->peers[i], &link->row);
		else if (error == CS_ERR_LIBRARY || error == CS_ERR_BAD_HANDLE)
			return corosync_errno(error);
	}
	return 0;
}

static void ask_job(struct worker_job *job)
{
	struct cfg_link *link = container_of(job, struct cfg_link, ask);

	link->error = ask(link);
}

static void close_job(struct worker_job *job)
{
	corosync_cfg_finalize(container_of(job, struct cfg_link, close)->handle);
}

static void drop_job(struct worker_job *job)
{
	free(container_of(job, struct cfg_link, close));
}

static int open_handle(corosync_cfg_handle_t *ret_handle)
{
	const corosync_cfg_callbacks_t callbacks = {};

	return corosync_errno(corosync_cfg_initialize(ret_handle, &callbacks));
}

/* ---- the loop ---- */

static void on_asked(struct worker_job *job)
{
	struct cfg_link *link = container_of(job, struct cfg_link, ask);

	if (!link->ops)
		return;
	if (link->error < 0)
		link->ops->lost(link->error, link->data);
	else
		link->ops->answered(&link->row, link->data);
}

int cfg_link_open(struct worker *worker, struct cfg_link **ret_link)
{
	struct cfg_link *link = calloc(1, sizeof(*link));
	int r;

	if (!link)
		return -ENOMEM;
	link->worker = worker;
	link->ask = (struct worker_job){.work = ask_job, .done = on_asked};
	/* Behind a question that is under way, also for the loop. */
	link->close = (struct worker_job){.work = close_job, .done = drop_job, .drop = drop_job};
	r = open_handle(&link->handle);
	if (r < 0) {
		free(link);
		return r;
	}
	*ret_link = link;
	return 0;
}

void cfg_link_close(struct cfg_link *link)
{
	if (!link)
		return;
	corosync_cfg_finalize(link->handle);
	free(link);
}

void cfg_link_start(struct cfg_link *link, const struct cfg_link_ops *ops, void *data)
{
	link->ops = ops;
	link->data = data;
}

void cfg_link_free(struct cfg_link *link)
{
	if (!link)
		return;
	link->ops = NULL;
	worker_do(link->worker, &link->close);
}

void cfg_link_ask(struct cfg_link *link, const uint32_t *peers, size_t n_peers)
{
	if (worker_has(&link->ask))
		return;
	link->n_peers = MIN(n_peers, (size_t)CLUSTER_MAX_NODES);
	memcpy(link->peers, peers, link->n_peers * sizeof(peers[0]));
	worker_do(link->worker, &link->ask);
}

/* With a handle of its own: there need not be a link any more. */
static int demand(cs_error_t (*what)(corosync_cfg_handle_t handle))
{
	corosync_cfg_handle_t handle;
	int r = open_handle(&handle);

	if (r < 0)
		return r;
	r = corosync_errno(what(handle));
	corosync_cfg_finalize(handle);
	return r;
}

int cfg_reload(void)
{
	return demand(corosync_cfg_reload_config);
}

static cs_error_t shut_down(corosync_cfg_handle_t handle)
{
	return corosync_cfg_try_shutdown(handle, COROSYNC_CFG_SHUTDOWN_FLAG_IMMEDIATE);
}

int cfg_shutdown(void)
{
	return demand(shut_down);
}
