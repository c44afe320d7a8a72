/* SPDX-License-Identifier: MIT
 *
 * echo_device.h - a small VSP for tests: completes every packet with its own bytes (the guest's
 * memory when it is a GPA-direct packet), and on demand sends numbered packets as fast as they go
 * and offers sub-channels.
 */
#ifndef VIADUCT_TESTS_UNIT_VMBUS_ECHO_DEVICE_H
#define VIADUCT_TESTS_UNIT_VMBUS_ECHO_DEVICE_H

#include "vmbus/channel.h"

struct echo_device {
	struct vmbus_channel *channel;
	int event_fd; /* or -1 */
	int refuse_open;

	/* Atomic: the test looks at these while the worker runs. */
	unsigned n_open, n_close, n_gpadl_gone, n_work, n_broken, n_taken, n_echoed;
	int offer_error; /* what offering sub-channels returned last */
	uint32_t last_gpadl_gone;
	/* Called by gpadl_gone(), and before sub-channels are offered; or NULL. */
	void (*on_gpadl_gone)(void *data);
	void (*on_offer)(void *data);
	void *hook_data;
	uint64_t flood_end; /* send packets numbered below this */
	uint64_t flood_next;

	/* The worker's. */
	struct vmbus_packet packet;
	bool pending; /* a completion that found no room */
	uint64_t pending_id;
	size_t pending_bytes;
	uint8_t bytes[VMBUS_MAX_PACKET_BYTES];
};

#define ECHO_FLOOD_BYTES 64

/* A packet with this transaction id, plus n, has sub-channels 1..n offered, once it is completed.
 */
#define ECHO_OFFER_SUBCHANNELS 0x5ab0000000000000ULL

extern const struct vmbus_device_ops echo_ops;

void echo_init(struct echo_device *echo);
/* Offer it; the instance is filled with this byte. */
void echo_offer(struct echo_device *echo, struct vmbus *bus, uint8_t instance_byte);
unsigned echo_count(const unsigned *counter);

#endif
