/* SPDX-License-Identifier: MIT */
#include "cluster/quorum_link.h"
#include "base/clock.h"
#include "cluster/corosync_error.h"

#include <corosync/votequorum.h>

#define RETRY_NS (20 * NS_PER_MS)

struct quorum_link {
	struct worker *worker;
	struct worker_job close;
	struct loop *loop; /* NULL: not started */
	const struct quorum_link_ops *ops;
	void *data;
	votequorum_handle_t handle;
	bool connected;
	int fd;
	uint64_t retry_timer;
	struct quorum_info info;
};

static struct quorum_link *link_of(votequorum_handle_t handle)
{
	void *link = NULL;

	votequorum_context_get(handle, &link);
	return link;
}

static void on_quorum(votequorum_handle_t handle, uint64_t context, uint32_t quorate,
	uint32_t n_nodes, votequorum_node_t nodes[])
{
	struct quorum_link *link = link_of(handle);
	struct quorum_info *info = &link->info;

	(void)context;
	info->quorate = quorate;
	info->is_settling = false;
	info->n_members = 0;
	for (uint32_t i = 0; i < n_nodes && info->n_members < QUORUM_MAX_NODES; i++) {
		if (nodes[i].nodeid != VOTEQUORUM_QDEVICE_NODEID &&
			nodes[i].state == VOTEQUORUM_NODESTATE_MEMBER)
			info->members[info->n_members++] = nodes[i].nodeid;
	}
}

static void on_nodelist(votequorum_handle_t handle, uint64_t context, votequorum_ring_id_t ring,
	uint32_t n_nodes, uint32_t nodes[])
{
	struct quorum_info *info = &link_of(handle)->info;

	(void)context;
	(void)ring;
	info->is_settling = true;
	info->n_members = 0;
	for (uint32_t i = 0; i < n_nodes && info->n_members < QUORUM_MAX_NODES; i++)
		info->members[info->n_members++] = nodes[i];
}

static void on_expected_votes(votequorum_handle_t handle, uint64_t context, uint32_t expected_votes)
{
	(void)context;
	link_of(handle)->info.expected_votes = expected_votes;
}

/* The numbers that do not come with the callbacks. */
static int refresh(struct quorum_link *link)
{
	struct votequorum_info info = {};
	struct quorum_info *out = &link->info;
	cs_error_t error;

	error = votequorum_getinfo(link->handle, 0, &info);
	if (error != CS_OK)
		return corosync_errno(error);
	out->quorate = info.flags & VOTEQUORUM_INFO_QUORATE;
	out->expected_votes = info.highest_expected;
	out->total_votes = info.total_votes;
	out->quorum_votes = info.quorum;
	out->local_votes = info.node_votes;
	out->nodes_needed = 0;
	if (info.qdevice_votes > 0 && info.highest_expected > info.qdevice_votes)
		out->nodes_needed = (info.highest_expected - info.qdevice_votes) / 2 + 1;
	out->device_votes = info.flags & VOTEQUORUM_INFO_QDEVICE_CAST_VOTE ? info.qdevice_votes : 0;
	return 0;
}

static int take_all(struct quorum_link *link)
{
	cs_error_t error = votequorum_dispatch(link->handle, CS_DISPATCH_ALL);

	if (error != CS_OK && error != CS_ERR_TRY_AGAIN)
		return corosync_errno(error);
	return refresh(link);
}

static void tell(void *data);

static void tell_later(struct quorum_link *link)
{
	if (!link->retry_timer)
		loop_timer_add(link->loop, RETRY_NS, tell, link, &link->retry_timer);
}

static void tell(void *data)
{
	struct quorum_link *link = data;
	int r;

	link->retry_timer = 0;
	r = take_all(link);
	/* Busy with the change it told us about. */
	if (r == -EAGAIN)
		tell_later(link);
	else if (r < 0)
		link->ops->lost(r, link->data);
	else
		link->ops->changed(link->data);
}

static void dispatch(int fd, short revents, void *data)
{
	struct quorum_link *link = data;

	(void)fd;
	(void)revents;
	loop_timer_remove(link->loop, link->retry_timer);
	tell(link);
}

static void close_job(struct worker_job *job)
{
	quorum_link_close(container_of(job, struct quorum_link, close));
}

static int connect_votequorum(struct quorum_link *link)
{
	votequorum_callbacks_t callbacks = {
		.votequorum_quorum_notify_fn = on_quorum,
		.votequorum_expectedvotes_notify_fn = on_expected_votes,
		.votequorum_nodelist_notify_fn = on_nodelist,
	};
	cs_error_t error;

	error = votequorum_initialize(&link->handle, &callbacks);
	if (error != CS_OK)
		return corosync_errno(error);
	link->connected = true;
	error = votequorum_context_set(link->handle, link);
	if (error == CS_OK)
		error = votequorum_fd_get(link->handle, &link->fd);
	if (error == CS_OK)
		error = votequorum_trackstart(link->handle, 0, CS_TRACK_CURRENT | CS_TRACK_CHANGES);
	return error == CS_OK ? take_all(link) : corosync_errno(error);
}

int quorum_link_open(struct worker *worker, struct quorum_link **ret_link)
{
	struct quorum_link *link = calloc(1, sizeof(*link));
	int r;

	if (!link)
		return -ENOMEM;
	link->worker = worker;
	link->close.work = close_job;
	r = connect_votequorum(link);
	if (r < 0) {
		quorum_link_close(link);
		return r;
	}
	*ret_link = link;
	return 0;
}

void quorum_link_close(struct quorum_link *link)
{
	if (!link)
		return;
	if (link->connected)
		votequorum_finalize(link->handle);
	free(link);
}

int quorum_link_start(
	struct quorum_link *link, struct loop *loop, const struct quorum_link_ops *ops, void *data)
{
	link->loop = loop;
	link->ops = ops;
	link->data = data;
	return loop_fd_add(loop, link->fd, POLLIN, dispatch, link);
}

void quorum_link_free(struct quorum_link *link)
{
	if (!link)
		return;
	if (link->loop) {
		loop_timer_remove(link->loop, link->retry_timer);
		loop_fd_remove(link->loop, link->fd);
	}
	worker_do(link->worker, &link->close);
}

const struct quorum_info *quorum_link_info(const struct quorum_link *link)
{
	return &link->info;
}
