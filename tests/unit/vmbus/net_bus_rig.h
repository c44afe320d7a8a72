/* SPDX-License-Identifier: MIT
 *
 * net_bus_rig.h - a NIC on the real bus and a guest that drives it: rings, workers, doorbells and
 * signals between the guest and a dummy port. Every wait is for a signal.
 *
 * Threads: one at a time for the rig; several queues may have a thread each.
 */
#ifndef VIADUCT_TESTS_NET_BUS_RIG_H
#define VIADUCT_TESTS_NET_BUS_RIG_H

#include "base/bytes.h"
#include "base/eth_dummy.h"
#include "fake_guest.h"
#include "net_frames.h"
#include "vmbus/proto/nvsp.h"
#include "vmbus/proto/rndis.h"

#define BUS_RIG_MAX_QUEUES 4

#define BUS_RIG_RECV_PAGES   128U
#define BUS_RIG_SEND_SECTION 6144U
#define BUS_RIG_SECTIONS     8 /* of the send buffer, for each queue */

/* One channel as its guest's driver sees it. */
struct bus_queue {
	struct bus_rig *rig;
	unsigned index;
	struct fake_channel channel;
	uint64_t next_transaction;

	/* The packet taken last from the ring. */
	uint8_t packet[8192];
	struct vmbus_packet_descriptor descriptor;
	const uint8_t *payload;
};

struct bus_rig {
	struct fake_guest guest;
	struct eth_dummy *port;
	struct netvsp *nic;
	unsigned n_queues;
	struct vmbus_msg_offer_channel offer;
	struct bus_queue queues[BUS_RIG_MAX_QUEUES]; /* the first is the primary */
	uint32_t recv_page, send_page, control_page;
	struct buf saved;
};

/* A NIC whose primary channel is open and up, with a packet filter. */
void bus_rig_init(struct bus_rig *rig, unsigned n_queues);
void bus_rig_fini(struct bus_rig *rig);
/* INIT, buffers, RNDIS, filter, on the open primary. */
void bus_rig_initialise(struct bus_rig *rig);
/* Sub-channels, all there are; and scaling over them. */
void bus_rig_scale(struct bus_rig *rig);
/* What a guest does to change its MTU, down to the closed primary; sub-channels are gone then. */
void bus_rig_close_all(struct bus_rig *rig);
/* Bus and NIC saved, freed, made anew and restored. */
void bus_rig_move(struct bus_rig *rig);
struct netvsp_info bus_rig_info(struct bus_rig *rig);

/* The next packet of the host. */
void bus_take(struct bus_queue *queue);
void bus_take_completion(struct bus_queue *queue, uint64_t transaction);
uint64_t bus_send_inband(struct bus_queue *queue, const void *message, size_t size_bytes);
/* Give the sections of the transfer packet in queue->packet back. */
void bus_give_back(struct bus_queue *queue);
/* The nth section of that packet; NULL: it has not so many. */
const uint8_t *bus_section(struct bus_queue *queue, unsigned n, uint32_t *ret_bytes);
/* An RNDIS request on the primary; the status in its answer. */
uint32_t bus_control(struct bus_rig *rig, const void *message, uint32_t size_bytes);

/* A frame of a flow and a number, in one of the queue's send sections. */
uint64_t bus_send_frame(struct bus_queue *queue, uint32_t flow, uint32_t number);
/* The next frame at the port. False: none. */
bool bus_at_port(struct bus_rig *rig, uint32_t *ret_flow, uint32_t *ret_number);
void bus_inject(struct bus_rig *rig, uint32_t flow, uint32_t number);
/* Where the frames of a flow come in, when scaling is on. */
unsigned bus_queue_of(const struct bus_rig *rig, uint32_t flow);

#endif
