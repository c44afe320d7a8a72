/* SPDX-License-Identifier: MIT
 *
 * net_rx_queue.h - between the one who receives frames for all queues of a NIC and the worker of
 * one of them: sections of the receive buffer that are filled and wait to be sent, in order.
 * Internal to the network VSP.
 *
 * The receiver puts sections in, the queue's worker takes them out into transfer-page packets. A
 * frame in several parts - a coalesced one - has a packet of its own.
 *
 * Threads: functions marked [receiver] and [worker] may run beside each other, under the queue's
 * lock; the rest finds nobody else at the queue.
 */
#ifndef VIADUCT_VMBUS_NET_RX_QUEUE_H
#define VIADUCT_VMBUS_NET_RX_QUEUE_H

#include "vmbus/net_bufs.h"
#include "vmbus/net_port.h"
#include "vmbus/proto/nvsp.h"

/* Two of the largest packets. */
#define NET_RX_QUEUE_MAX (2 * NET_PACKET_MAX_SECTIONS)

struct net_rx_entry {
	uint32_t section;
	uint32_t size_bytes;
	uint32_t n_parts; /* of its frame, in the first of them; 0 in the others */
};

struct net_rx_queue {
	/* Constant. */
	unsigned index;
	struct net_traffic *traffic; /* the receiver's */

	struct vmbus_channel *channel; /* NULL while closed: then it takes nothing */
	bool broken;                   /* atomic: nor then, for good */

	pthread_mutex_t lock; /* the rest */
	struct net_rx_entry entries[NET_RX_QUEUE_MAX];
	unsigned first, n_entries;
	bool awaited; /* the receiver waits for room */
};

void net_rx_queue_init(struct net_rx_queue *queue, unsigned index, struct net_traffic *traffic);
void net_rx_queue_fini(struct net_rx_queue *queue);

/* Any thread that keeps opening and closing away. */
static inline bool net_rx_queue_is_open(const struct net_rx_queue *queue)
{
	return queue->channel && !__atomic_load_n(&queue->broken, __ATOMIC_ACQUIRE);
}

/* [receiver] Room for so many? False: the receiver waits for it. */
bool net_rx_queue_has_room(struct net_rx_queue *queue, unsigned n_entries);
/* [receiver] One frame; there is room. */
void net_rx_queue_put(
	struct net_rx_queue *queue, const struct net_rx_entry *entries, unsigned n_entries);

/* [worker] Send what waits. 0: all of it; -EAGAIN: the ring is full; -EBADMSG. *awaited becomes
 * true when the receiver has to be told of the room that was made. */
int net_rx_queue_send(struct net_rx_queue *queue, struct net_recv_buf *recv, bool *awaited);

/* [worker] The channel is broken: forget what waits and what the guest has. *awaited: as above. */
void net_rx_queue_break(struct net_rx_queue *queue, struct net_recv_buf *recv, bool *awaited);

/* Forget what waits; its sections go back unless the buffer is gone. */
void net_rx_queue_drop(struct net_rx_queue *queue, struct net_recv_buf *recv);

/* One transfer-page packet of filled sections, which are the guest's then. 0, -EAGAIN, -EBADMSG,
 * -EMSGSIZE. */
int net_rx_send_sections(struct vmbus_channel *channel, unsigned queue, struct net_recv_buf *recv,
	enum nvsp_channel_type type, const struct net_rx_entry *entries, unsigned n_entries);

#endif
