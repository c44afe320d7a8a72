/* SPDX-License-Identifier: MIT
 *
 * vsc_net.h - the synthetic NIC's consumer: NVSP set-up, RNDIS control requests, frames in and out.
 *
 * Frames go out through send-buffer sections, one a section; what has no section or no room in the
 * ring is refused and the caller tries again after the next vsc_net_poll(). Control requests go out
 * as GPA-direct packets. Receiving hands out each frame where the host put it, in the receive
 * buffer, and gives the section back when the owner has seen it.
 *
 * All offloads are switched off: frames have their checksums and fit the MTU in both directions.
 * What the host says about a frame's checksums is passed on nevertheless.
 */
#ifndef VIADUCT_VMBUS_GUEST_VSC_NET_H
#define VIADUCT_VMBUS_GUEST_VSC_NET_H

#include "vmbus/guest/vsc_bus.h"
#include "vmbus/proto/nvsp.h"
#include "vmbus/proto/rndis.h"

#define VSC_NET_RING_PAGES    16 /* each direction, control page included */
#define VSC_NET_RECEIVE_BYTES (2U << 20)
#define VSC_NET_SEND_BYTES    (512U << 10)
#define VSC_NET_MAX_SECTIONS  1024
#define VSC_NET_PACKET_BYTES  5120 /* a transfer-page packet of 562 ranges */
#define VSC_NET_MTU           1500

/* Shared with the host; page-aligned. */
struct vsc_net_memory {
	uint8_t rings[2 * VSC_NET_RING_PAGES * VMBUS_PAGE_BYTES];
	uint8_t receive[VSC_NET_RECEIVE_BYTES];
	uint8_t send[VSC_NET_SEND_BYTES];
	uint8_t control[VMBUS_PAGE_BYTES];
} __attribute__((aligned(4096)));

struct vsc_net_ops {
	void (*receive)(void *owner, const void *frame, size_t size_bytes, bool ip_checked,
		bool transport_checked);
	void (*link_changed)(void *owner, bool up);
	/* The host asks for the address to be made known again. */
	void (*network_changed)(void *owner);
};

#define VSC_NET_ANSWER_BYTES 256

struct vsc_net {
	struct vsc_channel channel;
	struct vsc_net_memory *memory;
	const struct vsc_net_ops *ops;
	void *owner;

	uint32_t version;                         /* NVSP */
	uint32_t receive_gpadl_id, send_gpadl_id; /* 0: none */
	uint32_t receive_section_bytes, receive_used_bytes;
	uint32_t send_section_bytes, n_send_sections;
	uint64_t busy_sections[VSC_NET_MAX_SECTIONS / 64];

	uint8_t mac[6];
	uint32_t mtu;
	bool link_up;
	bool link_indicated; /* the host spoke of the link by itself */

	bool more;         /* the last poll left work behind */
	bool stalled;      /* no room to answer the host, who was asked to tell when there is */
	bool broken;       /* the ring does not hold together; nothing works any more */
	uint64_t n_errors; /* what the host sent and made no sense */

	/* The NVSP transaction or RNDIS request that is waited for; 0: none. */
	uint64_t next_transaction_id, awaited_transaction_id;
	uint32_t next_request_id, awaited_request_id;
	bool answered;
	size_t answer_bytes;
	uint8_t answer[VSC_NET_ANSWER_BYTES];

	uint8_t packet[VSC_NET_PACKET_BYTES] __attribute__((aligned(8)));
};

/* Opens the channel and brings the NIC up to receiving. On failure everything is closed again. */
int vsc_net_open(struct vsc_net *net, struct vsc_bus *bus, struct vsc_offer *offer,
	struct vsc_net_memory *memory, const struct vsc_net_ops *ops, void *owner);
void vsc_net_close(struct vsc_net *net);
/* Handle what the host sent, a bounded share. False: there was nothing. */
bool vsc_net_poll(struct vsc_net *net);
/* False: no room now, the NIC is gone, or the frame is too large. */
bool vsc_net_send(struct vsc_net *net, const void *frame, size_t size_bytes);

/* --- between the files of the NIC --- */

/* Send an NVSP message and, with a reply, wait for the completion: net->answer. */
int vsc_net_nvsp_send(struct vsc_net *net, const void *message, size_t size_bytes);
int vsc_net_nvsp_request(struct vsc_net *net, const void *message, size_t size_bytes);
/* Wait for net->answered. */
int vsc_net_wait(struct vsc_net *net);
/* An RNDIS message that came through the receive buffer. */
void vsc_rndis_input(struct vsc_net *net, const uint8_t *message, size_t size_bytes);
/* Initialise RNDIS, ask for address, MTU and link, switch offloads off, open the packet filter. */
int vsc_rndis_start(struct vsc_net *net);
void vsc_rndis_stop(struct vsc_net *net);

#endif
