/* SPDX-License-Identifier: MIT */
#include "vmbus/vmbus.h"
#include "vmbus/bus.h"

static int on_channel_open(void *host _unused_, struct ctl_channel *ctl, bool restoring)
{
	return channel_open(ctl->owner, &ctl->open, restoring);
}

static void on_channel_close(void *host _unused_, struct ctl_channel *ctl)
{
	channel_close(ctl->owner);
}

static void on_channel_retarget(void *host _unused_, struct ctl_channel *ctl)
{
	channel_retarget(ctl->owner, ctl->open.target_vp);
}

static int on_gpadl_created(void *host _unused_, struct ctl_gpadl *gpadl)
{
	return channel_gpadl_created(gpadl->channel->owner, gpadl);
}

static void on_gpadl_gone(void *host _unused_, struct ctl_gpadl *gpadl)
{
	channel_gpadl_gone(gpadl->channel->owner, gpadl);
}

static const struct ctl_ops bus_ctl_ops = {
	.channel_open = on_channel_open,
	.channel_close = on_channel_close,
	.channel_retarget = on_channel_retarget,
	.gpadl_created = on_gpadl_created,
	.gpadl_gone = on_gpadl_gone,
};

int vmbus_new(struct gpa_space *memory, const struct vmbus_host_ops *ops, void *host,
	struct vmbus **ret_bus)
{
	struct vmbus *bus = calloc(1, sizeof(*bus));
	int err;

	if (!bus)
		return -ENOMEM;
	err = worker_init(&bus->offerer);
	if (err)
		goto fail;
	err = ctl_new(&bus_ctl_ops, bus, &bus->ctl);
	if (err)
		goto fail_worker;
	bus->memory = memory;
	bus->ops = ops;
	bus->host = host;
	pthread_mutex_init(&bus->lock, NULL);
	*ret_bus = bus;
	return 0;

fail_worker:
	worker_fini(&bus->offerer);
fail:
	free(bus);
	return err;
}

void vmbus_free(struct vmbus *bus)
{
	if (!bus)
		return;
	worker_fini(&bus->offerer);
	ctl_free(bus->ctl);
	pthread_mutex_destroy(&bus->lock);
	free(bus);
}

/* Hand queued messages to the guest, in order, until its slot is taken. */
static void post_messages(struct vmbus *bus)
{
	const struct ctl_message *message;

	if (!bus->running)
		return;
	while ((message = ctl_message_first(bus->ctl))) {
		int err = bus->ops->post_message(
			bus->host, message->vp_index, message->payload, message->size_bytes);

		if (err == -EAGAIN)
			return;
		ctl_message_pop(bus->ctl, err == 0);
	}
}

uint16_t vmbus_post(struct vmbus *bus, uint32_t connection_id, uint32_t message_type,
	const void *payload, size_t size_bytes)
{
	uint16_t status = HV_STATUS_INSUFFICIENT_BUFFERS;

	pthread_mutex_lock(&bus->lock);
	if (bus->running) {
		status = ctl_receive(bus->ctl, connection_id, message_type, payload, size_bytes);
		post_messages(bus);
	}
	pthread_mutex_unlock(&bus->lock);
	return status;
}

void vmbus_slot_free(struct vmbus *bus, uint32_t vp_index _unused_, unsigned sint)
{
	if (sint != VMBUS_SINT)
		return;
	pthread_mutex_lock(&bus->lock);
	post_messages(bus);
	pthread_mutex_unlock(&bus->lock);
}

void vmbus_reset(struct vmbus *bus)
{
	pthread_mutex_lock(&bus->lock);
	ctl_reset(bus->ctl);
	pthread_mutex_unlock(&bus->lock);
}

struct gpa_space *vmbus_memory(const struct vmbus *bus)
{
	return bus->memory;
}

void vmbus_get_info(struct vmbus *bus, struct vmbus_info *ret_info)
{
	pthread_mutex_lock(&bus->lock);
	ctl_get_info(bus->ctl, ret_info);
	pthread_mutex_unlock(&bus->lock);
}

int vmbus_offer_add(struct vmbus *bus, const struct vmbus_offer *offer,
	const struct vmbus_device_ops *ops, void *device, struct vmbus_channel **ret_channel)
{
	struct vmbus_channel *channel;
	int err = channel_new(bus, ops, device, &channel);

	if (err)
		return err;
	pthread_mutex_lock(&bus->lock);
	err = ctl_channel_add(bus->ctl, offer, channel, &channel->ctl);
	if (!err) {
		/* Before the guest can know of it: open() may come from now on. */
		*ret_channel = channel;
		post_messages(bus);
	}
	pthread_mutex_unlock(&bus->lock);
	if (err)
		channel_free(channel);
	return err;
}

void vmbus_offer_remove(struct vmbus_channel *channel)
{
	struct vmbus *bus = channel->bus;

	pthread_mutex_lock(&bus->lock);
	ctl_channel_revoke(bus->ctl, channel->ctl);
	post_messages(bus);
	pthread_mutex_unlock(&bus->lock);
	channel_free(channel);
}

/* Sub-channels that workers asked for. */
static void offer_wished(struct vmbus *bus)
{
	struct ctl_channel *ctl = NULL;

	while ((ctl = ctl_channel_next(bus->ctl, ctl))) {
		struct vmbus_channel *channel = ctl->owner;
		unsigned n = __atomic_exchange_n(&channel->n_wished, 0, __ATOMIC_ACQ_REL);

		if (n)
			ctl_subchannels_offer(bus->ctl, ctl, n);
	}
}

static void offerer_body(void *data)
{
	struct vmbus *bus = data;

	while (worker_checkpoint(&bus->offerer)) {
		pthread_mutex_lock(&bus->lock);
		offer_wished(bus);
		post_messages(bus);
		pthread_mutex_unlock(&bus->lock);
		worker_sleep(&bus->offerer);
	}
}

static int add_subchannel(
	struct vmbus *bus, struct vmbus_channel *primary, struct vmbus_channel *channel)
{
	int err = bus->running ? -EBUSY : 0;

	if (!err && !bus->offerer.thread.running)
		err = worker_start(&bus->offerer, "vmbus-offerer", true, offerer_body, bus);
	if (!err)
		err = ctl_subchannel_add(bus->ctl, primary->ctl, channel, &channel->ctl);
	return err;
}

int vmbus_subchannel_add(struct vmbus_channel *primary, const struct vmbus_device_ops *ops,
	void *device, struct vmbus_channel **ret_channel)
{
	struct vmbus *bus = primary->bus;
	struct vmbus_channel *channel;
	int err = channel_new(bus, ops, device, &channel);

	if (err)
		return err;
	pthread_mutex_lock(&bus->lock);
	err = add_subchannel(bus, primary, channel);
	if (!err) {
		list_append(&primary->subs, &channel->sub_link);
		primary->n_subs++;
	}
	pthread_mutex_unlock(&bus->lock);
	if (err) {
		channel_free(channel);
		return err;
	}
	*ret_channel = channel;
	return 0;
}

static void for_each_open_channel(struct vmbus *bus, void (*fn)(struct vmbus_channel *channel))
{
	struct ctl_channel *ctl = NULL;

	while ((ctl = ctl_channel_next(bus->ctl, ctl))) {
		if (ctl->state == CTL_CHANNEL_OPEN)
			fn(ctl->owner);
	}
}

static int bus_start(void *opaque)
{
	struct vmbus *bus = opaque;

	pthread_mutex_lock(&bus->lock);
	bus->running = true;
	for_each_open_channel(bus, channel_resume);
	post_messages(bus);
	pthread_mutex_unlock(&bus->lock);
	worker_unpark(&bus->offerer);
	return 0;
}

static int bus_stop(void *opaque)
{
	struct vmbus *bus = opaque;

	worker_park(&bus->offerer);
	pthread_mutex_lock(&bus->lock);
	bus->running = false;
	for_each_open_channel(bus, channel_pause);
	offer_wished(bus); /* to be saved */
	pthread_mutex_unlock(&bus->lock);
	return 0;
}

static int bus_save(void *opaque, struct buf *out)
{
	struct vmbus *bus = opaque;

	pthread_mutex_lock(&bus->lock);
	ctl_save(bus->ctl, out);
	pthread_mutex_unlock(&bus->lock);
	return out->failed ? -ENOMEM : 0;
}

static int bus_restore(void *opaque, struct reader *in, uint32_t version)
{
	struct vmbus *bus = opaque;
	int err;

	pthread_mutex_lock(&bus->lock);
	err = ctl_restore(bus->ctl, in, version);
	pthread_mutex_unlock(&bus->lock);
	return err;
}

static const struct unit_ops bus_unit_ops = {
	.name = "vmbus",
	.version = CTL_STATE_VERSION,
	.start = bus_start,
	.stop = bus_stop,
	.save = bus_save,
	.restore = bus_restore,
};

int vmbus_register_unit(struct vmbus *bus, struct unit_registry *registry)
{
	return unit_register(registry, &bus_unit_ops, NULL, bus);
}
