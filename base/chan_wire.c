/* SPDX-License-Identifier: MIT */
#include "base/chan_wire.h"

#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>

union control {
	struct cmsghdr header;
	uint8_t bytes[CMSG_SPACE(CHAN_MAX_FDS * sizeof(int))];
};

struct datagram {
	struct list siblings;
	size_t size_bytes;
	size_t n_fds;
	int fds[CHAN_MAX_FDS];
	uint8_t data[];
};

int chan_wire_send(int socket_fd, const void *data, size_t size_bytes, const int *fds, size_t n_fds)
{
	struct iovec iov = {.iov_base = (void *)data, .iov_len = size_bytes};
	struct msghdr message = {.msg_iov = &iov, .msg_iovlen = 1};
	union control control = {};
	ssize_t n;

	if (n_fds > CHAN_MAX_FDS)
		return -EINVAL;
	if (n_fds) {
		message.msg_control = control.bytes;
		message.msg_controllen = CMSG_SPACE(n_fds * sizeof(int));
		control.header.cmsg_level = SOL_SOCKET;
		control.header.cmsg_type = SCM_RIGHTS;
		control.header.cmsg_len = CMSG_LEN(n_fds * sizeof(int));
		memcpy(CMSG_DATA(&control.header), fds, n_fds * sizeof(int));
	}
	do {
		n = sendmsg(socket_fd, &message, MSG_DONTWAIT | MSG_NOSIGNAL);
	} while (n < 0 && errno == EINTR);
	return n < 0 ? -errno : 0;
}

void chan_wire_close_fds(const int *fds, size_t n_fds)
{
	for (size_t i = 0; i < n_fds; i++)
		close_fd(fds[i]);
}

/* All descriptors that came with `message`, which may be more than one control message. */
static size_t descriptors_take(struct msghdr *message, int *ret_fds)
{
	struct cmsghdr *header;
	size_t n_fds = 0;

	for (header = CMSG_FIRSTHDR(message); header; header = CMSG_NXTHDR(message, header)) {
		size_t n = (header->cmsg_len - CMSG_LEN(0)) / sizeof(int);

		if (header->cmsg_level != SOL_SOCKET || header->cmsg_type != SCM_RIGHTS)
			continue;
		for (size_t i = 0; i < n; i++) {
			int fd;

			memcpy(&fd, CMSG_DATA(header) + i * sizeof(int), sizeof(fd));
			if (n_fds < CHAN_MAX_FDS)
				ret_fds[n_fds++] = fd;
			else
				close(fd);
		}
	}
	return n_fds;
}

int chan_wire_recv(int socket_fd, void *ret_data, size_t capacity_bytes, size_t *ret_size_bytes,
	int *ret_fds, size_t *ret_n_fds)
{
	struct iovec iov = {.iov_base = ret_data, .iov_len = capacity_bytes};
	union control control = {};
	struct msghdr message = {
		.msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = control.bytes,
		.msg_controllen = sizeof(control),
	};
	int fds[CHAN_MAX_FDS], r = 0;
	size_t n_fds;
	ssize_t n;

	/* A peer that left without having read everything is reported once, before what it said. */
	do {
		n = recvmsg(socket_fd, &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
	} while (n < 0 && (errno == EINTR || errno == ECONNRESET));
	if (n < 0)
		return -errno;
	n_fds = descriptors_take(&message, fds);
	if (message.msg_flags & MSG_TRUNC)
		r = -EMSGSIZE;
	else if (message.msg_flags & MSG_CTRUNC)
		r = -EBADMSG;
	else if (n == 0)
		r = -EPIPE;
	if (r < 0) {
		chan_wire_close_fds(fds, n_fds);
		return r;
	}
	memcpy(ret_fds, fds, n_fds * sizeof(int));
	*ret_n_fds = n_fds;
	*ret_size_bytes = (size_t)n;
	return 0;
}

void chan_queue_init(struct chan_queue *queue)
{
	list_init(&queue->datagrams);
	queue->n_datagrams = 0;
}

static void datagram_free(struct datagram *datagram)
{
	chan_wire_close_fds(datagram->fds, datagram->n_fds);
	free(datagram);
}

void chan_queue_clear(struct chan_queue *queue)
{
	struct datagram *datagram;

	while ((datagram = list_pop(&queue->datagrams, struct datagram, siblings)))
		datagram_free(datagram);
	queue->n_datagrams = 0;
}

int chan_queue_add(
	struct chan_queue *queue, const void *data, size_t size_bytes, const int *fds, size_t n_fds)
{
	struct datagram *datagram;

	if (n_fds > CHAN_MAX_FDS)
		return -EINVAL;
	if (queue->n_datagrams == CHAN_QUEUE_MAX_DATAGRAMS)
		return -ENOBUFS;
	datagram = calloc(1, sizeof(*datagram) + size_bytes);
	if (!datagram)
		return -ENOMEM;
	for (size_t i = 0; i < n_fds; i++) {
		int fd = fcntl(fds[i], F_DUPFD_CLOEXEC, 0);

		if (fd < 0) {
			int r = -errno;

			datagram_free(datagram);
			return r;
		}
		datagram->fds[datagram->n_fds++] = fd;
	}
	memcpy(datagram->data, data, size_bytes);
	datagram->size_bytes = size_bytes;
	list_append(&queue->datagrams, &datagram->siblings);
	queue->n_datagrams++;
	return 0;
}

int chan_queue_flush(struct chan_queue *queue, int socket_fd)
{
	struct datagram *datagram;
	int r;

	while (!list_empty(&queue->datagrams)) {
		datagram = list_entry(queue->datagrams.next, struct datagram, siblings);
		r = chan_wire_send(socket_fd, datagram->data, datagram->size_bytes, datagram->fds,
			datagram->n_fds);
		if (r < 0)
			return r;
		list_remove(&datagram->siblings);
		datagram_free(datagram);
		queue->n_datagrams--;
	}
	return 0;
}
