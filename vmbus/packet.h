/* SPDX-License-Identifier: MIT
 *
 * packet.h - packets in rings: taking one out, whole and checked, and putting one in. Internal to
 * vmbus/.
 */
#ifndef VIADUCT_VMBUS_PACKET_H
#define VIADUCT_VMBUS_PACKET_H

#include "vmbus/ring.h"

/* Copy the next packet into `buffer` (VMBUS_MAX_PACKET_BYTES) and take it apart there; pointers of
 * *ret_packet go into `buffer`. 0, -EAGAIN, -EBADMSG (then nothing is consumed). */
int packet_take(struct ring *ring, uint8_t *buffer, struct vmbus_packet *ret_packet);

/* What stands between descriptor and payload, of a multiple of 8 bytes. */
struct packet_header {
	const void *data;
	size_t size_bytes;
};

/* Bytes of ring that a packet takes. SIZE_MAX: there is no packet as large as that. */
size_t packet_ring_bytes(size_t headers_bytes, size_t payload_bytes);

/* Errors of ring_out_room(); the length and offset fields of `descriptor` are filled here. */
int packet_put(struct ring *ring, struct vmbus_packet_descriptor descriptor,
	const struct packet_header *headers, unsigned n_headers, const void *payload,
	size_t payload_bytes);

#endif
