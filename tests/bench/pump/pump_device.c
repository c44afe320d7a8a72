/* SPDX-License-Identifier: MIT
 *
 * A device of the kernel as eth_ops: the queue of a TAP, the way QEMU uses one without vhost, or a
 * raw socket. One frame a system call, behind a virtio_net_hdr.
 */
#include "pump.h"

#include <fcntl.h>
#include <string.h>

#define MAX_IOV 4

struct device {
	int fd;
	uint32_t caps;
};

static uint32_t device_caps(void *port)
{
	return ((struct device *)port)->caps;
}

static int device_send(
	void *port, const struct eth_hdr *hdr, const struct iovec *iov, unsigned n_iov)
{
	struct device *device = port;
	struct iovec pieces[MAX_IOV];

	if (n_iov >= MAX_IOV)
		return -EINVAL;
	pieces[0] = (struct iovec){(void *)hdr, sizeof(*hdr)};
	memcpy(&pieces[1], iov, n_iov * sizeof(*iov));
	if (writev(device->fd, pieces, (int)n_iov + 1) >= 0)
		return 0;
	/* A full queue of the device is no error of the frame. */
	return errno == ENOBUFS || errno == EINTR ? -EAGAIN : -errno;
}

static void device_flush(void *port _unused_)
{
}

static int device_recv(void *port, struct eth_hdr *ret_hdr, void *data, size_t capacity_bytes,
	size_t *ret_size_bytes)
{
	struct device *device = port;
	struct iovec pieces[2] = {{ret_hdr, sizeof(*ret_hdr)}, {data, capacity_bytes}};
	ssize_t got = readv(device->fd, pieces, 2);

	if (got < 0)
		return errno == EINTR ? -EAGAIN : -errno;
	if (got < (ssize_t)(sizeof(*ret_hdr) + ETH_HEADER_BYTES))
		return -EIO;
	*ret_size_bytes = (size_t)got - sizeof(*ret_hdr);
	return 0;
}

/* Polled level-triggered. When a queue has room again nobody says: try at once. */
static uint32_t device_arm(void *port _unused_, uint32_t events)
{
	return events & ETH_ROOM;
}

static int device_event_fd(void *port)
{
	return ((struct device *)port)->fd;
}

const struct eth_ops *pump_device_eth_ops(void)
{
	static const struct eth_ops ops = {
		.caps = device_caps,
		.send = device_send,
		.flush = device_flush,
		.recv = device_recv,
		.arm = device_arm,
		.event_fd = device_event_fd,
	};

	return &ops;
}

int pump_device_new(int fd, bool offload, void **ret_port)
{
	static uint8_t scrap[ETH_FRAME_MAX_BYTES];
	int flags = fcntl(fd, F_GETFL);
	struct device *device;

	if (flags < 0 || fcntl(fd, F_SETFL, flags | O_NONBLOCK) < 0) {
		int r = -errno;

		close_fd(fd);
		return r;
	}
	while (read(fd, scrap, sizeof(scrap)) > 0)
		;
	device = calloc(1, sizeof(*device));
	if (!device) {
		close_fd(fd);
		return -ENOMEM;
	}
	device->fd = fd;
	device->caps = offload ? ETH_CAP_CSUM | ETH_CAP_TSO4 : 0;
	*ret_port = device;
	return 0;
}

void pump_device_free(void *port)
{
	struct device *device = port;

	if (!device)
		return;
	close_fd(device->fd);
	free(device);
}
