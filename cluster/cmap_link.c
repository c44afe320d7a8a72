/* SPDX-License-Identifier: MIT */
#include "cluster/cmap_link.h"
#include "cluster/corosync_error.h"

#include <stdio.h>
#include <string.h>

#include <corosync/cmap.h>

#define NODELIST_PREFIX "nodelist.node."

struct cmap_link {
	struct loop *loop;
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

int cmap_link_new(
	struct loop *loop, const struct cmap_link_ops *ops, void *data, struct cmap_link **ret_link)
{
	struct cmap_link *link = calloc(1, sizeof(*link));
	int r;

	if (!link)
		return -ENOMEM;
	link->loop = loop;
	link->ops = ops;
	link->data = data;
	link->fd = -1;
	r = connect_cmap(link);
	if (r == 0)
		r = loop_fd_add(loop, link->fd, POLLIN, dispatch, link);
	if (r < 0) {
		link->fd = -1;
		cmap_link_free(link);
		return r;
	}
	*ret_link = link;
	return 0;
}

void cmap_link_free(struct cmap_link *link)
{
	if (!link)
		return;
	if (link->fd >= 0)
		loop_fd_remove(link->loop, link->fd);
	if (link->connected)
		cmap_finalize(link->handle);
	free(link);
}

static void read_text(struct cmap_link *link, unsigned position, const char *what, char *ret_text,
	size_t size_bytes)
{
	char key[CMAP_KEYNAME_MAXLEN + 1];
	char *text;

	snprintf(key, sizeof(key), NODELIST_PREFIX "%u.%s", position, what);
	if (cmap_get_string(link->handle, key, &text) != CS_OK)
		return;
	snprintf(ret_text, size_bytes, "%s", text);
	free(text);
}

static void read_node(
	struct cmap_link *link, unsigned position, uint32_t id, struct cmap_node *ret_node)
{
	struct cmap_node node = {.id = id};
	char what[16];

	for (unsigned ring = 0; ring < CMAP_MAX_RINGS; ring++) {
		snprintf(what, sizeof(what), "ring%u_addr", ring);
		read_text(link, position, what, node.ring_addr[ring], sizeof(node.ring_addr[0]));
	}
	read_text(link, position, "name", node.name, sizeof(node.name));
	if (!node.name[0])
		snprintf(node.name, sizeof(node.name), "%s", node.ring_addr[0]);
	if (!node.name[0])
		snprintf(node.name, sizeof(node.name), "node%u", id);
	*ret_node = node;
}

void cmap_link_priorities(struct cmap_link *link, uint8_t ret_priority[CMAP_MAX_RINGS])
{
	char key[CMAP_KEYNAME_MAXLEN + 1];

	for (unsigned i = 0; i < CMAP_MAX_RINGS; i++) {
		snprintf(key, sizeof(key), "totem.interface.%u.knet_link_priority", i);
		if (cmap_get_uint8(link->handle, key, &ret_priority[i]) != CS_OK)
			ret_priority[i] = 0;
	}
}

static int order_nodes(const void *a, const void *b)
{
	const struct cmap_node *x = a, *y = b;

	return x->id < y->id ? -1 : x->id > y->id;
}

int cmap_link_nodes(struct cmap_link *link, struct cmap_node *ret_nodes, size_t max, size_t *ret_n)
{
	char key[CMAP_KEYNAME_MAXLEN + 1], what[16];
	cmap_iter_handle_t iter;
	unsigned position;
	size_t n = 0;
	uint32_t id;
	int r;

	r = corosync_errno(cmap_iter_init(link->handle, NODELIST_PREFIX, &iter));
	if (r < 0)
		return r;
	while (r == 0 && cmap_iter_next(link->handle, iter, key, NULL, NULL) == CS_OK) {
		if (sscanf(key, NODELIST_PREFIX "%u.%15s", &position, what) != 2 ||
			strcmp(what, "nodeid") != 0 ||
			cmap_get_uint32(link->handle, key, &id) != CS_OK)
			continue;
		if (n == max)
			r = -E2BIG;
		else
			read_node(link, position, id, &ret_nodes[n++]);
	}
	cmap_iter_finalize(link->handle, iter);
	if (r < 0)
		return r;
	qsort(ret_nodes, n, sizeof(ret_nodes[0]), order_nodes);
	*ret_n = n;
	return 0;
}
