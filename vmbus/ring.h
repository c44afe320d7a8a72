/* SPDX-License-Identifier: MIT
 *
 * ring.h - the host's side of one ring: the consumer of guest-to-host rings (ring_in_*) and the
 * producer of host-to-guest rings (ring_out_*). Bytes only; packets are packet.h's.
 *
 * Our own index is kept here and only written to the guest's memory; the guest's index is read once
 * per look, checked, and kept until the next look. What was consumed or produced becomes visible
 * with ring_*_publish(), which also tells whether the guest has to be signalled: callers publish
 * once per burst. After a publish nothing is private any more and the memory alone tells the state:
 * that is where a migration may take place.
 *
 * Orders: our index is stored and the guest's mask and index are loaded with sequential consistency
 * - this is the full barrier both sides put between publishing and deciding about a signal.
 *
 * Threads: one per ring.
 */
#ifndef VIADUCT_VMBUS_RING_H
#define VIADUCT_VMBUS_RING_H

#include "vmbus/gpadl.h"

struct ring {
	const struct vmbus_gpadl *gpadl;
	uint32_t *control;       /* the control page, as words */
	uint32_t control_offset; /* of the control page in the GPADL, in bytes */
	uint32_t data_bytes;
	uint32_t own_index;       /* in: read index; out: write index */
	uint32_t published_index; /* what the guest sees of own_index */
	uint32_t peer_index;      /* the guest's index as last looked at */
};

/* Take up a ring of `n_pages` (at least 2) where its indices are. -EBADMSG: they cannot be. */
int ring_in_open(
	struct ring *ring, const struct vmbus_gpadl *gpadl, uint32_t first_page, uint32_t n_pages);
int ring_out_open(
	struct ring *ring, const struct vmbus_gpadl *gpadl, uint32_t first_page, uint32_t n_pages);

/* How far our index is ahead of what the guest sees. */
uint32_t ring_unpublished_bytes(const struct ring *ring);

/* Bytes to consume; looks at the guest's index only when all that was known is consumed. -EBADMSG.
 */
int ring_in_available(struct ring *ring, uint32_t *ret_bytes);
/* Copy without consuming; offset + size_bytes must be available. */
void ring_in_copy(const struct ring *ring, uint32_t offset, void *ret_data, size_t size_bytes);
void ring_in_consume(struct ring *ring, uint32_t size_bytes);
/* True: the guest waits for the room this made. */
bool ring_in_publish(struct ring *ring);
/* Ask the guest to signal new data, or not to. After unmasking look again for data. */
void ring_in_mask(struct ring *ring, bool masked);

/* Is there room for `size_bytes`? Looks at the guest's index only when it has to. 0, -EAGAIN,
 * -EMSGSIZE (never), -EBADMSG. */
int ring_out_room(struct ring *ring, uint32_t size_bytes);
/* Append; room was asked for. */
void ring_out_append(struct ring *ring, const void *data, size_t size_bytes);
/* True: the guest has to be signalled. */
bool ring_out_publish(struct ring *ring);
/* Ask to be signalled when more than `size_bytes` are free; 0: no more. Then look again. */
void ring_out_want_room(struct ring *ring, uint32_t size_bytes);
/* Does the guest keep to what ring_out_want_room() asks? */
bool ring_out_room_is_signalled(const struct ring *ring);

#endif
