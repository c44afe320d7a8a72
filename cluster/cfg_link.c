/* SPDX-License-Identifier: MIT */
#include "cluster/cfg_link.h"
#include "base/thread.h"
#include "cluster/corosync_error.h"

#include <netinet/in.h>
#include <string.h>

#include <corosync/cfg.h>

_Static_assert(CFG_MAX_LINKS == NET_MAX_LINKS, "corosync has as many links as we think");

enum state {
	STATE_IDLE,
	STATE_ASKED,    /* `peers` and `row` are the thread's */
	STATE_ANSWERED, /* the loop has not heard it yet */
};

struct cfg_link {
	const struct cfg_link_ops *ops;
	void *data;
	struct loop_event *done; /* there is an answer */

	struct thread thread;
	pthread_mutex_t lock;
	pthread_cond_t wakeup;
	/* Under `lock`. */
	enum state state;
	bool is_ending; /* nobody listens any more: the thread frees all this */
	uint32_t peers[CLUSTER_MAX_NODES];
	size_t n_peers;
	struct net_row row;
	int error;

	corosync_cfg_handle_t handle; /* the thread's */
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

static void destroy(struct cfg_link *link)
{
	if (link->handle)
		corosync_cfg_finalize(link->handle);
	pthread_mutex_destroy(&link->lock);
	pthread_cond_destroy(&link->wakeup);
	free(link);
}

/* With the lock held, which it gives up meanwhile. */
static void answer(struct cfg_link *link)
{
	int r;

	pthread_mutex_unlock(&link->lock);
	r = ask(link);
	pthread_mutex_lock(&link->lock);
	link->state = STATE_ANSWERED;
	link->error = r;
	if (!link->is_ending)
		loop_event_raise(link->done);
}

static void ask_thread(void *data)
{
	struct cfg_link *link = data;

	pthread_mutex_lock(&link->lock);
	while (!link->is_ending) {
		if (link->state == STATE_ASKED)
			answer(link);
		else
			pthread_cond_wait(&link->wakeup, &link->lock);
	}
	pthread_mutex_unlock(&link->lock);
	destroy(link);
}

/* ---- the loop ---- */

static void on_done(void *data)
{
	struct cfg_link *link = data;
	struct net_row row;
	int error;

	pthread_mutex_lock(&link->lock);
	row = link->row;
	error = link->error;
	link->state = STATE_IDLE;
	pthread_mutex_unlock(&link->lock);
	if (error < 0)
		link->ops->lost(error, link->data);
	else
		link->ops->answered(&row, link->data);
}

static int open_handle(corosync_cfg_handle_t *ret_handle)
{
	const corosync_cfg_callbacks_t callbacks = {};

	return corosync_errno(corosync_cfg_initialize(ret_handle, &callbacks));
}

int cfg_link_new(
	struct loop *loop, const struct cfg_link_ops *ops, void *data, struct cfg_link **ret_link)
{
	struct cfg_link *link = calloc(1, sizeof(*link));
	int r;

	if (!link)
		return -ENOMEM;
	link->ops = ops;
	link->data = data;
	pthread_mutex_init(&link->lock, NULL);
	pthread_cond_init(&link->wakeup, NULL);
	r = open_handle(&link->handle);
	if (r == 0)
		r = loop_event_new(loop, on_done, link, &link->done);
	if (r == 0)
		r = thread_start(&link->thread, "corosync-links", ask_thread, link);
	if (r < 0) {
		loop_event_free(link->done);
		destroy(link);
		return r;
	}
	*ret_link = link;
	return 0;
}

void cfg_link_free(struct cfg_link *link)
{
	struct loop_event *done;

	if (!link)
		return;
	done = link->done;
	thread_detach(&link->thread);
	pthread_mutex_lock(&link->lock);
	link->is_ending = true;
	pthread_cond_signal(&link->wakeup);
	pthread_mutex_unlock(&link->lock);
	loop_event_free(done);
}

void cfg_link_ask(struct cfg_link *link, const uint32_t *peers, size_t n_peers)
{
	pthread_mutex_lock(&link->lock);
	if (link->state == STATE_IDLE) {
		link->n_peers = MIN(n_peers, (size_t)CLUSTER_MAX_NODES);
		memcpy(link->peers, peers, link->n_peers * sizeof(peers[0]));
		link->state = STATE_ASKED;
		pthread_cond_signal(&link->wakeup);
	}
	pthread_mutex_unlock(&link->lock);
}

/* With a handle of its own: the link's is the thread's. */
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
