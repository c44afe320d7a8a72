/* SPDX-License-Identifier: MIT */
#include "fabric/link_watch.h"
#include "base/bytes.h"
#include "base/thread.h"

#include <linux/if.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>

/* The kernel makes none larger. */
#define DATAGRAM_MAX_BYTES 32768
/* At a time. */
#define MAX_DATAGRAMS 32

struct link_watch {
	/* Constant after start. */
	int fd, event_fd, stop_fd;
	unsigned n_links;
	int ifindexes[LINK_WATCH_MAX_LINKS];
	struct thread thread;

	/* Under lock. */
	pthread_mutex_t lock;
	uint32_t known; /* the kernel has told of them */
	struct link_states states;
};

/* ---- datagrams ---- */

static void parse_link(const struct nlmsghdr *header, struct reader body, link_fn fn, void *fn_data)
{
	const uint32_t up = IFF_UP | IFF_LOWER_UP | IFF_RUNNING;
	struct ifinfomsg info;

	reader_bytes(&body, &info, sizeof(info));
	/* Bridges report their ports by messages of a family of their own; a port that leaves its
	 * bridge is not gone. */
	if (!reader_ok(&body) || info.ifi_family != AF_UNSPEC)
		return;
	if (header->nlmsg_type == RTM_DELLINK)
		fn(info.ifi_index, LINK_GONE, fn_data);
	else
		fn(info.ifi_index, (info.ifi_flags & up) == up ? LINK_UP : LINK_DOWN, fn_data);
}

/* The answer to a question bears its number, which is the link's index. */
static void parse_error(
	const struct nlmsghdr *header, struct reader body, link_fn fn, void *fn_data)
{
	int error;

	reader_bytes(&body, &error, sizeof(error));
	if (reader_ok(&body) && error == -ENODEV)
		fn((int)header->nlmsg_seq, LINK_GONE, fn_data);
}

void link_parse(const void *data, size_t size_bytes, link_fn fn, void *fn_data)
{
	struct reader in = reader_make(data, size_bytes);

	while (in.left_bytes) {
		struct nlmsghdr header;
		const void *body;
		size_t body_bytes;

		reader_bytes(&in, &header, sizeof(header));
		if (!reader_ok(&in) || header.nlmsg_len < sizeof(header))
			return;
		body_bytes = header.nlmsg_len - sizeof(header);
		body = reader_take(&in, body_bytes);
		if (!body)
			return;
		if (header.nlmsg_type == RTM_NEWLINK || header.nlmsg_type == RTM_DELLINK)
			parse_link(&header, reader_make(body, body_bytes), fn, fn_data);
		else if (header.nlmsg_type == NLMSG_ERROR)
			parse_error(&header, reader_make(body, body_bytes), fn, fn_data);
		/* The last one need not be padded. */
		reader_take(&in, MIN(NLMSG_ALIGN(body_bytes) - body_bytes, in.left_bytes));
	}
}

/* ---- states ---- */

static void set_state(struct link_watch *watch, unsigned index, enum link_event event)
{
	const uint32_t bit = 1U << index;
	struct link_states before;

	pthread_mutex_lock(&watch->lock);
	before = watch->states;
	watch->known |= bit;
	if (event == LINK_GONE)
		watch->states.gone |= bit;
	if (event == LINK_UP && !(watch->states.gone & bit)) {
		watch->states.up |= bit;
	} else {
		watch->states.lost |= watch->states.up & bit;
		watch->states.up &= ~bit;
	}
	if (memcmp(&before, &watch->states, sizeof(before)) != 0)
		eventfd_write(watch->event_fd, 1);
	pthread_mutex_unlock(&watch->lock);
}

static void on_link(int ifindex, enum link_event event, void *data)
{
	struct link_watch *watch = data;

	for (unsigned i = 0; i < watch->n_links; i++) {
		if (watch->ifindexes[i] == ifindex)
			set_state(watch, i, event);
	}
}

void link_watch_take(struct link_watch *watch, struct link_states *ret_states)
{
	eventfd_t ignored;

	pthread_mutex_lock(&watch->lock);
	eventfd_read(watch->event_fd, &ignored);
	*ret_states = watch->states;
	watch->states.lost = 0;
	pthread_mutex_unlock(&watch->lock);
}

int link_watch_event_fd(const struct link_watch *watch)
{
	return watch->event_fd;
}

/* ---- the socket ---- */

static bool has_option(int fd, int option, int wanted)
{
	int value = 0;
	socklen_t size = sizeof(value);

	return getsockopt(fd, SOL_SOCKET, option, &value, &size) == 0 && value == wanted;
}

static int check_socket(int fd)
{
	/* Room for all groups there are: the kernel gives the size it would need. */
	uint32_t groups[16] = {0};
	socklen_t size = sizeof(groups);

	if (!has_option(fd, SO_DOMAIN, AF_NETLINK) || !has_option(fd, SO_PROTOCOL, NETLINK_ROUTE) ||
		getsockopt(fd, SOL_NETLINK, NETLINK_LIST_MEMBERSHIPS, groups, &size) < 0 ||
		!(groups[0] & RTMGRP_LINK))
		return -EINVAL;
	return 0;
}

static int ask(struct link_watch *watch, int ifindex)
{
	const struct sockaddr_nl kernel = {.nl_family = AF_NETLINK};
	const struct {
		struct nlmsghdr header;
		struct ifinfomsg info;
	} request = {
		.header =
			{
				.nlmsg_len = sizeof(request),
				.nlmsg_type = RTM_GETLINK,
				.nlmsg_flags = NLM_F_REQUEST,
				.nlmsg_seq = (uint32_t)ifindex,
			},
		.info = {.ifi_family = AF_UNSPEC, .ifi_index = ifindex},
	};

	return sendto(watch->fd, &request, sizeof(request), MSG_DONTWAIT,
		       (const struct sockaddr *)&kernel, sizeof(kernel)) < 0
		       ? -errno
		       : 0;
}

/* What cannot be asked now can be asked the next time. */
static void ask_all(struct link_watch *watch)
{
	for (unsigned i = 0; i < watch->n_links; i++)
		(void)ask(watch, watch->ifindexes[i]);
}

/* Returns whether there was one. Errors - lost reports among them - say nothing about links. */
static bool read_datagram(struct link_watch *watch)
{
	_Alignas(struct nlmsghdr) uint8_t bytes[DATAGRAM_MAX_BYTES];
	struct sockaddr_nl sender = {0};
	struct iovec iov = {bytes, sizeof(bytes)};
	struct msghdr message = {
		.msg_name = &sender,
		.msg_namelen = sizeof(sender),
		.msg_iov = &iov,
		.msg_iovlen = 1,
	};
	ssize_t got = recvmsg(watch->fd, &message, MSG_DONTWAIT);

	if (got < 0)
		return errno != EAGAIN;
	/* Other programs may send to this socket as well as the kernel. */
	if (message.msg_namelen == sizeof(sender) && sender.nl_pid == 0)
		link_parse(bytes, (size_t)got, on_link, watch);
	return true;
}

/* Sleep until `until_ns` at most, and take what comes. Returns whether the watch is to go on. */
static bool wait_and_read(struct link_watch *watch, uint64_t until_ns)
{
	struct pollfd pollfds[] = {
		{.fd = watch->fd, .events = POLLIN},
		{.fd = watch->stop_fd, .events = POLLIN},
	};
	uint64_t now_ns = clock_mono_ns();
	int timeout_ms = now_ns < until_ns ? (int)((until_ns - now_ns) / NS_PER_MS) + 1 : 0;

	poll(pollfds, ARRAY_LEN(pollfds), timeout_ms);
	for (unsigned i = 0; i < MAX_DATAGRAMS && read_datagram(watch); i++)
		;
	return !pollfds[1].revents;
}

static void watch_main(void *data)
{
	struct link_watch *watch = data;
	uint64_t next_ns = clock_mono_ns() + LINK_WATCH_ASK_NS;

	while (wait_and_read(watch, next_ns)) {
		if (clock_mono_ns() < next_ns)
			continue;
		ask_all(watch);
		next_ns = clock_mono_ns() + LINK_WATCH_ASK_NS;
	}
}

/* There is no thread yet, so no lock is needed. */
static int learn_first(struct link_watch *watch)
{
	const uint64_t end_ns = clock_mono_ns() + LINK_WATCH_START_NS;
	const uint32_t all = (1U << watch->n_links) - 1;
	int r = 0;

	for (unsigned i = 0; i < watch->n_links && r == 0; i++)
		r = ask(watch, watch->ifindexes[i]);
	while (r == 0 && watch->known != all && clock_mono_ns() < end_ns)
		wait_and_read(watch, end_ns);
	if (r < 0)
		return r;
	if (watch->states.gone)
		return -ENODEV;
	return watch->known == all ? 0 : -ETIMEDOUT;
}

int link_watch_new(int fd, const int *ifindexes, unsigned n, struct link_watch **ret_watch)
{
	struct link_watch *watch;
	int r = check_socket(fd);

	if (n > LINK_WATCH_MAX_LINKS)
		r = -EINVAL;
	if (r < 0)
		return r;
	watch = calloc(1, sizeof(*watch));
	if (!watch)
		return -ENOMEM;
	pthread_mutex_init(&watch->lock, NULL);
	watch->fd = fd;
	watch->n_links = n;
	memcpy(watch->ifindexes, ifindexes, n * sizeof(*ifindexes));
	watch->event_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	watch->stop_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (watch->event_fd < 0 || watch->stop_fd < 0)
		r = -errno;
	if (r == 0)
		r = learn_first(watch);
	if (r == 0)
		r = thread_start(&watch->thread, "links", watch_main, watch);
	if (r < 0) {
		watch->fd = -1;
		link_watch_free(watch);
		return r;
	}
	*ret_watch = watch;
	return 0;
}

void link_watch_free(struct link_watch *watch)
{
	if (!watch)
		return;
	if (watch->thread.running) {
		eventfd_write(watch->stop_fd, 1);
		thread_join(&watch->thread);
	}
	close_fd(watch->fd);
	close_fd(watch->event_fd);
	close_fd(watch->stop_fd);
	pthread_mutex_destroy(&watch->lock);
	free(watch);
}
