/* SPDX-License-Identifier: MIT
 *
 * net_state.h - what the two halves of the saved NIC share. Internal to net_state.c (the NIC) and
 * net_state_queue.c (one queue of it).
 */
#ifndef VIADUCT_VMBUS_NET_STATE_H
#define VIADUCT_VMBUS_NET_STATE_H

#include "base/bytes.h"
#include "vmbus/net_vsp.h"

/* Anything but 0 and 1 spoils the reader. */
static inline bool net_state_bool(struct reader *in)
{
	uint8_t v = reader_u8(in);

	in->failed |= v > 1;
	return v == 1;
}

/* So does a number above `max`. */
static inline uint32_t net_state_up_to(struct reader *in, uint32_t max)
{
	uint32_t v = reader_le32(in);

	if (v <= max)
		return v;
	in->failed = true;
	return 0;
}

static inline int net_state_result(const struct reader *in)
{
	return reader_ok(in) ? 0 : -EBADMSG;
}

void net_state_save_stats(const struct net_stats *stats, struct buf *out);
void net_state_restore_stats(struct net_stats *stats, struct reader *in);

/* An open queue; when it is restored the two buffers are there. 0, -EBADMSG, -ENOMEM. */
void net_state_save_queue(const struct net_queue *queue, struct buf *out);
int net_state_restore_queue(struct net_queue *queue, struct reader *in);

#endif
