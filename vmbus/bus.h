/* SPDX-License-Identifier: MIT
 *
 * bus.h - the objects behind vmbus.h and channel.h, shared by server.c (the bus) and channel.c (one
 * channel). Internal to vmbus/.
 *
 * Locks, outermost first:
 *	bus->lock            control plane, message queue, host ops, opening and closing of channels
 *	worker->lock         inside worker.c
 *	channel->gpadl_lock  the channel's list of mapped GPADLs
 * Whoever holds bus->lock may wait for a worker to stand still, so nothing that a worker calls
 * takes it: rings, packets, GPADL look-ups and the host's signal() do without. Device ops open(),
 * close() and gpadl_gone() run under bus->lock with the worker standing still or not there. Offers
 * of sub-channels take it: workers leave a wish, and a thread of the bus's own - for which nobody
 * waits with the lock held - makes it come true.
 */
#ifndef VIADUCT_VMBUS_BUS_H
#define VIADUCT_VMBUS_BUS_H

#include "vmbus/ctl.h"
#include "vmbus/packet.h"
#include "vmbus/worker.h"

struct vmbus {
	pthread_mutex_t lock;
	struct gpa_space *memory;
	const struct vmbus_host_ops *ops;
	void *host;
	struct ctl *ctl;
	bool running; /* between start and stop of the unit */
	/* Offers the sub-channels that workers asked for; there when there are any. */
	struct worker offerer;
};

struct vmbus_channel {
	struct vmbus *bus;
	struct ctl_channel *ctl;
	const struct vmbus_device_ops *ops;
	void *device;
	struct vmbus_channel *primary; /* of a sub-channel */
	struct list subs;              /* of a primary: its sub-channels, by sub_link */
	struct list sub_link;
	unsigned n_subs;

	pthread_mutex_t gpadl_lock;
	struct list gpadls; /* struct vmbus_gpadl */

	/* While open. */
	bool open;          /* atomic */
	uint32_t relid;     /* atomic; 0 when not open */
	uint32_t target_vp; /* atomic */
	unsigned n_wished;  /* atomic: sub-channels to offer, up to this index; 0: as they are */
	struct worker worker;

	/* The worker's, or the bus's while the worker stands still. */
	struct ring in, out;
	uint8_t *packet;       /* the copy that recv() hands out */
	bool rings_stale;      /* restored: indices are to be taken from memory at start */
	bool broken;           /* for good: what is in guest memory makes no sense */
	bool in_masked;        /* the guest was asked not to signal */
	bool drained;          /* this call of work() saw the ring empty */
	uint32_t wanted_bytes; /* room that this call of work() did not find */
	bool room_requested;   /* the guest was asked to signal room */
	unsigned n_asked;      /* sub-channels this call of work() asked for */
};

/* All under bus->lock. */
int channel_new(struct vmbus *bus, const struct vmbus_device_ops *ops, void *device,
	struct vmbus_channel **ret_channel);
void channel_free(struct vmbus_channel *channel);
/* The callbacks of struct ctl_ops, for one channel. */
int channel_open(struct vmbus_channel *channel, const struct ctl_open *open, bool restoring);
void channel_close(struct vmbus_channel *channel);
void channel_retarget(struct vmbus_channel *channel, uint32_t target_vp);
int channel_gpadl_created(struct vmbus_channel *channel, struct ctl_gpadl *gpadl);
void channel_gpadl_gone(struct vmbus_channel *channel, struct ctl_gpadl *gpadl);
/* Start and stop of the unit, for an open channel. */
void channel_resume(struct vmbus_channel *channel);
void channel_pause(struct vmbus_channel *channel);

#endif
