/* SPDX-License-Identifier: MIT */
#include "ctl_rig.h"

static int on_open(void *host, struct ctl_channel *channel, bool restoring)
{
	struct ctl_rig *rig = host;

	if (rig->refuse_open)
		return rig->refuse_open;
	assert_true(ctl_open_is_valid(channel, &channel->open));
	rig->n_open++;
	rig->n_restored += restoring;
	rig->last_open = channel;
	return 0;
}

static void on_close(void *host, struct ctl_channel *channel)
{
	struct ctl_rig *rig = host;

	assert_int_equal(channel->state, CTL_CHANNEL_OPEN);
	rig->n_close++;
	rig->last_close = channel;
}

static void on_retarget(void *host, struct ctl_channel *channel _unused_)
{
	((struct ctl_rig *)host)->n_retarget++;
}

static int on_gpadl_created(void *host, struct ctl_gpadl *gpadl)
{
	struct ctl_rig *rig = host;

	assert_true(ctl_gpadl_is_complete(gpadl));
	if (rig->refuse_gpadl)
		return rig->refuse_gpadl;
	rig->n_created++;
	return 0;
}

static void on_gpadl_gone(void *host, struct ctl_gpadl *gpadl _unused_)
{
	((struct ctl_rig *)host)->n_gone++;
}

static const struct ctl_ops rig_ops = {
	.channel_open = on_open,
	.channel_close = on_close,
	.channel_retarget = on_retarget,
	.gpadl_created = on_gpadl_created,
	.gpadl_gone = on_gpadl_gone,
};

void rig_init(struct ctl_rig *rig)
{
	*rig = (struct ctl_rig){0};
	assert_int_equal(ctl_new(&rig_ops, rig, &rig->ctl), 0);
}

void rig_fini(struct ctl_rig *rig)
{
	ctl_free(rig->ctl);
	assert_int_equal(rig->n_open, rig->n_close);
	assert_int_equal(rig->n_created, rig->n_gone);
}

struct vmbus_offer rig_offer(uint8_t class_byte, uint8_t instance_byte)
{
	struct vmbus_offer offer = {.flags = VMBUS_OFFER_ENUMERATE_INTERFACE, .mmio_mb = 3};

	memset(offer.class_guid, class_byte, sizeof(offer.class_guid));
	memset(offer.instance_guid, instance_byte, sizeof(offer.instance_guid));
	memset(offer.user_defined, 0x55, sizeof(offer.user_defined));
	return offer;
}

struct ctl_channel *rig_add(struct ctl_rig *rig, uint8_t class_byte, uint8_t instance_byte)
{
	struct vmbus_offer offer = rig_offer(class_byte, instance_byte);
	struct ctl_channel *channel;

	assert_int_equal(ctl_channel_add(rig->ctl, &offer, rig, &channel), 0);
	return channel;
}

uint16_t rig_send(struct ctl_rig *rig, const void *message, size_t size_bytes)
{
	return ctl_receive(
		rig->ctl, VMBUS_CONNECTION_MESSAGES, VMBUS_MESSAGE_TYPE, message, size_bytes);
}

uint16_t rig_contact(struct ctl_rig *rig, uint32_t version)
{
	struct vmbus_msg_initiate_contact m = {
		.header.type = VMBUS_MSG_INITIATE_CONTACT,
		.version = version,
		.target_vp = 7,
	};

	if (version >= VMBUS_VERSION_5_0)
		m.v5.sint = VMBUS_SINT;
	else
		m.interrupt_page = 0x123000;
	return ctl_receive(rig->ctl,
		version >= VMBUS_VERSION_5_0 ? VMBUS_CONNECTION_MESSAGES_V5
					     : VMBUS_CONNECTION_MESSAGES,
		VMBUS_MESSAGE_TYPE, &m, sizeof(m));
}

uint16_t rig_plain(struct ctl_rig *rig, uint32_t type)
{
	struct vmbus_msg_header m = {.type = type};

	return rig_send(rig, &m, sizeof(m));
}

uint16_t rig_relid(struct ctl_rig *rig, uint32_t type, uint32_t relid)
{
	struct vmbus_msg_relid m = {.header.type = type, .relid = relid};

	return rig_send(rig, &m, sizeof(m));
}

uint16_t rig_open(struct ctl_rig *rig, uint32_t relid, uint32_t ring_gpadl_id,
	uint32_t downstream_page_offset)
{
	struct vmbus_msg_open_channel m = {
		.header.type = VMBUS_MSG_OPEN_CHANNEL,
		.relid = relid,
		.open_id = relid + 100,
		.ring_gpadl_id = ring_gpadl_id,
		.target_vp = 1,
		.downstream_page_offset = downstream_page_offset,
	};

	memset(m.user_data, 0x77, sizeof(m.user_data));
	return rig_send(rig, &m, sizeof(m));
}

uint16_t rig_teardown(struct ctl_rig *rig, uint32_t relid, uint32_t gpadl_id)
{
	struct vmbus_msg_gpadl_teardown m = {
		.header.type = VMBUS_MSG_GPADL_TEARDOWN,
		.relid = relid,
		.gpadl_id = gpadl_id,
	};

	return rig_send(rig, &m, sizeof(m));
}

uint16_t rig_modify(struct ctl_rig *rig, uint32_t relid, uint32_t target_vp)
{
	struct vmbus_msg_modify_channel m = {
		.header.type = VMBUS_MSG_MODIFY_CHANNEL,
		.relid = relid,
		.target_vp = target_vp,
	};

	return rig_send(rig, &m, sizeof(m));
}

uint16_t rig_gpadl_header(struct ctl_rig *rig, uint32_t relid, uint32_t gpadl_id,
	uint32_t byte_count, uint32_t byte_offset, unsigned n_now)
{
	uint8_t bytes[VMBUS_MSG_MAX_BYTES];
	struct vmbus_msg_gpadl_header m = {
		.header.type = VMBUS_MSG_GPADL_HEADER,
		.relid = relid,
		.gpadl_id = gpadl_id,
		.range_buffer_bytes = (uint16_t)(8 + byte_count / VMBUS_PAGE_BYTES * 8),
		.range_count = 1,
		.range = {.byte_count = byte_count, .byte_offset = byte_offset},
	};

	assert_in_range(n_now, 0, VMBUS_GPADL_HEADER_MAX_PFNS);
	memcpy(bytes, &m, sizeof(m));
	for (unsigned i = 0; i < n_now; i++)
		store_le64(bytes + sizeof(m) + 8 * i, 100 + i);
	return rig_send(rig, bytes, sizeof(m) + 8 * n_now);
}

uint16_t rig_gpadl_body(struct ctl_rig *rig, uint32_t gpadl_id, uint64_t first, unsigned n)
{
	uint8_t bytes[VMBUS_MSG_MAX_BYTES];
	struct vmbus_msg_gpadl_body m = {
		.header.type = VMBUS_MSG_GPADL_BODY,
		.gpadl_id = gpadl_id,
	};

	assert_in_range(n, 0, VMBUS_GPADL_BODY_MAX_PFNS);
	memcpy(bytes, &m, sizeof(m));
	for (unsigned i = 0; i < n; i++)
		store_le64(bytes + sizeof(m) + 8 * i, first + i);
	return rig_send(rig, bytes, sizeof(m) + 8 * n);
}

void rig_expect(struct ctl_rig *rig, uint32_t type, void *ret_message, size_t size_bytes)
{
	const struct ctl_message *m = ctl_message_first(rig->ctl);

	assert_non_null(m);
	assert_int_equal(load_le32(m->payload), type);
	assert_int_equal(m->size_bytes, size_bytes);
	assert_int_equal(m->vp_index, 7);
	if (ret_message)
		memcpy(ret_message, m->payload, size_bytes);
	ctl_message_pop(rig->ctl, true);
}

void rig_expect_nothing(struct ctl_rig *rig)
{
	assert_null(ctl_message_first(rig->ctl));
}

void rig_drop_messages(struct ctl_rig *rig)
{
	while (ctl_message_first(rig->ctl))
		ctl_message_pop(rig->ctl, true);
}

void rig_connect(struct ctl_rig *rig, uint32_t version)
{
	struct vmbus_msg_version_response response;

	assert_int_equal(rig_contact(rig, version), HV_STATUS_SUCCESS);
	rig_expect(rig, VMBUS_MSG_VERSION_RESPONSE, &response, sizeof(response));
	assert_int_equal(response.supported, 1);
}

void rig_connect_with_offers(struct ctl_rig *rig, uint32_t version)
{
	rig_connect(rig, version);
	assert_int_equal(rig_plain(rig, VMBUS_MSG_REQUEST_OFFERS), HV_STATUS_SUCCESS);
	rig_drop_messages(rig);
}

void rig_make_gpadl(struct ctl_rig *rig, uint32_t relid, uint32_t gpadl_id, unsigned n_pages)
{
	struct vmbus_msg_gpadl_created created;
	unsigned n = MIN(n_pages, (unsigned)VMBUS_GPADL_HEADER_MAX_PFNS);

	assert_int_equal(
		rig_gpadl_header(rig, relid, gpadl_id, n_pages * VMBUS_PAGE_BYTES, 0, n), 0);
	while (n < n_pages) {
		unsigned n_now = MIN(n_pages - n, (unsigned)VMBUS_GPADL_BODY_MAX_PFNS);

		assert_int_equal(rig_gpadl_body(rig, gpadl_id, 100 + n, n_now), 0);
		n += n_now;
	}
	rig_expect(rig, VMBUS_MSG_GPADL_CREATED, &created, sizeof(created));
	assert_int_equal(created.relid, relid);
	assert_int_equal(created.gpadl_id, gpadl_id);
	assert_int_equal(created.status, 0);
}

void rig_make_open(struct ctl_rig *rig, uint32_t relid, uint32_t gpadl_id)
{
	struct vmbus_msg_open_result result;

	rig_make_gpadl(rig, relid, gpadl_id, 8);
	assert_int_equal(rig_open(rig, relid, gpadl_id, 4), 0);
	rig_expect(rig, VMBUS_MSG_OPEN_CHANNEL_RESULT, &result, sizeof(result));
	assert_int_equal(result.relid, relid);
	assert_int_equal(result.open_id, relid + 100);
	assert_int_equal(result.status, 0);
}

uint64_t rig_errors(const struct ctl_rig *rig)
{
	struct vmbus_info info;

	ctl_get_info(rig->ctl, &info);
	return info.n_protocol_errors;
}
