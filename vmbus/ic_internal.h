/* SPDX-License-Identifier: MIT
 *
 * ic_internal.h - the object behind ic.h: five services, each with a channel, a worker and a timer
 * of its own, under one lock. Internal to vmbus/, shared by ic.c and ic_unit.c.
 *
 * Running time is monotonic time without what the VM stood still. Callbacks are collected under the
 * lock and made after it.
 */
#ifndef VIADUCT_VMBUS_IC_INTERNAL_H
#define VIADUCT_VMBUS_IC_INTERNAL_H

#include "vmbus/channel.h"
#include "vmbus/ic_heartbeat.h"
#include "vmbus/ic_shutdown.h"
#include "vmbus/ic_timesync.h"
#include "vmbus/ic_vss.h"
#include "vmbus/kvp_core.h"

#include <pthread.h>

#define IC_N_SERVICES 5

struct ic_slot {
	struct ic *ic;
	struct ic_core *core;
	struct vmbus_channel *channel; /* constant from ic_new() on; NULL: not offered */
	int timer_fd;
	bool waits_for_room; /* its next message does not fit into the ring now */
};

struct ic {
	struct ic_config config;

	pthread_mutex_t lock;
	struct ic_slot slots[IC_N_SERVICES];
	struct ic_heartbeat_core heartbeat;
	struct ic_shutdown_core shutdown;
	struct ic_timesync_core timesync;
	struct kvp_core kvp;
	struct ic_vss_core vss;

	bool stopped;
	bool clock_is_wrong; /* the VM stood still; the guest is told at the next start */
	uint64_t stopped_ns; /* monotonic */
	uint64_t stood_ns;   /* monotonic time minus running time */

	/* What was told last. */
	enum ic_heartbeat told_heartbeat;
	unsigned told_changes;

	uint8_t message[IC_MAX_MESSAGE_BYTES];
};

/* Under the lock. */
struct ic_time ic_time_now(const struct ic *ic);

/* What has to be said when the lock is free. */
struct ic_news {
	struct ic_ask asks[3];
	unsigned n_asks;
	bool has_heartbeat, has_items;
	enum ic_heartbeat heartbeat;
};
/* Under the lock, then without it. */
struct ic_news ic_take_news(struct ic *ic);
void ic_tell(const struct ic *ic, const struct ic_news *news);

#endif
