/* SPDX-License-Identifier: MIT
 *
 * What the guest is offered and when. One instance has one relid at a time: as long as the guest
 * holds on to a rescinded one, whatever comes back in its place waits - a guest that got two would
 * drop the second, and one that never releases runs out of nothing but its own device.
 */
#include "vmbus/ctl_internal.h"

int ctl_offer_compare(const struct vmbus_offer *a, const struct vmbus_offer *b)
{
	int order = memcmp(a->class_guid, b->class_guid, sizeof(a->class_guid));

	return order ? order : memcmp(a->instance_guid, b->instance_guid, sizeof(a->instance_guid));
}

int ctl_channel_compare(const struct ctl_channel *channel, const struct vmbus_offer *offer,
	uint16_t sub_channel_index)
{
	int order = ctl_offer_compare(&channel->offer, offer);

	return order ? order : (int)channel->sub_channel_index - (int)sub_channel_index;
}

/* The first channel that comes after these in the order, or the end. */
static struct list *place_in_order(
	struct ctl *ctl, const struct vmbus_offer *offer, uint16_t sub_channel_index)
{
	struct ctl_channel *channel;

	list_for_each(channel, &ctl->channels, link) {
		if (ctl_channel_compare(channel, offer, sub_channel_index) > 0)
			return &channel->link;
	}
	return &ctl->channels;
}

/* There is always one: CTL_MAX_CHANNELS of them, revoked channels included. */
static uint32_t lowest_free_relid(const struct ctl *ctl)
{
	uint32_t relid = 1;

	while (ctl->by_relid[relid])
		relid++;
	return relid;
}

static void send_offer(struct ctl *ctl, struct ctl_channel *channel)
{
	const struct vmbus_offer *offer = &channel->offer;
	struct vmbus_msg_offer_channel message = {
		.header.type = VMBUS_MSG_OFFER_CHANNEL,
		.flags = offer->flags,
		.mmio_mb = offer->mmio_mb,
		.sub_channel_index = channel->sub_channel_index,
		/* Without it the guest would use the shared interrupt page of old; and nobody
		 * polls monitor pages here. */
		.is_dedicated_interrupt = 1,
		.monitor_allocated = 0,
	};

	ctl_channel_set_relid(ctl, channel, lowest_free_relid(ctl));
	channel->state = CTL_CHANNEL_CLOSED;
	message.relid = channel->relid;
	message.connection_id = ctl_event_connection(channel);
	memcpy(message.class_guid, offer->class_guid, sizeof(message.class_guid));
	memcpy(message.instance_guid, offer->instance_guid, sizeof(message.instance_guid));
	memcpy(message.user_defined, offer->user_defined, sizeof(message.user_defined));
	ctl_send(ctl, &message, sizeof(message));
}

/* Does the guest hold the relid that this place in the order had before? */
static bool place_is_held(const struct ctl *ctl, const struct ctl_channel *channel)
{
	const struct ctl_channel *before;

	if (channel->link.prev == &ctl->channels)
		return false;
	before = list_entry(channel->link.prev, struct ctl_channel, link);
	return !before->owner &&
	       ctl_channel_compare(before, &channel->offer, channel->sub_channel_index) == 0;
}

bool ctl_channel_is_due(const struct ctl *ctl, const struct ctl_channel *channel)
{
	return ctl->offers_sent && channel->state == CTL_CHANNEL_UNOFFERED && channel->wanted &&
	       !place_is_held(ctl, channel);
}

void ctl_channel_offer_due(struct ctl *ctl)
{
	struct ctl_channel *channel;

	list_for_each(channel, &ctl->channels, link) {
		if (ctl_channel_is_due(ctl, channel))
			send_offer(ctl, channel);
	}
}

static int add(struct ctl *ctl, const struct vmbus_offer *offer, struct ctl_channel *primary,
	uint16_t sub_channel_index, void *owner, struct ctl_channel **ret_channel)
{
	struct ctl_channel *channel;

	if (ctl->n_channels == CTL_MAX_CHANNELS)
		return -ENOSPC;
	if (ctl_queue_reserve(ctl, CTL_QUEUE_SPARE(ctl->n_channels + 1)))
		return -ENOMEM;
	channel = ctl_channel_insert(ctl, offer, place_in_order(ctl, offer, sub_channel_index));
	if (!channel)
		return -ENOMEM;
	channel->owner = owner;
	channel->primary = primary;
	channel->sub_channel_index = sub_channel_index;
	*ret_channel = channel;
	return 0;
}

int ctl_channel_add(struct ctl *ctl, const struct vmbus_offer *offer, void *owner,
	struct ctl_channel **ret_channel)
{
	int err = ctl_channel_by_guids(ctl, offer) ? -EEXIST : 0;

	if (!err)
		err = add(ctl, offer, NULL, 0, owner, ret_channel);
	if (err)
		return err;
	(*ret_channel)->wanted = true;
	ctl_channel_offer_due(ctl);
	return 0;
}

int ctl_subchannel_add(
	struct ctl *ctl, struct ctl_channel *primary, void *owner, struct ctl_channel **ret_channel)
{
	uint16_t n = 0;
	struct ctl_channel *channel;

	list_for_each(channel, &ctl->channels, link)
		n += channel->primary == primary;
	return add(ctl, &primary->offer, primary, (uint16_t)(n + 1), owner, ret_channel);
}

void ctl_subchannels_offer(struct ctl *ctl, struct ctl_channel *primary, unsigned n_channels)
{
	struct ctl_channel *channel;

	if (primary->state != CTL_CHANNEL_OPEN)
		return;
	list_for_each(channel, &ctl->channels, link) {
		if (channel->primary == primary && channel->sub_channel_index <= n_channels)
			channel->wanted = true;
	}
	ctl_channel_offer_due(ctl);
}

/* The relid stays the guest's until it releases it. */
static void rescind(struct ctl *ctl, struct ctl_channel *channel)
{
	struct vmbus_msg_relid message = {
		.header.type = VMBUS_MSG_RESCIND_OFFER,
		.relid = channel->relid,
	};

	if (channel->state == CTL_CHANNEL_UNOFFERED || channel->state == CTL_CHANNEL_REVOKED)
		return;
	ctl_channel_shut(ctl, channel);
	/* After a rescind the guest tears down nothing. */
	ctl_channel_free_gpadls(ctl, channel);
	channel->state = CTL_CHANNEL_REVOKED;
	ctl_send(ctl, &message, sizeof(message));
}

void ctl_subchannels_rescind(struct ctl *ctl, struct ctl_channel *primary)
{
	struct ctl_channel *channel;

	list_for_each(channel, &ctl->channels, link) {
		if (channel->primary != primary)
			continue;
		channel->wanted = false;
		rescind(ctl, channel);
	}
}

static void disown(struct ctl *ctl, struct ctl_channel *channel)
{
	channel->wanted = false;
	channel->owner = NULL;
	channel->primary = NULL;
	if (channel->state == CTL_CHANNEL_UNOFFERED)
		ctl_channel_free(ctl, channel);
}

void ctl_channel_revoke(struct ctl *ctl, struct ctl_channel *channel)
{
	struct ctl_channel *sub, *after;

	ctl_subchannels_rescind(ctl, channel);
	rescind(ctl, channel);
	list_for_each_safe(sub, after, &ctl->channels, link) {
		if (sub->primary == channel)
			disown(ctl, sub);
	}
	disown(ctl, channel);
}

void ctl_handle_relid_released(struct ctl *ctl, const void *message, size_t size_bytes _unused_)
{
	const struct vmbus_msg_relid *m = message;
	struct ctl_channel *channel = ctl_channel_by_relid(ctl, m->relid);

	if (ctl->state == CTL_DISCONNECTED)
		return;
	if (!channel || channel->state != CTL_CHANNEL_REVOKED) {
		ctl_error(ctl, "RELID_RELEASED of no rescinded channel");
		return;
	}
	ctl_channel_set_relid(ctl, channel, 0);
	channel->state = CTL_CHANNEL_UNOFFERED;
	if (!channel->owner)
		ctl_channel_free(ctl, channel);
	ctl_channel_offer_due(ctl);
}
