/* SPDX-License-Identifier: MIT
 *
 * A TAP: an adapter of the management operating system. One frame a system call in each direction,
 * behind a virtio_net_hdr.
 */
#include "fabric/io.h"

#include <linux/if.h>
#include <linux/if_tun.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>

#define MAX_IOV (1 + FRAME_MAX_PIECES)

struct io_tap {
	struct io io;
	int fd;
};

static int tap_poll_fd(const struct io *io)
{
	return container_of(io, struct io_tap, io)->fd;
}

static uint32_t tap_caps(const struct io *io _unused_)
{
	return ETH_CAP_CSUM | ETH_CAP_TSO4 | ETH_CAP_TSO6;
}

static int tap_recv(struct io *io, struct io_batch *batch)
{
	struct io_tap *tap = container_of(io, struct io_tap, io);
	size_t used_bytes = 0, taken_bytes = 0;

	while (batch->n_frames < IO_BATCH_FRAMES &&
		(batch->n_frames == 0 || taken_bytes < batch->max_bytes) &&
		IO_ARENA_BYTES - used_bytes >= ETH_FRAME_MAX_BYTES) {
		struct frame *frame = &batch->frames[batch->n_frames];
		struct iovec iov[2];
		ssize_t got;

		*frame = (struct frame){.data = batch->arena + used_bytes};
		iov[0] = (struct iovec){&frame->hdr, sizeof(frame->hdr)};
		iov[1] = (struct iovec){frame->data, ETH_FRAME_MAX_BYTES};
		got = readv(tap->fd, iov, ARRAY_LEN(iov));
		if (got < 0 && (errno == EAGAIN || errno == EINTR))
			return 0;
		if (got < (ssize_t)sizeof(frame->hdr)) {
			io_set_reason(io, "the tap was removed");
			return got < 0 ? -errno : -EIO;
		}
		frame->size_bytes = (uint32_t)((size_t)got - sizeof(frame->hdr));
		used_bytes += ALIGN_UP(frame->size_bytes, 16U);
		taken_bytes += frame->size_bytes;
		batch->n_frames++;
	}
	return 0;
}

static int tap_send(
	struct io *io, const struct eth_hdr *hdr, const struct iovec *iov, unsigned n_iov)
{
	struct io_tap *tap = container_of(io, struct io_tap, io);
	struct iovec pieces[MAX_IOV];
	ssize_t written;

	pieces[0] = (struct iovec){(void *)hdr, sizeof(*hdr)};
	memcpy(&pieces[1], iov, n_iov * sizeof(*iov));
	written = writev(tap->fd, pieces, (int)n_iov + 1);
	if (written >= 0) {
		io->tx.n_frames++;
		io->tx.n_bytes += (size_t)written - sizeof(*hdr);
	} else if (errno == EAGAIN || errno == ENOBUFS) {
		io->tx.n_full++;
	} else {
		io->tx.n_error++;
	}
	return 0;
}

static int tap_flush(struct io *io _unused_)
{
	return 0;
}

static bool tap_arm(struct io *io _unused_)
{
	return false;
}

static void tap_free(struct io *io)
{
	struct io_tap *tap = container_of(io, struct io_tap, io);

	close_fd(tap->fd);
	free(tap);
}

static const struct io_ops io_tap_ops = {
	.kind = "tap",
	.duplex = true,
	.poll_events = EPOLLIN,
	.poll_fd = tap_poll_fd,
	.caps = tap_caps,
	.recv = tap_recv,
	.send = tap_send,
	.flush = tap_flush,
	.arm = tap_arm,
	.free = tap_free,
};

int io_tap_new(int fd, struct io **ret_io)
{
	int header_bytes = 0;
	struct ifreq request;
	struct io_tap *tap;

	memset(&request, 0, sizeof(request));
	if (ioctl(fd, TUNGETIFF, &request) < 0 || !(request.ifr_flags & IFF_TAP) ||
		!(request.ifr_flags & IFF_VNET_HDR) || !(request.ifr_flags & IFF_NO_PI) ||
		ioctl(fd, TUNGETVNETHDRSZ, &header_bytes) < 0 ||
		header_bytes != (int)sizeof(struct eth_hdr))
		return -EINVAL;
	tap = calloc(1, sizeof(*tap));
	if (!tap)
		return -ENOMEM;
	tap->io.ops = &io_tap_ops;
	tap->fd = fd;
	*ret_io = &tap->io;
	return 0;
}
