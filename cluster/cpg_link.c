/* SPDX-License-Identifier: MIT */
#include "cluster/cpg_link.h"
#include "base/clock.h"
#include "base/list.h"
#include "cluster/corosync_error.h"

#include <string.h>
#include <unistd.h>

#include <corosync/cpg.h>

/* Deliveries taken in one go; then acknowledgements go out and others get their turn. */
#define MAX_BATCH    64
#define MAX_BATCH_NS (4 * NS_PER_MS)
#define RETRY_MIN_NS (500 * NS_PER_US)
#define RETRY_MAX_NS (16 * NS_PER_MS)

struct queued {
	struct list siblings;
	size_t size_bytes;
	uint8_t bytes[];
};

struct cpg_link {
	struct worker *worker;
	struct worker_job close;
	struct loop *loop; /* NULL: not started */
	const struct cpg_link_ops *ops;
	void *data;
	cpg_handle_t handle;
	bool connected;
	int fd;
	uint32_t local_id;
	struct cpg_name group;
	bool joined;
	int error;
	struct list queue;
	uint64_t retry_timer;
	uint64_t retry_ns;
};

static void retry(void *data);

static void retry_later(struct cpg_link *link)
{
	int r;

	if (link->retry_timer)
		return;
	r = loop_timer_add(link->loop, link->retry_ns, retry, link, &link->retry_timer);
	link->retry_ns = MIN(link->retry_ns * 2, RETRY_MAX_NS);
	if (r < 0)
		link->error = r; /* seen at the next delivery */
}

/* Told from the loop, where nobody relies on the link any more. */
static void fail(struct cpg_link *link, int error)
{
	if (link->error == 0)
		link->error = error;
	retry_later(link);
}

static int send_now(struct cpg_link *link, const void *bytes, size_t size_bytes)
{
	struct iovec part = {.iov_base = (void *)bytes, .iov_len = size_bytes};

	return corosync_errno(cpg_mcast_joined(link->handle, CPG_TYPE_AGREED, &part, 1));
}

static int enqueue(struct cpg_link *link, const void *bytes, size_t size_bytes)
{
	struct queued *queued = malloc(sizeof(*queued) + size_bytes);

	if (!queued)
		return -ENOMEM;
	queued->size_bytes = size_bytes;
	memcpy(queued->bytes, bytes, size_bytes);
	list_append(&link->queue, &queued->siblings);
	return 0;
}

void cpg_link_multicast(struct cpg_link *link, const void *bytes, size_t size_bytes)
{
	int r = -EAGAIN;

	if (link->error < 0)
		return;
	if (list_empty(&link->queue))
		r = send_now(link, bytes, size_bytes);
	if (r == -EAGAIN) {
		r = enqueue(link, bytes, size_bytes);
		retry_later(link);
	}
	if (r < 0)
		fail(link, r);
}

static int send_queued(struct cpg_link *link)
{
	struct queued *queued;
	int r;

	while (!list_empty(&link->queue)) {
		queued = list_entry(link->queue.next, struct queued, siblings);
		r = send_now(link, queued->bytes, queued->size_bytes);
		if (r < 0)
			return r;
		list_remove(&queued->siblings);
		free(queued);
		link->retry_ns = RETRY_MIN_NS;
	}
	return 0;
}

static int join(struct cpg_link *link)
{
	int r;

	if (link->joined)
		return 0;
	r = corosync_errno(cpg_join(link->handle, &link->group));
	link->joined = r == 0;
	return r;
}

static void retry(void *data)
{
	struct cpg_link *link = data;
	int r = link->error;

	link->retry_timer = 0;
	if (r == 0)
		r = join(link);
	if (r == 0)
		r = send_queued(link);
	if (r == -EAGAIN)
		retry_later(link);
	else if (r < 0)
		link->ops->lost(r, link->data);
}

static struct cpg_link *link_of(cpg_handle_t handle)
{
	void *link = NULL;

	cpg_context_get(handle, &link);
	return link;
}

static void on_deliver(cpg_handle_t handle, const struct cpg_name *group, uint32_t sender,
	uint32_t pid, void *bytes, size_t size_bytes)
{
	struct cpg_link *link = link_of(handle);

	(void)group;
	(void)pid;
	link->ops->deliver(sender, bytes, size_bytes, link->data);
}

static int order_ids(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

	return x < y ? -1 : x > y;
}

/* We join, and a process of this node is there already: a node has one, and it is not us. */
static bool is_second(const struct cpg_link *link, const struct cpg_address *members,
	size_t n_members, const struct cpg_address *joined, size_t n_joined)
{
	uint32_t pid = (uint32_t)getpid();
	bool we_join = false, is_there = false;

	for (size_t i = 0; i < n_joined; i++)
		we_join = we_join || (joined[i].nodeid == link->local_id && joined[i].pid == pid);
	for (size_t i = 0; i < n_members; i++)
		is_there =
			is_there || (members[i].nodeid == link->local_id && members[i].pid != pid);
	return we_join && is_there;
}

static void on_confchg(cpg_handle_t handle, const struct cpg_name *group,
	const struct cpg_address *members, size_t n_members, const struct cpg_address *left,
	size_t n_left, const struct cpg_address *joined, size_t n_joined)
{
	struct cpg_link *link = link_of(handle);
	uint32_t ids[CPG_MEMBERS_MAX];
	size_t n = 0, n_distinct = 0;

	(void)group;
	(void)left;
	(void)n_left;
	if (is_second(link, members, n_members, joined, n_joined)) {
		fail(link, -EADDRINUSE);
		return;
	}
	for (; n < n_members && n < ARRAY_LEN(ids); n++)
		ids[n] = members[n].nodeid;
	qsort(ids, n, sizeof(ids[0]), order_ids);
	for (size_t i = 0; i < n; i++) {
		if (i == 0 || ids[i] != ids[i - 1])
			ids[n_distinct++] = ids[i];
	}
	link->ops->confchg(ids, n_distinct, link->data);
}

static void dispatch(int fd, short revents, void *data)
{
	struct cpg_link *link = data;
	uint64_t until_ns = clock_mono_ns() + MAX_BATCH_NS;
	cs_error_t error = CS_OK;

	(void)fd;
	(void)revents;
	for (int i = 0; i < MAX_BATCH && error == CS_OK && link->error == 0; i++) {
		error = cpg_dispatch(link->handle, CS_DISPATCH_ONE_NONBLOCKING);
		if (clock_mono_ns() >= until_ns)
			break;
	}
	if (error != CS_OK && error != CS_ERR_TRY_AGAIN)
		link->ops->lost(corosync_errno(error), link->data);
	else if (link->error < 0)
		link->ops->lost(link->error, link->data);
	else
		link->ops->turn_end(link->data);
}

static void close_job(struct worker_job *job)
{
	cpg_link_close(container_of(job, struct cpg_link, close));
}

static int connect_group(struct cpg_link *link)
{
	cpg_model_v1_data_t model = {
		.model = CPG_MODEL_V1,
		.cpg_deliver_fn = on_deliver,
		.cpg_confchg_fn = on_confchg,
	};
	cs_error_t error;

	error = cpg_model_initialize(&link->handle, CPG_MODEL_V1, (cpg_model_data_t *)&model, link);
	if (error != CS_OK)
		return corosync_errno(error);
	link->connected = true;
	error = cpg_local_get(link->handle, &link->local_id);
	if (error == CS_OK)
		error = cpg_fd_get(link->handle, &link->fd);
	return corosync_errno(error);
}

int cpg_link_open(struct worker *worker, const char *group, struct cpg_link **ret_link)
{
	struct cpg_link *link = calloc(1, sizeof(*link));
	int r;

	if (!link)
		return -ENOMEM;
	link->worker = worker;
	link->close.work = close_job;
	link->retry_ns = RETRY_MIN_NS;
	list_init(&link->queue);
	link->group.length = (uint32_t)strnlen(group, CPG_MAX_NAME_LENGTH);
	memcpy(link->group.value, group, link->group.length);
	r = connect_group(link);
	if (r < 0) {
		cpg_link_close(link);
		return r;
	}
	*ret_link = link;
	return 0;
}

void cpg_link_close(struct cpg_link *link)
{
	if (!link)
		return;
	if (link->connected)
		cpg_finalize(link->handle);
	free(link);
}

int cpg_link_start(
	struct cpg_link *link, struct loop *loop, const struct cpg_link_ops *ops, void *data)
{
	int r;

	link->loop = loop;
	link->ops = ops;
	link->data = data;
	r = loop_fd_add(loop, link->fd, POLLIN, dispatch, link);
	if (r == 0)
		retry_later(link); /* joins */
	return r;
}

void cpg_link_free(struct cpg_link *link)
{
	struct queued *queued;

	if (!link)
		return;
	if (link->loop) {
		loop_timer_remove(link->loop, link->retry_timer);
		loop_fd_remove(link->loop, link->fd);
	}
	while ((queued = list_pop(&link->queue, struct queued, siblings)))
		free(queued);
	worker_do(link->worker, &link->close);
}

uint32_t cpg_link_local_id(const struct cpg_link *link)
{
	return link->local_id;
}
