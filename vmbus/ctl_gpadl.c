/* SPDX-License-Identifier: MIT */
#include "vmbus/ctl_internal.h"

#define WORD_BYTES 8

bool ctl_gpadl_is_pages(const struct ctl_gpadl *gpadl)
{
	struct vmbus_gpa_range range;

	if (!ctl_gpadl_is_complete(gpadl) || gpadl->n_ranges != 1)
		return false;
	memcpy(&range, gpadl->words.data, sizeof(range));
	return range.byte_offset == 0 && range.byte_count % VMBUS_PAGE_BYTES == 0;
}

static struct ctl_gpadl *find_any(const struct ctl_channel *channel, uint32_t gpadl_id)
{
	struct ctl_gpadl *gpadl;

	list_for_each(gpadl, &channel->gpadls, link) {
		if (gpadl->id == gpadl_id)
			return gpadl;
	}
	return NULL;
}

/* Created ones only. */
struct ctl_gpadl *ctl_gpadl_find(const struct ctl_channel *channel, uint32_t gpadl_id)
{
	struct ctl_gpadl *gpadl = find_any(channel, gpadl_id);

	return gpadl && gpadl->created ? gpadl : NULL;
}

/* Bodies name no channel: while under assembly the id alone must tell GPADLs apart. */
static struct ctl_gpadl *find_assembling(const struct ctl *ctl, uint32_t gpadl_id)
{
	struct ctl_gpadl *gpadl;

	list_for_each(gpadl, &ctl->assembling, assembling_link) {
		if (gpadl->id == gpadl_id)
			return gpadl;
	}
	return NULL;
}

struct ctl_gpadl *ctl_gpadl_add(
	struct ctl *ctl, struct ctl_channel *channel, uint32_t gpadl_id, uint16_t n_ranges)
{
	struct ctl_gpadl *gpadl;

	if (n_ranges == 0 || ctl->n_gpadls == CTL_MAX_GPADLS || find_any(channel, gpadl_id))
		return NULL;
	gpadl = calloc(1, sizeof(*gpadl));
	if (!gpadl)
		return NULL;
	gpadl->channel = channel;
	gpadl->id = gpadl_id;
	gpadl->n_ranges = n_ranges;
	list_append(&channel->gpadls, &gpadl->link);
	list_init(&gpadl->assembling_link);
	ctl->n_gpadls++;
	return gpadl;
}

struct ctl_gpadl *ctl_gpadl_begin(
	struct ctl *ctl, struct ctl_channel *channel, uint32_t gpadl_id, uint16_t n_ranges)
{
	struct ctl_gpadl *gpadl;

	if (ctl->n_assembling == CTL_MAX_ASSEMBLING || find_assembling(ctl, gpadl_id))
		return NULL;
	gpadl = ctl_gpadl_add(ctl, channel, gpadl_id, n_ranges);
	if (!gpadl)
		return NULL;
	list_append(&ctl->assembling, &gpadl->assembling_link);
	ctl->n_assembling++;
	return gpadl;
}

static void leave_assembly(struct ctl *ctl, struct ctl_gpadl *gpadl)
{
	if (list_empty(&gpadl->assembling_link))
		return;
	list_remove(&gpadl->assembling_link);
	ctl->n_assembling--;
}

void ctl_gpadl_free(struct ctl *ctl, struct ctl_gpadl *gpadl)
{
	if (gpadl->created)
		ctl->ops->gpadl_gone(ctl->host, gpadl);
	leave_assembly(ctl, gpadl);
	list_remove(&gpadl->link);
	ctl->n_gpadls--;
	ctl->n_pfns -= gpadl->n_pfns;
	buf_fini(&gpadl->words);
	free(gpadl);
}

bool ctl_gpadl_is_complete(const struct ctl_gpadl *gpadl)
{
	return gpadl->n_ranges_complete == gpadl->n_ranges;
}

static int begin_range(struct ctl *ctl, struct ctl_gpadl *gpadl, const uint8_t *word)
{
	struct vmbus_gpa_range range;
	uint64_t n_pfns;

	memcpy(&range, word, sizeof(range));
	if (range.byte_count == 0 || range.byte_offset >= VMBUS_PAGE_BYTES)
		return -EINVAL;
	n_pfns = ((uint64_t)range.byte_offset + range.byte_count + VMBUS_PAGE_BYTES - 1) /
		 VMBUS_PAGE_BYTES;
	if (n_pfns > CTL_MAX_GPADL_PFNS - gpadl->n_pfns || n_pfns > CTL_MAX_PFNS - ctl->n_pfns)
		return -E2BIG;
	gpadl->n_pfns += (uint32_t)n_pfns;
	ctl->n_pfns += (uint32_t)n_pfns;
	gpadl->n_pfns_left = (uint32_t)n_pfns;
	return 0;
}

int ctl_gpadl_feed(struct ctl *ctl, struct ctl_gpadl *gpadl, const uint8_t *words, size_t n_words)
{
	while (n_words && !ctl_gpadl_is_complete(gpadl)) {
		size_t n = 1;

		if (gpadl->n_pfns_left == 0) {
			int err = begin_range(ctl, gpadl, words);

			if (err)
				return err;
		} else {
			n = MIN(n_words, (size_t)gpadl->n_pfns_left);
			gpadl->n_pfns_left -= (uint32_t)n;
			if (gpadl->n_pfns_left == 0)
				gpadl->n_ranges_complete++;
		}
		buf_bytes(&gpadl->words, words, n * WORD_BYTES);
		words += n * WORD_BYTES;
		n_words -= n;
	}
	return gpadl->words.failed ? -ENOMEM : 0;
}

int ctl_gpadl_finish(struct ctl *ctl, struct ctl_gpadl *gpadl)
{
	int err = ctl->ops->gpadl_created(ctl->host, gpadl);

	if (err)
		return err;
	leave_assembly(ctl, gpadl);
	gpadl->created = true;
	return 0;
}

static void send_created(struct ctl *ctl, uint32_t relid, uint32_t gpadl_id, uint32_t status)
{
	struct vmbus_msg_gpadl_created message = {
		.header.type = VMBUS_MSG_GPADL_CREATED,
		.relid = relid,
		.gpadl_id = gpadl_id,
		.status = status,
	};

	ctl_send(ctl, &message, sizeof(message));
}

/* More of the range list came; answer when it is whole, or when it cannot become so. */
static void take_words(
	struct ctl *ctl, struct ctl_gpadl *gpadl, const uint8_t *words, size_t size_bytes)
{
	uint32_t relid = gpadl->channel->relid, id = gpadl->id;
	int err = ctl_gpadl_feed(ctl, gpadl, words, size_bytes / WORD_BYTES);

	if (!err && !ctl_gpadl_is_complete(gpadl))
		return;
	if (!err)
		err = ctl_gpadl_finish(ctl, gpadl);
	if (err) {
		ctl_error(ctl, "a GPADL that cannot be");
		ctl_gpadl_free(ctl, gpadl);
	}
	send_created(ctl, relid, id, err ? CTL_STATUS_REFUSED : 0);
}

void ctl_handle_gpadl_header(struct ctl *ctl, const void *message, size_t size_bytes)
{
	const struct vmbus_msg_gpadl_header *m = message;
	const size_t at = offsetof(struct vmbus_msg_gpadl_header, range);
	struct ctl_channel *channel = ctl_channel_by_relid(ctl, m->relid);
	struct ctl_gpadl *gpadl = NULL;

	if (!channel)
		ctl_error(ctl, "GPADL_HEADER for no channel");
	else if (channel->state != CTL_CHANNEL_REVOKED) {
		gpadl = ctl_gpadl_begin(ctl, channel, m->gpadl_id, m->range_count);
		if (!gpadl)
			ctl_error(
				ctl, "GPADL_HEADER with its id in use, no range, or one too many");
	}
	if (gpadl)
		take_words(ctl, gpadl, (const uint8_t *)message + at, size_bytes - at);
	else
		send_created(ctl, m->relid, m->gpadl_id, CTL_STATUS_REFUSED);
}

void ctl_handle_gpadl_body(struct ctl *ctl, const void *message, size_t size_bytes)
{
	const struct vmbus_msg_gpadl_body *m = message;
	struct ctl_gpadl *gpadl = find_assembling(ctl, m->gpadl_id);

	if (gpadl)
		take_words(
			ctl, gpadl, (const uint8_t *)message + sizeof(*m), size_bytes - sizeof(*m));
	else
		ctl_error(ctl, "GPADL_BODY without a header");
}

/* Answered always: whatever the guest asked about, the host does not use it any more. */
void ctl_handle_gpadl_teardown(struct ctl *ctl, const void *message, size_t size_bytes _unused_)
{
	const struct vmbus_msg_gpadl_teardown *m = message;
	struct ctl_channel *channel = ctl_channel_by_relid(ctl, m->relid);
	struct ctl_gpadl *gpadl = channel ? find_any(channel, m->gpadl_id) : NULL;
	struct vmbus_msg_gpadl_torndown answer = {
		.header.type = VMBUS_MSG_GPADL_TORNDOWN,
		.gpadl_id = m->gpadl_id,
	};

	if (gpadl) {
		if (channel->state == CTL_CHANNEL_OPEN &&
			channel->open.ring_gpadl_id == gpadl->id) {
			ctl_error(ctl, "GPADL_TEARDOWN of the rings of an open channel");
			ctl_channel_close(ctl, channel);
		}
		ctl_gpadl_free(ctl, gpadl);
	} else if (!channel || channel->state != CTL_CHANNEL_REVOKED) {
		ctl_error(ctl, "GPADL_TEARDOWN of no GPADL");
	}
	ctl_send(ctl, &answer, sizeof(answer));
}
