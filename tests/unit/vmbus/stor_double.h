/* SPDX-License-Identifier: MIT
 *
 * stor_double.h - channels without rings, in place of vmbus/channel.c and server.c, for tests and
 * fuzz targets of the storage VSP: packets that the test queues are received by the VSP, packets
 * that the VSP sends are kept for the test to take. It is bus and channels in one; channel 0 is the
 * primary.
 *
 * Guest memory is one run of STOR_DOUBLE_MEMORY_BYTES from address 0. Packets are allocated with
 * their exact size, so that a sanitizer sees what is read beyond.
 */
#ifndef VIADUCT_TESTS_STOR_DOUBLE_H
#define VIADUCT_TESTS_STOR_DOUBLE_H

#include "base/list.h"
#include "vmbus/channel.h"

#include <limits.h>

#define STOR_DOUBLE_MEMORY_BYTES (2U << 20)
#define STOR_DOUBLE_PAGES        (STOR_DOUBLE_MEMORY_BYTES / 4096)
#define STOR_DOUBLE_MAX_CHANNELS 8
#define STOR_DOUBLE_NO_LIMIT     UINT_MAX

struct stor_double;

struct vmbus_channel {
	struct stor_double *bus;
	struct list queued; /* from the guest */
	struct list sent;   /* to the guest */
	void *current;      /* received last */
	unsigned room;      /* packets the ring to the guest still takes */
	bool broken;
	const struct vmbus_device_ops *ops;
	void *device;
	bool is_open;
	unsigned n_kicks;
};

struct stor_double {
	uint8_t *memory;
	bool dirty[STOR_DOUBLE_PAGES];
	bool scattered; /* no two pages are neighbours in the host, as far as anybody is told */
	struct vmbus_offer offer;
	struct vmbus_channel channels[STOR_DOUBLE_MAX_CHANNELS];
	unsigned n_channels;
	unsigned n_offered;
	size_t n_sent_at_offer; /* packets the primary had sent when sub-channels were offered */
};

/* A range of a GPA-direct packet, contiguous in guest memory. */
struct stor_double_range {
	uint64_t gpa;
	uint32_t byte_count;
};

struct stor_double_packet {
	uint16_t type;
	uint64_t transaction_id;
	bool completion_requested;
	uint8_t payload[64];
	size_t payload_bytes;
};

struct stor_double *stor_double_new(void);
void stor_double_free(struct stor_double *bus);

void stor_double_push(struct vmbus_channel *channel, uint16_t type, uint64_t transaction_id,
	bool completion_requested, const void *payload, size_t payload_bytes,
	const struct stor_double_range *ranges, unsigned n_ranges);
/* The oldest packet sent to the guest. False: none. */
bool stor_double_take(struct vmbus_channel *channel, struct stor_double_packet *ret_packet);
size_t stor_double_n_queued(const struct vmbus_channel *channel);
size_t stor_double_n_sent(const struct vmbus_channel *channel);

/* What the bus does. */
void stor_double_open(struct vmbus_channel *channel);
void stor_double_close(struct vmbus_channel *channel);
bool stor_double_work(struct vmbus_channel *channel);

#endif
