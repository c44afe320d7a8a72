/* SPDX-License-Identifier: MIT */
#include "cluster/cmap_link.h"
#include "cluster/corosync_error.h"

#include <stdio.h>
#include <string.h>

#include <corosync/cmap.h>

#define NODELIST_PREFIX "nodelist.node."

struct cmap_link {
	struct worker *worker;
	struct worker_job close;
	struct loop *loop; /* NULL: not started */
	const struct cmap_link_ops *ops;
	void *data;
	cmap_handle_t handle;
	bool connected;
	bool is_news;
	int fd;
};

static void on_change(cmap_handle_t handle, cmap_track_handle_t track, int32_t event,
	const char *key, struct cmap_notify_value new_value, struct cmap_notify_value old_value,
	void *data)
{
	struct cmap_link *link = data;

	(void)handle;
	(void)track;
	(void)event;
	(void)key;
	(void)new_value;
	(void)old_value;
	link->is_news = true;
}

static void dispatch(int fd, short revents, void *data)
{
	struct cmap_link *link = data;
	cs_error_t error = cmap_dispatch(link->handle, CS_DISPATCH_ALL);

	(void)fd;
	(void)revents;
	if (error != CS_OK && error != CS_ERR_TRY_AGAIN) {
		link->ops->lost(corosync_errno(error), link->data);
	} else if (link->is_news) {
		link->is_news = false;
		link->ops->changed(link->data);
	}
}

static void close_job(struct worker_job *job)
{
	cmap_link_close(container_of(job, struct cmap_link, close));
}

static int connect_cmap(struct cmap_link *link)
{
	cmap_track_handle_t track;
	cs_error_t error;

	error = cmap_initialize(&link->handle);
	if (error != CS_OK)
		return corosync_errno(error);
	link->connected = true;
	error = cmap_fd_get(link->handle, &link->fd);
	if (error == CS_OK)
		error = cmap_track_add(link->handle, NODELIST_PREFIX,
			CMAP_TRACK_ADD | CMAP_TRACK_DELETE | CMAP_TRACK_MODIFY | CMAP_TRACK_PREFIX,
			on_change, link, &track);
	return corosync_errno(error);
}

int cmap_link_open(struct worker *worker, struct cmap_link **ret_link)
{
	struct cmap_link *link = calloc(1, sizeof(*link));
	int r;

	if (!link)
		return -ENOMEM;
	link->worker = worker;
	link->close.work = close_job;
	r = connect_cmap(link);
	if (r < 0) {
		cmap_link_close(link);
		return r;
	}
	*ret_link = link;
	return 0;
}

void cmap_link_close(struct cmap_link *link)
{
	if (!link)
		return;
	if (link->connected)
		cmap_finalize(link->handle);
	free(link);
}

int cmap_link_start(
	struct cmap_link *link, struct loop *loop, const struct cmap_link_ops *ops, void *data)
{
	link->loop = loop;
	link->ops = ops;
	link->data = data;
	return loop_fd_add(loop, link->fd, POLLIN, dispatch, link);
}

void cmap_link_free(struct cmap_link *link)
{
	if (!link)
		return;
	if (link->loop)
		loop_fd_remove(link->loop, link->fd);
	worker_do(link->worker, &link->close);
}

/* ---- what is configured ---- */

static void read_text(cmap_handle_t handle, unsigned position, const char *what, char *ret_text,
	size_t size_bytes)
{
	char key[CMAP_KEYNAME_MAXLEN + 1];
	char *text;

	snprintf(key, sizeof(key), NODELIST_PREFIX "%u.%s", position, what);
	if (cmap_get_string(handle, key, &text) != CS_OK)
		return;
	snprintf(ret_text, size_bytes, "%s", text);
	free(text);
}

static void read_node(
	cmap_handle_t handle, unsigned position, uint32_t id, struct cmap_node *ret_node)
{
	struct cmap_node node = {.id = id};
	char what[16];

	for (unsigned ring = 0; ring < CMAP_MAX_RINGS; ring++) {
		snprintf(what, sizeof(what), "ring%u_addr", ring);
		read_text(handle, position, what, node.ring_addr[ring], sizeof(node.ring_addr[0]));
	}
	read_text(handle, position, "name", node.name, sizeof(node.name));
	if (!node.name[0])
		snprintf(node.name, sizeof(node.name), "%s", node.ring_addr[0]);
	if (!node.name[0])
		snprintf(node.name, sizeof(node.name), "node%u", id);
	*ret_node = node;
}

static void read_priorities(cmap_handle_t handle, uint8_t ret_priority[CMAP_MAX_RINGS])
{
	char key[CMAP_KEYNAME_MAXLEN + 1];

	for (unsigned i = 0; i < CMAP_MAX_RINGS; i++) {
		snprintf(key, sizeof(key), "totem.interface.%u.knet_link_priority", i);
		if (cmap_get_uint8(handle, key, &ret_priority[i]) != CS_OK)
			ret_priority[i] = 0;
	}
}

static int order_nodes(const void *a, const void *b)
{
	const struct cmap_node *x = a, *y = b;

	return x->id < y->id ? -1 : x->id > y->id;
}

static int read_nodes(cmap_handle_t handle, struct cmap_config *config)
{
	char key[CMAP_KEYNAME_MAXLEN + 1], what[16];
	cmap_iter_handle_t iter;
	unsigned position;
	uint32_t id;
	int r;

	r = corosync_errno(cmap_iter_init(handle, NODELIST_PREFIX, &iter));
	if (r < 0)
		return r;
	config->n_nodes = 0;
	while (r == 0 && cmap_iter_next(handle, iter, key, NULL, NULL) == CS_OK) {
		if (sscanf(key, NODELIST_PREFIX "%u.%15s", &position, what) != 2 ||
			strcmp(what, "nodeid") != 0 || cmap_get_uint32(handle, key, &id) != CS_OK)
			continue;
		if (config->n_nodes == ARRAY_LEN(config->nodes))
			r = -E2BIG;
		else
			read_node(handle, position, id, &config->nodes[config->n_nodes++]);
	}
	cmap_iter_finalize(handle, iter);
	qsort(config->nodes, config->n_nodes, sizeof(config->nodes[0]), order_nodes);
	return r;
}

int cmap_read(struct cmap_config *ret_config)
{
	cmap_handle_t handle;
	int r = corosync_errno(cmap_initialize(&handle));

	if (r < 0)
		return r;
	r = read_nodes(handle, ret_config);
	read_priorities(handle, ret_config->priority);
	cmap_finalize(handle);
	return r;
}
