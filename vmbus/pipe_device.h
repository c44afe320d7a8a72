/* SPDX-License-Identifier: MIT
 *
 * pipe_device.h - what devices with one channel of small messages have in common: the lock, the
 * worker's round, waiting packets, the unit. The device itself is a state machine that sees neither
 * channel nor thread: messages come in, answers go into the queue. Internal to vmbus/.
 *
 * A packet is taken from the ring only when nothing waits for room in the other one, so what one
 * packet may cause is all that ever waits.
 *
 * Threads: everything of `core` and `out` under the lock, which the worker keeps while it calls
 * the core's functions. The owner uses pipe_device_lock() and _unlock().
 */
#ifndef VIADUCT_VMBUS_PIPE_DEVICE_H
#define VIADUCT_VMBUS_PIPE_DEVICE_H

#include "vmbus/channel.h"
#include "vmbus/pipe_queue.h"

#include <pthread.h>

/* Answers that one packet may cause. */
#define PIPE_DEVICE_MAX_ANSWERS 2

struct pipe_core_ops {
	const char *name; /* for the log */
	/* The channel was opened, or closed: forget the guest. */
	void (*open)(void *core);
	void (*close)(void *core);
	/* The payload of an inband packet; false: it makes no sense. There is room for
	 * PIPE_DEVICE_MAX_ANSWERS. */
	bool (*receive)(void *core, const void *payload, size_t size_bytes);
	/* Queue one message of the device's own accord; false: there is none. The queue is empty.
	 */
	bool (*produce)(void *core);
	void (*save)(const void *core, struct buf *out);
	/* `core` was never open; `is_open`: the channel. -EBADMSG; it is then closed. */
	int (*restore)(void *core, struct reader *in, bool is_open);
};

struct pipe_device {
	const struct pipe_core_ops *ops; /* constant */
	void *core;                      /* constant; what it points to under the lock */
	struct vmbus_channel *channel;   /* constant from pipe_device_init() on */

	pthread_mutex_t lock;
	struct pipe_queue *out; /* the core's */
	uint64_t n_protocol_errors;
	bool is_open;
	bool broken; /* the rings do not hold together; until the guest opens them anew */
	bool stopped;
	struct vmbus_packet packet;
};

/* Offers the device. `core` and its queue stay the caller's and outlive the device. Errors as of
 * vmbus_offer_add(). */
int pipe_device_init(struct pipe_device *device, struct vmbus *bus, const struct vmbus_offer *offer,
	const struct pipe_core_ops *ops, void *core, struct pipe_queue *out);
void pipe_device_fini(struct pipe_device *device);

/* The operations of the device's unit, on the pipe_device. */
int pipe_device_start(void *opaque);
int pipe_device_stop(void *opaque);
int pipe_device_save(void *opaque, struct buf *out);
int pipe_device_restore(void *opaque, struct reader *in, uint32_t version);

#define PIPE_DEVICE_UNIT(unit_name, state_version)                                                 \
	{                                                                                          \
		.name = (unit_name), .version = (state_version), .start = pipe_device_start,       \
		.stop = pipe_device_stop, .save = pipe_device_save,                                \
		.restore = pipe_device_restore,                                                    \
	}

/* `core_ops` of a core whose functions are called PREFIX_open(), PREFIX_close() and so on and take
 * its own struct. */
#define PIPE_CORE_OPS(prefix, title)                                                               \
	static void on_open(void *core)                                                            \
	{                                                                                          \
		prefix##_open(core);                                                               \
	}                                                                                          \
	static void on_close(void *core)                                                           \
	{                                                                                          \
		prefix##_close(core);                                                              \
	}                                                                                          \
	static bool on_receive(void *core, const void *payload, size_t size_bytes)                 \
	{                                                                                          \
		return prefix##_receive(core, payload, size_bytes);                                \
	}                                                                                          \
	static bool on_produce(void *core)                                                         \
	{                                                                                          \
		return prefix##_produce(core);                                                     \
	}                                                                                          \
	static void on_save(const void *core, struct buf *out)                                     \
	{                                                                                          \
		prefix##_save(core, out);                                                          \
	}                                                                                          \
	static int on_restore(void *core, struct reader *in, bool is_open)                         \
	{                                                                                          \
		return prefix##_restore(core, in, is_open);                                        \
	}                                                                                          \
	static const struct pipe_core_ops core_ops = {                                             \
		.name = (title),                                                                   \
		.open = on_open,                                                                   \
		.close = on_close,                                                                 \
		.receive = on_receive,                                                             \
		.produce = on_produce,                                                             \
		.save = on_save,                                                                   \
		.restore = on_restore,                                                             \
	}

void pipe_device_lock(struct pipe_device *device);
void pipe_device_unlock(struct pipe_device *device);
/* Any thread, without the lock: the core has something to say. */
void pipe_device_kick(struct pipe_device *device);

#endif
