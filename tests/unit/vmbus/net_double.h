/* SPDX-License-Identifier: MIT
 *
 * net_double.h - a channel without rings, in place of vmbus/channel.c and server.c: packets that
 * the test queues are received by the VSP, packets that the VSP sends are kept for the test to
 * take. For tests and fuzz targets of the network VSP.
 *
 * A sub-channel has packets of its own and the memory and GPADLs of its primary.
 *
 * Guest memory is one run of NET_DOUBLE_MEMORY_BYTES from address 0; GPADLs have memory of their
 * own. Packets and GPADLs are allocated with their exact size, so that a sanitizer sees what is
 * read beyond.
 */
#ifndef VIADUCT_TESTS_NET_DOUBLE_H
#define VIADUCT_TESTS_NET_DOUBLE_H

#include "base/list.h"
#include "vmbus/channel.h"

#include <limits.h>

#define NET_DOUBLE_MEMORY_BYTES (1U << 18)
#define NET_DOUBLE_NO_LIMIT     UINT_MAX
#define NET_DOUBLE_MAX_SUBS     7

struct vmbus_gpadl {
	struct list link;
	uint32_t id;
	uint32_t size_bytes;
	uint8_t *bytes;
};

struct vmbus_channel {
	uint8_t *memory;
	struct vmbus_channel *primary; /* NULL: this is one */
	struct list gpadls;
	struct list queued; /* from the guest */
	struct list sent;   /* to the guest */
	void *current;      /* received last */
	unsigned room;      /* packets the ring to the guest still takes */
	bool broken;

	/* What vmbus_offer_add() was given. */
	struct vmbus_offer offer;
	const struct vmbus_device_ops *ops;
	void *device;
	bool is_open;
	unsigned n_kicks; /* atomic */

	/* Of a primary. */
	struct vmbus_channel *subs[NET_DOUBLE_MAX_SUBS];
	unsigned n_subs;
	unsigned n_offered;
};

/* A range of a GPA-direct packet, contiguous in guest memory. */
struct net_double_range {
	uint64_t gpa;
	uint32_t byte_count;
};

struct net_double_packet {
	uint16_t type;
	uint64_t transaction_id;
	uint16_t pageset_id;
	uint8_t payload[128];
	size_t payload_bytes;
	struct vmbus_transfer_range ranges[64];
	unsigned n_ranges;
};

struct vmbus_channel *net_double_new(void);
/* Another one, of the same guest. Freed with it. */
struct vmbus_channel *net_double_sub(struct vmbus_channel *primary);
void net_double_free(struct vmbus_channel *channel);

/* The guest's memory of a new GPADL. */
uint8_t *net_double_gpadl(struct vmbus_channel *channel, uint32_t gpadl_id, uint32_t size_bytes);
/* Have accesses from `size_bytes` on fail, as if the memory were gone. */
void net_double_shrink(struct vmbus_channel *channel, uint32_t gpadl_id, uint32_t size_bytes);
void net_double_gpadl_drop(struct vmbus_channel *channel, uint32_t gpadl_id);

void net_double_push(struct vmbus_channel *channel, uint16_t type, uint64_t transaction_id,
	bool completion_requested, const void *payload, size_t payload_bytes,
	const struct net_double_range *ranges, unsigned n_ranges);
/* The oldest packet sent to the guest. False: none. */
bool net_double_take(struct vmbus_channel *channel, struct net_double_packet *ret_packet);
size_t net_double_n_queued(const struct vmbus_channel *channel);

#endif
