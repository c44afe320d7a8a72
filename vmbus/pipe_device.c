/* SPDX-License-Identifier: MIT */
#include "vmbus/pipe_device.h"

#include "base/log.h"

/* Packets in and out in one call of work(). */
#define BURST 64

void pipe_device_lock(struct pipe_device *device)
{
	pthread_mutex_lock(&device->lock);
}

void pipe_device_unlock(struct pipe_device *device)
{
	pthread_mutex_unlock(&device->lock);
}

void pipe_device_kick(struct pipe_device *device)
{
	vmbus_channel_kick(device->channel);
}

static int on_open(void *opaque, _unused_ struct vmbus_channel *channel)
{
	struct pipe_device *device = opaque;

	pipe_device_lock(device);
	device->is_open = true;
	device->broken = false;
	device->ops->open(device->core);
	pipe_device_unlock(device);
	return 0;
}

static void on_close(void *opaque, _unused_ struct vmbus_channel *channel)
{
	struct pipe_device *device = opaque;

	pipe_device_lock(device);
	device->is_open = false;
	device->ops->close(device->core);
	pipe_device_unlock(device);
}

/* The device uses no GPADL but that of the rings. */
static void on_gpadl_gone(
	_unused_ void *opaque, _unused_ struct vmbus_channel *channel, _unused_ uint32_t gpadl_id)
{
}

/* 0: the queue is empty; -EAGAIN; anything else is for good. */
static int send_waiting(struct pipe_device *device)
{
	const struct pipe_entry *entry;

	while ((entry = pipe_queue_head(device->out))) {
		int r;

		if (entry->is_completion)
			r = vmbus_channel_complete(device->channel, entry->transaction_id, NULL, 0);
		else
			r = vmbus_channel_send_inband(
				device->channel, 0, false, entry->bytes, entry->size_bytes);
		if (r)
			return r;
		pipe_queue_pop(device->out);
	}
	return 0;
}

static int receive(struct pipe_device *device)
{
	struct vmbus_packet *packet = &device->packet;
	int r;

	r = vmbus_channel_recv(device->channel, packet);
	if (r)
		return r;
	if (packet->completion_requested)
		pipe_queue_completion(device->out, packet->transaction_id);
	if (packet->type != VMBUS_PACKET_INBAND ||
		!device->ops->receive(device->core, packet->payload, packet->payload_bytes))
		device->n_protocol_errors++;
	return 0;
}

/* 0: a burst is done and there may be more; -EAGAIN; anything else is for good. */
static int run(struct pipe_device *device)
{
	for (unsigned n = 0; n < BURST; n++) {
		int r = send_waiting(device);

		if (r == 0 && !device->ops->produce(device->core))
			r = receive(device);
		if (r)
			return r;
	}
	return 0;
}

static bool on_work(void *opaque, _unused_ struct vmbus_channel *channel)
{
	struct pipe_device *device = opaque;
	int r = -EAGAIN;

	_Static_assert(1 + PIPE_DEVICE_MAX_ANSWERS <= PIPE_QUEUE_MAX, "room for one packet");
	pipe_device_lock(device);
	if (device->is_open && !device->stopped && !device->broken) {
		r = run(device);
		if (r && r != -EAGAIN) {
			device->broken = true;
			device->n_protocol_errors++;
			log_debug("%s: the guest's rings cannot be used", device->ops->name);
		}
	}
	pipe_device_unlock(device);
	return r == 0;
}

static const struct vmbus_device_ops device_ops = {
	.name = "pipe",
	.open = on_open,
	.close = on_close,
	.gpadl_gone = on_gpadl_gone,
	.work = on_work,
};

int pipe_device_start(void *opaque)
{
	struct pipe_device *device = opaque;

	pipe_device_lock(device);
	device->stopped = false;
	pipe_device_unlock(device);
	pipe_device_kick(device);
	return 0;
}

/* The bus, and with it the worker, stops later. */
int pipe_device_stop(void *opaque)
{
	struct pipe_device *device = opaque;

	pipe_device_lock(device);
	device->stopped = true;
	pipe_device_unlock(device);
	return 0;
}

int pipe_device_save(void *opaque, struct buf *out)
{
	struct pipe_device *device = opaque;

	pipe_device_lock(device);
	buf_u8(out, device->is_open && device->broken);
	buf_le64(out, device->n_protocol_errors);
	device->ops->save(device->core, out);
	pipe_device_unlock(device);
	return out->failed ? -ENOMEM : 0;
}

int pipe_device_restore(void *opaque, struct reader *in, _unused_ uint32_t version)
{
	struct pipe_device *device = opaque;
	int r;

	pipe_device_lock(device);
	device->is_open = vmbus_channel_is_open(device->channel);
	device->broken = pipe_read_bool(in);
	in->failed |= device->broken && !device->is_open;
	device->n_protocol_errors = reader_le64(in);
	r = reader_ok(in) ? device->ops->restore(device->core, in, device->is_open) : -EBADMSG;
	pipe_device_unlock(device);
	return r;
}

int pipe_device_init(struct pipe_device *device, struct vmbus *bus, const struct vmbus_offer *offer,
	const struct pipe_core_ops *ops, void *core, struct pipe_queue *out)
{
	int r;

	*device = (struct pipe_device){.ops = ops, .core = core, .out = out};
	pthread_mutex_init(&device->lock, NULL);
	r = vmbus_offer_add(bus, offer, &device_ops, device, &device->channel);
	if (r)
		pthread_mutex_destroy(&device->lock);
	return r;
}

void pipe_device_fini(struct pipe_device *device)
{
	vmbus_offer_remove(device->channel);
	pthread_mutex_destroy(&device->lock);
}
