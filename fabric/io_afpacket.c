/* SPDX-License-Identifier: MIT
 *
 * An uplink: a raw socket, 32 frames a system call in each direction, every frame behind a
 * virtio_net_hdr, so that the kernel's own super-frames pass whole. The kernel takes the 802.1Q tag
 * out of received frames and gives it in a control message; on the way out tags are in line.
 */
#include "fabric/io.h"

#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#define N_SLOTS 32
#define MAX_IOV (1 + FRAME_MAX_PIECES)

struct rx_slot {
	struct eth_hdr hdr;
	_Alignas(struct cmsghdr) uint8_t control[CMSG_SPACE(sizeof(struct tpacket_auxdata))];
	uint8_t data[ETH_FRAME_MAX_BYTES];
};

struct tx_slot {
	struct eth_hdr hdr;
	struct iovec iov[MAX_IOV];
};

struct io_afpacket {
	struct io io;
	int fd;
	unsigned n_tx; /* queued */
	struct mmsghdr rx_messages[N_SLOTS];
	struct iovec rx_iov[N_SLOTS][2];
	struct mmsghdr tx_messages[N_SLOTS];
	struct tx_slot tx[N_SLOTS];
	struct rx_slot rx[N_SLOTS];
};

static int afpacket_poll_fd(const struct io *io)
{
	return container_of(io, struct io_afpacket, io)->fd;
}

/* What the adapter lacks, the kernel does. */
static uint32_t afpacket_caps(const struct io *io _unused_)
{
	return ETH_CAP_CSUM | ETH_CAP_TSO4 | ETH_CAP_TSO6;
}

static void prepare_rx(struct io_afpacket *packet, unsigned n)
{
	for (unsigned i = 0; i < n; i++) {
		struct rx_slot *slot = &packet->rx[i];

		packet->rx_iov[i][0] = (struct iovec){&slot->hdr, sizeof(slot->hdr)};
		packet->rx_iov[i][1] = (struct iovec){slot->data, sizeof(slot->data)};
		packet->rx_messages[i].msg_hdr = (struct msghdr){
			.msg_iov = packet->rx_iov[i],
			.msg_iovlen = 2,
			.msg_control = slot->control,
			.msg_controllen = sizeof(slot->control),
		};
	}
}

static const struct tpacket_auxdata *find_auxdata(struct msghdr *message)
{
	struct cmsghdr *control = CMSG_FIRSTHDR(message);

	if (!control || control->cmsg_level != SOL_PACKET || control->cmsg_type != PACKET_AUXDATA ||
		control->cmsg_len < CMSG_LEN(sizeof(struct tpacket_auxdata)))
		return NULL;
	return (const struct tpacket_auxdata *)CMSG_DATA(control);
}

/* The addresses move forward into the slot's room to make place for a tag that is no VLAN tag and
 * so belongs to the payload. */
static void put_back_tag(struct frame *frame, uint16_t tpid, uint16_t tci)
{
	const size_t addresses_bytes = 2 * ETH_ADDR_LEN;
	uint8_t *at = frame->data + addresses_bytes;

	memmove(at + ETH_TAG_BYTES, at, frame->size_bytes - addresses_bytes);
	tpid = htobe16(tpid);
	tci = htobe16(tci);
	memcpy(at, &tpid, sizeof(tpid));
	memcpy(at + 2, &tci, sizeof(tci));
	frame->size_bytes += ETH_TAG_BYTES;
	if (frame->hdr.flags & ETH_HDR_NEEDS_CSUM)
		frame->hdr.csum_start += ETH_TAG_BYTES;
}

static enum drop take_message(struct rx_slot *slot, struct mmsghdr *message, struct frame *frame)
{
	const struct tpacket_auxdata *aux = find_auxdata(&message->msg_hdr);
	uint16_t tpid;

	if (message->msg_hdr.msg_flags & MSG_TRUNC)
		return DROP_GIANT;
	if (message->msg_len < sizeof(slot->hdr) + ETH_HEADER_BYTES)
		return DROP_RUNT;
	*frame = (struct frame){
		.hdr = slot->hdr,
		.data = slot->data,
		.size_bytes = (uint32_t)(message->msg_len - sizeof(slot->hdr)),
	};
	if (!aux || !(aux->tp_status & TP_STATUS_VLAN_VALID))
		return DROP_NONE;
	tpid = aux->tp_status & TP_STATUS_VLAN_TPID_VALID ? aux->tp_vlan_tpid : FRAME_TPID;
	if (tpid == FRAME_TPID) {
		frame->tagged = true;
		frame->tci = aux->tp_vlan_tci;
	} else {
		if (frame->size_bytes > ETH_FRAME_MAX_BYTES - ETH_TAG_BYTES)
			return DROP_GIANT;
		put_back_tag(frame, tpid, aux->tp_vlan_tci);
	}
	return DROP_NONE;
}

static int recv_error(struct io_afpacket *packet, struct io_batch *batch, int error)
{
	switch (error) {
	case EAGAIN:
	case EINTR:
		return 0;
	case EINVAL:
		/* The kernel has a super-frame of a kind that virtio_net_hdr has no name for. */
		batch->dropped[DROP_OFFLOAD]++;
		return 0;
	case ENETDOWN:
		io_set_reason(&packet->io, "the network adapter is down or was removed");
		return 0;
	default:
		io_set_reason(&packet->io, "the raw socket failed");
		return -error;
	}
}

static int afpacket_recv(struct io *io, struct io_batch *batch)
{
	struct io_afpacket *packet = container_of(io, struct io_afpacket, io);
	/* How large they are is known only when they are here. */
	unsigned most = MIN(batch->max_bytes / ETH_FRAME_MAX_BYTES, (unsigned)N_SLOTS);
	enum drop drop;
	int n;

	most = MAX(most, 1U);
	prepare_rx(packet, most);
	n = recvmmsg(packet->fd, packet->rx_messages, most, MSG_DONTWAIT, NULL);
	if (n < 0)
		return recv_error(packet, batch, errno);
	io_set_reason(io, NULL);
	for (int i = 0; i < n; i++) {
		drop = take_message(
			&packet->rx[i], &packet->rx_messages[i], &batch->frames[batch->n_frames]);
		if (drop)
			batch->dropped[drop]++;
		else
			batch->n_frames++;
	}
	return 0;
}

static void count_sent(struct io *io, const struct msghdr *message)
{
	io->tx.n_frames++;
	/* Piece 0 is the virtio_net_hdr. */
	for (size_t i = 1; i < message->msg_iovlen; i++)
		io->tx.n_bytes += message->msg_iov[i].iov_len;
}

/* Returns how many of the frames left from `first` on are done with: sent or dropped. */
static unsigned send_some(struct io_afpacket *packet, unsigned first)
{
	unsigned n_left = packet->n_tx - first;
	int n = sendmmsg(packet->fd, packet->tx_messages + first, n_left, MSG_DONTWAIT);

	if (n > 0) {
		for (int i = 0; i < n; i++)
			count_sent(&packet->io, &packet->tx_messages[first + (unsigned)i].msg_hdr);
		return (unsigned)n;
	}
	switch (errno) {
	case EINTR:
		return 0;
	case EAGAIN:
		/* The socket's own limit: the others would meet it too. */
		packet->io.tx.n_full += n_left;
		return n_left;
	case ENOBUFS:
		packet->io.tx.n_full++;
		return 1;
	default:
		packet->io.tx.n_error++;
		return 1;
	}
}

static int afpacket_flush(struct io *io)
{
	struct io_afpacket *packet = container_of(io, struct io_afpacket, io);
	unsigned done = 0;

	while (done < packet->n_tx)
		done += send_some(packet, done);
	packet->n_tx = 0;
	return 0;
}

static int afpacket_send(
	struct io *io, const struct eth_hdr *hdr, const struct iovec *iov, unsigned n_iov)
{
	struct io_afpacket *packet = container_of(io, struct io_afpacket, io);
	struct tx_slot *slot;

	if (packet->n_tx == N_SLOTS)
		afpacket_flush(io);
	slot = &packet->tx[packet->n_tx];
	slot->hdr = *hdr;
	slot->iov[0] = (struct iovec){&slot->hdr, sizeof(slot->hdr)};
	memcpy(&slot->iov[1], iov, n_iov * sizeof(*iov));
	packet->tx_messages[packet->n_tx].msg_hdr = (struct msghdr){
		.msg_iov = slot->iov,
		.msg_iovlen = n_iov + 1,
	};
	packet->n_tx++;
	return 0;
}

/* The socket is polled level-triggered. */
static bool afpacket_arm(struct io *io _unused_)
{
	return false;
}

static void afpacket_free(struct io *io)
{
	struct io_afpacket *packet = container_of(io, struct io_afpacket, io);

	close_fd(packet->fd);
	free(packet);
}

static const struct io_ops io_afpacket_ops = {
	.kind = "uplink",
	.duplex = true,
	.poll_events = EPOLLIN,
	.poll_fd = afpacket_poll_fd,
	.caps = afpacket_caps,
	.recv = afpacket_recv,
	.send = afpacket_send,
	.flush = afpacket_flush,
	.arm = afpacket_arm,
	.free = afpacket_free,
};

static bool has_option(int fd, int level, int option, int wanted)
{
	int value = 0;
	socklen_t size = sizeof(value);

	return getsockopt(fd, level, option, &value, &size) == 0 && value == wanted;
}

int io_afpacket_new(int fd, struct io **ret_io)
{
	struct io_afpacket *packet;

	if (!has_option(fd, SOL_SOCKET, SO_DOMAIN, AF_PACKET) ||
		!has_option(fd, SOL_SOCKET, SO_TYPE, SOCK_RAW) ||
		!has_option(fd, SOL_PACKET, PACKET_VNET_HDR, 1) ||
		!has_option(fd, SOL_PACKET, PACKET_AUXDATA, 1))
		return -EINVAL;
	packet = calloc(1, sizeof(*packet));
	if (!packet)
		return -ENOMEM;
	packet->io.ops = &io_afpacket_ops;
	packet->fd = fd;
	*ret_io = &packet->io;
	return 0;
}
