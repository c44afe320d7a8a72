/* SPDX-License-Identifier: MIT
 *
 * guest_ring.h - the guest's side of rings, written from the protocol and not from the host's code:
 * producer of the guest-to-host ring, consumer of the other. And a piece of guest memory to put
 * them in.
 */
#ifndef VIADUCT_TESTS_UNIT_VMBUS_GUEST_RING_H
#define VIADUCT_TESTS_UNIT_VMBUS_GUEST_RING_H

#include "base/gpa.h"
#include "vmbus/proto/ring.h"

#define GUEST_MEMORY_BASE 0x100000ULL /* pages below are not RAM */

struct guest_memory {
	struct gpa_space *space;
	uint8_t *host;
	uint32_t n_pages;
};

void guest_memory_init(struct guest_memory *memory, uint32_t n_pages);
void guest_memory_fini(struct guest_memory *memory);
/* PFN of the nth page, and where it is. */
uint64_t guest_pfn(uint32_t page);
uint8_t *guest_page(const struct guest_memory *memory, uint32_t page);
bool guest_page_is_dirty(const struct guest_memory *memory, uint32_t page);
void guest_clean_pages(const struct guest_memory *memory);

#define GUEST_RING_MAX_PAGES 64

struct guest_ring {
	uint8_t *pages[GUEST_RING_MAX_PAGES]; /* the first is the control page */
	uint32_t n_pages;
};

uint32_t guest_ring_load(const struct guest_ring *ring, size_t field_offset);
void guest_ring_store(const struct guest_ring *ring, size_t field_offset, uint32_t value);
#define ring_get(ring, field) guest_ring_load(ring, offsetof(struct vmbus_ring_control, field))
#define ring_set(ring, field, value)                                                               \
	guest_ring_store(ring, offsetof(struct vmbus_ring_control, field), value)

uint32_t guest_ring_data_bytes(const struct guest_ring *ring);
/* What a guest does before it opens a channel. */
void guest_ring_reset(const struct guest_ring *ring);
/* Bytes at a place in the data, wrapping. */
void guest_ring_poke(const struct guest_ring *ring, uint32_t index, const void *data, size_t n);
void guest_ring_peek(const struct guest_ring *ring, uint32_t index, void *ret_data, size_t n);

/* Write a packet: `rest` is everything after the descriptor, whose lengths are filled here. False:
 * no room. *ret_signal: the rules ask for a signal. */
bool guest_ring_send(const struct guest_ring *ring, struct vmbus_packet_descriptor descriptor,
	const void *header, size_t header_bytes, const void *payload, size_t payload_bytes,
	bool *ret_signal);
/* Take a packet, whole, with its descriptor. 0: none. Otherwise its length; -1: it is not one.
 * *ret_signal: the host waits for the room. */
int guest_ring_recv(
	const struct guest_ring *ring, uint8_t *ret_packet, size_t capacity, bool *ret_signal);

#endif
