/* SPDX-License-Identifier: MIT
 *
 * vsc_ring.h - the guest's side of the two rings of a channel: packets in and out, and the rules
 * about who is to be signalled when (vmbus/proto/ring.h has the layout).
 *
 * The other side is believed no more than needed: indices and lengths that do not hold together are
 * -EBADMSG, and the ring is then dead.
 */
#ifndef VIADUCT_VMBUS_GUEST_VSC_RING_H
#define VIADUCT_VMBUS_GUEST_VSC_RING_H

#include "vmbus/guest/mem.h"
#include "vmbus/proto/ring.h"

struct vsc_ring {
	volatile uint32_t *control; /* the control page, as words */
	uint8_t *data;
	uint32_t data_bytes;
};

/* Takes up `n_pages` (>= 2) page-aligned, zeroed pages. */
void vsc_ring_init(struct vsc_ring *ring, void *pages, uint32_t n_pages);

/* A packet to send: `header` is what its type puts between descriptor and payload, a multiple of 8
 * bytes long. */
struct vsc_packet_out {
	uint16_t type;
	bool request_completion;
	uint64_t transaction_id;
	const void *header;
	uint32_t header_bytes;
	const void *payload;
	uint32_t payload_bytes;
};

/* Bytes that a packet takes up in a ring. */
uint32_t vsc_ring_packet_bytes(uint32_t header_bytes, uint32_t payload_bytes);
bool vsc_ring_has_room(const struct vsc_ring *ring, uint32_t packet_bytes);
/* Asks to be signalled when there is more room than that, whatever is sent meanwhile; 0: no more.
 * True: there is already. */
bool vsc_ring_want_room(struct vsc_ring *ring, uint32_t packet_bytes);
/* 0; -EAGAIN: no room. *ret_signal: the host has to be signalled. */
int vsc_ring_send(struct vsc_ring *ring, const struct vsc_packet_out *packet, bool *ret_signal);

/* A packet received, copied out of the ring. header and payload point into that copy. */
struct vsc_packet {
	uint16_t type;
	bool completion_requested;
	uint64_t transaction_id;
	const uint8_t *header;
	size_t header_bytes;
	const uint8_t *payload;
	size_t payload_bytes;
};

/* 0; -EAGAIN: none; -EMSGSIZE: larger than the buffer, skipped; -EBADMSG. *ret_signal (with 0 and
 * -EMSGSIZE): the host waits for the room this made. */
int vsc_ring_receive(struct vsc_ring *ring, void *buffer, size_t buffer_bytes,
	struct vsc_packet *ret_packet, bool *ret_signal);
/* Whether the host is to signal new data. After unmasking look again: vsc_ring_is_empty(). */
void vsc_ring_mask(struct vsc_ring *ring, bool masked);
bool vsc_ring_is_empty(const struct vsc_ring *ring);

#endif
