/* SPDX-License-Identifier: MIT
 *
 * Saved state of the control plane, version 2:
 *
 *	connection  state u8, version u32, message VP u32, offers sent u8
 *	channels    n u32, in their order: offer, sub-channel index u16, how the guest knows it u8,
 *	            wanted u8, relid u32
 *	GPADLs      n u32: relid u32, id u32, ranges u16, created u8, words n u32, words
 *	open        n u32: relid u32, what OPENCHANNEL said
 *	messages    n u32: VP u32, size u8, bytes
 *
 * The rings are not here: all their state is in guest memory. A GPADL under assembly is saved as
 * far as it came.
 */
#include "vmbus/ctl_internal.h"

#define MAX_QUEUED (CTL_QUEUE_PUSHBACK + 4 * CTL_MAX_CHANNELS)

enum saved_channel {
	SAVED_UNOFFERED,
	SAVED_OFFERED,
	SAVED_REVOKED, /* a sub-channel that the guest has not released */
	SAVED_REMOVED, /* the same of a channel that is nobody's any more */
};

static enum saved_channel saved_as(const struct ctl_channel *channel)
{
	switch (channel->state) {
	case CTL_CHANNEL_UNOFFERED:
		return SAVED_UNOFFERED;
	case CTL_CHANNEL_REVOKED:
		return channel->owner ? SAVED_REVOKED : SAVED_REMOVED;
	default:
		return SAVED_OFFERED;
	}
}

static void save_channels(const struct ctl *ctl, struct buf *out)
{
	const struct ctl_channel *channel;

	buf_le32(out, ctl->n_channels);
	list_for_each(channel, &ctl->channels, link) {
		const struct vmbus_offer *offer = &channel->offer;

		buf_bytes(out, offer->class_guid, sizeof(offer->class_guid));
		buf_bytes(out, offer->instance_guid, sizeof(offer->instance_guid));
		buf_le16(out, offer->flags);
		buf_le16(out, offer->mmio_mb);
		buf_bytes(out, offer->user_defined, sizeof(offer->user_defined));
		buf_le16(out, channel->sub_channel_index);
		buf_u8(out, (uint8_t)saved_as(channel));
		buf_u8(out, channel->wanted);
		buf_le32(out, channel->relid);
	}
}

static void save_gpadls(const struct ctl *ctl, struct buf *out)
{
	const struct ctl_channel *channel;
	const struct ctl_gpadl *gpadl;

	buf_le32(out, ctl->n_gpadls);
	list_for_each(channel, &ctl->channels, link) {
		list_for_each(gpadl, &channel->gpadls, link) {
			buf_le32(out, channel->relid);
			buf_le32(out, gpadl->id);
			buf_le16(out, gpadl->n_ranges);
			buf_u8(out, gpadl->created);
			buf_le32(out, (uint32_t)(gpadl->words.size_bytes / sizeof(uint64_t)));
			buf_bytes(out, gpadl->words.data, gpadl->words.size_bytes);
		}
	}
}

static void save_open_channels(const struct ctl *ctl, struct buf *out)
{
	const struct ctl_channel *channel;
	uint32_t n_open = 0;

	list_for_each(channel, &ctl->channels, link)
		n_open += channel->state == CTL_CHANNEL_OPEN;
	buf_le32(out, n_open);
	list_for_each(channel, &ctl->channels, link) {
		const struct ctl_open *open = &channel->open;

		if (channel->state != CTL_CHANNEL_OPEN)
			continue;
		buf_le32(out, channel->relid);
		buf_le32(out, open->open_id);
		buf_le32(out, open->ring_gpadl_id);
		buf_le32(out, open->target_vp);
		buf_le32(out, open->downstream_page_offset);
		buf_bytes(out, open->user_data, sizeof(open->user_data));
	}
}

void ctl_save(const struct ctl *ctl, struct buf *out)
{
	const struct ctl_queue *queue = &ctl->queue;

	buf_u8(out, (uint8_t)ctl->state);
	buf_le32(out, ctl->version);
	buf_le32(out, ctl->message_vp);
	buf_u8(out, ctl->offers_sent);
	save_channels(ctl, out);
	save_gpadls(ctl, out);
	save_open_channels(ctl, out);
	buf_le32(out, (uint32_t)queue->n_used);
	for (size_t i = 0; i < queue->n_used; i++) {
		const struct ctl_message *m = &queue->slots[(queue->first + i) % queue->n_slots];

		buf_le32(out, m->vp_index);
		buf_u8(out, m->size_bytes);
		buf_bytes(out, m->payload, m->size_bytes);
	}
}

static int restore_connection(struct ctl *ctl, struct reader *in)
{
	uint8_t state = reader_u8(in);
	uint32_t version = reader_le32(in);
	uint32_t message_vp = reader_le32(in);
	uint8_t offers_sent = reader_u8(in);

	if (!reader_ok(in) || state > CTL_CONNECTED || offers_sent > 1)
		return -EBADMSG;
	if (state == CTL_CONNECTED ? !ctl_version_supported(version) : version || offers_sent)
		return -EBADMSG;
	ctl->state = state;
	ctl->version = version;
	ctl->message_vp = message_vp;
	ctl->offers_sent = offers_sent;
	return 0;
}

static bool offer_equal(const struct vmbus_offer *a, const struct vmbus_offer *b)
{
	return ctl_offer_compare(a, b) == 0 && a->flags == b->flags && a->mmio_mb == b->mmio_mb &&
	       memcmp(a->user_defined, b->user_defined, sizeof(a->user_defined)) == 0;
}

struct saved {
	struct vmbus_offer offer;
	uint16_t sub_channel_index;
	uint8_t as; /* enum saved_channel */
	uint8_t wanted;
	uint32_t relid;
};

static bool read_channel(const struct ctl *ctl, struct reader *in, struct saved *ret_saved)
{
	struct saved *s = ret_saved;

	reader_bytes(in, s->offer.class_guid, sizeof(s->offer.class_guid));
	reader_bytes(in, s->offer.instance_guid, sizeof(s->offer.instance_guid));
	s->offer.flags = reader_le16(in);
	s->offer.mmio_mb = reader_le16(in);
	reader_bytes(in, s->offer.user_defined, sizeof(s->offer.user_defined));
	s->sub_channel_index = reader_le16(in);
	s->as = reader_u8(in);
	s->wanted = reader_u8(in);
	s->relid = reader_le32(in);
	if (!reader_ok(in) || s->as > SAVED_REMOVED || s->wanted > 1 || s->relid > VMBUS_MAX_RELID)
		return false;
	if (s->as == SAVED_UNOFFERED)
		return s->relid == 0;
	return ctl->offers_sent && s->relid && !ctl_channel_by_relid(ctl, s->relid);
}

/* Is there a place for it right after `last`? Of the same place there are two at most: one that
 * the guest has to release, and ours that waits for it. */
static bool comes_after(const struct ctl_channel *last, const struct saved *saved)
{
	int order = last ? ctl_channel_compare(last, &saved->offer, saved->sub_channel_index) : -1;

	return order < 0 || (order == 0 && !last->owner && saved->as == SAVED_UNOFFERED);
}

/* *last is the channel before, NULL at the first: ours are met in their order, those of nobody are
 * put between them where they were. */
static int restore_channel(struct ctl *ctl, struct reader *in, struct ctl_channel **last)
{
	struct ctl_channel *channel;
	struct saved saved;

	if (!read_channel(ctl, in, &saved) || !comes_after(*last, &saved))
		return -EBADMSG;
	if (saved.as == SAVED_REMOVED) {
		if (saved.wanted)
			return -EBADMSG;
		channel = ctl_channel_insert(
			ctl, &saved.offer, *last ? (*last)->link.next : ctl->channels.next);
		if (!channel)
			return -ENOMEM;
		channel->sub_channel_index = saved.sub_channel_index;
		channel->state = CTL_CHANNEL_REVOKED;
	} else {
		channel = ctl_channel_next(ctl, *last);
		if (!channel || !offer_equal(&channel->offer, &saved.offer) ||
			channel->sub_channel_index != saved.sub_channel_index)
			return -EBADMSG;
		if (!channel->primary && (!saved.wanted || saved.as == SAVED_REVOKED))
			return -EBADMSG;
		channel->wanted = saved.wanted;
		channel->state = saved.as == SAVED_OFFERED   ? CTL_CHANNEL_CLOSED
				 : saved.as == SAVED_REVOKED ? CTL_CHANNEL_REVOKED
							     : CTL_CHANNEL_UNOFFERED;
	}
	ctl_channel_set_relid(ctl, channel, saved.relid);
	*last = channel;
	return 0;
}

static int restore_channels(struct ctl *ctl, struct reader *in)
{
	struct ctl_channel *last = NULL;
	uint32_t n = reader_le32(in);
	int err = 0;

	if (n > CTL_MAX_CHANNELS)
		return -EBADMSG;
	for (uint32_t i = 0; i < n && !err; i++)
		err = restore_channel(ctl, in, &last);
	if (!err && ctl_channel_next(ctl, last))
		err = -EBADMSG; /* a channel of ours that the saved bus does not have */
	return err;
}

static int restore_gpadl(struct ctl *ctl, struct reader *in)
{
	struct ctl_channel *channel = ctl_channel_by_relid(ctl, reader_le32(in));
	uint32_t id = reader_le32(in);
	uint16_t n_ranges = reader_le16(in);
	uint8_t created = reader_u8(in);
	uint32_t n_words = reader_le32(in);
	const uint8_t *words = reader_take(in, (size_t)n_words * sizeof(uint64_t));
	struct ctl_gpadl *gpadl;

	if (!words || created > 1 || !channel || channel->state != CTL_CHANNEL_CLOSED)
		return -EBADMSG;
	/* A whole one may have the id of one that another channel assembles. */
	gpadl = created ? ctl_gpadl_add(ctl, channel, id, n_ranges)
			: ctl_gpadl_begin(ctl, channel, id, n_ranges);
	/* Freed, if this fails, with the rest by the reset. */
	if (!gpadl || ctl_gpadl_feed(ctl, gpadl, words, n_words))
		return -EBADMSG;
	if (gpadl->words.size_bytes != (size_t)n_words * sizeof(uint64_t) ||
		ctl_gpadl_is_complete(gpadl) != created)
		return -EBADMSG;
	return created && ctl_gpadl_finish(ctl, gpadl) ? -EBADMSG : 0;
}

static int restore_gpadls(struct ctl *ctl, struct reader *in)
{
	uint32_t n = reader_le32(in);
	int err = 0;

	for (uint32_t i = 0; i < n && !err; i++)
		err = restore_gpadl(ctl, in);
	return err;
}

static int restore_open_channel(struct ctl *ctl, struct reader *in)
{
	struct ctl_channel *channel = ctl_channel_by_relid(ctl, reader_le32(in));
	struct ctl_open open;

	open.open_id = reader_le32(in);
	open.ring_gpadl_id = reader_le32(in);
	open.target_vp = reader_le32(in);
	open.downstream_page_offset = reader_le32(in);
	reader_bytes(in, open.user_data, sizeof(open.user_data));
	if (!reader_ok(in) || !channel || channel->state != CTL_CHANNEL_CLOSED ||
		!ctl_open_is_valid(channel, &open))
		return -EBADMSG;
	channel->open = open;
	if (ctl->ops->channel_open(ctl->host, channel, true))
		return -EBADMSG;
	channel->state = CTL_CHANNEL_OPEN;
	return 0;
}

static int restore_open_channels(struct ctl *ctl, struct reader *in)
{
	uint32_t n = reader_le32(in);
	int err = 0;

	for (uint32_t i = 0; i < n && !err; i++)
		err = restore_open_channel(ctl, in);
	return err;
}

/* Nothing that was to be offered is not, and sub-channels are those of open channels. */
static bool offers_hold_together(const struct ctl *ctl)
{
	const struct ctl_channel *channel;

	list_for_each(channel, &ctl->channels, link) {
		bool offered =
			channel->state == CTL_CHANNEL_CLOSED || channel->state == CTL_CHANNEL_OPEN;

		if (ctl_channel_is_due(ctl, channel) || (offered && !channel->wanted))
			return false;
		if (channel->primary && channel->wanted &&
			channel->primary->state != CTL_CHANNEL_OPEN)
			return false;
	}
	return true;
}

static int restore_messages(struct ctl *ctl, struct reader *in)
{
	uint32_t n = reader_le32(in);

	if (!reader_ok(in) || n > MAX_QUEUED)
		return -EBADMSG;
	if (ctl_queue_reserve(ctl, n + CTL_QUEUE_SPARE(ctl->n_channels)))
		return -ENOMEM;
	for (uint32_t i = 0; i < n; i++) {
		struct ctl_message *slot = &ctl->queue.slots[i];
		uint32_t vp_index = reader_le32(in);
		uint8_t size_bytes = reader_u8(in);
		const void *payload = reader_take(in, size_bytes);

		if (!payload || size_bytes < sizeof(struct vmbus_msg_header) ||
			size_bytes > sizeof(slot->payload))
			return -EBADMSG;
		slot->vp_index = vp_index;
		slot->size_bytes = size_bytes;
		memcpy(slot->payload, payload, size_bytes);
		ctl->queue.n_used++;
	}
	return 0;
}

int ctl_restore(struct ctl *ctl, struct reader *in, uint32_t version)
{
	int err = version == CTL_STATE_VERSION ? 0 : -EPROTONOSUPPORT;

	if (err)
		return err;
	ctl_reset(ctl);
	err = restore_connection(ctl, in);
	if (!err)
		err = restore_channels(ctl, in);
	if (!err)
		err = restore_gpadls(ctl, in);
	if (!err)
		err = restore_open_channels(ctl, in);
	if (!err && !offers_hold_together(ctl))
		err = -EBADMSG;
	if (!err)
		err = restore_messages(ctl, in);
	if (!err && !reader_done(in))
		err = -EBADMSG;
	if (err)
		ctl_reset(ctl);
	return err;
}
