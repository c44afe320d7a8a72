/* SPDX-License-Identifier: MIT
 *
 * stor_channel.h - one channel of a controller, without its thread: packets out of the ring,
 * through the protocol and SCSI to the backend's queue, and completions back into the ring.
 * Internal to vmbus/; storvsp.c joins channels and units to a controller.
 *
 * A packet is taken from the ring only when there is a request to carry it (STOR_MAX_REQUESTS) and
 * stays in it until its completion is in the ring: once, and on this channel. Completions that
 * find the ring full wait in the order they came.
 *
 * Whoever holds the channel's lock may use its queue: the worker; and while the channel is closed
 * and requests are still under way, whoever waits for them.
 *
 * Locks: the channel's, then a unit's. Threads: thread-safe; work() on the worker.
 */
#ifndef VIADUCT_VMBUS_STOR_CHANNEL_H
#define VIADUCT_VMBUS_STOR_CHANNEL_H

#include "vmbus/channel.h"
#include "vmbus/stor_request.h"
#include "vmbus/stor_vstor.h"

#include <poll.h>

#define STOR_MAX_REQUESTS 256
/* How many packets one call of work() takes. */
#define STOR_RING_BURST 64
/* What the guest may move with one request. */
#define STOR_MAX_TRANSFER_BYTES (512U << 10)

enum stor_channel_state {
	STOR_CLOSED,
	STOR_OPEN,
	STOR_CLOSING, /* waiting for what is under way */
};

struct stor_stats {
	uint64_t n_reads, n_writes, n_flushes, n_discards;
	uint64_t read_bytes, written_bytes;
	uint64_t n_errors, n_protocol_errors;
};

struct stor_channel {
	/* Constant. */
	struct stor_luns *luns;
	unsigned index; /* 0: the primary */
	int event_fd;
	void *queue;
	struct stor_request *pool;
	struct vmbus_channel *channel; /* as the bus gave it */

	pthread_mutex_t lock;
	enum stor_channel_state state;
	bool broken;
	bool draining; /* no new packets */
	bool stopped;  /* nothing at all */
	bool notify;   /* tell the guest to look at its units */
	struct vstor vstor;
	struct list free;
	struct list waiting;  /* for room in the backend's queue */
	struct list finished; /* for room in the ring */
	unsigned n_under_way; /* requests that the backend has or waits to get */
	unsigned n_submitted; /* since the last flush */
	struct stor_stats stats;

	/* The packet that is looked at. */
	struct vmbus_packet packet;
	struct scsi_result result;
	uint8_t parameters[SCSI_MAX_PARAMETER_BYTES];
};

int stor_channel_init(struct stor_channel *channel, struct stor_luns *luns, void *backend,
	unsigned index, unsigned n_channels);
/* Nothing is under way. */
void stor_channel_fini(struct stor_channel *channel);

void stor_channel_open(struct stor_channel *channel);
/* Waits for what is under way, at most until `deadline_ns`; what is not done by then is done some
 * day, and nobody told. */
void stor_channel_close(struct stor_channel *channel, uint64_t deadline_ns);
bool stor_channel_work(struct stor_channel *channel);

/* Take what a closed channel's queue has completed. Returns what is still under way, on open ones
 * as well. */
unsigned stor_channel_collect(struct stor_channel *channel);

/* What to wait for, of a closed channel with something under way; nothing, of the others. */
struct pollfd stor_channel_pollfd(struct stor_channel *channel);

#endif
