/* SPDX-License-Identifier: MIT */
#include "cluster/netprobe_udp.h"

#include "base/clock.h"
#include "base/list.h"

#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/socket.h>

#define BURST       64
#define RETRY_TICKS 8

struct channel {
	struct list link;
	struct netprobe_udp *probe;
	struct net_addr local;
	char ifname[32];
	int fd;
	bool is_wanted;
};

struct netprobe_udp {
	struct loop *loop;
	struct netprobe *core;
	struct list channels;
	struct netprobe_path *paths;
	size_t n_paths;
	uint64_t timer;
	unsigned n_ticks;
	void (*changed)(void *data);
	void *data;
};

/* ---- sockets ---- */

static void channel_free(struct channel *channel)
{
	loop_fd_remove(channel->probe->loop, channel->fd);
	close(channel->fd);
	list_remove(&channel->link);
	free(channel);
}

static struct channel *find_channel(
	const struct netprobe_udp *probe, const struct net_addr *local, const char *ifname)
{
	struct channel *channel;

	list_for_each(channel, &probe->channels, link) {
		if (net_addr_compare(&channel->local, local) == 0 &&
			strcmp(channel->ifname, ifname) == 0)
			return channel;
	}
	return NULL;
}

static void on_readable(int fd, short revents _unused_, void *data)
{
	struct channel *channel = data;

	for (unsigned i = 0; i < BURST; i++) {
		struct sockaddr_storage from = {};
		socklen_t from_bytes = sizeof(from);
		uint8_t bytes[NETPROBE_BYTES + 1];
		ssize_t n = recvfrom(
			fd, bytes, sizeof(bytes), 0, (struct sockaddr *)&from, &from_bytes);
		struct net_addr remote;

		if (n < 0)
			return;
		remote = net_addr_from_socket((const struct sockaddr *)&from);
		netprobe_receive(channel->probe->core, &channel->local, &remote, bytes, (size_t)n,
			clock_mono_ns());
	}
}

static int set_options(int fd, uint8_t family, const char *ifname)
{
	static const int one = 1;
	int r;

	if (setsockopt(fd, SOL_SOCKET, SO_DONTROUTE, &one, sizeof(one)) < 0 ||
		setsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, ifname, (socklen_t)strlen(ifname) + 1) <
			0)
		return -errno;
	if (family == NET_FAMILY_IPV4)
		r = setsockopt(fd, IPPROTO_IP, IP_TTL, &one, sizeof(one));
	else
		r = setsockopt(fd, IPPROTO_IPV6, IPV6_UNICAST_HOPS, &one, sizeof(one));
	if (r == 0 && family == NET_FAMILY_IPV6)
		r = setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &one, sizeof(one));
	return r < 0 ? -errno : 0;
}

static int open_socket(const struct net_addr *local, const char *ifname)
{
	struct sockaddr_storage address;
	socklen_t size_bytes = net_addr_to_socket(local, NETPROBE_PORT, &address);
	_cleanup_close_ int fd =
		socket(address.ss_family, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	int r;

	if (fd < 0)
		return -errno;
	r = set_options(fd, local->family, ifname);
	if (r < 0)
		return r;
	if (bind(fd, (const struct sockaddr *)&address, size_bytes) < 0)
		return -errno;
	r = fd;
	fd = -1;
	return r;
}

static int channel_new(struct netprobe_udp *probe, const struct net_addr *local, const char *ifname)
{
	struct channel *channel = calloc(1, sizeof(*channel));
	int r;

	if (!channel)
		return -ENOMEM;
	channel->probe = probe;
	channel->local = *local;
	channel->is_wanted = true;
	memcpy(channel->ifname, ifname, sizeof(channel->ifname));
	channel->fd = open_socket(local, ifname);
	r = channel->fd < 0 ? channel->fd
			    : loop_fd_add(probe->loop, channel->fd, POLLIN, on_readable, channel);
	if (r < 0) {
		if (channel->fd >= 0)
			close(channel->fd);
		free(channel);
		return r;
	}
	list_append(&probe->channels, &channel->link);
	return 0;
}

/* An address may not be usable yet, or somebody else may still hold the port. */
static void open_missing(struct netprobe_udp *probe)
{
	for (size_t i = 0; i < probe->n_paths; i++) {
		const struct netprobe_path *path = &probe->paths[i];

		if (!find_channel(probe, &path->local, path->ifname))
			(void)channel_new(probe, &path->local, path->ifname);
	}
}

static void close_unwanted(struct netprobe_udp *probe)
{
	struct channel *channel, *after;

	list_for_each(channel, &probe->channels, link) {
		channel->is_wanted = false;
		for (size_t i = 0; i < probe->n_paths && !channel->is_wanted; i++)
			channel->is_wanted =
				net_addr_compare(&probe->paths[i].local, &channel->local) == 0 &&
				strcmp(probe->paths[i].ifname, channel->ifname) == 0;
	}
	list_for_each_safe(channel, after, &probe->channels, link) {
		if (!channel->is_wanted)
			channel_free(channel);
	}
}

/* ---- the core's ---- */

static void on_send(
	const struct netprobe_path *path, const void *bytes, size_t size_bytes, void *data)
{
	struct netprobe_udp *probe = data;
	struct channel *channel = find_channel(probe, &path->local, path->ifname);
	struct sockaddr_storage to;
	socklen_t to_bytes = net_addr_to_socket(&path->remote, NETPROBE_PORT, &to);

	if (channel)
		(void)sendto(
			channel->fd, bytes, size_bytes, 0, (const struct sockaddr *)&to, to_bytes);
}

static void on_random(void *bytes, size_t size_bytes, void *data _unused_)
{
	if (getrandom(bytes, size_bytes, 0) != (ssize_t)size_bytes)
		abort();
}

static void on_changed(void *data)
{
	struct netprobe_udp *probe = data;

	probe->changed(probe->data);
}

static void on_tick(void *data)
{
	struct netprobe_udp *probe = data;

	loop_timer_add(probe->loop, NETPROBE_TICK_NS, on_tick, probe, &probe->timer);
	if (++probe->n_ticks % RETRY_TICKS == 0)
		open_missing(probe);
	netprobe_tick(probe->core, clock_mono_ns());
}

int netprobe_udp_new(struct loop *loop, uint32_t self, void (*changed)(void *data), void *data,
	struct netprobe_udp **ret_probe)
{
	static const struct netprobe_ops ops = {
		.send = on_send, .random = on_random, .changed = on_changed};
	struct netprobe_udp *probe = calloc(1, sizeof(*probe));
	int r;

	if (!probe)
		return -ENOMEM;
	probe->loop = loop;
	probe->changed = changed;
	probe->data = data;
	list_init(&probe->channels);
	r = netprobe_new(self, &ops, probe, &probe->core);
	if (r == 0)
		r = loop_timer_add(loop, NETPROBE_TICK_NS, on_tick, probe, &probe->timer);
	if (r < 0) {
		netprobe_udp_free(probe);
		return r;
	}
	*ret_probe = probe;
	return 0;
}

void netprobe_udp_free(struct netprobe_udp *probe)
{
	struct channel *channel, *after;

	if (!probe)
		return;
	loop_timer_remove(probe->loop, probe->timer);
	list_for_each_safe(channel, after, &probe->channels, link)
		channel_free(channel);
	netprobe_free(probe->core);
	free(probe->paths);
	free(probe);
}

int netprobe_udp_set_paths(
	struct netprobe_udp *probe, const struct netprobe_path *paths, size_t n_paths)
{
	struct netprobe_path *copy = calloc(n_paths + 1, sizeof(*copy));
	int r;

	if (!copy)
		return -ENOMEM;
	memcpy(copy, paths, n_paths * sizeof(*copy));
	r = netprobe_set_paths(probe->core, paths, n_paths, clock_mono_ns());
	if (r < 0) {
		free(copy);
		return r;
	}
	free(probe->paths);
	probe->paths = copy;
	probe->n_paths = n_paths;
	close_unwanted(probe);
	open_missing(probe);
	return 0;
}

void netprobe_udp_fill_row(const struct netprobe_udp *probe, struct net_row *row)
{
	netprobe_fill_row(probe->core, row);
}
