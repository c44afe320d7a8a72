/* SPDX-License-Identifier: MIT
 *
 * vsc_bus.h - the guest's end of the VMBus: connection, offers, GPADLs, channels.
 *
 * Whoever calls something that needs an answer waits for it, through vsc_host_ops.wait; every wait
 * has a bound (-ETIMEDOUT). Messages that come by themselves - late offers, rescinds - are handled
 * whenever messages are looked at. Memory handed over is identity mapped: its address is its GPA.
 */
#ifndef VIADUCT_VMBUS_GUEST_VSC_BUS_H
#define VIADUCT_VMBUS_GUEST_VSC_BUS_H

#include "vmbus/guest/vsc_ring.h"
#include "vmbus/proto/vmbus_msg.h"

#define VSC_MAX_OFFERS 32

/* What the bus needs of the hypervisor, on VP 0. */
struct vsc_host_ops {
	/* HvPostMessage, type 1. Returns an enum hv_status. */
	uint16_t (*post_message)(
		void *host, uint32_t connection_id, const void *payload, size_t size_bytes);
	/* HvSignalEvent, flag 0. */
	void (*signal)(void *host, uint32_t connection_id);
	/* Take the message in slot VMBUS_SINT, if any, and free the slot. */
	bool (*take_message)(void *host, struct hv_message *ret_message);
	/* Test and clear an event flag of VMBUS_SINT. */
	bool (*take_event)(void *host, uint32_t relid);
	/* Let a moment pass. */
	void (*wait)(void *host);
	uint64_t (*now_ns)(void *host);
};

struct vsc_offer {
	uint8_t class_guid[VMBUS_GUID_BYTES];
	uint8_t instance_guid[VMBUS_GUID_BYTES];
	uint32_t relid; /* 0: free place */
	uint32_t connection_id;
	uint16_t sub_channel_index;
	struct vsc_channel *channel; /* when open */
};

struct vsc_bus {
	const struct vsc_host_ops *ops;
	void *host;
	uint32_t version; /* 0: not connected */
	uint32_t message_connection_id;
	struct vsc_offer offers[VSC_MAX_OFFERS];
	bool offers_complete;
	uint32_t next_gpadl_id;

	/* The answer somebody waits for: a type, and the number in it that says whose it is. */
	uint32_t awaited_type, awaited_id;
	bool answered;
	uint8_t answer[VMBUS_MSG_MAX_BYTES];
};

/* Agree on a version, the newest both know. 0; -EPROTONOSUPPORT; -EIO: the host takes no messages.
 */
int vsc_bus_connect(struct vsc_bus *bus, const struct vsc_host_ops *ops, void *host);
/* Have all offers made. */
int vsc_bus_request_offers(struct vsc_bus *bus);
/* The index-th offer of a class, NULL; in the order they came, until one is taken back. */
struct vsc_offer *vsc_bus_find_offer(
	struct vsc_bus *bus, const uint8_t class_guid[VMBUS_GUID_BYTES], unsigned index);
/* Look at the messages that came. False: none. */
bool vsc_bus_poll(struct vsc_bus *bus);
/* The host forgets all channels and GPADLs. */
int vsc_bus_unload(struct vsc_bus *bus);

/* Whole pages. -EIO: the host refused. */
int vsc_bus_gpadl_create(struct vsc_bus *bus, uint32_t relid, const void *memory,
	uint32_t size_bytes, uint32_t *ret_gpadl_id);
int vsc_bus_gpadl_teardown(struct vsc_bus *bus, uint32_t relid, uint32_t gpadl_id);

/* --- between the files of the bus --- */

/* Post a message on the agreed connection. -EIO. */
int vsc_bus_send(struct vsc_bus *bus, const void *message, size_t size_bytes);
/* The same, and wait for the answer that names `id`: bus->answer. */
int vsc_bus_request(struct vsc_bus *bus, const void *message, size_t size_bytes,
	uint32_t answer_type, uint32_t id);

/* --- channels --- */

struct vsc_channel {
	struct vsc_bus *bus;
	struct vsc_offer *offer; /* NULL: closed, or taken back by the host */
	uint32_t relid;
	uint32_t connection_id;
	uint32_t ring_gpadl_id;
	struct vsc_ring out, in;
};

/* `rings`: 2 * n_ring_pages pages, zeroed here, the guest-to-host ring first. They and the channel
 * must stay until vsc_channel_close(). -EIO: the host refused. */
int vsc_channel_open(struct vsc_channel *channel, struct vsc_bus *bus, struct vsc_offer *offer,
	void *rings, uint32_t n_ring_pages);
void vsc_channel_close(struct vsc_channel *channel);
/* False after the host took the offer back. */
bool vsc_channel_is_open(const struct vsc_channel *channel);
/* vsc_ring_send() and the signal. */
int vsc_channel_send(struct vsc_channel *channel, const struct vsc_packet_out *packet);
/* vsc_ring_receive() and the signal. */
int vsc_channel_receive(struct vsc_channel *channel, void *buffer, size_t buffer_bytes,
	struct vsc_packet *ret_packet);
/* The host signalled since the last time. */
bool vsc_channel_take_event(struct vsc_channel *channel);

#endif
