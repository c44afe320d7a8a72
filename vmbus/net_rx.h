/* SPDX-License-Identifier: MIT
 *
 * net_rx.h - towards the guest: frames of the switch port and answers of RNDIS into sections of the
 * receive buffer, and transfer-page packets that name them. Internal to the network VSP; the
 * worker's.
 *
 * A frame is taken from the port only when there is a section for it. What it carries in its
 * eth_hdr is settled here: a partial checksum is completed (a guest that forwards the frame would
 * not do it), a super-frame is cut to the MTU, the tag moves from the frame into per-packet
 * information. Up to NET_PACKET_MAX_SECTIONS sections travel in one ring packet.
 *
 * Without room - no free section, or the ring full - a frame that was begun waits and goes on
 * later; so do filled sections. Both are part of the saved state.
 *
 * Frames are as hostile as their sender: what does not hold together is dropped and counted.
 */
#ifndef VIADUCT_VMBUS_NET_RX_H
#define VIADUCT_VMBUS_NET_RX_H

#include "vmbus/net_bufs.h"
#include "vmbus/net_rndis.h"
#include "vmbus/net_segment.h"

struct net_rx {
	/* Constant. */
	const struct net_port *port;
	struct net_stats *stats;
	uint32_t mtu_bytes;

	/* The frame under way, when holding: `frame_bytes` from frame + frame_at. */
	bool holding;
	bool tagged;
	uint16_t tci;
	uint32_t frame_at;
	uint32_t frame_bytes;
	uint32_t checksum;  /* RNDIS_RXCSUM_* for the guest, 0: nothing is known */
	uint16_t gso_bytes; /* of each segment's payload; 0: not a super-frame */
	uint32_t n_done;    /* segments */
	struct net_segmenter segmenter;

	/* Sections filled with frames, not yet sent. */
	unsigned n_filled;
	uint32_t filled[NET_PACKET_MAX_SECTIONS];
	uint32_t filled_bytes[NET_PACKET_MAX_SECTIONS];

	uint8_t frame[ETH_FRAME_MAX_BYTES];
};

/* How large a section must be for every frame of this MTU. */
uint32_t net_rx_section_bytes(uint32_t mtu_bytes);

/* Where it all goes. */
struct net_rx_sink {
	struct vmbus_channel *channel;
	struct net_recv_buf *recv;
	const struct net_rndis *rndis;
};

/* Move up to `budget` frames. 0: the port has no more; -EINPROGRESS: the budget is used up;
 * -EAGAIN: no section or no room in the ring, and the port is left alone until there is; -EBADMSG:
 * the channel is broken. */
int net_rx_run(struct net_rx *rx, const struct net_rx_sink *sink, unsigned budget);
/* Send one answer. 0; -EAGAIN: no section or no room, call again with the same; -EMSGSIZE: no
 * section is large enough; -EBADMSG. */
int net_rx_send_answer(const struct net_rx_sink *sink, const struct net_rndis_answer *answer);
/* The receive buffer is gone: forget the frame under way and the filled sections. */
void net_rx_drop(struct net_rx *rx);
/* After a restore: make the segmenter of the frame under way. -EBADMSG. */
int net_rx_resume(struct net_rx *rx);

#endif
