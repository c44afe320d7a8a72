/* SPDX-License-Identifier: MIT
 *
 * net_vsp.h - one synthetic NIC without its threads: the NVSP state machine and, behind it, RNDIS
 * and the two directions of frames on up to NET_MAX_QUEUES queues. Internal to vmbus/; netvsp.c
 * gives it channels and a unit.
 *
 * NVSP: CLOSED -channel opened-> OPEN -INIT-> NEGOTIATED; every message goes through one table
 * (net_vsp.c) of {type, smallest size, lowest version, phases, answer, handler}. What the table or
 * a handler refuses counts as a protocol error, changes nothing, and is completed with a status
 * that says so when the guest waits for a completion.
 *
 * Queues: queue 0 is the primary channel, the others are sub-channels, offered when the guest asks
 * for them. Each has a worker. A worker takes the guest's packets from its channel, sends their
 * frames to the port, completes them on the channel they came from, and sends the guest what
 * waits in its net_rx_queue. All messages but frames belong to the primary. Its worker is also the
 * port's keeper: it alone receives - for all queues, by the guest's receive-side scaling - and
 * waits on the port, for frames and for the room that any of them misses. So frames of one flow
 * have one way in each direction, and keep their order.
 *
 * Every packet that asks for a completion gets exactly one. Completions wait in a queue while the
 * ring is full; a packet is taken from the ring only when there is room for its completion, and not
 * while the one before waits for the port: order is kept, nothing is dropped.
 *
 * Locks, outermost first; none is held while another thread is waited for:
 *	vsp->turn        the primary's worker for all of net_queue_work(), and net_vsp_stop(): a
 *	                 message is handled entirely before the NIC stands still, or not taken
 *	vsp->lock        shared by each worker while it works or arms; exclusive for everything that
 *	                 changes the NIC: messages, opening and closing, link, save and restore
 *	vsp->port.lock   the port's sending side
 *	net_rx_queue     between receiver and worker of one queue
 *	net_recv_buf     the sections that all queues share
 * What is one worker's - its net_tx, completions, tx counters; of the primary also net_rx, the
 * answers of RNDIS and all rx counters - needs no lock of its own, and whoever has vsp->lock
 * exclusively may look at everything.
 *
 * It calls the vmbus_channel_*, vmbus_gpadl_* and vmbus_ranges_* functions of channel.h and the
 * port's eth_ops, and nothing else outside.
 */
#ifndef VIADUCT_VMBUS_NET_VSP_H
#define VIADUCT_VMBUS_NET_VSP_H

#include "vmbus/net_rx.h"
#include "vmbus/net_tx.h"

#define NET_MAX_COMPLETIONS 64

/* How much one call of net_queue_work() does in each direction. */
#define NET_RING_BURST 64
#define NET_PORT_BURST 64

enum net_phase {
	NET_CLOSED,
	NET_OPEN, /* no version yet */
	NET_NEGOTIATED,
};

struct net_completion {
	uint64_t transaction_id;
	uint32_t size_bytes;
	uint8_t bytes[NVSP_MESSAGE_BYTES];
};

struct net_vsp_config {
	uint8_t mac[ETH_ADDR_LEN];
	uint32_t mtu_bytes;
	unsigned n_queues; /* 1..NET_MAX_QUEUES */
	bool link_up;
	bool allow_mac_change;
	uint32_t withheld; /* enum netvsp_offload bits */
	const struct eth_ops *eth;
	void *port;
};

struct net_queue {
	/* Constant. */
	struct net_vsp *vsp;
	unsigned index;

	struct vmbus_channel *channel; /* NULL when closed */
	bool broken;                   /* its rings do not hold together */
	bool message_waits; /* tx.packet is for the primary's worker alone; in work() only */
	bool wants_room;    /* atomic: tx waits for the port */
	struct net_stats stats;
	struct net_tx tx;
	struct net_rx_queue rx;
	struct net_completion completions[NET_MAX_COMPLETIONS];
	unsigned n_completions;
};

struct net_vsp {
	struct net_vsp_config config;
	struct net_port port;
	pthread_mutex_t turn;
	pthread_rwlock_t lock;

	bool stopped;
	enum net_phase phase;
	uint32_t version;           /* NVSP_VERSION_*, 0 until negotiated */
	uint32_t guest_frame_bytes; /* NDIS_CONFIG: the guest's MTU and an Ethernet header */
	uint64_t guest_caps;
	unsigned n_granted; /* sub-channels that the guest was promised */
	bool offer_due;     /* they are not yet offered: their promise comes first */
	bool table_due;     /* all are open: the guest is to be told where to send */

	struct net_recv_buf recv;
	struct net_send_buf send;
	struct net_rndis rndis;
	struct net_rx rx;
	bool rx_blocked; /* frames wait for sections or for a ring, not the other way round */
	uint64_t link_transaction_id; /* of the last link indication; 0: none is out */
	struct net_stats total;       /* of all queues, as of the last net_vsp_sum_stats() */

	struct net_queue queues[]; /* config.n_queues */
};

int net_vsp_new(const struct net_vsp_config *config, struct net_vsp **ret_vsp);
void net_vsp_free(struct net_vsp *vsp);

/* The guest opened the queue's channel (-EINVAL: it was not offered), closed it, or tears down a
 * GPADL. Closing the primary closes all. */
int net_queue_open(struct net_queue *queue, struct vmbus_channel *channel);
void net_queue_close(struct net_queue *queue);
void net_vsp_gpadl_gone(struct net_vsp *vsp, uint32_t gpadl_id);

/* As vmbus_device_ops has them (net_work.c). */
bool net_queue_work(struct net_queue *queue);
bool net_queue_arm(struct net_queue *queue);

/* After stop() work() does nothing. */
void net_vsp_start(struct net_vsp *vsp);
void net_vsp_stop(struct net_vsp *vsp);
void net_vsp_set_link(struct net_vsp *vsp, bool up);
/* vsp->total; exclusive, as are the functions below (net_vsp.c). */
void net_vsp_sum_stats(struct net_vsp *vsp);

bool net_vsp_has_version(uint32_t version);
/* The guest took its receive buffer back. */
void net_vsp_drop_recv_buf(struct net_vsp *vsp);
/* May the packet in queue->tx.packet be handled beside other workers? */
bool net_queue_is_shared(const struct net_queue *queue);
/* That packet was just taken from the ring: handle it. */
void net_queue_handle_packet(struct net_queue *queue);
/* Queue its completion, if it wants one; there is room for it. */
void net_queue_complete(struct net_queue *queue, const void *answer, size_t size_bytes);

/* State: everything the guest can tell (net_state.c). Restore wants a fresh vsp of the same
 * configuration, and the channels with their GPADLs restored before: `channels` has the open ones
 * by queue, NULL for the others. -EBADMSG: it does not hold together; -ENOMEM; the vsp is then
 * closed. */
#define NET_STATE_VERSION 2
void net_vsp_save(struct net_vsp *vsp, struct buf *out);
int net_vsp_restore(struct net_vsp *vsp, struct reader *in, struct vmbus_channel *const *channels);

#endif
