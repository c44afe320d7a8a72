/* SPDX-License-Identifier: MIT */
#include "vmbus/ctl_internal.h"

struct ctl_channel *ctl_channel_by_relid(const struct ctl *ctl, uint32_t relid)
{
	return relid <= VMBUS_MAX_RELID ? ctl->by_relid[relid] : NULL;
}

struct ctl_channel *ctl_channel_by_guids(const struct ctl *ctl, const struct vmbus_offer *offer)
{
	struct ctl_channel *channel;

	list_for_each(channel, &ctl->channels, link) {
		if (channel->owner && !channel->primary &&
			ctl_offer_compare(&channel->offer, offer) == 0)
			return channel;
	}
	return NULL;
}

struct ctl_channel *ctl_channel_next(const struct ctl *ctl, const struct ctl_channel *after)
{
	const struct list *node = after ? after->link.next : ctl->channels.next;

	for (; node != &ctl->channels; node = node->next) {
		struct ctl_channel *channel = list_entry(node, struct ctl_channel, link);

		if (channel->owner)
			return channel;
	}
	return NULL;
}

struct ctl_channel *ctl_channel_insert(
	struct ctl *ctl, const struct vmbus_offer *offer, struct list *before)
{
	struct ctl_channel *channel;

	if (ctl->n_channels == CTL_MAX_CHANNELS)
		return NULL;
	channel = calloc(1, sizeof(*channel));
	if (!channel)
		return NULL;
	channel->offer = *offer;
	list_init(&channel->gpadls);
	list_append(before, &channel->link);
	ctl->n_channels++;
	return channel;
}

void ctl_channel_set_relid(struct ctl *ctl, struct ctl_channel *channel, uint32_t relid)
{
	if (channel->relid)
		ctl->by_relid[channel->relid] = NULL;
	channel->relid = relid;
	if (relid)
		ctl->by_relid[relid] = channel;
}

void ctl_channel_free_gpadls(struct ctl *ctl, struct ctl_channel *channel)
{
	struct ctl_gpadl *gpadl, *after;

	list_for_each_safe(gpadl, after, &channel->gpadls, link)
		ctl_gpadl_free(ctl, gpadl);
}

void ctl_channel_free(struct ctl *ctl, struct ctl_channel *channel)
{
	ctl_channel_free_gpadls(ctl, channel);
	ctl_channel_set_relid(ctl, channel, 0);
	list_remove(&channel->link);
	ctl->n_channels--;
	free(channel);
}

void ctl_channel_shut(struct ctl *ctl, struct ctl_channel *channel)
{
	if (channel->state != CTL_CHANNEL_OPEN)
		return;
	ctl->ops->channel_close(ctl->host, channel);
	channel->state = CTL_CHANNEL_CLOSED;
}

void ctl_channel_close(struct ctl *ctl, struct ctl_channel *channel)
{
	ctl_subchannels_rescind(ctl, channel);
	ctl_channel_shut(ctl, channel);
}

void ctl_channel_reset(struct ctl *ctl, struct ctl_channel *channel)
{
	if (!channel->owner) {
		ctl_channel_free(ctl, channel);
		return;
	}
	/* Primary channels are always wanted. */
	channel->wanted = !channel->primary;
	ctl_channel_free_gpadls(ctl, channel);
	ctl_channel_set_relid(ctl, channel, 0);
	channel->state = CTL_CHANNEL_UNOFFERED;
}

bool ctl_open_is_valid(const struct ctl_channel *channel, const struct ctl_open *open)
{
	const struct ctl_gpadl *ring = ctl_gpadl_find(channel, open->ring_gpadl_id);

	/* A control page and at least one of data, each way. */
	return ring && ctl_gpadl_is_pages(ring) && open->downstream_page_offset >= 2 &&
	       ring->n_pfns >= 4 && open->downstream_page_offset <= ring->n_pfns - 2;
}

static uint32_t open_channel(
	struct ctl *ctl, struct ctl_channel *channel, const struct vmbus_msg_open_channel *message)
{
	if (channel->state != CTL_CHANNEL_CLOSED) {
		ctl_error(ctl, "OPEN_CHANNEL of an open channel");
		return CTL_STATUS_REFUSED;
	}
	channel->open = (struct ctl_open){
		.open_id = message->open_id,
		.ring_gpadl_id = message->ring_gpadl_id,
		.target_vp = message->target_vp,
		.downstream_page_offset = message->downstream_page_offset,
	};
	memcpy(channel->open.user_data, message->user_data, sizeof(channel->open.user_data));
	if (!ctl_open_is_valid(channel, &channel->open)) {
		ctl_error(ctl, "OPEN_CHANNEL without two rings");
		return CTL_STATUS_REFUSED;
	}
	if (ctl->ops->channel_open(ctl->host, channel, false))
		return CTL_STATUS_REFUSED;
	channel->state = CTL_CHANNEL_OPEN;
	return 0;
}

void ctl_handle_open(struct ctl *ctl, const void *message, size_t size_bytes _unused_)
{
	const struct vmbus_msg_open_channel *m = message;
	struct ctl_channel *channel = ctl_channel_by_relid(ctl, m->relid);
	struct vmbus_msg_open_result result = {
		.header.type = VMBUS_MSG_OPEN_CHANNEL_RESULT,
		.relid = m->relid,
		.open_id = m->open_id,
	};

	if (!channel) {
		ctl_error(ctl, "OPEN_CHANNEL of no channel");
		return;
	}
	if (channel->state == CTL_CHANNEL_REVOKED)
		return; /* crossed our rescind, which completes the guest's wait */
	result.status = open_channel(ctl, channel, m);
	ctl_send(ctl, &result, sizeof(result));
}

void ctl_handle_close(struct ctl *ctl, const void *message, size_t size_bytes _unused_)
{
	const struct vmbus_msg_relid *m = message;
	struct ctl_channel *channel = ctl_channel_by_relid(ctl, m->relid);

	if (channel && channel->state == CTL_CHANNEL_REVOKED)
		return; /* crossed our rescind */
	if (!channel || channel->state != CTL_CHANNEL_OPEN)
		ctl_error(ctl, "CLOSE_CHANNEL of no open channel");
	else
		ctl_channel_close(ctl, channel);
}

void ctl_handle_modify(struct ctl *ctl, const void *message, size_t size_bytes _unused_)
{
	const struct vmbus_msg_modify_channel *m = message;
	struct ctl_channel *channel = ctl_channel_by_relid(ctl, m->relid);
	struct vmbus_msg_modify_response response = {
		.header.type = VMBUS_MSG_MODIFY_CHANNEL_RESPONSE,
		.relid = m->relid,
	};

	if (channel && channel->state == CTL_CHANNEL_OPEN) {
		channel->open.target_vp = m->target_vp;
		ctl->ops->channel_retarget(ctl->host, channel);
	} else {
		if (!channel || channel->state != CTL_CHANNEL_REVOKED)
			ctl_error(ctl, "MODIFY_CHANNEL of no open channel");
		response.status = CTL_STATUS_REFUSED;
	}
	if (ctl->version >= VMBUS_VERSION_5_3)
		ctl_send(ctl, &response, sizeof(response));
}
