/* SPDX-License-Identifier: MIT
 *
 * net_tx.h - frames from the guest: RNDIS packets out of a ring packet, one after the other, to the
 * switch port. Internal to the network VSP; one for each queue, its worker's. The port's
 * sending side is locked for the time of each frame.
 *
 * A ring packet names one run of bytes: a part of a send section, then ranges of guest memory. The
 * run holds RNDIS packets back to back. Of each, header and per-packet information are copied and
 * checked, then the frame is copied once into `frame`; all later work is on that copy. What the
 * guest asked of its offloads becomes the port's eth_hdr, or is done here when the port cannot (a
 * NIC that came from a host with a better port keeps its promises).
 *
 * A full port holds the packet: net_tx_run() says -EAGAIN and goes on where it was when called
 * again. A held packet is part of the saved state; its frame is not, it is built again from guest
 * memory.
 */
#ifndef VIADUCT_VMBUS_NET_TX_H
#define VIADUCT_VMBUS_NET_TX_H

#include "vmbus/net_bufs.h"
#include "vmbus/net_rndis.h"
#include "vmbus/net_segment.h"
#include "vmbus/proto/nvsp.h"

/* As many of the largest frames as a ring packet may carry, with their headers. */
#define NET_TX_MAX_BYTES (NET_RNDIS_PACKETS_PER_MESSAGE * (ETH_FRAME_MAX_BYTES + 1024U))

struct net_tx {
	/* Constant. */
	struct net_port *port;
	struct net_traffic *traffic;
	uint32_t mtu_bytes;

	/* The packet taken last from the ring; being sent when busy. */
	struct vmbus_packet packet;
	uint8_t *own_pfns; /* what packet.ranges point to after a restore */
	bool busy;
	uint32_t section;       /* of the send buffer, or NVSP_NO_SECTION */
	uint32_t section_bytes; /* used of it */
	uint32_t total_bytes;
	uint32_t n_messages; /* RNDIS packets of it that are off */
	uint32_t message_at; /* of the RNDIS packet under way */
	uint32_t n_sent;     /* frames that the port has taken of it: segments */

	/* Its frame. */
	bool built;
	uint32_t message_bytes;
	struct eth_hdr hdr;
	uint32_t frame_bytes;
	bool segmented; /* here, not by the port */
	struct net_segmenter segmenter;
	uint8_t frame[ETH_FRAME_MAX_BYTES];
};

/* Where the bytes of a packet come from. */
struct net_tx_source {
	struct vmbus_channel *channel;
	const struct net_send_buf *send;
};

/* Begin with tx->packet, whose payload was `message`. -EBADMSG: it names nothing, more than it may,
 * or what there is not. */
int net_tx_begin(struct net_tx *tx, const struct net_tx_source *source,
	const struct nvsp_send_rndis_pkt *message);
/* Copy the first bytes of the run, at most `capacity_bytes`: a control message. -EBADMSG. */
int net_tx_read(const struct net_tx *tx, const struct net_tx_source *source, void *ret_data,
	size_t capacity_bytes, size_t *ret_bytes);
/* Send what is left; drop it when the link is down. 0: all of it is off; -EAGAIN: the port is full;
 * -EBADMSG: malformed, the rest is refused. */
int net_tx_run(struct net_tx *tx, const struct net_tx_source *source, bool link_up);
/* Done with the packet. */
void net_tx_end(struct net_tx *tx);

#endif
