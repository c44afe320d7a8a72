/* SPDX-License-Identifier: MIT
 *
 * pipe.h - the header before every message of a channel in pipe mode: video, mouse, integration
 * services. A packet's payload is padded to eight bytes; `size_bytes` is how much of it is message.
 *
 * Source: linux include/linux/hyperv.h (struct vmbuspipe_hdr), drivers/hid/hid-hyperv.c.
 *
 * Freestanding: shared by the host's VSPs and by guests without a C library.
 */
#ifndef VIADUCT_VMBUS_PROTO_PIPE_H
#define VIADUCT_VMBUS_PROTO_PIPE_H

#include "vmbus/proto/wire.h"

#define PIPE_DATA 1U /* the only type in use */

struct pipe_header {
	uint32_t type;
	uint32_t size_bytes; /* of what follows */
} _wire_;
WIRE_SIZE(struct pipe_header, 8);

/* The message in a packet's payload, or NULL when it is not one: no header, another type, or more
 * bytes promised than there are. */
static inline const void *pipe_message(
	const void *payload, size_t payload_bytes, size_t *ret_message_bytes)
{
	const struct pipe_header *header = payload;

	if (payload_bytes < sizeof(*header) || header->type != PIPE_DATA ||
		header->size_bytes > payload_bytes - sizeof(*header))
		return NULL;
	*ret_message_bytes = header->size_bytes;
	return header + 1;
}

#endif
