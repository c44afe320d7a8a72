/* SPDX-License-Identifier: MIT
 *
 * net_rx.h - towards the guest: frames of the switch port and answers of RNDIS into sections of the
 * receive buffer, for the queues to send. Internal to the network VSP; the primary channel's
 * worker, who receives for all queues.
 *
 * A frame is taken from the port only when there is a section for it. Receive-side scaling says
 * which queue it is for; when that is not open, it is queue 0. What the frame carries in its
 * eth_hdr is settled here: a partial checksum is completed (a guest that forwards the frame would
 * not do it), the tag moves from the frame into per-packet information. A super-frame becomes one
 * coalesced packet for a guest that has switched that on, with a part of the frame in each section;
 * else it is cut to the MTU.
 *
 * Without room - no free section, or the queue full - a frame that was begun waits and goes on
 * later. It is part of the saved state.
 *
 * Frames are as hostile as their sender: what does not hold together is dropped and counted.
 */
#ifndef VIADUCT_VMBUS_NET_RX_H
#define VIADUCT_VMBUS_NET_RX_H

#include "vmbus/net_rndis.h"
#include "vmbus/net_rx_queue.h"
#include "vmbus/net_segment.h"

/* Where it all goes. */
struct net_rx_sink {
	struct net_recv_buf *recv;
	const struct net_rndis *rndis;
	struct net_rx_queue *queues[NET_MAX_QUEUES]; /* NULL: there are not so many */
};

struct net_rx {
	/* Constant. */
	const struct net_port *port;
	struct net_rx_sink sink;
	uint32_t mtu_bytes;

	/* The frame under way, when holding: `frame_bytes` from frame + frame_at. */
	bool holding;
	bool tagged;
	bool hashed;
	uint16_t tci;
	uint32_t hash;
	uint32_t queue;
	uint32_t frame_at;
	uint32_t frame_bytes;
	uint32_t checksum;  /* RNDIS_RXCSUM_* for the guest, 0: nothing is known */
	uint16_t gso_bytes; /* of each segment's payload; 0: not a super-frame */
	uint32_t n_done;    /* segments */
	struct net_segmenter segmenter;

	uint16_t next_packet_id; /* of a coalesced packet */
	uint32_t touched;        /* queues other than 0 that were given something, as bits */

	uint8_t frame[ETH_FRAME_MAX_BYTES];
};

/* How large a section must be for every frame of this MTU. */
uint32_t net_rx_section_bytes(uint32_t mtu_bytes);

/* Move up to `budget` frames. 0: the port has no more; -EINPROGRESS: the budget is used up;
 * -EAGAIN: no section, or a queue is full, and the port is left alone until there is room;
 * -EBADMSG: queue 0's channel is broken. */
int net_rx_run(struct net_rx *rx, unsigned budget);
/* Send one answer on queue 0. 0; -EAGAIN: no section or no room, call again with the same;
 * -EMSGSIZE: no section is large enough; -EBADMSG. */
int net_rx_send_answer(
	struct net_rx *rx, const struct net_rndis_answer *answer, uint64_t *ret_transaction_id);
/* The receive buffer is gone: forget the frame under way and what waits in the queues. */
void net_rx_drop(struct net_rx *rx);
/* After a restore: make the segmenter of the frame under way. -EBADMSG. */
int net_rx_resume(struct net_rx *rx);

#endif
