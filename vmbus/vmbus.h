/* SPDX-License-Identifier: MIT
 *
 * vmbus.h - the VMBus of one partition as its host sees it: one bus component in the parent that
 * talks to the bus driver in the child. Offers, GPADLs, channels; the devices (VSPs) sit on top.
 *
 * The control plane is a pure state machine (ctl.h: message in, actions out) driven by a message
 * table; this object gives it a lock, the guest's memory and the host's SynIC. Open channels have
 * one worker thread each (channel.h).
 *
 * Threads: vmbus_post() and vmbus_slot_free() may come from any VP thread at once; everything else
 * is the owner's thread. Host ops are called with the bus lock held and must not call back;
 * vmbus_post() may wait for a worker to finish what it is at, so its caller holds nothing that
 * signal() takes.
 *
 * Unit: "vmbus" - connection, offers, channels, GPADLs, queued messages. Devices register their own
 * units ("netvsp.N") after it. Start re-signals every open channel once in both directions, because
 * a signal may have been lost on the way; stop returns when every worker is parked. Before the
 * first start and while stopped the guest is told to try again, and messages to it wait.
 */
#ifndef VIADUCT_VMBUS_VMBUS_H
#define VIADUCT_VMBUS_VMBUS_H

#include "base/eth_ops.h"
#include "base/gpa.h"
#include "base/unit.h"

struct vmbus;

struct vmbus_host_ops {
	/* Post a message (type 1, SINT 2) to a VP. 0; -EAGAIN: slot occupied, vmbus_slot_free()
	 * will be called; anything else: the guest cannot take messages, drop it. */
	int (*post_message)(void *host, uint32_t vp_index, const void *payload, size_t size_bytes);
	/* Set event flag `relid` (SINT 2) of a VP. Also called from workers, without the bus lock.
	 */
	void (*signal)(void *host, uint32_t vp_index, uint32_t relid);
	/* Have HvSignalEvent(connection_id, 0) write to event_fd. */
	int (*doorbell_add)(void *host, uint32_t connection_id, int event_fd);
	void (*doorbell_remove)(void *host, uint32_t connection_id, int event_fd);
};

int vmbus_new(struct gpa_space *memory, const struct vmbus_host_ops *ops, void *host,
	struct vmbus **ret_bus);
/* Devices must be freed first. */
void vmbus_free(struct vmbus *bus);
int vmbus_register_unit(struct vmbus *bus, struct unit_registry *registry);

/* The guest called HvPostMessage. Returns an enum hv_status: success also for what the bus ignores
 * (see vmbus_info), INVALID_CONNECTION_ID, INVALID_PARAMETER for what is not a whole message of the
 * bus, INSUFFICIENT_BUFFERS or INSUFFICIENT_MEMORY to try again. */
uint16_t vmbus_post(struct vmbus *bus, uint32_t connection_id, uint32_t message_type,
	const void *payload, size_t size_bytes);
/* The guest freed its message slot. */
void vmbus_slot_free(struct vmbus *bus, uint32_t vp_index, unsigned sint);
/* The partition was reset: forget the guest, as if it had unloaded its driver. */
void vmbus_reset(struct vmbus *bus);

struct vmbus_info {
	bool connected;
	uint32_t version; /* (major << 16) + minor, 0 when not connected */
	unsigned n_offers;
	unsigned n_open_channels;
	uint64_t n_messages_in, n_messages_out;
	uint64_t n_protocol_errors;      /* messages refused by the tables */
	const char *last_protocol_error; /* static text, or NULL */
};
void vmbus_get_info(struct vmbus *bus, struct vmbus_info *ret_info);

/* The network VSP: one NIC, with a worker for each of its channels. Register its unit after the
 * bus's. */
struct netvsp;

#define NETVSP_MAX_CHANNELS 8

/* What a guest may leave to its NIC. */
enum netvsp_offload {
	NETVSP_CSUM_TX = 1 << 0, /* checksums of what it sends; without them there is no LSO */
	NETVSP_CSUM_RX = 1 << 1, /* of what it receives; without them there is no RSC */
	NETVSP_LSO = 1 << 2,     /* large sends */
	NETVSP_RSC = 1 << 3,     /* coalesced packets */
};

struct netvsp_config {
	unsigned index; /* distinguishes NICs of a VM; part of the instance GUID and unit name */
	uint8_t mac[ETH_ADDR_LEN];
	uint32_t mtu_bytes;  /* IP MTU, 576..9000 */
	unsigned n_channels; /* 1..NETVSP_MAX_CHANNELS, the queues a guest may use; 0: 1 */
	bool link_up;
	bool allow_mac_change; /* the guest may take another address */
	/* enum netvsp_offload bits that the guest is not offered, whatever the port can; the same
	 * on both sides of a migration. */
	uint32_t withheld;
	const struct eth_ops *eth;
	void *port; /* handed to eth; outlives the netvsp */
};

/* Offers the NIC. */
int netvsp_new(struct vmbus *bus, const struct netvsp_config *config, struct netvsp **ret_nic);
void netvsp_free(struct netvsp *nic);
int netvsp_register_unit(struct netvsp *nic, struct unit_registry *registry);
/* Tell the guest. Owner's thread. */
int netvsp_set_link(struct netvsp *nic, bool up);

/* Of one direction. The rest of frames and bytes is unicast. */
struct netvsp_traffic {
	uint64_t frames, bytes;
	uint64_t multicast_frames, multicast_bytes;
	uint64_t broadcast_frames, broadcast_bytes;
	uint64_t dropped;
};

/* tx is what the guest sends, rx what it receives. */
struct netvsp_queue_info {
	bool open;
	struct netvsp_traffic tx, rx;
};

struct netvsp_info {
	uint32_t nvsp_version; /* 0 until negotiated */
	bool ready;            /* RNDIS initialised */
	bool link_up;
	uint8_t mac[ETH_ADDR_LEN]; /* the guest's now */
	uint32_t mtu_bytes;        /* what the guest said it uses; the NIC's until then */
	bool scales;               /* receive-side scaling is on */
	bool coalesces;            /* super-frames are handed over whole */
	uint32_t packet_filter;
	uint64_t tx_frames, tx_bytes, tx_dropped;
	uint64_t rx_frames, rx_bytes, rx_dropped;
	struct netvsp_traffic tx, rx; /* of all queues */
	unsigned n_queues;
	struct netvsp_queue_info queues[NETVSP_MAX_CHANNELS];
	uint64_t n_protocol_errors;
};
void netvsp_get_info(struct netvsp *nic, struct netvsp_info *ret_info);

#endif
